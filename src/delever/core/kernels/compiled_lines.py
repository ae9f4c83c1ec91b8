"""The compiled kernels that put positions in line and spread ranks and indicators over them.

Gainers and losers are sorted apart, so that what is left of their scores varies in few bits. Those
are packed above the row's number and sorted digit by digit; what the kept bits leave equal is
settled run by run, with its ties.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - described in `plain`; what Numba compiles is written out

import numpy as np
from numba import types as t

from delever.core.kernels.compiled_types import B1, F8, I1, I4, I8, U8, compiled

WIDE_DIGIT = 2048
"""Rows from which digits of 11 bits sort faster than digits of 8."""
SHORT_RUN = 24
"""Up to so many rows are put in order by insertion."""
ROW_BITS, ROW = 32, 0xFFFFFFFF
"""The low half of a packed key is the row."""
FEW_BITS = 60
"""Scores that vary in no more bits are told apart well enough by two digits, others by three."""


@compiled(t.uint64(t.uint64))
def _descending(bits):
    """Return a key that falls as the float of these bits rises; 0 and -0 have the same."""
    top = np.uint64(1) << np.uint64(63)
    if bits > top:
        return bits
    return ~(bits | top)


@compiled(U8(U8, U8, t.int64, t.int64))
def _sort_by_digits(keys, spare, kept_bits, width):
    """Sort packed keys by the kept bits above their rows; equal ones stay as they stand."""
    counts = np.empty(1 << width, np.uint32)
    mask = np.uint64((1 << width) - 1)
    source, target = keys, spare
    for bit in range(ROW_BITS, ROW_BITS + kept_bits, width):
        shift = np.uint64(bit)
        counts[:] = 0
        for i in range(len(source)):
            counts[(source[i] >> shift) & mask] += np.uint32(1)
        place = np.uint32(0)
        for digit in range(len(counts)):
            here = counts[digit]
            counts[digit] = place
            place += here
        for i in range(len(source)):
            digit = (source[i] >> shift) & mask
            place = counts[digit]
            counts[digit] = place + np.uint32(1)
            target[place] = source[i]
        source, target = target, source
    return source


@compiled(t.boolean(t.int32, t.int32, U8, I4, I4, I4))
def _stands_before(row, other, bits, account, account_order, position):
    key, other_key = _descending(bits[row]), _descending(bits[other])
    if key != other_key:
        return key < other_key
    place, other_place = account_order[account[row]], account_order[account[other]]
    if place != other_place:
        return place < other_place
    return position[row] < position[other]


@compiled(t.void(I4, U8, I4, I4, I4))
def _insert(rows, bits, account, account_order, position):
    for i in range(1, len(rows)):
        row, place = rows[i], i
        while place > 0 and _stands_before(
            row, rows[place - 1], bits, account, account_order, position
        ):
            rows[place] = rows[place - 1]
            place -= 1
        rows[place] = row


@compiled(t.void(U8, U8, I4))
def _resort(keys, spare, rows):
    """Sort rows by the keys of 32 bits filled in for them; equal ones stay as they stand."""
    for i in range(len(rows)):
        keys[i] = keys[i] << np.uint64(ROW_BITS) | np.uint64(rows[i])
    found = _sort_by_digits(keys, spare, ROW_BITS, 11)
    for i in range(len(rows)):
        rows[i] = np.int32(found[i] & np.uint64(ROW))


@compiled(t.void(I4, U8, I4, I4, I4))
def _settle(rows, bits, account, account_order, position):
    """Sort a long run of equal leading bits by all there is: position, account, then score."""
    keys, spare = np.empty(len(rows), np.uint64), np.empty(len(rows), np.uint64)
    for i in range(len(rows)):
        keys[i] = np.uint64(position[rows[i]])
    _resort(keys, spare, rows)
    for i in range(len(rows)):
        keys[i] = np.uint64(account_order[account[rows[i]]])
    _resort(keys, spare, rows)
    for i in range(len(rows)):
        keys[i] = _descending(bits[rows[i]]) & np.uint64(ROW)
    _resort(keys, spare, rows)
    for i in range(len(rows)):
        keys[i] = _descending(bits[rows[i]]) >> np.uint64(ROW_BITS)
    _resort(keys, spare, rows)


@compiled(t.void(U8, I4, U8, I4, I4, I4))
def _settle_runs(keys, rows, bits, account, account_order, position):
    """Put those in order whose packed keys, sorted, are equal but for the row."""
    end, above = 0, np.uint64(ROW_BITS)
    while end < len(rows):
        first, leading = end, keys[end] >> above
        end += 1
        while end < len(rows) and keys[end] >> above == leading:
            end += 1
        if end - first > SHORT_RUN:
            _settle(rows[first:end], bits, account, account_order, position)
        elif end - first > 1:
            _insert(rows[first:end], bits, account, account_order, position)


@compiled(t.void(U8, U8, I4, U8, I4, I4, I4))
def _sort_part(keys, spare, rows, bits, account, account_order, position):
    """Put in line the rows that stand in `keys`."""
    if len(rows) <= SHORT_RUN:
        for i in range(len(rows)):
            rows[i] = np.int32(keys[i])
        _insert(rows, bits, account, account_order, position)
        return
    lowest, highest = ~np.uint64(0), np.uint64(0)
    for i in range(len(rows)):
        spare[i] = _descending(bits[keys[i]])
        lowest, highest = min(lowest, spare[i]), max(highest, spare[i])
    varying, span = 0, highest - lowest
    while span > 0:
        span >>= np.uint64(1)
        varying += 1
    width = 11 if len(rows) >= WIDE_DIGIT else 8
    kept = min(varying, width * (2 if varying <= FEW_BITS else 3), ROW_BITS)
    shift, above = np.uint64(varying - kept), np.uint64(ROW_BITS)
    for i in range(len(rows)):
        keys[i] = (spare[i] - lowest) >> shift << above | keys[i]
    found = _sort_by_digits(keys, spare, kept, width)
    for i in range(len(rows)):
        rows[i] = np.int32(found[i] & np.uint64(ROW))
    _settle_runs(found, rows, bits, account, account_order, position)


@compiled(I4(F8, B1, I4, I4, I4, U8, U8, I4))
def line_up_in(score, standing, account, account_order, position, keys, spare, rows):
    """Put rows in line in the room given, of their number or more."""
    gainers, losers = np.uint64(0), np.uint64(0)
    for i in range(len(score)):
        stands = np.uint64(standing[i])
        gains = np.uint64(score[i] > 0) & stands
        keys[gainers], spare[losers] = i, i
        gainers += gains
        losers += stands - gains
    first, n = np.int64(gainers), np.int64(gainers + losers)
    keys[first:n] = spare[: n - first]
    ties = score.view(np.uint64), account, account_order, position
    _sort_part(keys[:first], spare[:first], rows[:first], *ties)
    _sort_part(keys[first:n], spare[first:n], rows[first:n], *ties)
    return rows[:n]


def line_up(score, standing, account, account_order, position):
    n = len(score)
    room = np.empty(n, np.uint64), np.empty(n, np.uint64), np.empty(n, np.int32)
    return line_up_in(score, standing, account, account_order, position, *room)


@compiled(t.void(I4, t.int64, t.int64, I1))
def _indicator_by_count(rank, n, levels, indicator):
    """Fill in indicators from ranks: a plain loop for each level that a row may have."""
    indicator[:] = 0
    for level in range(levels):
        last = np.uint32(n * (levels - level) // levels)
        for i in range(len(rank)):
            indicator[i] += np.uint32(rank[i] - 1) < last


@compiled(t.void(I4, I4, I8, t.int64, I1))
def _indicator_by_lots(order, place, lots, levels, indicator):
    indicator[:] = 0
    level, through, whole = levels, 0, lots[order].sum()
    # Levels fall as the line goes on: a boundary is a multiplication, not a division a row.
    for row in order:
        through += lots[row]
        while (levels - level + 1) * whole < levels * through:
            level -= 1
        indicator[place[row]] = level


@compiled(t.void(I4, I4, I8, t.int64, t.boolean, I4, I1, I8))
def spread(order, place, lots, levels, by_count, rank, indicator, ahead):
    rank[:] = 0
    ahead[:] = 0
    through = 0
    for i in range(len(order)):
        target = place[order[i]]
        rank[target] = i + 1
        if len(ahead):
            ahead[target] = through
            through += lots[order[i]]
    if by_count:
        _indicator_by_count(rank, len(order), levels, indicator)
        if len(order):
            indicator[place[order[0]]] = levels
    else:
        _indicator_by_lots(order, place, lots, levels, indicator)


@compiled(t.int64(I4, I8, t.int64))
def until_filled(order, lots, wanted):
    through = 0
    for i in range(len(order)):
        if through >= wanted:
            return i
        through += lots[order[i]]
    return len(order)
