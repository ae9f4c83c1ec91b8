"""The kernels in plain NumPy: what the compiled ones must equal, bit for bit.

They run where Numba is not installed, and for books too small to pay for loading it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from delever.core.units import Bools, Floats, Ints, div_ceil, div_floor, ratio, scale_ppm

HASH_ACCOUNT = 0x9E3779B97F4A7C15
HASH_POSITION = 0xC2B2AE3D27D4EB4F
WORD = 2**64 - 1

BALANCE, UNREALIZED_PNL, MAINTENANCE, CHANGED_AT = range(4)
"""The columns of a table of wallets, one row an account: what kernels take as `wallets`."""


ParallelMap = Callable[..., Iterable[Any]]
"""`map`, or what does the same: on threads, where the caller has some."""


class Rows(Protocol):
    """A table, for kernels that take many in one call."""

    size: int

    def columns(self) -> Any:
        """Return the columns of a table (`KernelColumns`), by name: arrays of `size`."""

    def where(self) -> bytes:
        """Return where these columns lie in memory."""


class Shown(Protocol):
    """A table to be shown: its columns, and the place of each row."""

    @property
    def columns(self) -> Any:
        """The columns of the table (`KernelColumns`), by name."""

    @property
    def place(self) -> np.ndarray:
        """Where each row's rank and indicator are put."""

    @property
    def where(self) -> bytes:
        """Where the columns and `place` lie in memory."""


class Tiered(Protocol):
    """What says how much maintenance margin a notional needs."""

    @property
    def tiers(self) -> Ints:
        """Three rows: from which notional, at which rate, less what."""

    @property
    def tiers_at(self) -> bytes:
        """Where these rows lie in memory: one after the other."""


Revalued = tuple[Rows, int, int, Tiered]
"""A table, factor and ticks as `value_rows` takes them, and what has the tiers."""


def home(slots: Ints, accounts: Ints, positions: Ints) -> Ints:
    """Return the slot at which the search for each key begins; there are 2^n slots."""
    shift = 65 - len(slots).bit_length()
    mixed = accounts.astype(np.uint64) * np.uint64(HASH_ACCOUNT)
    mixed ^= positions.astype(np.uint64) * np.uint64(HASH_POSITION)
    return (mixed >> np.uint64(shift)).astype(np.int64)


def find_rows(
    slots: Ints, row_account: Ints, row_position: Ints, accounts: Ints, positions: Ints
) -> Ints:
    """Return the row of each key, or -1.

    `slots` is a table with open addressing: a row, or -1 where a search ends.
    """
    place, last = home(slots, accounts, positions), len(slots) - 1
    found = np.full(len(accounts), -1, np.int64)
    left = np.arange(len(accounts))
    while len(left):
        row = slots[place[left]]
        same = (row_account[row] == accounts[left]) & (row_position[row] == positions[left])
        same &= row >= 0
        found[left[same]] = row[same]
        left = left[(row >= 0) & ~same]
        place[left] = (place[left] + 1) & last
    return found


def place_rows(slots: Ints, row_account: Ints, row_position: Ints, first: int, end: int) -> None:
    """Enter the rows first..end-1, whose keys are not in the table yet."""
    rows = np.arange(first, end)
    place, last = home(slots, row_account[first:end], row_position[first:end]), len(slots) - 1
    left = np.arange(end - first)
    while len(left):
        free = left[slots[place[left]] < 0]
        slots[place[free]] = rows[free]
        left = left[slots[place[left]] != rows[left]]
        place[left] = (place[left] + 1) & last


def home_of(slots: Ints, account: int, position: int) -> int:
    """Return the slot at which the search for one key begins, as `home` does."""
    mixed = (account * HASH_ACCOUNT & WORD) ^ (position * HASH_POSITION & WORD)
    return mixed >> (65 - len(slots).bit_length())


