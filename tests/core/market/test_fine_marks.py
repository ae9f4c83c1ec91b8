"""Marks finer than the tick: taken as submitted, valued exactly, floored once."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from world import World

from delever.core import messages as m
from delever.core.market.contract_terms import ContractTerms, terms_of
from delever.core.messages import ContractKind, Side
from delever.core.rules.adl_price import on_tick
from delever.formatting import ContractFormatter
from delever.journal.snapshot import decode_book, encode_book
from table import Row, cases

fine_marks = st.builds(Fraction, st.integers(10**6, 10**15), st.just(5 * 10**6))
"""Marks in ticks of 0.0005, with ten decimals in price."""


def terms(kind: ContractKind) -> ContractTerms:
    steps = {"tick_size": "0.0005", "lot_size": 1}
    definition = m.DefineContract(
        time_ms=0, contract="X", kind=kind, settle="USDT", pool="main", **steps
    )
    return terms_of(definition, 8)


@pytest.mark.parametrize("row", cases("fine_marks.txt"))
def test_a_value_at_a_fine_mark_is_exact_and_floored_once(row: Row) -> None:
    """CORE-35"""
    world = World()
    steps = {"tick_size": row["tick"], "lot_size": row["lot"]}
    world.contract("X", kind=ContractKind(row["kind"]), **steps)
    position = world.row("ann", "X", Side(row["side"]), row["quantity"], at=row["entry"])
    world.positions(position)
    (_, marked) = world.mark(X=row["mark"])
    assert isinstance(marked, m.MarksSet)
    state, table = world.state("X"), world.state("X").tables[Side(row["side"])]
    formatter = ContractFormatter.of(world.book, state)
    assert row.expected == {
        "ticks": str(marked.mark_ticks[0]),
        "fraction": "".join(map(str, marked.mark_fractions)),
        "unrealized_pnl": formatter.cash(int(table.unrealized_pnl[0])),
        "maintenance": formatter.cash(int(table.maintenance[0])),
    }
    assert Fraction(formatter.price(state.mark)) == Fraction(row["mark"])
    cross = world.book.asset("USDT").wallets.unrealized_pnl[0]
    world.positions(position)
    assert table.unrealized_pnl[0] == cross == world.book.asset("USDT").wallets.unrealized_pnl[0]


@given(st.sampled_from(ContractKind), st.integers(1, 10**8), st.booleans(), fine_marks)
def test_columns_and_integers_have_the_same_exact_value(
    kind: ContractKind, lots: int, long: bool, mark: Fraction
) -> None:
    x, signed = terms(kind), lots if long else -lots
    assume(x.fits_int64(lots, mark))
    exact = signed * mark * x.factor if x.linear else -signed * x.factor / mark
    value = x.value_cash(signed, mark)
    assert value <= exact < value + 1
    assert x.value_cash(np.array([signed, -signed]), mark)[0] == value
    assert abs(value) <= lots * x.max_lot_value(mark)


@given(st.sampled_from(ContractKind), fine_marks)
def test_a_mark_is_split_and_joined_exactly(kind: ContractKind, mark: Fraction) -> None:
    x = terms(kind)
    ticks, fraction = x.split_mark(mark)
    assert 0 <= fraction < 5 * 10**6
    assert x.join_mark(ticks, fraction) == mark
    mantissa, decimals = x.decimal_of(mark)
    assert Fraction(mantissa, 10**decimals) == mark * Fraction("0.0005")


@given(st.builds(Fraction, st.integers(1, 10**9), st.integers(1, 10**5)))
def test_an_adl_price_at_a_mark_is_rounded_for_the_counterparties(mark: Fraction) -> None:
    """CORE-36: down for long inventory, which shorts buy; up for short inventory; from one tick."""
    world = World("okx", 1000)
    world.contract("X")
    low, high = (on_tick(world.state("X"), mark, side) for side in Side)
    assert mark - 1 < low <= mark or low == 1
    assert mark <= high < mark + 1


def test_adl_at_a_fine_mark_has_no_haircut() -> None:
    """CORE-36: 2 long at 100, wallet 10: taken over at 95, closed at 90.12 for a mark of 90.125."""
    world = World("okx", 1000)
    world.contract("X", tick_size="0.01")
    world.mark(X="90.125")
    world.short("cyd", "X", 5, at=100, margin=100)
    world.inventory("X", Side.LONG, 2, 95)
    events = world.submit(m.ForceAdl, contract="X", note="")
    (fill,) = [event for event in events if isinstance(event, m.AdlFilled)]
    assert fill.price_ticks == 9012
    assert fill.realized_pnl_cash == 2 * 988 * 10**6
    assert world.book.pools["main"].balance == (1000 * 100 - 2 * 488) * 10**6


def test_a_fine_mark_survives_a_snapshot_and_a_copy() -> None:
    world = World()
    world.contract("X", tick_size="0.0001")
    world.long("ann", "X", 1000, at="0.4")
    for price in ("0.41047590", "0.41047591", "0.4105"):
        world.mark(X=price)
        world.wait(60_000)
    for book in (decode_book(encode_book(world.book)), world.book.copy()):
        state, other = world.state("X"), book.contracts["X"]
        assert (state.mark, state.previous_mark) == (other.mark, other.previous_mark)
        assert other.previous_mark == Fraction("4104.7591")
        assert other.volatility.entries() == state.volatility.entries()
        assert encode_book(book) == encode_book(world.book)
