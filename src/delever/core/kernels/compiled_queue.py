"""Compiled kernels that sort a queue and compute ranks and indicators.

Positive and other scores are sorted separately, so that each part varies in few bits. The leading
varying bits are packed above the row number and radix-sorted; rows that are equal in those bits are
sorted run by run, by full score and ties.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - documented in `plain`; code for Numba is written out

import numpy as np
from numba import types as t

from delever.core.kernels.compiled_types import B1, F8, I1, I4, I8, U8, compiled

WIDE_DIGIT_MIN_ROWS = 2048
"""Rows from which digits of 11 bits sort faster than digits of 8 bits."""
INSERTION_SORT_MAX = 24
"""Rows up to which insertion sort is used."""
ROW_BITS, ROW_MASK = 32, 0xFFFFFFFF
"""A packed key has the row in its low half and leading bits of the score in the high half."""
TWO_DIGITS_MAX_BITS = 60
"""Up to this many varying bits two digits distinguish scores well enough; more need three."""


@compiled(t.uint64(t.uint64))
def _descending(bits):
    """Return a key that is smaller for a larger float with these bits; 0 and -0 are equal."""
    top = np.uint64(1) << np.uint64(63)
    if bits > top:
        return bits
    return ~(bits | top)


@compiled(U8(U8, U8, t.int64, t.int64))
def _radix_sort(keys, spare, key_bits, width):
    """Sort packed keys by the key bits above their rows; the sort is stable."""
    counts = np.empty(1 << width, np.uint32)
    mask = np.uint64((1 << width) - 1)
    source, target = keys, spare
    for bit in range(ROW_BITS, ROW_BITS + key_bits, width):
        shift = np.uint64(bit)
        counts[:] = 0
        for i in range(len(source)):
            counts[(source[i] >> shift) & mask] += np.uint32(1)
        place = np.uint32(0)
        for digit in range(len(counts)):
            count = counts[digit]
            counts[digit] = place
            place += count
        for i in range(len(source)):
            digit = (source[i] >> shift) & mask
            place = counts[digit]
            counts[digit] = place + np.uint32(1)
            target[place] = source[i]
        source, target = target, source
    return source


@compiled(t.boolean(t.int32, t.int32, U8, I4, I4, I4))
def _precedes(row, other, bits, account, account_order, position):
    key, other_key = _descending(bits[row]), _descending(bits[other])
    if key != other_key:
        return key < other_key
    place, other_place = account_order[account[row]], account_order[account[other]]
    if place != other_place:
        return place < other_place
    return position[row] < position[other]


@compiled(t.void(I4, U8, I4, I4, I4))
def _insertion_sort(rows, bits, account, account_order, position):
    for i in range(1, len(rows)):
        row, place = rows[i], i
        while place > 0 and _precedes(row, rows[place - 1], bits, account, account_order, position):
            rows[place] = rows[place - 1]
            place -= 1
        rows[place] = row


@compiled(t.void(U8, U8, I4))
def _sort_by_key(keys, spare, rows):
    """Sort rows by 32-bit keys, one a row; the sort is stable."""
    for i in range(len(rows)):
        keys[i] = keys[i] << np.uint64(ROW_BITS) | np.uint64(rows[i])
    found = _radix_sort(keys, spare, ROW_BITS, 11)
    for i in range(len(rows)):
        rows[i] = np.int32(found[i] & np.uint64(ROW_MASK))


@compiled(t.void(I4, U8, I4, I4, I4))
def _sort_ties(rows, bits, account, account_order, position):
    """Sort a long run with equal leading bits: by position, then account, then score, stably."""
    keys, spare = np.empty(len(rows), np.uint64), np.empty(len(rows), np.uint64)
    for i in range(len(rows)):
        keys[i] = np.uint64(position[rows[i]])
    _sort_by_key(keys, spare, rows)
    for i in range(len(rows)):
        keys[i] = np.uint64(account_order[account[rows[i]]])
    _sort_by_key(keys, spare, rows)
    for i in range(len(rows)):
        keys[i] = _descending(bits[rows[i]]) & np.uint64(ROW_MASK)
    _sort_by_key(keys, spare, rows)
    for i in range(len(rows)):
        keys[i] = _descending(bits[rows[i]]) >> np.uint64(ROW_BITS)
    _sort_by_key(keys, spare, rows)


@compiled(t.void(U8, I4, U8, I4, I4, I4))
def _sort_runs(keys, rows, bits, account, account_order, position):
    """Sort each run of rows whose packed keys are equal except for the row."""
    end, above = 0, np.uint64(ROW_BITS)
    while end < len(rows):
        first, leading = end, keys[end] >> above
        end += 1
        while end < len(rows) and keys[end] >> above == leading:
            end += 1
        if end - first > INSERTION_SORT_MAX:
            _sort_ties(rows[first:end], bits, account, account_order, position)
        elif end - first > 1:
            _insertion_sort(rows[first:end], bits, account, account_order, position)


@compiled(t.void(U8, U8, I4, U8, I4, I4, I4))
def _sort_part(keys, spare, rows, bits, account, account_order, position):
    """Sort the rows that `keys` contains into queue order."""
    if len(rows) <= INSERTION_SORT_MAX:
        for i in range(len(rows)):
            rows[i] = np.int32(keys[i])
        _insertion_sort(rows, bits, account, account_order, position)
        return
    lowest, highest = ~np.uint64(0), np.uint64(0)
    for i in range(len(rows)):
        spare[i] = _descending(bits[keys[i]])
        lowest, highest = min(lowest, spare[i]), max(highest, spare[i])
    varying, span = 0, highest - lowest
    while span > 0:
        span >>= np.uint64(1)
        varying += 1
    width = 11 if len(rows) >= WIDE_DIGIT_MIN_ROWS else 8
    key_bits = min(varying, width * (2 if varying <= TWO_DIGITS_MAX_BITS else 3), ROW_BITS)
    shift, above = np.uint64(varying - key_bits), np.uint64(ROW_BITS)
    for i in range(len(rows)):
        keys[i] = (spare[i] - lowest) >> shift << above | keys[i]
    found = _radix_sort(keys, spare, key_bits, width)
    for i in range(len(rows)):
        rows[i] = np.int32(found[i] & np.uint64(ROW_MASK))
    _sort_runs(found, rows, bits, account, account_order, position)


@compiled(I4(F8, B1, I4, I4, I4, U8, U8, I4))
def sort_queue_in(score, ranked, account, account_order, position, keys, spare, rows):
    """Sort a queue with the scratch arrays `keys`, `spare` and `rows`, each of enough rows."""
    gainers, losers = np.uint64(0), np.uint64(0)
    for i in range(len(score)):
        is_ranked = np.uint64(ranked[i])
        is_gainer = np.uint64(score[i] > 0) & is_ranked
        keys[gainers], spare[losers] = i, i
        gainers += is_gainer
        losers += is_ranked - is_gainer
    first, n = np.int64(gainers), np.int64(gainers + losers)
    keys[first:n] = spare[: n - first]
    ties = score.view(np.uint64), account, account_order, position
    _sort_part(keys[:first], spare[:first], rows[:first], *ties)
    _sort_part(keys[first:n], spare[first:n], rows[first:n], *ties)
    return rows[:n]


def sort_queue(score, ranked, account, account_order, position):
    n = len(score)
    scratch = np.empty(n, np.uint64), np.empty(n, np.uint64), np.empty(n, np.int32)
    return sort_queue_in(score, ranked, account, account_order, position, *scratch)


@compiled(t.void(I4, t.int64, t.int64, I1))
def _indicator_by_count(rank, n, levels, indicator):
    """Compute indicators from ranks: one vectorizable loop for each level."""
    indicator[:] = 0
    for level in range(levels):
        last = np.uint32(n * (levels - level) // levels)
        for i in range(len(rank)):
            indicator[i] += np.uint32(rank[i] - 1) < last


@compiled(t.void(I4, I4, I8, t.int64, I1))
def _indicator_by_lots(order, place, lots, levels, indicator):
    indicator[:] = 0
    level, cumulative, total = levels, 0, lots[order].sum()
    # Levels only fall along the queue, so a boundary needs a multiplication, not a division.
    for row in order:
        cumulative += lots[row]
        while (levels - level + 1) * total < levels * cumulative:
            level -= 1
        indicator[place[row]] = level


@compiled(t.void(I4, I4, I8, t.int64, t.boolean, I4, I1, I8))
def fill_ranks(order, place, lots, levels, by_count, rank, indicator, ahead):
    rank[:] = 0
    ahead[:] = 0
    cumulative = 0
    for i in range(len(order)):
        target = place[order[i]]
        rank[target] = i + 1
        if len(ahead):
            ahead[target] = cumulative
            cumulative += lots[order[i]]
    if by_count:
        _indicator_by_count(rank, len(order), levels, indicator)
        if len(order):
            indicator[place[order[0]]] = levels
    else:
        _indicator_by_lots(order, place, lots, levels, indicator)
