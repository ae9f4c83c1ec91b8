"""Pictures of a run, and of a stress test under several rule sets, with matplotlib (extra `plot`).

Money is drawn as floats; exact numbers are in the tables. Lines are steps, because a number is
valid until the next; marks are dots, because they also move while their pool is not observed. A
long series is thinned to the first, last, smallest and largest value of each stretch.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, DateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from delever.formatting import SCENARIO_TIMES_MS
from delever.lab.errors import InputError
from delever.lab.reports.run_store import StoredRun
from delever.lab.runs.run import AdlEpisode

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#1b2733"
GRID = "#8a949e"
BLUE, RED, GREEN, AMBER = "#2f6fde", "#d43f3a", "#2a9d5c", "#c77d0a"

STYLE: dict[Any, Any] = {
    "axes.edgecolor": GRID,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "font.family": "sans-serif",
    "font.size": 9,
    "grid.alpha": 0.35,
    "grid.color": GRID,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "delever",
    "text.color": INK,
    "text.parse_math": False,  # a $ in a name is no formula
    "xtick.color": INK,
    "ytick.color": INK,
}

POINTS = 1_000
"""Largest number of stretches to which a long series is thinned."""

NARROW_INCHES, MIN_STACKED_HEIGHT = 4.3, 2.3
"""Width of a picture on a phone, and the least height of each of its parts, in inches."""

BARS = 20
"""Accounts in the picture of fills."""

FORMATS = ("png", "svg")


def run_figures(run: StoredRun) -> dict[str, Figure]:
    """Return every picture of a run by name: contracts with takeovers or ADL, pools, fills.

    Raises InputError if there is nothing to draw.
    """
    with mpl.rc_context(STYLE):
        figures: dict[str, Figure] = {}
        for total in run.summary.contracts:
            path = run.contracts.filter(pl.col("contract") == total.contract)
            if path.height:
                figures[f"contract-{total.contract}"] = _contract(path, run)
        for pool in run.summary.pools:
            path = run.pools.filter(pl.col("pool") == pool.pool)
            if path.height:
                figures[f"pool-{pool.pool}"] = _pool(path, run.summary.until_ms)
        for asset, fills in _by_asset(run):
            figures[f"fills-{asset}"] = _fills(fills, asset)
    if not figures:
        raise InputError("has no observations of a pool and no fills: there is nothing to draw")
    return figures


def stress_test_figures(compared: pl.DataFrame) -> dict[str, Figure]:
    """Return the pictures of a stress test by name: one per contract, with a bar per rule set."""
    with mpl.rc_context(STYLE):
        contracts = compared["contract"].drop_nulls().unique(maintain_order=True)
        figures = {
            f"comparison-{contract}": _stress_test(compared.filter(pl.col("contract") == contract))
            for contract in contracts
        }
    if not figures:
        raise InputError("has no takeover and no ADL under any rule set: there is nothing to draw")
    return figures


def write_plots(figures: dict[str, Figure], directory: Path) -> list[Path]:
    """Write every figure as PNG (200 dots an inch) and as SVG; return the files."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(STYLE):
        for name, figure in figures.items():
            for form in FORMATS:
                file = directory / f"{name.replace('/', '_')}.{form}"
                stamp = {"Date": None} if form == "svg" else {}
                figure.savefig(file, dpi=200, metadata=stamp)
                written.append(file)
    return written


def stacked(figure: Figure) -> Figure:
    """Return a figure for a narrow page: its parts one below the other, legends below them."""
    axes = [axis for axis in figure.axes if axis.get_visible()]
    place = axes[0].get_subplotspec()
    rows = place.get_gridspec().nrows if place is not None else 1
    height = max(figure.get_figheight() / rows, MIN_STACKED_HEIGHT)
    grid = figure.add_gridspec(len(axes), 1)
    for row, axis in enumerate(axes):
        axis.set_subplotspec(grid[row])
        axis.tick_params(labelleft=True, labelbottom=True)
        legend = axis.get_legend()
        if legend is not None:
            axis.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2, fontsize=8)
    figure.set_size_inches(NARROW_INCHES, height * len(axes))
    return figure


# --- pictures ---


