"""Charts of what `delever watch` has recorded of one contract: indicators, PnL ratio and risk."""

from collections.abc import Iterator, Sequence
from typing import Any

from delever.dashboard.charts.time_series import (
    AMBER,
    BLUE,
    GRAY,
    GREEN,
    RED,
    Point,
    step_line,
    time_charts,
)
from delever.watch.store import RECORD_INTERVAL_MS, HistoryRecord

CHARTS: dict[str, tuple[str, tuple[float, float] | None]] = {
    "indicator": ("ADL indicator (5 is closed first)", (0, 5)),
    "ratio": ("PnL ratio", None),
    "risk": ("ADL risk (4 is extremely high)", (1, 4)),
}
"""Title of every chart and the scale that it always includes, None for the range of its values."""

_COLORS = (BLUE, GREEN, AMBER, GRAY)
_RATIOS = {
    "pnl_ratio": ("PnL ratio", BLUE, "solid"),
    "start_ratio": ("start", RED, "dashed"),
    "stop_ratio": ("stop", AMBER, "dashed"),
}
"""Name, color and line of every quantity on the chart of the PnL ratio."""

_Line = tuple[str, list[Point], str, str]


def watch_history_charts(
    history: Sequence[HistoryRecord], since_ms: int, now_ms: int
) -> tuple[int, dict[str, Any]]:
    """Return the number of charts with data, at least 1, and their ECharts options."""
    lines = {chart: list(_lines(history, chart, now_ms)) for chart in CHARTS}
    charts = [chart for chart in CHARTS if lines[chart]] or ["indicator"]
    series = [
        step_line(name, points, color, grid=grid, line=line)
        for grid, chart in enumerate(charts)
        for name, points, color, line in lines[chart]
    ]
    titles = [CHARTS[chart][0] for chart in charts]
    spans = [_span(chart, lines[chart]) for chart in charts]
    first_ms = min((value.at_ms for value in history), default=since_ms)
    time = max(first_ms, since_ms), now_ms
    return len(charts), time_charts(titles, series, spans, time=time)


def _span(chart: str, lines: Sequence[_Line]) -> tuple[float, float]:
    """Return the values that a chart must include: its whole scale, or its values and 0."""
    scale = CHARTS[chart][1]
    values = [value for _, points, _, _ in lines for _, value in points]
    return scale or (min(0.0, *values), max(0.0, *values))


def _lines(history: Sequence[HistoryRecord], chart: str, now_ms: int) -> Iterator[_Line]:
    """Yield (name, points, color, solid or dashed) of each line of a chart."""
    quantities = tuple(_RATIOS) if chart == "ratio" else (chart,)
    sides = sorted({(value.metric, value.side) for value in history if value.metric in quantities})
    for place, (what, side) in enumerate(sides):
        points = [
            (value.at_ms, value.value or 0.0)
            for value in history
            if (value.metric, value.side) == (what, side)
        ]
        last_ms, last = points[-1]
        points.append(
            (min(now_ms, last_ms + RECORD_INTERVAL_MS), last)
        )  # it would be recorded again
        default = (f"{what} {side}".strip(), _COLORS[place % len(_COLORS)], "solid")
        name, color, line = _RATIOS.get(what, default)
        yield name, points, color, line
