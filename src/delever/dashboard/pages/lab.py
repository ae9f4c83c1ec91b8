"""The laboratory: a scenario under several rule sets and policies, side by side, through time."""

from collections.abc import Sequence
from typing import Any

import msgspec
from nicegui import run, ui

from delever.core.rules import RULE_SETS
from delever.core.rules.policies import POLICIES
from delever.dashboard.charts.time_series import bars
from delever.dashboard.components.frame import View, grid, html, panel
from delever.dashboard.components.scrubber import COLOURS, SIDE_BY_SIDE, Scrubber
from delever.dashboard.components.table import Column, table
from delever.dashboard.data.api_client import Source
from delever.dashboard.data.lab_runs import OWN, PRESETS, Trial, own_commands, play
from delever.dashboard.data.timeline import course_of_run
from delever.dashboard.format import plain
from delever.lab.errors import InputError
from delever.lab.runs.stress_test import variants

_TOTALS = (
    Column("rules", "Rules + policy"),
    Column("contract", "Contract"),
    Column("asset", "Asset"),
    Column("taken_over", "Taken over", "number"),
    Column("unwound", "Unwound", "number"),
    Column("closed", "Closed by ADL", "number"),
    Column("inventory", "Inventory", "number"),
    Column("realized_pnl", "Realized PnL", "number"),
    Column("haircut", "Haircut", "number"),
    Column("pool_pnl", "Pool PnL", "number"),
)

_SHARED = (
    Column("rules", "Rules + policy"),
    Column("haircut", "Haircut", "number"),
    Column("haircut_ratio", "Haircut ratio %", "number"),
    Column("accounts", "Accounts affected", "number"),
    Column("ranked", "Ranked positions", "number"),
    Column("largest_share", "Largest share %", "number"),
    Column("gini", "Gini", "number"),
)

_BARS = {
    "haircut": "Haircut",
    "pool_pnl": "Pool PnL",
    "haircut_ratio": "Haircut ratio, %",
    "accounts": "Accounts affected",
    "largest_share": "Largest share, %",
    "gini": "Gini of quantity closed",
}
"""What is drawn side by side: cost first, then fairness."""


async def show(
    source: Source,
    preset: str = "one_long_falls",
    rules: str = "bybit,okx",
    policies: str = "",
    contract: str = "",
    at: int = -1,
    speed: float = 1,
) -> None:
    """Show the laboratory; `preset`, `rules` and `policies` say what is played."""
    view = View(source, "Lab", "/lab")
    with view.body:
        bench = _Bench(view, preset, _known(rules, RULE_SETS), _known(policies, POLICIES))
        bench.scrub_from(contract, at, speed)
    await view.connect()
    await bench.play_all()


def _known(names: str, known: Any) -> list[str]:
    return [name for name in names.split(",") if name in known]


