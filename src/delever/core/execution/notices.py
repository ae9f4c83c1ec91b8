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

_TELLING = frozenset({AdlFilled, AdlStarted, AdlStopped, AdlExhausted})


def notices_of(events: Iterable[Event]) -> Iterator[Notice]:
    """Yield the notices that a step's events ask for, operator first."""
    closed: dict[tuple[str, str], Notice] = {}
    for event in events:
        if type(event) not in _TELLING:
            continue
        match event:
            case AdlFilled():
                key = event.account, event.contract
                if key in closed:
                    _add(closed[key].numbers, event)
                else:
                    closed[key] = _of_fill(event)
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
    yield from (closed[key] for key in sorted(closed))


def _of_trigger(kind: NoticeKind, event: AdlStarted | AdlStopped) -> Notice:
    return Notice(
        kind=kind, subject=event.trigger, account="", contract=event.contract, numbers=event.numbers
    )


def _of_fill(fill: AdlFilled) -> Notice:
    """Return an account's notice: how much was closed, for what, and where it stood in line."""
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
    """Add another fill of the same account and contract to what its notice says."""
    numbers["last_fill"] = fill.fill
    numbers["lots"] += fill.lots
    numbers["value_cash"] += abs(fill.value_cash)
    numbers["realized_pnl_cash"] += fill.realized_pnl_cash
