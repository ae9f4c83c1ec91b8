"""The page of `delever watch`: indicators, states, distances, what can be done, alerts, failures."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from nicegui import app, ui

from delever.dashboard.charts.time_series import pixels, time_charts
from delever.dashboard.components import watch_tables as rows
from delever.dashboard.components.frame import REFRESH_S, STYLE, grid, html, panel
from delever.dashboard.components.table import Column, table
from delever.dashboard.format import utc
from delever.watch.screen.view import WatchView
from delever.watch.store import HistoryRecord, downsample, read_history
from delever.watch.watch_loop import Watch

PAST_S = 10.0
POINTS = 600
HOURS = {1: "1 hour", 6: "6 hours", 24: "1 day", 168: "1 week", 720: "30 days"}
HOUR_MS = 3_600_000
MORE_STYLE = """
.state-stopped { color: var(--blue); }
.banner ul, .note ul { margin: 0; padding-left: 1.1rem; list-style: disc; min-width: 0; }
.banner ul { flex: 1 1 20rem; }
.banner li, .note li { overflow-wrap: anywhere; }
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """The watch that is shown, and the SQLite file of its history."""

    watch: Watch
    history: str

    def past(self, key: str, since_ms: int) -> list[HistoryRecord]:
        """Return the history of a contract, given as venue/contract, downsampled for a chart."""
        venue, _, name = key.partition("/")
        kept = read_history(self.history, since_ms=since_ms, name=name)
        return downsample([line for line in kept if line.venue == venue], POINTS)


@dataclass(frozen=True, slots=True)
class _Panel:
    """A table of the page: what it is of, its columns, and its rows at a moment."""

    title: str
    about: str
    columns: tuple[Column, ...]
    rows: Callable[[WatchView], Iterable[dict[str, Any]]]
    nothing: str = "Nothing."


_NOW = (
    _Panel(
        "Positions",
        "indicator 5 is next to be closed",
        rows.POSITIONS,
        rows.positions,
        "No positions. Reading them requires an API key of the account.",
    ),
    _Panel("Contracts", "distances in percent of the fund's peak", rows.CONTRACTS, rows.contracts),
    _Panel("Options", "all other accounts unchanged", rows.ADVICE, rows.advice),
)
_BESIDE = (
    _Panel("ADL fills of the account", "newest first", rows.FILLS, rows.fills),
    _Panel("Insurance funds", "fall from the highest observed balance", rows.POOLS, rows.pools),
    _Panel("Sources", "polled when the venue has a new value", rows.SOURCES, rows.sources),
)


async def show(told: Watched, contract: str = "", hours: int = 24) -> None:
    """Show everything; `contract` is venue/contract, whose past of so many hours is drawn."""
    dark = _top()
    with ui.element("main").classes("page"):
        html("<h1>ADL risk</h1>")
        asof = ui.label("").classes("asof")
        banners = html().classes("banners").props("role=status")
        with grid():
            shown = {each: _shown(each) for each in _NOW}
            unknown = html().classes("note").style("grid-column: span 12; margin: 0")
            past = _Past(told, contract, hours)
            with panel("Deliveries of alerts", about="newest first"):
                sent = table(rows.DELIVERIES, [], "id")
            shown |= {each: _shown(each) for each in _BESIDE}
            with panel("Budget", about="used of each venue's limit"):
                budgets = html()
    await ui.context.client.connected(timeout=30.0)
    dark.value = app.storage.tab.get("dark")

    def refresh() -> None:
        view = told.watch.view()
        asof.set_text(f"as of {utc(view.time_ms)} UTC")
        banners.set_content(rows.banners(view))
        unknown.set_content(rows.unknown(view))
        budgets.set_content(rows.budgets(view))
        for each, shown_rows in shown.items():
            shown_rows.rows = list(each.rows(view))
        sent.rows = list(rows.deliveries(told.watch.deliveries(20)))
        past.offer(view)

    refresh()
    await past.draw()
    ui.timer(REFRESH_S, refresh, immediate=False)
    ui.timer(PAST_S, past.draw, immediate=False)


def _top() -> ui.dark_mode:
    """Show the bar above, and return what turns the page dark."""
    ui.page_title("delever watch")
    ui.add_css(STYLE + MORE_STYLE)
    dark = ui.dark_mode(None)

    def turn() -> None:
        dark.value = not dark.value
        app.storage.tab["dark"] = dark.value

    with ui.element("header").classes("top"):
        html('<span class="brand">◆ delever watch</span>')
        with ui.element("div").classes("tools"):
            ui.button("Theme", on_click=turn).props("flat dense no-caps")
    return dark


def _shown(each: _Panel) -> ui.table:
    with panel(each.title, about=each.about):
        return table(each.columns, [], "id", each.nothing)


class _Past:
    """The chart of one contract's indicators, profit ratio and risk, and what chooses it."""

    def __init__(self, told: Watched, contract: str, hours: int) -> None:
        self._told = told
        with panel("Over time", about="out of the watch's history"):
            with ui.element("div").classes("bits"):
                self._contract = ui.select([contract], value=contract, label="contract")
                span = hours if hours in HOURS else 24
                self._hours = ui.select(HOURS, value=span, label="time")
            self._note = ui.label("").classes("note")
            self._chart = ui.echart(time_charts(["", ""], [])).style(f"height: {pixels(2)}px")
        for chosen in (self._contract, self._hours):
            chosen.props("dense outlined").style("min-width: 12rem").on_value_change(self._choose)

    def offer(self, view: WatchView) -> None:
        """Offer the contracts that there are now; the first of them where none is chosen."""
        held = [f"{p.position.venue}/{p.position.name}" for p in view.positions]
        named = [f"{c.status.venue}/{c.status.contract}" for c in view.contracts]
        chosen = self._contract.value
        names = list(dict.fromkeys([*held, *named, *filter(None, [chosen])]))
        if names and names != self._contract.options:
            self._contract.set_options(names, value=chosen or names[0])

    async def _choose(self) -> None:
        asked = {"contract": self._contract.value, "hours": self._hours.value}
        ui.navigate.history.replace(f"/?{urlencode(asked)}")
        await self.draw()

    async def draw(self) -> None:
        """Draw the past anew; a file that cannot be read is said."""
        now_ms = self._told.watch.view().time_ms
        since_ms = now_ms - self._hours.value * HOUR_MS
        try:
            kept = await asyncio.to_thread(self._told.past, self._contract.value or "", since_ms)
        except sqlite3.Error as error:
            self._note.set_text(f"{self._told.history} cannot be read: {error}")
            return
        count, options = rows.drawn(kept, since_ms, now_ms)
        self._note.set_text("" if kept else "Nothing is kept of it yet.")
        self._chart.style(f"height: {pixels(count)}px")
        self._chart.options.clear()
        self._chart.options.update(options)
        self._chart.update()
