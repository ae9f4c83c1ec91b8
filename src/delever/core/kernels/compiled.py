"""The kernels compiled by Numba: serial, without the GIL, kept on disk between runs.

Only `delever.core.kernels` imports this module, and only when a book is large enough. Each function
equals the one of its name in `plain`, where it is described. No fast-math: every operation is
rounded as IEEE 754 says, so results are the same bits.
"""

# mypy: ignore-errors
# ruff: noqa: D103, ANN, RUF100 - described in `plain`

import numba
import numpy as np
from numba import types as t

from delever.core.kernels.plain import HASH_ACCOUNT, HASH_POSITION

I1, I4, I8 = t.int8[::1], t.int32[::1], t.int64[::1]
U8, F8, B1 = t.uint64[::1], t.float64[::1], t.boolean[::1]
PAIR = t.UniTuple(t.int64, 2)
COVER = 7
"""The place of `cover` among the parts of a score; computed only where it is wanted."""
WIDE_DIGIT = 4096
"""Rows from which digits of 11 bits sort faster than digits of 8."""
LEADING_BIT = 31
"""A first sort is by the bits from here on; what they leave equal is put in order run by run."""
SHORT_RUN = 24
"""Up to so many equal leading bits are put in order by insertion."""


def compiled(signature):
    return numba.njit(signature, cache=True, nogil=True, error_model="numpy")


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


@compiled(
    t.void(I4, B1, I8, I8, t.int64, t.int64, I8, I8, I8, I8, I8, I8, I8, I8, t.int64)
)
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
    wallet_profit,
    wallet_maintenance,
    wallet_sequence,
    sequence,
):
    for i in range(len(lots)):
        value = lots[i] * factor
        if ticks:
            value = _over(value, ticks)
        now = value - cost[i]
        margin = _maintenance(abs(value), tier_from, tier_rate, tier_deduction)
        moved, margin_moved = now - profit[i], margin - maintenance[i]
        profit[i], maintenance[i] = now, margin
        if not isolated[i] and (moved != 0 or margin_moved != 0):
            owner = account[i]
            wallet_profit[owner] += moved
            wallet_maintenance[owner] += margin_moved
            wallet_sequence[owner] = sequence


@compiled(t.boolean(I4, I8, t.int64))
def is_stale(account, wallet_sequence, since):
    for i in range(len(account)):
        if wallet_sequence[account[i]] > since:
            return True
    return False


@compiled(t.float64(t.float64, t.float64))
def _ratio(numerator, denominator):
    return numerator / denominator if denominator != 0.0 else 0.0


@compiled(
    t.void(I4, B1, B1, I8, I8, I8, I8, I8, I8, I8, I8, I8, B1, PAIR, PAIR, t.boolean, F8, B1)
)
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
    wallet_balance,
    wallet_profit,
    wallet_maintenance,
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
    for i in range(len(account)):
        owner = account[i]
        if isolated[i]:
            equity, margins = margin[i] + profit[i], maintenance[i]
        else:
            equity = wallet_balance[owner] + wallet_profit[owner]
            margins = wallet_maintenance[owner]
        notional = abs(cost[i] + profit[i])
        parts[0] = profit[i]
        parts[1] = notional
        parts[2] = abs(cost[i])
        parts[3] = equity
        parts[4] = margins
        parts[5] = joint_profit[i] if joint else profit[i]
        parts[6] = joint_notional[i] if joint else notional
        if covers:
            share = np.float64(maintenance[i]) / np.float64(margins) if margins != 0 else 1.0
            parts[COVER] = np.float64(equity) * share
        gained = _ratio(parts[gain[0]], parts[gain[1]])
        levered = _ratio(parts[leverage[0]], parts[leverage[1]])
        score[i] = gained * levered if gained > 0.0 else _ratio(gained, levered)
        eligible = equity > 0 and not under_liquidation[i] and not exempt[owner]
        standing[i] = eligible and (profit[i] > 0 or not profitable_only)


@compiled(t.void(U8, I4, U8, I4, t.int64, t.int64, t.int64, t.int64))
def _sort_by_digits(keys, rows, spare_keys, spare_rows, first, end, low_bit, high_bit):
    """Sort rows first..end-1 by bits low_bit..high_bit-1 of their keys; equal ones stay in order."""
    width = 11 if end - first >= WIDE_DIGIT else 8
    counts = np.empty(1 << width, np.int64)
    mask = np.uint64((1 << width) - 1)
    from_keys, from_rows, to_keys, to_rows = keys, rows, spare_keys, spare_rows
    swapped = False
    for bit in range(low_bit, high_bit, width):
        shift = np.uint64(bit)
        counts[:] = 0
        for i in range(first, end):
            counts[(from_keys[i] >> shift) & mask] += 1
        if counts[(from_keys[first] >> shift) & mask] == end - first:
            continue
        place = first
        for digit in range(len(counts)):
            here = counts[digit]
            counts[digit] = place
            place += here
        for i in range(first, end):
            digit = (from_keys[i] >> shift) & mask
            place = counts[digit]
            counts[digit] = place + 1
            to_keys[place] = from_keys[i]
            to_rows[place] = from_rows[i]
        from_keys, from_rows, to_keys, to_rows = to_keys, to_rows, from_keys, from_rows
        swapped = not swapped
    if swapped:
        keys[first:end] = spare_keys[first:end]
        rows[first:end] = spare_rows[first:end]


