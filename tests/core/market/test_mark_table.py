"""Many marks in columns have the events and the book that they have one by one."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from world import World

from delever.core import messages as m
from delever.core.book import Book
from delever.core.market.mark_table import COLUMN_THRESHOLD, band_of
from delever.core.messages import ContractKind, MarkLimits, Side
from delever.core.units import parse_decimal, parse_decimals

CONTRACTS = tuple(f"C{number:02d}" for number in range(COLUMN_THRESHOLD + 2))
TERMS: tuple[dict[str, Any], ...] = (
    {},
    {"tick_size": "0.0005", "mark_limits": MarkLimits(max_move="0.1")},
    {"kind": ContractKind.INVERSE, "tick_size": "0.5", "lot_size": 10},
    {"tick_size": 1, "mark_limits": MarkLimits(max_move="0.05")},
    {"tick_size": "0.00000000000002", "lot_size": 1_000_000},
)
PRICES = ("100", "104.25", "96.5", "100.00", "99.9999999999", "101.12345678", "0.5", "47")
LARGE = ("40000000000000", "1000000000000000000", "99999999999.99999999")
INVALID = ("0", "-1", "1e3", "", "5.", "99.99999999999999", 7)


def market() -> World:
    """Return a market of contracts of five kinds, half of them with positions."""
    world = World("binance")
    world.pool("coin", asset="BTC", rules="bitmex")
    for number, name in enumerate(CONTRACTS):
        terms = TERMS[number % len(TERMS)]
        coin = {"settle": "BTC", "pool": "coin"} if "kind" in terms else {}
        world.contract(name, **terms, **coin)
    world.mark(**dict.fromkeys(CONTRACTS, 100))
    for number, name in enumerate(CONTRACTS[::2]):
        lots = 10**6 if 2 * number % len(TERMS) == 4 else 10
        for account, side in (("ann", Side.LONG), ("bob", Side.SHORT)):
            world.positions(world.row(account, name, side, 3 * lots, at=99))
    return world


def rounds(prices: tuple[object, ...]) -> st.SearchStrategy[list[tuple[int, dict[str, Any]]]]:
    """Return marks of all contracts, in any order, with the time that passes before each."""
    marks = st.tuples(
        st.permutations(CONTRACTS),
        st.lists(st.sampled_from(prices), min_size=len(CONTRACTS), max_size=len(CONTRACTS)),
    ).map(lambda both: dict(zip(*both, strict=True)))
    return st.lists(st.tuples(st.sampled_from((0, 20_000, 90_000)), marks), min_size=1, max_size=2)


def state_of(book: Book) -> list[object]:
    wallets = [asset.wallets.rows[:, :3].tolist() for asset in book.assets.values()]
    marks = [
        (state.mark, state.previous_mark, state.confirmed_mark, state.volatility.entries())
        for state in book.contracts.values()
    ]
    return [wallets, marks, book.take_changes()]


def outcome(events: tuple[m.Event, ...]) -> list[m.Event]:
    """Return the events but those that have the step's number or all of its marks."""
    return [event for event in events if not isinstance(event, m.Accepted | m.MarksSet)]


@settings(max_examples=20)
@given(rounds(PRICES) | rounds(PRICES + LARGE) | rounds(PRICES + INVALID))
def test_marks_together_are_the_same_as_one_by_one(
    all_marks: list[tuple[int, dict[str, Any]]],
) -> None:
    together, apart = market(), market()
    for wait_ms, marks in all_marks:
        together.time_ms += wait_ms
        apart.time_ms += wait_ms
        events = outcome(together.mark(**marks))
        one_by_one = [
            event for name, price in marks.items() for event in outcome(apart.mark(**{name: price}))
        ]
        assert sorted(map(repr, events)) == sorted(map(repr, one_by_one))
    assert state_of(together.book) == state_of(apart.book)


@given(st.lists(st.from_regex(r"[0-9]{0,20}(\.[0-9]{0,19})?|.{1,3}", fullmatch=True)))
def test_a_column_of_decimals_is_parsed_as_each_of_them(texts: list[str]) -> None:
    numbers = parse_decimals(texts)
    each = [parse_decimal(text) for text in texts]
    if numbers is not None:
        assert list(zip(*(column.tolist() for column in numbers), strict=True)) == each
    elif texts:
        digits = [sum(map(str.isdigit, text)) for text in texts]
        assert None in each or max(digits) > 18 or any(text[0] in "+-" for text in texts)


@given(st.integers(1, 10**12), st.integers(0, 10**12))
def test_a_mark_is_in_its_band_which_is_that_of_all_marks_in_it(mark: int, other: int) -> None:
    low, high = band_of(mark)
    assert low <= mark < high <= max(2 * low, 2)
    assert (band_of(other) == (low, high)) == (low <= other < high)


def test_a_kernel_of_many_marks_has_the_lot_values_of_each() -> None:
    """Values between ticks are floored for each side; those that need a long division are left."""
    world = market()
    table, prices = world.book.marks, ("100.12345678", "7", "0.5", "99.9999999999")
    for price in prices:
        rows = np.arange(len(CONTRACTS))
        ticks, fractions, is_read = table.read(rows, [price] * len(rows)) or ()
        values, has_values = table.lot_values(rows, ticks, fractions)
        for row, name in enumerate(CONTRACTS):
            terms = world.state(name).terms
            if is_read[row] and has_values[row]:
                mark = terms.read_mark("price", price)
                assert terms.split_mark(mark) == (ticks[row], fractions[row])
                expected = [terms.value_factor(side, mark) for side in Side]
                assert [tuple(side) for side in values[row].tolist()] == expected
        assert is_read.any()
