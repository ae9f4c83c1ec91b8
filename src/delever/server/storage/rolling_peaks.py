"""The rolling peaks of the past, again: what the engine's windows said at each point. Pure.

Rows are those of the history, in the order of the journal, and begin with the last one before the
window that is asked about opens: a value holds until the next one.
"""

from collections.abc import Iterator, Mapping
from heapq import merge
from typing import Any

import sqlalchemy as sa

from delever.core.market.rolling_windows import RollingPeak
from delever.server.storage.queries import Rows, Stretch

Place = tuple[int, int]
"""A record's sequence and an event's place in it."""


def balance_peaks(points: Stretch, window_ms: int) -> dict[Place, int]:
    """Return the peak of a pool's balance at each of its points; it begins with nothing."""
    peak = _peak(points, window_ms)
    peaks: dict[Place, int] = {}
    for row in points.rows:
        peak.observe(row.time_ms, row.balance_cash)
        peaks[row.sequence, row.place] = peak.peak(row.time_ms)
    return peaks


def profit_peaks(points: Stretch, flows: Rows, windows_ms: Mapping[str, int]) -> dict[Place, int]:
    """Return the peak of a contract's profit at each of its points.

    Money taken out and booked to the contract moves its past with it. A contract begins at 0, and
    one that has moved to another pool begins anew.
    """
    peaks: dict[Place, int] = {}
    if not points.rows:
        return peaks
    pool = points.rows[0].pool
    peak = _peak(points, windows_ms[pool])
    for row, withdrawn_cash in _in_order(points.rows, flows):
        if withdrawn_cash:
            peak.shift(withdrawn_cash)
            continue
        if row.pool != pool:
            peak, pool = RollingPeak(windows_ms[row.pool]), row.pool
        peak.observe(row.time_ms, row.profit_cash)
        peaks[row.sequence, row.place] = peak.peak(row.time_ms)
    return peaks


def _peak(points: Stretch, window_ms: int) -> RollingPeak:
    """Return a peak to begin with: of 0, where nothing was before the first point."""
    peak = RollingPeak(window_ms)
    if points.rows and points.whole:
        peak.observe(points.rows[0].time_ms, 0)
    return peak


def _in_order(points: Rows, flows: Rows) -> Iterator[tuple[sa.Row[Any], int]]:
    """Yield each point with 0, and each withdrawal with its (negative) amount, as they came."""
    withdrawals = ((row, int(row.amount_cash)) for row in flows if row.amount_cash < 0)
    return merge(((row, 0) for row in points), withdrawals, key=_place)


def _place(each: tuple[sa.Row[Any], int]) -> Place:
    return each[0].sequence, each[0].place
