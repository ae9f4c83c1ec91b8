"""Routes out: contracts, ratings, queues and insurance funds."""

from collections.abc import Callable, Collection, Iterator
from typing import Annotated, TypeVar

import msgspec
import numpy as np
from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter

from delever.api_types.market import (
    ContractDetail,
    ContractResponse,
    HeldCollateralResponse,
    PoolResponse,
    QueueLevel,
    QueuePage,
    QueueRow,
    RatingPartResponse,
    RatingResponse,
    StressPointResponse,
)
from delever.core.book import Book
from delever.core.messages import Rating, Reason, Side
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import Ints, Mark, exact_sum, format_scaled, ratio_ppm
from delever.core.valuation.side_valuation import value_side
from delever.formatting import ContractFormatter
from delever.lab.errors import UnknownNameError
from delever.lab.queries.position_queries import contract_of, rules_named
from delever.server.api.formatting import (
    leverage,
    margin_mode,
    numbers_of,
    time_or_none,
    trigger_of,
)
from delever.server.api.requests.authorization import (
    check_can_read,
    masking_of,
    reads_market,
    reads_masked,
)
from delever.server.api.requests.dependencies import ApiServices, Services
from delever.server.api.requests.errors import AnyRequest, not_found
from delever.server.engine.market_snapshot import ContractSnapshot, MarketSnapshot, PoolSnapshot

AnswerT = TypeVar("AnswerT")

MAX_ROWS = 1_000
"""Rows of a queue in one response at most."""

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_ROWS)]
Offset = Annotated[int, QueryParameter(ge=0)]


@get("/v1/contracts", guards=[reads_market], tags=["market"])
async def contracts(services: Services) -> list[ContractResponse]:
    """Return every contract: mark, open interest, inventory, PnL, triggers."""
    snapshot = services.runner.market_snapshot
    return [_contract(services, snapshot, contract) for contract in snapshot.contracts.values()]


@get("/v1/contracts/{contract:str}", guards=[reads_market], tags=["market"])
async def contract(services: Services, contract: FromPath[str]) -> ContractDetail:
    """Return one contract with its definition."""
    snapshot = services.runner.market_snapshot
    found = contract_snapshot_of(snapshot, contract)
    facts = msgspec.structs.asdict(_contract(services, snapshot, found))
    return ContractDetail(**facts, definition=found.definition)


@get("/v1/contracts/{contract:str}/rating", guards=[reads_market], tags=["market"])
async def rating(services: Services, contract: FromPath[str]) -> RatingResponse | None:
    """Return the ADL risk of a contract with its inputs; null before its first rating."""
    found = contract_snapshot_of(services.runner.market_snapshot, contract)
    if found.rating is None:
        return None
    now_ms = services.runner.market_snapshot.time_ms
    return _rating(found.rating, formatter_of(found), now_ms)


@get("/v1/contracts/{contract:str}/queue", guards=[reads_masked], tags=["market"])
async def queue(
    request: AnyRequest,
    services: Services,
    contract: FromPath[str],
    side: FromQuery[Side],
    rules: FromQuery[str | None] = None,
    account: FromQuery[str | None] = None,
    offset: Offset = 0,
    limit: Limit = 100,
) -> QueuePage:
    """Return a page of one side's queue, next counterparty first, by the fund's or other rules.

    With `account`, return the page with the account's first position and ignore `offset`. Without
    the role read the rows are those of one's own accounts, or, with `[api] queue_detail`, all rows
    with masked names.
    """
    if account is not None:
        check_can_read(request, account)
    masking = masking_of(request)
    own = None if masking.sees_all or services.config.api.queue_detail else masking.accounts
    page = await read_book(
        services, lambda book: _page(book, contract, side, rules, account, offset, limit, own)
    )
    return masking.mask(page)


@get("/v1/pools", guards=[reads_market], tags=["market"])
async def pools(services: Services) -> list[PoolResponse]:
    """Return every insurance fund."""
    snapshot = services.runner.market_snapshot
    return [pool_response_of(snapshot, pool) for pool in snapshot.pools.values()]


async def read_book(services: ApiServices, question: Callable[[Book], AnswerT]) -> AnswerT:
    """Return a function of the book; raise RequestError (404) for an unknown position."""
    try:
        return await services.runner.read(question)
    except UnknownNameError as error:
        raise not_found("unknown_position", "position", "", str(error)) from None


def check_contract(book: Book, name: str) -> None:
    """Raise RequestError for an unknown contract."""
    try:
        contract_of(book, name)
    except UnknownNameError as error:
        raise not_found(Reason.UNKNOWN_CONTRACT, "contract", name, str(error)) from None


def check_rules(book: Book, contract: str, name: str | None) -> None:
    """Raise RequestError for an unknown rule set."""
    try:
        rules_named(name, book, book.contracts[contract])
    except UnknownNameError as error:
        raise not_found(Reason.UNKNOWN_RULE_SET, "rules", name, str(error)) from None


