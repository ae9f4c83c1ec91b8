"""Out: contracts, ratings, queues and pools as they stand."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
import numpy as np
from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter

from delever.api_types.market import (
    ContractDetail,
    ContractShown,
    PoolShown,
    QueuePage,
    QueueRow,
    RatingPartShown,
    RatingShown,
    StressShown,
)
from delever.core.book import Book
from delever.core.messages import Rating, Reason, Side
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import Ints, format_scaled, ratio_ppm
from delever.core.valuation.side_valuation import value_side
from delever.formatting import Figures
from delever.lab.errors import UnknownNameError
from delever.lab.queries.queries import contract_of, rules_named
from delever.server.api.authorization import check_sees, reads_market, reads_masked, sight_of
from delever.server.api.dependencies import Parts, PartsOf
from delever.server.api.errors import AnyRequest, unknown
from delever.server.api.formatting import leverage, margin_mode, moment, numbers_of, trigger_of
from delever.server.engine import market_snapshot as shown

AnswerT = TypeVar("AnswerT")

PAGE = 1_000
"""Rows of a queue that one answer holds at the most."""

Limit = Annotated[int, QueryParameter(ge=1, le=PAGE)]
Offset = Annotated[int, QueryParameter(ge=0)]


@get("/v1/contracts", guards=[reads_market], tags=["market"])
async def contracts(parts: PartsOf) -> list[ContractShown]:
    """Return every contract as it stands: mark, open interest, inventory, profit, triggers."""
    board = parts.runner.board
    return [_contract(parts, board, each) for each in board.contracts.values()]


@get("/v1/contracts/{contract:str}", guards=[reads_market], tags=["market"])
async def contract(parts: PartsOf, contract: FromPath[str]) -> ContractDetail:
    """Return one contract as it stands, with its definition."""
    board = parts.runner.board
    each = contract_shown(board, contract)
    facts = msgspec.structs.asdict(_contract(parts, board, each))
    return ContractDetail(**facts, definition=each.definition)


@get("/v1/contracts/{contract:str}/rating", guards=[reads_market], tags=["market"])
async def rating(parts: PartsOf, contract: FromPath[str]) -> RatingShown | None:
    """Return a contract's ADL risk taken apart; null before it was first rated."""
    each = contract_shown(parts.runner.board, contract)
    return None if each.rating is None else _rating(each.rating, figures_of(each))


@get("/v1/contracts/{contract:str}/queue", guards=[reads_masked], tags=["market"])
async def queue(
    request: AnyRequest,
    parts: PartsOf,
    contract: FromPath[str],
    side: FromQuery[Side],
    rules: FromQuery[str | None] = None,
    account: FromQuery[str | None] = None,
    offset: Offset = 0,
    limit: Limit = 100,
) -> QueuePage:
    """Return a page of the queue of one side, next first, under the pool's rules or others.

    With `account` it is the page that holds the account's first position, and `offset` counts for
    nothing. Accounts that the caller does not see are masked.
    """
    if account is not None:
        check_sees(request, account)
    page = await ask(parts, lambda book: _page(book, contract, side, rules, account, offset, limit))
    return sight_of(request).told(page)


@get("/v1/pools", guards=[reads_market], tags=["market"])
async def pools(parts: PartsOf) -> list[PoolShown]:
    """Return every insurance pool as it stands."""
    board = parts.runner.board
    return [pool_shown(board, pool) for pool in board.pools.values()]


async def ask(parts: Parts, question: Callable[[Book], AnswerT]) -> AnswerT:
    """Return a function of the book; a name that it does not know is answered with 404."""
    try:
        return await parts.runner.read(question)
    except UnknownNameError as error:
        raise unknown("unknown_position", "position", "", str(error)) from None


def check_contract(book: Book, name: str) -> None:
    """Refuse a contract that is not there."""
    try:
        contract_of(book, name)
    except UnknownNameError as error:
        raise unknown(Reason.UNKNOWN_CONTRACT, "contract", name, str(error)) from None