@compiled(t.boolean(t.uint64, t.int32, t.uint64, t.int32, I8, I8))
def _stands_before(key, row, other_key, other, tie, then):
    if key != other_key:
        return key < other_key
    if tie[row] != tie[other]:
        return tie[row] < tie[other]
    return then[row] < then[other]


@compiled(t.void(U8, I4, t.int64, t.int64, I8, I8))
def _insert(keys, rows, first, end, tie, then):
    for i in range(first + 1, end):
        key, row, place = keys[i], rows[i], i
        while place > first and _stands_before(
            key, row, keys[place - 1], rows[place - 1], tie, then
        ):
            keys[place], rows[place] = keys[place - 1], rows[place - 1]
            place -= 1
        keys[place], rows[place] = key, row


@compiled(t.uint64(t.uint64))
def _descending(bits):
    """Return a key that falls as the float of these bits rises."""
    top = np.uint64(1) << np.uint64(63)
    if bits & top:
        return bits
    return ~(bits | top)


@compiled(t.void(U8, I4, U8, I4, t.int64, t.int64, U8, I8, I8))
def _sort_run(keys, rows, spare_keys, spare_rows, first, end, key_of, tie, then):
    """Sort a long run of equal leading bits by what is left: key, then both ties."""
    for i in range(first, end):
        keys[i] = np.uint64(then[rows[i]])
    _sort_by_digits(keys, rows, spare_keys, spare_rows, first, end, 0, 32)
    for i in range(first, end):
        keys[i] = np.uint64(tie[rows[i]])
    _sort_by_digits(keys, rows, spare_keys, spare_rows, first, end, 0, 32)
    for i in range(first, end):
        keys[i] = _descending(key_of[rows[i]])
    _sort_by_digits(keys, rows, spare_keys, spare_rows, first, end, 0, LEADING_BIT + 1)


@compiled(I4(F8, B1, I8, I8))
def line_up(score, standing, tie, then):
    n = 0
    for i in range(len(score)):
        n += standing[i]
    keys, spare_keys = np.empty(n, np.uint64), np.empty(n, np.uint64)
    rows, spare_rows = np.empty(n, np.int32), np.empty(n, np.int32)
    key_of = (score + 0.0).view(np.uint64)  # -0.0 and 0.0 are equal
    n = 0
    for i in range(len(score)):
        if standing[i]:
            keys[n], rows[n] = _descending(key_of[i]), i
            n += 1
    if n <= SHORT_RUN:
        _insert(keys, rows, 0, n, tie, then)
        return rows
    _sort_by_digits(keys, rows, spare_keys, spare_rows, 0, n, LEADING_BIT, 64)
    leading, first = np.uint64(LEADING_BIT), 0
    while first < n:
        end = first + 1
        while end < n and keys[end] >> leading == keys[first] >> leading:
            end += 1
        if end - first > SHORT_RUN:
            _sort_run(keys, rows, spare_keys, spare_rows, first, end, key_of, tie, then)
        elif end - first > 1:
            _insert(keys, rows, first, end, tie, then)
        first = end
    return rows


@compiled(t.void(I4, I4, I8, t.int64, t.boolean, I4, I1, I8))
def spread(order, place, lots, levels, by_count, rank, light, ahead):
    rank[:] = 0
    light[:] = 0
    ahead[:] = 0
    n, total, through = len(order), 0, 0
    if not by_count:
        for i in range(n):
            total += lots[order[i]]
    # Levels fall as the line goes on: a boundary is a multiplication, not a division a row.
    level, part, whole = levels, 0, n if by_count else total
    for i in range(n):
        row = order[i]
        target = place[row]
        rank[target] = i + 1
        if len(ahead):
            ahead[target] = through
        through += lots[row]
        part = i + 1 if by_count else through
        while (levels - level + 1) * whole < levels * part:
            level -= 1
        light[target] = level
    if by_count and n:
        light[place[order[0]]] = levels


@compiled(
    t.void(
        *(I4, I4, B1, B1, I8, I8, I8, I8, I8, I8, I8, I8, I8, I8, B1, I8),
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
    wallet_balance,
    wallet_profit,
    wallet_maintenance,
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
        wallet_balance,
        wallet_profit,
        wallet_maintenance,
        exempt,
        gain,
        leverage,
        profitable_only,
        score,
        standing,
    )
    tie, then = np.empty(len(account), np.int64), np.empty(len(account), np.int64)
    for i in range(len(account)):
        tie[i], then[i] = account_order[account[i]], position[i]
    order = line_up(score, standing, tie, then)
    spread(order, place, lots, levels, by_count, rank, light, np.empty(0, np.int64))


@compiled(t.int64(I4, I8, t.int64))
def until_filled(order, lots, wanted):
    through = 0
    for i in range(len(order)):
        if through >= wanted:
            return i
        through += lots[order[i]]
    return len(order)
