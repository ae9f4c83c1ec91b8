"""The compiled kernels that score positions and show whole lanes, one or many in a call."""

# mypy: ignore-errors
# ruff: noqa: C901, D103, PLR0912 - described in `plain`; what Numba compiles is written out

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
    bool_at,
    compiled,
    int32_at,
    int64_at,
    parts_of,
    prefetch,
    table_at,
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


@compiled(t.void(I4, WALLETS, I8, I8, I8))
def _gather(account, wallets, equities, equity, margins):
    """Fill in each account's equity, and what it needs where that is asked for."""
    n, last = len(account), len(account) - 1
    if len(equities):
        for i in range(n):
            equity[i] = equities[np.uint64(account[i])]
    else:
        for i in range(n):
            prefetch(wallets, np.int64(account[min(i + AHEAD, last)]))
            owner = np.uint64(account[i])
            equity[i] = wallets[owner, BALANCE] + wallets[owner, PROFIT]
    for i in range(len(margins)):
        margins[i] = wallets[np.uint64(account[i]), MAINTENANCE]


@compiled(t.void(I4, B1, B1, I8, I8, I8, WALLETS, I8, B1, t.boolean, I8, I8, B1))
def _stand(
    account,
    isolated,
    under_liquidation,
    margin,
    profit,
    maintenance,
    wallets,
    equities,
    exempt,
    profitable_only,
    equity,
    margins,
    standing,
):
    """Fill in what the margin bucket holds and needs, and who stands in line."""
    n = len(account)
    _gather(account, wallets, equities, equity, margins)
    if _any(isolated):
        for i in range(n):
            if isolated[i]:
                equity[i] = margin[i] + profit[i]
        for i in range(len(margins)):
            if isolated[i]:
                margins[i] = maintenance[i]
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


BLOCK = 8192
"""Rows that are scored in one go: what is worked out for them stays in a near cache."""
SCORED = I4, B1, B1, I8, I8, I8, I8, I8, I8, WALLETS, I8, B1, PAIR, PAIR, t.boolean, F8, B1


@compiled(t.void(*SCORED, TABLE))
def _score_block(
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
    equities,
    exempt,
    gain,
    leverage,
    profitable_only,
    score,
    standing,
    scratch,
):
    n, needed = len(account), 0
    for place in (gain[0], gain[1], leverage[0], leverage[1]):
        needed = n if place in (MARGINS, COVER) else needed
    equity, margins = scratch[0, :n], scratch[1, :needed]
    levered, divisor = scratch[2, :n].view(np.float64), scratch[3, :n].view(np.float64)
    columns, bucket = (account, isolated, under_liquidation), (equity, margins, standing)
    around = wallets, equities, exempt, profitable_only
    _stand(*columns, margin, profit, maintenance, *around, *bucket)
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


@compiled(t.void(*SCORED))
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
    equities,
    exempt,
    gain,
    leverage,
    profitable_only,
    score,
    standing,
):
    scratch = np.empty((4, BLOCK), np.int64)
    for a in range(0, len(account), BLOCK):
        b = min(a + BLOCK, len(account))
        _score_block(
            account[a:b],
            isolated[a:b],
            under_liquidation[a:b],
            cost[a:b],
            margin[a:b],
            profit[a:b],
            maintenance[a:b],
            joint_profit[a:b],  # which may be empty, and is then again
            joint_notional[a:b],
            wallets,
            equities,
            exempt,
            gain,
            leverage,
            profitable_only,
            score[a:b],
            standing[a:b],
            scratch,
        )


def score_products(*columns):
    none = np.empty(0, np.int64)
    _score(*columns[:10], none, *columns[10:])


KINDS = t.Tuple((PAIR, PAIR, t.boolean))


@compiled(t.void(I8, TABLE, TABLE, WALLETS, I8, B1, I4, KINDS, t.int64, t.boolean, I4, I1))
def _show_table(
    sizes,
    columns,
    joined,
    wallets,
    equities,
    exempt,
    account_order,
    kinds,
    levels,
    by_count,
    rank,
    light,
):
    most = max(sizes)
    score, standing = np.empty(most, np.float64), np.empty(most, np.bool_)
    keys, spare = np.empty(most, np.uint64), np.empty(most, np.uint64)
    rows, none, end = np.empty(most, np.int32), np.empty(0, np.int64), 0
    for lane in range(len(sizes)):
        size, at, joint = sizes[lane], columns[lane], joined[lane]
        first, end = end, end + size
        account, position = int32_at(at[0], size), int32_at(at[1], size)
        lots, place = int64_at(at[4], size), int32_at(at[9], size)
        _score(
            account,
            bool_at(at[2], size),
            bool_at(at[3], size),
            int64_at(at[5], size),
            int64_at(at[6], size),
            int64_at(at[7], size),
            int64_at(at[8], size),
            int64_at(joint[1], joint[0]),
            int64_at(joint[2], joint[0]),
            wallets,
            equities,
            exempt,
            *kinds,
            score[:size],
            standing[:size],
        )
        ties = account, account_order, position
        order = line_up_in(score[:size], standing[:size], *ties, keys, spare, rows)
        shown = rank[first:end], light[first:end]
        spread(order, place, lots, levels, by_count, *shown, none)


@compiled(I8(WALLETS))
def _equities(wallets):
    equity = np.empty(len(wallets), np.int64)
    for i in range(len(wallets)):
        equity[i] = wallets[i, BALANCE] + wallets[i, PROFIT]
    return equity


def show_lanes(
    lanes,
    joint,
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
    each=map,
):
    sizes = np.array([len(lane.place) for lane in lanes])
    columns = table_at([lane.where for lane in lanes])
    joined = np.zeros((len(lanes), 3), np.int64)
    for lane, (profit, notional) in enumerate(joint):
        joined[lane] = len(profit), profit.ctypes.data, notional.ctypes.data
    # Many rows find equity in a column of its own sooner than in all the wallets.
    equities = _equities(wallets if len(rank) >= len(wallets) else wallets[:0])
    around = wallets, equities, exempt, account_order, (gain, leverage, profitable_only)

    def show(part):
        those, at = part
        tables = sizes[those], columns[those], joined[those]
        _show_table(*tables, *around, levels, by_count, rank[at], light[at])

    for _ in each(show, parts_of(sizes)):
        pass
