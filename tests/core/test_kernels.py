"""The kernels, plain and compiled, against the same computation in plain Python."""

import itertools
import subprocess
import sys
from fractions import Fraction
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.core.book.position_table import KernelColumns
from delever.core.kernels import NO_TIER, SCORE_COLUMNS, compiled, plain
from delever.core.kernels.plain import CHANGED_AT, MAINTENANCE, UNREALIZED_PNL
from delever.core.rules import RULE_SETS
from delever.core.rules.ranking import ProductScore
from delever.core.units import div_ceil, mixed_fraction

EACH = pytest.mark.parametrize("kernels", [plain, compiled], ids=["plain", "compiled"])

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.one_of(st.integers(0, 60), st.integers(60, 6_000))
TIERS = tuple(
    np.array(column) for column in ([0, 50_000, 10**7], [5_000, 10_000, 10**6], [0, 250, 9_900_250])
)

LOT_VALUES = st.builds(
    Fraction, st.integers(-30, 30).filter(bool), st.sampled_from([1, 7, 1000, 10**15 + 37])
)
"""What a lot is worth, in Cash: an integer, or the fraction of a mark between two ticks."""


def side_columns(seed: int, size: int, accounts: int = 40) -> dict[str, Any]:
    """Return the columns of a table in which equal scores are common."""
    rng = np.random.default_rng(seed)
    cost = rng.integers(1, 10, size) * 10 ** rng.integers(1, 9, size)
    return {
        "account": rng.integers(0, accounts, size).astype(np.int32),
        "position": rng.integers(0, 3, size).astype(np.int32),
        "isolated": rng.random(size) < 0.3,
        "under_liquidation": rng.random(size) < 0.1,
        "lots": rng.integers(1, 1000, size),
        "cost": cost * rng.choice([-1, 1]),
        "margin": rng.integers(0, 10**6, size),
        "unrealized_pnl": rng.integers(-5, 5, size) * rng.choice([0, 1, 10**5], size),
        "maintenance": rng.integers(0, 3, size) * 1000,
    }


