"""The page of `delever watch`: indicators, states, distances, advice, alerts and errors."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from nicegui import app, ui

from delever.dashboard.apps import watch_tables as rows
from delever.dashboard.charts.time_series import charts_height, time_charts
from delever.dashboard.charts.watch_history import watch_history_charts
from delever.dashboard.components.frame import REFRESH_S, SCRIPT, STYLE, grid, html, panel
from delever.dashboard.components.table import Column, table
from delever.dashboard.format import utc
from delever.watch.screen.view import WatchView
from delever.watch.store import HistoryRecord, downsample, read_history
from delever.watch.watch_loop import Watch

HISTORY_REFRESH_S = 10.0
POINTS = 600
HOURS = {1: "1 hour", 6: "6 hours", 24: "1 day", 168: "1 week", 720: "30 days"}
HOUR_MS = 3_600_000
WATCH_STYLE = """
.state-stopped { color: var(--blue); }
.banner ul, .note ul { margin: 0; padding-left: 1.1rem; list-style: disc; min-width: 0; }
.banner ul { flex: 1 1 20rem; }
.banner li, .note li { overflow-wrap: anywhere; }
"""


@dataclass(frozen=True, slots=True)
class WatchSource:
    """The running watch, and the path of the SQLite file with its history."""

    watch: Watch
    history: str

    def history_of(self, key: str, since_ms: int) -> list[HistoryRecord]:
        """Return the recorded values of a contract, given as venue/contract, thinned."""
        venue, _, name = key.partition("/")
        values = read_history(self.history, since_ms=since_ms, name=name)
        return downsample([value for value in values if value.venue == venue], POINTS)


@dataclass(frozen=True, slots=True)
class _TablePanel:
    """One table of the page: its title, its columns, and the function that returns its rows."""

    title: str
    about: str
    columns: tuple[Column, ...]
    rows: Callable[[WatchView], Iterable[dict[str, Any]]]
    empty: str = "No data."


_ABOVE_HISTORY = (
    _TablePanel(
        "Positions",
        "ADL indicator 5 is closed first",
        rows.POSITIONS,
        rows.positions,
        "No positions. Reading them requires an API key of the account.",
    ),
    _TablePanel(
        "Contracts", "distances in percent of the fund's peak", rows.CONTRACTS, rows.contracts
    ),
    _TablePanel("Options", "all other accounts unchanged", rows.ADVICE, rows.advice),
)
_BELOW_HISTORY = (
    _TablePanel("ADL fills of the account", "newest first", rows.FILLS, rows.fills),
    _TablePanel(
        "Insurance funds", "fall from the highest observed balance", rows.POOLS, rows.pools
    ),
    _TablePanel("Sources", "polled when the venue has a new value", rows.SOURCES, rows.sources),
)


async def show(source: WatchSource, contract: str = "", hours: int = 24) -> None:
    """Build the page; `contract` is venue/contract, of which the last `hours` are drawn."""
    dark = _header()
    with ui.element("main").classes("page"):
        html("<h1>ADL risk</h1>")
        as_of = ui.label("").classes("asof")
        banners = html().classes("banners").props("role=status")
        with grid():
            tables = {spec: _table_panel(spec) for spec in _ABOVE_HISTORY}
            unknown = html().classes("note").style("grid-column: span 12; margin: 0")
            chart = _HistoryChart(source, contract, hours)
            with panel("Deliveries of alerts", about="newest first"):
                deliveries = table(rows.DELIVERIES, [], "id")
            tables |= {spec: _table_panel(spec) for spec in _BELOW_HISTORY}
            with panel("Rate limits", about="used of each venue's limit"):
                budgets = html()
    await ui.context.client.connected(timeout=30.0)
    dark.value = app.storage.tab.get("dark")

    def refresh() -> None:
        view = source.watch.view()
        as_of.set_text(f"as of {utc(view.time_ms)} UTC")
        banners.set_content(rows.banners(view))
        unknown.set_content(rows.unknown(view))
        budgets.set_content(rows.budgets(view))
        for spec, element in tables.items():
            element.rows = list(spec.rows(view))
        deliveries.rows = list(rows.deliveries(source.watch.deliveries(20)))
        chart.offer(view)

    refresh()
    await chart.draw()
    ui.timer(REFRESH_S, refresh, immediate=False)
    ui.timer(HISTORY_REFRESH_S, chart.draw, immediate=False)


def _header() -> ui.dark_mode:
    """Display the header and return the element that switches the theme."""
    ui.page_title("delever watch")
    ui.add_css(STYLE + WATCH_STYLE)
    ui.add_body_html(f'<script type="module">{SCRIPT}</script>')
    dark = ui.dark_mode(None)

    def toggle() -> None:
        dark.value = not dark.value
        app.storage.tab["dark"] = dark.value

    with ui.element("header").classes("top"):
        html('<span class="brand">◆ delever watch</span>')
        with ui.element("div").classes("tools"):
            ui.button("Theme", on_click=toggle).props("flat dense no-caps")
    return dark


def _table_panel(spec: _TablePanel) -> ui.table:
    with panel(spec.title, about=spec.about):
        return table(spec.columns, [], "id", spec.empty)


class _HistoryChart:
    """The recorded indicators, PnL ratio and risk of one contract, with the controls."""

    def __init__(self, source: WatchSource, contract: str, hours: int) -> None:
        self._source = source
        with panel("Over time", about="from the watch's history"):
            with ui.element("div").classes("bits"):
                self._contract = ui.select([contract], value=contract, label="contract")
                span = hours if hours in HOURS else 24
                self._hours = ui.select(HOURS, value=span, label="time")
            self._note = ui.label("").classes("note")
            self._chart = ui.echart(time_charts(["", ""], []))
            self._chart.style(f"height: {charts_height(2)}px")
        for select in (self._contract, self._hours):
            select.props("dense outlined").style("min-width: 12rem")
            select.on_value_change(self._selection_changed)

    def offer(self, view: WatchView) -> None:
        """Set the contracts to choose from; choose the first unless one is chosen."""
        of_positions = [f"{p.position.venue}/{p.position.name}" for p in view.positions]
        others = [f"{c.status.venue}/{c.status.contract}" for c in view.contracts]
        chosen = self._contract.value
        names = list(dict.fromkeys([*of_positions, *others, *filter(None, [chosen])]))
        if names and names != self._contract.options:
            self._contract.set_options(names, value=chosen or names[0])

    async def _selection_changed(self) -> None:
        query = {"contract": self._contract.value, "hours": self._hours.value}
        ui.navigate.history.replace(f"/?{urlencode(query)}")
        await self.draw()

    async def draw(self) -> None:
        """Draw the recorded values, or display why the history file cannot be read."""
        now_ms = self._source.watch.view().time_ms
        since_ms, key = now_ms - self._hours.value * HOUR_MS, self._contract.value or ""
        try:
            values = await asyncio.to_thread(self._source.history_of, key, since_ms)
        except sqlite3.Error as error:
            self._note.set_text(f"{self._source.history} cannot be read: {error}")
            return
        count, options = watch_history_charts(values, since_ms, now_ms)
        self._note.set_text("" if values else "Nothing is recorded yet.")
        self._chart.style(f"height: {charts_height(count)}px")
        self._chart.options.clear()
        self._chart.options.update(options)
        self._chart.update()
