"""One ADL round: the inventory of one contract and side against the queue of the opposite side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import Tranche
from delever.core.messages import CounterpartySkipped, PositionsNetted, Reason, Side
from delever.core.rules.adl_price import Quote
from delever.core.rules.eligibility import EligibilityFilter, apply_filters
from delever.core.rules.ranking import Queue
from delever.core.rules.ruleset import Case, RuleSet
from delever.core.units import Bools, Ints, exact_sum
from delever.core.valuation.bankruptcy import OpenPosition
from delever.core.valuation.netting import net_legs


@dataclass(frozen=True, slots=True)
class AdlRound:
    """The inputs of one round: inventory of `side`, its price, and the queue of the other side."""

    book: Book
    state: ContractState
    side: Side
    rules: RuleSet
    case: Case
    tranches: Sequence[Tranche]
    wanted_lots: int
    quote: Quote
    queue: Queue


SHARING_LIMIT = 32
"""Divisions of the quantity after which the largest possible fills are tested, to end the round."""


class PolicyError(ValueError):
    """A policy of one's own returned lots that a round cannot close."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """The eligible rows, in order of rank, the lots of each, and an event for each row skipped."""

    rows: Ints
    lots: Ints
    skips: list[CounterpartySkipped]


def allocate_round(adl_round: AdlRound, among: Bools | None = None) -> Allocation:
    """Return what a round closes of each counterparty, optionally `among` some rows only.

    The policy divides the quantity; counterparties that a filter excludes for what would be taken
    from them are left out, and the rest is divided again. As a policy takes no less from the others
    then, nobody is left out for a quantity that is smaller in the end. Raises PolicyError.
    """
    queue = adl_round.queue
    valuation, index = queue.valuation, adl_round.book.accounts.index
    liquidated = [index[tranche.account] for tranche in adl_round.tranches]
    skipped = np.isin(valuation.account, liquidated)
    skips = _skips(adl_round, skipped, Reason.LIQUIDATED_ACCOUNT_ITSELF)
    turn = 0
    while True:
        turn += 1
        usable = ~skipped if among is None else among & ~skipped
        rows = queue.order[usable[queue.order]]
        lots = _policy_lots(adl_round, rows)
        taken = np.zeros(valuation.size, np.int64)
        taken[rows] = lots
        if turn > SHARING_LIMIT:
            taken = np.minimum(queue.closable_lots, adl_round.wanted_lots)
        fails = np.zeros(valuation.size, bool)
        for rule, excluded, amounts in _excluded(adl_round, taken):
            skips += _skips(adl_round, excluded & ~skipped, rule.reason, rule.number, amounts)
            fails |= excluded
        if not fails[rows].any():
            return Allocation(rows, lots, sorted(skips, key=lambda event: event.rank))
        skipped |= fails


def _policy_lots(adl_round: AdlRound, rows: Ints) -> Ints:
    """Return the policy's lots for some rows of the queue; raises PolicyError for impossible ones.

    Without rows nothing is asked of the policy.
    """
    policy, queue, wanted = adl_round.rules.policy, adl_round.queue, adl_round.wanted_lots
    if not len(rows):
        return np.zeros(0, np.int64)
    lots = policy.allocate(replace(queue, order=rows), wanted, adl_round.quote)
    at_most = queue.closable_lots[rows]
    if lots.shape != rows.shape or lots.dtype != np.int64:
        raise PolicyError(f"policy {policy.name}: not one int64 a counterparty of the queue")
    if (lots < 0).any() or (lots > at_most).any() or exact_sum(lots) > wanted:
        raise PolicyError(
            f"policy {policy.name}: lots are negative, above closable lots, or sum to more than "
            f"the {wanted} wanted"
        )
    return lots


def _excluded(adl_round: AdlRound, taken_lots: Ints) -> list[tuple[EligibilityFilter, Bools, Ints]]:
    rules, valuation = adl_round.rules, adl_round.queue.valuation
    ticks, wanted = adl_round.quote.ticks, adl_round.wanted_lots
    return apply_filters(rules.filters, valuation, taken_lots, wanted, ticks)


def net_reached(adl_round: AdlRound, rows: Ints, allocated: Ints) -> Iterator[PositionsNetted]:
    """Yield the netting of the hedges among eligible rows that the round closes or passes.

    If the queue does not suffice, these are all of them.
    """
    state, valuation = adl_round.state, adl_round.queue.valuation
    taken = np.flatnonzero(allocated)
    suffices = int(allocated.sum()) == adl_round.wanted_lots
    reached = rows[: taken[-1] + 1] if suffices else rows
    hedged = reached[valuation.net_lots[reached] < valuation.lots[reached]]
    for account in dict.fromkeys(valuation.account[hedged].tolist()):
        legs = [
            OpenPosition(state, side, account, position)
            for side, table in state.tables.items()
            for position in table.positions_of(account)
        ]
        yield from net_legs(adl_round.book, legs, {state.name})


def _skips(
    adl_round: AdlRound,
    excluded: Bools,
    reason: Reason,
    number: str = "",
    amounts: Ints | None = None,
) -> list[CounterpartySkipped]:
    """Return the events of excluded rows, in order of rank."""
    if not excluded.any():
        return []
    queue = adl_round.queue
    valuation, names = queue.valuation, adl_round.book.accounts.names
    return [
        CounterpartySkipped(
            contract=adl_round.state.name,
            side=valuation.side,
            account=names[int(valuation.account[row])],
            position=int(valuation.position[row]),
            rank=int(queue.rank[row]),
            reason=reason,
            numbers={} if amounts is None else {number: int(amounts[row])},
        )
        for row in queue.order[excluded[queue.order]].tolist()
    ]
