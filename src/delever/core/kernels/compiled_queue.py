"""Compiled kernels that sort a queue and compute ranks and indicators.

A score becomes an integer, its place, that rises along the queue. Places are packed into a few bits
above the row number and radix-sorted; rows that are equal in those bits are sorted run by run, by
place and ties.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - documented in `plain`; code for Numba is written out

import numpy as np
from numba import types as t

from delever.core.kernels.compiled_types import B1, F8, I1, I4, I8, U8, compiled, inlined

ROW = np.uint64(0xFFFFFFFF)
"""A packed key has the row in its low half, and bits of the place in the high half."""
HALF = np.uint64(32)
SHELL_SORT_MAX = 64
"""Rows up to which a run of equal bits is sorted by comparing."""
MAX, MIN = np.int64(2**63 - 1), np.int64(-(2**63))


@inlined
def fill_places(weight, place):
    """Replace the bits of each row's score by its place; return the number of ranked rows.

    A place is minus the bits of a gain, 0, or the bits of a loss: floats ascend like their bits.
    Rows that are not ranked, with a weight of 0 or less, have place 0.
    """
    ranked = 0
    for i in range(len(place)):
        is_ranked = np.int64(weight[i] > 0)
        ranked += is_ranked
        losing = place[i] >> 63
        size = place[i] & MAX & -is_ranked
        place[i] = (size ^ ~losing) - ~losing
    return ranked


@inlined
def _digits_for(rows):
    """Return how many digits of how many bits a queue is sorted by."""
    if rows < 128:
        return 2, 6
    if rows < 1024:
        return 2, 8
    if rows < 1 << 16:
        return 2, 11
    return (2, 12) if rows < 1 << 18 else (3, 10)


@inlined
def _pack(place, weight, ranked, bits, keys):
    """Fill in the keys of ranked rows: gains, then zero, then losses, each from its own least."""
    least, most, gain, loss = np.int64(0), np.int64(0), MIN, MAX
    for i in range(len(place)):
        here = place[i]
        least, most = min(least, here), max(most, here)
        gain, loss = max(gain, here if here < 0 else MIN), min(loss, here if here > 0 else MAX)
    zero = gain - least + 1 if least < 0 else np.int64(0)
    losses = np.uint64(most - loss) + np.uint64(1) if most > 0 else np.uint64(0)
    span, shift = np.uint64(zero) + losses, np.uint64(0)
    while span >> shift >= np.uint64((1 << bits) - 1):
        shift += np.uint64(1)
    above = np.uint64(zero + 1 - loss)
    for i in range(len(place)):
        here = place[i]
        not_gain = np.uint64(here) + above if here > 0 else np.uint64(zero)
        key = np.uint64(here - least) if here < 0 else not_gain
        keys[i] = key >> shift << HALF | np.uint64(i)
    if ranked < len(place):
        end = 0
        for i in range(len(place)):
            keys[end] = keys[i]
            end += np.int64(weight[i] > 0)


SCRATCH = t.Tuple((U8, U8, t.uint32[:, ::1]))


@inlined
def new_scratch(rows):
    """Return two arrays of keys, and counts of each value of each digit."""
    counters = np.empty((3, 1 << 12), np.uint32)
    return np.empty(rows, np.uint64), np.empty(rows, np.uint64), counters


@inlined
def _radix_sort(keys, spare, digits, width, counters):
    """Sort packed keys by the digits above their rows; the sort is stable."""
    counts, mask = counters[:digits, : 1 << width], np.uint64((1 << width) - 1)
    counts[:] = 0
    for digit in range(0, digits - 1, 2):  # two digits in a pass
        low, high = np.uint64(32 + digit * width), np.uint64(32 + (digit + 1) * width)
        lows, highs = counts[digit], counts[digit + 1]
        for i in range(len(keys)):
            lows[(keys[i] >> low) & mask] += np.uint32(1)
            highs[(keys[i] >> high) & mask] += np.uint32(1)
    if digits & 1:
        top, tops = np.uint64(32 + (digits - 1) * width), counts[digits - 1]
        for i in range(len(keys)):
            tops[(keys[i] >> top) & mask] += np.uint32(1)
    source, target = keys, spare
    for digit in range(digits):
        starts, start, shift = counts[digit], np.uint32(0), np.uint64(32 + digit * width)
        for value in range(len(starts)):
            count = starts[value]
            starts[value] = start
            start += count
        for i in range(len(source)):
            key = source[i]
            value = (key >> shift) & mask
            at = starts[value]
            starts[value] = at + np.uint32(1)
            target[at] = key
        source, target = target, source
    return source


@inlined
def _precedes(key, other, place, account, account_order, position):
    row, other_row = key & ROW, other & ROW
    if place[row] != place[other_row]:
        return place[row] < place[other_row]
    tie, other_tie = account_order[account[row]], account_order[account[other_row]]
    if tie != other_tie:
        return tie < other_tie
    if position[row] != position[other_row]:
        return position[row] < position[other_row]
    return row < other_row


@compiled(t.void(U8, I8, I4, I4, I4))
def _shell_sort(keys, place, account, account_order, position):
    gap = 1
    while gap < len(keys) // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, len(keys)):
            key, j = keys[i], i
            while j >= gap and _precedes(
                key, keys[j - gap], place, account, account_order, position
            ):
                keys[j] = keys[j - gap]
                j -= gap
            keys[j] = key
        gap //= 3


@compiled(t.void(U8, I8, I4, I4, I4))
def _sort_ties(keys, place, account, account_order, position):
    """Sort a long run of equal bits, stably: by position, account, and both halves of the place."""
    spare, leading = np.empty_like(keys), keys[0] >> HALF << HALF
    counters = np.empty((3, 1 << 11), np.uint32)
    for turn in range(4):
        first, same = np.uint64(0), True
        for i in range(len(keys)):
            row = keys[i] & ROW
            if turn == 0:
                part = np.uint64(position[row])
            elif turn == 1:
                part = np.uint64(account_order[account[row]])
            else:
                whole = np.uint64(place[row]) ^ np.uint64(1 << 63)
                part = whole & ROW if turn == 2 else whole >> HALF
            keys[i] = part << HALF | row
            first = part if i == 0 else first
            same &= part == first
        if not same:
            found = _radix_sort(keys, spare, 3, 11, counters)
            for i in range(len(keys)):
                keys[i] = found[i]
    for i in range(len(keys)):
        keys[i] = leading | keys[i] & ROW


@inlined
def sort_places(place, weight, ranked, ties, scratch):
    """Return the ranked rows in queue order, in the low halves of keys.

    `ties` are account, the order of accounts, and position; `scratch` as `new_scratch` makes it.
    """
    keys, spare, counters = scratch[0][: len(place)], scratch[1][: len(place)], scratch[2]
    account, account_order, position = ties
    digits, width = _digits_for(len(place))
    _pack(place, weight, ranked, digits * width, keys)
    found = _radix_sort(keys[:ranked], spare[:ranked], digits, width, counters)
    i = 1
    while i < ranked:
        if found[i] >> HALF == found[i - 1] >> HALF:
            first, leading = i - 1, found[i] >> HALF
            while i < ranked and found[i] >> HALF == leading:
                i += 1
            run = found[first:i]
            if len(run) <= SHELL_SORT_MAX:
                _shell_sort(run, place, account, account_order, position)
            else:
                _sort_ties(run, place, account, account_order, position)
        i += 1
    return found


@compiled(I4(F8, B1, I4, I4, I4))
def sort_queue(score, ranked, account, account_order, position):
    place, weight = score.copy().view(np.int64), np.empty(len(score), np.int64)
    for i in range(len(score)):
        weight[i] = ranked[i]
    count = fill_places(weight, place)
    ties = account, account_order, position
    found = sort_places(place, weight, count, ties, new_scratch(len(score)))
    rows = np.empty(count, np.int32)
    for i in range(count):
        rows[i] = np.int32(found[i] & ROW)
    return rows


@inlined
def _indicator_by_count(rank, n, levels, indicator):
    """Compute indicators from ranks: one vectorizable loop for each level."""
    indicator[:] = 0
    for level in range(levels):
        last = np.uint32(n * (levels - level) // levels)
        for i in range(len(rank)):
            indicator[i] += np.int8(np.uint32(rank[i] - 1) < last)


@compiled(t.void(U8, I4, I8, t.int64, I1))
def _indicator_by_lots(queue, place, lots, levels, indicator):
    indicator[:] = 0
    level, cumulative, total = levels, 0, 0
    for key in queue:
        total += lots[key & ROW]
    # Levels only fall along the queue, so a boundary needs a multiplication, not a division.
    for key in queue:
        cumulative += lots[key & ROW]
        while (levels - level + 1) * total < levels * cumulative:
            level -= 1
        indicator[place[key & ROW]] = level


@inlined
def _ascends(place):
    """Return whether rows are in the order of publication: then it need not be looked up."""
    differs = np.int64(0)
    for i in range(len(place)):
        differs |= place[i] ^ i
    return differs == 0


@inlined
def spread(queue, place, lots, levels, by_count, rank, indicator):
    """Fill in rank and indicator of a queue, whose keys have the row in their low halves."""
    if len(queue) < len(rank):
        rank[:] = 0
    if _ascends(place):
        for i in range(len(queue)):
            rank[queue[i] & ROW] = np.int32(i + 1)
    else:
        for i in range(len(queue)):
            rank[place[queue[i] & ROW]] = np.int32(i + 1)
    if by_count:
        _indicator_by_count(rank, len(queue), levels, indicator)
        if len(queue):
            indicator[place[queue[0] & ROW]] = levels
    else:
        _indicator_by_lots(queue, place, lots, levels, indicator)


@compiled(t.void(I4, I4, I8, t.int64, t.boolean, I4, I1, I8))
def fill_ranks(order, place, lots, levels, by_count, rank, indicator, ahead):
    queue, cumulative = np.empty(len(order), np.uint64), 0
    ahead[:] = 0
    for i in range(len(order)):
        queue[i] = np.uint64(order[i])
        if len(ahead):
            ahead[place[order[i]]] = cumulative
            cumulative += lots[order[i]]
    spread(queue, place, lots, levels, by_count, rank, indicator)
