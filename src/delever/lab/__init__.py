"""The lab: books from tables, queues and runs as data frames, stress tests, comparisons, studies.

    errors      errors that name what is wrong with an input, and where
    tables      book directories and data frames <-> a book
    measures    what a run did to contracts and pools: totals, time series, distribution of ADL
    policies    the policies of the literature, in lots and in money; plans over several contracts
    runs        scenarios, journals and shocks run through the engine
    queries     queue, explanation, what-if of positions; fills explained; rules compared; ratings
    studies     the ADL of Hyperliquid on 2025-10-10 under every venue's rules
    reports     finished runs and comparisons stored, drawn, and as one HTML file

Tables come in and go out as polars data frames. A book changes only by the engine's `step`, so an
invalid table is rejected by the same checks as a venue's commands. The names below are imported
when they are first used:

    from delever import lab
    lab.simulate(book, lab.linear_path({"BTCUSDT": "-0.20"}))
"""

from typing import TYPE_CHECKING

from delever.lazy_names import lazy_names

if TYPE_CHECKING:
    from delever.lab.measures.intervals import intervals, regret
    from delever.lab.policies.plans.book_plan import plan_reduction
    from delever.lab.policies.plans.check import check
    from delever.lab.policies.plans.reduction import Reduction
    from delever.lab.policies.plans.shadow_prices import shadow_prices
    from delever.lab.queries.allocation import allocate
    from delever.lab.runs.market_paths.models import (
        given_path,
        historical_path,
        linear_path,
        scenarios,
    )
    from delever.lab.runs.market_paths.path import MarketStep, Scenario, Shock, Withdrawal
    from delever.lab.runs.stress_test import RoundedPriceWarning, compare, simulate
    from delever.lab.runs.sweeps.executors import ProcessExecutor, RayExecutor
    from delever.lab.runs.sweeps.sweep import sweep
    from delever.lab.studies.account_odds import my_odds
    from delever.lab.studies.fund_curve import FundCurve, fund_curve, newsvendor_size
    from delever.lab.studies.severity import SeverityRounds, severity_curves
    from delever.lab.studies.slippage_at_risk import SlippageAtRisk, slippage_at_risk

__all__ = [
    "FundCurve",
    "MarketStep",
    "ProcessExecutor",
    "RayExecutor",
    "Reduction",
    "RoundedPriceWarning",
    "Scenario",
    "SeverityRounds",
    "Shock",
    "SlippageAtRisk",
    "Withdrawal",
    "allocate",
    "check",
    "compare",
    "fund_curve",
    "given_path",
    "historical_path",
    "intervals",
    "linear_path",
    "my_odds",
    "newsvendor_size",
    "plan_reduction",
    "regret",
    "scenarios",
    "severity_curves",
    "shadow_prices",
    "simulate",
    "slippage_at_risk",
    "sweep",
]

_HOMES = {
    "delever.lab.queries.allocation": ("allocate",),
    "delever.lab.measures.intervals": ("intervals", "regret"),
    "delever.lab.policies.plans.book_plan": ("plan_reduction",),
    "delever.lab.policies.plans.check": ("check",),
    "delever.lab.policies.plans.reduction": ("Reduction",),
    "delever.lab.policies.plans.shadow_prices": ("shadow_prices",),
    "delever.lab.runs.market_paths.models": (
        "given_path",
        "historical_path",
        "linear_path",
        "scenarios",
    ),
    "delever.lab.runs.market_paths.path": ("MarketStep", "Scenario", "Shock", "Withdrawal"),
    "delever.lab.runs.stress_test": ("RoundedPriceWarning", "compare", "simulate"),
    "delever.lab.runs.sweeps.executors": ("ProcessExecutor", "RayExecutor"),
    "delever.lab.runs.sweeps.sweep": ("sweep",),
    "delever.lab.studies.account_odds": ("my_odds",),
    "delever.lab.studies.fund_curve": ("FundCurve", "fund_curve", "newsvendor_size"),
    "delever.lab.studies.severity": ("SeverityRounds", "severity_curves"),
    "delever.lab.studies.slippage_at_risk": ("SlippageAtRisk", "slippage_at_risk"),
}

__getattr__, __dir__ = lazy_names(globals(), _HOMES)
