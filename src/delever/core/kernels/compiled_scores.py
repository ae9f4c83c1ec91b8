"""Compiled kernels that score positions and rank many sides in one call.

`ranker(formula)` compiles one function for each formula: its columns are constants in it, so that
the loop over rows reads only what the score uses.
"""

# mypy: ignore-errors
# ruff: noqa: D103, PLR0911 - documented in `plain`; code for Numba is written out

import functools

import numpy as np
from numba import types as t

from delever.core.kernels.compiled_queue import (
    SCRATCH,
    fill_places,
    new_scratch,
    sort_places,
    spread,
)
from delever.core.kernels.compiled_types import (
    B1,
    F8,
    I1,
    I4,
    I8,
    TABLE,
    WALLETS,
    any_of,
    compiled,
    inlined,
    tasks_of,
)
from delever.core.kernels.plain import BALANCE, MAINTENANCE, UNREALIZED_PNL

PNL, NOTIONAL, ENTRY_NOTIONAL, EQUITY, BUCKET_MAINTENANCE, JOINT_PNL, JOINT_NOTIONAL, COVER = range(
    8
)
"""The indices of columns in `delever.core.kernels.SCORE_COLUMNS`."""

ALONE = {JOINT_PNL: PNL, JOINT_NOTIONAL: NOTIONAL}
"""What stands for a joint column where no account hedges."""

EMPTY = np.empty(0, np.int64)


ACCOUNT_DATA = t.Tuple((WALLETS, I8, B1, I4))


@inlined
def _fill_equity(columns, account_data, equity, bucket):
    """Compute each row's bucket equity, and bucket maintenance margin if wanted."""
    account, isolated, margin, unrealized_pnl, maintenance = columns
    wallets, equities, _, _ = account_data
    n = len(account)
    if len(equities):
        for i in range(n):
            equity[i] = equities[np.uint64(account[i])]
    else:
        for i in range(n):
            owner = np.uint64(account[i])
            equity[i] = wallets[owner, BALANCE] + wallets[owner, UNREALIZED_PNL]
    for i in range(len(bucket)):
        bucket[i] = wallets[np.uint64(account[i]), MAINTENANCE]
    if any_of(isolated):
        for i in range(n):
            equity[i] = margin[i] + unrealized_pnl[i] if isolated[i] else equity[i]
        for i in range(len(bucket)):
            bucket[i] = maintenance[i] if isolated[i] else bucket[i]


@inlined
def _clear_ineligible(account, under_liquidation, unrealized_pnl, exempt, profitable_only, equity):
    """Set the equity of rows to 0 that are not ranked for another reason than their equity."""
    n = len(account)
    if any_of(under_liquidation):
        for i in range(n):
            equity[i] &= np.int64(under_liquidation[i]) - 1
    if profitable_only:
        for i in range(n):
            equity[i] &= -np.int64(unrealized_pnl[i] > 0)
    if len(exempt):
        for i in range(n):
            equity[i] &= np.int64(exempt[account[i]]) - 1


@inlined
def _entry(column, columns, i):
    """Return a column's entry; the index of the column is a constant where it is compiled."""
    pnl, cost, maintenance, equity, bucket, joint_pnl, joint_notional = columns
    if column == PNL:
        return np.float64(pnl[i])
    if column == NOTIONAL:
        return np.float64(abs(cost[i] + pnl[i]))
    if column == ENTRY_NOTIONAL:
        return np.float64(abs(cost[i]))
    if column == EQUITY:
        return np.float64(equity[i])
    if column == BUCKET_MAINTENANCE:
        return np.float64(bucket[i])
    if column == JOINT_PNL:
        return np.float64(joint_pnl[i])
    if column == JOINT_NOTIONAL:
        return np.float64(joint_notional[i])
    share = np.float64(maintenance[i]) / np.float64(bucket[i])
    share = share if bucket[i] != 0 else np.float64(1)
    return np.float64(equity[i]) * share


@inlined
def _quotient(top, bottom, columns, i):
    numerator, denominator = _entry(top, columns, i), _entry(bottom, columns, i)
    quotient = numerator / denominator
    return quotient if denominator != 0 else np.float64(0)


@inlined
def _score(gain, gain_of, leverage, leverage_of, columns, i):
    gains = _quotient(gain, gain_of, columns, i)
    leverages = _quotient(leverage, leverage_of, columns, i)
    loss = gains / leverages
    loss = loss if leverages != 0 else np.float64(0)
    return gains * leverages if gains > 0 else loss


SCORED_COLUMNS = t.UniTuple(I8, 7)


@functools.cache
def scorer(gain, gain_of, leverage, leverage_of):
    """Return the compiled score of a formula: gain / gain_of times leverage / leverage_of."""

    @compiled(t.void(SCORED_COLUMNS, F8))
    def fill_scores(columns, score):
        for i in range(len(score)):
            score[i] = _score(gain, gain_of, leverage, leverage_of, columns, i)

    return fill_scores


def _formula(gain, leverage, joint):
    """Return the four columns of a score; without hedges a joint column is the position's own."""
    columns = *gain, *leverage
    return columns if len(joint) else tuple(ALONE.get(column, column) for column in columns)


