"""The kernels, plain and compiled, against what they are to do, said in Python."""

import subprocess
import sys
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.core.book.position_table import KernelColumns
from delever.core.kernels import SCORE_COLUMNS, compiled, plain, addresses_of
from delever.core.kernels.plain import CHANGED_AT, MAINTENANCE, UNREALIZED_PNL
from delever.core.units import div_ceil

BOTH = pytest.mark.parametrize("kernels", [plain, compiled], ids=["plain", "compiled"])

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.one_of(st.integers(0, 60), st.integers(60, 6_000))
TIERS = tuple(
    np.array(column) for column in ([0, 50_000, 10**7], [5_000, 10_000, 10**6], [0, 250, 9_900_250])
)


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
    """Return balance, profit, maintenance and 0 of accounts, and who is exempt."""
    rng = np.random.default_rng(seed + 1)
    amounts = [rng.integers(low, 10**6, accounts) for low in (-(10**5), -(10**6), 0)]
    table = np.array([*amounts, np.zeros(accounts, np.int64)]).T.copy()
    return table, rng.random(accounts) < 0.1


@BOTH
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), unique=True, max_size=40),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=40),
)
def test_every_key_is_found_in_its_row(
    kernels: ModuleType, held: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    slots = np.full(64, -1, np.int32)
    rows = np.zeros((2, 64), np.int32)  # columns have room, as a table's have
    rows[:, : len(held)] = np.array(held, np.int32).reshape(-1, 2).T
    middle = len(held) // 2
    kernels.insert_rows(slots, *rows, 0, middle)
    kernels.insert_rows(slots, *rows, middle, len(held))
    keys = np.array(asked, np.int64).reshape(-1, 2).T.copy()
    found = kernels.find_rows(slots, *rows, *keys).tolist()
    assert found == [held.index(key) if key in held else -1 for key in asked]


@BOTH
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), unique=True, max_size=40),
    st.randoms(use_true_random=False),
)
def test_the_last_row_moves_into_the_gap_of_each_that_leaves(
    kernels: ModuleType, held: list[tuple[int, int]], random: Any
) -> None:
    leaving = random.sample(held, random.randint(0, len(held)))
    slots = np.full(64, -1, np.int32)
    rows = np.zeros((2, 64), np.int32)
    rows[:, : len(held)] = np.array(held, np.int32).reshape(-1, 2).T
    kernels.insert_rows(slots, *rows, 0, len(held))
    keys = np.array(leaving, np.int32).reshape(-1, 2).T.copy()
    gaps = kernels.remove_rows(slots, *rows, *keys, len(held)).tolist()
    left = list(held)
    for key, gap in zip(leaving, gaps, strict=True):
        assert left.index(key) == gap
        left[gap] = left[-1]
        left.pop()
    assert rows[:, : len(left)].T.tolist() == [list(key) for key in left]
    keys = np.array(held, np.int64).reshape(-1, 2).T.copy()
    found = kernels.find_rows(slots, *rows, *keys).tolist()
    assert found == [left.index(key) if key in left else -1 for key in held]


def maintenance_of(notional: int) -> int:
    """Return the rate of the tier of a notional, rounded up, less the tier's deduction."""
    last = max(tier for tier, start in enumerate(TIERS[0].tolist()) if start <= notional)
    margin = div_ceil(notional * int(TIERS[1][last]), 10**6)
    return margin - int(TIERS[2][last])


@BOTH
@given(SEEDS, st.integers(0, 200), st.integers(-30, 30).filter(bool), st.sampled_from([0, 7, 1000]))
def test_a_mark_gives_cross_wallets_exactly_the_differences(
    kernels: ModuleType, seed: int, size: int, factor: int, ticks: int
) -> None:
    rows, (table, _) = side_columns(seed, size), wallets(seed)
    before = {name: rows[name].tolist() for name in ("unrealized_pnl", "maintenance")}
    had = table[:, UNREALIZED_PNL].tolist(), table[:, MAINTENANCE].tolist()
    names = "account", "isolated", "lots", "cost"
    columns = [rows[name] for name in names]
    results = rows["unrealized_pnl"], rows["maintenance"], table
    kernels.revalue(*columns, factor, ticks, *TIERS, *results, 9)
    moved = [[0] * 40, [0] * 40]
    for row, account in enumerate(rows["account"].tolist()):
        value = int(rows["lots"][row]) * factor
        value = value // ticks if ticks else value
        assert rows["unrealized_pnl"][row] == value - rows["cost"][row]
        assert rows["maintenance"][row] == maintenance_of(abs(value))
        if not rows["isolated"][row]:
            for sums, name in zip(moved, ("unrealized_pnl", "maintenance"), strict=True):
                sums[account] += int(rows[name][row]) - before[name][row]
    for column, old, sums in zip((UNREALIZED_PNL, MAINTENANCE), had, moved, strict=True):
        assert table[:, column].tolist() == [a + b for a, b in zip(old, sums, strict=True)]
    touched = {a for sums in moved for a, amount in enumerate(sums) if amount}
    assert touched <= set(np.flatnonzero(table[:, CHANGED_AT] == 9).tolist())
    assert kernels.is_stale(rows["account"], table, 8) == bool(
        np.any(table[rows["account"], CHANGED_AT] == 9)
    )


