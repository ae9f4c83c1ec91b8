"""The events of one ADL round, in order.

The queue is ranked in the book as it is when the round begins. All fills of a round are yielded
together; each is cut from what the fills before it have left of position and tranche.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import Tranche
from delever.core.execution.adl_round import AdlRound, allocate_round, net_reached
from delever.core.execution.settlement import settle
from delever.core.messages import AdlExhausted, Event, Reason, RoundClosed, Side
from delever.core.messages.fill_batch import FillBatch
from delever.core.rules.adl_price import AtBankruptcyPrice, Quote
from delever.core.rules.policies.policy import LotPolicy
from delever.core.rules.ranking import Queue, rank_side
from delever.core.rules.ruleset import Case, RuleSet
from delever.core.rules.triggers.sizing import Sizing, in_turn, residual
from delever.core.rules.triggers.trigger import all_tranches
from delever.core.valuation.insurance import contract_pnl_of, observed_equity
from delever.core.valuation.side_valuation import value_side


def deleverage(
    book: Book,
    state: ContractState,
    side: Side,
    rules: RuleSet,
    case: Case,
    *,
    forced: bool = False,
    planned: LotPolicy | None = None,
) -> Iterator[Event | FillBatch]:
    """Yield the events of one round: skipped counterparties, fills, summary, what is left over.

    A skip is reported only if it moved another counterparty forward, or if the queue did not
    suffice. A round that can close nothing is reported once, and again when the quantity changes.
    A `forced` round closes the whole inventory of the side. Under `both_legs` the hedges that the
    round reaches are netted first, and the queue is ranked again. `planned` divides the quantity in
    the place of the rule set's policy, and may close less: the rest waits for another round.
    """
    if rules.closes_own_accounts_first and book.accounts.owners:
        yield from close_own_accounts(book, state, side, rules, case, forced=forced)
    tranches, quote = closed_in_round(book, state, side, rules, case, forced=forced)
    if not tranches:
        return
    if planned is not None:
        rules = replace(rules, policy=planned)
    wanted = sum(tranche.lots for tranche in tranches)
    inventory_cost = sum(tranche.cost for tranche in tranches)
    balance = book.pool_of(state).balance
    while True:
        queue = _queue_against(book, state, side, rules)
        adl_round = AdlRound(book, state, side, rules, case, tranches, wanted, quote, queue)
        allocation = allocate_round(adl_round)
        rows, allocated = allocation.rows, allocation.lots
        filled = int(allocated.sum())
        if planned is not None and not len(rows):  # a policy is not asked about an empty queue
            planned.allocate(replace(queue, order=rows), wanted, quote)
        if filled == 0 and state.exhausted.get(side) == wanted:
            return
        netted = list(net_reached(adl_round, rows, allocated)) if rules.ranking.both_legs else []
        if not netted:
            break
        yield from netted
    is_exhausted = filled < wanted and planned is None
    last_rank = int(queue.rank[rows[allocated > 0]].max(initial=0))
    yield from (skip for skip in allocation.skips if is_exhausted or skip.rank < last_rank)
    fills = settle(adl_round, rows, allocated)
    if fills:
        yield fills
    realized = sum(fills.columns["pool_realized_pnl_cash"]) if fills else 0
    residual = _rounding_residual(adl_round, realized, inventory_cost) if filled == wanted else 0
    unfunded = max(-(balance + realized), 0) - max(-balance, 0)
    yield _round_closed(adl_round, filled, residual, max(unfunded, 0))
    if is_exhausted:
        reason = Reason.QUEUE_EXHAUSTED if queue.valuation.size else Reason.NO_OPEN_POSITIONS
        yield AdlExhausted(
            contract=state.name, side=side, remaining_lots=wanted - filled, reason=reason
        )


def round_key(book: Book, state: ContractState, rules: RuleSet) -> tuple[object, ...] | None:
    """Return all that decides a contract's rounds, or None where a rule set of one's own decides.

    Time enters through the deficits, through the peaks that ADL prices read, and through the
    openings of the day that loss caps read.
    """
    pool = book.pool_of(state)
    if pool.rules_digest:
        return None
    equity, pnl = observed_equity(book, pool), contract_pnl_of(state)
    return (
        book.revision,
        tuple(state.active),
        tuple(case.trigger.deficit_cash(book, state) for case in rules.cases),
        pool.equity_peak.peak(book.time_ms, equity),
        pool.balance_peak.peak(book.time_ms, pool.balance),
        state.contract_pnl_peak.peak(book.time_ms, pnl),
        pool.equity_opening.value(book.time_ms, equity),
        state.contract_pnl_opening.value(book.time_ms, pnl),
    )


def closed_in_round(
    book: Book, state: ContractState, side: Side, rules: RuleSet, case: Case, *, forced: bool
) -> tuple[list[Tranche], Quote]:
    """Return the tranches that a round closes, in their order, and their prices.

    Of what the trigger names it is the part that the rule set's sizing leaves.
    """
    named = all_tranches(state, side) if forced else case.trigger.tranches(book, state, side)
    if not named:
        return [], Quote((), {})
    tranches = in_turn(state, side, named)
    quote = case.price.quote(book, state, side, tranches)
    deficit = case.trigger.deficit_cash(book, state)
    if forced or rules.sizing is not Sizing.RESIDUAL or deficit is None:
        return tranches, quote
    closed = list(residual(state, side, tranches, quote.ticks, deficit))
    ticks = tuple(price for _, price in closed)
    numbers = quote.numbers | {"deficit_cash": deficit}
    return [tranche for tranche, _ in closed], replace(quote, ticks=ticks, numbers=numbers)


def close_own_accounts(
    book: Book, state: ContractState, side: Side, rules: RuleSet, case: Case, *, forced: bool
) -> Iterator[Event | FillBatch]:
    """Yield a round of each owner's inventory against the owner's other accounts.

    It is at the takeover price, so that the fund neither gains nor loses; an account that a
    fill would bankrupt is left out without a report.
    """
    tranches, _ = closed_in_round(book, state, side, rules, case, forced=forced)
    case, index = Case(case.trigger, AtBankruptcyPrice()), book.accounts.index
    by_owner: dict[str, list[Tranche]] = {}
    for tranche in tranches:
        by_owner.setdefault(book.accounts.owner_of(index[tranche.account]), []).append(tranche)
    for owner, theirs in by_owner.items():
        queue = _queue_against(book, state, side, rules)
        wanted = sum(tranche.lots for tranche in theirs)
        quote = case.price.quote(book, state, side, theirs)
        own_round = AdlRound(book, state, side, rules, case, theirs, wanted, quote, queue)
        owners = map(book.accounts.owner_of, queue.valuation.account.tolist())
        own = np.array([each == owner for each in owners], bool)
        allocation = allocate_round(own_round, own)
        fills = settle(own_round, allocation.rows, allocation.lots)
        if fills:
            yield fills
            filled = sum(fill.lots for fill in fills.events)
            yield _round_closed(replace(own_round, wanted_lots=filled), filled, 0, 0)


def _queue_against(book: Book, state: ContractState, side: Side, rules: RuleSet) -> Queue:
    """Return the queue that faces a side of the inventory."""
    ranking = rules.ranking
    valuation = value_side(book, state, side.opposite, net_exposure=ranking.closes_net_lots)
    return rank_side(valuation, ranking)


def _rounding_residual(adl_round: AdlRound, realized: int, inventory_cost: int) -> int:
    """Return what rounding a pool-level price to whole ticks has left with the pool, in Cash."""
    target = adl_round.quote.target_cash
    return 0 if target is None else realized - (target - inventory_cost)


def _round_closed(
    adl_round: AdlRound, filled_lots: int, residual_cash: int, unfunded_cash: int
) -> RoundClosed:
    queue, case = adl_round.queue, adl_round.case
    return RoundClosed(
        contract=adl_round.state.name,
        side=adl_round.side,
        trigger=case.trigger.name,
        price_rule=case.price.name,
        numbers=adl_round.quote.numbers,
        wanted_lots=adl_round.wanted_lots,
        filled_lots=filled_lots,
        rounding_residual_cash=residual_cash,
        unfunded_cash=unfunded_cash,
        counterparties=len(queue.order),
        ineligible={str(reason): len(rows) for reason, rows in queue.ineligible.items()},
    )
