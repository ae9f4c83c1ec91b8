"""Netting of opposite positions: of an account before its takeover (case D01), and of a fund."""

import pytest
from world import World, cash_text

from delever.core import messages as m
from delever.core.messages import Side
from table import Row, cases


def hedged(row: Row) -> World:
    """Return the world of a row, right after the takeover."""
    world = World(row["rules"], balance=100)
    world.contract("BTC", tick_size="0.5", lot_size="0.001")
    world.mark(BTC=60_000)
    world.account("hedger", hedge_mode=True)
    world.wallets(hedger=row["wallet"], ul=900_000, us=900_000)
    world.long("hedger", "BTC", row["long"], at=60_000)
    world.short("hedger", "BTC", row["short"], at=60_000)
    world.long("ul", "BTC", 10, at=58_000)
    world.short("us", "BTC", 10, at=62_000)
    world.mark(BTC=54_000)
    world.takeover("hedger", side=Side(row["side"]) if row["side"] else None)
    return world


@pytest.mark.parametrize("row", cases("netted.txt"))
def test_only_the_net_exposure_is_taken_over(row: Row) -> None:
    world = hedged(row)
    taken, filled = world.events(m.TakenOver), world.filled()
    observed = world.book.pools["main"].observed
    assert observed is not None
    assert row.expected == {
        "netted": cash_text(sum(e.lots for e in world.events(m.PositionsNetted)), 3),
        "taken": cash_text(sum(event.lots for event in taken), 3),
        "price": "".join(map(world.price, taken)),
        "us": cash_text(filled.get("us", 0), 3),
        "ul": cash_text(filled.get("ul", 0), 3),
        "equity": cash_text(observed.equity_cash),
    }


def test_isolated_positions_are_not_netted() -> None:
    """CORE-29."""
    world = World("binance", balance=1)
    world.contract("X")
    world.mark(X=100)
    world.account("hedger", hedge_mode=True)
    world.long("hedger", "X", 5, at=100, margin=10)
    world.short("hedger", "X", 5, at=100)
    world.takeover("hedger")
    assert world.events(m.PositionsNetted) == []
    assert sorted(event.side for event in world.events(m.TakenOver)) == ["long", "short"]


def test_an_account_above_maintenance_after_netting_is_not_taken_over() -> None:
    """CORE-29: 0.5 % of 1,900 is more than an equity of 5, of 100 it is less."""
    world = World("bybit", balance=1, managed=True)
    world.contract("X")
    world.account("hedger", hedge_mode=True)
    world.wallets(hedger=5)
    world.long("hedger", "X", 10, at=100)
    world.short("hedger", "X", 9, at=100)
    world.mark(X=100)
    (netted,) = world.events(m.PositionsNetted)
    assert (netted.long_lots, netted.short_lots, netted.lots) == (10, 9, 9)
    assert world.events(m.TakenOver) == []
    assert world.lots("hedger", "X", Side.LONG) == 1


def test_several_positions_are_netted_in_pairs() -> None:
    """CORE-29: 4 and 3 against 5 at 110: costs are split, and the rest keeps its entry price."""
    world = World("binance", balance=1)
    world.contract("X")
    world.mark(X=100)
    world.account("hedger", hedge_mode=True)
    world.wallets(hedger=10)
    world.long("hedger", "X", 4, at=101, position=1)
    world.long("hedger", "X", 3, at=104, position=2)
    world.short("hedger", "X", 5, at=110)
    world.takeover("hedger")
    pairs = [
        (e.long_position, e.lots, e.realized_pnl_cash) for e in world.events(m.PositionsNetted)
    ]
    assert pairs == [(1, 4, 36 * 10**8), (2, 1, 6 * 10**8)]
    (taken,) = world.events(m.TakenOver)
    assert (taken.lots, taken.position, taken.cost_cash) == (2, 2, 208 * 10**8)


@pytest.mark.parametrize("row", cases("netted_inventory.txt"))
def test_a_pool_nets_its_own_inventory(row: Row) -> None:
    world = World(row["rules"], balance=row["fund"])
    world.contract("X")
    world.mark(X=100)
    world.wallets(short=10_000, long=10_000)
    world.short("short", "X", 10, at=100)
    world.long("long", "X", 10, at=100)
    world.inventory("X", Side.LONG, row["long"], row["bought"], account="a")
    world.inventory("X", Side.SHORT, row["short"], row["sold"], account="b")
    netted, filled = world.events(m.InventoryNetted), world.filled()
    state = world.state("X")
    assert row.expected == {
        "netted": str(sum(event.lots for event in netted)),
        "gain": cash_text(sum(event.realized_pnl_cash for event in netted)),
        "adl": str(sum(filled.values())),
        "left": "/".join(str(state.inventory[side].total_lots) for side in Side),
        "balance": world.balance(),
    }


def test_the_event_names_both_takeovers_and_quantities() -> None:
    """CORE-32: 2 at 99 and 1 at 101 against 5 at 105."""
    world = World("binance", balance=100)
    world.contract("X")
    world.mark(X=102)
    world.inventory("X", Side.LONG, 2, 99, account="a")
    world.inventory("X", Side.LONG, 1, 101, account="b")
    world.inventory("X", Side.SHORT, 5, 105, account="c")
    pairs = [
        (e.long_takeover, e.short_takeover, e.long_lots, e.short_lots, e.lots, e.realized_pnl_cash)
        for e in world.events(m.InventoryNetted)
    ]
    assert pairs == [(1, 3, 2, 5, 2, 12 * 10**8), (2, 3, 1, 3, 1, 4 * 10**8)]
    assert world.state("X").inventory[Side.SHORT].total_lots == 2
