"""One crash under several rule sets and policies, side by side and through time."""

from collections.abc import Sequence
from typing import Any

import msgspec
from nicegui import run, ui

from delever.core.rules.policies import POLICIES
from delever.dashboard.charts.bars import bars
from delever.dashboard.charts.timeline_charts import COLORS
from delever.dashboard.components.frame import PageFrame, grid, html, panel
from delever.dashboard.components.scrubber import SEVERAL_TIMELINES, Scrubber
from delever.dashboard.components.table import Column, table
from delever.dashboard.data.api_client import ApiClient
from delever.dashboard.data.lab.crash_runs import OWN, PRESETS, LabRun, parse_commands, run_preset
from delever.dashboard.data.timeline import timeline_of_run
from delever.formatting import decimal_text
from delever.lab.errors import InputError
from delever.lab.runs.stress_test import variants
from delever.rule_registry import installed_rule_sets, with_own

DEFAULT_PRESET = "bankrupt_long"

_TOTALS = (
    Column("rules", "Rules + policy"),
    Column("contract", "Contract"),
    Column("asset", "Asset"),
    Column("taken_over", "Taken over", "number"),
    Column("unwound", "Unwound", "number"),
    Column("closed", "Closed by ADL", "number"),
    Column("inventory", "Inventory left", "number"),
    Column("realized_pnl", "Counterparties' realized PnL", "number"),
    Column("haircut", "Haircut", "number"),
    Column("pool_pnl", "Fund PnL", "number"),
    Column("unfunded", "Unfunded", "number"),
)

_FAIRNESS = (
    Column("rules", "Rules + policy"),
    Column("haircut", "Haircut", "number"),
    Column("haircut_ratio", "Haircut ratio, %", "number"),
    Column("accounts", "Accounts affected", "number"),
    Column("ranked", "Ranked positions", "number"),
    Column("largest_share", "Largest share, %", "number"),
    Column("gini", "Gini", "number"),
)

_BARS = {
    "haircut": "Haircut of counterparties",
    "pool_pnl": "Fund PnL",
    "haircut_ratio": "Haircut ratio, %",
    "accounts": "Accounts affected",
    "largest_share": "Largest share, %",
    "gini": "Gini of the quantity closed",
}
"""Title of each bar chart: cost first, then fairness."""

_NOTE = (
    '<p class="note">Haircut: what counterparties lose against the mark. Haircut ratio: the '
    "haircut divided by the PnL that they would have realized at the mark. Largest share: the "
    "quantity closed of the most affected position, as part of all that was closed. Gini: of the "
    "quantity closed over all ranked positions; 0 if all lost the same.</p>"
)


async def show(
    client: ApiClient,
    preset: str = DEFAULT_PRESET,
    rules: str = "bybit,okx",
    policies: str = "",
    contract: str = "",
    at: int = -1,
    speed: float = 1,
) -> None:
    """Build the page; `preset`, `rules` and `policies` select the runs, the rest the moment."""
    frame = PageFrame(client, "Lab: one crash", "/lab")
    with frame.body:
        many = f'<a href="{frame.url("/lab")}">Many scenarios, fund sizes, plans</a>'
        html(f'<p class="note lead">{many}</p>')
        known = with_own(installed_rule_sets())
        bench = _Bench(frame, preset, _known(rules, known), _known(policies, POLICIES))
        bench.add_scrubber(contract, at, speed)
    await frame.connect()
    await bench.run_all()


def _options(chosen: Sequence[str]) -> list[str]:
    """Return the rule sets to choose from: every venue's, those installed, those of the address."""
    return sorted({*with_own(installed_rule_sets()), *chosen})


def _known(names: str, known: Any) -> list[str]:
    return [name for name in names.split(",") if name in known]