class _Bench:
    """The controls, the trials that were played, and the moment that is looked at."""

    def __init__(self, view: View, preset: str, rules: list[str], policies: list[str]) -> None:
        self._view = view
        self._trials: list[Trial] = []
        with grid():
            with panel("Scenario", about="the same commands under every rule set and policy"):
                self._controls(
                    preset if preset in {*PRESETS, OWN} else "one_long_falls", rules, policies
                )
            with panel("What it came to", about="contract by contract"):
                self._totals = table(_TOTALS, [], "id")
            with panel("Cost and fairness", about="of the contract chosen below"):
                with ui.element("div").classes("bars"):
                    self._bars = {
                        name: ui.echart(bars(title, [], [], ())) for name, title in _BARS.items()
                    }
                self._shared = table(_SHARED, [], "id")
                html(_EXPLAINED)

    def scrub_from(self, contract: str, at: int, speed: float) -> None:
        """Show through time; where it begins is what the address says."""
        with grid(), panel("Through time", about="linked charts; drag the slider, or play"):
            self._scrubber = Scrubber(self._view, SIDE_BY_SIDE, contract, at, speed)
            self._scrubber.on_contract(self._compare)

    def _controls(self, preset: str, rules: list[str], policies: list[str]) -> None:
        with ui.element("div").classes("bits"):
            names = {name: title for name, (title, _) in PRESETS.items()} | {OWN: "My own"}
            self._preset = ui.select(names, value=preset, on_change=self._shows_own)
            self._preset.props('dense outlined aria-label="scenario"')
            self._rules = ui.select(
                sorted(RULE_SETS), value=rules, multiple=True, label="rule sets"
            )
            self._rules.props('dense outlined use-chips aria-label="rule sets"')
            self._policies = ui.select(
                list(POLICIES), value=policies, multiple=True, label="policies: their own"
            )
            self._policies.props('dense outlined use-chips aria-label="policies"')
            self._policies.style("min-width: 11rem")
            ui.button("Run", on_click=self.play_all).props("no-caps unelevated")
            self._told = ui.label("").props("role=status").classes("quiet")
        self._own = ui.textarea(placeholder='{"type": "define_pool", ...}: one command a line')
        self._own.props('outlined aria-label="my own scenario"').style("width: 100%")
        self._shows_own()

    def _shows_own(self) -> None:
        self._own.set_visibility(self._preset.value == OWN)

    async def play_all(self) -> None:
        """Play the scenario under every rule set and policy chosen."""
        rules, policies = list(self._rules.value or ()), list(self._policies.value or ())
        if not rules:
            self._told.set_text("Choose a rule set.")
            return
        preset = str(self._preset.value)
        if not await self._play(preset, variants(rules, policies)):
            return
        self._view.keep_url(preset=preset, rules=",".join(rules), policies=",".join(policies))
        self._show()

    async def _play(self, preset: str, names: Sequence[str]) -> bool:
        """Play under one rule set after another, and say how far it is; False: not to the end."""
        text, trials = self._own.value or "", list[Trial]()
        try:
            if preset == OWN:
                if not await self._view.attempt(self._view.source.check_reads):
                    self._told.set_text("Not run: your own needs a key with the role read.")
                    return False
                own_commands(text)
            for place, name in enumerate(names, start=1):
                self._told.set_text(f"Running {name}, {place} of {len(names)} …")
                found = await run.cpu_bound(play, preset, text, name)
                if found is None or self._told.is_deleted:  # the visitor, or the server, has gone
                    return False
                trials.append(found)
        except InputError as error:
            self._told.set_text(f"Not run: {error}")
            return False
        self._trials = trials
        rejected = sum(trial.rejected for trial in trials)
        self._told.set_text(f"{rejected} commands were rejected" if rejected else "")
        return True

    def _show(self) -> None:
        self._totals.rows = [row for trial in self._trials for row in _rows(trial)]
        contracts = sorted({row["contract"] for row in self._totals.rows})
        courses = [course_of_run(trial.rules, trial.stored) for trial in self._trials]
        self._scrubber.show(courses, contracts)
        self._compare()

    def _compare(self) -> None:
        """Draw cost and fairness of the contract that is looked at."""
        contract = self._scrubber.contract
        rows = [row for row in self._totals.rows if row["contract"] == contract]
        self._shared.rows = rows
        for name, chart in self._bars.items():
            values = [None if row[name] is None else float(row[name]) for row in rows]
            drawn = bars(_BARS[name], [row["rules"] for row in rows], values, COLOURS)
            chart.options.clear()
            chart.options.update(drawn)
            chart.style(f"height: {24 * len(rows) + 50}px")
            chart.update()


_EXPLAINED = (
    '<p class="note">Haircut: what counterparties bore, of the profit that they would have had at the '
    "mark. Largest part: what the most affected position gave up, of all that was closed. Gini: of "
    "the quantity given up over everybody in line; 0 where all gave the same.</p>"
)


def _rows(trial: Trial) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{trial.rules}/{total.contract}",
            "rules": trial.rules,
            **msgspec.structs.asdict(total),
            **_measured(trial, total.contract),
        }
        for total in trial.stored.summary.contracts
    ]


def _measured(trial: Trial, contract: str) -> dict[str, Any]:
    found = trial.distributions.get(contract)
    names = ("haircut_ratio", "largest_share", "gini")
    if found is None:
        return {"ranked": None, **dict.fromkeys(names)}
    shares = {name: getattr(found, name) for name in names}
    told = {name: None if share is None else plain(share) for name, share in shares.items()}
    return {"ranked": found.ranked, **told}
