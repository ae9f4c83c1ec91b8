"""The liquidation price is where equity meets maintenance: checked at that very price."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from world import World

from delever.core.contracts import Terms
from delever.core.messages import ContractKind, MarginTier, Side
from delever.server.account import holdings_of
from delever.server.venues.liquidation import liquidation_ticks

TIERS = (
    MarginTier(notional_from=0, maintenance_rate="0.005"),
    MarginTier(notional_from=50_000, maintenance_rate="0.01"),
)


def market(kind: ContractKind = ContractKind.LINEAR, **fields: Any) -> World:
    world = World()
    settle = "USDT" if kind is ContractKind.LINEAR else "BTC"
    world.pool("coins", asset="BTC")
    pool = "main" if kind is ContractKind.LINEAR else "coins"
    fields = {"settle": settle, "pool": pool, "margin_tiers": TIERS, **fields}
    world.contract("C", kind=kind, **fields)
    world.mark(C=100)
    return world


def at(world: World, account: str) -> list[Fraction | None]:
    holdings = holdings_of(world.book, account)
    assert holdings is not None
    state = world.state("C")
    held = holdings.of("C")
    return [liquidation_ticks(position, holdings, state.terms, state.mark) for position in held]


def excess(world: World, account: str, terms: Terms) -> int:
    """Return equity less maintenance of an account that is all cross, at the current mark."""
    wallets = world.book.assets[terms.settle].wallets
    row = world.book.accounts.index[account]
    return int(wallets.balance[row] + wallets.profit[row] - wallets.maintenance[row])


@pytest.mark.parametrize("kind", list(ContractKind))
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("quantity", [100, 900])
def test_cross(kind: ContractKind, side: Side, quantity: int) -> None:
    linear = kind is ContractKind.LINEAR
    world = market(kind)
    balance = quantity * 20 if linear else quantity // 500 + 1
    world.wallets(asset="USDT" if linear else "BTC", ann=balance)
    world.positions(world.row("ann", "C", side, quantity, at=90))
    (price,) = at(world, "ann")
    terms = world.state("C").terms
    if price is None:
        assert not linear  # a short inverse position at one times leverage is never liquidated
        return
    ticks = int(price)
    safe, lost = (ticks + 1, ticks - 1) if side is Side.LONG else (ticks - 1, ticks + 1)
    found = []
    for mark in (safe, lost):
        world.mark(C=f"{mark // 100}.{mark % 100:02d}")
        found.append(excess(world, "ann", terms))
    assert found[0] > 0 > found[1]


def test_a_hedge_moves_as_one() -> None:
    world = market()
    world.account("ann", hedge_mode=True)
    world.wallets(ann=500)
    world.positions(
        world.row("ann", "C", Side.LONG, 100, at=100), world.row("ann", "C", Side.SHORT, 60, at=100)
    )
    long, short = at(world, "ann")
    assert long == short
    assert long is not None
    # 500 + 40 (p - 100) = 0.005 * 160 p, in ticks of 0.01
    assert long == Fraction(3_500 * 1000 * 100, 39_200)


def test_an_isolated_position_stands_alone_and_a_safe_one_has_none() -> None:
    world = market()
    world.wallets(ann=10**6)
    world.positions(world.row("ann", "C", Side.LONG, 10, at=100, margin=100))
    # 100 + 10 (p - 100) = 0.005 * 10 p
    assert at(world, "ann") == [Fraction(900 * 1000 * 100, 9_950)]
    world.positions(world.row("bea", "C", Side.LONG, 10, at=100))
    world.wallets(bea=10**6)
    assert at(world, "bea") == [None]


def test_without_a_mark_there_is_none() -> None:
    world = World()
    terms = world.contract("C")
    world.positions(world.row("ann", "C", Side.LONG, 10, at=100, margin=100))
    holdings = holdings_of(world.book, "ann")
    assert holdings is not None
    assert liquidation_ticks(holdings.positions[0], holdings, terms, 0) is None
    assert not np.any(world.state("C").mark)
