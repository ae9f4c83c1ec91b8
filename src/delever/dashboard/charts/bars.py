"""ECharts options of bars, waterfalls and the stress curve."""

from collections.abc import Mapping, Sequence
from typing import Any

from delever.dashboard.charts.time_series import BLUE, GRAY, GRID_COLOR, RED, TITLE_STYLE


def stress_curve(points: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return lines of the quantity liquidated, absorbed and left for ADL, by move of the mark."""
    lines = (("liquidated", GRAY), ("absorbed", BLUE), ("adl", RED))
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"color": GRAY},
        "legend": {"top": 0, "left": 0, "textStyle": {"color": GRAY}},
        "tooltip": {"trigger": "axis"},
        "grid": {"left": 70, "right": 18, "top": 34, "bottom": 40},
        "xAxis": {
            "type": "value",
            "name": "move of the mark, %",
            "nameLocation": "middle",
            "nameGap": 26,
            "axisLabel": {"color": GRAY},
            "splitLine": {"show": False},
        },
        "yAxis": {
            "type": "value",
            "axisLabel": {"color": GRAY},
            "splitLine": {"lineStyle": {"color": GRID_COLOR}},
        },
        "series": [
            {
                "name": "left for ADL" if name == "adl" else name,
                "type": "line",
                "data": [[point["move"], point[name]] for point in points],
                "lineStyle": {"color": color},
                "itemStyle": {"color": color},
                "symbolSize": 5,
                "areaStyle": {"opacity": 0.25} if name == "adl" else None,
            }
            for name, color in lines
        ],
    }


def bars(
    title: str, names: Sequence[str], values: Sequence[float | None], colors: Sequence[str]
) -> dict[str, Any]:
    """Return one horizontal bar a name, each in its own color."""
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"color": GRAY},
        "tooltip": {"trigger": "item"},
        "title": {"text": title, "left": 0, "top": 0, "textStyle": TITLE_STYLE},
        "grid": {"left": 132, "right": 16, "top": 24, "bottom": 22},
        "xAxis": {
            "type": "value",
            "splitNumber": 3,
            "axisLabel": {"color": GRAY, "fontSize": 10, "hideOverlap": True},
            "splitLine": {"lineStyle": {"color": GRID_COLOR}},
        },
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": list(names),
            "axisLabel": {"color": GRAY, "width": 124, "overflow": "truncate"},
            "axisTick": {"show": False},
        },
        "series": [
            {
                "name": title,
                "type": "bar",
                "barMaxWidth": 16,
                "data": [
                    {"value": value, "itemStyle": {"color": colors[place % len(colors)]}}
                    for place, value in enumerate(values)
                ],
            }
        ],
    }


def waterfall(stages: Sequence[tuple[str, float, str]]) -> dict[str, Any]:
    """Return a waterfall: the first bar is the total, every next one continues where one ended.

    A stage is (name, amount, color).
    """
    remaining = stages[0][1] if stages else 0.0
    floors, bars = [], []
    for place, (_, amount, color) in enumerate(stages):
        remaining -= amount if place else 0.0
        floors.append(max(remaining, 0.0) if place else 0.0)
        label = {} if amount else {"label": {"show": False}}
        bars.append({"value": amount, "itemStyle": {"color": color}, **label})
    hidden = {"type": "bar", "stack": "all", "silent": True, "data": floors, "name": ""}
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"color": GRAY},
        "grid": {"left": 70, "right": 18, "top": 20, "bottom": 44},
        "xAxis": {
            "type": "category",
            "data": [name for name, _, _ in stages],
            "axisLabel": {"color": GRAY, "interval": 0, "width": 74, "overflow": "break"},
        },
        "yAxis": {
            "type": "value",
            "axisLabel": {"color": GRAY},
            "splitLine": {"lineStyle": {"color": GRID_COLOR}},
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
