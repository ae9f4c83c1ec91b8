"""Min-max leverage (water filling): the highest leverage of the queue is lowered, lot by lot."""

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from delever.core.rules.adl_price import Quote
from delever.core.rules.eligibility import equity_after
from delever.core.rules.policies.allocation import fill_in_order
from delever.core.rules.policies.policy import closable_lots
from delever.core.rules.ranking import Queue
from delever.core.units import (
    COLUMN_LIMIT,
    Ints,
    div_floor,
    exact_ratio,
    mul_shift_floor,
    share_floor,
)

LEVEL_BITS = 62
"""Bits of a level: between two neighboring levels are a few lots of each member."""

FIRST_STEP_BITS = 24
"""The first step of the exact search is 2^-24 of the level; steps grow by four."""

NEAR = Fraction(1, 2)
"""The exact search begins with members that are not whole at this part of the estimated level."""

RESCALE_BITS = 8
"""Bits by which a level is shifted where the search leaves the range of 62 bits."""


@dataclass(frozen=True, slots=True)
class MinMaxLeverage:
    """Close the lots with the highest leverage first, so that the highest is as low as possible.

    With r_i lots left, counterparty i has leverage p r_i / (E_i - c (q_i - r_i)): p is the notional
    of a lot at the mark, q_i its lots, E_i the equity of its margin bucket, and c what closing a
    lot at the ADL price costs against the mark. All lots above one level are closed:
    r_i = floor(t (E_i - c q_i)), at most q_i, for the level t at which they sum to what stays open;
    of lots with equal leverage the better rank is closed. Counterparties that closing whole would
    leave without equity come last, by rank. Several cross positions of an account on this side
    share its equity by size. The most levered accounts pay, whatever their entry price and however
    they split; no allocation has a smaller loss after ADL in any later move of the mark. Computed
    in exact integers: the same lots on every machine. Source: P3 (arXiv 2603.15963), Theorem 2.4.

    >>> import numpy as np
    >>> drain(np.array([10, 10, 4]), np.zeros(3, np.int64), np.array([5, 10, 8]), 9).tolist()
    [7, 2, 0]
    """

    name: str = field(default="min_max_leverage", init=False)

    def allocate(self, queue: Queue, wanted_lots: int, quote: Quote) -> Ints:
        """Return the lots of each counterparty, in order of rank."""
        valuation, order = queue.valuation, queue.order
        held, closable = valuation.lots[order], closable_lots(queue)
        equity = _row_equity(queue, quote)
        sound, allocated = equity > 0, np.zeros(len(order), np.int64)
        least = held - closable
        allocated[sound] = drain(held[sound], least[sound], equity[sound], wanted_lots)
        left = wanted_lots - int(allocated.sum())
        allocated[~sound] = fill_in_order(left, closable[~sound])
        return allocated


def _row_equity(queue: Queue, quote: Quote) -> Ints:
    """Return the equity behind each row of the queue, in Cash, once it is closed whole."""
    valuation, order = queue.valuation, queue.order
    equity = equity_after(valuation, valuation.lots, quote.ticks)[order]
    if not valuation.position.any():
        return equity
    cross, account = ~valuation.isolated, valuation.account
    totals = np.zeros(int(account.max(initial=-1)) + 1, np.int64)
    np.add.at(totals, account[cross], valuation.lots[cross])
    lots, whole = valuation.lots[order], totals[account[order]]
    for place in np.flatnonzero(cross[order] & (whole > lots)).tolist():
        equity[place] = share_floor(int(equity[place]), int(lots[place]), int(whole[place]))
    return equity


def drain(held_lots: Ints, least_lots: Ints, equity: Ints, wanted_lots: int) -> Ints:
    """Return the lots closed of each member so that the highest lots / equity is the lowest.

    `least_lots` stay open of each member; equity is above 0. Members are in order of rank. All
    are below 2^62 and so is the sum of lots.

    >>> import numpy as np
    >>> drain(np.array([7, 7]), np.array([0, 5]), np.array([1, 1]), 9).tolist()
    [7, 2]
    """
    open_lots = int(held_lots.sum()) - max(wanted_lots, 0)
    if open_lots <= int(least_lots.sum()):
        return held_lots - least_lots
    closed = np.zeros(len(held_lots), np.int64)
    if wanted_lots <= 0:
        return closed
    level = _approximate_level(held_lots, equity, open_lots)
    near = np.flatnonzero(held_lots > float(level * NEAR) * equity)
    if int((held_lots - least_lots)[near].sum()) > wanted_lots:
        columns = held_lots[near], least_lots[near], equity[near]
        level_of_near, closed[near] = _drain_exactly(*columns, wanted_lots, level)
        if level_of_near >= level * NEAR:
            return closed
    return _drain_exactly(held_lots, least_lots, equity, wanted_lots, level)[1]


