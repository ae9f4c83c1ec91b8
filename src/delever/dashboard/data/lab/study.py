"""A study of one book: a plan with its proof, policies over many scenarios, sizes of the fund.

All three parts have the same scenarios: an hour in six steps, with fat tails, drawn with one seed.
"""

import importlib.util
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from typing import Any

import polars as pl

from delever.core.book import Book
from delever.core.messages import Side
from delever.dashboard.data.lab.example_book import LOT_SIZE, example_book
from delever.lab.errors import InputError
from delever.lab.measures.intervals import intervals
from delever.lab.policies.plans.book_plan import SHADOW_PRICES, Plan, plan_reduction
from delever.lab.policies.plans.check import check
from delever.lab.queries.position_queries import rank
from delever.lab.runs.market_paths.models import scenarios
from delever.lab.runs.market_paths.path import Scenario
from delever.lab.runs.sweeps.sweep import SweepProgress, sweep
from delever.lab.studies.fund_curve import FundCurve, fund_curve

POOL = "main"
STEPS = 6
HOURS_A_YEAR = 365 * 24

MAX_SCENARIOS, MAX_FUNDS, MAX_RUNS = 200, 12, 4_000

MEASURES = (
    "haircut_total",
    "unfunded",
    "accounts",
    "gini_of_haircuts",
    "max_haircut_ratio",
    "leverage_after",
)
"""What policies are compared by; `delever.lab.measures.run_measures` defines each."""

PLAN = "the plan in whole lots"

COMPARED_PLANS = ("queue", "pro_rata", "min_max_leverage")
"""Policies that a plan is compared with, contract by contract."""


