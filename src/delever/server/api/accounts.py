"""Out: one account, why it stands where it stands, and what one change would make of it."""

from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from delever.api_types.accounts import (
    AccountShown,
    Delivery,
    Explained,
    PositionShown,
    Supposed,
    WalletShown,
)
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.engine import rules_of
from delever.core.messages import Amount, Side
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import format_scaled
from delever.core.valuation.side_valuation import value_side
from delever.formatting import Figures
from delever.lab.errors import InputError
from delever.lab.queries.queries import explain as explain_position
from delever.lab.queries.queries import what_if as suppose
from delever.server.api.authorization import reads_account, reads_everything
from delever.server.api.dependencies import Parts, PartsOf
from delever.server.api.errors import Fault, Problem
from delever.server.api.formatting import entry_price, leverage, margin_mode, moment
from delever.server.api.market import account_index, ask, check_contract, check_rules
from delever.server.engine.account_view import Holdings, Position, holdings_of

Deliveries = Annotated[int, QueryParameter(ge=1, le=1_000)]


class Change(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="change", forbid_unknown_fields=True
):
    """What a holder could do. Exactly one of the subclasses."""


class SetLeverage(Change, tag="set_leverage", frozen=True, kw_only=True):
    """Choose another leverage, from 0.01 to 1000."""

    leverage: Amount


class AddMargin(Change, tag="add_margin", frozen=True, kw_only=True):
    """Put cash from outside into the margin (or, negative, take it out)."""

    amount: Amount


class PartialClose(Change, tag="partial_close", frozen=True, kw_only=True):
    """Close a quantity at the mark."""

    quantity: Amount


class OpenHedge(Change, tag="open_hedge", frozen=True, kw_only=True):
    """Open a quantity on the other side at the mark."""

    quantity: Amount


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which position, under which rules, and the one change; `side` where both are held."""

    contract: str
    side: Side | None = None
    position: int = 0
    rules: str | None = None
    change: SetLeverage | AddMargin | PartialClose | OpenHedge


@get("/v1/accounts/{account:str}", guards=[reads_account], tags=["accounts"])
async def account(parts: PartsOf, account: FromPath[str]) -> AccountShown:
    """Return what an account holds, with the place in line of each position."""
    return await ask(parts, lambda book: _account(book, account))


@get("/v1/accounts/{account:str}/explain", guards=[reads_account], tags=["accounts"])
async def explain(
    parts: PartsOf,
    account: FromPath[str],
    contract: FromQuery[str],
    side: FromQuery[Side | None] = None,
    position: FromQuery[int] = 0,
    rules: FromQuery[str | None] = None,
) -> Explained:
    """Return why a position stands where it stands; `side` may be left out where one is held."""

    def question(book: Book) -> Explained:
        _check_names(book, account, contract, rules)
        why = explain_position(book, contract, account, side=side, position=position, rules=rules)
        return msgspec.convert({**why.facts(), "lines": why.lines()}, Explained)

    return await ask(parts, question)


@post(
    "/v1/accounts/{account:str}/what-if", status_code=200, guards=[reads_account], tags=["accounts"]
)
async def what_if(parts: PartsOf, account: FromPath[str], data: JSONBody[Question]) -> Supposed:
    """Return what one change would make of a position's place, everybody else as they are."""

    def question(book: Book) -> Supposed:
        _check_names(book, account, data.contract, data.rules)
        return _supposed(book, account, data)

    return await ask(parts, question)


@get("/v1/accounts/{account:str}/notices", guards=[reads_account], tags=["accounts"])
async def notices(
    parts: PartsOf, account: FromPath[str], limit: Deliveries = 100
) -> list[Delivery]:
    """Return what became of an account's notices, newest first."""
    return await _deliveries(parts, account, limit)


@get("/v1/notices", guards=[reads_everything], tags=["service"])
async def operator_notices(parts: PartsOf, limit: Deliveries = 100) -> list[Delivery]:
    """Return what became of the operator's notices, newest first."""
    return await _deliveries(parts, "", limit)


async def _deliveries(parts: Parts, account: str, limit: int) -> list[Delivery]:
    return [
        Delivery(
            notice=each.notice,
            sequence=each.sequence,
            kind=each.kind,
            contract=each.contract,
            channel=str(each.channel),
            address=each.address,
            state=str(each.state),
            attempts=each.attempts,
            last_error=each.last_error,
            made_ms=each.made_ms,
            next_try_ms=moment(each.next_try_ms),
            ended_ms=moment(each.ended_ms),
        )
        for each in await parts.notifier.deliveries_of(account, limit)
    ]