def account_index(book: Book, name: str) -> int:
    """Return the index of an account; raise RequestError for an unknown one."""
    index = book.accounts.index.get(name)
    if index is None:
        raise not_found(Reason.UNKNOWN_ACCOUNT, "account", name)
    return index


# --- contracts ---


def contract_snapshot_of(snapshot: MarketSnapshot, name: str) -> ContractSnapshot:
    """Return a contract of the market snapshot; raise RequestError for an unknown one."""
    found = snapshot.contracts.get(name)
    if found is None:
        raise not_found(Reason.UNKNOWN_CONTRACT, "contract", name)
    return found


def formatter_of(contract: ContractSnapshot) -> ContractFormatter:
    """Return the formatter of a contract."""
    return ContractFormatter(contract.terms, contract.cash_decimals)


def _contract(
    services: ApiServices, snapshot: MarketSnapshot, contract: ContractSnapshot
) -> ContractResponse:
    formatter, now_ms = formatter_of(contract), services.runner.now_ms()
    stale_ms = services.config.publication.stale_after_ms
    return ContractResponse(
        as_of=snapshot.sequence,
        time_ms=snapshot.time_ms,
        contract=contract.name,
        kind=contract.terms.kind,
        settle=contract.terms.settle,
        pool=contract.pool,
        rules=contract.rules,
        tick_size=formatter.price(contract.terms.price_step),
        lot_size=format_scaled(*contract.terms.lot),
        mark=_price_or_none(formatter, contract.mark_ticks),
        marked_ms=time_or_none(contract.marked_ms),
        stale=not contract.mark_ticks or now_ms - contract.marked_ms > stale_ms,
        state=contract.state,
        status=contract.status,
        fund_pays=contract.fund_pays,
        settlement_price=contract.settlement_price or None,
        paused=contract.paused,
        mark_rejected=contract.mark_rejected,
        mark_unconfirmed=contract.mark_unconfirmed,
        confirmed_mark=_price_or_none(formatter, contract.confirmed_mark_ticks),
        incomplete=contract.incomplete,
        trigger_used_ppm=contract.trigger_used_ppm,
        open_interest_long=formatter.quantity(contract.open_lots[Side.LONG]),
        open_interest_short=formatter.quantity(contract.open_lots[Side.SHORT]),
        positions_long=contract.positions[Side.LONG],
        positions_short=contract.positions[Side.SHORT],
        inventory_long=formatter.quantity(contract.inventory_lots[Side.LONG]),
        inventory_short=formatter.quantity(contract.inventory_lots[Side.SHORT]),
        open_interest_notional=_notional(contract, formatter, contract.open_lots[Side.LONG]),
        inventory_notional=_notional(contract, formatter, *contract.inventory_lots.values()),
        contract_pnl=formatter.cash(contract.contract_pnl_cash),
        contract_pnl_peak=formatter.cash(contract.contract_pnl_peak_cash),
        risk=contract.rating.level if contract.rating else None,
        last_adl_ms=time_or_none(contract.last_adl_ms),
        triggers=tuple(trigger_of(state, formatter) for state in contract.triggers),
    )


def _price_or_none(formatter: ContractFormatter, ticks: Mark) -> str | None:
    return formatter.price(ticks) if ticks else None


def _notional(contract: ContractSnapshot, formatter: ContractFormatter, *lots: int) -> str | None:
    """Return the notional of lots at the mark, rounded up for inverse contracts."""
    if not contract.mark_ticks:
        return None
    values = (contract.terms.value_cash(each, contract.mark_ticks) for each in lots)
    return formatter.cash(sum(map(abs, values)))


