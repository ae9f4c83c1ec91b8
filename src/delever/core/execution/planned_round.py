"""Rounds that wait for a plan, and the plan's lots in the place of the rule set's policy."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.execution.deleveraging import closed_in_round
from delever.core.market.validation import Rejection, reject_unless
from delever.core.messages import AllocateAdl, PlannedRound, PlanRequested, Reason, Side
from delever.core.rules.adl_price import Quote
from delever.core.rules.policies.policy import closable_lots
from delever.core.rules.ranking import Queue
from delever.core.rules.ruleset import Case, RuleSet
from delever.core.units import Ints


@dataclass(frozen=True, slots=True)
class PlannedAllocation:
    """A policy that closes what a plan says, or raises Rejection with the plan's first fault.

    `lots` are those of each account index and position id, `fields` the places of both in the
    command.
    """

    planned: PlannedRound
    path: str
    limit_ticks: int
    lots: dict[tuple[int, int], int]
    name: str = "plan"

    def allocate(self, queue: Queue, wanted_lots: int, quote: Quote) -> Ints:
        """Return the plan's lots of each counterparty, in order of rank."""
        total = sum(self.lots.values())
        if total > wanted_lots:
            raise Rejection(f"{self.path}.fills", total, Reason.PLAN_EXCEEDS_ROUND)
        sign = self.planned.side.sign  # inventory that is long is closed against shorts
        is_within = all(sign * (ticks - self.limit_ticks) <= 0 for ticks in quote.ticks)
        limit = self.planned.price_limit
        reject_unless(is_within, f"{self.path}.price_limit", limit, Reason.PRICE_BEYOND_PLAN_LIMIT)
        return self._lots_of(queue)

    def _lots_of(self, queue: Queue) -> Ints:
        rows, closable = queue.order, closable_lots(queue)
        accounts = queue.valuation.account[rows]
        named = np.array([account for account, _ in self.lots], np.int64)
        places = np.flatnonzero(np.isin(accounts, named)).tolist()
        positions = queue.valuation.position[rows]
        found = {(accounts.item(n), positions.item(n)): n for n in places}
        allocated = np.zeros(len(rows), np.int64)
        for number, (key, lots) in enumerate(self.lots.items()):
            fill, field = self.planned.fills[number], f"{self.path}.fills[{number}]"
            if key not in found:
                raise Rejection(f"{field}.account", fill.account, Reason.COUNTERPARTY_INELIGIBLE)
            fits = lots <= closable[found[key]]
            reject_unless(fits, f"{field}.quantity", fill.quantity, Reason.PLAN_EXCEEDS_POSITION)
            allocated[found[key]] = lots
        return allocated


def planned_allocations(
    book: Book, command: AllocateAdl
) -> dict[tuple[str, Side], PlannedAllocation]:
    """Return the policy of each round of a plan, by contract and side of the inventory."""
    policies = {}
    for number, planned in enumerate(command.rounds):
        terms, index = book.contracts[planned.contract].terms, book.accounts.index
        lots = {
            (index[fill.account], fill.position): terms.read_lots("quantity", fill.quantity)
            for fill in planned.fills
        }
        limit = terms.read_ticks("price_limit", planned.price_limit)
        policy = PlannedAllocation(planned, f"rounds[{number}]", limit, dict(lots))
        policies[planned.contract, planned.side] = policy
    return policies


def request_plan(
    book: Book, state: ContractState, side: Side, rules: RuleSet, case: Case
) -> Iterator[PlanRequested]:
    """Yield the request for a plan, where a round has something to close and no request yet."""
    if side in state.plan_requests:
        return
    tranches, _ = closed_in_round(book, state, side, rules, case, forced=False)
    wanted = sum(tranche.lots for tranche in tranches)
    if wanted and state.exhausted.get(side) != wanted:
        yield PlanRequested(
            contract=state.name,
            side=side,
            trigger=case.trigger.name,
            wanted_lots=wanted,
            until_ms=book.time_ms + state.plan_wait_ms,
        )


def is_awaiting_plan(book: Book, state: ContractState, side: Side) -> bool:
    """Return whether a round is deferred until a plan arrives or its wait is over."""
    return side in state.plan_requests and book.time_ms < state.plan_requests[side][1]
