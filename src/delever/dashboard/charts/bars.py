"""ECharts options of bars and the stress curve."""

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