def _contract(path: pl.DataFrame, run: StoredRun) -> Figure:
    """Draw the PnL of a contract with its peak and ADL levels, above its mark."""
    contract, asset = path["contract"][0], path["asset"][0]
    path = _thinned(path, "contract_pnl")
    until_ms = run.summary.until_ms
    figure = Figure(figsize=(9, 4.6))
    axes = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    pnl, mark = axes
    pnl.set_title(f"{contract}: contract PnL, {asset}")
    _steps(pnl, path, "contract_pnl", BLUE, "contract PnL", until_ms)
    _steps(pnl, path, "contract_pnl_peak", GRID, "rolling peak", until_ms, "--")
    if path["adl_start_pnl"].null_count() < path.height:
        _steps(pnl, path, "adl_start_pnl", RED, "ADL starts", until_ms, ":")
        _steps(pnl, path, "adl_stop_pnl", GREEN, "ADL stops", until_ms, ":")
    _shade(pnl, run.summary.episodes, contract, until_ms)
    mark.plot(_times(path), path["mark"].cast(pl.Float64).to_numpy(), ".", color=INK, markersize=2)
    mark.set_title("Mark, when the pool was observed")
    _finish(axes, until_ms)
    return figure


def _pool(path: pl.DataFrame, until_ms: int) -> Figure:
    path = _thinned(path, "equity")
    figure = Figure(figsize=(9, 2.8))
    axis = figure.subplots()
    axis.set_title(f"Pool {path['pool'][0]}, {path['asset'][0]}")
    _steps(axis, path, "balance", BLUE, "balance", until_ms)
    _steps(axis, path, "equity", AMBER, "equity", until_ms, "-.")
    _steps(axis, path, "balance_peak", GRID, "rolling peak of the balance", until_ms, "--")
    axis.axhline(0, color=RED, linewidth=0.8)
    _finish([axis], until_ms)
    return figure


