"""Controls to move through timelines: contract, play, speed, steps and a slider of time.

Below the controls: the exact numbers at the chosen time, the charts and the latest ADL fills.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from nicegui import ui

from delever.dashboard.charts.time_series import charts_height
from delever.dashboard.charts.timeline_charts import (
    CHARTS,
    cursors,
    empty_timeline_charts,
    timeline_charts,
)
from delever.dashboard.components.frame import PageFrame
from delever.dashboard.components.table import Column, table
from delever.dashboard.data.timeline import Timeline, TimelineFill
from delever.formatting import decimal_text, moment

SPEEDS = (0.25, 0.5, 1, 2, 5, 10, 25, 50, 100)
"""Seconds of the timeline in one second of playing."""

TICK_S = 0.2

LATEST_FILLS = 8
"""Fills that are listed: the last ones up to the chosen time."""

ONE_TIMELINE = (
    Column("contract_pnl", "Contract PnL", "number"),
    Column("contract_pnl_peak", "Peak contract PnL", "number"),
    Column("headroom", "Headroom to trigger", "number"),
    Column("balance", "Fund balance", "number"),
    Column("equity", "Fund equity", "number"),
    Column("fills", "Fills so far", "number"),
    Column("quantity", "Closed so far", "number"),
    Column("accounts", "Accounts so far", "number"),
    Column("sequence", "Sequence", "number"),
)
"""Numbers of a single timeline at the chosen time."""

SEVERAL_TIMELINES = (
    Column("name", "Rules + policy"),
    Column("equity", "Fund equity", "number"),
    Column("contract_pnl", "Contract PnL", "number"),
    Column("headroom", "Headroom to trigger", "number"),
    Column("fills", "Fills so far", "number"),
    Column("quantity", "Closed so far", "number"),
    Column("accounts", "Accounts so far", "number"),
)
"""Numbers of several timelines at the chosen time, one row each."""

_FILLS = (
    Column("time", "Time, UTC"),
    Column("name", "Run"),
    Column("account", "Account"),
    Column("side", "Side"),
    Column("quantity", "Quantity", "number"),
    Column("price", "ADL price", "number"),
    Column("realized", "Realized PnL", "number"),
    Column("rank", "Rank", "number"),
)


class Scrubber:
    """Displays timelines at the slider's time; the URL stores contract, time and speed.

    `at` is the time in milliseconds to begin at, the end if it is outside the timelines.
    """

    def __init__(
        self, frame: PageFrame, columns: Sequence[Column], contract: str, at: int, speed: float
    ) -> None:
        self._frame = frame
        self._initial_contract, self._initial_at = contract, at
        self._timelines: Sequence[Timeline] = ()
        self._span = (0, 0)
        self._playing = self._loading = False
        self._on_contract: Callable[[], Awaitable[None]] | None = None
        with ui.element("div").classes("bits"):
            self._contract = ui.select([], on_change=self._contract_changed)
            self._contract.props('dense outlined aria-label="contract"').style("min-width: 9rem")
            self._play = ui.button("Play", on_click=self._toggle)
            self._play.props("no-caps unelevated dense").style("min-width: 4.5rem")
            speeds = {choice: f"{choice:g}x" for choice in SPEEDS}
            self._speed = ui.select(speeds, value=speed if speed in speeds else 1)
            self._speed.props('dense outlined aria-label="speed"').style("min-width: 5.5rem")
            self._speed.on_value_change(self._update_url)
            ui.button("← change", on_click=lambda: self._step(-1)).props(
                'flat dense no-caps aria-label="to the previous change"'
            )
            ui.button("change →", on_click=lambda: self._step(1)).props(
                'flat dense no-caps aria-label="to the next change"'
            )
            self._clock = ui.label("").classes("quiet clock")
        self._at = ui.slider(min=0, max=1, value=1, on_change=self._display)
        self._at.props('aria-label="time"')
        self._at.on("change", self._update_url)
        self._numbers = table(columns, [], "name")
        self._chart = ui.echart(empty_timeline_charts())
        self._chart.style(f"height: {charts_height(CHARTS)}px")
        ui.label("Latest ADL fills up to this time").classes("note")
        several = any(column.name == "name" for column in columns)
        fill_columns = [column for column in _FILLS if several or column.name != "name"]
        self._fills = table(fill_columns, [], "id")
        ui.timer(TICK_S, self._tick)

    def on_contract(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Register the function that is called when another contract is chosen."""
        self._on_contract = callback

    @property
    def contract(self) -> str:
        """The chosen contract; before the first `load`, the one to begin with."""
        return str(self._contract.value or self._initial_contract)

    def load(
        self, timelines: Sequence[Timeline], contracts: Sequence[str], chosen: str = ""
    ) -> None:
        """Display other timelines; `contracts` are those to choose from, `chosen` the first one."""
        self._timelines = timelines
        times = [time_ms for timeline in timelines for time_ms in timeline.end_times()]
        first, last = self._span = (min(times, default=0), max(times, default=0))
        at = self._initial_at if first <= self._initial_at <= last else last
        self._initial_at = -1
        names = [name for name in (chosen, self.contract, *contracts) if name in contracts]
        self._loading = True
        self._contract.set_options(list(contracts), value=next(iter(names), None))
        self._at.props["min"], self._at.props["max"] = first, last
        self._at.props["step"] = max((last - first) // 1_000, 1)
        self._at.value = at
        self._loading = False
        self._draw()
        self._display()

    def _contract_changed(self) -> Awaitable[None] | None:
        """Display the chosen contract; NiceGUI awaits what is returned."""
        if self._loading:  # decided now: the awaited part begins after loading
            return None
        self._update_url()
        self._draw()
        self._display()
        return self._on_contract() if self._on_contract else None

    # --- time ---

    def _toggle(self) -> None:
        self._playing = not self._playing
        self._play.set_text("Pause" if self._playing else "Play")
        if self._playing and self._at.value >= self._span[1]:
            self._at.value = self._span[0]
        if not self._playing:
            self._update_url()

    def _tick(self) -> None:
        if not self._playing:
            return
        after = self._at.value + 1_000 * TICK_S * self._speed.value
        self._at.value = min(after, self._span[1])
        if self._at.value >= self._span[1]:
            self._toggle()

    def _step(self, direction: int) -> None:
        """Move to the previous or the next time at which anything changed."""
        times = sorted(set(self._change_times()))
        now = int(self._at.value)
        place = bisect_right(times, now) if direction > 0 else bisect_left(times, now) - 1
        if 0 <= place < len(times):
            self._at.value = times[place]
            self._update_url()

    def _change_times(self) -> Iterator[int]:
        for timeline in self._timelines:
            yield from (point.time_ms for point in timeline.contracts.get(self.contract, []))
            yield from (fill.time_ms for fill in timeline.fills.get(self.contract, []))

    def _update_url(self) -> None:
        self._frame.update_url(
            contract=self._contract.value, at=int(self._at.value), speed=f"{self._speed.value:g}"
        )

    # --- the chosen time ---

    def _display(self) -> None:
        """Display clock, numbers, fills and cursor at the slider's time."""
        if self._loading:
            return
        at = int(self._at.value)
        self._clock.set_text(moment(at))
        self._numbers.rows = [_numbers_at(line, self.contract, at) for line in self._timelines]
        fills = [
            (timeline.name, fill)
            for timeline in self._timelines
            for fill in timeline.fills_until(self.contract, at)[-LATEST_FILLS:]
        ]
        fills.sort(key=lambda named: (named[1].time_ms, named[1].fill), reverse=True)
        self._fills.rows = [_fill_row(name, fill) for name, fill in fills[:LATEST_FILLS]]
        if self._timelines:
            moved = {"series": cursors(at, self._span[1])}
            self._chart.run_chart_method("setOption", moved)

    def _draw(self) -> None:
        """Draw the lines of the chosen contract."""
        at = int(self._at.value)
        self._chart.options.clear()
        self._chart.options.update(timeline_charts(self._timelines, self.contract, at, self._span))
        self._chart.update()


def _numbers_at(timeline: Timeline, contract: str, time_ms: int) -> dict[str, Any]:
    """Return the exact numbers of a timeline at a time."""
    now = timeline.contract_at(contract, time_ms)
    pool = timeline.pool_at(now.pool, time_ms) if now else None
    fills = timeline.fills_until(contract, time_ms)
    start = now and now.start_level
    amounts = {
        "balance": pool and pool.balance,
        "equity": pool and pool.equity,
        "contract_pnl": now and now.contract_pnl,
        "contract_pnl_peak": now and now.contract_pnl_peak,
        "headroom": now.contract_pnl - start if now and start is not None else None,
        "quantity": sum((fill.quantity for fill in fills), Decimal(0)),
    }
    return {
        "name": timeline.name,
        **{
            name: None if amount is None else decimal_text(amount)
            for name, amount in amounts.items()
        },
        "fills": len(fills),
        "accounts": len({fill.account for fill in fills}),
        "sequence": now and now.sequence,
    }


def _fill_row(name: str, fill: TimelineFill) -> dict[str, Any]:
    return {
        "id": f"{name}/{fill.fill}",
        "time": moment(fill.time_ms).removesuffix(" UTC"),
        "name": name,
        "account": fill.account,
        "side": fill.side,
        "quantity": decimal_text(fill.quantity),
        "price": decimal_text(fill.price),
        "realized": decimal_text(fill.realized_pnl),
        "rank": fill.rank,
    }
