"""Who must be told of a step: each deleveraged account once a contract, and the operator."""

from collections.abc import Iterable, Iterator

from delever.core.messages import (
    AdlExhausted,
    AdlFilled,
    AdlStarted,
    AdlStopped,
    Event,
    Notice,
    NoticeKind,
)


def notices_of(events: Iterable[Event]) -> Iterator[Notice]:
    """Yield the notices that a step's events ask for, operator first."""
    fills: dict[tuple[str, str], list[AdlFilled]] = {}
    for event in events:
        match event:
            case AdlFilled():
                fills.setdefault((event.account, event.contract), []).append(event)
            case AdlStarted():
                yield _of_trigger(NoticeKind.ADL_STARTED, event)
            case AdlStopped():
                yield _of_trigger(NoticeKind.ADL_STOPPED, event)
            case AdlExhausted():
                yield Notice(
                    kind=NoticeKind.ADL_EXHAUSTED,
                    subject=event.reason,
                    account="",
                    contract=event.contract,
                    numbers={"left_lots": event.left_lots},
                )
            case _:
                pass
    yield from (_of_fills(*key, group) for key, group in sorted(fills.items()))


def _of_trigger(kind: NoticeKind, event: AdlStarted | AdlStopped) -> Notice:
    return Notice(
        kind=kind, subject=event.trigger, account="", contract=event.contract, numbers=event.numbers
    )


def _of_fills(account: str, contract: str, fills: list[AdlFilled]) -> Notice:
    """Return one account's notice: how much was closed, for what, and where it stood in line."""
    first, lots, value, realised = fills[0], 0, 0, 0
    for fill in fills:
        lots += fill.lots
        value += abs(fill.value_cash)
        realised += fill.realised_cash
    numbers = {
        "first_fill": first.fill,
        "last_fill": fills[-1].fill,
        "lots": lots,
        "value_cash": value,
        "realised_cash": realised,
        "rank": first.rank,
        "orders_to_cancel": len(first.cancel_orders),
    }
    return Notice(NoticeKind.POSITION_DELEVERAGED, first.price_rule, account, contract, numbers)
