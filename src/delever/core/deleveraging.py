"""One ADL round: the inventory of one contract and side meets the queue of the opposite side.

The queue is ranked as the book stands when the round begins. Fills are yielded one by one and must
be applied before the next is asked for: each is cut from what position and parcel then hold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from delever.core.allocation import allocate, parcels_for
from delever.core.book import Book
from delever.core.holdings import ContractState, Parcel
from delever.core.messages import (
    AdlExhausted,
    AdlFilled,
    CandidateSkipped,
    Event,
    Reason,
    RoundClosed,
    Side,
)
from delever.core.pricing import Quote
from delever.core.ranking import Queue, rank_lane
from delever.core.rules.ruleset import Case, OrderScope, RuleSet
from delever.core.skips import refused
from delever.core.units import Ints, scale_ppm, share_floor
from delever.core.valuation import view_lane


@dataclass(frozen=True, slots=True)
class Round:
    """What one round works with: inventory of `side`, and the queue against it."""

    book: Book
    state: ContractState
    side: Side
    rules: RuleSet
    case: Case
    parcels: Sequence[Parcel]
    wanted_lots: int
    quote: Quote
    queue: Queue


def deleverage(
    book: Book, state: ContractState, side: Side, rules: RuleSet, case: Case
) -> Iterator[Event]:
    """Yield the events of one round: skips, fills, the round's account, and what is left over.

    Skips are told of those in whose place somebody behind them was closed; of all, where the queue
    did not suffice. A round in which nobody can be closed is told once, and again only when the
    quantity changes.
    """
    parcels = case.trigger.parcels(book, state, side)
    if not parcels:
        return
    quote = case.price.quote(book, state, side, parcels)
    queue = rank_lane(view_lane(book, state, side.opposite), rules.ranking)
    wanted = sum(parcel.lots for parcel in parcels)
    run = Round(book, state, side, rules, case, parcels, wanted, quote, queue)
    held_cost = state.inventory[side].total_cost
    rows, skips = _candidates(run)
    allocated = allocate(wanted, rules.policy.line(queue, rows))
    filled = int(allocated.sum())
    if filled == 0 and state.exhausted.get(side) == wanted:
        return
    last_rank = int(queue.rank[rows[allocated > 0]].max(initial=0))
    yield from (skip for skip in skips if filled < wanted or skip.rank < last_rank)
    realised = 0
    for fill in _fills(run, rows, allocated):
        realised += fill.pool_realised_cash
        yield fill
    kept = _kept_by_pool(run, realised, held_cost) if filled == wanted else 0
    yield _account(run, filled, kept)
    if filled < wanted:
        reason = Reason.QUEUE_IS_EXHAUSTED if queue.view.size else Reason.LANE_IS_EMPTY
        yield AdlExhausted(contract=state.name, side=side, left_lots=wanted - filled, reason=reason)


def _candidates(run: Round) -> tuple[Ints, list[CandidateSkipped]]:
    """Return the rows that may be closed, in order of rank, and the skips of those that may not."""
    view, order = run.queue.view, run.queue.order
    liquidated = {run.book.accounts.index[parcel.account] for parcel in run.parcels}
    passed_over = np.isin(view.account, list(liquidated))
    skips = [
        _skip(run, row, Reason.CANDIDATE_IS_THE_LIQUIDATED_ACCOUNT, {})
        for row in order[passed_over[order]].tolist()
    ]
    for skip, fails, left in refused(run.rules.skips, view, run.wanted_lots, run.quote.ticks):
        rows = order[(fails & ~passed_over)[order]].tolist()
        skips += [_skip(run, row, skip.reason, {skip.number: int(left[row])}) for row in rows]
        passed_over |= fails
    return order[~passed_over[order]], sorted(skips, key=lambda skip: skip.rank)


def _skip(run: Round, row: int, reason: Reason, numbers: dict[str, int]) -> CandidateSkipped:
    view = run.queue.view
    return CandidateSkipped(
        contract=run.state.name,
        side=view.side,
        account=run.book.accounts.names[int(view.account[row])],
        position=int(view.position[row]),
        rank=int(run.queue.rank[row]),
        reason=reason,
        numbers=numbers,
    )


def _fills(run: Round, rows: Ints, allocated: Ints) -> Iterator[AdlFilled]:
    """Yield the fills, candidates in order meeting parcels in order."""
    meetings = parcels_for(allocated, [parcel.lots for parcel in run.parcels])
    for candidate, parcel, lots in meetings:
        yield _fill(run, int(rows[candidate]), parcel, lots)


def _fill(run: Round, row: int, parcel_number: int, lots: int) -> AdlFilled:
    """Return one fill, with what it costs and earns both sides, to the last unit."""
    state, view, parcel = run.state, run.queue.view, run.parcels[parcel_number]
    account, position = int(view.account[row]), int(view.position[row])
    lane = state.lanes[view.side]
    now = lane.row_of(account, position)
    held = int(lane.lots[now])
    ticks = run.quote.ticks[parcel_number]
    value = state.terms.value_cash(view.side.sign * lots, ticks)  # floored: never against the pool
    cost = share_floor(int(lane.cost[now]), lots, held)
    left = state.inventory[run.side].parcels[parcel.takeover]
    pool_cost = share_floor(left.cost, lots, left.lots)
    return AdlFilled(
        fill=run.book.last_fill + 1,
        takeover=parcel.takeover,
        takeover_price_ticks=parcel.price_ticks,
        pool=state.pool,
        liquidated_account=parcel.account,
        contract=state.name,
        side=view.side,
        account=run.book.accounts.names[account],
        position=position,
        isolated=bool(lane.isolated[now]),
        leverage_hundredths=int(lane.leverage[now]),
        lots=lots,
        price_ticks=ticks,
        price_rule=run.case.price.name,
        value_cash=value,
        cost_cash=cost,
        realised_cash=value - cost,
        released_cash=share_floor(int(lane.margin[now]), lots, held),
        fee_cash=scale_ppm(abs(value), run.rules.fee_ppm),
        pool_cost_cash=pool_cost,
        pool_realised_cash=-value - pool_cost,
        rank=int(run.queue.rank[row]),
        score=float(run.queue.score.value[row]),
        light=int(run.queue.light[row]),
        quantity_ahead_lots=int(run.queue.ahead_lots[row]),
        cancel_orders=_orders_to_cancel(run, run.book.accounts.names[account]),
    )


def _orders_to_cancel(run: Round, account: str) -> tuple[str, ...]:
    """Return the account's open orders that the venue cancels with the fill."""
    orders = run.book.open_orders
    if run.rules.cancels is OrderScope.NONE:
        return ()
    if run.rules.cancels is OrderScope.CONTRACT:
        return orders.get((account, run.state.name), ())
    contracts = run.book.contracts
    return tuple(order for name in contracts for order in orders.get((account, name), ()))


def _kept_by_pool(run: Round, realised: int, held_cost: int) -> int:
    """Return what rounding a pool-level price to whole ticks left with the pool, in Cash."""
    target = run.quote.target_cash
    return 0 if target is None else realised - (target - held_cost)


def _account(run: Round, filled: int, kept: int) -> RoundClosed:
    """Return the round's account."""
    return RoundClosed(
        contract=run.state.name,
        side=run.side,
        trigger=run.case.trigger.name,
        price_rule=run.case.price.name,
        numbers=run.quote.numbers,
        wanted_lots=run.wanted_lots,
        filled_lots=filled,
        kept_by_pool_cash=kept,
        candidates=len(run.queue.order),
        ineligible={str(reason): len(rows) for reason, rows in run.queue.ineligible.items()},
    )
