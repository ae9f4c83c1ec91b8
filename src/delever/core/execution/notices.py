"""Notices of a step: one for each deleveraged account and contract, and those for the operator."""

from collections.abc import Iterable, Iterator

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.messages import (
    AdlExhausted,
    AdlFilled,
    AdlStarted,
    AdlStopped,
    Compensated,
    Event,
    MarkConfirmed,
    MarkUnconfirmed,
    Notice,
    NoticeKind,
)

_NOTIFIED = frozenset(
    {AdlStarted, AdlStopped, AdlExhausted, Compensated, MarkUnconfirmed, MarkConfirmed}
)


def notices_of(events: Iterable[Event]) -> Iterator[Notice]:
    """Yield the notices of a step's events: the operator's first, then by account and contract."""
    by_account: dict[tuple[str, str], Notice] = {}
    for event in events:
        if type(event) is AdlFilled:
            key = event.account, event.contract
            if key in by_account:
                _add(by_account[key].numbers, event)
            else:
                by_account[key] = _fill_notice(event)
        elif type(event) in _NOTIFIED:
            yield _notice_of(event)
    yield from (by_account[key] for key in sorted(by_account))


def _notice_of(event: Event) -> Notice:
    """Return the notice of any event that has one of its own."""
    match event:
        case AdlStarted():
            return _trigger_notice(NoticeKind.ADL_STARTED, event)
        case AdlStopped():
            return _trigger_notice(NoticeKind.ADL_STOPPED, event)
        case MarkUnconfirmed():
            numbers = {"mark_ticks": event.mark_ticks, "confirmed_ticks": event.confirmed_ticks}
            kind = NoticeKind.MARK_UNCONFIRMED
            return Notice(kind, event.reason, "", event.contract, numbers | event.numbers)
        case MarkConfirmed():
            numbers = {"mark_ticks": event.mark_ticks}
            return Notice(NoticeKind.MARK_CONFIRMED, "", "", event.contract, numbers)
        case Compensated():
            numbers = {"fill": event.fill, "amount_cash": event.amount_cash}
            kind = NoticeKind.ACCOUNT_COMPENSATED
            return Notice(kind, "", event.account, event.contract, numbers)
        case AdlExhausted():
            numbers = {"remaining_lots": event.remaining_lots}
            return Notice(NoticeKind.ADL_EXHAUSTED, event.reason, "", event.contract, numbers)
        case _:
            raise TypeError(type(event))


def unallocated_funds(book: Book, started: ContractState) -> Iterator[Notice]:
    """Yield an alarm for each fund whose money no contract can use, as ADL starts in another.

    A fund is unallocated if it has money and none of its contracts has a position or inventory:
    the fund of an expired contract (BitMEX, 2 April 2019).
    """
    asset = started.terms.settle
    for pool in book.pools.values():
        if pool.asset == asset and pool.balance > 0 and not any(map(_is_open, book.members(pool))):
            yield Notice(
                kind=NoticeKind.FUND_UNALLOCATED,
                subject=pool.name,
                account="",
                contract=started.name,
                numbers={"balance_cash": pool.balance},
            )


def _is_open(state: ContractState) -> bool:
    return state.has_inventory or any(table.size for table in state.tables.values())


def _trigger_notice(kind: NoticeKind, event: AdlStarted | AdlStopped) -> Notice:
    return Notice(
        kind=kind, subject=event.trigger, account="", contract=event.contract, numbers=event.numbers
    )


def _fill_notice(fill: AdlFilled) -> Notice:
    """Return an account's notice: the quantity closed, its value and PnL, and the rank it had."""
    numbers = {
        "first_fill": fill.fill,
        "last_fill": fill.fill,
        "lots": fill.lots,
        "value_cash": abs(fill.value_cash),
        "realized_pnl_cash": fill.realized_pnl_cash,
        "rank": fill.rank,
        "orders_to_cancel": len(fill.cancel_orders),
    }
    kind = NoticeKind.POSITION_DELEVERAGED
    return Notice(kind, fill.price_rule, fill.account, fill.contract, numbers)


def _add(numbers: dict[str, int], fill: AdlFilled) -> None:
    """Add another fill of the same account and contract to the numbers of its notice."""
    numbers["last_fill"] = fill.fill
    numbers["lots"] += fill.lots
    numbers["value_cash"] += abs(fill.value_cash)
    numbers["realized_pnl_cash"] += fill.realized_pnl_cash
