"""One ADL round: the inventory of one contract and side meets the queue of the opposite side.

The queue is ranked as the book stands when the round begins. The fills of a round are yielded
together: each is cut from what the ones before it leave of position and tranche.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import neg, sub

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.inventory import Tranche
from delever.core.messages import (
    AdlExhausted,
    CounterpartySkipped,
    Event,
    Reason,
    RoundClosed,
    Side,
)
from delever.core.messages.fill_batch import Fills
from delever.core.rules.adl_price import Quote
from delever.core.rules.allocation import allocate, tranches_for
from delever.core.rules.eligibility import rejected
from delever.core.rules.ranking import Queue, rank_side
from delever.core.rules.ruleset import Case, OrderScope, RuleSet
from delever.core.units import Ints, scale_ppm, share_floor
from delever.core.valuation.side_valuation import value_side


@dataclass(frozen=True, slots=True)
class Round:
    """What one round works with: inventory of `side`, and the queue against it."""

    book: Book
    state: ContractState
    side: Side
    rules: RuleSet
    case: Case
    tranches: Sequence[Tranche]
    wanted_lots: int
    quote: Quote
    queue: Queue


def deleverage(
    book: Book, state: ContractState, side: Side, rules: RuleSet, case: Case
) -> Iterator[Event | Fills]:
    """Yield the events of one round: skips, fills, the round's account, and what is left over.

    Skips are told of those in whose place somebody behind them was closed; of all, where the queue
    did not suffice. A round in which nobody can be closed is told once, and again only when the
    quantity changes.
    """
    tranches = case.trigger.tranches(book, state, side)
    if not tranches:
        return
    quote = case.price.quote(book, state, side, tranches)
    queue = rank_side(value_side(book, state, side.opposite), rules.ranking)
    wanted = sum(tranche.lots for tranche in tranches)
    run = Round(book, state, side, rules, case, tranches, wanted, quote, queue)
    held_cost = state.inventory[side].total_cost
    rows, skips = _counterparties(run)
    allocated = allocate(wanted, rules.policy.line(queue, rows))
    filled = int(allocated.sum())
    if filled == 0 and state.exhausted.get(side) == wanted:
        return
    last_rank = int(queue.rank[rows[allocated > 0]].max(initial=0))
    yield from (skip for skip in skips if filled < wanted or skip.rank < last_rank)
    fills = _fills(run, rows, allocated)
    if fills:
        yield fills
    realized = sum(fills.columns["pool_realized_pnl_cash"]) if fills else 0
    kept = _kept_by_pool(run, realized, held_cost) if filled == wanted else 0
    yield _account(run, filled, kept)
    if filled < wanted:
        reason = Reason.QUEUE_EXHAUSTED if queue.view.size else Reason.NO_OPEN_POSITIONS
        yield AdlExhausted(contract=state.name, side=side, left_lots=wanted - filled, reason=reason)


def _counterparties(run: Round) -> tuple[Ints, list[CounterpartySkipped]]:
    """Return the rows that may be closed, in order of rank, and the skips of those that may not."""
    view, order = run.queue.view, run.queue.order
    liquidated = {run.book.accounts.index[tranche.account] for tranche in run.tranches}
    passed_over = np.isin(view.account, list(liquidated))
    skips = [
        _skip(run, row, Reason.LIQUIDATED_ACCOUNT_ITSELF, {})
        for row in order[passed_over[order]].tolist()
    ]
    for skip, fails, left in rejected(run.rules.skips, view, run.wanted_lots, run.quote.ticks):
        rows = order[(fails & ~passed_over)[order]].tolist()
        skips += [_skip(run, row, skip.reason, {skip.number: int(left[row])}) for row in rows]
        passed_over |= fails
    return order[~passed_over[order]], sorted(skips, key=lambda skip: skip.rank)


def _skip(run: Round, row: int, reason: Reason, numbers: dict[str, int]) -> CounterpartySkipped:
    view = run.queue.view
    return CounterpartySkipped(
        contract=run.state.name,
        side=view.side,
        account=run.book.accounts.names[int(view.account[row])],
        position=int(view.position[row]),
        rank=int(run.queue.rank[row]),
        reason=reason,
        numbers=numbers,
    )


def _fills(run: Round, rows: Ints, allocated: Ints) -> Fills | None:
    """Return the fills, counterparties in order meeting tranches in order; None where there are none.

    They are made column by column, with what each costs and earns both sides, to the last unit.
    """
    taken = np.flatnonzero(allocated)
    if not len(taken):
        return None
    closed, brought = rows[taken], [tranche.lots for tranche in run.tranches]
    meetings = tranches_for(allocated[taken], brought)
    counterparties, met, lots = (column.tolist() for column in meetings)
    state, queue, view = run.state, run.queue, run.queue.view
    table, row, tranches = (
        state.tables[view.side],
        closed[counterparties],
        [run.tranches[n] for n in met],
    )
    accounts = view.account[row].tolist()
    names = run.book.accounts.names.of(accounts)
    ticks = [run.quote.ticks[number] for number in met]
    signed = lots if view.side.sign > 0 else [-each for each in lots]
    value = list(map(state.terms.value_cash, signed, ticks))  # floored: never against the pool
    held = view.lots[closed].tolist()
    cost = _parts(view.cost[closed].tolist(), held, counterparties, lots)
    pool_cost = _parts([tranche.cost for tranche in run.tranches], brought, met, lots)
    fee_ppm, first, n = run.rules.fee_ppm, run.book.last_fill + 1, len(lots)
    columns: dict[str, Sequence[object]] = {
        "fill": range(first, first + n),
        "takeover": [tranche.takeover for tranche in tranches],
        "takeover_price_ticks": [tranche.price_ticks for tranche in tranches],
        "pool": [state.pool] * n,
        "liquidated_account": [tranche.account for tranche in tranches],
        "contract": [state.name] * n,
        "side": [view.side] * n,
        "account": names,
        "position": view.position[row].tolist(),
        "isolated": view.isolated[row].tolist(),
        "leverage_hundredths": table.leverage[row].tolist(),
        "lots": lots,
        "price_ticks": ticks,
        "price_rule": [run.case.price.name] * n,
        "value_cash": value,
        "cost_cash": cost,
        "realized_pnl_cash": list(map(sub, value, cost)),
        "margin_returned_cash": _parts(view.margin[closed].tolist(), held, counterparties, lots),
        "fee_cash": [scale_ppm(abs(each), fee_ppm) for each in value] if fee_ppm else [0] * n,
        "pool_cost_cash": pool_cost,
        "pool_realized_pnl_cash": list(map(sub, map(neg, value), pool_cost)),
        "rank": queue.rank[row].tolist(),
        "score": queue.score.value[row].tolist(),
        "indicator": queue.indicator[row].tolist(),
        "quantity_ahead_lots": queue.ahead_lots[row].tolist(),
        "cancel_orders": _orders_to_cancel(run, names),
    }
    return Fills.of(columns, accounts)


def _parts(
    amounts: Sequence[int], held: Sequence[int], whose: Sequence[int], lots: Sequence[int]
) -> list[int]:
    """Return the part of an amount that goes with lots closed, out of what is left at each turn.

    `amounts` go with the lots `held`, by number; `whose` says by number of whom lots are closed.
    """
    if not any(amounts):
        return [0] * len(lots)
    left, left_lots, parts = list(amounts), list(held), []
    for number, closed in zip(whose, lots, strict=True):
        part = share_floor(left[number], closed, left_lots[number])
        parts.append(part)
        left[number] -= part
        left_lots[number] -= closed
    return parts


def _orders_to_cancel(run: Round, accounts: Sequence[str]) -> list[tuple[str, ...]]:
    """Return each account's open orders that the venue cancels with the fill."""
    orders, scope = run.book.open_orders, run.rules.cancels
    if not orders or scope is OrderScope.NONE:
        return [()] * len(accounts)
    contracts = (run.state.name,) if scope is OrderScope.CONTRACT else tuple(run.book.contracts)
    return [
        tuple([order for name in contracts for order in orders.get((account, name), ())])
        for account in accounts
    ]


def _kept_by_pool(run: Round, realized: int, held_cost: int) -> int:
    """Return what rounding a pool-level price to whole ticks left with the pool, in Cash."""
    target = run.quote.target_cash
    return 0 if target is None else realized - (target - held_cost)


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
        rounding_residual_cash=kept,
        counterparties=len(run.queue.order),
        ineligible={str(reason): len(rows) for reason, rows in run.queue.ineligible.items()},
    )
