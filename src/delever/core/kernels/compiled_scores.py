"""The compiled kernels that score positions and show whole lanes, one or many in a call."""

# mypy: ignore-errors
# ruff: noqa: C901, D103, PLR0912 - described in `plain`; what Numba compiles is written out

import itertools

import numpy as np
from numba import types as t

from delever.core.kernels.compiled_lines import line_up_in, spread
from delever.core.kernels.compiled_types import (
    AHEAD,
    B1,
    F8,
    I1,
    I4,
    I8,
    PAIR,
    TABLE,
    WALLETS,
    address_of,
    bool_at,
    compiled,
    int32_at,
    int64_at,
    prefetch,
    table_of,
)
from delever.core.kernels.plain import BALANCE, MAINTENANCE, PROFIT

PROFIT_PART, NOTIONAL, ENTRY_NOTIONAL, EQUITY, MARGINS, JOINT_PROFIT, JOINT_NOTIONAL, COVER = range(
    8
)
"""The places of a score's parts in `delever.core.kernels.PARTS`."""


@compiled(t.void(t.int64, I8, I8, I8, I8, I8, I8, I8, F8))
def _take(place, profit, cost, maintenance, equity, margins, joint_profit, joint_notional, part):
    """Fill in one part of a score: one plain loop each, which the processor runs in strides."""
    joint = len(joint_profit) > 0
    if place == PROFIT_PART or (place == JOINT_PROFIT and not joint):
        for i in range(len(part)):
            part[i] = profit[i]
    elif place == NOTIONAL or (place == JOINT_NOTIONAL and not joint):
        for i in range(len(part)):
            part[i] = abs(cost[i] + profit[i])
    elif place == ENTRY_NOTIONAL:
        for i in range(len(part)):
            part[i] = abs(cost[i])
    elif place == EQUITY:
        for i in range(len(part)):
            part[i] = equity[i]
    elif place == MARGINS:
        for i in range(len(part)):
            part[i] = margins[i]
    elif place == JOINT_PROFIT:
        for i in range(len(part)):
            part[i] = joint_profit[i]
    elif place == JOINT_NOTIONAL:
        for i in range(len(part)):
            part[i] = joint_notional[i]
    else:
        for i in range(len(part)):
            share = np.float64(maintenance[i]) / np.float64(margins[i])
            share = share if margins[i] != 0 else np.float64(1)
            part[i] = np.float64(equity[i]) * share


@compiled(t.boolean(B1))
def _any(flags):
    """Whether a flag is set: quick, and where none is, a pass over the rows is saved."""
    found, bytes_ = np.uint8(0), flags.view(np.uint8)
    for i in range(len(bytes_)):
        found |= bytes_[i]
    return found != 0


@compiled(t.void(F8, F8))
def _divide(part, divisor):
    for i in range(len(part)):
        quotient = part[i] / divisor[i]
        part[i] = quotient if divisor[i] != 0 else np.float64(0)


@compiled(t.void(I4, B1, B1, I8, I8, I8, WALLETS, B1, t.boolean, I8, I8, B1))
def _stand(
    account,
    isolated,
    under_liquidation,
    margin,
    profit,
    maintenance,
    wallets,
    exempt,
    profitable_only,
    equity,
    margins,
    standing,
):
    """Fill in what the margin bucket holds and needs, and who stands in line."""
    n, last = len(account), len(account) - 1
    for i in range(n):
        prefetch(wallets, np.int64(account[min(i + AHEAD, last)]))
        owner = np.uint64(account[i])
        equity[i] = wallets[owner, BALANCE] + wallets[owner, PROFIT]
        margins[i] = wallets[owner, MAINTENANCE]
    if _any(isolated):
        for i in range(n):
            if isolated[i]:
                equity[i], margins[i] = margin[i] + profit[i], maintenance[i]
    for i in range(n):
        standing[i] = equity[i] > 0
    if profitable_only:
        for i in range(n):
            standing[i] &= profit[i] > 0
    if _any(under_liquidation):
        for i in range(n):
            standing[i] &= not under_liquidation[i]
    if len(exempt):
        for i in range(n):
            standing[i] &= not exempt[account[i]]