class _Bench:
    """The controls, the finished runs, and their comparison for the chosen contract."""

    def __init__(
        self, frame: PageFrame, preset: str, rules: list[str], policies: list[str]
    ) -> None:
        self._frame = frame
        self._runs: list[LabRun] = []
        with grid():
            with panel("Scenario", about="the same commands under every rule set and policy"):
                known = {*PRESETS, OWN}
                self._controls(preset if preset in known else DEFAULT_PRESET, rules, policies)
            with panel("Totals", about="by contract"):
                self._totals = table(_TOTALS, [], "id")
            with panel("Cost and fairness", about="of the contract chosen below"):
                with ui.element("div").classes("bars"):
                    self._bars = {
                        name: ui.echart(bars(title, [], [], ())) for name, title in _BARS.items()
                    }
                self._fairness = table(_FAIRNESS, [], "id")
                html(_NOTE)

    def add_scrubber(self, contract: str, at: int, speed: float) -> None:
        """Add the panel that moves through time, beginning at the given moment."""
        with grid(), panel("Through time", about="linked charts; drag the slider, or play"):
            self._scrubber = Scrubber(self._frame, SEVERAL_TIMELINES, contract, at, speed)
            self._scrubber.on_contract(self._contract_changed)

    def _controls(self, preset: str, rules: list[str], policies: list[str]) -> None:
        with ui.element("div").classes("bits"):
            titles = {name: title for name, (title, _) in PRESETS.items()} | {OWN: "My own"}
            self._preset = ui.select(titles, value=preset, on_change=self._preset_changed)
            self._preset.props('dense outlined aria-label="scenario"')
            self._rules = ui.select(_options(rules), value=rules, multiple=True, label="rule sets")
            self._rules.props('dense outlined use-chips aria-label="rule sets"')
            self._policies = ui.select(
                list(POLICIES), value=policies, multiple=True, label="policies: their own"
            )
            self._policies.props('dense outlined use-chips aria-label="policies"')
            self._policies.style("min-width: 11rem")
            ui.button("Run", on_click=self.run_all).props("no-caps unelevated")
            self._status = ui.label("").props("role=status").classes("quiet")
        self._text = ui.textarea(placeholder='{"type": "define_pool", ...}: one command a line')
        self._text.props('outlined aria-label="my own scenario"').style("width: 100%")
        self._preset_changed()

    def _preset_changed(self) -> None:
        self._text.set_visibility(self._preset.value == OWN)

    async def run_all(self) -> None:
        """Run the scenario under every chosen rule set and policy, and compare the runs."""
        rules, policies = list(self._rules.value or ()), list(self._policies.value or ())
        if not rules:
            self._status.set_text("Choose a rule set.")
            return
        preset = str(self._preset.value)
        known = with_own(installed_rule_sets())
        if not await self._run(preset, variants(rules, policies, known)):
            return
        self._frame.update_url(preset=preset, rules=",".join(rules), policies=",".join(policies))
        self._display()

    async def _run(self, preset: str, names: Sequence[str]) -> bool:
        """Run under one rule set after the other; return whether all of them finished."""
        text, runs = self._text.value or "", list[LabRun]()
        try:
            if preset == OWN:
                if not await self._frame.attempt(self._frame.client.check_reads):
                    self._status.set_text("Not run: your own needs a key with the role read.")
                    return False
                parse_commands(text)
            for place, name in enumerate(names, start=1):
                self._status.set_text(f"Running {name}, {place} of {len(names)} …")
                finished = await run.cpu_bound(run_preset, preset, text, name)
                if finished is None or self._status.is_deleted:  # server or visitor has gone
                    return False
                runs.append(finished)
        except InputError as error:
            self._status.set_text(f"Not run: {error}")
            return False
        self._runs = runs
        rejected = sum(finished.rejected for finished in runs)
        notes = [f"{rejected} commands were rejected."] if rejected else []
        notes += [finished.note for finished in runs if finished.note]
        self._status.set_text(" ".join(notes))
        return True

    def _display(self) -> None:
        self._totals.rows = [row for finished in self._runs for row in _rows(finished)]
        contracts = sorted({row["contract"] for row in self._totals.rows})
        timelines = [timeline_of_run(finished.rules, finished.stored) for finished in self._runs]
        self._scrubber.load(timelines, contracts)
        self._compare()

    async def _contract_changed(self) -> None:
        self._compare()

    def _compare(self) -> None:
        """Draw cost and fairness for the chosen contract."""
        contract = self._scrubber.contract
        rows = [row for row in self._totals.rows if row["contract"] == contract]
        self._fairness.rows = rows
        names = [row["rules"] for row in rows]
        for name, chart in self._bars.items():
            values = [None if row[name] is None else float(row[name]) for row in rows]
            chart.options.clear()
            chart.options.update(bars(_BARS[name], names, values, COLORS))
            chart.style(f"height: {24 * len(rows) + 50}px")
            chart.update()


def _rows(finished: LabRun) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{finished.rules}/{total.contract}",
            "rules": finished.rules,
            **msgspec.structs.asdict(total),
            **_distribution(finished, total.contract),
        }
        for total in finished.stored.summary.contracts
    ]


def _distribution(finished: LabRun, contract: str) -> dict[str, Any]:
    """Return the distribution of a contract's ADL as text, None without a round."""
    distribution = finished.distributions.get(contract)
    names = ("haircut_ratio", "largest_share", "gini")
    if distribution is None:
        return {"ranked": None, **dict.fromkeys(names)}
    values = {name: getattr(distribution, name) for name in names}
    texts = {name: None if value is None else decimal_text(value) for name, value in values.items()}
    return {"ranked": distribution.ranked, **texts}
