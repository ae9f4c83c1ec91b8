"""Tiers -> exact lots: the only arithmetic that decides how many lots each counterparty closes.

No policy can lose or create a lot. Full tiers are closed whole; the tier in which the quantity ends
is shared by weight under each counterparty's cap; lots that rounding leaves over go to the largest
remainders, and between equal remainders to the better rank.
"""

import numpy as np

from delever.core.rules.policies.policy import AllocationTiers
from delever.core.units import Ints, share_floor


def allocate(wanted_lots: int, tiers: AllocationTiers) -> Ints:
    """Return the lots that each counterparty closes, at most its cap.

    They sum to the lots wanted, or to all caps if those do not suffice.
    """
    size = len(tiers.rows)
    allocated = np.zeros(size, np.int64)
    if size == 0 or wanted_lots <= 0:
        return allocated
    starts = np.flatnonzero(np.diff(tiers.tier, prepend=tiers.tier[0] - 1))
    ends = np.append(starts[1:], size)
    through = np.cumsum(np.add.reduceat(tiers.cap_lots, starts))
    marginal = int(np.searchsorted(through, wanted_lots))
    full = ends[-1] if marginal == len(starts) else starts[marginal]
    allocated[:full] = tiers.cap_lots[:full]
    if marginal < len(starts):
        part = slice(starts[marginal], ends[marginal])
        left = wanted_lots - (int(through[marginal - 1]) if marginal else 0)
        caps, weights = tiers.cap_lots[part].tolist(), tiers.weight[part].tolist()
        allocated[part] = share(left, caps, weights)
    return allocated


def share(lots: int, caps: list[int], weights: list[int]) -> list[int]:
    """Return lots shared by weight under caps, by largest remainder, in exact integers.

    Where a share would exceed the cap, the share is the cap and the rest is shared again among the
    others. If only members without weight are left, they share the rest in order.
    """
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
