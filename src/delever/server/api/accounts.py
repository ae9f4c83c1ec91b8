"""Routes out: accounts, explanations, what-ifs and deliveries of notices."""

from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from delever.api_types.accounts import (
    AccountResponse,
    DeliveryResponse,
    ExplanationResponse,
    MarginResponse,
    PositionResponse,
    WalletResponse,
    WhatIfResponse,
)
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.market.collateral import INDEX_PRICE_DECIMALS
from delever.core.messages import Amount, Side
from delever.core.rules import rule_set_of
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import format_scaled
from delever.core.valuation.side_valuation import value_side
from delever.formatting import ContractFormatter
from delever.lab.errors import InputError
from delever.lab.queries.position_queries import explain as explain_position
from delever.lab.queries.position_queries import what_if as what_if_position
from delever.server.api.formatting import entry_price, leverage, margin_mode, time_or_none
from delever.server.api.market import account_index, check_contract, check_rules, read_book
from delever.server.api.requests.authorization import reads_account, reads_everything
from delever.server.api.requests.dependencies import ApiServices, Services
from delever.server.api.requests.errors import ApiError, RequestError
from delever.server.engine.account_snapshot import (
    AccountSnapshot,
    MarginSnapshot,
    PositionSnapshot,
    WalletSnapshot,
    account_snapshot_of,
)

Limit = Annotated[int, QueryParameter(ge=1, le=1_000)]


class ChangeRequest(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="change", forbid_unknown_fields=True
):
    """One change of a position: exactly one of the subclasses."""


class SetLeverageRequest(ChangeRequest, tag="set_leverage", frozen=True, kw_only=True):
    """Set another leverage, from 0.01 to 10000."""

    leverage: Amount


class AddMarginRequest(ChangeRequest, tag="add_margin", frozen=True, kw_only=True):
    """Add margin from outside, or withdraw it (negative)."""

    amount: Amount


class PartialCloseRequest(ChangeRequest, tag="partial_close", frozen=True, kw_only=True):
    """Close a quantity at the mark."""

    quantity: Amount


class OpenHedgeRequest(ChangeRequest, tag="open_hedge", frozen=True, kw_only=True):
    """Open a quantity on the other side at the mark."""

    quantity: Amount


AnyChangeRequest = SetLeverageRequest | AddMarginRequest | PartialCloseRequest | OpenHedgeRequest


class WhatIfRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A position, the rules to rank it by, and the change; `side` is needed where both are open."""

    contract: str
    side: Side | None = None
    position: int = 0
    rules: str | None = None
    change: AnyChangeRequest


@get("/v1/accounts/{account:str}", guards=[reads_account], tags=["accounts"])
async def account(services: Services, account: FromPath[str]) -> AccountResponse:
    """Return an account's wallets and positions, each position with its place in the queue."""
    return await read_book(services, lambda book: _account(book, account))


@get("/v1/accounts/{account:str}/explain", guards=[reads_account], tags=["accounts"])
async def explain(
    services: Services,
    account: FromPath[str],
    contract: FromQuery[str],
    side: FromQuery[Side | None] = None,
    position: FromQuery[int] = 0,
    rules: FromQuery[str | None] = None,
) -> ExplanationResponse:
    """Return why a position has its place in the queue; `side` is needed where both are open."""

    def explanation(book: Book) -> ExplanationResponse:
        _check_names(book, account, contract, rules)
        why = explain_position(book, contract, account, side=side, position=position, rules=rules)
        return msgspec.convert({**why.facts(), "lines": why.lines()}, ExplanationResponse)

    return await read_book(services, explanation)


@post(
    "/v1/accounts/{account:str}/what-if", status_code=200, guards=[reads_account], tags=["accounts"]
)
async def what_if(
    services: Services, account: FromPath[str], data: JSONBody[WhatIfRequest]
) -> WhatIfResponse:
    """Return a position's place in the queue before and after one change, all else unchanged."""

    def outcome(book: Book) -> WhatIfResponse:
        _check_names(book, account, data.contract, data.rules)
        return _what_if(book, account, data)

    return await read_book(services, outcome)


@get("/v1/accounts/{account:str}/notices", guards=[reads_account], tags=["accounts"])
async def notices(
    services: Services, account: FromPath[str], limit: Limit = 100
) -> list[DeliveryResponse]:
    """Return the deliveries of an account's notices, newest first."""
    return await _deliveries(services, account, limit)


@get("/v1/notices", guards=[reads_everything], tags=["service"])
async def operator_notices(services: Services, limit: Limit = 100) -> list[DeliveryResponse]:
    """Return the deliveries of the operator's notices, newest first."""
    return await _deliveries(services, "", limit)


async def _deliveries(services: ApiServices, account: str, limit: int) -> list[DeliveryResponse]:
    return [
        DeliveryResponse(
            notice=delivery.notice,
            sequence=delivery.sequence,
            kind=delivery.kind,
            contract=delivery.contract,
            channel=delivery.channel,
            address=delivery.address,
            state=str(delivery.state),
            attempts=delivery.attempts,
            last_error=delivery.last_error,
            created_ms=delivery.created_ms,
            next_try_ms=time_or_none(delivery.next_try_ms),
            ended_ms=time_or_none(delivery.ended_ms),
        )
        for delivery in await services.notifier.deliveries_of(account, limit)
    ]


def _check_names(book: Book, account: str, contract: str, rules: str | None) -> None:
    account_index(book, account)
    check_contract(book, contract)
    check_rules(book, contract, rules)


