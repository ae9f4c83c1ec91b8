"""What is drawn, as options of ECharts: steps in time, levels across, one cursor for all of it."""

from collections.abc import Mapping, Sequence
from typing import Any

Point = tuple[int, float]

HEIGHT = 190
"""Pixels of one chart, where not said."""

GREY, BLUE, RED, GREEN, AMBER = "#8a949e", "#4c8dff", "#e5534b", "#3fb27f", "#d9922e"


def steps(
    name: str, points: Sequence[Point], colour: str, *, grid: int = 0, line: str = "solid"
) -> dict[str, Any]:
    """Return a line that holds each value until the next."""
    return {
        "name": name,
        "type": "line",
        "step": "end",
        "showSymbol": len(points) < 2,
        "data": [list(point) for point in points],
        "xAxisIndex": grid,
        "yAxisIndex": grid,
        "lineStyle": {"color": colour, "type": line, "width": 2 if line == "solid" else 1.2},
        "itemStyle": {"color": colour},
        "animation": False,
    }


def thinned(points: Sequence[Point], limit: int = 2_000) -> list[Point]:
    """Return about `limit` points: of each stretch the first, the lowest, the highest, the last."""
    if len(points) <= limit:
        return list(points)
    stretches = max(limit // 4, 1)
    kept: set[int] = set()
    for stretch in range(stretches):
        begin, end = (len(points) * each // stretches for each in (stretch, stretch + 1))
        places = range(begin, end)
        low, high = (pick(places, key=lambda place: points[place][1]) for pick in (min, max))
        kept |= {begin, low, high, end - 1}
    return [points[place] for place in sorted(kept)]


def level_line(value: float, name: str, colour: str) -> dict[str, Any]:
    """Return a line across a chart at a level, with its name."""
    return {
        "yAxis": value,
        "lineStyle": {"color": colour, "type": "dashed", "width": 1.2},
        "label": {"formatter": name, "color": colour, "position": "insideStartTop", "fontSize": 11},
    }


def with_levels(series: dict[str, Any], levels: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a series with lines across at levels."""
    return series | {"markLine": {"symbol": "none", "silent": True, "data": list(levels)}}


def time_charts(
    titles: Sequence[str],
    series: Sequence[Mapping[str, Any]],
    spans: Sequence[tuple[float, float] | None] = (),
    *,
    height: int = HEIGHT,
    time: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Return charts below one another that share their time and their cursor; height in px each.

    `spans` are the lowest and the highest value that a chart has to show, whatever its lines do;
    `time` is the first and the last moment, where not the lines say it.
    """
    spans = spans or [None] * len(titles)
    count = len(titles)
    tops = [36 + index * (height + 62) for index in range(count)]
    linked = range(count)
    return {
        "useUTC": True,
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"color": GREY},
        "title": [
            {"text": title, "top": top - 34, "left": 0, "textStyle": _TITLE}
            for title, top in zip(titles, tops, strict=True)
        ],
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "line"}},
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "legend": {
            "bottom": 0,
            "left": 0,
            "type": "scroll",
            "icon": "roundRect",
            "itemWidth": 16,
            "itemHeight": 4,
            "textStyle": {"color": GREY, "lineHeight": 20},  # as high as a name that is not cut
        },
        "dataZoom": [{"type": "inside", "xAxisIndex": list(linked)}],
        "grid": [{"left": 84, "right": 18, "top": top, "height": height} for top in tops],
        "xAxis": [
            {
                "type": "time",
                "gridIndex": index,
                "axisLabel": {"color": GREY, "hideOverlap": True},
                **({"min": time[0], "max": time[1]} if time else {}),
            }
            for index in linked
        ],
        "yAxis": [
            {
                "type": "value",
                "scale": True,
                "gridIndex": index,
                **_least(span),
                "axisLabel": {"color": GREY, "showMinLabel": False, "showMaxLabel": False},
                "splitLine": {"lineStyle": {"color": "rgba(138,148,158,.25)"}},
            }
            for index, span in enumerate(spans)
        ],
        "series": list(series),
    }


