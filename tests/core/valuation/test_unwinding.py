"""Unwinding by managed pools: no further than the fund can pay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import World, cash_text

from delever.core import messages as m
from delever.core.messages import Side
from delever.core.rules import RULE_SETS
from delever.core.valuation.insurance import payable_lots
from table import Row, cases, rows_of


def crashed(rules: str, fund: str, lots: int, bids: tuple[tuple[str, int], ...]) -> World:
    """Return the world at 89.25, where a long of so many lots at 100 is bankrupt below 90.45."""
    needed = RULE_SETS[rules].managed_limits
    limits = m.TriggerLimits(**dict.fromkeys(needed, "0.000001"))
    world = World(rules, balance=fund, managed=True, max_slippage="0.1", limits=limits)
    world.contract("X")
    world.wallets(bust=cash_text(lots * 955_000_000), winner=10_000)
    world.mark(X=100)
    world.long("bust", "X", lots, at=100)
    world.short("winner", "X", lots, at=100)
    world.submit(m.SetDepth, contract="X", bids=bids, asks=())
    world.mark(X="89.25")
    return world


@pytest.mark.parametrize("row", cases("payable.txt"))
def test_a_pool_sells_what_it_can_pay_for_and_the_rest_meets_the_queue(row: Row) -> None:
    """CORE-30."""
    bid = (row["bid"], int(row["offered"]))
    world = crashed(row["rules"], row["fund"], int(row["lots"]), (bid,))
    fills = world.events(m.AdlFilled)
    assert row.expected == {
        "sold": str(sum(event.lots for event in world.events(m.Unwound))),
        "adl": str(sum(fill.lots for fill in fills)),
        "price": "/".join(dict.fromkeys(map(world.price, fills))),
        "balance": world.balance(),
        "unfunded": cash_text(sum(each.unfunded_cash for each in world.events(m.RoundClosed))),
    }


def test_the_table_covers_every_rule_set() -> None:
    assert {row["rules"] for row in rows_of("payable.txt")} == set(RULE_SETS)


def test_a_gain_pays_for_a_loss() -> None:
    """CORE-30: at 99 the takeover at 90 gains 18, and the older one at 108 loses 9."""
    world = World("binance", managed=True, max_slippage="0.1")
    world.contract("X", rate="0.1")
    world.mark(X=99)
    world.submit(m.SetDepth, contract="X", bids=(("99", 3),), asks=())
    world.account("a", hedge_mode=True)
    losing = world.row("a", "X", Side.LONG, 1, at=108, margin=0, position=1)
    gaining = world.row("a", "X", Side.LONG, 2, at=90, margin=0, position=2)
    world.positions(losing, gaining)
    sold = [(event.takeover, event.lots) for event in world.events(m.Unwound)]
    assert (sold, world.balance()) == ([(2, 2), (1, 1)], "9")


def test_nothing_is_sold_at_a_loss_by_a_pool_below_zero() -> None:
    """CORE-30: the pool owes 5; a gain of 1 is taken, a loss is not."""
    assert payable_lots(1, -5, lambda lots: lots) == 1
    assert payable_lots(1, -5, lambda lots: -lots) == 0


@given(st.integers(1, 10**6), st.integers(-(10**6), 10**9), st.integers(-(10**4), 10**4))
def test_the_last_lot_sold_is_the_last_that_the_pool_can_pay_for(
    lots: int, balance: int, per_lot: int
) -> None:
    """CORE-30."""
    payable, money = payable_lots(lots, balance, lambda part: per_lot * part), max(balance, 0)
    assert per_lot * payable >= -money
    assert payable == lots or per_lot * (payable + 1) < -money
