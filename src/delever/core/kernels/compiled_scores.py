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
    address_table,
    bool_at,
    compiled,
    int32_at,
    int64_at,
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


@compiled(t.void(I8, TABLE, TABLE, ACCOUNT_DATA, SCORE_RULE, t.int64, t.boolean, I4, I1))
def _rank_sides(sizes, columns, joint, account_data, rule, levels, by_count, rank, indicator):
    """Rank sides: `columns` has a row of addresses each, `joint` a size and two addresses."""
    wallets, equities, exempt, account_order = account_data
    max_size = max(sizes)
    score, ranked = np.empty(max_size, np.float64), np.empty(max_size, np.bool_)
    keys, spare = np.empty(max_size, np.uint64), np.empty(max_size, np.uint64)
    rows, not_wanted, end = np.empty(max_size, np.int32), np.empty(0, np.int64), 0
    for side in range(len(sizes)):
        size, at, joint_at = sizes[side], columns[side], joint[side]
        first, end = end, end + size
        account, position = int32_at(at[0], size), int32_at(at[1], size)
        lots, place = int64_at(at[4], size), int32_at(at[9], size)
        _score_rows(
            account,
            bool_at(at[2], size),
            bool_at(at[3], size),
            int64_at(at[5], size),
            int64_at(at[6], size),
            int64_at(at[7], size),
            int64_at(at[8], size),
            int64_at(joint_at[1], joint_at[0]),
            int64_at(joint_at[2], joint_at[0]),
            wallets,
            equities,
            exempt,
            *rule,
            score[:size],
            ranked[:size],
        )
        ties = account, account_order, position
        order = sort_queue_in(score[:size], ranked[:size], *ties, keys, spare, rows)
        results = rank[first:end], indicator[first:end]
        fill_ranks(order, place, lots, levels, by_count, *results, not_wanted)


@compiled(I8(WALLETS))
def _equities(wallets):
    equity = np.empty(len(wallets), np.int64)
    for i in range(len(wallets)):
        equity[i] = wallets[i, BALANCE] + wallets[i, UNREALIZED_PNL]
    return equity


def rank_sides(sides, joint, wallets, exempt, account_order, *ranking):
    *rule, levels, by_count, rank, indicator, parallel_map = ranking
    sizes = np.array([len(side.place) for side in sides])
    columns = address_table([side.addresses for side in sides])
    joint_columns = np.zeros((len(sides), 3), np.int64)
    for side, (pnl, notional) in enumerate(joint):
        joint_columns[side] = len(pnl), pnl.ctypes.data, notional.ctypes.data
    # Many rows gather equity faster from a column of its own than from whole wallets.
    equities = _equities(wallets if len(rank) >= len(wallets) else wallets[:0])
    account_data = wallets, equities, exempt, account_order

    def rank_task(task):
        part, rows = task
        tables = sizes[part], columns[part], joint_columns[part]
        results = rank[rows], indicator[rows]
        _rank_sides(*tables, account_data, tuple(rule), levels, by_count, *results)

    for _ in parallel_map(rank_task, tasks_of(sizes, len(rank))):
        pass
