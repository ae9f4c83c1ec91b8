"""Pictures of a fund curve and of measures with their intervals, with matplotlib (extra `plot`)."""

from collections.abc import Sequence

import matplotlib as mpl
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from delever.lab.measures.intervals import intervals
from delever.lab.reports.run_plots import BLUE, GREEN, RED, STYLE
from delever.lab.reports.table_store import StoredStudy

DRAWN = ("haircut_total", "unfunded", "overshoot_signed", "hedge_breakage")
"""Measures of a sweep that are drawn, those of them that are not 0 everywhere."""


def fund_figure(frame: pl.DataFrame) -> Figure:
    """Return the curve of a fund: probability of ADL, and haircut, unfunded loss and cost."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 3.2))
        left, right = figure.subplots(1, 2)
        left.set_title("Probability of ADL")
        left.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        left.set_ylim(-0.02, 1.02)
        _band(left, frame, "adl", BLUE, "")
        right.set_title("Expected, in the settle asset")
        lines = (
            ("haircut_total", RED, "haircut"),
            ("unfunded", BLUE, "unfunded"),
            ("cost", GREEN, "cost"),
        )
        for name, color, label in lines:
            _band(right, frame, name, color, label)
        right.legend()
        for axis in (left, right):
            axis.set_xlabel("size of the fund")
        return figure


def study_figures(study: StoredStudy) -> dict[str, Figure]:
    """Return the pictures of a stored study by name; those of runs are of their intervals."""
    match study.kind.figure:
        case "fund":
            return {"fund": fund_figure(study.frame.cast(pl.Float64))}
        case "interval":
            return interval_figures(_with_floats(study.frame, ("mean", "low", "high")))
        case "runs":
            runs = _with_floats(study.frame, DRAWN)
            return interval_figures(intervals(runs, ["rules", "fund"], DRAWN))
    return {}


def _with_floats(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    return frame.with_columns(pl.col(columns).cast(pl.Float64, strict=False))


def interval_figures(frame: pl.DataFrame) -> dict[str, Figure]:
    """Return a picture of each drawn measure of `intervals`: mean and interval of each group."""
    figures = {}
    for name in DRAWN:
        rows = frame.filter((pl.col("measure") == name) & pl.col("mean").is_not_null())
        if (rows["mean"] != 0).any():
            figures[name] = _intervals(rows, name)
    return figures


def _intervals(rows: pl.DataFrame, name: str) -> Figure:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 1.2 + 0.3 * rows.height))
        axis = figure.subplots()
        axis.set_title(name.replace("_", " "))
        labels = [" ".join(filter(None, pair)) for pair in rows.select("rules", "fund").iter_rows()]
        mean, low, high = (rows[column].to_numpy() for column in ("mean", "low", "high"))
        axis.errorbar(mean, labels, xerr=[mean - low, high - mean], fmt="o", color=BLUE, capsize=3)
        axis.invert_yaxis()
        return figure


def _band(axis: mpl.axes.Axes, frame: pl.DataFrame, name: str, color: str, label: str) -> None:
    x = frame["fund"].to_numpy()
    axis.plot(x, frame[name].to_numpy(), color=color, marker="o", label=label)
    low, high = (frame[f"{name}_{end}"].to_numpy() for end in ("low", "high"))
    axis.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
