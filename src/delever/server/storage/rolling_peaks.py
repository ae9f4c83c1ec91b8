"""Rolling peaks at each point of the history, equal to those of the engine's windows. Pure.

Rows are in the order of the journal and begin with the last one before the requested window, whose
value is valid until the next row.
"""

from collections.abc import Iterator, Mapping
from heapq import merge
from typing import Any

import sqlalchemy as sa

from delever.core.market.rolling_windows import RollingPeak
from delever.server.storage.queries import PointRange, SqlRows

EventKey = tuple[int, int]
"""The sequence of a record and the index of an event in it."""


def balance_peaks(points: PointRange, window_ms: int) -> dict[EventKey, int]:
    """Return the peak of a pool's balance at each of its points."""
    peak = _peak(points, window_ms)
    peaks: dict[EventKey, int] = {}
    for row in points.rows:
        peak.observe(row.time_ms, row.balance_cash)
        peaks[row.sequence, row.event_index] = peak.peak(row.time_ms)
    return peaks


def contract_pnl_peaks(
    points: PointRange, flows: SqlRows, windows_ms: Mapping[str, int]
) -> dict[EventKey, int]:
    """Return the peak of a contract's PnL at each of its points.

    A withdrawal that is booked to the contract shifts its earlier PnL, too. A contract begins at 0,
    and again at 0 where it moves to another pool.
    """
    peaks: dict[EventKey, int] = {}
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
        peak.observe(row.time_ms, row.contract_pnl_cash)
        peaks[row.sequence, row.event_index] = peak.peak(row.time_ms)
    return peaks


def _peak(points: PointRange, window_ms: int) -> RollingPeak:
    """Return the initial peak: 0 where the first point is the pool's or contract's first one."""
    peak = RollingPeak(window_ms)
    if points.rows and points.whole:
        peak.observe(points.rows[0].time_ms, 0)
    return peak


def _in_order(points: SqlRows, flows: SqlRows) -> Iterator[tuple[sa.Row[Any], int]]:
    """Yield each point with 0, and each withdrawal with its negative amount, in journal order."""
    withdrawals = ((row, int(row.amount_cash)) for row in flows if row.amount_cash < 0)
    return merge(((row, 0) for row in points), withdrawals, key=_event_key)


def _event_key(item: tuple[sa.Row[Any], int]) -> EventKey:
    return item[0].sequence, item[0].event_index
