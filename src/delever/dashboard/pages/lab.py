"""The laboratory: a scenario under several rule sets, side by side, scrubbed through in time."""

from typing import Any

import polars as pl
from nicegui import run, ui

from delever.core.rules import RULE_SETS
from delever.dashboard.charts import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    RED,
    Point,
    level_line,
    pixels,
    steps,
    time_charts,
    with_levels,
)
from delever.dashboard.frame import View, grid, panel
from delever.dashboard.laboratory import OWN, PRESETS, Trial, own_commands, play
from delever.dashboard.shown import utc
from delever.dashboard.source import Source
from delever.dashboard.tables import Column, table
from delever.lab.errors import InputError

COLOURS = (BLUE, AMBER, GREEN, RED, "#a371f7", "#39c5cf", GREY)

SPEEDS = {1: "1 s a second", 10: "10 s a second", 60: "60 s a second"}

TICK_S = 0.2

_TOTALS = (
    Column("rules", "Rule set"),
    Column("contract", "Contract"),
    Column("taken_over", "Taken over", "number"),
    Column("unwound", "Unwound", "number"),
    Column("closed", "Closed by ADL", "number"),
    Column("left", "Left", "number"),
    Column("accounts", "Accounts", "number"),
    Column("realised", "Their profit", "number"),
    Column("borne", "Borne by them", "number"),
    Column("pool_profit", "Pool profit", "number"),
)

_MOMENT = (
    Column("rules", "Rule set"),
    Column("equity", "Pool equity", "number"),
    Column("profit", "Contract profit", "number"),
    Column("fills", "Fills so far", "number"),
    Column("accounts", "Accounts so far", "number"),
)


async def show(source: Source, preset: str = "one_long_falls", rules: str = "bybit,okx") -> None:
    """Show the laboratory; `preset` and `rules` say what is played."""
    view = View(source, "Lab", "/lab")
    with view.body:
        bench = _Bench(view, preset, [name for name in rules.split(",") if name in RULE_SETS])
    await view.connect()
    await bench.play_all()


