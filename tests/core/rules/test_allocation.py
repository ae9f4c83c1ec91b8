"""The lots that each counterparty closes: exact under any weights."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.core.rules.policies import AllocationTiers
from delever.core.rules.policies.allocation import allocate, match_tranches
from table import Row, cases

counterparty_lists = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=12
)


def tiers_of(counterparties: list[tuple[int, int, int]]) -> AllocationTiers:
    """Return tiers of (cap, tier, weight), in order."""
    caps, tiers, weights = (np.array(column) for column in zip(*counterparties, strict=True))
    return AllocationTiers(np.arange(len(counterparties)), caps, tiers, weights)


@pytest.mark.parametrize("row", cases("allocations.txt"))
def test_allocation(row: Row) -> None:
    columns = ([int(n) for n in row[name].split(",")] for name in ("caps", "tiers", "weights"))
    counterparties = list(zip(*columns, strict=True))
    lots = allocate(int(row["wanted"]), tiers_of(counterparties)).tolist()
    assert ",".join(map(str, lots)) == row["lots"]


@given(counterparty_lists, st.integers(0, 700))
def test_lots_are_neither_lost_nor_created_and_tiers_are_used_up_in_order(
    counterparties: list[tuple[int, int, int]], wanted: int
) -> None:
    """CORE-04"""
    counterparties.sort(key=lambda counterparty: counterparty[1])
    lots = allocate(wanted, tiers_of(counterparties)).tolist()
    caps = [cap for cap, _, _ in counterparties]
    assert sum(lots) == min(wanted, sum(caps))
    assert all(0 <= own <= cap for own, cap in zip(lots, caps, strict=True))
    for tier, later in itertools.combinations(sorted({tier for _, tier, _ in counterparties}), 2):
        rows = list(zip(lots, counterparties, strict=True))
        touched = any(own for own, (_, place, _) in rows if place == later)
        used_up = all(own == cap for own, (cap, place, _) in rows if place == tier)
        assert used_up or not touched


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(0, 700))
def test_a_queue_is_filled_in_order(caps: list[int], wanted: int) -> None:
    """CORE-04: every counterparty in front is closed whole before the next one."""
    lots = allocate(wanted, tiers_of([(cap, place, 1) for place, cap in enumerate(caps)]))
    ahead = [sum(caps[:place]) for place in range(len(caps))]
    assert lots.tolist() == [min(max(wanted - a, 0), c) for a, c in zip(ahead, caps, strict=True)]


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=12), st.integers(0, 10_000))
def test_a_share_without_caps_is_within_one_lot_of_its_weight(
    weights: list[int], wanted: int
) -> None:
    """CORE-04: the lots rounded up belong to the largest remainders."""
    lots = allocate(wanted, tiers_of([(10**6, 0, weight) for weight in weights])).tolist()
    exact = [Fraction(wanted * weight, sum(weights)) for weight in weights]
    assert all(abs(own - share) < 1 for own, share in zip(lots, exact, strict=True))
    up = [share % 1 for own, share in zip(lots, exact, strict=True) if own > share]
    down = [share % 1 for own, share in zip(lots, exact, strict=True) if own <= share]
    assert not up or not down or min(up) >= max(down)


@given(counterparty_lists, st.integers(0, 700), st.randoms(use_true_random=False))
def test_order_in_a_tier_matters_only_for_equal_remainders(
    counterparties: list[tuple[int, int, int]], wanted: int, random: object
) -> None:
    """CORE-04: in another order each counterparty has the same lots, but for one lot of a tie."""
    counterparties = [(cap, 0, weight + 1) for cap, _, weight in counterparties]
    shuffled = sorted(range(len(counterparties)), key=lambda _: random.random())
    first = allocate(wanted, tiers_of(counterparties)).tolist()
    second = allocate(wanted, tiers_of([counterparties[i] for i in shuffled])).tolist()
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
