"""The property table of the policies, cell by cell: what holds, and what does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mechanisms import MECHANISMS, PROPERTIES, Mechanism, WinnerBook

from table import rows_of

TOLERANCE = 1e-6
VIOLATION = 1e-3
CELLS = [
    (row["mechanism"], name, row.expected[name])
    for row in rows_of("policy_properties.txt")
    for name in PROPERTIES
]

amounts = st.integers(1, 1000).map(lambda n: n / 10)
leverages = st.integers(2, 100).map(lambda n: n / 10)
books = st.lists(st.tuples(amounts, amounts, leverages), min_size=2, max_size=6)


def book_of(rows: list[tuple[float, float, float]], m: Mechanism) -> WinnerBook:
    """Return a book of (profit, other equity, leverage); whole lots where lots are coarse."""
    profit, rest, leverage = (np.array(column) for column in zip(*rows, strict=True))
    equity = profit + rest
    notional = np.ceil(leverage * equity) if m.lot == 1 else leverage * equity
    return WinnerBook(profit, equity, notional)


def budget_of(m: Mechanism, book: WinnerBook, part: float) -> float:
    """Return a part of what the mechanism can take."""
    budget = part * float(m.take(book, 1e9).sum())
    return float(round(budget)) if m.lot == 1 else budget


def allowed(m: Mechanism, name: str, budget: float) -> float:
    """Return how far rounding may violate a property: lots, or parts of the budget."""
    lots = {"scale": 3.0, "path": 2.0, "path_rescored": 2.0, "survivor_order": 1.0}
    return TOLERANCE * max(budget, 1) + m.lot * lots.get(name, 2.0) * 1.5


@pytest.mark.parametrize(("mechanism", "name", "holds"), CELLS)
def test_cell(mechanism: str, name: str, holds: str) -> None:
    m, violation = MECHANISMS[mechanism], PROPERTIES[name]
    if holds == "n":
        assert worst_of_random_books(m, name) > VIOLATION
        return

    @settings(max_examples=20)
    @given(books, st.integers(1, 9))
    def check(rows: list[tuple[float, float, float]], tenths: int) -> None:
        book = book_of(rows, m)
        budget = budget_of(m, book, tenths / 10)
        assert violation(m, book, budget) <= allowed(m, name, budget)

    check()


def worst_of_random_books(m: Mechanism, name: str) -> float:
    """Return the largest violation beyond rounding, in parts of the budget, of up to 300 books."""
    rng = np.random.default_rng(1)
    worst = 0.0
    for _ in range(300):
        size = int(rng.integers(2, 7))
        profit, rest = rng.integers(1, 1000, (2, size)) / 10
        rows = list(zip(profit, rest, rng.integers(2, 100, size) / 10, strict=True))
        book = book_of(rows, m)
        budget = budget_of(m, book, float(rng.uniform(0.1, 0.9)))
        if budget > 0:
            beyond = PROPERTIES[name](m, book, budget) - (
                0 if name == "continuous" else allowed(m, name, budget)
            )
            worst = max(worst, beyond / budget)
        if worst > VIOLATION:
            break
    return worst


@pytest.mark.parametrize("mechanism", MECHANISMS)
@given(rows=books, part=st.floats(0, 1.2))
@settings(max_examples=20)
def test_every_mechanism_takes_the_budget_within_caps(
    mechanism: str, rows: list[tuple[float, float, float]], part: float
) -> None:
    """P-bal, P-cap, P-null; and P-det: the order of rows does not matter."""
    m = MECHANISMS[mechanism]
    book = book_of(rows, m)
    most = float(m.take(book, 1e9).sum())
    budget = budget_of(m, book, part)
    taken = m.take(book, budget)
    assert taken.sum() == pytest.approx(min(budget, most), rel=1e-12, abs=m.lot + 1e-9)
    assert (taken >= 0).all()
    assert (taken <= m.capacity(book) * (1 + 1e-12) + m.lot / 2).all()
    assert (m.take(book, 0) == 0).all()
    scores = book.equity + 1000 * book.profit
    if len(set(scores)) == len(scores) and "queue" not in mechanism:
        reverse = np.arange(len(scores))[::-1]
        assert m.take(book.rows(reverse), budget)[reverse] == pytest.approx(
            taken, rel=1e-9, abs=m.lot + 1e-9
        )