def leave_rows(
    slots: Ints, row_account: Ints, row_position: Ints, accounts: Ints, positions: Ints, size: int
) -> Ints:
    """Take keys out of the table in turn; the last of `size` rows moves into each gap.

    Their key columns move along. Return the row of each gap, as of its turn.
    """
    end, gaps = len(slots) - 1, np.empty(len(accounts), np.int64)
    for turn, key in enumerate(zip(accounts.tolist(), positions.tolist(), strict=True)):
        hole, last = home_of(slots, *key), size - 1 - turn
        while (row_account.item(slots[hole]), row_position.item(slots[hole])) != key:
            hole = (hole + 1) & end
        gap, place = slots.item(hole), (hole + 1) & end
        # What stands further on may have been pushed there by this key: it moves up.
        while (other := slots.item(place)) >= 0:
            first = home_of(slots, row_account.item(other), row_position.item(other))
            if (place - first) & end >= (place - hole) & end:
                slots[hole], hole = other, place
            place = (place + 1) & end
        slots[hole] = -1
        if gap != last:
            place = home_of(slots, row_account.item(last), row_position.item(last))
            while slots[place] != last:
                place = (place + 1) & end
            slots[place] = gap
            row_account[gap], row_position[gap] = row_account[last], row_position[last]
        gaps[turn] = gap
    return gaps


def value_rows(
    lots: Ints,
    cost: Ints,
    factor: int,
    ticks: int,
    tier_from: Ints,
    tier_rate: Ints,
    tier_deduction: Ints,
    unrealized_pnl: Ints,
    maintenance: Ints,
) -> None:
    """Fill in profit and maintenance in Cash at a mark, of the same rows.

    `factor` is Cash a lot, with the side's sign: linear at the mark, with `ticks` 0; inverse times
    ticks, and values are then floored. The tier columns are those of the contract's terms.
    """
    value = div_floor(lots * factor, ticks) if ticks else lots * factor
    notional = abs(value)
    tier = np.searchsorted(tier_from, notional, side="right") - 1
    np.subtract(value, cost, out=unrealized_pnl)
    np.subtract(scale_ppm(notional, tier_rate[tier]), tier_deduction[tier], out=maintenance)


def revalue(
    account: Ints,
    isolated: Bools,
    lots: Ints,
    cost: Ints,
    factor: int,
    ticks: int,
    tier_from: Ints,
    tier_rate: Ints,
    tier_deduction: Ints,
    unrealized_pnl: Ints,
    maintenance: Ints,
    wallets: Ints,
    sequence: int,
) -> None:
    """Value a table at a new mark as `value_rows` does; cross wallets get the differences.

    A wallet whose profit or maintenance changes is stamped with the sequence.
    """
    before, margin_before = unrealized_pnl.copy(), maintenance.copy()
    tiers = tier_from, tier_rate, tier_deduction
    value_rows(lots, cost, factor, ticks, *tiers, unrealized_pnl, maintenance)
    moved, margin_moved = unrealized_pnl - before, maintenance - margin_before
    cross = ~isolated & ((moved != 0) | (margin_moved != 0))
    owner = account[cross]
    np.add.at(wallets[:, UNREALIZED_PNL], owner, moved[cross])
    np.add.at(wallets[:, MAINTENANCE], owner, margin_moved[cross])
    wallets[owner, CHANGED_AT] = sequence


def revalue_sides(
    tables: Sequence[Revalued],
    wallets: Ints,
    sequence: int,
    parallel_map: ParallelMap,  # noqa: ARG001 - so few rows are worth no thread
) -> None:
    """Value many tables, each at its new mark, as `revalue` does.

    A wallet whose differences add up to none may stay unstamped.
    """
    for table, factor, ticks, terms in tables:
        own, tiers = table.columns(), terms.tiers
        revalue(
            own.account,
            own.isolated,
            own.lots,
            own.cost,
            factor,
            ticks,
            tiers[0],
            tiers[1],
            tiers[2],
            own.unrealized_pnl,
            own.maintenance,
            wallets,
            sequence,
        )


def contribute(
    rows: Ints,
    account: Ints,
    isolated: Bools,
    unrealized_pnl: Ints,
    maintenance: Ints,
    sign: int,
    wallets: Ints,
    sequence: int,
) -> None:
    """Add profit and maintenance of some rows of a table to their cross wallets, or take them out.

    `sign` is 1 or -1. The wallets are stamped with the sequence.
    """
    cross = rows[~isolated[rows]]
    owner = account[cross]
    np.add.at(wallets[:, UNREALIZED_PNL], owner, sign * unrealized_pnl[cross])
    np.add.at(wallets[:, MAINTENANCE], owner, sign * maintenance[cross])
    wallets[owner, CHANGED_AT] = sequence


def is_stale(account: Ints, wallets: Ints, since: int) -> bool:
    """Whether any of the accounts' wallets has changed after a sequence."""
    return bool(np.any(wallets[account, CHANGED_AT] > since))