def _drain_exactly(
    held: Ints, least: Ints, equity: Ints, wanted_lots: int, start: Fraction
) -> tuple[Fraction, Ints]:
    """Return a lower bound on the exact level, and the lots closed of each member."""
    open_lots = int(held.sum()) - wanted_lots
    low, high, shift = _bracket(held, least, equity, open_lots, start)
    below = _lots_at(held, least, equity, low, shift)
    above = _lots_at(held, least, equity, high, shift)
    missing = open_lots - int(below.sum())
    active = np.flatnonzero(above > below)
    while high - low > 1:
        middle = (low + high) >> 1
        now = _lots_at(held[active], least[active], equity[active], middle, shift)
        gained = int((now - below[active]).sum())
        if gained <= missing:
            low, missing, below[active] = middle, missing - gained, now
        else:
            high, above[active] = middle, now
        active = active[above[active] > below[active]]
    below[active] += _last_lots(below[active], above[active], equity[active], missing)
    return exact_ratio(low, 2**shift), held - below


def _lots_at(held: Ints, least: Ints, equity: Ints, level: int, shift: int) -> Ints:
    """Return the lots of each member that are open at a level of lots / equity."""
    return np.minimum(np.maximum(mul_shift_floor(equity, level, shift), least), held)


def _bracket(
    held: Ints, least: Ints, equity: Ints, open_lots: int, start: Fraction
) -> tuple[int, int, int]:
    """Return two levels around the right one, and their shift: a level is an integer / 2^shift.

    At the lower one at most `open_lots` are open, at the upper one more.
    """
    bits = start.numerator.bit_length() - start.denominator.bit_length()
    shift = min(max(LEVEL_BITS - 2 - bits, 0), 2 * LEVEL_BITS)
    level = max(min(int(start * 2**shift), COLUMN_LIMIT - 1), 1)
    step = max(level >> FIRST_STEP_BITS, 1)
    low = high = level
    while int(_lots_at(held, least, equity, high, shift).sum()) <= open_lots:
        low, high, step = high, high + step, step << 2
        if high >= COLUMN_LIMIT:
            rescale = min(RESCALE_BITS, shift)
            low, high, step = low >> rescale, min(high >> rescale, COLUMN_LIMIT), step >> rescale
            shift -= rescale
    while low == high or int(_lots_at(held, least, equity, low, shift).sum()) > open_lots:
        low, high, step = max(low - step, 0), low, step << 2
        if 0 < high < COLUMN_LIMIT >> (2 * RESCALE_BITS) and shift < LEVEL_BITS:
            low, high, step = low << RESCALE_BITS, high << RESCALE_BITS, step << RESCALE_BITS
            shift += RESCALE_BITS
    return low, high, shift


def _approximate_level(held: Ints, equity: Ints, open_lots: int) -> Fraction:
    """Return a level of lots / equity near the right one.

    Newton's method on the sum of min(t E, q), in floats: each step leaves out the members that are
    whole at the level. It is only the place where the exact search starts.
    """
    lots, capital = held.astype(np.float64), equity.astype(np.float64)
    left, level = float(open_lots), Fraction(0)
    while len(lots):
        level = max(exact_ratio(max(int(left), 1), max(int(capital.sum()), 1)), level)
        part = lots > float(level) * capital
        if part.all():
            break
        left -= float(lots.sum())
        lots, capital = lots[part], capital[part]
        left += float(lots.sum())
    return level


def _last_lots(below: Ints, above: Ints, equity: Ints, count: int) -> Ints:
    """Return how many lots of each member stay open of those between two neighboring levels.

    These are the `count` lots with the lowest lots / equity, and of equal ones the last by rank.
    """
    extra = above - below
    member = np.repeat(np.arange(len(below)), extra)
    number = np.arange(len(member)) - np.repeat(np.cumsum(extra) - extra, extra)
    lots = below[member] + number + 1
    divisor = np.gcd(lots, equity[member])
    keys = np.stack([div_floor(lots, divisor), div_floor(equity[member], divisor)], axis=1)
    distinct, inverse = np.unique(keys, axis=0, return_inverse=True)
    exact = [exact_ratio(top, bottom) for top, bottom in distinct.tolist()]
    place = np.empty(len(exact), np.int64)
    place[sorted(range(len(exact)), key=exact.__getitem__)] = np.arange(len(exact))
    chosen = np.lexsort((-member, place[inverse.reshape(-1)]))[:count]
    return np.bincount(member[chosen], minlength=len(below)).astype(np.int64)