def score_of(rows: dict[str, Any], table: np.ndarray, row: int, factors: Any) -> float:
    """Return the score of a row with each quotient and product rounded once, as float64 is."""
    account = int(rows["account"][row])
    own = [int(rows[name][row]) for name in ("margin", "unrealized_pnl", "maintenance")]
    bucket = own if rows["isolated"][row] else table[account, :3].tolist()
    cost, unrealized_pnl, maintenance = int(rows["cost"][row]), own[1], own[2]
    equity, notional = bucket[0] + bucket[1], abs(cost + unrealized_pnl)
    share = float(maintenance) / float(bucket[2]) if bucket[2] else 1.0
    parts = dict(
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
        float(parts[top]) / float(parts[bottom]) if parts[bottom] else 0.0
        for top, bottom in factors
    )
    if gain > 0:
        return gain * leverage
    return gain / leverage if leverage else 0.0


FACTORS = st.tuples(
    st.tuples(st.sampled_from(["unrealized_pnl", "joint_pnl"]), st.sampled_from(SCORE_COLUMNS)),
    st.tuples(st.sampled_from(SCORE_COLUMNS), st.sampled_from(["equity", "cover"])),
)


@BOTH
@given(SEEDS, st.integers(0, 200), FACTORS, st.booleans())
def test_scores_are_gain_times_leverage(
    kernels: ModuleType, seed: int, size: int, factors: Any, profitable_only: bool
) -> None:
    rows, (table, exempt) = side_columns(seed, size), wallets(seed)
    score, standing = np.empty(size), np.empty(size, bool)
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
    none = np.empty(0, np.int64)
    asked = gain, leverage, profitable_only, score, standing
    kernels.score_rows(*columns, none, none, table, exempt, *asked)
    assert score.tolist() == [score_of(rows, table, row, factors) for row in range(size)]
    for row in range(size):
        account = int(rows["account"][row])
        bucket = (
            (rows["margin"][row] + rows["unrealized_pnl"][row])
            if rows["isolated"][row]
            else table[account, :2].sum()
        )
        stands = bucket > 0 and not rows["under_liquidation"][row] and not exempt[account]
        assert standing[row] == (
            stands and (rows["unrealized_pnl"][row] > 0 or not profitable_only)
        )


