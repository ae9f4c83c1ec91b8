"""Quantities divided in exact lots: in order, and by weight under caps.

No function can lose or create a lot: what it returns sums to the lots wanted, or to all caps if
those do not suffice.
"""

import itertools

import numpy as np

from delever.core.units import (
    COLUMN_LIMIT,
    SHARED_AMOUNT_LIMIT,
    SHARED_WHOLE_LIMIT,
    Ints,
    exact_sum,
    share_floor,
    share_floors,
)

SCALAR_SHARE_MAX = 64
"""Members up to which a loop over Python integers is faster than columns."""


def fill_in_order(wanted_lots: int, cap_lots: Ints) -> Ints:
    """Return the lots of each member, filled to its cap one after the other.

    >>> fill_in_order(7, np.array([5, 5, 5])).tolist()
    [5, 2, 0]
    """
    ahead = np.cumsum(cap_lots) - cap_lots
    filled: Ints = np.clip(wanted_lots - ahead, 0, cap_lots)
    return filled


def share_by_weight(lots: int, caps: Ints, weights: Ints) -> Ints:
    """Return lots shared by weight under caps, by largest remainder, as `share` does, in columns.

    All are at least 0 and below 2^62. Where products could leave 128 bits of rounding, the integers
    are computed without bound.

    >>> share_by_weight(12, np.array([2, 20, 20]), np.array([1, 1, 1])).tolist()
    [2, 5, 5]
    """
    shares = np.zeros(len(caps), np.int64)
    if lots <= 0:
        return shares
    if lots >= SHARED_AMOUNT_LIMIT or exact_sum(weights) >= SHARED_WHOLE_LIMIT:
        return np.array(_share_exactly(lots, caps.tolist(), weights.tolist()), np.int64)
    open_ = np.flatnonzero((weights > 0) & (caps > 0))
    while len(open_):
        own, most = weights[open_], caps[open_]
        floors, remainders = share_floors(lots, own, int(own.sum()))
        full = floors >= most
        if not full.any():
            shares[open_] = floors + _largest(remainders, lots - int(floors.sum()))
            return shares
        shares[open_[full]] = most[full]
        lots -= int(most[full].sum())
        open_ = open_[~full]
    rest = np.flatnonzero(shares == 0)
    shares[rest] = fill_in_order(lots, caps[rest])
    return shares


def _largest(remainders: Ints, count: int) -> Ints:
    """Return 1 for the `count` largest remainders, ties in order, and 0 for the others."""
    ones = np.zeros(len(remainders), np.int64)
    if count:
        threshold = np.partition(remainders, len(ones) - count)[len(ones) - count]
        above = remainders > threshold
        ones[above] = 1
        ones[np.flatnonzero(remainders == threshold)[: count - int(above.sum())]] = 1
    return ones


def share(lots: int, caps: list[int], weights: list[int]) -> list[int]:
    """Return lots shared by weight under caps, by largest remainder, in exact integers.

    Where a share would exceed the cap, the share is the cap and the rest is shared again among the
    others. If only members without weight are left, they share the rest in order. The integers
    have no bound; long lists whose integers are below 2^62 are shared in columns.

    >>> share(12, [2, 20, 20], [1, 1, 1])
    [2, 5, 5]
    """
    is_long = len(caps) > SCALAR_SHARE_MAX
    if is_long and max(itertools.chain((lots,), caps, weights)) < COLUMN_LIMIT:
        columns = np.array(caps, np.int64), np.array(weights, np.int64)
        shares: list[int] = share_by_weight(lots, *columns).tolist()
        return shares
    return _share_exactly(lots, caps, weights)


def _share_exactly(lots: int, caps: list[int], weights: list[int]) -> list[int]:
    """Return what `share` returns, computed in integers without bound."""
    shares = [0] * len(caps)
    open_ = [i for i in range(len(caps)) if weights[i] > 0 and caps[i] > 0]
    while open_:
        total = sum(weights[i] for i in open_)
        capped = [i for i in open_ if share_floor(lots, weights[i], total) >= caps[i]]
        if not capped:
            return _largest_remainder(lots, weights, open_, shares)
        for i in capped:
            shares[i] = caps[i]
            lots -= caps[i]
        open_ = [i for i in open_ if not shares[i]]
    for i, cap in enumerate(caps):
        if not shares[i]:
            shares[i] = min(cap, lots)
            lots -= shares[i]
    return shares


def _largest_remainder(
    lots: int, weights: list[int], open_: list[int], shares: list[int]
) -> list[int]:
    """Return the shares with lots divided among open members, none of which reaches its cap."""
    total = sum(weights[i] for i in open_)
    remainders = []
    left = lots
    for i in open_:
        shares[i] = share_floor(lots, weights[i], total)
        left -= shares[i]
        remainders.append((-(lots * weights[i] - shares[i] * total), i))
    for _, i in sorted(remainders)[:left]:
        shares[i] += 1
    return shares


def match_tranches(lots: Ints, tranche_lots: list[int]) -> tuple[Ints, Ints, Ints]:
    """Return (counterparties, tranches, lots): both lists are matched in their own order.

    The first two columns are indices, from 0, of counterparties and tranches; the third is the lots
    of each match, never 0.
    """
    closed, held = np.cumsum(lots), np.cumsum(tranche_lots, dtype=np.int64)
    ends = np.sort(np.append(closed, held[held < closed.max(initial=0)]))
    ends = ends[np.diff(ends, prepend=0) > 0]
    return np.searchsorted(closed, ends), np.searchsorted(held, ends), np.diff(ends, prepend=0)
