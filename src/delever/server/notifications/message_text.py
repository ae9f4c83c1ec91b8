"""The text of a notice: what happened and why, in the amounts of the events themselves.

Nothing is computed here but the sums over several fills of one record. Account names of others are
part of the operator's notices only.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from delever.core.messages import (
    AdlFilled,
    FillCancelled,
    LossSocialized,
    Notice,
    NoticeKind,
    RoundClosed,
)
from delever.core.rules import RuleSet
from delever.formatting import ContractFormatter, humanize, significant
from delever.server.notifications.selection import Fills, NoticeContext, NoticeSubject

_OPERATOR_TITLES = {
    NoticeKind.ADL_WARNING: "ADL warning in {contract}: {subject} has used 80 % of its threshold",
    NoticeKind.ADL_WARNING_CLEARED: (
        "ADL warning cleared in {contract}: {subject} has used less than 70 % of its threshold"
    ),
    NoticeKind.ADL_STARTED: "ADL started in {contract}: {subject}",
    NoticeKind.ADL_STOPPED: "ADL stopped in {contract}: {subject}",
    NoticeKind.MARK_REJECTED: "Mark of {contract} rejected: {subject}; the mark before stays",
    NoticeKind.INDEX_PRICE_REJECTED: (
        "Index price of {subject} rejected; collateral stays at the price before"
    ),
    NoticeKind.ROW_REJECTED: (
        "Rows of {contract} rejected: {subject}; the rows before stay, without ADL and takeover"
    ),
    NoticeKind.FILL_EXCEEDS_POSITION: (
        "A fill in {contract} ({subject}) is larger than the position: it closes what is there"
    ),
    NoticeKind.FUND_UNALLOCATED: (
        "Insurance fund {subject} is unallocated while ADL is on in {contract}"
    ),
    NoticeKind.MARK_UNCONFIRMED: (
        "Mark of {contract} unconfirmed: {subject}; takeovers, unwinding and ADL are paused"
    ),
    NoticeKind.ACCOUNT_COMPENSATED: "You were compensated for an ADL fill in {contract}",
    NoticeKind.MARK_CONFIRMED: "Mark of {contract} confirmed: takeovers, unwinding and ADL resume",
    NoticeKind.ADL_EXHAUSTED: "ADL queue exhausted in {contract}: {subject}",
}


class NoticeText(NamedTuple):
    """A notice as text, with its exact numbers by name."""

    title: str
    lines: tuple[str, ...]
    numbers: dict[str, Any]


def notice_text(subject: NoticeSubject, fills: Fills, context: NoticeContext) -> NoticeText:
    """Return the text of one notice of a record; `fills` are all fills of the record."""
    formatter = context.formatters[subject.contract]
    match subject.event:
        case FillCancelled() as event:
            return _fill_cancelled(event, formatter)
        case LossSocialized() as event:
            return _loss_socialized(event, subject.row, formatter)
        case Notice(kind=NoticeKind.POSITION_DELEVERAGED) as event:
            return _position_deleveraged(event, fills[event.account, event.contract], context)
        case event:
            return _operator(event, formatter)


def _operator(event: Notice, formatter: ContractFormatter) -> NoticeText:
    is_name = event.kind is NoticeKind.FUND_UNALLOCATED
    title = _OPERATOR_TITLES[event.kind].format(
        contract=event.contract, subject=event.subject if is_name else humanize(event.subject)
    )
    amounts = [formatter.labeled_amount(name, amount) for name, amount in event.numbers.items()]
    lines = tuple(f"{label.capitalize()}: {amount}." for label, amount in amounts)
    return NoticeText(title, lines, {"subject": event.subject, "numbers": event.numbers})


# --- a position was deleveraged ---


def _position_deleveraged(
    notice: Notice, fills: Sequence[tuple[AdlFilled, RoundClosed | None]], context: NoticeContext
) -> NoticeText:
    formatter = context.formatters[notice.contract]
    quantity = formatter.quantity(sum(fill.lots for fill, _ in fills))
    realized = formatter.cash(sum(fill.realized_pnl_cash for fill, _ in fills))
    sides = " and ".join(dict.fromkeys(str(fill.side) for fill, _ in fills))
    asset = formatter.terms.settle
    title = f"ADL closed {quantity} of your {notice.contract} {sides} position"
    lines = [line for fill, end in fills for line in _fill_lines(fill, end, context)]
    orders = list(dict.fromkeys(order for fill, _ in fills for order in fill.cancel_orders))
    lines.append(f"Open orders to cancel: {', '.join(orders) or 'none'}.")
    numbers = {
        "quantity": quantity,
        "realized_pnl": realized,
        "asset": asset,
        "cancel_orders": orders,
        "fills": [_fill_numbers(fill, end, formatter) for fill, end in fills],
    }
    return NoticeText(title, tuple(lines), numbers)


def _fill_lines(fill: AdlFilled, end: RoundClosed | None, context: NoticeContext) -> Sequence[str]:
    formatter, rules = context.formatters[fill.contract], context.rules[fill.pool]
    position = f" (position {fill.position})" if fill.position else ""
    closed = f"{formatter.quantity(fill.lots)} {fill.contract} {fill.side}{position}"
    return (
        f"Fill {fill.fill}: {closed} closed at {formatter.price(fill.price_ticks)}.",
        *_trigger_lines(end, formatter),
        *_rank_lines(fill, end, formatter, rules),
        _price_line(fill, end, formatter),
        _realized_pnl_line(fill, formatter),
    )


def _trigger_lines(end: RoundClosed | None, formatter: ContractFormatter) -> Sequence[str]:
    """Return why the round took place."""
    if end is None:
        return ()
    wanted, filled = formatter.quantity(end.wanted_lots), formatter.quantity(end.filled_lots)
    why = (
        f"Why: ADL by {humanize(end.trigger)} was on, and the insurance fund had an inventory of "
        f"{wanted} to close; this round closed {filled}."
    )
    return (why,)


def _rank_lines(
    fill: AdlFilled, end: RoundClosed | None, formatter: ContractFormatter, rules: RuleSet
) -> Sequence[str]:
    """Return why this position was closed: score, rank, indicator and the quantity ahead."""
    total = "" if end is None else f" of {end.counterparties}"
    ahead = formatter.quantity(fill.quantity_ahead_lots)
    rank = f"Why you: rank {fill.rank}{total}, highest score first; quantity ahead: {ahead}."
    score = f"{rules.ranking.formula} = {significant(fill.score)}"
    return (
        f"{rank} ADL indicator {fill.indicator} of 5.",
        f"Score, by the rules of {rules.name}: {score}.",
    )


def _price_line(fill: AdlFilled, end: RoundClosed | None, formatter: ContractFormatter) -> str:
    inputs = "" if end is None else f" ({formatter.labeled_amounts(end.numbers)})"
    price = formatter.price(fill.price_ticks)
    return f"Price: {price}, by {humanize(fill.price_rule)}{inputs}."


def _realized_pnl_line(fill: AdlFilled, formatter: ContractFormatter) -> str:
    """Return realized PnL as the difference of two unsigned amounts, with fee and margin."""
    asset = formatter.terms.settle
    value, cost = formatter.cash(abs(fill.value_cash)), formatter.cash(abs(fill.cost_cash))
    terms = [f"{value} at the price", f"{cost} at entry"]
    rises = formatter.terms.cost_sign(fill.side) > 0
    difference = " - ".join(terms if rises else reversed(terms))
    returned = (
        f" Isolated margin returned: {formatter.cash(fill.margin_returned_cash)} {asset}."
        if fill.margin_returned_cash
        else ""
    )
    return (
        f"Realized PnL: {difference} = {formatter.cash(fill.realized_pnl_cash)} {asset}. Fee: "
        f"{formatter.cash(fill.fee_cash)} {asset}.{returned}"
    )


def _fill_numbers(
    fill: AdlFilled, end: RoundClosed | None, formatter: ContractFormatter
) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "fill": fill.fill,
        "side": fill.side,
        "position": fill.position,
        "quantity": formatter.quantity(fill.lots),
        "price": formatter.price(fill.price_ticks),
        "price_rule": fill.price_rule,
        "value": formatter.cash(fill.value_cash),
        "cost": formatter.cash(fill.cost_cash),
        "realized_pnl": formatter.cash(fill.realized_pnl_cash),
        "margin_returned": formatter.cash(fill.margin_returned_cash),
        "fee": formatter.cash(fill.fee_cash),
        "rank": fill.rank,
        "score": fill.score,
        "indicator": fill.indicator,
        "quantity_ahead": formatter.quantity(fill.quantity_ahead_lots),
    }
    if end is not None:
        numbers |= {"trigger": end.trigger, "counterparties": end.counterparties}
    return numbers


# --- kinds without a Notice event ---


def _fill_cancelled(event: FillCancelled, formatter: ContractFormatter) -> NoticeText:
    fill = event.fill
    quantity = formatter.quantity(fill.lots)
    closed = f"{quantity} {fill.contract} {fill.side}"
    return NoticeText(
        f"ADL fill {fill.fill} was cancelled: {closed} is open again",
        (
            f"Fill {fill.fill} had closed {closed} at {formatter.price(fill.price_ticks)}.",
            f"It was cancelled in full: {event.note}.",
        ),
        {"fill": fill.fill, "quantity": quantity, "note": event.note},
    )


def _loss_socialized(event: LossSocialized, row: int, formatter: ContractFormatter) -> NoticeText:
    asset, side = formatter.terms.settle, event.sides[row]
    amount, loss = formatter.cash(event.amount_cash[row]), formatter.cash(event.loss_cash)
    shared = (
        f"A loss of {loss} {asset} beyond the insurance fund was socialized among "
        f"{len(event.accounts)} open positions: {humanize(event.rule)}."
    )
    share = f"Your share is {amount} {asset}; the position's entry cost has risen by that amount."
    return NoticeText(
        f"Your {event.contract} {side} position shares {amount} {asset} of a socialized loss",
        (shared, share),
        {
            "fill": event.fill,
            "side": side,
            "position": event.positions[row],
            "amount": amount,
            "loss": loss,
            "asset": asset,
            "rule": event.rule,
        },
    )
