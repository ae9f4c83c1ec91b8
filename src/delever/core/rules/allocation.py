"""Tiers -> exact lots. The only arithmetic of who gives up how much.

No policy can lose or create a lot: full tiers are taken whole, the tier in which the quantity ends
is shared by weight under everybody's cap, and what whole lots leave over goes to the largest
remainders, ties to who stands further in front.
"""

import numpy as np

from delever.core.rules.policies import Line
from delever.core.units import Ints, share_floor


def allocate(wanted_lots: int, line: Line) -> Ints:
    """Return the lots that each counterparty of the line gives up, at most its cap.

    They sum to the lots wanted, or to all caps where those do not suffice.
    """
    allocated = np.zeros(len(line.rows), np.int64)
    if len(line.rows) == 0 or wanted_lots <= 0:
        return allocated
    starts = np.flatnonzero(np.diff(line.tier, prepend=line.tier[0] - 1))
    ends = np.append(starts[1:], len(line.rows))
    through = np.cumsum(np.add.reduceat(line.cap_lots, starts))
    marginal = int(np.searchsorted(through, wanted_lots))
    full = ends[-1] if marginal == len(starts) else starts[marginal]
    allocated[:full] = line.cap_lots[:full]
    if marginal < len(starts):
        part = slice(starts[marginal], ends[marginal])
        left = wanted_lots - (int(through[marginal - 1]) if marginal else 0)
        allocated[part] = share(left, line.cap_lots[part].tolist(), line.weight[part].tolist())
    return allocated


def share(lots: int, caps: list[int], weights: list[int]) -> list[int]:
    """Return lots shared by weight under caps, by largest remainder; exact, in plain integers.

    Whoever's share reaches the cap is given the cap, and the rest is shared again among the others.
    Where only counterparties without weight are left, the rest goes to them in order.
    """
    given = [0] * len(caps)
    open_ = [i for i in range(len(caps)) if weights[i] > 0 and caps[i] > 0]
    while open_:
        total = sum(weights[i] for i in open_)
        capped = [i for i in open_ if share_floor(lots, weights[i], total) >= caps[i]]
        if not capped:
            return _largest_remainder(lots, weights, open_, given)
        for i in capped:
            given[i] = caps[i]
            lots -= caps[i]
        open_ = [i for i in open_ if not given[i]]
    for i, cap in enumerate(caps):
        if not given[i]:
            given[i] = min(cap, lots)
            lots -= given[i]
    return given


def _largest_remainder(
    lots: int, weights: list[int], open_: list[int], given: list[int]
) -> list[int]:
    """Share lots among the open counterparties; the floor of nobody's share reaches the cap."""
    total = sum(weights[i] for i in open_)
    remainders = []
    left = lots
    for i in open_:
        given[i] = share_floor(lots, weights[i], total)
        left -= given[i]
        remainders.append((-(lots * weights[i] - given[i] * total), i))
    for _, i in sorted(remainders)[:left]:
        given[i] += 1
    return given


def tranches_for(lots: Ints, parcel_lots: list[int]) -> tuple[Ints, Ints, Ints]:
    """Return (counterparties, tranches, lots): counterparties in line meet tranches, both first come first.

    Three columns: the numbers of both, from 0, and the lots that have met, which are never 0.
    """
    given, held = np.cumsum(lots), np.cumsum(parcel_lots, dtype=np.int64)
    ends = np.sort(np.append(given, held[held < given.max(initial=0)]))
    ends = ends[np.diff(ends, prepend=0) > 0]
    return np.searchsorted(given, ends), np.searchsorted(held, ends), np.diff(ends, prepend=0)
