"""The lots that each counterparty closes: exact under any weights."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.core.rules.policies.allocation import (
    fill_in_order,
    match_tranches,
    share,
    share_by_weight,
)
from delever.core.units import COLUMN_LIMIT, mul_shift_floor, share_floors
from table import Row, cases

members = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), min_size=1, max_size=12)
large = st.integers(0, COLUMN_LIMIT - 1) | st.integers(0, 2**20)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return columns of caps and weights."""
    caps, weights = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return caps, weights


@pytest.mark.parametrize("row", cases("allocations.txt"))
def test_allocation(row: Row) -> None:
    caps, weights = ([int(n) for n in row[name].split(",")] for name in ("caps", "weights"))
    for lots in (
        share(int(row["wanted"]), caps, weights),
        share_by_weight(int(row["wanted"]), np.array(caps), np.array(weights)),
    ):
        assert ",".join(map(str, lots)) == row["lots"]


def test_lots_beyond_the_columns_are_shared_exactly_whatever_the_weights() -> None:
    """CORE-04: 128 bits of rounding do not suffice for 2^60 lots, even with weights below 2^61."""
    wanted, caps = 2_172_702_103_645_270_178, [2**61] * 3
    weights = [7_131_682_469, 133_183_682, 31_926_763_740_664_318]
    exact = [Fraction(wanted * weight, sum(weights)) for weight in weights]
    shared = share_by_weight(wanted, np.array(caps), np.array(weights)).tolist()
    assert sum(shared) == wanted
    assert all(abs(lots - part) < 1 for lots, part in zip(shared, exact, strict=True))
    assert shared == share(wanted, caps, weights)


@given(members, st.integers(0, 700))
def test_lots_are_neither_lost_nor_created(rows: list[tuple[int, int]], wanted: int) -> None:
    """CORE-04"""
    caps, weights = columns(rows)
    for lots in (share_by_weight(wanted, caps, weights), fill_in_order(wanted, caps)):
        assert lots.sum() == min(wanted, caps.sum())
        assert ((lots >= 0) & (lots <= caps)).all()


@given(
    st.lists(st.tuples(large, large, st.booleans()), min_size=1, max_size=12),
    large,
    st.sampled_from([1, 10, 2**31, 2**62]),
)
def test_columns_share_as_unbounded_integers_do(
    rows: list[tuple[int, int, bool]], wanted: int, scale: int
) -> None:
    """CORE-04: products and sums beyond int64 are exact."""
    caps = [cap % scale for cap, _, _ in rows]
    weights = [cap % scale if same else weight for (cap, weight, same) in rows]
    wanted = wanted % (sum(caps) + 2) % COLUMN_LIMIT
    expected = share(wanted, caps, weights)
    shared = share_by_weight(wanted, np.array(caps, np.int64), np.array(weights, np.int64))
    assert shared.tolist() == expected
    copies = 2 + 64 // len(rows)  # long enough for columns
    if sum(caps) * copies < COLUMN_LIMIT:
        again = share(wanted, caps * copies, weights * copies)
        assert sum(again) == min(wanted, sum(caps) * copies)


@given(st.lists(large, min_size=1), large, st.integers(0, 126))
def test_a_shifted_product_is_exact(column: list[int], factor: int, shift: int) -> None:
    found = mul_shift_floor(np.array(column), factor, shift).tolist()
    assert found == [min(n * factor >> shift, COLUMN_LIMIT) for n in column]


@given(st.lists(st.integers(0, 2**57), min_size=1, max_size=8), st.integers(0, 2**50 - 1))
def test_floors_and_remainders_are_exact(parts: list[int], amount: int) -> None:
    whole = max(sum(parts), 1)
    floors, remainders = share_floors(amount, np.array(parts), whole)
    assert list(zip(floors.tolist(), remainders.tolist(), strict=True)) == [
        divmod(amount * part, whole) for part in parts
    ]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(0, 700))
def test_a_queue_is_filled_in_order(caps: list[int], wanted: int) -> None:
    """CORE-04: every counterparty in front is closed whole before the next one."""
    lots = fill_in_order(wanted, np.array(caps))
    ahead = [sum(caps[:place]) for place in range(len(caps))]
    assert lots.tolist() == [min(max(wanted - a, 0), c) for a, c in zip(ahead, caps, strict=True)]


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=12), st.integers(0, 10_000))
def test_a_share_without_caps_is_within_one_lot_of_its_weight(
    weights: list[int], wanted: int
) -> None:
    """CORE-04: the lots rounded up belong to the largest remainders."""
    lots = share_by_weight(wanted, np.full(len(weights), 10**6), np.array(weights)).tolist()
    exact = [Fraction(wanted * weight, sum(weights)) for weight in weights]
    assert all(abs(own - share) < 1 for own, share in zip(lots, exact, strict=True))
    up = [share % 1 for own, share in zip(lots, exact, strict=True) if own > share]
    down = [share % 1 for own, share in zip(lots, exact, strict=True) if own <= share]
    assert not up or not down or min(up) >= max(down)


@given(members, st.integers(0, 700), st.randoms(use_true_random=False))
def test_order_matters_only_for_equal_remainders(
    rows: list[tuple[int, int]], wanted: int, random: object
) -> None:
    """CORE-04: in another order each counterparty has the same lots, but for one lot of a tie."""
    rows = [(cap, weight + 1) for cap, weight in rows]
    shuffled = sorted(range(len(rows)), key=lambda _: random.random())
    first = share_by_weight(wanted, *columns(rows)).tolist()
    second = share_by_weight(wanted, *columns([rows[i] for i in shuffled])).tolist()
    for place, i in enumerate(shuffled):
        assert abs(second[place] - first[i]) <= 1


@given(st.lists(st.integers(0, 20), max_size=10), st.lists(st.integers(1, 20), max_size=10))
def test_counterparties_are_matched_with_tranches_in_order(
    lots: list[int], tranches: list[int]
) -> None:
    """CORE-04: the n-th lot closed is matched with the n-th lot of inventory."""
    lots = lots if sum(lots) <= sum(tranches) else []
    matches = list(zip(*match_tranches(np.array(lots, np.int64), tranches), strict=True))
    closed_by = [c for c, own in enumerate(lots) for _ in range(own)]
    held_by = [p for p, own in enumerate(tranches) for _ in range(own)]
    assert [(c, p) for c, p, matched in matches for _ in range(matched)] == list(
        zip(closed_by, held_by, strict=False)
    )
    assert all(matched > 0 for _, _, matched in matches)
