"""Plans for the rounds of a live book that await one, as commands, tried on a copy of the book."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import polars as pl

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.engine import step
from delever.core.messages import (
    AdlFilled,
    AllocateAdl,
    CounterpartySkipped,
    Event,
    PlannedFill,
    PlannedRound,
    Reason,
    Rejected,
    RoundClosed,
    SetPlanWait,
    Side,
)
from delever.formatting import ContractFormatter
from delever.lab.errors import InputError
from delever.lab.policies.plans.book_plan import Plan, plan_reduction
from delever.lab.policies.plans.shadow_prices import Ties
from delever.lab.runs.market_paths.path import Scenario, Shock, exact_fraction

MAX_EXCLUDED = 20
"""Accounts that a plan leaves out one after the other, because a fill would bankrupt them."""


@dataclass(frozen=True, slots=True)
class AwaitedRound:
    """What the rule set's own round would close: lots of a side, at the worst of its prices."""

    state: ContractState
    side: Side
    lots: int
    worst_ticks: int


@dataclass(frozen=True, slots=True)
class LivePlan:
    """A plan, and the command that submits it; `rejected` is what the book would say to it."""

    plan: Plan
    command: AllocateAdl
    rejected: Rejected | None


def live_plans(
    book: Book,
    *,
    scenarios: Sequence[Shock | Scenario],
    ties: Ties = "pro_rata",
    slippage: str = "0.005",
) -> list[LivePlan]:
    """Return a plan for each settle asset with rounds that await one, tried on a copy of the book.

    Each round is to close what the rule set's own policy would close now. `slippage` is how much
    worse than now the ADL price may be for the accounts when the plan is executed. An account that
    a round excludes, as a fill would bankrupt it, is left out and the plan is made again. Raises
    InputError as `plan_reduction` does.
    """
    worse = exact_fraction(slippage, "slippage")
    if not 0 <= worse < 1:
        raise InputError("must be from 0 to below 1", column="slippage", value=slippage)
    rounds, excluded = awaited_rounds(book)
    by_asset: dict[str, list[AwaitedRound]] = {}
    for each in rounds:
        by_asset.setdefault(each.state.terms.settle, []).append(each)
    return [_planned(book, each, scenarios, ties, worse, excluded) for each in by_asset.values()]


def awaited_rounds(book: Book) -> tuple[list[AwaitedRound], set[str]]:
    """Return what each round that awaits a plan would close without one, and whom it excludes.

    The rounds run on a copy of the book, in the order in which the engine runs them.
    """
    fork, excluded = book.copy(), set[str]()
    found: dict[tuple[str, Side], AwaitedRound] = {}
    for state in sorted(fork.monitored(), key=_loss):
        if not state.plan_requests or state.paused:
            continue
        at_once = SetPlanWait(time_ms=fork.time_ms, contract=state.name, wait_ms=0, note="plan")
        events = step(fork, at_once)
        excluded |= {
            event.account
            for event in events
            if isinstance(event, CounterpartySkipped)
            and event.reason is Reason.LIQUIDATED_ACCOUNT_ITSELF
        }
        for each in _rounds_of(book, events):
            awaited = each.side in book.contracts[each.state.name].plan_requests
            if awaited and each.lots:
                found.setdefault((each.state.name, each.side), each)
    return [*found.values()], excluded


def _loss(state: ContractState) -> int:
    return sum(min(state.inventory_pnl(side), 0) for side in Side)


def _rounds_of(book: Book, events: Iterable[Event]) -> Iterator[AwaitedRound]:
    """Yield the rounds of a step with their worst prices, by contract and side of the inventory."""
    ticks: list[int] = []
    for event in events:
        if isinstance(event, AdlFilled):
            ticks.append(event.price_ticks)
        elif isinstance(event, RoundClosed):
            worst = max if event.side is Side.LONG else min  # longs meet shorts, which buy
            state = book.contracts[event.contract]
            yield AwaitedRound(state, event.side, event.filled_lots, worst(ticks, default=0))
            ticks = []


def _planned(
    book: Book,
    rounds: Sequence[AwaitedRound],
    scenarios: Sequence[Shock | Scenario],
    ties: Ties,
    worse: Fraction,
    excluded: set[str],
) -> LivePlan:
    """Return the plan of one settle asset's rounds, without accounts that it would bankrupt."""
    need = {}
    for each in rounds:
        formatter = ContractFormatter.of(book, each.state)
        need[each.state.name, each.side.opposite.value] = formatter.quantity(each.lots)
    left_out = set(excluded)
    while True:
        plan = plan_reduction(book, need, scenarios=scenarios, ties=ties, exclude=left_out)
        command = _command(book, rounds, plan, worse)
        first = step(book.copy(), command)[0]
        rejected = first if isinstance(first, Rejected) else None
        can_mend = len(left_out) < len(excluded) + MAX_EXCLUDED
        if (
            rejected is None
            or rejected.reason is not Reason.COUNTERPARTY_INELIGIBLE
            or not can_mend
        ):
            return LivePlan(plan, command, rejected)
        left_out.add(rejected.value)


def _command(
    book: Book, rounds: Sequence[AwaitedRound], plan: Plan, worse: Fraction
) -> AllocateAdl:
    certificate = plan.certificate
    if certificate is None:
        raise InputError("has no certificate; plans of shadow_prices have", column="plan")
    note = f"expected shortfall {plan.expected_loss:.2f}, no plan below {certificate.lower:.2f}"
    return AllocateAdl(
        time_ms=book.time_ms,
        book_sequence=book.sequence,
        certificate=certificate.certificate_digest(),
        rounds=tuple(_round(book, each, plan.frame, worse) for each in rounds),
        note=note,
    )


def _round(book: Book, each: AwaitedRound, frame: pl.DataFrame, worse: Fraction) -> PlannedRound:
    terms, sign = each.state.terms, each.side.sign
    limit = int(each.worst_ticks * (1 + sign * worse))
    limit = max(limit // terms.price_step * terms.price_step, terms.price_step)
    limit = max(limit, each.worst_ticks) if sign > 0 else min(limit, each.worst_ticks)
    side = each.side.opposite.value
    rows = frame.filter(
        (pl.col("contract") == each.state.name) & (pl.col("side") == side) & (pl.col("reduced") > 0)
    )
    columns = rows["account"], rows["position"], rows["reduced"]
    return PlannedRound(
        contract=each.state.name,
        side=each.side,
        price_limit=ContractFormatter.of(book, each.state).price(limit),
        fills=tuple(
            PlannedFill(account=account, position=position, quantity=str(quantity))
            for account, position, quantity in zip(*columns, strict=True)
        ),
    )