def score_rows(
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
    exempt,
    gain,
    leverage,
    profitable_only,
    score,
    ranked,
):
    formula, n = _formula(gain, leverage, joint_pnl), len(account)
    equity, bucket = np.empty(n, np.int64), np.empty(n, np.int64)
    own = account, isolated, margin, unrealized_pnl, maintenance
    _fill_equity(own, (wallets, EMPTY, exempt, account), equity, bucket)
    inputs = unrealized_pnl, cost, maintenance, equity, bucket, joint_pnl, joint_notional
    scorer(*formula)(inputs, score)
    _clear_ineligible(account, under_liquidation, unrealized_pnl, exempt, profitable_only, equity)
    ranked[:] = equity > 0


RANK_OPTIONS = t.Tuple((t.boolean, t.int64, t.boolean))
RANKED_COLUMNS = t.Tuple((I4, I4, B1, B1, I8, I8, I8, I8, I8, I4))
JOINT = t.UniTuple(I8, 2)

CHUNK = 4_096
"""Rows of sides that are scored, then ranked, together: what was computed stays in the cache."""


@inlined
def _chunk_end(ranges, first):
    """Return the side after the last of a chunk, which has one side at least."""
    rows, end = ranges[first, 1], first + 1
    while end < len(ranges) and rows + ranges[end, 1] <= CHUNK:
        rows += ranges[end, 1]
        end += 1
    return end


@compiled(t.void(TABLE, RANKED_COLUMNS, ACCOUNT_DATA, RANK_OPTIONS, I8, I8, SCRATCH, I4, I1))
def _rank_scored(ranges, columns, account_data, options, equities, places, scratch, ranks, levels):
    """Rank sides whose equity is in `equities`, and the bits of whose scores are in `places`."""
    exempt, order, done = account_data[2], account_data[3], 0
    for side in range(len(ranges)):
        first, n = ranges[side]
        end, before = first + n, done
        done += n
        account, position, pnl = columns[0][first:end], columns[1][first:end], columns[7][first:end]
        equity, place = equities[before:done], places[before:done]
        _clear_ineligible(account, columns[3][first:end], pnl, exempt, options[0], equity)
        ranked = fill_places(equity, place)
        queue = sort_places(place, equity, ranked, (account, order, position), scratch)
        place_of, lots = columns[9][first:end], columns[4][first:end]
        rank, indicator = ranks[before:done], levels[before:done]
        spread(queue, place_of, lots, options[1], options[2], rank, indicator)


@functools.cache
def ranker(gain, gain_of, leverage, leverage_of):
    """Return the compiled ranking of many sides by one formula, as of `scorer`."""
    formula = gain, gain_of, leverage, leverage_of
    wants_bucket = BUCKET_MAINTENANCE in formula or COVER in formula

    @compiled(t.void(TABLE, RANKED_COLUMNS, JOINT, ACCOUNT_DATA, RANK_OPTIONS, I4, I1))
    def rank_ranges(ranges, columns, joint, account_data, options, rank, indicator):
        largest, done, chunk = ranges[:, 1].max(), 0, 0
        most = max(CHUNK, largest)
        equities, places = np.empty(most, np.int64), np.empty(most, np.int64)
        bucket, scratch = np.empty(most if wants_bucket else 0, np.int64), new_scratch(most)
        while chunk < len(ranges):
            chunk_end, before, at = _chunk_end(ranges, chunk), done, 0
            for side in range(chunk, chunk_end):
                first, n = ranges[side]
                end = first + n
                account, isolated = columns[0][first:end], columns[2][first:end]
                cost, margin, pnl = (
                    columns[5][first:end],
                    columns[6][first:end],
                    columns[7][first:end],
                )
                maintenance, equity = columns[8][first:end], equities[at : at + n]
                own = account, isolated, margin, pnl, maintenance
                _fill_equity(own, account_data, equity, bucket[:n])
                joined = joint[0][done : done + n], joint[1][done : done + n]
                inputs = pnl, cost, maintenance, equity, bucket[:n], joined[0], joined[1]
                score = places[at : at + n].view(np.float64)
                for i in range(n):
                    score[i] = _score(gain, gain_of, leverage, leverage_of, inputs, i)
                at += n
                done += n
            sides, results = ranges[chunk:chunk_end], (rank[before:done], indicator[before:done])
            scored = equities, places, scratch
            _rank_scored(sides, columns, account_data, options, *scored, *results)
            chunk = chunk_end

    return rank_ranges


@compiled(I8(WALLETS))
def _equities(wallets):
    equity = np.empty(len(wallets), np.int64)
    for i in range(len(wallets)):
        equity[i] = wallets[i, BALANCE] + wallets[i, UNREALIZED_PNL]
    return equity


def rank_sides(columns, ranges, joint, wallets, exempt, account_order, *ranking):
    gain, leverage, profitable_only, levels, by_count, rank, indicator, parallel_map = ranking
    # Without hedges both joint columns are empty, and so is any slice of them.
    joined = [np.concatenate(parts) for parts in zip(*joint, strict=True)] or [EMPTY, EMPTY]
    # Many rows gather equity faster from a column of its own than from whole wallets.
    equities = _equities(wallets) if len(rank) >= len(wallets) else EMPTY
    account_data = wallets, equities, exempt, account_order
    rank_ranges = ranker(*_formula(gain, leverage, joint))
    options = profitable_only, levels, by_count

    def rank_task(task):
        part, rows = task
        joint_columns = joined[0][rows], joined[1][rows]
        inputs = ranges[part], tuple(columns), joint_columns, account_data, options
        rank_ranges(*inputs, rank[rows], indicator[rows])

    for _ in parallel_map(rank_task, tasks_of(ranges[:, 1], len(rank))):
        pass
