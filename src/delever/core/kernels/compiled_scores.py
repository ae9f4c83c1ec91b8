"""Compiled kernels that score positions and rank sides, many in one call."""

# mypy: ignore-errors
# ruff: noqa: C901, D103, PLR0912 - documented in `plain`; code for Numba is written out

import numpy as np
from numba import types as t

from delever.core.kernels.compiled_queue import fill_ranks, sort_queue_in
from delever.core.kernels.compiled_types import (
    B1,
    F8,
    I1,
    I4,
    I8,
    PAIR,
    PREFETCH_DISTANCE,
    TABLE,
    WALLETS,
    compiled,
    prefetch,
    tasks_of,
)
from delever.core.kernels.plain import BALANCE, MAINTENANCE, UNREALIZED_PNL

PNL, NOTIONAL, ENTRY_NOTIONAL, EQUITY, BUCKET_MAINTENANCE, JOINT_PNL, JOINT_NOTIONAL, COVER = range(
    8
)
"""The indices of columns in `delever.core.kernels.SCORE_COLUMNS`."""


@compiled(t.void(F8, t.int64, t.float64, t.boolean))
def _store(values, i, number, divides):
    """Set an entry to a number, or divide the entry by it; a division by 0 gives 0."""
    if divides:
        quotient = values[i] / number
        values[i] = quotient if number != 0 else np.float64(0)
    else:
        values[i] = number


@compiled(t.void(t.int64, t.boolean, I8, I8, I8, I8, I8, I8, I8, F8))
def _apply_column(
    column,
    divides,
    unrealized_pnl,
    cost,
    maintenance,
    equity,
    bucket_maintenance,
    joint_pnl,
    joint_notional,
    values,
):
    """Set values to a column, or divide by it: one vectorizable loop for each column."""
    joint = len(joint_pnl) > 0
    if column == PNL or (column == JOINT_PNL and not joint):
        for i in range(len(values)):
            _store(values, i, unrealized_pnl[i], divides)
    elif column == NOTIONAL or (column == JOINT_NOTIONAL and not joint):
        for i in range(len(values)):
            _store(values, i, abs(cost[i] + unrealized_pnl[i]), divides)
    elif column == ENTRY_NOTIONAL:
        for i in range(len(values)):
            _store(values, i, abs(cost[i]), divides)
    elif column == EQUITY:
        for i in range(len(values)):
            _store(values, i, equity[i], divides)
    elif column == BUCKET_MAINTENANCE:
        for i in range(len(values)):
            _store(values, i, bucket_maintenance[i], divides)
    elif column == JOINT_PNL:
        for i in range(len(values)):
            _store(values, i, joint_pnl[i], divides)
    elif column == JOINT_NOTIONAL:
        for i in range(len(values)):
            _store(values, i, joint_notional[i], divides)
    else:
        for i in range(len(values)):
            share = np.float64(maintenance[i]) / np.float64(bucket_maintenance[i])
            share = share if bucket_maintenance[i] != 0 else np.float64(1)
            _store(values, i, np.float64(equity[i]) * share, divides)


@compiled(t.boolean(B1))
def _any(flags):
    """Return whether any flag is set: a fast test that saves passes over the rows."""
    found, bytes_ = np.uint8(0), flags.view(np.uint8)
    for i in range(len(bytes_)):
        found |= bytes_[i]
    return found != 0


@compiled(t.void(I4, WALLETS, I8, I8, I8))
def _gather(account, wallets, equities, equity, bucket_maintenance):
    """Gather each row's account equity, and its maintenance margin where that is needed."""
    for i in range(len(account)):
        owner = np.uint64(account[i])
        if len(equities):
            equity[i] = equities[owner]
        else:
            prefetch(wallets, np.int64(account[min(i + PREFETCH_DISTANCE, len(account) - 1)]))
            equity[i] = wallets[owner, BALANCE] + wallets[owner, UNREALIZED_PNL]
    for i in range(len(bucket_maintenance)):
        bucket_maintenance[i] = wallets[np.uint64(account[i]), MAINTENANCE]


@compiled(t.void(I4, B1, B1, I8, I8, I8, WALLETS, I8, B1, t.boolean, I8, I8, B1))
def _fill_equity_and_ranked(
    account,
    isolated,
    under_liquidation,
    margin,
    unrealized_pnl,
    maintenance,
    wallets,
    equities,
    exempt,
    profitable_only,
    equity,
    bucket_maintenance,
    ranked,
):
    """Compute each row's bucket equity and maintenance margin, and whether it is ranked."""
    n = len(account)
    _gather(account, wallets, equities, equity, bucket_maintenance)
    if _any(isolated):
        for i in range(n):
            if isolated[i]:
                equity[i] = margin[i] + unrealized_pnl[i]
        for i in range(len(bucket_maintenance)):
            if isolated[i]:
                bucket_maintenance[i] = maintenance[i]
    for i in range(n):
        ranked[i] = equity[i] > 0
    if profitable_only:
        for i in range(n):
            ranked[i] &= unrealized_pnl[i] > 0
    if _any(under_liquidation):
        for i in range(n):
            ranked[i] &= not under_liquidation[i]
    if len(exempt):
        for i in range(n):
            ranked[i] &= not exempt[account[i]]


