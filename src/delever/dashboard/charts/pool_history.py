"""Charts of one insurance fund: balance, equity and drawdown over time."""

from collections.abc import Sequence
from typing import Any

from delever.api_types.history import PoolHistoryPoint
from delever.dashboard.charts.time_series import (
    AMBER,
    BLUE,
    GRAY,
    RED,
    Point,
    level_line,
    step_line,
    time_charts,
    with_levels,
)


def pool_history_charts(points: Sequence[PoolHistoryPoint]) -> dict[str, Any]:
    """Return two charts: balance, its peak and equity; and the drawdown of equity in percent."""
    balance = [(point.time_ms, float(point.balance)) for point in points]
    equity = [(point.time_ms, float(point.equity)) for point in points]
    peak = [(point.time_ms, float(point.balance_peak)) for point in points]
    drawdown = _drawdowns(equity)
    balance_line = step_line("balance", balance, BLUE)
    series = [
        with_levels(balance_line, [level_line(0, "0: empty", GRAY)]),
        step_line("peak balance", peak, GRAY, line="dashed"),
        step_line("equity", equity, AMBER),
        step_line("drawdown %", drawdown, RED, grid=1),
    ]
    values = [0.0, *(value for _, value in (*balance, *peak, *equity))]
    deepest = min((value for _, value in drawdown), default=0.0)
    spans = ((min(values), max(values)), (min(deepest, -1.0), 0.0))
    titles = ["Balance and equity", "Drawdown of equity from its highest so far, %"]
    return time_charts(titles, series, spans)


def _drawdowns(equity: Sequence[Point]) -> list[Point]:
    """Return each value's distance below the highest value up to it, in percent, at most 0."""
    drawdowns, peak = [], 0.0
    for time_ms, value in equity:
        peak = max(peak, value)
        drawdowns.append((time_ms, round(100 * (value - peak) / peak, 4) if peak > 0 else 0.0))
    return drawdowns
