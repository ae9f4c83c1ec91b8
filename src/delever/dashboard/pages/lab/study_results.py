"""The panels of a study: policies with intervals, the fund curve, the plan with its certificate."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl
from nicegui import ui

from delever.dashboard.components.frame import html, panel
from delever.dashboard.components.table import Column, PagedTable, table
from delever.dashboard.data.lab.study import MEASURES, PlanSummary, StudyResult
from delever.dashboard.format import money, pairs
from delever.dashboard.pages.lab.fund_chart import CHART_HEIGHT_PX, fund_chart
from delever.formatting import decimal_text
from delever.lab.studies.fund_curve import FundCurve

_POLICIES = (
    Column("rules", "Rules + policy"),
    Column("haircut_total", "Haircut, USDT", "interval"),
    Column("unfunded", "Unfunded, USDT", "interval"),
    Column("accounts", "Accounts affected", "interval"),
    Column("gini_of_haircuts", "Gini of haircuts", "interval"),
    Column("max_haircut_ratio", "Largest haircut ratio", "interval"),
    Column("leverage_after", "Leverage after", "interval"),
)

_SIZES = (
    Column("fund", "Fund, USDT", "number"),
    Column("adl", "Probability of ADL, %", "interval"),
    Column("haircut_total", "Haircut, USDT", "interval"),
    Column("unfunded", "Unfunded, USDT", "interval"),
    Column("cost", "Expected cost, USDT", "interval"),
)

_PLAN = (
    Column("account", "Account"),
    Column("quantity", "Quantity", "number"),
    Column("reduced", "Reduced", "number"),
    Column("leverage_before", "Leverage before", "number"),
    Column("leverage_after", "Leverage after", "number"),
    Column("reason", "Why", "wrapped"),
)

_INTERVAL_NOTE = (
    '<p class="note">Mean over the scenarios, with its 95 % bootstrap interval. Haircut: what '
    "counterparties lose against the mark. Unfunded: what neither fund nor queue paid. Gini: 0 if "
    "every counterparty gives up the same.</p>"
)

_NO_SOLVER = "<p class=\"quiet\">A plan needs the solver: pip install 'delever[lab]'.</p>"


class StudyPanels:
    """The panels, which stay empty until their part of the study is finished."""

    def __init__(self) -> None:
        with panel("Policies", about="the same scenarios under each"):
            self._policies = table(_POLICIES, [], "rules", "Not computed yet.")
            html(_INTERVAL_NOTE)
        with panel("Size of the fund", "half", about="probability of ADL and cost"):
            self._optimum = html()
            self._chart = ui.echart({}).style(f"height: {CHART_HEIGHT_PX}px")
        with panel("Plan", "half", about="the smallest expected shortfall, with its proof"):
            self._plan = html()
        with panel("Fund sizes"):
            self._sizes = table(_SIZES, [], "fund", "Not computed yet.")
        with panel("Reduced positions", about="by the plan, in the order of the queue"):
            self._reduced = PagedTable(_PLAN, "id", 20)

    def clear(self) -> None:
        """Empty the panels before another study."""
        self._policies.rows, self._sizes.rows = [], []
        self._reduced.set_rows([])
        self._optimum.set_content("")
        self._plan.set_content("")
        self._draw({})

    def display(self, result: StudyResult) -> None:
        """Display the parts that are finished."""
        if result.plan is not None:
            self._plan.set_content(_plan_html(result.plan))
            self._reduced.set_rows(
                [row | {"id": f"{row['account']}/{row['position']}"} for row in result.plan.rows]
            )
        elif result.policies is not None:
            self._plan.set_content(_NO_SOLVER)
        if result.policies is not None:
            self._policies.rows = policy_rows(result.policies)
        if result.curve is not None:
            self._optimum.set_content(_optimum_html(result.curve))
            self._sizes.rows = size_rows(result.curve.frame)
            self._draw(fund_chart(result.curve.frame, result.curve.optimum))

    def _draw(self, options: Mapping[str, Any]) -> None:
        self._chart.options.clear()
        self._chart.options.update(options)
        self._chart.update()


def policy_rows(found: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each policy: each measure as mean, low and high, None if it has no value."""
    rows: dict[str, dict[str, Any]] = {}
    for each in found.iter_rows(named=True):
        row = rows.setdefault(each["rules"], {"rules": each["rules"]} | dict.fromkeys(MEASURES))
        if each["mean"] is not None:
            row |= _interval(each["measure"], each["mean"], each["low"], each["high"])
    return list(rows.values())


def size_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each size of the fund, the probability in percent."""
    rows = []
    for each in frame.iter_rows(named=True):
        row: dict[str, Any] = {"fund": decimal_text(Decimal(each["fund"]))}
        for name, scale in (("adl", 100), ("haircut_total", 1), ("unfunded", 1), ("cost", 1)):
            bounds = (each[name], each[f"{name}_low"], each[f"{name}_high"])
            row |= _interval(name, *(scale * value for value in bounds))
        rows.append(row)
    return rows


def _interval(name: str, mean: float, low: float, high: float) -> dict[str, Any]:
    return {name: [mean, low, high], f"{name}_order": mean}


def _optimum_html(curve: FundCurve) -> str:
    best = curve.optimum
    return (
        f"<p>Of these sizes, <b>{_usdt(best.fund)}</b> has the least expected cost, "
        f"{_usdt(best.cost)} (95 % interval of the size: {_usdt(best.low)} to {_usdt(best.high)})."
        f"</p><p>A fund that pays every deficit until it is empty would have "
        f"{_usdt(curve.newsvendor)} ({_usdt(curve.newsvendor_low)} to "
        f"{_usdt(curve.newsvendor_high)}). Cost: capital cost + haircut + unfunded.</p>"
    )


def _plan_html(plan: PlanSummary) -> str:
    """Return what the plan leaves, beside other policies, and its certificate."""
    left = {
        name.replace("_", " "): _usdt(loss)
        for name, loss in sorted(plan.losses.items(), key=lambda named: named[1])
    }
    checked = (
        '<b class="state state-calm">checked</b>: derived again without the solver'
        if not plan.findings
        else f'<b class="state state-adl">not true</b>: {"; ".join(plan.findings)}'
    )
    certificate = {
        "Upper bound": _usdt(plan.upper),
        "Lower bound": _usdt(plan.lower),
        "Gap": f"{100 * plan.gap:.3g} %, in whole lots {100 * plan.gap_in_lots:.3g} %",
        "Certificate": checked,
    }
    return (
        f"<p>Expected shortfall over the scenarios after {plan.quantity} is closed:</p>"
        f"{pairs(left)}<p><b>Certificate</b></p>{pairs(certificate)}"
        '<p class="note">No plan is better than the lower bound. The plan itself is the upper one, '
        "before rounding to lots.</p>"
    )


def _usdt(amount: float) -> str:
    return f"{money(decimal_text(Decimal(f'{amount:.2f}')))} USDT"
