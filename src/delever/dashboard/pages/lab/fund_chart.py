"""ECharts options of the fund curve: probability of ADL and expected cost by size of the fund."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from delever.dashboard.charts.time_series import (
    AMBER,
    BLUE,
    GRAY,
    GREEN,
    GRID_COLOR,
    TITLE_STYLE,
    described,
)
from delever.lab.studies.fund_curve import FundOptimum

TITLES = ("Probability of ADL, %", "Expected cost, USDT")
TOPS, HEIGHT = (34, 254), 160


def fund_chart(frame: pl.DataFrame, optimum: FundOptimum) -> dict[str, Any]:
    """Return two charts with one axis of sizes, each a mean in its 95 % interval.

    `frame` is that of a `FundCurve`; a vertical line marks the size of least expected cost.
    """
    percent = frame.with_columns(pl.col("adl", "adl_low", "adl_high") * 100)
    series = [*_band(percent, "adl", 0, AMBER), *_band(frame, "cost", 1, BLUE)]
    series[-1]["markLine"] = {
        "symbol": "none",
        "silent": True,
        "lineStyle": {"color": GREEN, "type": "dashed"},
        "label": {"formatter": "least cost", "color": GREEN},
        "data": [{"xAxis": optimum.fund}],
    }
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"color": GRAY},
        "aria": described(", ".join(TITLES)),
        "title": [
            {"text": title, "top": top - 32, "left": 0, "textStyle": TITLE_STYLE}
            for title, top in zip(TITLES, TOPS, strict=True)
        ],
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "grid": [{"left": 64, "right": 24, "top": top, "height": HEIGHT} for top in TOPS],
        "xAxis": [_axis(place, "size of the fund, USDT" if place else "") for place in (0, 1)],
        "yAxis": [_axis(place, "") for place in (0, 1)],
        "series": series,
    }


CHART_HEIGHT_PX = TOPS[1] + HEIGHT + 56


def _band(frame: pl.DataFrame, name: str, grid: int, color: str) -> list[dict[str, Any]]:
    """Return a mean as a line, in an area between the bounds of its interval."""
    sizes, low = frame["fund"].to_list(), frame[f"{name}_low"].to_list()
    width = (frame[f"{name}_high"] - frame[f"{name}_low"]).to_list()
    stacked = {"stack": f"{name} interval", "symbol": "none", "silent": True}
    return [
        _line(f"{name} low", sizes, low, grid, color) | stacked | {"lineStyle": {"opacity": 0}},
        _line(f"{name} width", sizes, width, grid, color)
        | stacked
        | {"lineStyle": {"opacity": 0}, "areaStyle": {"color": color, "opacity": 0.18}},
        _line(name, sizes, frame[name].to_list(), grid, color),
    ]


def _line(
    name: str, sizes: Sequence[float], values: Sequence[float], grid: int, color: str
) -> dict[str, Any]:
    return {
        "name": name,
        "type": "line",
        "data": [list(point) for point in zip(sizes, values, strict=True)],
        "xAxisIndex": grid,
        "yAxisIndex": grid,
        "itemStyle": {"color": color},
        "lineStyle": {"color": color},
        "symbolSize": 6,
    }


def _axis(grid: int, name: str) -> dict[str, Any]:
    return {
        "type": "value",
        "gridIndex": grid,
        "name": name,
        "nameLocation": "middle",
        "nameGap": 28,
        "axisLabel": {"color": GRAY, "hideOverlap": True, ":formatter": "groupDigits"},
        "splitLine": {"lineStyle": {"color": GRID_COLOR}},
    }
