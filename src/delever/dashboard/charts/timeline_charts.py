"""Charts of timelines: insurance fund, contract PnL and quantity closed, with a movable cursor.

The lines are drawn once for the whole time; moving the cursor changes only the cursor line and the
gray area over the time after it.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from delever.dashboard.charts.time_series import (
    AMBER,
    BLUE,
    GRAY,
    GREEN,
    RED,
    Point,
    level_line,
    step_line,
    thinned,
    time_charts,
    with_levels,
)
from delever.dashboard.data.timeline import Timeline

CHARTS = 3

CYAN = "#39c5cf"
COLORS = (BLUE, AMBER, GREEN, RED, "#a371f7", CYAN, "#e377c2", GRAY)
"""Colors of timelines, in order."""

Series = list[dict[str, Any]]
Span = tuple[int, int]


def timeline_charts(
    timelines: Sequence[Timeline], contract: str, time_ms: int, span_ms: Span
) -> dict[str, Any]:
    """Return the charts of a contract with the cursor at `time_ms`.

    `span_ms` is the first and the last time of all timelines.
    """
    series = _series(timelines, contract, span_ms[1])
    points = (point for timeline in timelines for point in timeline.contracts.get(contract, []))
    pools = ", ".join(sorted({point.pool for point in points}))
    titles = (
        f"Insurance fund {pools}",
        f"Contract PnL of {contract}",
        "Quantity closed by ADL so far",
    )
    spans = [_value_span(series, grid) for grid in range(CHARTS)]
    return time_charts(titles, [*series, *cursors(time_ms, span_ms[1])], spans, time=span_ms)


def empty_timeline_charts() -> dict[str, Any]:
    """Return the charts before anything is loaded."""
    return time_charts(("Insurance fund", "Contract PnL", "Quantity closed by ADL so far"), [])


def cursors(time_ms: int, until_ms: int) -> Series:
    """Return the cursor of every chart, with a gray area over the time after it."""
    return [
        {
            "id": f"cursor{grid}",
            "name": "",
            "type": "line",
            "data": [],
            "xAxisIndex": grid,
            "yAxisIndex": grid,
            "silent": True,
            "animation": False,
            "markLine": {
                "symbol": "none",
                "animation": False,
                "label": {"show": False},
                "lineStyle": {"color": BLUE, "type": "solid", "width": 1.5},
                "data": [{"xAxis": time_ms}],
            },
            "markArea": {
                "animation": False,
                "itemStyle": {"color": "rgba(128,138,148,.38)"},
                "data": [[{"xAxis": time_ms}, {"xAxis": until_ms}]],
            },
        }
        for grid in range(CHARTS)
    ]


def _value_span(series: Series, grid: int) -> tuple[float, float]:
    """Return the lowest and the highest value of a chart; all but the PnL chart include 0."""
    values = [] if grid == 1 else [0.0]
    values += [point[1] for line in series if line["xAxisIndex"] == grid for point in line["data"]]
    return min(values, default=0.0), max(values, default=0.0)


def _series(timelines: Sequence[Timeline], contract: str, until_ms: int) -> Series:
    """Return the lines of all charts; a timeline among several has one color and legend entry."""
    if len(timelines) == 1:
        series = _lines_of_one(timelines[0], contract, until_ms)
    else:
        series = [
            line
            for place, timeline in enumerate(timelines)
            for line in _lines_of_several(timeline, contract, until_ms, COLORS[place % len(COLORS)])
        ]
    if series:
        series[0] = with_levels(series[0], [level_line(0, "0: empty", GRAY)])
    return series


def _lines_of_several(timeline: Timeline, contract: str, until_ms: int, color: str) -> Series:
    name, pool_points = timeline.name, timeline.pool_points_of(contract)
    contract_points = timeline.contracts.get(contract, [])
    return [
        _line(name, pool_points, "equity", color, 0, until_ms),
        _line(name, contract_points, "contract_pnl", color, 1, until_ms),
        step_line(name, _closed_so_far(timeline, contract, until_ms), color, grid=2),
    ]


def _lines_of_one(timeline: Timeline, contract: str, until_ms: int) -> Series:
    """Return the lines of a single timeline, with peaks and, where it has them, ADL's levels."""
    pool_points = timeline.pool_points_of(contract)
    points = timeline.contracts.get(contract, [])
    lines = [
        _line("balance", pool_points, "balance", BLUE, 0, until_ms),
        _line("peak balance", pool_points, "balance_peak", GRAY, 0, until_ms, line="dashed"),
        _line("equity", pool_points, "equity", CYAN, 0, until_ms),
        _line("contract PnL", points, "contract_pnl", AMBER, 1, until_ms),
        _line("peak contract PnL", points, "contract_pnl_peak", GRAY, 1, until_ms, line="dashed"),
        _line("ADL starts", points, "start_level", RED, 1, until_ms, line="dashed"),
        _line("ADL stops", points, "stop_level", GREEN, 1, until_ms, line="dashed"),
        step_line("closed", _closed_so_far(timeline, contract, until_ms), RED, grid=2),
    ]
    return [line for line in lines if line["data"]]


def _line(
    name: str,
    points: Sequence[Any],
    field: str,
    color: str,
    grid: int,
    until_ms: int,
    *,
    line: str = "solid",
) -> dict[str, Any]:
    """Return the line of one field, thinned and extended to the end of all timelines."""
    line_points = thinned(
        [
            (point.time_ms, float(value))
            for point in points
            if (value := getattr(point, field)) is not None
        ]
    )
    if line_points and line_points[-1][0] < until_ms:
        line_points.append((until_ms, line_points[-1][1]))
    return step_line(name, line_points, color, grid=grid, line=line)


def _closed_so_far(timeline: Timeline, contract: str, until_ms: int) -> list[Point]:
    """Return the cumulative quantity of a contract's ADL fills."""
    total, times = Decimal(0), list(timeline.end_times())
    points = [(min(times), 0.0)] if times else []
    for fill in timeline.fills.get(contract, []):
        total += fill.quantity
        points.append((fill.time_ms, float(total)))
    if times:
        points.append((until_ms, float(total)))
    return thinned(points)
