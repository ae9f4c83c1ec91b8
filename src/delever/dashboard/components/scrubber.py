"""Through time: a slider, a speed, and linked charts whose future is veiled.

The lines are drawn once; what moves is a cursor and the veil, so that playing costs little.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from nicegui import ui

from delever.dashboard.charts.time_series import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    RED,
    Point,
    level_line,
    pixels,
    steps,
    thinned,
    time_charts,
    with_levels,
)
from delever.dashboard.components.frame import View
from delever.dashboard.components.table import Column, table
from delever.dashboard.data.timeline import Course
from delever.dashboard.format import plain, utc

COLOURS = (BLUE, AMBER, GREEN, RED, "#a371f7", "#39c5cf", "#e377c2", GREY)

SPEEDS = (0.25, 0.5, 1, 2, 5, 10, 25, 50, 100)
"""Seconds of the past in a second."""

TICK_S = 0.2

NEWEST = 8
"""Fills that are listed: the last ones up to the moment."""

ALONE = (
    Column("profit", "Contract profit", "number"),
    Column("peak", "Its peak", "number"),
    Column("room", "Until ADL starts", "number"),
    Column("balance", "Pool balance", "number"),
    Column("equity", "Pool equity", "number"),
    Column("fills", "Fills so far", "number"),
    Column("quantity", "Closed so far", "number"),
    Column("accounts", "Accounts so far", "number"),
    Column("sequence", "Sequence", "number"),
)
"""What a moment says of one course."""

SIDE_BY_SIDE = (
    Column("name", "Rules + policy"),
    Column("equity", "Pool equity", "number"),
    Column("profit", "Contract profit", "number"),
    Column("room", "Until ADL starts", "number"),
    Column("fills", "Fills so far", "number"),
    Column("quantity", "Closed so far", "number"),
    Column("accounts", "Accounts so far", "number"),
)
"""What a moment says of several."""

_FILLS = (
    Column("time", "Time (UTC)"),
    Column("name", "Run"),
    Column("account", "Account"),
    Column("side", "Side"),
    Column("quantity", "Quantity", "number"),
    Column("price", "Price", "number"),
    Column("realized", "Realized", "number"),
    Column("rank", "Rank", "number"),
)


class Scrubber:
    """Shows courses as they were at the slider's time; the address keeps contract, time, speed.

    `on_contract` says what is called when another contract is chosen.
    """

    def __init__(
        self, view: View, columns: Sequence[Column], contract: str, at: int, speed: float
    ) -> None:
        self._view = view
        self._wanted, self._begin_at = contract, at
        self._courses: Sequence[Course] = ()
        self._span = (0, 0)
        self._playing = self._showing = False
        self._chosen: Callable[[], Any] = lambda: None
        with ui.element("div").classes("bits"):
            self._contract = ui.select([], on_change=self._turn_contract)
            self._contract.props('dense outlined aria-label="contract"').style("min-width: 9rem")
            self._play = ui.button("Play", on_click=self._turn).props("no-caps unelevated dense")
            self._play.style("min-width: 4.5rem")
            speeds = {each: f"{each:g}x" for each in SPEEDS}
            self._speed = ui.select(speeds, value=speed if speed in speeds else 1)
            self._speed.props('dense outlined aria-label="speed"').style("min-width: 5.5rem")
            self._speed.on_value_change(self._keep)
            ui.button("← change", on_click=lambda: self._step(-1)).props(
                'flat dense no-caps aria-label="to the change before"'
            )
            ui.button("change →", on_click=lambda: self._step(1)).props(
                'flat dense no-caps aria-label="to the next change"'
            )
            self._now = ui.label("").classes("quiet clock")
        self._at = ui.slider(min=0, max=1, value=1, on_change=self._scrub)
        self._at.props('aria-label="time"')
        self._at.on("change", self._keep)
        self._moment = table(columns, [], "name")
        self._chart = ui.echart(_charts([], [])).style(f"height: {pixels(3)}px")
        ui.label("The last fills up to this moment").classes("note")
        alone = all(column.name != "name" for column in columns)
        shown = [column for column in _FILLS if not (alone and column.name == "name")]
        self._fills = table(shown, [], "id")
        ui.timer(TICK_S, self._tick)

    def on_contract(self, chosen: Callable[[], Any]) -> None:
        """Call this when another contract is chosen."""
        self._chosen = chosen

    @property
    def contract(self) -> str:
        """The contract that is shown, or is to be."""
        return str(self._contract.value or self._wanted)

    def show(self, courses: Sequence[Course], contracts: Sequence[str]) -> None:
        """Show other courses; `contracts` are those that can be chosen."""
        self._courses = courses
        times = [time for course in courses for time in course.times()]
        self._span = (min(times, default=0), max(times, default=0))
        at = self._begin_at if self._span[0] <= self._begin_at <= self._span[1] else self._span[1]
        self._begin_at = -1
        wanted = self.contract if self.contract in contracts else next(iter(contracts), None)
        self._showing = True
        self._contract.set_options(list(contracts), value=wanted)
        self._at.props["min"], self._at.props["max"] = self._span
        self._at.props["step"] = max((self._span[1] - self._span[0]) // 1_000, 1)
        self._at.value = at
        self._showing = False
        self._draw()
        self._scrub()

    def _turn_contract(self) -> None:
        if not self._showing:
            self._keep()
            self._draw()
            self._scrub()
            self._chosen()

    # --- time ---

    def _turn(self) -> None:
        self._playing = not self._playing
        self._play.set_text("Pause" if self._playing else "Play")
        if self._playing and self._at.value >= self._span[1]:
            self._at.value = self._span[0]
        if not self._playing:
            self._keep()

    def _tick(self) -> None:
        if not self._playing:
            return
        after = self._at.value + 1_000 * TICK_S * self._speed.value
        self._at.value = min(after, self._span[1])
        if self._at.value >= self._span[1]:
            self._turn()

    def _step(self, way: int) -> None:
        """Go to the change before, or to the next one."""
        times = sorted(set(self._changes()))
        now = int(self._at.value)
        place = bisect_right(times, now) if way > 0 else bisect_left(times, now) - 1
        if 0 <= place < len(times):
            self._at.value = times[place]
            self._keep()

    def _changes(self) -> Iterator[int]:
        for course in self._courses:
            yield from (each.time_ms for each in course.contracts.get(self.contract, []))
            yield from (each.time_ms for each in course.fills.get(self.contract, []))

    def _keep(self) -> None:
        self._view.keep_url(
            contract=self._contract.value, at=int(self._at.value), speed=f"{self._speed.value:g}"
        )

    # --- the moment ---

    def _scrub(self) -> None:
        """Show everything as it was at the slider's time."""
        if self._showing:
            return
        at = int(self._at.value)
        self._now.set_text(f"{utc(at)} UTC")
        self._moment.rows = [_moment(course, self.contract, at) for course in self._courses]
        closed = [
            (course.name, fill)
            for course in self._courses
            for fill in course.closed_by(self.contract, at)[-NEWEST:]
        ]
        closed.sort(key=lambda each: (each[1].time_ms, each[1].fill), reverse=True)
        self._fills.rows = [_closed(name, fill) for name, fill in closed[:NEWEST]]
        if self._courses:
            veils = {"series": [_veil(grid, at, self._span[1]) for grid in range(3)]}
            self._chart.run_chart_method("setOption", veils)

    def _draw(self) -> None:
        """Draw the lines anew."""
        titles, series = _lines(self._courses, self.contract, self._span[1])
        at = int(self._at.value)
        veils = [_veil(grid, at, self._span[1]) for grid in range(3)]
        self._chart.options.clear()
        self._chart.options.update(_charts(titles, [*series, *veils], self._span))
        self._chart.update()


