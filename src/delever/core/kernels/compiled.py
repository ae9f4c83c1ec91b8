"""All kernels compiled by Numba: serial, without the GIL, cached on disk between runs.

Only `delever.core.kernels` imports this module, and only for a large book. Each function equals the
one of its name in `plain`, which documents it. Without fast-math every operation is rounded as
IEEE 754 says, so the results are the same bits. Lookup and valuation are here, ranking is in
`compiled_queue` and `compiled_scores`.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - documented in `plain`; code for Numba is written out

import numpy as np
from numba import types as t

from delever.core.kernels.compiled_queue import fill_ranks, sort_queue
from delever.core.kernels.compiled_scores import rank_sides, score_rows
from delever.core.kernels.compiled_types import (
    B1,
    I4,
    I8,
    PREFETCH_DISTANCE,
    TABLE,
    WALLETS,
    compiled,
    prefetch,
    tasks_of,
)
from delever.core.kernels.plain import (
    CHANGED_AT,
    HASH_ACCOUNT,
    HASH_POSITION,
    MAINTENANCE,
    UNREALIZED_PNL,
)

__all__ = [
    "fill_ranks",
    "find_rows",
    "insert_rows",
    "is_stale",
    "rank_sides",
    "remove_rows",
    "revalue",
    "revalue_sides",
    "score_rows",
    "shift_wallets",
    "sort_queue",
]


@compiled(t.int64(t.int64, t.int64, t.int64))
def _home_slot(size, account, position):
    bits = 0
    while (1 << bits) < size:
        bits += 1
    mixed = np.uint64(account) * np.uint64(HASH_ACCOUNT)
    mixed ^= np.uint64(position) * np.uint64(HASH_POSITION)
    return np.int64(mixed >> np.uint64(64 - bits))


@compiled(I8(I4, I4, I4, I8, I8))
def find_rows(slots, row_account, row_position, accounts, positions):
    last = len(slots) - 1
    found = np.empty(len(accounts), np.int64)
    for i in range(len(accounts)):
        place = _home_slot(len(slots), accounts[i], positions[i])
        while True:
            row = slots[place]
            if row < 0 or (row_account[row] == accounts[i] and row_position[row] == positions[i]):
                break
            place = (place + 1) & last
        found[i] = row
    return found


@compiled(t.void(I4, I4, I4, t.int64, t.int64))
def insert_rows(slots, row_account, row_position, first, end):
    last = len(slots) - 1
    for row in range(first, end):
        place = _home_slot(len(slots), row_account[row], row_position[row])
        while slots[place] >= 0:
            place = (place + 1) & last
        slots[place] = row


@compiled(I8(I4, I4, I4, I4, I4, t.int64))
def remove_rows(slots, row_account, row_position, accounts, positions, size):
    end, gaps = len(slots) - 1, np.empty(len(accounts), np.int64)
    for turn in range(len(accounts)):
        account, position, last = accounts[turn], positions[turn], size - 1 - turn
        hole = _home_slot(len(slots), account, position)
        while row_account[slots[hole]] != account or row_position[slots[hole]] != position:
            hole = (hole + 1) & end
        gap, place = slots[hole], (hole + 1) & end
        while slots[place] >= 0:
            other = slots[place]
            first = _home_slot(len(slots), row_account[other], row_position[other])
            if (place - first) & end >= (place - hole) & end:
                slots[hole] = other
                hole = place
            place = (place + 1) & end
        slots[hole] = -1
        if gap != last:
            place = _home_slot(len(slots), row_account[last], row_position[last])
            while slots[place] != last:
                place = (place + 1) & end
            slots[place] = gap
            row_account[gap], row_position[gap] = row_account[last], row_position[last]
        gaps[turn] = gap
    return gaps


@compiled(t.int64(t.int64, t.int64, t.int64, t.float64))
def _mul_div_floor(number, factor, divisor, ratio):
    estimate = np.int64(np.float64(number) * ratio)
    return estimate + (number * factor - estimate * divisor) // divisor


@compiled(t.int64(t.int64, I8, I8, I8))
def _maintenance(notional, tier_from, tier_rate, tier_deduction):
    tier = 0
    for higher in range(1, len(tier_from)):  # branch-free: notionals are unpredictable
        tier += np.int64(tier_from[higher] <= notional)
    millions = np.uint64(notional) // np.uint64(1_000_000)
    rest = np.uint64(notional) - millions * np.uint64(1_000_000)
    rate = np.uint64(tier_rate[tier])
    part = (rest * rate + np.uint64(999_999)) // np.uint64(1_000_000)
    return np.int64(millions * rate + part) - tier_deduction[tier]


@compiled(t.void(I4, B1, I8, I8, t.int64, t.int64, t.int64, I8, I8, I8, I8, I8, WALLETS, t.int64))
def revalue(
    account,
    isolated,
    lots,
    cost,
    whole,
    rest,
    divisor,
    tier_from,
    tier_rate,
    tier_deduction,
    unrealized_pnl,
    maintenance,
    wallets,
    sequence,
):
    # A matrix of two columns collects differences only, which are added to wallets later.
    stamps = wallets.shape[1] > 2
    ratio = np.float64(rest) / np.float64(max(divisor, 1))
    first, last = UNREALIZED_PNL if stamps else 0, len(lots) - 1
    for i in range(len(lots)):
        prefetch(wallets, np.int64(account[min(i + PREFETCH_DISTANCE, last)]))
        value = lots[i] * whole
        if divisor:
            value += _mul_div_floor(lots[i], rest, divisor, ratio)
        now = value - cost[i]
        margin = _maintenance(abs(value), tier_from, tier_rate, tier_deduction)
        pnl_change, maintenance_change = now - unrealized_pnl[i], margin - maintenance[i]
        unrealized_pnl[i], maintenance[i] = now, margin
        if not isolated[i] and (pnl_change | maintenance_change) != 0:
            owner = np.uint64(account[i])
            wallets[owner, first] += pnl_change
            wallets[owner, first + 1] += maintenance_change
            if stamps:
                wallets[owner, CHANGED_AT] = sequence


@compiled(t.void(WALLETS, WALLETS, t.int64))
def _add_differences(differences, wallets, sequence):
    for owner in range(len(differences)):
        pnl_change, maintenance_change = differences[owner]
        if (pnl_change | maintenance_change) != 0:
            wallets[owner, UNREALIZED_PNL] += pnl_change
            wallets[owner, MAINTENANCE] += maintenance_change
            wallets[owner, CHANGED_AT] = sequence


@compiled(t.void(I8, I4, B1, I8, I8, t.int64, WALLETS, t.int64))
def shift_wallets(rows, account, isolated, unrealized_pnl, maintenance, sign, wallets, sequence):
    for row in rows:
        if not isolated[row]:
            owner = account[row]
            wallets[owner, UNREALIZED_PNL] += sign * unrealized_pnl[row]
            wallets[owner, MAINTENANCE] += sign * maintenance[row]
            wallets[owner, CHANGED_AT] = sequence


@compiled(t.boolean(I4, WALLETS, t.int64))
def is_stale(account, wallets, since):
    last = len(account) - 1
    for i in range(len(account)):
        prefetch(wallets, np.int64(account[min(i + PREFETCH_DISTANCE, last)]))
        if wallets[account[i], CHANGED_AT] > since:
            return True
    return False


VALUED_COLUMNS = t.Tuple((I4, B1, I8, I8, I8, I8))


@compiled(t.void(TABLE, I8, VALUED_COLUMNS, WALLETS, t.int64))
def _revalue_ranges(ranges, tiers, columns, wallets, sequence):
    """Value tables: a row (start, size, a lot's value, tiers, first tier) each."""
    account, isolated, lots, cost, unrealized_pnl, maintenance = columns
    for table in range(len(ranges)):
        first, end = ranges[table, 0], ranges[table, 0] + ranges[table, 1]
        count, tier = ranges[table, 5], ranges[table, 6]
        revalue(
            account[first:end],
            isolated[first:end],
            lots[first:end],
            cost[first:end],
            ranges[table, 2],
            ranges[table, 3],
            ranges[table, 4],
            tiers[tier : tier + count],
            tiers[tier + count : tier + 2 * count],
            tiers[tier + 2 * count : tier + 3 * count],
            unrealized_pnl[first:end],
            maintenance[first:end],
            wallets,
            sequence,
        )


def _ranges_and_tiers(sides):
    """Return the rows that `_revalue_ranges` takes, and the tiers of all tables in one column."""
    flat = [
        number
        for table, whole, rest, divisor, terms in sides
        for number in (table.start, table.size, whole, rest, divisor, len(terms.tier_bytes), 0)
    ]
    ranges = np.array(flat).reshape(-1, 7)
    ranges[:, 5] //= 3 * 8  # bytes to tiers: three rows of int64
    ranges[1:, 6] = 3 * np.cumsum(ranges[:-1, 5])
    tiers = bytearray().join([side[-1].tier_bytes for side in sides])
    return ranges, np.frombuffer(tiers, np.int64)


def revalue_sides(columns, sides, wallets, sequence, parallel_map):
    ranges, tiers = _ranges_and_tiers(sides)
    rows = int(ranges[:, 1].sum())
    valued = (
        columns.account,
        columns.isolated,
        columns.lots,
        columns.cost,
        columns.unrealized_pnl,
        columns.maintenance,
    )
    if rows < len(wallets):
        _revalue_ranges(ranges, tiers, valued, wallets, sequence)
        return

    # Differences are denser in memory than wallets, and each thread gets its own.
    def revalue_task(tables):
        differences = np.zeros((len(wallets), 2), np.int64)
        _revalue_ranges(ranges[tables], tiers, valued, differences, sequence)
        return differences

    size = rows if parallel_map is map else rows // (rows // len(wallets))
    tasks = [tables for tables, _ in tasks_of(ranges[:, 1], rows, size)]
    results = list(parallel_map(revalue_task, tasks))
    owners = -(-len(wallets) // len(results))

    def add_task(first):
        part = slice(first, first + owners)
        for differences in results:
            _add_differences(differences[part], wallets[part], sequence)

    for _ in parallel_map(add_task, range(0, len(wallets), owners)):
        pass