# --- wallets and positions ---


def _account(book: Book, name: str) -> AccountResponse:
    account_index(book, name)
    snapshot = account_snapshot_of(book, name)
    if snapshot is None:
        raise LookupError(name)
    return AccountResponse(
        as_of=snapshot.as_of,
        time_ms=snapshot.time_ms,
        account=snapshot.account,
        hedge_mode=snapshot.hedge_mode,
        adl_exempt=snapshot.adl_exempt,
        multi_asset=snapshot.multi_asset,
        margin=_margin(snapshot.margin) if snapshot.margin else None,
        wallets=tuple(_wallet(wallet, snapshot.margin) for wallet in snapshot.wallets),
        positions=_positions(book, snapshot),
    )


def _margin(margin: MarginSnapshot) -> MarginResponse:
    def cash(amount: int) -> str:
        return format_scaled(amount, margin.decimals)

    return MarginResponse(
        currency=margin.currency,
        equity=cash(margin.equity_cash),
        equity_after_haircut=cash(margin.equity_after_haircut_cash),
        unrealized_pnl=cash(margin.unrealized_pnl_cash),
        maintenance_margin=cash(margin.maintenance_cash),
        margin_ratio_ppm=margin.margin_ratio_ppm,
    )


def _wallet(wallet: WalletSnapshot, margin: MarginSnapshot | None) -> WalletResponse:
    """Return a wallet, with its values as collateral in the margin currency."""
    index_price = value = counted = None
    if margin and (collateral := wallet.collateral):
        index_price = format_scaled(collateral.index_price, INDEX_PRICE_DECIMALS)
        value = format_scaled(collateral.value_cash, margin.decimals)
        counted = format_scaled(collateral.value_after_haircut_cash, margin.decimals)
    return WalletResponse(
        asset=wallet.asset,
        balance=format_scaled(wallet.balance_cash, wallet.decimals),
        equity=format_scaled(wallet.equity_cash, wallet.decimals),
        maintenance_margin=format_scaled(wallet.maintenance_cash, wallet.decimals),
        venue_margin=wallet.venue_margin,
        index_price=index_price,
        value=value,
        value_after_haircut=counted,
    )


def _positions(book: Book, account: AccountSnapshot) -> tuple[PositionResponse, ...]:
    """Return the positions with their places in the queues; each queue is ranked once."""
    queues: dict[tuple[str, Side], Queue] = {}
    found = []
    for position in account.positions:
        state, key = book.contracts[position.contract], (position.contract, position.side)
        if key not in queues:
            ranking = rule_set_of(book, state).ranking
            queues[key] = rank_side(value_side(book, state, position.side), ranking)
        row = state.tables[position.side].find(account.index, position.position_id)
        if row is not None:
            formatter = ContractFormatter.of(book, state)
            found.append(_position(formatter, state, position, queues[key], row))
    return tuple(found)


def _position(
    formatter: ContractFormatter,
    state: ContractState,
    position: PositionSnapshot,
    queue: Queue,
    row: int,
) -> PositionResponse:
    reason = queue.reason(row)
    is_ranked = reason is None
    ahead_lots = int(queue.quantity_ahead_lots[row])
    return PositionResponse(
        contract=position.contract,
        side=position.side,
        position=position.position_id,
        quantity=formatter.quantity(position.lots),
        entry_price=entry_price(formatter.terms, position.lots, position.cost_cash),
        mark=formatter.price(state.mark) if state.mark else None,
        unrealized_pnl=formatter.cash(position.unrealized_pnl_cash),
        margin_mode=margin_mode(position.isolated),
        isolated_margin=formatter.cash(position.margin_cash) if position.isolated else None,
        leverage=leverage(position.leverage_hundredths),
        maintenance_margin=formatter.cash(position.maintenance_cash),
        under_liquidation=position.under_liquidation,
        rank=int(queue.rank[row]) if is_ranked else None,
        ranked=len(queue.order),
        indicator=int(queue.indicator[row]) if is_ranked else None,
        quantity_ahead=formatter.quantity(ahead_lots) if is_ranked else None,
        reason=None if reason is None else str(reason),
    )


# --- what-ifs ---


def _what_if(book: Book, account: str, request: WhatIfRequest) -> WhatIfResponse:
    try:
        outcome = what_if_position(
            book,
            request.contract,
            account,
            side=request.side,
            position=request.position,
            rules=request.rules,
            **_change_argument(request.change),
        )
    except InputError as error:
        raise RequestError(422, _change_error(error)) from None
    facts = {**outcome.facts(), "time_ms": outcome.explanation.time_ms, "text": str(outcome)}
    return msgspec.convert(facts, WhatIfResponse)


def _change_argument(change: AnyChangeRequest) -> dict[str, Any]:
    """Return the argument of the lab's what-if for a change."""
    match change:
        case SetLeverageRequest():
            return {"leverage": change.leverage}
        case AddMarginRequest():
            return {"add_margin": change.amount}
        case PartialCloseRequest():
            return {"close": change.quantity}
    return {"hedge": change.quantity}


_FIELDS = {"leverage": "leverage", "add_margin": "amount", "close": "quantity", "hedge": "quantity"}


def _change_error(error: InputError) -> ApiError:
    field = f"change.{_FIELDS.get(error.column, error.column)}"
    return ApiError(
        reason=str(error.reason or "invalid_number"),
        field=field,
        value="" if error.value is None else str(error.value),
        message=f"{field} {error.why}",
    )


ROUTES = [account, explain, what_if, notices, operator_notices]