SCORED = I4, B1, B1, I8, I8, I8, I8, I8, I8, WALLETS, B1, PAIR, PAIR, t.boolean, F8, B1


@compiled(t.void(*SCORED, TABLE))
def _score(
    account,
    isolated,
    under_liquidation,
    cost,
    margin,
    profit,
    maintenance,
    joint_profit,
    joint_notional,
    wallets,
    exempt,
    gain,
    leverage,
    profitable_only,
    score,
    standing,
    scratch,
):
    n = len(account)
    equity, margins = scratch[0, :n], scratch[1, :n]
    levered, divisor = scratch[2, :n].view(np.float64), scratch[3, :n].view(np.float64)
    columns, bucket = (account, isolated, under_liquidation), (equity, margins, standing)
    _stand(*columns, margin, profit, maintenance, wallets, exempt, profitable_only, *bucket)
    parts = profit, cost, maintenance, equity, margins, joint_profit, joint_notional
    _take(gain[0], *parts, score)
    _take(gain[1], *parts, divisor)
    _divide(score, divisor)
    _take(leverage[0], *parts, levered)
    _take(leverage[1], *parts, divisor)
    _divide(levered, divisor)
    for i in range(n):
        up, down = score[i] * levered[i], score[i] / levered[i]
        down = down if levered[i] != 0 else np.float64(0)
        score[i] = up if score[i] > 0 else down


def score_products(*columns):
    _score(*columns, np.empty((4, len(columns[0])), np.int64))


@compiled(t.void(TABLE, TABLE, WALLETS, B1, I4, PAIR, PAIR, t.boolean, t.int64, t.boolean, I4, I1))
def _show_table(
    table,
    joined,
    wallets,
    exempt,
    account_order,
    gain,
    leverage,
    profitable_only,
    levels,
    by_count,
    rank,
    light,
):
    most = 0
    for row in table:
        most = max(most, row[0])
    scratch = np.empty((7, most), np.int64)
    score, standing = scratch[4].view(np.float64), np.empty(most, np.bool_)
    keys, spare, rows = (
        scratch[5].view(np.uint64),
        scratch[6].view(np.uint64),
        np.empty(most, np.int32),
    )
    none, end = np.empty(0, np.int64), 0
    for lane in range(len(table)):
        row, joint = table[lane], joined[lane]
        size = row[0]
        first, end = end, end + size
        account, position = int32_at(row[1], size), int32_at(row[2], size)
        lots, place = int64_at(row[5], size), int32_at(row[10], size)
        _score(
            account,
            bool_at(row[3], size),
            bool_at(row[4], size),
            int64_at(row[6], size),
            int64_at(row[7], size),
            int64_at(row[8], size),
            int64_at(row[9], size),
            int64_at(joint[1], joint[0]),
            int64_at(joint[2], joint[0]),
            wallets,
            exempt,
            gain,
            leverage,
            profitable_only,
            score[:size],
            standing[:size],
            scratch[:4],
        )
        ties = account, account_order, position
        order = line_up_in(score[:size], standing[:size], *ties, keys, spare, rows)
        shown = rank[first:end], light[first:end]
        spread(order, place, lots, levels, by_count, *shown, none)


def show_lanes(lanes, joint, wallets, exempt, account_order, *ranking):
    table = table_of([lane.where for lane in lanes])
    joined = np.zeros((len(lanes), 3), np.int64)
    for lane, (profit, notional) in enumerate(joint):
        joined[lane] = len(profit), address_of(profit), address_of(notional)
    sizes = table[:, 0].tolist()
    rank, light = np.empty(sum(sizes), np.int32), np.empty(sum(sizes), np.int8)
    _show_table(table, joined, wallets, exempt, account_order, *ranking, rank, light)
    # Copied apart, so that what one lane shows does not keep alive what all others did.
    lanes_at = itertools.pairwise(itertools.accumulate(sizes, initial=0))
    return [(rank[first:end].copy(), light[first:end].copy()) for first, end in lanes_at]
