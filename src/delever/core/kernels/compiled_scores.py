"""The compiled kernels that score positions and show whole tables, one or many in a call."""

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
from delever.core.kernels.plain import BALANCE, MAINTENANCE, UNREALIZED_PNL

PNL_PART, NOTIONAL, ENTRY_NOTIONAL, EQUITY, MARGINS, JOINT_PNL, JOINT_NOTIONAL, COVER = range(8)
"""The places of a score's parts in `delever.core.kernels.PARTS`."""


@compiled(t.void(F8, t.int64, t.float64, t.boolean))
def _put(part, i, number, divides):
    if divides:
        quotient = part[i] / number
        part[i] = quotient if number != 0 else np.float64(0)
    else:
        part[i] = number


@compiled(t.void(t.int64, t.boolean, I8, I8, I8, I8, I8, I8, I8, F8))
def _take(
    place,
    divides,
    unrealized_pnl,
    cost,
    maintenance,
    equity,
    margins,
    joint_pnl,
    joint_notional,
    part,
):
    """Fill in one part of a score, or divide by it: one plain loop each, which runs in strides."""
    joint = len(joint_pnl) > 0
    if place == PNL_PART or (place == JOINT_PNL and not joint):
        for i in range(len(part)):
            _put(part, i, unrealized_pnl[i], divides)
    elif place == NOTIONAL or (place == JOINT_NOTIONAL and not joint):
        for i in range(len(part)):
            _put(part, i, abs(cost[i] + unrealized_pnl[i]), divides)
    elif place == ENTRY_NOTIONAL:
        for i in range(len(part)):
            _put(part, i, abs(cost[i]), divides)
    elif place == EQUITY:
        for i in range(len(part)):
            _put(part, i, equity[i], divides)
    elif place == MARGINS:
        for i in range(len(part)):
            _put(part, i, margins[i], divides)
    elif place == JOINT_PNL:
        for i in range(len(part)):
            _put(part, i, joint_pnl[i], divides)
    elif place == JOINT_NOTIONAL:
        for i in range(len(part)):
            _put(part, i, joint_notional[i], divides)
    else:
        for i in range(len(part)):
            share = np.float64(maintenance[i]) / np.float64(margins[i])
            share = share if margins[i] != 0 else np.float64(1)
            _put(part, i, np.float64(equity[i]) * share, divides)


@compiled(t.boolean(B1))
def _any(flags):
    """Whether a flag is set: quick, and where none is, a pass over the rows is saved."""
    found, bytes_ = np.uint8(0), flags.view(np.uint8)
    for i in range(len(bytes_)):
        found |= bytes_[i]
    return found != 0


@compiled(t.void(I4, WALLETS, I8, I8, I8))
def _gather(account, wallets, equities, equity, margins):
    """Fill in each account's equity, and what it needs where that is asked for."""
    for i in range(len(account)):
        owner = np.uint64(account[i])
        if len(equities):
            equity[i] = equities[owner]
        else:
            prefetch(wallets, np.int64(account[min(i + AHEAD, len(account) - 1)]))
            equity[i] = wallets[owner, BALANCE] + wallets[owner, UNREALIZED_PNL]
    for i in range(len(margins)):
        margins[i] = wallets[np.uint64(account[i]), MAINTENANCE]


@compiled(t.void(I4, B1, B1, I8, I8, I8, WALLETS, I8, B1, t.boolean, I8, I8, B1))
def _stand(
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
    margins,
    standing,
):
    """Fill in what the margin bucket holds and needs, and who stands in line."""
    n = len(account)
    _gather(account, wallets, equities, equity, margins)
    if _any(isolated):
        for i in range(n):
            if isolated[i]:
                equity[i] = margin[i] + unrealized_pnl[i]
        for i in range(len(margins)):
            if isolated[i]:
                margins[i] = maintenance[i]
    for i in range(n):
        standing[i] = equity[i] > 0
    if profitable_only:
        for i in range(n):
            standing[i] &= unrealized_pnl[i] > 0
    if _any(under_liquidation):
        for i in range(n):
            standing[i] &= not under_liquidation[i]
    if len(exempt):
        for i in range(n):
            standing[i] &= not exempt[account[i]]


SCORED = I4, B1, B1, I8, I8, I8, I8, I8, I8, WALLETS, I8, B1, PAIR, PAIR, t.boolean, F8, B1


@compiled(t.void(*SCORED))
def _score(
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
    standing,
):
    n, asked = len(account), (gain[0], gain[1], leverage[0], leverage[1])
    needed = n if MARGINS in asked or COVER in asked else 0
    scratch = np.empty((3, n), np.int64)
    equity, margins, levered = scratch[0], scratch[1, :needed], scratch[2].view(np.float64)
    columns = account, isolated, under_liquidation, margin, unrealized_pnl, maintenance
    _stand(*columns, wallets, equities, exempt, profitable_only, equity, margins, standing)
    parts = unrealized_pnl, cost, maintenance, equity, margins, joint_pnl, joint_notional
    _take(gain[0], False, *parts, score)
    _take(gain[1], True, *parts, score)
    _take(leverage[0], False, *parts, levered)
    _take(leverage[1], True, *parts, levered)
    for i in range(n):
        up, down = score[i] * levered[i], score[i] / levered[i]
        down = down if levered[i] != 0 else np.float64(0)
        score[i] = up if score[i] > 0 else down


def score_products(*columns):
    none = np.empty(0, np.int64)
    _score(*columns[:10], none, *columns[10:])


AROUND = t.Tuple((WALLETS, I8, B1, I4))
KINDS = t.Tuple((PAIR, PAIR, t.boolean))


@compiled(t.void(I8, TABLE, TABLE, AROUND, KINDS, t.int64, t.boolean, I4, I1))
def _show_table(sizes, columns, joined, around, kinds, levels, by_count, rank, indicator):
    wallets, equities, exempt, account_order = around
    most = max(sizes)
    score, standing = np.empty(most, np.float64), np.empty(most, np.bool_)
    keys, spare = np.empty(most, np.uint64), np.empty(most, np.uint64)
    rows, none, end = np.empty(most, np.int32), np.empty(0, np.int64), 0
    for table in range(len(sizes)):
        size, at, joint = sizes[table], columns[table], joined[table]
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
        shown = rank[first:end], indicator[first:end]
        spread(order, place, lots, levels, by_count, *shown, none)


@compiled(I8(WALLETS))
def _equities(wallets):
    equity = np.empty(len(wallets), np.int64)
    for i in range(len(wallets)):
        equity[i] = wallets[i, BALANCE] + wallets[i, UNREALIZED_PNL]
    return equity


def rank_sides(tables, joint, wallets, exempt, account_order, *ranking):
    *kinds, levels, by_count, rank, indicator, each = ranking
    sizes = np.array([len(table.place) for table in tables])
    columns = table_at([table.where for table in tables])
    joined = np.zeros((len(tables), 3), np.int64)
    for table, (unrealized_pnl, notional) in enumerate(joint):
        joined[table] = len(unrealized_pnl), unrealized_pnl.ctypes.data, notional.ctypes.data
    # Many rows find equity in a column of its own sooner than in all the wallets.
    equities = _equities(wallets if len(rank) >= len(wallets) else wallets[:0])
    around = wallets, equities, exempt, account_order

    def show(part):
        those, at = part
        tables = sizes[those], columns[those], joined[those]
        _show_table(*tables, around, tuple(kinds), levels, by_count, rank[at], indicator[at])

    for _ in each(show, parts_of(sizes, len(rank))):
        pass