def check_rules(book: Book, contract: str, name: str | None) -> None:
    """Refuse a rule set that is not there."""
    try:
        rules_named(name, book, book.contracts[contract])
    except UnknownNameError as error:
        raise unknown(Reason.UNKNOWN_RULE_SET, "rules", name, str(error)) from None


def account_index(book: Book, name: str) -> int:
    """Return an account's index, or refuse it."""
    index = book.accounts.index.get(name)
    if index is None:
        raise unknown(Reason.UNKNOWN_ACCOUNT, "account", name)
    return index


# --- contracts ---


def contract_shown(board: shown.Board, name: str) -> shown.ContractShown:
    """Return a contract of the board; Problem where there is none."""
    each = board.contracts.get(name)
    if each is None:
        raise unknown(Reason.UNKNOWN_CONTRACT, "contract", name)
    return each


def figures_of(each: shown.ContractShown) -> Figures:
    """Return how a contract's numbers are written."""
    return Figures(each.terms, each.cash_decimals)


def _contract(parts: Parts, board: shown.Board, each: shown.ContractShown) -> ContractShown:
    figures, now_ms = figures_of(each), parts.runner.now_ms()
    stale_ms = parts.config.publication.stale_after_ms
    return ContractShown(
        as_of=board.sequence,
        time_ms=board.time_ms,
        contract=each.name,
        kind=each.terms.kind,
        settle=each.terms.settle,
        pool=each.pool,
        rules=each.rules,
        tick_size=format_scaled(*each.terms.tick),
        lot_size=format_scaled(*each.terms.lot),
        mark=figures.price(each.mark_ticks) if each.mark_ticks else None,
        marked_ms=moment(each.marked_ms),
        stale=not each.mark_ticks or now_ms - each.marked_ms > stale_ms,
        state=each.state,
        paused=each.paused,
        trigger_used_ppm=each.trigger_used_ppm,
        open_interest_long=figures.quantity(each.open_lots[Side.LONG]),
        open_interest_short=figures.quantity(each.open_lots[Side.SHORT]),
        positions_long=each.positions[Side.LONG],
        positions_short=each.positions[Side.SHORT],
        inventory_long=figures.quantity(each.inventory_lots[Side.LONG]),
        inventory_short=figures.quantity(each.inventory_lots[Side.SHORT]),
        profit=figures.cash(each.profit_cash),
        contract_pnl_peak=figures.cash(each.contract_pnl_peak_cash),
        risk=each.rating.level if each.rating else None,
        last_adl_ms=moment(each.last_adl_ms),
        triggers=tuple(trigger_of(state, figures) for state in each.triggers),
    )


def _rating(rating: Rating, figures: Figures) -> RatingShown:
    return RatingShown(
        as_of=rating.as_of,
        time_ms=rating.time_ms,
        contract=rating.contract,
        level=rating.level,
        decided_by=rating.decided_by,
        points=rating.points,
        scorecard_level=rating.scorecard_level,
        parts=tuple(
            RatingPartShown(
                input=part.input,
                value_ppm=part.value_ppm,
                limits_ppm=part.limits_ppm,
                more_is_safer=part.more_is_safer,
                points=part.points,
                numbers=numbers_of(figures, part.numbers),
            )
            for part in rating.parts
        ),
        stress_level=rating.stress_level,
        adl_from_ppm=rating.adl_from_ppm,
        volatility_ppm=rating.volatility_ppm,
        room=figures.cash(rating.fund_capacity_cash),
        curve=tuple(
            StressShown(
                shock_ppm=point.shock_ppm,
                mark=figures.price(point.mark_ticks),
                liquidated_long=figures.quantity(point.liquidated_long_lots),
                liquidated_short=figures.quantity(point.liquidated_short_lots),
                absorbed=figures.quantity(point.absorbed_lots),
                loss=figures.cash(point.loss_cash),
                pool_pays=figures.cash(point.fund_pays_cash),
                adl=figures.quantity(point.adl_lots),
            )
            for point in rating.curve
        ),
    )