def _least(span: tuple[float, float] | None) -> dict[str, float]:
    """Return the ends of an axis: a little more than has to be shown."""
    if span is None:
        return {}
    low, high = span
    room = (high - low or 1.0) * 0.05
    return {"min": low - room, "max": high + room}


def pixels(count: int, *, height: int = HEIGHT) -> int:
    """Return how high so many charts below one another are."""
    return 36 + count * (height + 62) - 6


def curve(points: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the price -> ADL curve: what is liquidated, absorbed, and left for ADL by move."""
    named = (("liquidated", GREY), ("absorbed", BLUE), ("adl", RED))
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"color": GREY},
        "legend": {"top": 0, "left": 0, "textStyle": {"color": GREY}},
        "tooltip": {"trigger": "axis"},
        "grid": {"left": 70, "right": 18, "top": 34, "bottom": 40},
        "xAxis": {
            "type": "value",
            "name": "move of the mark, %",
            "nameLocation": "middle",
            "nameGap": 26,
            "axisLabel": {"color": GREY},
            "splitLine": {"show": False},
        },
        "yAxis": {
            "type": "value",
            "axisLabel": {"color": GREY},
            "splitLine": {"lineStyle": {"color": "rgba(138,148,158,.25)"}},
        },
        "series": [
            {
                "name": "left for ADL" if name == "adl" else name,
                "type": "line",
                "data": [[point["move"], point[name]] for point in points],
                "lineStyle": {"color": colour},
                "itemStyle": {"color": colour},
                "symbolSize": 5,
                "areaStyle": {"opacity": 0.25} if name == "adl" else None,
            }
            for name, colour in named
        ],
    }


def bars(
    title: str, names: Sequence[str], values: Sequence[float | None], colours: Sequence[str]
) -> dict[str, Any]:
    """Return a bar a name, one below the other, each in its own colour."""
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"color": GREY},
        "tooltip": {"trigger": "item"},
        "title": {"text": title, "left": 0, "top": 0, "textStyle": _TITLE},
        "grid": {"left": 132, "right": 16, "top": 24, "bottom": 22},
        "xAxis": {
            "type": "value",
            "splitNumber": 3,
            "axisLabel": {"color": GREY, "fontSize": 10, "hideOverlap": True},
            "splitLine": {"lineStyle": {"color": "rgba(138,148,158,.25)"}},
        },
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": list(names),
            "axisLabel": {"color": GREY, "width": 124, "overflow": "truncate"},
            "axisTick": {"show": False},
        },
        "series": [
            {
                "name": title,
                "type": "bar",
                "barMaxWidth": 16,
                "data": [
                    {"value": value, "itemStyle": {"color": colours[place % len(colours)]}}
                    for place, value in enumerate(values)
                ],
            }
        ],
    }


def waterfall(stages: Sequence[tuple[str, float, str]]) -> dict[str, Any]:
    """Return bars that take up where the one before ended: (name, how much, colour)."""
    left = stages[0][1] if stages else 0.0
    floors, bars = [], []
    for place, (_, amount, colour) in enumerate(stages):
        left -= amount if place else 0.0
        floors.append(max(left, 0.0) if place else 0.0)
        label = {} if amount else {"label": {"show": False}}
        bars.append({"value": amount, "itemStyle": {"color": colour}, **label})
    hidden = {"type": "bar", "stack": "all", "silent": True, "data": floors, "name": ""}
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"color": GREY},
        "grid": {"left": 70, "right": 18, "top": 20, "bottom": 44},
        "xAxis": {
            "type": "category",
            "data": [name for name, _, _ in stages],
            "axisLabel": {"color": GREY, "interval": 0, "width": 74, "overflow": "break"},
        },
        "yAxis": {
            "type": "value",
            "axisLabel": {"color": GREY},
            "splitLine": {"lineStyle": {"color": "rgba(138,148,158,.25)"}},
        },
        "series": [
            hidden | {"itemStyle": {"color": "transparent"}},
            {
                "type": "bar",
                "stack": "all",
                "barWidth": "55%",
                "data": bars,
                "label": {"show": True, "position": "inside", "color": "#fff"},
            },
        ],
    }


_TITLE = {"fontSize": 12, "fontWeight": 600, "color": GREY}
