"""The kernels compiled by Numba: serial, without the GIL, kept on disk between runs.

Only `delever.core.kernels` imports this module, and only when a book is large enough. Each function
equals the one of its name in `plain`, where it is described. No fast-math: every operation is
rounded as IEEE 754 says, so results are the same bits.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - described in `plain`; what Numba compiles is written out

import numpy as np
from llvmlite import ir
from numba import types as t
from numba.core import cgutils
from numba.extending import intrinsic

from delever.core.kernels.compiled_lines import (
    B1,
    F8,
    I1,
    I4,
    I8,
    WALLETS,
    compiled,
    line_up,
    spread,
    until_filled,
)
from delever.core.kernels.plain import (
    BALANCE,
    CHANGED_AT,
    HASH_ACCOUNT,
    HASH_POSITION,
    MAINTENANCE,
    PROFIT,
)

__all__ = [
    "contribute",
    "find_rows",
    "is_stale",
    "leave_rows",
    "line_up",
    "place_rows",
    "revalue",
    "score_products",
    "show_lane",
    "spread",
    "until_filled",
    "value_rows",
]

PAIR = t.UniTuple(t.int64, 2)
AHEAD = 24
"""How many rows ahead a wallet is asked for."""
COVER = 7
"""The place of `cover` among the parts of a score; computed only where it is wanted."""


@intrinsic
def _prefetch(_typing_context, table, row):
    """Ask for a row of a table ahead of its use: what is gathered is rarely in the cache."""

    def build(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        bytes_in = builder.mul(arguments[1], builder.extract_value(array.strides, 0))
        start = builder.ptrtoint(array.data, ir.IntType(64))
        place = builder.inttoptr(builder.add(start, bytes_in), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [place, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return t.void(table, row), build


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
    tier = len(tier_from) - 1
    while tier > 0 and tier_from[tier] > notional:
        tier -= 1
    millions = np.uint64(notional) // np.uint64(1_000_000)
    rest = np.uint64(notional) - millions * np.uint64(1_000_000)
    rate = np.uint64(tier_rate[tier])
    part = (rest * rate + np.uint64(999_999)) // np.uint64(1_000_000)
    return np.int64(millions * rate + part) - tier_deduction[tier]


@compiled(t.void(I8, I8, t.int64, t.int64, I8, I8, I8, I8, I8))
def value_rows(
    lots, cost, factor, ticks, tier_from, tier_rate, tier_deduction, profit, maintenance
):
    for i in range(len(lots)):
        value = lots[i] * factor
        if ticks:
            value = _over(value, ticks)
        profit[i] = value - cost[i]
        maintenance[i] = _maintenance(abs(value), tier_from, tier_rate, tier_deduction)


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
    profit,
    maintenance,
    wallets,
    sequence,
):
    last = len(lots) - 1
    for i in range(len(lots)):
        _prefetch(wallets, np.int64(account[min(i + AHEAD, last)]))
        value = lots[i] * factor
        if ticks:
            value = _over(value, ticks)
        now = value - cost[i]
        margin = _maintenance(abs(value), tier_from, tier_rate, tier_deduction)
        moved, margin_moved = now - profit[i], margin - maintenance[i]
        profit[i], maintenance[i] = now, margin
        if not isolated[i] and (moved != 0 or margin_moved != 0):
            owner = account[i]
            wallets[owner, PROFIT] += moved
            wallets[owner, MAINTENANCE] += margin_moved
            wallets[owner, CHANGED_AT] = sequence


@compiled(t.void(I8, I4, B1, I8, I8, t.int64, WALLETS, t.int64))
def contribute(rows, account, isolated, profit, maintenance, sign, wallets, sequence):
    for row in rows:
        if not isolated[row]:
            owner = account[row]
            wallets[owner, PROFIT] += sign * profit[row]
            wallets[owner, MAINTENANCE] += sign * maintenance[row]
            wallets[owner, CHANGED_AT] = sequence


@compiled(t.boolean(I4, WALLETS, t.int64))
def is_stale(account, wallets, since):
    last = len(account) - 1
    for i in range(len(account)):
        _prefetch(wallets, np.int64(account[min(i + AHEAD, last)]))
        if wallets[account[i], CHANGED_AT] > since:
            return True
    return False


@compiled(t.float64(t.float64, t.float64))
def _ratio(numerator, denominator):
    return numerator / denominator if denominator != 0 else np.float64(0)


@compiled(t.void(I4, B1, B1, I8, I8, I8, I8, I8, I8, WALLETS, B1, PAIR, PAIR, t.boolean, F8, B1))
def score_products(
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
):
    joint = len(joint_profit) > 0
    covers = leverage[1] == COVER or leverage[0] == COVER or gain[0] == COVER or gain[1] == COVER
    parts = np.zeros(COVER + 1, np.float64)
    last = len(account) - 1
    for i in range(len(account)):
        _prefetch(wallets, np.int64(account[min(i + AHEAD, last)]))
        owner = account[i]
        if isolated[i]:
            equity, margins = margin[i] + profit[i], maintenance[i]
        else:
            equity = wallets[owner, BALANCE] + wallets[owner, PROFIT]
            margins = wallets[owner, MAINTENANCE]
        notional = abs(cost[i] + profit[i])
        parts[0] = profit[i]
        parts[1] = notional
        parts[2] = abs(cost[i])
        parts[3] = equity
        parts[4] = margins
        parts[5] = joint_profit[i] if joint else profit[i]
        parts[6] = joint_notional[i] if joint else notional
        if covers:
            share = (
                np.float64(maintenance[i]) / np.float64(margins) if margins != 0 else np.float64(1)
            )
            parts[COVER] = np.float64(equity) * share
        gained = _ratio(parts[gain[0]], parts[gain[1]])
        levered = _ratio(parts[leverage[0]], parts[leverage[1]])
        score[i] = gained * levered if gained > 0 else _ratio(gained, levered)
        eligible = equity > 0 and not under_liquidation[i] and not exempt[owner]
        standing[i] = eligible and (profit[i] > 0 or not profitable_only)


@compiled(
    t.void(
        *(I4, I4, B1, B1, I8, I8, I8, I8, I8, I8, I8, WALLETS, B1, I4),
        *(PAIR, PAIR, t.boolean, t.int64, t.boolean, I4, I4, I1),
    )
)
def show_lane(
    account,
    position,
    isolated,
    under_liquidation,
    lots,
    cost,
    margin,
    profit,
    maintenance,
    joint_profit,
    joint_notional,
    wallets,
    exempt,
    account_order,
    gain,
    leverage,
    profitable_only,
    levels,
    by_count,
    place,
    rank,
    light,
):
    score, standing = np.empty(len(account)), np.empty(len(account), np.bool_)
    score_products(
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
    )
    order = line_up(score, standing, account, account_order, position)
    spread(order, place, lots, levels, by_count, rank, light, np.empty(0, np.int64))