def score_products(
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
    standing: Bools,
) -> None:
    """Fill in each position's score, gain x leverage (/ when losing), and whether it is in line.

    `gain` and `leverage` are (numerator, denominator) as places in `delever.core.kernels.PARTS`.
    The joint columns may be empty: then they are those of the position itself. So may `exempt`:
    then nobody is.
    """
    equity = np.where(isolated, margin, wallets[account, BALANCE])
    equity += np.where(isolated, unrealized_pnl, wallets[account, UNREALIZED_PNL])
    bucket_maintenance = np.where(isolated, maintenance, wallets[account, MAINTENANCE])
    notional = abs(cost + unrealized_pnl)
    share = ratio(maintenance, bucket_maintenance)
    share[bucket_maintenance == 0] = 1
    parts: tuple[Ints | Floats, ...] = (
        unrealized_pnl,
        notional,
        abs(cost),
        equity,
        bucket_maintenance,
        joint_pnl if len(joint_pnl) else unrealized_pnl,
        joint_notional if len(joint_notional) else notional,
        equity.astype(np.float64) * share,
    )
    gained = ratio(parts[gain[0]], parts[gain[1]])
    levered = ratio(parts[leverage[0]], parts[leverage[1]])
    score[:] = np.where(gained > 0, gained * levered, ratio(gained, levered))
    standing[:] = (equity > 0) & ~under_liquidation
    standing &= ~exempt[account] if len(exempt) else True
    standing &= (unrealized_pnl > 0) | (not profitable_only)


def line_up(
    score: Floats, standing: Bools, account: Ints, account_order: Ints, position: Ints
) -> Ints:
    """Return the rows that stand in line: highest score first, ties by account, then position.

    `account_order` is each account's place in the order that breaks ties.
    """
    rows = np.flatnonzero(standing)
    ties = position[rows], account_order[account[rows]]
    return rows[np.lexsort((*ties, -score[rows]))].astype(np.int32)


def spread(
    order: Ints,
    place: Ints,
    lots: Ints,
    levels: int,
    by_count: bool,
    rank: np.ndarray,
    indicator: np.ndarray,
    ahead: Ints,
) -> None:
    """Fill in rank (from 1), indicator and lots ahead of the rows in line; 0 elsewhere.

    A row's numbers are put where `place` says. `ahead` may be empty: then it is not wanted.
    Indicators are spread by count, where the first shows all levels, or by cumulative lots, where a
    position that ends exactly on a boundary still belongs to the level in front of it.
    """
    rank[:], indicator[:], ahead[:] = 0, 0, 0
    if len(order) == 0:
        return
    through, target = np.cumsum(lots[order]), place[order]
    spread_over = np.arange(1, len(order) + 1) if by_count else through
    rank[target] = np.arange(1, len(order) + 1)
    indicator[target] = levels + 1 - div_ceil(levels * spread_over, spread_over[-1])
    if by_count:
        indicator[target[0]] = levels
    if len(ahead):
        ahead[target] = through - lots[order]


def rank_sides(
    tables: Sequence[Shown],
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
    """Fill in rank and indicator of many tables: each scored, in line, and spread over.

    One table stands after the other. `joint` is each one's joint profit and notional, or empty where
    nobody hedges.
    """
    end, nothing = 0, np.empty(0, np.int64)
    for table, joined in zip(tables, joint or [(nothing, nothing)] * len(tables), strict=True):
        own, size = table.columns, len(table.place)
        score, standing = np.empty(size), np.empty(size, bool)
        score_products(
            own.account,
            own.isolated,
            own.under_liquidation,
            own.cost,
            own.margin,
            own.unrealized_pnl,
            own.maintenance,
            *joined,
            wallets,
            exempt,
            gain,
            leverage,
            profitable_only,
            score,
            standing,
        )
        order = line_up(score, standing, own.account, account_order, own.position)
        first, end = end, end + size
        shown = rank[first:end], indicator[first:end]
        spread(order, table.place, own.lots, levels, by_count, *shown, nothing)


def until_filled(order: Ints, lots: Ints, wanted: int) -> int:
    """Return how many rows of a line it takes to fill the lots wanted: all where it never does."""
    through = np.cumsum(lots[order])
    return min(int(np.searchsorted(through, wanted)) + 1, len(order)) if wanted > 0 else 0