@BOTH
@given(SEEDS, SIZES, st.sampled_from([1, 3, 1000, 10**9]))
def test_a_line_is_by_score_then_tie_then_number(
    kernels: ModuleType, seed: int, size: int, different: int
) -> None:
    rng = np.random.default_rng(seed)
    score = rng.integers(-different, different, size) / rng.integers(1, 4, size)
    score[rng.random(size) < 0.2] *= -0.0
    score[rng.random(size) < 0.1] *= 1e-310
    account = rng.integers(0, 50, size).astype(np.int32)
    position = rng.integers(0, 3 + size // 10, size).astype(np.int32)
    order, standing = rng.integers(0, 40, 50).astype(np.int32), rng.random(size) < 0.9
    line = kernels.sort_queue(score, standing, account, order, position).tolist()
    keys = [(-score[row], order[account[row]], position[row]) for row in line]
    assert sorted(line) == np.flatnonzero(standing).tolist()
    assert keys == sorted(keys)


@BOTH
@given(st.lists(st.integers(1, 1000), max_size=40), st.integers(1, 10), st.booleans(), st.randoms())
def test_indicators_fall_from_the_front_to_one(
    kernels: ModuleType, lots: list[int], levels: int, by_count: bool, random: Any
) -> None:
    """CORE-06: a position belongs to the indicator in which its last lot stands."""
    size = len(lots) + 3
    places = random.sample(range(size), size)
    line = random.sample(range(size), len(lots))
    held = np.zeros(size, np.int64)
    held[line] = lots
    rank, indicator = np.full(size, 9, np.int32), np.full(size, 9, np.int8)
    ahead = np.full(size, 9, np.int64)
    order, place = np.array(line, np.int32), np.array(places, np.int32)
    kernels.fill_ranks(order, place, held, levels, by_count, rank, indicator, ahead)
    through = 0
    total = len(lots) if by_count else sum(lots)
    for number, row in enumerate(line):
        assert (rank[places[row]], ahead[places[row]]) == (number + 1, through)
        through += lots[number]
        part = Fraction(number + 1 if by_count else through, total) * levels
        first = by_count and number == 0
        assert indicator[places[row]] == (levels if first else levels + 1 - -(-part // 1))
    outside = sorted(set(range(size)) - {places[row] for row in line})
    assert not rank[outside].any()
    assert not indicator[outside].any()


@BOTH
@given(st.lists(st.integers(1, 100), max_size=30), st.integers(0, 2000), st.randoms())
def test_a_selection_ends_with_the_row_that_fills_it(
    kernels: ModuleType, lots: list[int], wanted: int, random: Any
) -> None:
    line = random.sample(range(len(lots)), len(lots))
    taken = kernels.until_filled(np.array(line, np.int32), np.array(lots, np.int64), wanted)
    filled = sum(lots[row] for row in line[:taken])
    assert filled >= wanted or taken == len(line)
    assert taken == 0 or filled - lots[line[taken - 1]] < wanted


class Rows:
    """A table as the kernels take many of them."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.size = len(columns["lots"])
        self._columns = KernelColumns(**columns)

    def columns(self) -> KernelColumns:
        return self._columns

    def addresses(self) -> bytes:
        return addresses_of(*self._columns)


class Tiered:
    """What the tiers are told by, as a contract's terms do."""

    tiers = np.array(TIERS)
    tier_addresses = addresses_of(*tiers)


class Placed:
    """A table to be shown, its rows in reverse."""

    def __init__(self, rows: Rows) -> None:
        self.columns = rows.columns()
        self.place = np.arange(rows.size, dtype=np.int32)[::-1].copy()
        self.addresses = rows.addresses() + addresses_of(self.place)


def joint(seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(-5, 9, size), rng.integers(1, 9, size)


@given(
    st.lists(st.tuples(SEEDS, SIZES), min_size=1, max_size=4), FACTORS, st.booleans(), st.booleans()
)
def test_whole_lanes_are_shown_alike(
    seeds: list[tuple[int, int]], factors: Any, profitable_only: bool, by_count: bool
) -> None:
    table, exempt = wallets(seeds[0][0])
    exempt = exempt if seeds[0][0] % 2 else exempt[:0]
    order = np.arange(40, dtype=np.int32)[::-1].copy()
    tables = [Placed(Rows(side_columns(seed, size))) for seed, size in seeds]
    joined = [joint(seed, size) for seed, size in seeds] if seeds[0][0] % 3 else []
    gain, leverage = (tuple(map(SCORE_COLUMNS.index, factor)) for factor in factors)
    around = table, exempt, order, gain, leverage, profitable_only, 5, by_count
    size = sum(size for _, size in seeds)
    shown = [(np.full(size, 9, np.int32), np.full(size, 9, np.int8)) for _ in range(2)]
    for kernels, columns in zip((plain, compiled), shown, strict=True):
        kernels.rank_sides(tables, joined, *around, *columns, map)
    plainly, compiled_ = ([column.tolist() for column in columns] for columns in shown)
    assert plainly == compiled_


@given(
    st.lists(st.tuples(SEEDS, st.integers(0, 200)), min_size=1, max_size=4), st.sampled_from([0, 7])
)
def test_marks_of_many_lanes_are_one_mark_each(seeds: list[tuple[int, int]], ticks: int) -> None:
    found = []
    for kernels in (plain, compiled):
        rows, (table, _) = [side_columns(seed, size) for seed, size in seeds], wallets(0)
        marked = [(Rows(columns), 7 + n, ticks, Tiered()) for n, columns in enumerate(rows)]
        kernels.revalue_sides(marked, table, 9, map)
        found.append([table.tolist(), *([*c["unrealized_pnl"], *c["maintenance"]] for c in rows)])
    assert found[0] == found[1]


CHOOSING = """
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
def test_only_a_large_book_loads_what_is_compiled(absent: list[str], large: str) -> None:
    command = [sys.executable, "-c", CHOOSING, *absent]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["delever.core.kernels.plain", "False", large, large]