def _by_asset(run: StoredRun) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the fills by settle asset, as amounts of two assets cannot be added."""
    contracts: dict[str, list[str]] = {}
    for total in run.summary.contracts:
        contracts.setdefault(total.asset, []).append(total.contract)
    for asset, names in contracts.items():
        fills = run.fills.filter(pl.col("contract").is_in(names))
        if fills.height:
            yield asset, fills


def _fills(fills: pl.DataFrame, asset: str) -> Figure:
    """Draw the PnL realized by ADL by account, largest first, and its cumulative share."""
    by_account = (
        fills.group_by("account", maintain_order=True)
        .agg(pl.col("realized_pnl").sum())
        .sort("realized_pnl", descending=True, maintain_order=True)
    )
    values = by_account["realized_pnl"].cast(pl.Float64).to_numpy()
    figure = Figure(figsize=(9, 3.2))
    largest, shares = figure.subplots(1, 2, width_ratios=(3, 2))
    names = by_account["account"].to_list()[:BARS]
    largest.bar(names, values[:BARS], color=BLUE)
    more = len(values) - BARS
    largest.set_title(f"PnL realized by ADL, {asset}")
    largest.set_xlabel(f"the largest {BARS} of {len(values)} accounts" if more > 0 else "account")
    largest.tick_params(axis="x", rotation=60 if len(names) > 6 else 0)
    largest.grid(visible=False, axis="x")
    largest.yaxis.set_major_formatter("{x:,.10g}")
    gains = np.sort(np.maximum(values, 0))[::-1]
    total = float(gains.sum()) or 1.0
    shares.plot(
        np.arange(len(gains) + 1) * 100 / len(gains),
        np.concatenate([[0.0], gains.cumsum() * 100 / total]),
        color=BLUE,
    )
    shares.plot([0, 100], [0, 100], color=GRID, linestyle="--", linewidth=0.8)
    shares.set_title("Cumulative share, %")
    shares.set_xlabel("accounts, %, largest PnL first")
    return figure


def _stress_test(compared: pl.DataFrame) -> Figure:
    """Draw a bar per rule set: cost, and the distribution of ADL where it is known."""
    asset = compared["asset"][0]
    panels = [
        ("haircut", f"Haircut, {asset}", RED),
        ("pool_pnl", f"Pool PnL, {asset}", BLUE),
        ("accounts", "Accounts affected", AMBER),
        ("haircut_ratio", "Haircut ratio, %", RED),
        ("largest_share", "Largest share, %", AMBER),
        ("gini", "Gini of quantity closed", GREEN),
    ]
    drawn = [panel for panel in panels if panel[0] in compared.columns]
    drawn = [panel for panel in drawn if compared[panel[0]].null_count() < compared.height]
    rows = -(-len(drawn) // 3)
    figure = Figure(figsize=(9, (1.2 + 0.24 * compared.height) * rows + 0.2))
    axes = figure.subplots(rows, 3, sharey=True, squeeze=False).flatten()
    names = compared["rules"].to_list()[::-1]
    for axis, (column, title, color) in zip(axes, drawn, strict=False):
        values = compared[column].cast(pl.Float64).fill_null(0).to_list()
        axis.barh(names, values[::-1], color=color)
        axis.set_title(title, fontsize=9)
        axis.axvline(0, color=INK, linewidth=0.6)
        axis.grid(visible=False, axis="y")
        axis.margins(y=0.01)
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=column != "gini"))
        axis.xaxis.set_major_formatter("{x:,.10g}")
    for axis in axes[len(drawn) :]:
        axis.set_visible(False)
    figure.suptitle(compared["contract"][0], x=0.01, ha="left", fontweight="bold")
    return figure


# --- parts of pictures ---


def _thinned(path: pl.DataFrame, extreme: str) -> pl.DataFrame:
    """Return a series thinned to the first, last and extreme rows of at most POINTS stretches."""
    if path.height <= 4 * POINTS:
        return path
    edges = np.linspace(0, path.height, POINTS + 1).astype(int)
    values = path[extreme].cast(pl.Float64).to_numpy()
    rows = {row for begin, end in pairwise(edges) for row in _key_rows(values, begin, end)}
    return path[sorted(rows)]


def _key_rows(
    values: "np.ndarray[tuple[int], np.dtype[np.float64]]", begin: int, end: int
) -> set[int]:
    part = values[begin:end]
    return {begin, end - 1, begin + int(part.argmin()), begin + int(part.argmax())}


def _times(path: pl.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.datetime64]]":
    return path["time_ms"].to_numpy().astype("datetime64[ms]")


def _steps(
    axis: "Axes",
    path: pl.DataFrame,
    column: str,
    color: str,
    label: str,
    until_ms: int,
    line: str = "-",
) -> None:
    """Draw a step line; the last value is valid until the end of the run."""
    values = path[column].cast(pl.Float64).to_numpy()
    width = 1.6 if line == "-" else 1.1
    axis.step(
        np.append(_times(path), np.datetime64(until_ms, "ms")),
        np.append(values, values[-1]),
        where="post",
        color=color,
        label=label,
        linestyle=line,
        linewidth=width,
    )


def _shade(axis: "Axes", episodes: Sequence[AdlEpisode], contract: str, until_ms: int) -> None:
    """Shade the time during which ADL was on."""
    label = "ADL on"
    for begin, end in _spans(episodes, contract, until_ms):
        span = np.array([begin, end]).astype("datetime64[ms]")
        axis.axvspan(span[0], span[1], color=RED, alpha=0.12, linewidth=0, label=label)
        label = "_"


def _spans(
    episodes: Sequence[AdlEpisode], contract: str, until_ms: int
) -> Iterator[tuple[int, int]]:
    for episode in episodes:
        if episode.contract == contract:
            yield episode.started_ms, episode.stopped_ms or until_ms


def _finish(axes: Sequence["Axes"], until_ms: int) -> None:
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes[-1].xaxis.set_major_locator(locator)
    if until_ms < SCENARIO_TIMES_MS:
        axes[-1].xaxis.set_major_formatter(DateFormatter("%H:%M:%S"))  # type: ignore[no-untyped-call]
        axes[-1].set_xlabel("time of the scenario")
    else:
        formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
        axes[-1].xaxis.set_major_formatter(formatter)
        axes[-1].set_xlabel("UTC")
    for axis in axes:
        axis.yaxis.set_major_formatter("{x:,.10g}")
    if len(axes[0].get_legend_handles_labels()[1]) > 1:
        axes[0].legend(loc="upper left", bbox_to_anchor=(1, 1))