def _check_names(book: Book, account: str, contract: str, rules: str | None) -> None:
    account_index(book, account)
    check_contract(book, contract)
    check_rules(book, contract, rules)


# --- what it holds ---


def _account(book: Book, name: str) -> AccountShown:
    account_index(book, name)
    holdings = holdings_of(book, name)
    if holdings is None:
        raise LookupError(name)
    decimals = {asset.name: asset.cash_decimals for asset in book.assets.values()}
    return AccountShown(
        as_of=holdings.as_of,
        time_ms=holdings.time_ms,
        account=holdings.account,
        hedge_mode=holdings.hedge_mode,
        adl_exempt=holdings.adl_exempt,
        wallets=tuple(
            WalletShown(
                asset=wallet.asset,
                balance=format_scaled(wallet.balance_cash, decimals[wallet.asset]),
                equity=format_scaled(wallet.equity_cash, decimals[wallet.asset]),
                maintenance=format_scaled(wallet.maintenance_cash, decimals[wallet.asset]),
            )
            for wallet in holdings.wallets
        ),
        positions=_positions(book, holdings),
    )


def _positions(book: Book, holdings: Holdings) -> tuple[PositionShown, ...]:
    """Return the positions with their places; each table is ranked once."""
    queues: dict[tuple[str, Side], Queue] = {}
    found = []
    for held in holdings.positions:
        state, key = book.contracts[held.contract], (held.contract, held.side)
        if key not in queues:
            ranking = rules_of(book, state).ranking
            queues[key] = rank_side(value_side(book, state, held.side), ranking)
        row = state.tables[held.side].find(holdings.index, held.number)
        if row is not None:
            found.append(_position(Figures.of(book, state), state, held, queues[key], row))
    return tuple(found)


def _position(
    figures: Figures, state: ContractState, held: Position, queue: Queue, row: int
) -> PositionShown:
    reason = queue.reason(row)
    stands = reason is None
    return PositionShown(
        contract=held.contract,
        side=held.side,
        position=held.number,
        quantity=figures.quantity(held.lots),
        entry_price=entry_price(figures.terms, held.lots, held.cost_cash),
        mark=figures.price(state.mark) if state.mark else None,
        profit=figures.cash(held.profit_cash),
        margin_mode=margin_mode(held.isolated),
        isolated_margin=figures.cash(held.margin_cash) if held.isolated else None,
        leverage=leverage(held.leverage_hundredths),
        maintenance=figures.cash(held.maintenance_cash),
        under_liquidation=held.under_liquidation,
        rank=int(queue.rank[row]) if stands else None,
        of=len(queue.order),
        indicator=int(queue.indicator[row]) if stands else None,
        ahead=figures.quantity(int(queue.quantity_ahead_lots[row])) if stands else None,
        reason=None if reason is None else str(reason),
    )


# --- what if ---


def _supposed(book: Book, account: str, asked: Question) -> Supposed:
    try:
        outcome = suppose(
            book,
            asked.contract,
            account,
            side=asked.side,
            position=asked.position,
            rules=asked.rules,
            **_change(asked.change),
        )
    except InputError as error:
        raise Problem(422, _refusal(error)) from None
    facts = {**outcome.facts(), "time_ms": outcome.explanation.time_ms, "text": str(outcome)}
    return msgspec.convert(facts, Supposed)


def _change(change: SetLeverage | AddMargin | PartialClose | OpenHedge) -> dict[str, Any]:
    """Return the change as the one argument that says it."""
    match change:
        case SetLeverage():
            return {"leverage": change.leverage}
        case AddMargin():
            return {"add_margin": change.amount}
        case PartialClose():
            return {"close": change.quantity}
    return {"hedge": change.quantity}


_FIELDS = {"leverage": "leverage", "add_margin": "amount", "close": "quantity", "hedge": "quantity"}


def _refusal(error: InputError) -> Fault:
    field = f"change.{_FIELDS.get(error.column, error.column)}"
    return Fault(
        reason=str(error.reason or "number_cannot_be_used"),
        field=field,
        value="" if error.value is None else str(error.value),
        message=f"{field} {error.why}",
    )


ROUTES = [account, explain, what_if, notices, operator_notices]