_TITLES = ("Pool", "Profit of the contract", "Quantity closed by ADL so far")


def _charts(
    titles: Sequence[str], series: Sequence[dict[str, Any]], time: tuple[int, int] | None = None
) -> dict[str, Any]:
    spans = [_span(series, grid) for grid in range(3)]
    return time_charts(titles or _TITLES, series, spans, time=time)


def _span(series: Sequence[dict[str, Any]], grid: int) -> tuple[float, float]:
    values = [point[1] for each in series if each["xAxisIndex"] == grid for point in each["data"]]
    least = [0.0] if grid != 1 else []
    return min([*least, *values], default=0.0), max([*least, *values], default=0.0)


def _veil(grid: int, at: int, until: int) -> dict[str, Any]:
    """Return the cursor of a chart, and the veil over what is still to come."""
    return {
        "id": f"veil{grid}",
        "name": "",
        "type": "line",
        "data": [],
        "xAxisIndex": grid,
        "yAxisIndex": grid,
        "silent": True,
        "animation": False,
        "markLine": {
            "symbol": "none",
            "animation": False,
            "label": {"show": False},
            "lineStyle": {"color": BLUE, "type": "solid", "width": 1.5},
            "data": [{"xAxis": at}],
        },
        "markArea": {
            "animation": False,
            "itemStyle": {"color": "rgba(128,138,148,.38)"},
            "data": [[{"xAxis": at}, {"xAxis": until}]],
        },
    }


