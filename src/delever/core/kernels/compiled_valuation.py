"""Compiled kernels that value positions at new marks and update wallets by the differences."""

# mypy: ignore-errors
# ruff: noqa: D103 - documented in `plain`; code for Numba is written out

import numpy as np
from numba import types as t

from delever.core.kernels.compiled_types import (
    B1,
    I4,
    I8,
    ROWS_PER_TASK,
    TABLE,
    TIERS,
    WALLETS,
    any_of,
    compiled,
    inlined,
    tasks_of,
)
from delever.core.kernels.plain import CHANGED_AT, MAINTENANCE, NO_TIER, UNREALIZED_PNL
from delever.core.units import PPM

BLOCK = 512
"""Rows that are valued before the next step reads them: they stay in the first cache."""

MILLIONTH = np.reciprocal(np.float64(PPM))


@inlined
def _by_million(number):
    """Return quotient and rest by a million, exact for 0 <= number < 2**62; it vectorizes."""
    quotient = np.int64(np.float64(number) * MILLIONTH)
    rest = number - quotient * 1_000_000
    off = np.int64(rest >= 1_000_000) - np.int64(rest < 0)
    return quotient + off, rest - off * 1_000_000


@inlined
def _fill_values(lot_value, lots, cost, values):
    whole, rest, divisor = lot_value
    unrealized_pnl, pnl_change, notional = values
    for i in range(len(lots)):
        notional[i] = lots[i] * whole
    if divisor:
        ratio = np.float64(rest) / np.float64(divisor)
        for i in range(len(lots)):  # as `mul_div_floor`: the product may leave int64
            estimate = np.int64(np.float64(lots[i]) * ratio)
            notional[i] += estimate + (lots[i] * rest - estimate * divisor) // divisor
    for i in range(len(lots)):
        now = notional[i] - cost[i]
        pnl_change[i] = now - unrealized_pnl[i]
        unrealized_pnl[i] = now
        notional[i] = abs(notional[i])


@inlined
def _fill_maintenance(tiers, notional, by_tier, maintenance):
    """Compute maintenance margin, rounded up; each notional becomes the change of the margin."""
    rate, deduction = by_tier
    rate[:], deduction[:] = tiers[1, 0], tiers[2, 0]
    for tier in range(1, tiers.shape[1]):
        start = tiers[0, tier]
        if start == NO_TIER:
            break
        higher_rate = tiers[1, tier] - tiers[1, tier - 1]
        higher_deduction = tiers[2, tier] - tiers[2, tier - 1]
        for i in range(len(rate)):
            reached = -np.int64(notional[i] >= start)
            rate[i] += reached & higher_rate
            deduction[i] += reached & higher_deduction
    for i in range(len(rate)):
        millions, rest = _by_million(notional[i])
        part, _ = _by_million(rest * rate[i] + 999_999)
        now = millions * rate[i] + part - deduction[i]
        notional[i] = now - maintenance[i]
        maintenance[i] = now


@inlined
def _clear_isolated(isolated, pnl_change, maintenance_change):
    for i in range(len(isolated)):
        cross = np.int64(isolated[i]) - 1
        pnl_change[i] &= cross
        maintenance_change[i] &= cross


@inlined
def _add_up(account, pnl_change, maintenance_change, differences):
    for i in range(len(account)):
        owner = np.uint64(account[i])
        differences[owner, 0] += pnl_change[i]
        differences[owner, 1] += maintenance_change[i]


@inlined
def _update_wallets(account, pnl_change, maintenance_change, wallets, sequence):
    for i in range(len(account)):
        if (pnl_change[i] | maintenance_change[i]) != 0:
            owner = np.uint64(account[i])
            wallets[owner, UNREALIZED_PNL] += pnl_change[i]
            wallets[owner, MAINTENANCE] += maintenance_change[i]
            wallets[owner, CHANGED_AT] = sequence


VALUED_COLUMNS = t.Tuple((I4, B1, I8, I8, I8, I8))


