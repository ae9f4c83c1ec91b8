"""The kernels in plain NumPy: the reference that the compiled kernels equal bit for bit.

They run where Numba is not installed, and for books too small to pay for importing it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from delever.core.units import Bools, Floats, Ints, div_ceil, mul_div_floor, ratio, scale_ppm

HASH_ACCOUNT = 0x9E3779B97F4A7C15
HASH_POSITION = 0xC2B2AE3D27D4EB4F
MASK_64 = 2**64 - 1

BALANCE, UNREALIZED_PNL, MAINTENANCE, CHANGED_AT = range(4)
"""The columns of `wallets` arguments: a matrix with one row an account."""


ParallelMap = Callable[..., Iterable[Any]]
"""`map`, or a function like it that runs the calls on threads."""

NO_TIER = 2**63 - 1
"""First notional of a tier that does not exist: tables of tiers are as long as the longest."""


# --- lookup: (account, position id) -> row, in an open-addressing hash table of 2^n slots ---


def home_slots(slots: Ints, accounts: Ints, positions: Ints) -> Ints:
    """Return the slot at which the search for each key begins."""
    shift = 65 - len(slots).bit_length()
    mixed = accounts.astype(np.uint64) * np.uint64(HASH_ACCOUNT)
    mixed ^= positions.astype(np.uint64) * np.uint64(HASH_POSITION)
    return (mixed >> np.uint64(shift)).astype(np.int64)


def home_slot(slots: Ints, account: int, position: int) -> int:
    """Return the slot at which the search for one key begins, as `home_slots` does."""
    mixed = (account * HASH_ACCOUNT & MASK_64) ^ (position * HASH_POSITION & MASK_64)
    return mixed >> (65 - len(slots).bit_length())


def find_rows(
    slots: Ints, row_account: Ints, row_position: Ints, accounts: Ints, positions: Ints
) -> Ints:
    """Return the row of each key, or -1. A slot contains a row, or -1 where a search ends."""
    slot, last = home_slots(slots, accounts, positions), len(slots) - 1
    found = np.full(len(accounts), -1, np.int64)
    pending = np.arange(len(accounts))
    while len(pending):
        row = slots[slot[pending]]
        same = (row_account[row] == accounts[pending]) & (row_position[row] == positions[pending])
        same &= row >= 0
        found[pending[same]] = row[same]
        pending = pending[(row >= 0) & ~same]
        slot[pending] = (slot[pending] + 1) & last
    return found


def insert_rows(slots: Ints, row_account: Ints, row_position: Ints, first: int, end: int) -> None:
    """Insert the rows first..end-1, whose keys are new."""
    rows = np.arange(first, end)
    slot, last = home_slots(slots, row_account[first:end], row_position[first:end]), len(slots) - 1
    pending = np.arange(end - first)
    while len(pending):
        free = pending[slots[slot[pending]] < 0]
        slots[slot[free]] = rows[free]
        pending = pending[slots[slot[pending]] != rows[pending]]
        slot[pending] = (slot[pending] + 1) & last


def remove_rows(
    slots: Ints, row_account: Ints, row_position: Ints, accounts: Ints, positions: Ints, size: int
) -> Ints:
    """Remove keys one after the other; the last of `size` rows moves into each gap.

    The key columns of the moved row are copied. Return the row of each gap, as of its removal.
    """
    end, gaps = len(slots) - 1, np.empty(len(accounts), np.int64)
    for turn, key in enumerate(zip(accounts.tolist(), positions.tolist(), strict=True)):
        hole, last = home_slot(slots, *key), size - 1 - turn
        while (row_account.item(slots[hole]), row_position.item(slots[hole])) != key:
            hole = (hole + 1) & end
        gap, slot = slots.item(hole), (hole + 1) & end
        # Later rows of the probe sequence that the hole would cut off move up.
        while (other := slots.item(slot)) >= 0:
            first = home_slot(slots, row_account.item(other), row_position.item(other))
            if (slot - first) & end >= (slot - hole) & end:
                slots[hole], hole = other, slot
            slot = (slot + 1) & end
        slots[hole] = -1
        if gap != last:
            slot = home_slot(slots, row_account.item(last), row_position.item(last))
            while slots[slot] != last:
                slot = (slot + 1) & end
            slots[slot] = gap
            row_account[gap], row_position[gap] = row_account[last], row_position[last]
        gaps[turn] = gap
    return gaps


# --- valuation ---


def value_rows(
    lots: Ints,
    cost: Ints,
    whole: int,
    rest: int,
    divisor: int,
    tier_from: Ints,
    tier_rate: Ints,
    tier_deduction: Ints,
    unrealized_pnl: Ints,
    maintenance: Ints,
) -> None:
    """Compute unrealized PnL and maintenance margin at a mark, in Cash.

    A lot's value at the mark, with the sign of the side, is whole + rest / divisor; values are
    floored. Divisor 0 stands for no division: the value is an integer, as of a linear contract at a
    mark on its tick grid. The tier columns have an entry a tier, as in `revalue_sides`.
    """
    value = lots * whole
    if divisor:
        value += mul_div_floor(lots, rest, divisor)
    notional = abs(value)
    tier = np.searchsorted(tier_from, notional, side="right") - 1
    np.subtract(value, cost, out=unrealized_pnl)
    np.subtract(scale_ppm(notional, tier_rate[tier]), tier_deduction[tier], out=maintenance)


def revalue(
    account: Ints,
    isolated: Bools,
    lots: Ints,
    cost: Ints,
    whole: int,
    rest: int,
    divisor: int,
    tier_from: Ints,
    tier_rate: Ints,
    tier_deduction: Ints,
    unrealized_pnl: Ints,
    maintenance: Ints,
    wallets: Ints,
    sequence: int,
) -> None:
    """Value a table at a new mark as `value_rows` does; add the differences to cross wallets.

    A wallet whose unrealized PnL or maintenance margin changes is stamped with the sequence.
    """
    pnl_before, maintenance_before = unrealized_pnl.copy(), maintenance.copy()
    tiers = tier_from, tier_rate, tier_deduction
    value_rows(lots, cost, whole, rest, divisor, *tiers, unrealized_pnl, maintenance)
    pnl_change, maintenance_change = unrealized_pnl - pnl_before, maintenance - maintenance_before
    cross = ~isolated & ((pnl_change != 0) | (maintenance_change != 0))
    owner = account[cross]
    np.add.at(wallets[:, UNREALIZED_PNL], owner, pnl_change[cross])
    np.add.at(wallets[:, MAINTENANCE], owner, maintenance_change[cross])
    wallets[owner, CHANGED_AT] = sequence


def rows_in(columns: Any, start: int, size: int) -> Any:
    """Return the columns of a range, by the same names as those of all positions."""
    rows = slice(start, start + size)
    return type(columns)(*(column[rows] for column in columns))


def revalue_sides(
    columns: Any,
    sides: Ints,
    tiers: Ints,
    wallets: Ints,
    sequence: int,
    parallel_map: ParallelMap,  # noqa: ARG001 - small books are not worth a thread
) -> None:
    """Value many sides, each at its new mark, as `revalue` does.

    `columns` are those of all positions, by name (`KernelColumns`). A side is a row (start, size,
    whole, rest, divisor, index of its tiers), of which the middle is a lot's value as in
    `value_rows`. `tiers` has tables of three rows: notional from which a tier applies, its rate in
    ppm, its deduction; a tier that does not exist starts at `NO_TIER`. A wallet whose differences
    add up to 0 may remain unstamped.
    """
    for start, size, whole, rest, divisor, of_tiers in sides.tolist():
        rows, (starts, rates, deductions) = rows_in(columns, start, size), tiers[of_tiers]
        revalue(
            rows.account,
            rows.isolated,
            rows.lots,
            rows.cost,
            whole,
            rest,
            divisor,
            starts,
            rates,
            deductions,
            rows.unrealized_pnl,
            rows.maintenance,
            wallets,
            sequence,
        )


def shift_wallets(
    rows: Ints,
    account: Ints,
    isolated: Bools,
    unrealized_pnl: Ints,
    maintenance: Ints,
    sign: int,
    wallets: Ints,
    sequence: int,
) -> None:
    """Add unrealized PnL and maintenance margin of rows to cross wallets (sign 1), or subtract.

    The wallets are stamped with the sequence.
    """
    cross = rows[~isolated[rows]]
    owner = account[cross]
    np.add.at(wallets[:, UNREALIZED_PNL], owner, sign * unrealized_pnl[cross])
    np.add.at(wallets[:, MAINTENANCE], owner, sign * maintenance[cross])
    wallets[owner, CHANGED_AT] = sequence


def stale_ranges(account: np.ndarray, ranges: Ints, wallets: Ints, since: Ints) -> Bools:
    """Return whether the wallet of any account in a range has changed after the range's sequence.

    `ranges` has a row (start, size) each, `account` is the column of all positions.
    """
    stale = np.zeros(len(ranges), bool)
    for number, (start, size) in enumerate(ranges.tolist()):
        owners = account[start : start + size]
        stale[number] = np.any(wallets[owners, CHANGED_AT] > since[number])
    return stale


# --- ranking ---


def score_rows(
    account: Ints,
    isolated: Bools,
    under_liquidation: Bools,
    cost: Ints,
    margin: Ints,
    unrealized_pnl: Ints,
    maintenance: Ints,
    joint_pnl: Ints,
    joint_notional: Ints,
    wallets: Ints,
    exempt: Bools,
    gain: tuple[int, int],
    leverage: tuple[int, int],
    profitable_only: bool,
    score: Floats,
    ranked: Bools,
) -> None:
    """Compute each position's score and whether it is ranked, that is, in the queue.

    The score is gain x leverage, or gain / leverage for a loss. `gain` and `leverage` are pairs
    (numerator, denominator) of indices into `delever.core.kernels.SCORE_COLUMNS`. Empty joint
    columns stand for the position's own PnL and notional; an empty `exempt` for no account.
    """
    equity = np.where(isolated, margin, wallets[account, BALANCE])
    equity += np.where(isolated, unrealized_pnl, wallets[account, UNREALIZED_PNL])
    bucket_maintenance = np.where(isolated, maintenance, wallets[account, MAINTENANCE])
    notional = abs(cost + unrealized_pnl)
    share = ratio(maintenance, bucket_maintenance)
    share[bucket_maintenance == 0] = 1
    columns: tuple[Ints | Floats, ...] = (
        unrealized_pnl,
        notional,
        abs(cost),
        equity,
        bucket_maintenance,
        joint_pnl if len(joint_pnl) else unrealized_pnl,
        joint_notional if len(joint_notional) else notional,
        equity.astype(np.float64) * share,
    )
    gains = ratio(columns[gain[0]], columns[gain[1]])
    leverages = ratio(columns[leverage[0]], columns[leverage[1]])
    score[:] = np.where(gains > 0, gains * leverages, ratio(gains, leverages))
    ranked[:] = (equity > 0) & ~under_liquidation
    ranked &= ~exempt[account] if len(exempt) else True
    ranked &= (unrealized_pnl > 0) | (not profitable_only)


def sort_queue(
    score: Floats, ranked: Bools, account: Ints, account_order: Ints, position: Ints
) -> Ints:
    """Return the ranked rows in queue order: highest score first, ties by account, then position.

    `account_order` is each account's rank in the order of names.
    """
    rows = np.flatnonzero(ranked)
    ties = position[rows], account_order[account[rows]]
    return rows[np.lexsort((*ties, -score[rows]))].astype(np.int32)


def fill_ranks(
    order: Ints,
    place: Ints,
    lots: Ints,
    levels: int,
    by_count: bool,
    rank: np.ndarray,
    indicator: np.ndarray,
    ahead: Ints,
) -> None:
    """Compute rank (from 1), indicator and lots ahead of the rows of a queue; 0 for other rows.

    Results are written at the row's `place`; an empty `ahead` is not wanted. Indicators divide the
    queue into levels by count, where the first row has the highest, or by cumulative lots, where a
    position that ends exactly on a boundary belongs to the higher level.
    """
    rank[:], indicator[:], ahead[:] = 0, 0, 0
    if len(order) == 0:
        return
    cumulative, target = np.cumsum(lots[order]), place[order]
    weight = np.arange(1, len(order) + 1) if by_count else cumulative
    rank[target] = np.arange(1, len(order) + 1)
    indicator[target] = levels + 1 - div_ceil(levels * weight, weight[-1])
    if by_count:
        indicator[target[0]] = levels
    if len(ahead):
        ahead[target] = cumulative - lots[order]


def rank_sides(
    columns: Any,
    ranges: Ints,
    joint: Sequence[tuple[Ints, Ints]],
    wallets: Ints,
    exempt: Bools,
    account_order: Ints,
    gain: tuple[int, int],
    leverage: tuple[int, int],
    profitable_only: bool,
    levels: int,
    by_count: bool,
    rank: np.ndarray,
    indicator: np.ndarray,
    parallel_map: ParallelMap,  # noqa: ARG001
) -> None:
    """Compute rank and indicator of many sides: each is scored, sorted, and divided into levels.

    `ranges` has a row (start, size) a side. `columns` are those of all positions, by name
    (`KernelColumns`); `place` is the index of a row's
    result on its side. Results of one side follow those of the one before. `joint` is each side's
    joint PnL and notional, or empty where no account hedges.
    """
    end, empty = 0, np.empty(0, np.int64)
    for (start, size), joined in zip(
        ranges.tolist(), joint or [(empty, empty)] * len(ranges), strict=True
    ):
        rows = rows_in(columns, start, size)
        score, ranked = np.empty(size), np.empty(size, bool)
        score_rows(
            rows.account,
            rows.isolated,
            rows.under_liquidation,
            rows.cost,
            rows.margin,
            rows.unrealized_pnl,
            rows.maintenance,
            *joined,
            wallets,
            exempt,
            gain,
            leverage,
            profitable_only,
            score,
            ranked,
        )
        order = sort_queue(score, ranked, rows.account, account_order, rows.position)
        first, end = end, end + size
        results = rank[first:end], indicator[first:end]
        fill_ranks(order, rows.place, rows.lots, levels, by_count, *results, empty)