def _lines(
    courses: Sequence[Course], contract: str, until: int
) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the charts' titles and lines: one colour a course, under one name in the legend."""
    series: list[dict[str, Any]] = []
    pools: set[str] = set()
    for place, course in enumerate(courses):
        moments = course.contracts.get(contract, [])
        pools |= {each.pool for each in moments}
        points = course.behind(contract)
        if len(courses) == 1:
            series += _alone(course, contract, points, until)
            continue
        colour, name = COLOURS[place % len(COLOURS)], course.name
        series += [
            _line(name, points, "equity", colour, 0, until),
            _line(name, moments, "profit", colour, 1, until),
            steps(name, _cumulative(course, contract, until), colour, grid=2),
        ]
    if series:
        series[0] = with_levels(series[0], [level_line(0, "0: empty", GREY)])
    titles = [f"Pool {', '.join(sorted(pools))}", f"Profit of {contract}", _TITLES[2]]
    return titles, series


def _alone(
    course: Course, contract: str, points: Sequence[Any], until: int
) -> list[dict[str, Any]]:
    """Return the lines of one course: with peaks, and the levels of ADL where it has them."""
    moments = course.contracts.get(contract, [])
    lines = [
        _line("balance", points, "balance", BLUE, 0, until),
        _line("peak balance", points, "peak", GREY, 0, until, line="dashed"),
        _line("equity", points, "equity", COLOURS[5], 0, until),
        _line("profit", moments, "profit", AMBER, 1, until),
        _line("peak profit", moments, "peak", GREY, 1, until, line="dashed"),
        _line("ADL starts", moments, "start", RED, 1, until, line="dashed"),
        _line("ADL stops", moments, "stop", GREEN, 1, until, line="dashed"),
        steps("closed", _cumulative(course, contract, until), RED, grid=2),
    ]
    return [line for line in lines if line["data"]]


def _line(
    name: str,
    points: Sequence[Any],
    field: str,
    colour: str,
    grid: int,
    until: int,
    *,
    line: str = "solid",
) -> dict[str, Any]:
    told = [
        (each.time_ms, float(value))
        for each in points
        if (value := getattr(each, field)) is not None
    ]
    shown = thinned(told)
    if shown and shown[-1][0] < until:
        shown.append((until, shown[-1][1]))  # it holds to the end
    return steps(name, shown, colour, grid=grid, line=line)


def _cumulative(course: Course, contract: str, until: int) -> list[Point]:
    total, times = Decimal(0), list(course.times())
    points = [(min(times), 0.0)] if times else []
    for fill in course.fills.get(contract, []):
        total += fill.quantity
        points.append((fill.time_ms, float(total)))
    if times:
        points.append((until, float(total)))
    return thinned(points)


def _moment(course: Course, contract: str, at: int) -> dict[str, Any]:
    """Return what a course had come to at a time, exactly."""
    now = course.contract_at(contract, at)
    pool = course.pool_at(now.pool, at) if now else None
    closed = course.closed_by(contract, at)
    room = now.profit - now.start if now and now.start is not None else None
    told = {
        "balance": pool and pool.balance,
        "equity": pool and pool.equity,
        "profit": now and now.profit,
        "peak": now and now.peak,
        "room": room,
        "quantity": sum((fill.quantity for fill in closed), Decimal(0)),
    }
    return {
        "name": course.name,
        **{name: None if value is None else plain(value) for name, value in told.items()},
        "fills": len(closed),
        "accounts": len({fill.account for fill in closed}),
        "sequence": now and now.sequence,
    }


def _closed(name: str, fill: Any) -> dict[str, Any]:
    return {
        "id": f"{name}/{fill.fill}",
        "time": utc(fill.time_ms),
        "name": name,
        "account": fill.account,
        "side": fill.side,
        "quantity": plain(fill.quantity),
        "price": plain(fill.price),
        "realized": plain(fill.realized_pnl),
        "rank": fill.rank,
    }
