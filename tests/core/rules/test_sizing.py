"""Who pays: the fund first, then the fewest lots of the largest losers (cases D01 to D03)."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import World, cash_text

from delever.core import messages as m
from delever.core.messages import Side
from delever.core.rules import RULE_SETS
from table import Row, cases


def haircut_of(world: World, fill: m.AdlFilled) -> int:
    """Return what a counterparty loses against the mark, in Cash."""
    state = world.state(fill.contract)
    at_mark = state.terms.value_cash(fill.side.sign * fill.lots, state.mark)
    return at_mark - fill.value_cash


def outcome(world: World, contract: str) -> dict[str, str]:
    """Return quantity and price of ADL in the last step, its haircut and the fund's equity."""
    fills = [fill for fill in world.events(m.AdlFilled) if fill.contract == contract]
    lot, decimals = world.state(contract).terms.lot
    observed = world.book.pools["main"].observed
    assert observed is not None
    return {
        "quantity": cash_text(sum(fill.lots for fill in fills) * lot, decimals),
        "price": "".join({world.price(fill) for fill in fills}),
        "haircut": cash_text(sum(haircut_of(world, fill) for fill in fills)),
        "equity": cash_text(observed.equity_cash),
    }


def world_of(rules: str, fund: str, **pool: Any) -> World:
    """Return a world with one contract in lots of 0.001, 100 BTC taken over at 59,500."""
    world = World(rules, balance=fund, **pool)
    world.contract("BTC", tick_size="0.5", lot_size="0.001")
    world.mark(BTC=60_000)
    world.wallets(s1=9_000_000)
    world.long("liq", "BTC", 100, at=60_000, margin=50_000)
    world.short("s1", "BTC", 100, at=60_000)
    world.mark(BTC=59_500)
    world.takeover("liq")
    return world


@pytest.mark.parametrize("row", cases("sizings.txt"))
def test_the_fund_pays_first(row: Row) -> None:
    assert RULE_SETS[row["rules"]].sizing == row.expected["sizing"]
    world = world_of(row["rules"], "1000000")
    world.mark(BTC=row["mark"])
    assert row.expected == {"sizing": row.expected["sizing"], **outcome(world, "BTC")}


def test_every_rule_set_has_a_row() -> None:
    assert {case.values[0]["rules"] for case in cases("sizings.txt")} == set(RULE_SETS)


@pytest.mark.parametrize("row", cases("turns.txt"))
def test_the_loss_of_one_contract_closes_nothing_in_another(row: Row) -> None:
    never = m.TriggerLimits(start="10", stop="10")  # Bybit's contract drawdown stays off
    limits = never if row["rules"] == "bybit" else m.TriggerLimits()
    world = World(row["rules"], balance=1000, limits=limits)
    world.contract("B", tick_size="0.5", lot_size="0.01")
    world.contract("A", tick_size="0.5", lot_size="0.001")
    world.mark(A=59_500, B=2_990)
    world.wallets(sA=500_000, sB=500_000)
    world.short("sA", "A", 1, at=60_000)
    world.short("sB", "B", 1, at=3_000)
    world.inventory("A", Side.LONG, 1, 59_500)
    world.inventory("B", Side.LONG, 1, 2_990)
    world.mark(A=57_000, B=2_940)
    a, b = outcome(world, "A"), outcome(world, "B")
    haircut = Decimal(a["haircut"]) + Decimal(b["haircut"])
    assert row.expected == {
        "a": a["quantity"],
        "b": b["quantity"],
        "haircut": format(haircut.normalize(), "f"),
        "equity": a["equity"],
    }


def test_a_stop_above_zero_is_restored_at_once() -> None:
    """CORE-28: with `stop_equity` a falling mark does not close in crumbs: 5,100 / 10,001."""
    world = world_of("binance", "1000000", limits=m.TriggerLimits(stop_equity=5000))
    world.mark(BTC=49_499)
    assert outcome(world, "BTC") == {
        "quantity": "0.51",
        "price": "59500",
        "haircut": "5100.51",
        "equity": "5000.51",
    }
    assert world.on("BTC") == ""


def test_the_lowest_margin_ratio_at_takeover_is_closed_out_first() -> None:
    """CORE-26: then the largest loss, then the oldest takeover."""
    world = World("binance", balance=1)
    world.contract("X")
    world.mark(X=100)
    world.short("ann", "X", 90, at=150, margin=10_000)
    world.inventory("X", Side.LONG, 1, 100, account="even")
    world.inventory("X", Side.LONG, 2, 100, account="larger")
    world.inventory("X", Side.LONG, 2, 100, account="later")
    world.mark(X=99)
    fills = world.events(m.AdlFilled)
    assert [fill.liquidated_account for fill in fills] == ["larger", "later", "even"]


tranches = st.lists(st.tuples(st.integers(1, 50), st.integers(90, 110)), min_size=1, max_size=5)


@given(tranches, st.integers(0, 500), st.integers(70, 130), st.sampled_from(Side))
def test_haircuts_are_at_most_the_deficit_and_one_lot(
    held: list[tuple[int, int]], fund: int, mark: int, side: Side
) -> None:
    """CORE-28: and inventory in profit is never closed."""
    world = World("kucoin", balance=fund + 10**6)
    world.contract("X")
    world.mark(X=100)
    other = side.opposite
    world.positions(world.row("ann", "X", other, 1000, at=100, margin=10**6))
    for number, (lots, price) in enumerate(held):
        world.inventory("X", side, lots, price, account=f"bust-{number}")
    world.fund(-(10**6), reason=m.FundingReason.WITHDRAWAL)
    world.mark(X=mark)
    state, filled = world.state("X"), world.events(m.AdlFilled)
    for closed in world.events(m.RoundClosed):
        assert closed.numbers["deficit_cash"] > 0
    deficit = sum(closed.numbers["deficit_cash"] for closed in world.events(m.RoundClosed))
    one_lot = max((haircut_of(world, fill) // fill.lots for fill in filled), default=0)
    assert sum(haircut_of(world, fill) for fill in filled) <= deficit + one_lot
    assert all(side.sign * (fill.price_ticks - state.mark) > 0 for fill in filled)
