"""One ADL round: the inventory of one contract and side against the queue of the opposite side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.inventory import Tranche
from delever.core.messages import CounterpartySkipped, PositionsNetted, Reason, Side
from delever.core.rules.adl_price import Quote
from delever.core.rules.eligibility import apply_filters
from delever.core.rules.ranking import Queue
from delever.core.rules.ruleset import Case, RuleSet
from delever.core.units import Ints
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


def counterparties(adl_round: AdlRound) -> tuple[Ints, list[CounterpartySkipped]]:
    """Return the rows that may be closed, in order of rank, and an event for each of the others."""
    queue = adl_round.queue
    valuation, order = queue.valuation, queue.order
    index = adl_round.book.accounts.index
    liquidated = {index[tranche.account] for tranche in adl_round.tranches}
    skipped = np.isin(valuation.account, list(liquidated))
    events = [
        _skip(adl_round, row, Reason.LIQUIDATED_ACCOUNT_ITSELF, {})
        for row in order[skipped[order]].tolist()
    ]
    filters, ticks = adl_round.rules.filters, adl_round.quote.ticks
    for rule, fails, amounts in apply_filters(filters, valuation, adl_round.wanted_lots, ticks):
        events += [
            _skip(adl_round, row, rule.reason, {rule.number: int(amounts[row])})
            for row in order[(fails & ~skipped)[order]].tolist()
        ]
        skipped |= fails
    return order[~skipped[order]], sorted(events, key=lambda event: event.rank)


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


def _skip(
    adl_round: AdlRound, row: int, reason: Reason, numbers: dict[str, int]
) -> CounterpartySkipped:
    queue = adl_round.queue
    valuation = queue.valuation
    return CounterpartySkipped(
        contract=adl_round.state.name,
        side=valuation.side,
        account=adl_round.book.accounts.names[int(valuation.account[row])],
        position=int(valuation.position[row]),
        rank=int(queue.rank[row]),
        reason=reason,
        numbers=numbers,
    )