def wallets(seed: int, accounts: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return a matrix of wallets, with sequence 0, and the exempt accounts."""
    rng = np.random.default_rng(seed + 1)
    amounts = [rng.integers(low, 10**6, accounts) for low in (-(10**5), -(10**6), 0)]
    table = np.array([*amounts, np.zeros(accounts, np.int64)]).T.copy()
    return table, rng.random(accounts) < 0.1


KEY = st.tuples(st.integers(0, 9), st.integers(0, 3))
KEYS = st.lists(KEY, unique=True, max_size=40)


def key_columns(keys: list[tuple[int, int]]) -> np.ndarray:
    """Return the key columns of a table with spare rows."""
    columns = np.zeros((2, 64), np.int32)
    columns[:, : len(keys)] = np.array(keys, np.int32).reshape(-1, 2).T
    return columns


def searched(keys: list[tuple[int, int]], dtype: type = np.int64) -> np.ndarray:
    return np.array(keys, dtype).reshape(-1, 2).T.copy()


def rows_of(keys: list[tuple[int, int]], looked_up: list[tuple[int, int]]) -> list[int]:
    return [keys.index(key) if key in keys else -1 for key in looked_up]


@EACH
@given(KEYS, st.lists(KEY, max_size=40))
def test_an_inserted_key_is_found_in_its_row(
    kernels: ModuleType, keys: list[tuple[int, int]], looked_up: list[tuple[int, int]]
) -> None:
    slots, columns, middle = np.full(64, -1, np.int32), key_columns(keys), len(keys) // 2
    kernels.insert_rows(slots, *columns, 0, middle)
    kernels.insert_rows(slots, *columns, middle, len(keys))
    found = kernels.find_rows(slots, *columns, *searched(looked_up)).tolist()
    assert found == rows_of(keys, looked_up)


@EACH
@given(KEYS, st.randoms(use_true_random=False))
def test_the_last_row_moves_into_the_gap_of_each_removed_row(
    kernels: ModuleType, keys: list[tuple[int, int]], random: Any
) -> None:
    removed = random.sample(keys, random.randint(0, len(keys)))
    slots, columns = np.full(64, -1, np.int32), key_columns(keys)
    kernels.insert_rows(slots, *columns, 0, len(keys))
    gaps = kernels.remove_rows(slots, *columns, *searched(removed, np.int32), len(keys)).tolist()
    remaining = list(keys)
    for key, gap in zip(removed, gaps, strict=True):
        assert remaining.index(key) == gap
        remaining[gap] = remaining[-1]
        remaining.pop()
    assert columns[:, : len(remaining)].T.tolist() == [list(key) for key in remaining]
    found = kernels.find_rows(slots, *columns, *searched(keys)).tolist()
    assert found == rows_of(remaining, keys)


def maintenance_of(notional: int) -> int:
    """Return the maintenance margin of a notional by its tier."""
    last = max(tier for tier, start in enumerate(TIERS[0].tolist()) if start <= notional)
    margin = div_ceil(notional * int(TIERS[1][last]), 10**6)
    return margin - int(TIERS[2][last])


@EACH
@given(SEEDS, st.integers(0, 200), LOT_VALUES)
def test_a_new_mark_adds_the_exact_differences_to_cross_wallets(
    kernels: ModuleType, seed: int, size: int, lot_value: Fraction
) -> None:
    rows, (table, _) = side_columns(seed, size), wallets(seed)
    before = {name: rows[name].tolist() for name in ("unrealized_pnl", "maintenance")}
    old_sums = table[:, UNREALIZED_PNL].tolist(), table[:, MAINTENANCE].tolist()
    names = "account", "isolated", "lots", "cost"
    columns = [rows[name] for name in names]
    results = rows["unrealized_pnl"], rows["maintenance"], table
    factor = mixed_fraction(*lot_value.as_integer_ratio())
    kernels.revalue(*columns, *factor, *TIERS, *results, 9)
    changes = [[0] * 40, [0] * 40]
    for row, account in enumerate(rows["account"].tolist()):
        value = int(rows["lots"][row]) * lot_value // 1
        assert rows["unrealized_pnl"][row] == value - rows["cost"][row]
        assert rows["maintenance"][row] == maintenance_of(abs(value))
        if not rows["isolated"][row]:
            for sums, name in zip(changes, ("unrealized_pnl", "maintenance"), strict=True):
                sums[account] += int(rows[name][row]) - before[name][row]
    for column, old, sums in zip((UNREALIZED_PNL, MAINTENANCE), old_sums, changes, strict=True):
        assert table[:, column].tolist() == [a + b for a, b in zip(old, sums, strict=True)]
    changed = {a for sums in changes for a, amount in enumerate(sums) if amount}
    assert changed <= set(np.flatnonzero(table[:, CHANGED_AT] == 9).tolist())
    ranges, since = np.array([[0, size], [0, 0], [size // 2, size // 4]]), np.array([8, 8, 8])
    stale = kernels.stale_ranges(rows["account"], ranges, table, since)
    assert stale.tolist() == [
        bool(np.any(table[rows["account"][start : start + count], CHANGED_AT] == 9))
        for start, count in ranges.tolist()
    ]


@EACH
@given(st.lists(st.integers(1, 2**44), min_size=1, max_size=9), SEEDS)
def test_a_value_is_exact_where_its_product_leaves_int64(
    kernels: ModuleType, lots: list[int], seed: int
) -> None:
    rest, divisor = 10**15 - 1 - seed, 10**15 + 37
    empty = np.zeros(len(lots), np.int64)
    rows = {"unrealized_pnl": empty.copy(), "maintenance": empty.copy()}
    account, isolated = empty.astype(np.int32), empty == 1
    columns = account, isolated, np.array(lots), empty, -3, rest, divisor
    kernels.revalue(*columns, *TIERS, *rows.values(), wallets(0)[0], 9)
    exact = [-3 * each + each * rest // divisor for each in lots]
    assert rows["unrealized_pnl"].tolist() == exact


def score_of(rows: dict[str, Any], table: np.ndarray, row: int, factors: Any) -> float:
    """Return the score of a row, each quotient and product rounded once, as in float64."""
    account = int(rows["account"][row])
    own = [int(rows[name][row]) for name in ("margin", "unrealized_pnl", "maintenance")]
    bucket = own if rows["isolated"][row] else table[account, :3].tolist()
    cost, unrealized_pnl, maintenance = int(rows["cost"][row]), own[1], own[2]
    equity, notional = bucket[0] + bucket[1], abs(cost + unrealized_pnl)
    share = float(maintenance) / float(bucket[2]) if bucket[2] else 1.0
    columns = dict(
        zip(
            SCORE_COLUMNS,
            (
                unrealized_pnl,
                notional,
                abs(cost),
                equity,
                bucket[2],
                unrealized_pnl,
                notional,
                equity * share,
            ),
            strict=True,
        )
    )
    gain, leverage = (
        float(columns[top]) / float(columns[bottom]) if columns[bottom] else 0.0
        for top, bottom in factors
    )
    if gain > 0:
        return gain * leverage
    return gain / leverage if leverage else 0.0


FORMULAS = {
    tuple((top, bottom) for _, top, bottom in rules.ranking.score)
    for rules in RULE_SETS.values()
    if isinstance(rules.ranking.score, ProductScore)
}
"""The factors of every venue's score; each formula is compiled on its own."""

FORMULAS |= {
    (("cover", "joint_notional"), ("notional", "bucket_maintenance")),
    (("joint_pnl", "joint_notional"), ("bucket_maintenance", "equity")),
}
FACTORS = st.sampled_from(sorted(FORMULAS))


@EACH
@given(SEEDS, st.integers(0, 200), FACTORS, st.booleans())
def test_scores_are_gain_times_leverage(
    kernels: ModuleType, seed: int, size: int, factors: Any, profitable_only: bool
) -> None:
    rows, (table, exempt) = side_columns(seed, size), wallets(seed)
    score, ranked = np.empty(size), np.empty(size, bool)
    gain, leverage = (tuple(map(SCORE_COLUMNS.index, factor)) for factor in factors)
    names = (
        "account",
        "isolated",
        "under_liquidation",
        "cost",
        "margin",
        "unrealized_pnl",
        "maintenance",
    )
    columns = [rows[name] for name in names]
    no_joint = np.empty(0, np.int64)
    rule, results = (gain, leverage, profitable_only), (score, ranked)
    kernels.score_rows(*columns, no_joint, no_joint, table, exempt, *rule, *results)
    assert score.tolist() == [score_of(rows, table, row, factors) for row in range(size)]
    for row in range(size):
        account = int(rows["account"][row])
        bucket = (
            (rows["margin"][row] + rows["unrealized_pnl"][row])
            if rows["isolated"][row]
            else table[account, :2].sum()
        )
        expected = bucket > 0 and not rows["under_liquidation"][row] and not exempt[account]
        expected &= rows["unrealized_pnl"][row] > 0 or not profitable_only
        assert ranked[row] == expected


@EACH
@given(SEEDS, SIZES, st.sampled_from([1, 3, 1000, 10**9]))
def test_a_queue_is_sorted_by_score_then_account_then_position(
    kernels: ModuleType, seed: int, size: int, distinct: int
) -> None:
    rng = np.random.default_rng(seed)
    score = rng.integers(-distinct, distinct, size) / rng.integers(1, 4, size)
    score[rng.random(size) < 0.2] *= -0.0
    score[rng.random(size) < 0.1] *= 1e-310
    account = rng.integers(0, 50, size).astype(np.int32)
    position = rng.integers(0, 3 + size // 10, size).astype(np.int32)
    order, ranked = rng.integers(0, 40, 50).astype(np.int32), rng.random(size) < 0.9
    queue = kernels.sort_queue(score, ranked, account, order, position).tolist()
    keys = [(-score[row], order[account[row]], position[row]) for row in queue]
    assert sorted(queue) == np.flatnonzero(ranked).tolist()
    assert keys == sorted(keys)


@EACH
@given(st.lists(st.integers(1, 1000), max_size=40), st.integers(1, 10), st.booleans(), st.randoms())
def test_indicators_decrease_along_the_queue_to_one(
    kernels: ModuleType, lots: list[int], levels: int, by_count: bool, random: Any
) -> None:
    """CORE-06: the indicator of a position is the level of its last lot."""
    size = len(lots) + 3
    places = random.sample(range(size), size)
    queue = random.sample(range(size), len(lots))
    lots_of_rows = np.zeros(size, np.int64)
    lots_of_rows[queue] = lots
    rank, indicator = np.full(size, 9, np.int32), np.full(size, 9, np.int8)
    ahead = np.full(size, 9, np.int64)
    order, place = np.array(queue, np.int32), np.array(places, np.int32)
    results = rank, indicator, ahead
    kernels.fill_ranks(order, place, lots_of_rows, levels, by_count, *results)
    cumulative = 0
    total = len(lots) if by_count else sum(lots)
    for number, row in enumerate(queue):
        assert (rank[places[row]], ahead[places[row]]) == (number + 1, cumulative)
        cumulative += lots[number]
        part = Fraction(number + 1 if by_count else cumulative, total) * levels
        first = by_count and number == 0
        assert indicator[places[row]] == (levels if first else levels + 1 - -(-part // 1))
    outside = sorted(set(range(size)) - {places[row] for row in queue})
    assert not rank[outside].any()
    assert not indicator[outside].any()


class Range(NamedTuple):
    """A table's range of rows."""

    start: int
    size: int


GAP = 3
"""Rows between the ranges of two tables, which no kernel may touch."""


def positions_of(tables: list[dict[str, Any]]) -> tuple[KernelColumns, list[Range]]:
    """Return the columns of all tables, and their ranges; a table's places are in reverse."""
    sizes = [len(table["lots"]) for table in tables]
    starts = itertools.accumulate((size + GAP for size in sizes), initial=GAP)
    ranges = [Range(start, size) for start, size in zip(starts, sizes, strict=False)]
    places = [np.arange(size, dtype=np.int32)[::-1] for size in sizes]
    parts = [table | {"place": place} for table, place in zip(tables, places, strict=True)]
    columns = []
    for name in KernelColumns._fields:
        gap = np.full(GAP, 1, parts[0][name].dtype)
        columns.append(np.concatenate([gap, *(x for part in parts for x in (part[name], gap))]))
    return KernelColumns(*columns), ranges


TWO_TIERS = np.array([TIERS, [[0, NO_TIER, NO_TIER], [10_000, 0, 0], [0, 0, 0]]])
"""Tables of three tiers and of one."""


def joint(seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(-5, 9, size), rng.integers(1, 9, size)


@given(
    st.lists(st.tuples(SEEDS, SIZES), min_size=1, max_size=4), FACTORS, st.booleans(), st.booleans()
)
def test_compiled_ranks_and_indicators_equal_plain_ones(
    seeds: list[tuple[int, int]], factors: Any, profitable_only: bool, by_count: bool
) -> None:
    table, exempt = wallets(seeds[0][0])
    exempt = exempt if seeds[0][0] % 2 else exempt[:0]
    order = np.arange(40, dtype=np.int32)[::-1].copy()
    positions = positions_of([side_columns(seed, size) for seed, size in seeds])
    joined = [joint(seed, size) for seed, size in seeds] if seeds[0][0] % 3 else []
    gain, leverage = (tuple(map(SCORE_COLUMNS.index, factor)) for factor in factors)
    arguments = table, exempt, order, gain, leverage, profitable_only, 5, by_count
    size = sum(size for _, size in seeds)
    positions = positions[0], np.array(positions[1])
    results = [(np.full(size, 9, np.int32), np.full(size, 9, np.int8)) for _ in range(2)]
    for kernels, columns in zip((plain, compiled), results, strict=True):
        kernels.rank_sides(*positions, joined, *arguments, *columns, map)
    expected, computed = ([column.tolist() for column in columns] for columns in results)
    assert computed == expected


@given(st.lists(st.tuples(SEEDS, st.integers(0, 200)), min_size=1, max_size=4), LOT_VALUES)
def test_compiled_revaluation_of_many_sides_equals_plain_revaluation(
    seeds: list[tuple[int, int]], lot_value: Fraction
) -> None:
    results = []
    for kernels in (plain, compiled):
        columns, ranges = positions_of([side_columns(seed, size) for seed, size in seeds])
        table, _ = wallets(0)
        marked = [
            (*rows, *mixed_fraction(*(lot_value + n).as_integer_ratio()), n % 2)
            for n, rows in enumerate(ranges)
        ]
        kernels.revalue_sides(columns, np.array(marked), TWO_TIERS, table, 9, map)
        results.append([table.tolist(), *(column.tolist() for column in columns)])
    assert results[0] == results[1]


CHOOSE_KERNELS = """
import sys
sys.modules.update({absent: None for absent in sys.argv[1:]})
from delever.core.kernels import kernels_for
print(kernels_for(1_000).__name__, "numba" in sys.modules and "numba" not in sys.argv[1:])
print(kernels_for(10**6).__name__)
print(kernels_for(1_000).__name__)
"""


@pytest.mark.parametrize(
    ("absent", "large"),
    [([], "delever.core.kernels.compiled"), (["numba"], "delever.core.kernels.plain")],
)
def test_compiled_kernels_are_imported_and_used_for_a_large_book_only(
    absent: list[str], large: str
) -> None:
    command = [sys.executable, "-c", CHOOSE_KERNELS, *absent]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [
        "delever.core.kernels.plain",
        "False",
        large,
        "delever.core.kernels.plain",
    ]