@compiled(t.void(TABLE, TIERS, VALUED_COLUMNS, WALLETS, t.int64))
def _revalue_ranges(ranges, tiers, columns, wallets, sequence):
    """Value sides: a row (start, size, a lot's value, index of its tiers) each.

    A wallet matrix of two columns collects differences only, which are added to wallets later.
    """
    account, isolated, lots, cost, unrealized_pnl, maintenance = columns
    stamps, scratch = wallets.shape[1] > 2, np.empty((4, BLOCK), np.int64)
    for side in range(len(ranges)):
        start, size, whole, rest, divisor, of_tiers = ranges[side]
        for first in range(start, start + size, BLOCK):
            end = min(first + BLOCK, start + size)
            n = end - first
            pnl_change, maintenance_change = scratch[0, :n], scratch[1, :n]
            values = unrealized_pnl[first:end], pnl_change, maintenance_change
            _fill_values((whole, rest, divisor), lots[first:end], cost[first:end], values)
            by_tier, before = (scratch[2, :n], scratch[3, :n]), maintenance[first:end]
            _fill_maintenance(tiers[of_tiers], maintenance_change, by_tier, before)
            if any_of(isolated[first:end]):
                _clear_isolated(isolated[first:end], pnl_change, maintenance_change)
            owners = account[first:end]
            if stamps:
                _update_wallets(owners, pnl_change, maintenance_change, wallets, sequence)
            else:
                _add_up(owners, pnl_change, maintenance_change, wallets)


@compiled(t.void(t.int64[:, :, :], WALLETS, t.int64))
def _add_differences(differences, wallets, sequence):
    """Add the differences of all threads to wallets."""
    for owner in range(len(wallets)):
        pnl_change, maintenance_change = np.int64(0), np.int64(0)
        for thread in range(len(differences)):
            pnl_change += differences[thread, owner, 0]
            maintenance_change += differences[thread, owner, 1]
        if (pnl_change | maintenance_change) != 0:
            wallets[owner, UNREALIZED_PNL] += pnl_change
            wallets[owner, MAINTENANCE] += maintenance_change
            wallets[owner, CHANGED_AT] = sequence


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
    ranges = np.array([[0, len(lots), whole, rest, divisor, 0]])
    columns = account, isolated, lots, cost, unrealized_pnl, maintenance
    tiers = np.array([[tier_from, tier_rate, tier_deduction]], np.int64)
    _revalue_ranges(ranges, tiers, columns, wallets, sequence)


@compiled(t.void(I8, I4, B1, I8, I8, t.int64, WALLETS, t.int64))
def shift_wallets(rows, account, isolated, unrealized_pnl, maintenance, sign, wallets, sequence):
    for row in rows:
        if not isolated[row]:
            owner = account[row]
            wallets[owner, UNREALIZED_PNL] += sign * unrealized_pnl[row]
            wallets[owner, MAINTENANCE] += sign * maintenance[row]
            wallets[owner, CHANGED_AT] = sequence


@compiled(B1(I4, TABLE, WALLETS, I8))
def stale_ranges(account, ranges, wallets, since):
    stale = np.zeros(len(ranges), np.bool_)
    for number in range(len(ranges)):
        start, size = ranges[number]
        for row in range(start, start + size):
            if wallets[np.uint64(account[row]), CHANGED_AT] > since[number]:
                stale[number] = True
                break
    return stale


def revalue_sides(columns, sides, tiers, wallets, sequence, parallel_map):
    rows = int(np.add.reduce(sides[:, 1]))
    valued = (
        columns.account,
        columns.isolated,
        columns.lots,
        columns.cost,
        columns.unrealized_pnl,
        columns.maintenance,
    )
    if rows < len(wallets):
        _revalue_ranges(sides, tiers, valued, wallets, sequence)
        return

    # Differences are denser in memory than wallets, and each thread gets its own.
    threads = 1 if parallel_map is map else getattr(parallel_map, "threads", 2)
    size = -(-rows // threads)
    tasks = tasks_of(sides[:, 1], rows, max(size, ROWS_PER_TASK))
    differences = np.zeros((len(tasks), len(wallets), 2), np.int64)

    def revalue_task(task):
        number, (tables, _) = task
        _revalue_ranges(sides[tables], tiers, valued, differences[number], sequence)

    for _ in parallel_map(revalue_task, list(enumerate(tasks))):
        pass
    owners = -(-len(wallets) // len(tasks))

    def add_task(first):
        part = slice(first, first + owners)
        _add_differences(differences[:, part], wallets[part], sequence)

    for _ in parallel_map(add_task, range(0, len(wallets), owners)):
        pass