@dataclass(frozen=True, slots=True)
class StudyInputs:
    """What a study computes; the defaults are the example with which the page opens.

    `sd_percent` is the standard deviation of a contract's move in the hour, `funds` are ascending
    sizes in USDT, `part_percent` is the part of a side's open interest that the plan reduces.
    """

    rules: str = "bybit"
    policies: tuple[str, ...] = ("queue", "pro_rata", "min_max_leverage", "risk_greedy")
    sd_percent: float = 13.0
    count: int = 12
    seed: int = 1
    funds: tuple[str, ...] = ("0", "5000", "10000", "20000", "40000", "80000")
    capital_percent: float = 2.0
    contract: str = "BTCUSDT"
    side: str = Side.SHORT.value
    part_percent: float = 20.0

    @property
    def runs(self) -> int:
        """Simulations of the study."""
        return self.count * (len(self.policies) + len(self.funds))

    def check(self) -> None:
        """Raise InputError for numbers beyond their limits, with the limits."""
        _check_range("scenarios", self.count, 2, MAX_SCENARIOS)
        _check_range("hourly sd, %", self.sd_percent, 0.1, 50)
        _check_range("capital cost, %", self.capital_percent, 0, 100)
        _check_range("part to reduce, %", self.part_percent, 1, 100)
        _check_range("seed", self.seed, 0, 2**32 - 1)
        if not self.policies:
            raise InputError("choose at least one", column="policies")
        if not 2 <= len(self.funds) <= MAX_FUNDS:
            raise InputError(f"give 2 to {MAX_FUNDS} sizes", column="fund sizes")
        if self.runs > MAX_RUNS:
            why = f"choose fewer scenarios, policies or sizes: a study has at most {MAX_RUNS:,}"
            raise InputError(why, column="runs", value=f"{self.runs:,}")


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """A plan for one side of a contract: what it leaves, its certificate and its rows.

    `losses` is the expected shortfall that the plan and other policies leave, in USDT, by name;
    `upper`, `lower` and `gap` are those of the certificate, `findings` what its check found wrong.
    """

    quantity: str
    losses: dict[str, float]
    upper: float
    lower: float
    gap: float
    gap_in_lots: float
    findings: tuple[str, ...]
    rows: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A study as far as it is finished: parts that are not computed yet are None.

    `policies` has a row for each policy and measure, with its interval over scenarios. The plan
    stays None where the solver is not installed.
    """

    inputs: StudyInputs
    plan: PlanSummary | None = None
    policies: pl.DataFrame | None = None
    curve: FundCurve | None = None
    seconds: float = 0.0

    @property
    def is_finished(self) -> bool:
        """Whether all parts are computed; the curve is the last one."""
        return self.curve is not None


def run_study(inputs: StudyInputs, progress: SweepProgress) -> Iterator[StudyResult]:
    """Yield the study with one part more at a time, the finished one last.

    `progress` is called with runs done, runs in total and seconds left. Raises InputError and
    UnknownNameError for invalid inputs.
    """
    inputs.check()
    started = time.monotonic()
    book = example_book()
    paths = scenarios(
        book,
        volatility=inputs.sd_percent / 100 * math.sqrt(HOURS_A_YEAR),
        count=inputs.count,
        steps=STEPS,
        seed=inputs.seed,
    )
    result = StudyResult(inputs)
    if importlib.util.find_spec("highspy"):
        result = replace(result, plan=_plan(book, inputs, paths))
        yield result
    compared = inputs.count * len(inputs.policies)
    rows = sweep(
        book,
        paths,
        rules=inputs.rules,
        policies=inputs.policies,
        progress=_of_study(progress, 0, inputs.runs),
    )
    result = replace(result, policies=_intervals(rows))
    yield result
    curve = fund_curve(
        book,
        paths,
        inputs.funds,
        pool=POOL,
        rules=inputs.rules,
        capital_cost=f"{inputs.capital_percent / 100:.6f}",
        progress=_of_study(progress, compared, inputs.runs),
    )
    yield replace(result, curve=curve, seconds=time.monotonic() - started)


def _of_study(progress: SweepProgress, before: int, total: int) -> SweepProgress:
    """Return the progress of a sweep as that of the whole study, by the pace of the sweep."""
    started = time.monotonic()

    def report(done: int, _total: int, _seconds_left: float | None) -> None:
        pace = (time.monotonic() - started) / done if done else None
        finished = before + done
        progress(finished, total, None if pace is None else pace * (total - finished))

    return report


def _intervals(rows: pl.DataFrame) -> pl.DataFrame:
    floats = rows.with_columns(pl.col("accounts").cast(pl.Float64))
    return intervals(floats, ["rules"], MEASURES)


def _plan(book: Book, inputs: StudyInputs, paths: list[Scenario]) -> PlanSummary:
    quantity = _part_of_side(book, inputs)
    need = {(inputs.contract, inputs.side): quantity}
    plan = plan_reduction(book, need, scenarios=paths, policy=SHADOW_PRICES)
    if plan.certificate is None or plan.gap_in_lots is None:
        raise InputError("has no certificate", column="plan")
    others = {
        name: plan_reduction(book, need, scenarios=paths, policy=name).expected_loss
        for name in COMPARED_PLANS
    }
    checked = check(plan.certificate, plan.reduction)
    return PlanSummary(
        f"{quantity} {inputs.contract} {inputs.side}",
        {PLAN: plan.expected_loss, **others},
        checked.upper,
        checked.lower,
        checked.gap,
        plan.gap_in_lots,
        checked.findings,
        _rows(plan),
    )


def _part_of_side(book: Book, inputs: StudyInputs) -> str:
    """Return the part of a side's ranked quantity that is to be reduced, on the example's grid."""
    ranked = rank(book, inputs.contract, inputs.side)["quantity"].sum()
    part = Decimal(ranked) * Decimal(str(inputs.part_percent)) / 100
    return str(max(part.quantize(LOT_SIZE, ROUND_DOWN), LOT_SIZE))


def _rows(plan: Plan) -> list[dict[str, Any]]:
    """Return the positions that give something up, as text, in the order of the queue."""
    reduced = plan.frame.filter(pl.col("reduced") > 0)
    exact = [pl.col("quantity", "reduced").cast(pl.String)]
    return reduced.with_columns(exact).to_dicts()


def _check_range(name: str, value: float, lowest: float, highest: float) -> None:
    if not lowest <= value <= highest:  # also for nan
        why = f"must be between {lowest:g} and {highest:,.15g}"
        raise InputError(why, column=name, value=value)
