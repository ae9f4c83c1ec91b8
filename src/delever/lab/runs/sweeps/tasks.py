"""The tasks of a sweep, and the row of measures that each gives."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
import polars as pl

from delever.core.book import Book
from delever.core.messages import AdlFilled, Amount, FillCancelled, TakenOver
from delever.core.units import PPM
from delever.core.valuation.insurance import pool_equity
from delever.lab.measures.account_outcomes import PositionKey, PositionOutcome
from delever.lab.measures.run_measures import MEASURES, measure
from delever.lab.measures.tail_risk import cvar, losses_after
from delever.lab.runs.market_paths.path import Scenario, Shock
from delever.lab.runs.run import RunResult
from delever.lab.runs.stress_test import simulate
from delever.lab.tables.defaults import Pool

Row = dict[str, Any]


class Task(NamedTuple):
    """One simulation: indices of a scenario, a rule set and a fund size."""

    scenario: int
    rules: int
    fund: int


@dataclass(frozen=True)
class SweepInputs:
    """Everything that the rows of a sweep depend on; sent to each worker once."""

    book: Book
    scenarios: tuple[Scenario, ...]
    rules: tuple[str, ...]
    funds: tuple[Pool | None, ...]
    next_shocks: tuple[Shock, ...]
    alpha: float
    caps: Mapping[str, Mapping[str, Amount]]
    asset: str
    markout_ms: int | None

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """Every task, scenarios outermost."""
        return tuple(
            Task(scenario, rules, fund)
            for scenario in range(len(self.scenarios))
            for rules in range(len(self.rules))
            for fund in range(len(self.funds))
        )


def run_tasks(inputs: SweepInputs, part: range) -> list[Row]:
    """Return the rows of a part of the tasks, in order."""
    return [_row(inputs, number) for number in part]


def _row(inputs: SweepInputs, number: int) -> Row:
    task = inputs.tasks[number]
    rules, scenario = inputs.rules[task.rules], inputs.scenarios[task.scenario]
    fund = inputs.funds[task.fund]
    result = simulate(inputs.book, scenario, rules=rules, pool=fund, **inputs.caps[rules])
    row: Row = {"task": number, "scenario": scenario.name, "rules": rules, "fund": fund_text(fund)}
    found = result.outcomes_by_position()
    row |= _totals(result, found, inputs.asset)
    vectors = result.vectors(inputs.asset, markout_ms=inputs.markout_ms, outcomes=found)
    row |= {"deficit": vectors.deficit, "budget": vectors.budget, **measure(vectors)}
    if inputs.next_shocks:
        losses = losses_after(result.book, inputs.next_shocks, inputs.asset)
        row["cvar_after"] = cvar(losses, inputs.alpha)
    return row


def _totals(result: RunResult, found: Mapping[PositionKey, PositionOutcome], asset: str) -> Row:
    unit = 10 ** result.book.cash_decimals(asset)
    pools = [pool for pool in result.book.pools.values() if pool.asset == asset]
    before = sum(result.fund_equity[pool.name] for pool in pools)
    after = sum(pool_equity(result.book, pool) for pool in pools)
    kinds = Counter(map(type, result.events))
    affected = {key[0] for key, each in found.items() if each.lots or each.socialized_cash}
    return {
        "asset": asset,
        "takeovers": kinds[TakenOver],
        "fills": kinds[AdlFilled] - kinds[FillCancelled],
        "accounts": len(affected),
        "adl": bool(affected),
        "fund_before": before / unit,
        "fund_after": after / unit,
        "unfunded": sum(pool.unfunded for pool in pools) / unit,
        "withdrawals_haircut": max(p.withdrawal_haircut_ppm for p in pools) / PPM if pools else 0.0,
    }


def fund_text(fund: Pool | None) -> str:
    """Return a fund size as text: "1000", "main=1000, coin=2", or "" for the book's own."""
    if fund is None:
        return ""
    if isinstance(fund, Mapping):
        return ", ".join(f"{name}={amount}" for name, amount in fund.items())
    return str(fund)


FLOATS = ("fund_before", "fund_after", "unfunded", "withdrawals_haircut", "deficit", "budget")


def row_schema(*, with_cvar: bool) -> dict[str, Any]:
    """Return the columns of a sweep."""
    numbers = dict.fromkeys((*FLOATS, *MEASURES), pl.Float64)
    return {
        "task": pl.Int64,
        "scenario": pl.String,
        "rules": pl.String,
        "fund": pl.String,
        "asset": pl.String,
        "takeovers": pl.Int64,
        "fills": pl.Int64,
        "accounts": pl.Int64,
        "adl": pl.Boolean,
        **numbers,
        **({"cvar_after": pl.Float64} if with_cvar else {}),
    }


def parts_of(count: int, size: int) -> Iterator[range]:
    """Yield tasks in parts of a size; the parts do not depend on the executor."""
    for first in range(0, count, size):
        yield range(first, min(first + size, count))


def content_of(inputs: SweepInputs) -> Sequence[object]:
    """Return what identifies the inputs besides the book, in one order."""
    scenarios = [
        (path.name, [_step_content(step) for step in path.steps]) for path in inputs.scenarios
    ]
    shocks = [sorted(shock.moves.items()) for shock in inputs.next_shocks]
    funds = [fund_text(fund) for fund in inputs.funds]
    caps = {name: sorted(each.items()) for name, each in inputs.caps.items()}
    digests = {name: each.digest for name, each in inputs.book.registry.items()}
    measured = [inputs.alpha, inputs.asset, inputs.markout_ms]
    return [scenarios, inputs.rules, funds, shocks, caps, digests, measured]


def _step_content(step: Any) -> object:
    ratios = sorted((name, str(ratio)) for name, ratio in step.ratios.items())
    return [ratios, str(step.depth), step.withdrawals, step.liquidated, step.after_ms]


def encoded(inputs: SweepInputs) -> bytes:
    """Return `content_of` as bytes."""
    return repr(msgspec.to_builtins(content_of(inputs), str_keys=True)).encode()
