"""Pictures of positions ranked under several rule sets, and of the triggers that start ADL."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import polars as pl
from matplotlib.figure import Figure

from delever.formatting import humanize
from delever.lab.errors import InputError
from delever.lab.reports.run_plots import BLUE, INK, RED, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POSITIONS = 40
"""Positions in one picture: those nearest to the front over all rule sets."""

SHADES = ("#e9edf1", "#fde3d3", "#fbbf9d", "#f58e63", "#dd5440", "#a81d2d")
"""Colors of ineligible positions and of indicators 1 to 5, pale to dark, distinct in gray, too."""

DARK_FROM = 4
_ON_PALE, _ON_DARK = "#16202a", "#ffffff"


def rank_figures(compared: pl.DataFrame) -> dict[str, Figure]:
    """Return the pictures of `rank_all` by name: ranks of each side, triggers of contracts.

    Raises InputError without positions.
    """
    figures: dict[str, Figure] = {}
    with mpl.rc_context(STYLE):
        for (contract,), rows in compared.group_by(["contract"], maintain_order=True):
            for (side,), table in rows.group_by(["side"], maintain_order=True):
                figures[f"ranks-{contract}-{side}"] = _rank_map(table, str(contract), str(side))
            figures[f"triggers-{contract}"] = _triggers(rows, str(contract))
    if not figures:
        raise InputError("has no positions: there is nothing to draw")
    return figures


def foremost(table: pl.DataFrame) -> list[tuple[str, int]]:
    """Return the positions to draw, as account and position id, by mean relative rank."""
    share = pl.col("rank").fill_null(pl.col("ranked") + 1) / (pl.col("ranked") + 1)
    ordered = (
        table.with_columns(share=share)
        .group_by("account", "position", maintain_order=True)
        .agg(pl.col("share").mean())
        .sort("share", "account", "position")
        .head(POSITIONS)
    )
    return list(ordered.select("account", "position").iter_rows())


def _rank_map(table: pl.DataFrame, contract: str, side: str) -> Figure:
    """Draw a row per position and a column per rule set: color is the indicator, text the rank."""
    positions = foremost(table)
    rules = table["rules"].unique(maintain_order=True).to_list()
    cells = {(row["account"], row["position"], row["rules"]): row for row in table.to_dicts()}
    figure = Figure(figsize=(1.9 + 0.36 * len(rules), 1.5 + 0.23 * len(positions)))
    axis = figure.subplots()
    for y, (account, number) in enumerate(positions):
        for x, name in enumerate(rules):
            row = cells.get((account, number, name))
            if row is not None:
                _cell(axis, x, y, row)
    axis.set(xlim=(-0.5, len(rules) - 0.5), ylim=(len(positions) - 0.5, -0.5))
    axis.set_xticks(range(len(rules)), rules, rotation=60, ha="right", rotation_mode="anchor")
    names = [f"{account} {number}" if number else account for account, number in positions]
    axis.set_yticks(range(len(positions)), names)
    axis.grid(visible=False)
    axis.set_title(f"{contract}, {side}: rank; darker is a higher indicator")
    return figure


def _cell(axis: "Axes", x: int, y: int, row: dict[str, Any]) -> None:
    indicator = row["indicator"] or 0
    axis.fill_between(
        [x - 0.48, x + 0.48], y - 0.46, y + 0.46, color=SHADES[indicator], linewidth=0
    )
    ink = _ON_DARK if indicator >= DARK_FROM else _ON_PALE
    text = "-" if row["rank"] is None else str(row["rank"])
    axis.text(x, y, text, ha="center", va="center", fontsize=7, color=ink)


def _triggers(rows: pl.DataFrame, contract: str) -> Figure:
    """Draw the trigger used of each rule set, of the trigger that would start ADL first."""
    nearest = rows.unique("rules", keep="first", maintain_order=True).to_dicts()[::-1]
    names = [row["rules"] for row in nearest]
    used = [float(row["trigger_used"] or 0) for row in nearest]
    figure = Figure(figsize=(9, 1.1 + 0.22 * len(names)))
    axis = figure.subplots()
    colors = [RED if row["holds"] else BLUE for row in nearest]
    axis.barh(names, used, color=colors)
    _name_triggers(axis, nearest, used)
    axis.set(xlim=(0, 100))
    axis.grid(visible=False, axis="y")
    axis.margins(y=0.01)
    axis.set_title(f"{contract}: trigger used, %")
    return figure


def _name_triggers(axis: "Axes", nearest: Sequence[dict[str, Any]], used: Sequence[float]) -> None:
    for y, (row, percent) in enumerate(zip(nearest, used, strict=True)):
        name = humanize(row["trigger"]) if row["trigger"] else "no queue"
        inside = percent > 60
        axis.text(
            percent - 1 if inside else percent + 1,
            y,
            name,
            ha="right" if inside else "left",
            va="center",
            fontsize=7,
            color=_ON_DARK if inside else INK,
        )