class _Bench:
    """The controls, the trials that were played, and the moment that is looked at."""

    def __init__(self, view: View, preset: str, rules: list[str]) -> None:
        self._view = view
        self._trials: list[Trial] = []
        self._span = (0, 0)
        self._playing = False
        with grid():
            with panel("Scenario", about="the same commands under every rule set"):
                self._controls(preset if preset in {*PRESETS, OWN} else "one_long_falls", rules)
            with panel("What it came to"):
                self._totals = table(_TOTALS, [], "id")
            with panel("Through time", about="linked charts; drag the slider, or play"):
                self._scrubber()

    def _controls(self, preset: str, rules: list[str]) -> None:
        with ui.element("div").classes("bits"):
            names = {name: title for name, (title, _) in PRESETS.items()} | {OWN: "My own"}
            self._preset = ui.select(names, value=preset, on_change=self._shows_own)
            self._preset.props('dense outlined aria-label="scenario"')
            self._rules = ui.select(sorted(RULE_SETS), value=rules, multiple=True)
            self._rules.props('dense outlined use-chips aria-label="rule sets"')
            ui.button("Run", on_click=self.play_all).props("no-caps unelevated")
            self._told = ui.label("").props("role=status").classes("quiet")
        self._own = ui.textarea(placeholder='{"type": "define_pool", ...}: one command a line')
        self._own.props("outlined").style("width: 100%")
        self._shows_own()

    def _shows_own(self) -> None:
        self._own.set_visibility(self._preset.value == OWN)

    def _scrubber(self) -> None:
        with ui.element("div").classes("bits"):
            self._contract = ui.select([], on_change=self._scrub)
            self._contract.props('dense outlined aria-label="contract"').style("min-width: 9rem")
            self._play = ui.button("Play", on_click=self._turn).props("no-caps unelevated dense")
            self._play.style("min-width: 4.5rem")
            self._speed = ui.select(SPEEDS, value=1).props('dense outlined aria-label="speed"')
            self._now = ui.label("").classes("quiet clock")
        self._at = ui.slider(min=0, max=1, value=1, on_change=self._scrub)
        self._at.props('aria-label="time"')
        self._moment = table(_MOMENT, [], "rules")
        self._chart = ui.echart(time_charts(["", ""], [])).style(f"height: {pixels(2)}px")
        ui.timer(TICK_S, self._tick)

    # --- playing ---

    async def play_all(self) -> None:
        """Play the scenario under every rule set chosen."""
        rules = list(self._rules.value or ())
        if not rules:
            self._told.set_text("Choose a rule set.")
            return
        self._told.set_text("Running …")
        preset, text = str(self._preset.value), self._own.value or ""
        try:
            if preset == OWN:
                own_commands(text)
            found = await run.cpu_bound(play, preset, text, rules)
        except InputError as error:
            self._told.set_text(f"Not run: {error}")
            return
        if found is None or self._told.is_deleted:  # the visitor, or the server, has gone
            return
        self._trials = found
        refused = sum(trial.refused for trial in self._trials)
        self._told.set_text(f"{refused} commands were refused" if refused else "")
        self._show_totals()
        self._view.keep_url(preset=self._preset.value, rules=",".join(rules))

    def _show_totals(self) -> None:
        self._totals.rows = [
            {"id": f"{trial.rules}/{total.contract}", "rules": trial.rules, **_told(total)}
            for trial in self._trials
            for total in trial.kept.summary.contracts
        ]
        times = [time for trial in self._trials for time in trial.kept.pools["time_ms"]]
        contracts = sorted({name for t in self._trials for name in t.kept.contracts["contract"]})
        self._span = (min(times, default=0), max(times, default=0))
        self._contract.set_options(contracts, value=contracts[0] if contracts else None)
        self._at.props["min"], self._at.props["max"] = self._span
        self._at.value = self._span[1]
        self._scrub()

    # --- the moment ---

    def _turn(self) -> None:
        self._playing = not self._playing
        self._play.set_text("Pause" if self._playing else "Play")
        if self._playing and self._at.value >= self._span[1]:
            self._at.value = self._span[0]

    def _tick(self) -> None:
        if not self._playing:
            return
        after = self._at.value + 1_000 * TICK_S * self._speed.value
        self._at.value = min(after, self._span[1])
        if self._at.value >= self._span[1]:
            self._turn()

    def _scrub(self) -> None:
        """Show everything as it was at the slider's time."""
        contract, at = self._contract.value, int(self._at.value)
        if contract is None:
            return
        self._now.set_text(f"{utc(at)} UTC")
        self._moment.rows = [_moment(trial, contract, at) for trial in self._trials]
        self._chart.options.update(self._drawn(contract, at))
        self._chart.update()

    def _drawn(self, contract: str, at: int) -> dict[str, Any]:
        series = []
        spans: list[list[float]] = [[0.0], [0.0]]
        for trial, colour in zip(self._trials, COLOURS * len(self._trials), strict=False):
            pool, profit = _lines(trial, contract)
            spans[0] += [value for _, value in pool]
            spans[1] += [value for _, value in profit]
            series.append(steps(f"{trial.rules}: equity", _until(pool, at), colour))
            series.append(steps(f"{trial.rules}: profit", _until(profit, at), colour, grid=1))
        if series:
            series[0] = with_levels(series[0], [level_line(0, "0: empty", GREY)])
        drawn = time_charts(
            ["Equity of the contract's pool", f"Profit of {contract}"],
            series,
            [(min(span), max(span)) for span in spans],
        )
        for axis in drawn["xAxis"]:
            axis |= {"min": self._span[0], "max": self._span[1]}
        return drawn


def _told(total: Any) -> dict[str, Any]:
    return {name: getattr(total, name) for name in total.__struct_fields__}


def _lines(trial: Trial, contract: str) -> tuple[list[Point], list[Point]]:
    """Return the equity of the contract's pool, and the contract's profit."""
    paths = trial.kept.contracts.filter(pl.col("contract") == contract)
    pools = trial.kept.pools.filter(pl.col("pool").is_in(paths["pool"].unique().to_list()))
    return _points(pools, "equity"), _points(paths, "profit")


def _points(frame: pl.DataFrame, column: str) -> list[Point]:
    values = frame[column].cast(pl.Float64).to_list()
    return list(zip(frame["time_ms"].to_list(), values, strict=True))


def _until(points: list[Point], at: int) -> list[Point]:
    """Return the points up to a time, and the last of them as what still holds then."""
    past = [point for point in points if point[0] <= at]
    return [*past, (at, past[-1][1])] if past else []


def _moment(trial: Trial, contract: str, at: int) -> dict[str, Any]:
    """Return what a rule set had come to at a time, exactly."""
    now = (pl.col("contract") == contract) & (pl.col("time_ms") <= at)
    homes = trial.kept.contracts.filter(pl.col("contract") == contract)["pool"].unique().to_list()
    pools = trial.kept.pools.filter(pl.col("pool").is_in(homes) & (pl.col("time_ms") <= at))
    paths = trial.kept.contracts.filter(now)
    fills = trial.kept.fills.filter(now)
    return {
        "rules": trial.rules,
        "equity": _last(pools, "equity"),
        "profit": _last(paths, "profit"),
        "fills": fills.height,
        "accounts": fills["account"].n_unique(),
    }


def _last(frame: pl.DataFrame, column: str) -> str | None:
    if not frame.height:
        return None
    text = f"{frame[column][-1]:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