def _rating(rating: Rating, formatter: ContractFormatter, now_ms: int) -> RatingResponse:
    return RatingResponse(
        as_of=rating.as_of,
        time_ms=rating.time_ms,
        age_ms=now_ms - rating.time_ms,
        contract=rating.contract,
        level=rating.level,
        decided_by=rating.decided_by,
        points=rating.points,
        scorecard_level=rating.scorecard_level,
        parts=tuple(
            RatingPartResponse(
                input=part.input,
                value_ppm=part.value_ppm,
                limits_ppm=part.limits_ppm,
                more_is_safer=part.more_is_safer,
                points=part.points,
                numbers=numbers_of(formatter, part.numbers),
            )
            for part in rating.parts
        ),
        stress_level=rating.stress_level,
        adl_from_ppm=rating.adl_from_ppm,
        volatility_ppm=rating.volatility_ppm,
        trigger_used_ppm=rating.trigger_used_ppm,
        fund_capacity=formatter.cash(rating.fund_capacity_cash),
        curve=tuple(
            StressPointResponse(
                shock_ppm=point.shock_ppm,
                mark=formatter.price(point.mark_ticks),
                liquidated_long=formatter.quantity(point.liquidated_long_lots),
                liquidated_short=formatter.quantity(point.liquidated_short_lots),
                absorbed=formatter.quantity(point.absorbed_lots),
                loss=formatter.cash(point.loss_cash),
                fund_pays=formatter.cash(point.fund_pays_cash),
                adl=formatter.quantity(point.adl_lots),
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
    own: Collection[str] | None,
) -> QueuePage:
    """Return a page of the rows, or of those of some accounts; totals are of all rows."""
    check_contract(book, contract)
    check_rules(book, contract, rules)
    state = book.contracts[contract]
    chosen = rules_named(rules, book, state)
    queue = rank_side(value_side(book, state, side), chosen.ranking)
    rows, reasons = _rows(queue)
    total = len(rows)
    if own is not None:
        indices = [book.accounts.index[name] for name in own if name in book.accounts.index]
        rows = rows[np.isin(queue.valuation.account[rows], indices)]
    if account is not None:
        offset = _place(book, queue, rows, account) // limit * limit
    formatter = ContractFormatter.of(book, state)
    leverages = state.tables[side].leverage
    return QueuePage(
        as_of=book.sequence,
        time_ms=book.time_ms,
        contract=contract,
        side=side,
        rules=chosen.name,
        formula=chosen.ranking.formula,
        total=total,
        ranked=len(queue.order),
        offset=offset,
        rows=tuple(
            _row(book, queue, row, reasons.get(row), int(leverages[row]), formatter)
            for row in rows[offset : offset + limit].tolist()
        ),
        levels=tuple(_levels(queue, formatter)),
    )


def _levels(queue: Queue, formatter: ContractFormatter) -> Iterator[QueueLevel]:
    """Yield the sums of the ranked positions by ADL indicator, the lowest first."""
    indicators, lots = queue.indicator[queue.order], queue.valuation.lots[queue.order]
    for indicator in np.unique(indicators).tolist():
        of_level = lots[indicators == indicator]
        yield QueueLevel(
            indicator=indicator,
            positions=len(of_level),
            quantity=formatter.quantity(exact_sum(of_level)),
        )


def _rows(queue: Queue) -> tuple[Ints, dict[int, str]]:
    """Return the ranked rows, then the ineligible ones, and the reason of each ineligible one."""
    rows = np.concatenate([queue.order, *queue.ineligible.values()])
    reasons = {
        row: str(reason) for reason, rows in queue.ineligible.items() for row in rows.tolist()
    }
    return rows, reasons


def _place(book: Book, queue: Queue, rows: Ints, account: str) -> int:
    index = account_index(book, account)
    places = np.flatnonzero(queue.valuation.account[rows] == index)
    if len(places) == 0:
        message = f"{account} has no position on this side of {queue.valuation.terms.name}"
        raise not_found("unknown_position", "account", account, message)
    return int(places[0])


def _row(
    book: Book,
    queue: Queue,
    row: int,
    reason: str | None,
    hundredths: int,
    formatter: ContractFormatter,
) -> QueueRow:
    view, lots, ahead = (
        queue.valuation,
        int(queue.valuation.lots[row]),
        int(queue.quantity_ahead_lots[row]),
    )
    is_ranked = reason is None
    return QueueRow(
        rank=int(queue.rank[row]) if is_ranked else None,
        account=book.accounts.names[int(view.account[row])],
        position=int(view.position[row]),
        quantity=formatter.quantity(lots),
        score=float(queue.score.value[row]),
        indicator=int(queue.indicator[row]) if is_ranked else None,
        quantity_ahead=formatter.quantity(ahead) if is_ranked else None,
        cumulative_quantity=formatter.quantity(ahead + lots) if is_ranked else None,
        leverage=leverage(hundredths),
        margin_mode=margin_mode(bool(view.isolated[row])),
        unrealized_pnl=formatter.cash(int(view.unrealized_pnl[row])),
        equity=formatter.cash(int(view.equity[row])),
        notional=formatter.cash(int(view.notional[row])),
        reason=reason,
    )


# --- pools ---


def pool_response_of(snapshot: MarketSnapshot, pool: PoolSnapshot) -> PoolResponse:
    """Return the response of an insurance fund."""
    decimals, peak = pool.cash_decimals, pool.balance_peak_cash
    drawdown = max(peak - pool.equity_cash, 0)
    return PoolResponse(
        as_of=snapshot.sequence,
        time_ms=snapshot.time_ms,
        pool=pool.name,
        kind=pool.definition.kind,
        asset=pool.definition.asset,
        rules=pool.definition.rules,
        managed=pool.definition.managed,
        balance=format_scaled(pool.balance_cash, decimals),
        equity=format_scaled(pool.equity_cash, decimals),
        unfunded=format_scaled(pool.unfunded_cash, decimals),
        balance_peak=format_scaled(peak, decimals),
        peak_window_ms=pool.definition.peak_window_ms,
        drawdown_ppm=ratio_ppm(drawdown, peak) if peak > 0 else 0,
        withdrawal_haircut_ppm=pool.withdrawal_haircut_ppm,
        members=pool.members,
        collateral=tuple(
            HeldCollateralResponse(
                asset=held.asset,
                quantity=format_scaled(held.amount_cash, held.decimals),
                cost=format_scaled(held.cost_cash, decimals),
            )
            for held in pool.collateral
        ),
    )


ROUTES = [contracts, contract, rating, queue, pools]
