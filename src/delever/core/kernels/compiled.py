"""The kernels compiled by Numba: serial, without the GIL, kept on disk between runs.

Only `delever.core.kernels` imports this module, and only when a book is large enough. ParallelMap function
equals the one of its name in `plain`, where it is described. No fast-math: every operation is
rounded as IEEE 754 says, so results are the same bits. Here are those that find and value rows;
`compiled_scores` and `compiled_lines` rank them.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - described in `plain`; what Numba compiles is written out

import numpy as np
from numba import types as t

from delever.core.kernels.compiled_lines import line_up, spread, until_filled
from delever.core.kernels.compiled_scores import rank_sides, score_products
from delever.core.kernels.compiled_types import (
    AHEAD,
    B1,
    I4,
    I8,
    TABLE,
    WALLETS,
    bool_at,
    compiled,
    int32_at,
    int64_at,
    parts_of,
    prefetch,
    table_at,
)
from delever.core.kernels.plain import (
    CHANGED_AT,
    HASH_ACCOUNT,
    HASH_POSITION,
    MAINTENANCE,
    UNREALIZED_PNL,
)

__all__ = [
    "contribute",
    "find_rows",
    "is_stale",
    "leave_rows",
    "line_up",
    "place_rows",
    "revalue",
    "revalue_sides",
    "score_products",
    "rank_sides",
    "spread",
    "until_filled",
]


@compiled(t.int64(t.int64, t.int64, t.int64))
def _home(size, account, position):
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
        place = _home(len(slots), accounts[i], positions[i])
        while True:
            row = slots[place]
            if row < 0 or (row_account[row] == accounts[i] and row_position[row] == positions[i]):
                break
            place = (place + 1) & last
        found[i] = row
    return found


@compiled(t.void(I4, I4, I4, t.int64, t.int64))
def place_rows(slots, row_account, row_position, first, end):
    last = len(slots) - 1
    for row in range(first, end):
        place = _home(len(slots), row_account[row], row_position[row])
        while slots[place] >= 0:
            place = (place + 1) & last
        slots[place] = row


@compiled(I8(I4, I4, I4, I4, I4, t.int64))
def leave_rows(slots, row_account, row_position, accounts, positions, size):
    end, gaps = len(slots) - 1, np.empty(len(accounts), np.int64)
    for turn in range(len(accounts)):
        account, position, last = accounts[turn], positions[turn], size - 1 - turn
        hole = _home(len(slots), account, position)
        while row_account[slots[hole]] != account or row_position[slots[hole]] != position:
            hole = (hole + 1) & end
        gap, place = slots[hole], (hole + 1) & end
        while slots[place] >= 0:
            other = slots[place]
            first = _home(len(slots), row_account[other], row_position[other])
            if (place - first) & end >= (place - hole) & end:
                slots[hole] = other
                hole = place
            place = (place + 1) & end
        slots[hole] = -1
        if gap != last:
            place = _home(len(slots), row_account[last], row_position[last])
            while slots[place] != last:
                place = (place + 1) & end
            slots[place] = gap
            row_account[gap], row_position[gap] = row_account[last], row_position[last]
        gaps[turn] = gap
    return gaps


@compiled(t.int64(t.int64, t.int64))
def _over(number, divisor):
    """Return the quotient rounded down; the divisor is positive."""
    return number // divisor


@compiled(t.int64(t.int64, I8, I8, I8))
def _maintenance(notional, tier_from, tier_rate, tier_deduction):
    tier = 0
    for higher in range(1, len(tier_from)):  # without a branch that sizes make hard to foretell
        tier += np.int64(tier_from[higher] <= notional)
    millions = np.uint64(notional) // np.uint64(1_000_000)
    rest = np.uint64(notional) - millions * np.uint64(1_000_000)
    rate = np.uint64(tier_rate[tier])
    part = (rest * rate + np.uint64(999_999)) // np.uint64(1_000_000)
    return np.int64(millions * rate + part) - tier_deduction[tier]


@compiled(t.void(I4, B1, I8, I8, t.int64, t.int64, I8, I8, I8, I8, I8, WALLETS, t.int64))
def revalue(
    account,
    isolated,
    lots,
    cost,
    factor,
    ticks,
    tier_from,
    tier_rate,
    tier_deduction,
    unrealized_pnl,
    maintenance,
    wallets,
    sequence,
):
    # Or differences to be added up later: a table of these two columns only.
    stamps = wallets.shape[1] > 2
    at, last = UNREALIZED_PNL if stamps else 0, len(lots) - 1
    for i in range(len(lots)):
        prefetch(wallets, np.int64(account[min(i + AHEAD, last)]))
        value = lots[i] * factor
        if ticks:
            value = _over(value, ticks)
        now = value - cost[i]
        margin = _maintenance(abs(value), tier_from, tier_rate, tier_deduction)
        moved, margin_moved = now - unrealized_pnl[i], margin - maintenance[i]
        unrealized_pnl[i], maintenance[i] = now, margin
        if not isolated[i] and (moved | margin_moved) != 0:
            owner = np.uint64(account[i])
            wallets[owner, at] += moved
            wallets[owner, at + 1] += margin_moved
            if stamps:
                wallets[owner, CHANGED_AT] = sequence


@compiled(t.void(WALLETS, WALLETS, t.int64))
def _add_up(differences, wallets, sequence):
    for owner in range(len(differences)):
        moved, margin_moved = differences[owner]
        if (moved | margin_moved) != 0:
            wallets[owner, UNREALIZED_PNL] += moved
            wallets[owner, MAINTENANCE] += margin_moved
            wallets[owner, CHANGED_AT] = sequence


@compiled(t.void(I8, I4, B1, I8, I8, t.int64, WALLETS, t.int64))
def contribute(rows, account, isolated, unrealized_pnl, maintenance, sign, wallets, sequence):
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
        prefetch(wallets, np.int64(account[min(i + AHEAD, last)]))
        if wallets[account[i], CHANGED_AT] > since:
            return True
    return False


@compiled(t.void(TABLE, TABLE, WALLETS, t.int64))
def _revalue_table(numbers, columns, wallets, sequence):
    for table in range(len(numbers)):
        size, at = numbers[table, 0], columns[table]
        tiers = (at[10] - at[9]) // 8  # three rows of one table, one after the other
        revalue(
            int32_at(at[0], size),
            bool_at(at[2], size),
            int64_at(at[4], size),
            int64_at(at[5], size),
            numbers[table, 1],
            numbers[table, 2],
            int64_at(at[9], tiers),
            int64_at(at[10], tiers),
            int64_at(at[11], tiers),
            int64_at(at[7], size),
            int64_at(at[8], size),
            wallets,
            sequence,
        )


def revalue_sides(tables, wallets, sequence, each):
    of_lanes = [n for table, factor, ticks, _ in tables for n in (table.size, factor, ticks)]
    numbers, rows = np.array(of_lanes).reshape(-1, 3), sum(of_lanes[::3])
    columns = table_at([table.where() + terms.tiers_at for table, _, _, terms in tables])
    if rows < len(wallets):
        _revalue_table(numbers, columns, wallets, sequence)
        return

    # Differences lie closer together than wallets, and each thread can have its own.
    def revalued(part):
        differences = np.zeros((len(wallets), 2), np.int64)
        _revalue_table(numbers[part], columns[part], differences, sequence)
        return differences

    size = rows if each is map else rows // (rows // len(wallets))
    found = list(each(revalued, [part for part, _ in parts_of(numbers[:, 0], rows, size)]))
    owners = -(-len(wallets) // len(found))

    def added_up(first):
        part = slice(first, first + owners)
        for differences in found:
            _add_up(differences[part], wallets[part], sequence)

    for _ in each(added_up, range(0, len(wallets), owners)):
        pass
