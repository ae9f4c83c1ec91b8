"""ECharts options of step lines over time, in charts that share one time axis and cursor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Point = tuple[int, float]

CHART_HEIGHT = 190
"""Height of one chart, in pixels."""

GRAY, BLUE, RED, GREEN, AMBER = "#8a949e", "#4c8dff", "#e5534b", "#3fb27f", "#d9922e"

INK = "#39a9b5"
"""Color of prices."""

GRID_COLOR = "rgba(138,148,158,.25)"
TITLE_STYLE = {"fontSize": 12, "fontWeight": 600, "color": GRAY}


def step_line(
    name: str, points: Sequence[Point], color: str, *, grid: int = 0, line: str = "solid"
) -> dict[str, Any]:
    """Return a line that stays at each value until the next point."""
    return {
        "name": name,
        "type": "line",
        "step": "end",
        "showSymbol": len(points) < 2,
        "data": [list(point) for point in points],
        "xAxisIndex": grid,
        "yAxisIndex": grid,
        "lineStyle": {"color": color, "type": line, "width": 2 if line == "solid" else 1.2},
        "itemStyle": {"color": color},
        "animation": False,
    }


def thinned(points: Sequence[Point], limit: int = 2_000) -> list[Point]:
    """Return about `limit` points: first, lowest, highest and last of each of equal stretches."""
    if len(points) <= limit:
        return list(points)
    stretches = max(limit // 4, 1)
    places: set[int] = set()
    for stretch in range(stretches):
        begin, end = (len(points) * edge // stretches for edge in (stretch, stretch + 1))
        low, high = (
            extreme(range(begin, end), key=lambda place: points[place][1]) for extreme in (min, max)
        )
        places |= {begin, low, high, end - 1}
    return [points[place] for place in sorted(places)]


def level_line(value: float, name: str, color: str) -> dict[str, Any]:
    """Return a labeled horizontal line at a level."""
    return {
        "yAxis": value,
        "lineStyle": {"color": color, "type": "dashed", "width": 1.2},
        "label": {"formatter": name, "color": color, "position": "insideStartTop", "fontSize": 11},
    }


def with_levels(series: dict[str, Any], levels: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a series with horizontal lines."""
    return series | {"markLine": {"symbol": "none", "silent": True, "data": list(levels)}}


def shaded(series: dict[str, Any], spans: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Return a series with the times in `spans` shaded, each a first and a last time."""
    areas = [[{"xAxis": first}, {"xAxis": last}] for first, last in spans]
    style = {"color": RED, "opacity": 0.14}
    return series | {"markArea": {"silent": True, "itemStyle": style, "data": areas}}


@dataclass(frozen=True, slots=True)
class Flag:
    """One mark on a chart: its time and value, its size in pixels, and its text."""

    time_ms: int
    value: float
    size: float
    text: str


def flags(name: str, points: Sequence[Flag], color: str, symbol: str) -> dict[str, Any]:
    """Return flags of one kind; the cursor lists the text of those beside it."""
    return {
        "name": name,
        "type": "scatter",
        "symbol": symbol,
        "itemStyle": {"color": color, "opacity": 0.85},
        "z": 5,
        "animation": False,
        "data": [
            {"value": [flag.time_ms, flag.value], "symbolSize": flag.size, "text": flag.text}
            for flag in points
        ],
    }


_TOOLTIP = {
    "trigger": "axis",
    "axisPointer": {"type": "line"},
    "confine": True,
    ":position": "(_0, _1, _2, _3, size) => (size.viewSize[0] < 500 ? [0, 0] : null)",
    ":formatter": "linesAt",
}

_ZOOM = {
    "type": "inside",
    "filterMode": "none",  # a level has points outside of the window only
    "zoomOnMouseWheel": "ctrl",
    "moveOnMouseWheel": False,
}


def described(text: str) -> dict[str, Any]:
    """Return the option by which a chart has a text for screen readers."""
    return {"enabled": True, "label": {"description": f"Chart: {text}"}}


def time_charts(
    titles: Sequence[str],
    series: Sequence[Mapping[str, Any]],
    spans: Sequence[tuple[float, float] | None] = (),
    *,
    time: tuple[int, int] | None = None,
    height: int = CHART_HEIGHT,
) -> dict[str, Any]:
    """Return charts below one another, each `height` pixels, with one time axis and cursor.

    `spans` are the lowest and highest value that each chart must include; `time` is the first and
    the last time in milliseconds, by default those of the lines.
    """
    spans = spans or [None] * len(titles)
    count = len(titles)
    tops = [36 + index * (height + 62) for index in range(count)]
    linked = range(count)
    return {
        "useUTC": True,
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"color": GRAY},
        "title": [
            {"text": title, "top": top - 34, "left": 0, "textStyle": TITLE_STYLE}
            for title, top in zip(titles, tops, strict=True)
        ],
        "aria": described(", ".join(titles)),
        "tooltip": _TOOLTIP,
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "legend": {
            "bottom": 0,
            "left": 0,
            "type": "scroll",
            "icon": "roundRect",
            "itemWidth": 16,
            "itemHeight": 4,
            "textStyle": {"color": GRAY, "lineHeight": 20},  # as high as a name that is not cut
        },
        "dataZoom": [_ZOOM | {"xAxisIndex": list(linked)}],
        "grid": [{"left": 84, "right": 18, "top": top, "height": height} for top in tops],
        "xAxis": [
            {
                "type": "time",
                "gridIndex": index,
                "axisLabel": {"color": GRAY, "hideOverlap": True},
                **({"min": time[0], "max": time[1]} if time else {}),
            }
            for index in linked
        ],
        "yAxis": [_value_axis(index, span) for index, span in enumerate(spans)],
        "series": list(series),
    }


def _value_axis(index: int, span: tuple[float, float] | None) -> dict[str, Any]:
    return {
        "type": "value",
        "scale": True,
        "gridIndex": index,
        **_axis_range(span),
        "axisLabel": {
            "color": GRAY,
            "showMinLabel": False,
            "showMaxLabel": False,
            ":formatter": "groupDigits",
        },
        "splitLine": {"lineStyle": {"color": GRID_COLOR}},
    }


def _axis_range(span: tuple[float, float] | None) -> dict[str, float]:
    """Return the ends of a value axis, 5 % beyond the span."""
    if span is None:
        return {}
    low, high = span
    margin = (high - low or 1.0) * 0.05
    return {"min": low - margin, "max": high + margin}


def charts_height(count: int, height: int = CHART_HEIGHT) -> int:
    """Return the height in pixels of `count` charts below one another."""
    return 36 + count * (height + 62) - 6