# --- queues ---


def _page(
    book: Book,
    contract: str,
    side: Side,
    rules: str | None,
    account: str | None,
    offset: int,
    limit: int,
) -> QueuePage:
    check_contract(book, contract)
    check_rules(book, contract, rules)
    state = book.contracts[contract]
    chosen = rules_named(rules, book, state)
    queue = rank_side(value_side(book, state, side), chosen.ranking)
    rows, reasons = _rows(queue)
    if account is not None:
        offset = _place(book, queue, rows, account) // limit * limit
    figures = Figures.of(book, state)
    leverages = state.tables[side].leverage
    return QueuePage(
        as_of=book.sequence,
        time_ms=book.time_ms,
        contract=contract,
        side=side,
        rules=chosen.name,
        formula=chosen.ranking.formula,
        total=len(rows),
        ranked=len(queue.order),
        offset=offset,
        rows=tuple(
            _row(book, queue, row, reasons.get(row), int(leverages[row]), figures)
            for row in rows[offset : offset + limit].tolist()
        ),
    )


def _rows(queue: Queue) -> tuple[Ints, dict[int, str]]:
    """Return the rows in line, then the others by reason, and each of the others' reason."""
    rows = np.concatenate([queue.order, *queue.ineligible.values()])
    reasons = {
        row: str(reason) for reason, others in queue.ineligible.items() for row in others.tolist()
    }
    return rows, reasons


def _place(book: Book, queue: Queue, rows: Ints, account: str) -> int:
    index = account_index(book, account)
    places = np.flatnonzero(queue.view.account[rows] == index)
    if len(places) == 0:
        message = f"{account} holds nothing on this side of {queue.view.terms.name}"
        raise unknown("unknown_position", "account", account, message)
    return int(places[0])


def _row(
    book: Book, queue: Queue, row: int, reason: str | None, hundredths: int, figures: Figures
) -> QueueRow:
    view, lots, ahead = queue.view, int(queue.view.lots[row]), int(queue.quantity_ahead_lots[row])
    stands = reason is None
    return QueueRow(
        rank=int(queue.rank[row]) if stands else None,
        account=book.accounts.names[int(view.account[row])],
        position=int(view.position[row]),
        quantity=figures.quantity(lots),
        score=float(queue.score.value[row]),
        indicator=int(queue.indicator[row]) if stands else None,
        ahead=figures.quantity(ahead) if stands else None,
        cumulative=figures.quantity(ahead + lots) if stands else None,
        leverage=leverage(hundredths),
        margin_mode=margin_mode(bool(view.isolated[row])),
        profit=figures.cash(int(view.unrealized_pnl[row])),
        equity=figures.cash(int(view.equity[row])),
        mark_value=figures.cash(int(view.notional[row])),
        reason=reason,
    )


# --- pools ---


def pool_shown(board: shown.Board, pool: shown.PoolShown) -> PoolShown:
    """Return a pool with amounts as text."""
    decimals, peak = pool.cash_decimals, pool.balance_peak_cash
    fallen = max(peak - pool.equity_cash, 0)
    return PoolShown(
        as_of=board.sequence,
        time_ms=board.time_ms,
        pool=pool.name,
        kind=pool.definition.kind,
        asset=pool.definition.asset,
        rules=pool.definition.rules,
        managed=pool.definition.managed,
        balance=format_scaled(pool.balance_cash, decimals),
        equity=format_scaled(pool.equity_cash, decimals),
        balance_peak=format_scaled(peak, decimals),
        peak_window_ms=pool.definition.peak_window_ms,
        drawdown_ppm=ratio_ppm(fallen, peak) if peak > 0 else 0,
        withdrawal_cut_ppm=pool.withdrawal_cut_ppm,
        members=pool.members,
    )


ROUTES = [contracts, contract, rating, queue, pools]