SCORE_ARGUMENTS = I4, B1, B1, I8, I8, I8, I8, I8, I8, WALLETS, I8, B1, PAIR, PAIR, t.boolean, F8, B1


@compiled(t.void(*SCORE_ARGUMENTS))
def _score_rows(
    account,
    isolated,
    under_liquidation,
    cost,
    margin,
    unrealized_pnl,
    maintenance,
    joint_pnl,
    joint_notional,
    wallets,
    equities,
    exempt,
    gain,
    leverage,
    profitable_only,
    score,
    ranked,
):
    n, used = len(account), (gain[0], gain[1], leverage[0], leverage[1])
    needed = n if BUCKET_MAINTENANCE in used or COVER in used else 0
    scratch = np.empty((3, n), np.int64)
    equity, bucket_maintenance = scratch[0], scratch[1, :needed]
    leverages = scratch[2].view(np.float64)
    results = equity, bucket_maintenance, ranked
    columns = account, isolated, under_liquidation, margin, unrealized_pnl, maintenance
    _fill_equity_and_ranked(*columns, wallets, equities, exempt, profitable_only, *results)
    inputs = unrealized_pnl, cost, maintenance, equity, bucket_maintenance
    joint = joint_pnl, joint_notional
    _apply_column(gain[0], False, *inputs, *joint, score)
    _apply_column(gain[1], True, *inputs, *joint, score)
    _apply_column(leverage[0], False, *inputs, *joint, leverages)
    _apply_column(leverage[1], True, *inputs, *joint, leverages)
    for i in range(n):
        gain, loss = score[i] * leverages[i], score[i] / leverages[i]
        loss = loss if leverages[i] != 0 else np.float64(0)
        score[i] = gain if score[i] > 0 else loss


def score_rows(*columns):
    no_equities = np.empty(0, np.int64)
    _score_rows(*columns[:10], no_equities, *columns[10:])


ACCOUNT_DATA = t.Tuple((WALLETS, I8, B1, I4))
SCORE_RULE = t.Tuple((PAIR, PAIR, t.boolean))


EMPTY = np.empty(0, np.int64)
RANKED_COLUMNS = t.Tuple((I4, I4, B1, B1, I8, I8, I8, I8, I8, I4))
JOINT = t.UniTuple(I8, 2)


@compiled(
    t.void(TABLE, RANKED_COLUMNS, JOINT, ACCOUNT_DATA, SCORE_RULE, t.int64, t.boolean, I4, I1)
)
def _rank_ranges(ranges, columns, joint, account_data, rule, levels, by_count, rank, indicator):
    """Rank sides: a row (start, size) each; `joint` has two columns of all sides, or empty ones."""
    wallets, equities, exempt, account_order = account_data
    account, position, isolated, under_liquidation, lots, cost, margin = columns[:7]
    unrealized_pnl, maintenance, place = columns[7:]
    joint_pnl, joint_notional = joint
    max_size = max(ranges[:, 1])
    score, ranked = np.empty(max_size, np.float64), np.empty(max_size, np.bool_)
    keys, spare = np.empty(max_size, np.uint64), np.empty(max_size, np.uint64)
    rows, not_wanted, done = np.empty(max_size, np.int32), np.empty(0, np.int64), 0
    for side in range(len(ranges)):
        first, size = ranges[side]
        end, before = first + size, done
        done += size
        _score_rows(
            account[first:end],
            isolated[first:end],
            under_liquidation[first:end],
            cost[first:end],
            margin[first:end],
            unrealized_pnl[first:end],
            maintenance[first:end],
            joint_pnl[before:done],
            joint_notional[before:done],
            wallets,
            equities,
            exempt,
            *rule,
            score[:size],
            ranked[:size],
        )
        ties = account[first:end], account_order, position[first:end]
        order = sort_queue_in(score[:size], ranked[:size], *ties, keys, spare, rows)
        results = rank[before:done], indicator[before:done]
        of_rows = place[first:end], lots[first:end]
        fill_ranks(order, *of_rows, levels, by_count, *results, not_wanted)


@compiled(I8(WALLETS))
def _equities(wallets):
    equity = np.empty(len(wallets), np.int64)
    for i in range(len(wallets)):
        equity[i] = wallets[i, BALANCE] + wallets[i, UNREALIZED_PNL]
    return equity


def rank_sides(columns, sides, joint, wallets, exempt, account_order, *ranking):
    *rule, levels, by_count, rank, indicator, parallel_map = ranking
    ranges = np.array([(side.start, side.size) for side in sides])
    # Without hedges both joint columns are empty, and so is any slice of them.
    joined = [np.concatenate(parts) for parts in zip(*joint, strict=True)] or [EMPTY, EMPTY]
    # Many rows gather equity faster from a column of its own than from whole wallets.
    equities = _equities(wallets if len(rank) >= len(wallets) else wallets[:0])
    account_data = wallets, equities, exempt, account_order

    def rank_task(task):
        part, rows = task
        joint_columns = joined[0][rows], joined[1][rows]
        inputs = ranges[part], tuple(columns), joint_columns, account_data, tuple(rule)
        _rank_ranges(*inputs, levels, by_count, rank[rows], indicator[rows])

    for _ in parallel_map(rank_task, tasks_of(ranges[:, 1], len(rank))):
        pass
