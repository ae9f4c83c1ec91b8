"""The compiled kernels that put positions in line and spread ranks and lights over them.

A score is sorted by its leading bits, digit by digit; the short runs that are left equal are put in
order one by one, with their ties.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - described in `plain`; what Numba compiles is written out

import numba
import numpy as np
from numba import types as t

I1, I4, I8 = t.int8[::1], t.int32[::1], t.int64[::1]
U8, F8, B1 = t.uint64[::1], t.float64[::1], t.boolean[::1]
WALLETS = t.int64[:, ::1]

WIDE_DIGIT = 4096
"""Rows from which digits of 11 bits sort faster than digits of 8."""
LEADING_BIT = 31
"""A first sort is by the bits from here on; what they leave equal is put in order run by run."""
SHORT_RUN = 24
"""Up to so many equal leading bits are put in order by insertion."""


def compiled(signature):
    """Compile at once for these types, or take what an earlier run has kept on disk."""
    options = {"nogil": True, "error_model": "numpy"}

    def decorate(function):
        try:
            return numba.njit(signature, cache=True, **options)(function)
        except (OSError, RuntimeError):  # there is nowhere to keep it
            return numba.njit(signature, **options)(function)

    return decorate


@compiled(t.void(U8, I4, U8, I4, t.int64, t.int64))
def _sort_by_digits(keys, rows, spare_keys, spare_rows, low_bit, high_bit):
    """Sort rows by bits low_bit..high_bit-1 of their keys; equal ones stay as they stand."""
    width = 11 if len(keys) >= WIDE_DIGIT else 8
    counts = np.empty(1 << width, np.uint64)  # unsigned: a place that cannot count from the end
    mask = np.uint64((1 << width) - 1)
    from_keys, from_rows, to_keys, to_rows = keys, rows, spare_keys, spare_rows
    swapped = False
    for bit in range(low_bit, high_bit, width):
        shift = np.uint64(bit)
        counts[:] = 0
        for i in range(len(from_keys)):
            counts[(from_keys[i] >> shift) & mask] += np.uint64(1)
        if counts[(from_keys[0] >> shift) & mask] == len(from_keys):
            continue
        place = np.uint64(0)
        for digit in range(len(counts)):
            here = counts[digit]
            counts[digit] = place
            place += here
        for i in range(len(from_keys)):
            digit = (from_keys[i] >> shift) & mask
            place = counts[digit]
            counts[digit] = place + np.uint64(1)
            to_keys[place] = from_keys[i]
            to_rows[place] = from_rows[i]
        from_keys, from_rows, to_keys, to_rows = to_keys, to_rows, from_keys, from_rows
        swapped = not swapped
    if swapped:
        keys[:] = spare_keys
        rows[:] = spare_rows


@compiled(t.boolean(t.uint64, t.int32, t.uint64, t.int32, I4, I4, I4))
def _stands_before(key, row, other_key, other, account, account_order, position):
    if key != other_key:
        return key < other_key
    place, other_place = account_order[account[row]], account_order[account[other]]
    if place != other_place:
        return place < other_place
    return position[row] < position[other]


@compiled(t.void(U8, I4, t.int64, t.int64, I4, I4, I4))
def _insert(keys, rows, first, end, account, account_order, position):
    for i in range(first + 1, end):
        key, row, place = keys[i], rows[i], i
        while place > first and _stands_before(
            key, row, keys[place - 1], rows[place - 1], account, account_order, position
        ):
            keys[place], rows[place] = keys[place - 1], rows[place - 1]
            place -= 1
        keys[place], rows[place] = key, row


@compiled(t.uint64(t.uint64))
def _descending(bits):
    """Return a key that falls as the float of these bits rises; 0 and -0 have the same."""
    top = np.uint64(1) << np.uint64(63)
    if bits > top:
        return bits
    return ~(bits | top)


@compiled(t.void(U8, I4, U8, I4, U8, I4, I4, I4))
def _sort_run(keys, rows, spare_keys, spare_rows, bits, account, account_order, position):
    """Sort a long run of equal leading bits by what is left: key, then both ties."""
    for i in range(len(rows)):
        keys[i] = np.uint64(position[rows[i]])
    _sort_by_digits(keys, rows, spare_keys, spare_rows, 0, 32)
    for i in range(len(rows)):
        keys[i] = np.uint64(account_order[account[rows[i]]])
    _sort_by_digits(keys, rows, spare_keys, spare_rows, 0, 32)
    for i in range(len(rows)):
        keys[i] = _descending(bits[rows[i]])
    _sort_by_digits(keys, rows, spare_keys, spare_rows, 0, LEADING_BIT + 1)


@compiled(I4(F8, B1, I4, I4, I4))
def line_up(score, standing, account, account_order, position):
    keys, spare_keys = np.empty(len(score), np.uint64), np.empty(len(score), np.uint64)
    rows, spare_rows = np.empty(len(score), np.int32), np.empty(len(score), np.int32)
    bits, n = score.view(np.uint64), np.uint64(0)
    for i in range(len(score)):
        keys[n], rows[n] = _descending(bits[i]), i
        n += np.uint64(standing[i])
    n = np.int64(n)
    keys, spare_keys, rows, spare_rows = keys[:n], spare_keys[:n], rows[:n], spare_rows[:n]
    if n <= SHORT_RUN:
        _insert(keys, rows, 0, n, account, account_order, position)
        return rows
    _sort_by_digits(keys, rows, spare_keys, spare_rows, LEADING_BIT, 64)
    leading, first = np.uint64(LEADING_BIT), 0
    while first < n:
        end = first + 1
        while end < n and keys[end] >> leading == keys[first] >> leading:
            end += 1
        if end - first > SHORT_RUN:
            _sort_run(
                keys[first:end],
                rows[first:end],
                spare_keys[first:end],
                spare_rows[first:end],
                bits,
                account,
                account_order,
                position,
            )
        elif end - first > 1:
            _insert(keys, rows, first, end, account, account_order, position)
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
    counts_lots = len(ahead) > 0 or not by_count
    for i in range(n):
        row = order[i]
        target = place[row]
        rank[target] = i + 1
        if counts_lots:
            if len(ahead):
                ahead[target] = through
            through += lots[row]
        part = i + 1 if by_count else through
        while (levels - level + 1) * whole < levels * part:
            level -= 1
        light[target] = level
    if by_count and n:
        light[place[order[0]]] = levels


@compiled(t.int64(I4, I8, t.int64))
def until_filled(order, lots, wanted):
    through = 0
    for i in range(len(order)):
        if through >= wanted:
            return i
        through += lots[order[i]]
    return len(order)
