"""A notice in words and numbers: what happened, and why, out of the events' own numbers.

The numbers are those of the round itself; nothing is computed again here but the sums over several
fills. Names of other accounts are told to nobody but the operator.
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
from delever.formatting import Figures
from delever.lab.errors import in_words
from delever.lab.queries.explanation_text import short
from delever.server.notifications.selection import Fills, Lexicon, Subject

_OPERATOR_TITLES = {
    NoticeKind.ADL_WARNING: "ADL is near in {contract}: {subject} is 80 % of the way",
    NoticeKind.ADL_WARNING_CLEARED: "ADL is far again in {contract}: {subject} is below 70 % of the way",
    NoticeKind.ADL_STARTED: "ADL has started in {contract}: {subject}",
    NoticeKind.ADL_STOPPED: "ADL has stopped in {contract}: {subject}",
    NoticeKind.ADL_EXHAUSTED: "ADL has found nobody left to close in {contract}: {subject}",
}


class Worded(NamedTuple):
    """A notice as people read it, and its numbers by name, exact, as text."""

    title: str
    lines: tuple[str, ...]
    numbers: dict[str, Any]


def worded(subject: Subject, fills: Fills, lexicon: Lexicon) -> Worded:
    """Return the words of one notice of a record; `fills` are those of the record."""
    figures = lexicon.figures[subject.contract]
    match subject.event:
        case FillCancelled() as event:
            return _cancelled(event, figures)
        case LossSocialized() as event:
            return _socialized(event, subject.row, figures)
        case Notice(kind=NoticeKind.POSITION_DELEVERAGED) as event:
            return _deleveraged(event, fills[event.account, event.contract], lexicon)
        case event:
            return _operator(event, figures)


def _operator(event: Notice, figures: Figures) -> Worded:
    title = _OPERATOR_TITLES[event.kind].format(
        contract=event.contract, subject=in_words(event.subject)
    )
    pairs = [figures.number(name, amount) for name, amount in event.numbers.items()]
    lines = tuple(f"{what.capitalize()}: {amount}." for what, amount in pairs)
    return Worded(title, lines, {"subject": event.subject, "numbers": event.numbers})


# --- an account's position was closed ---


def _deleveraged(
    notice: Notice, fills: Sequence[tuple[AdlFilled, RoundClosed | None]], lexicon: Lexicon
) -> Worded:
    figures = lexicon.figures[notice.contract]
    closed = figures.quantity(sum(fill.lots for fill, _ in fills))
    realized = figures.cash(sum(fill.realized_pnl_cash for fill, _ in fills))
    sides = " and ".join(dict.fromkeys(str(fill.side) for fill, _ in fills))
    asset = figures.terms.settle
    title = f"{closed} of your {notice.contract} {sides} position were closed by ADL"
    lines = [line for fill, end in fills for line in _fill_lines(fill, end, lexicon)]
    orders = list(dict.fromkeys(order for fill, _ in fills for order in fill.cancel_orders))
    lines.append(f"Open orders to be cancelled: {', '.join(orders) or 'none'}.")
    numbers = {
        "closed": closed,
        "realized": realized,
        "asset": asset,
        "cancel_orders": orders,
        "fills": [_fill_numbers(fill, end, figures) for fill, end in fills],
    }
    return Worded(title, tuple(lines), numbers)


def _fill_lines(fill: AdlFilled, end: RoundClosed | None, lexicon: Lexicon) -> Sequence[str]:
    figures, rules = lexicon.figures[fill.contract], lexicon.rules[fill.pool]
    position = f" (position {fill.position})" if fill.position else ""
    closed = f"{figures.quantity(fill.lots)} {fill.contract} {fill.side}{position}"
    return (
        f"Fill {fill.fill}: {closed} closed at {figures.price(fill.price_ticks)}.",
        *_trigger(end, figures),
        *_place(fill, end, figures, rules),
        _price(fill, end, figures),
        _arithmetic(fill, figures),
    )


def _trigger(end: RoundClosed | None, figures: Figures) -> Sequence[str]:
    """Return why there was ADL at all."""
    if end is None:
        return ()
    wanted, filled = figures.quantity(end.wanted_lots), figures.quantity(end.filled_lots)
    why = (
        f"Why: ADL by {in_words(end.trigger)} was on, and the insurance pool had {wanted} taken "
        f"over to close; {filled} were closed in this round."
    )
    return (why,)


def _place(
    fill: AdlFilled, end: RoundClosed | None, figures: Figures, rules: RuleSet
) -> Sequence[str]:
    """Return why it was this position: score, rank, indicator and what stood ahead."""
    of = "" if end is None else f" of {end.counterparties}"
    ahead = figures.quantity(fill.quantity_ahead_lots) if fill.quantity_ahead_lots else "nobody"
    place = f"Why you: rank {fill.rank}{of}, highest score first; ahead: {ahead}."
    formula = f"Score, by the rules of {rules.name}: {rules.ranking.formula} = {short(fill.score)}."
    return (f"{place} Indicator {fill.indicator} of 5.", formula)


def _price(fill: AdlFilled, end: RoundClosed | None, figures: Figures) -> str:
    inputs = "" if end is None else f" ({figures.numbers(end.numbers)})"
    price = figures.price(fill.price_ticks)
    return f"Price: {in_words(fill.price_rule)}{inputs} gave {price}."


def _arithmetic(fill: AdlFilled, figures: Figures) -> str:
    """Return profit as a subtraction of two amounts without sign, and what else was moved."""
    asset = figures.terms.settle
    value, cost = figures.cash(abs(fill.value_cash)), figures.cash(abs(fill.cost_cash))
    terms = [f"{value} at the price", f"{cost} at entry"]
    rises = figures.terms.cost_sign(fill.side) > 0
    arithmetic = " - ".join(terms if rises else reversed(terms))
    released = (
        f" Isolated margin set free: {figures.cash(fill.margin_returned_cash)} {asset}."
        if fill.margin_returned_cash
        else ""
    )
    return (
        f"Realized: {arithmetic} = {figures.cash(fill.realized_pnl_cash)} {asset}. Fee: "
        f"{figures.cash(fill.fee_cash)} {asset}.{released}"
    )


def _fill_numbers(fill: AdlFilled, end: RoundClosed | None, figures: Figures) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "fill": fill.fill,
        "side": fill.side,
        "position": fill.position,
        "closed": figures.quantity(fill.lots),
        "price": figures.price(fill.price_ticks),
        "price_rule": fill.price_rule,
        "value": figures.cash(fill.value_cash),
        "cost": figures.cash(fill.cost_cash),
        "realized": figures.cash(fill.realized_pnl_cash),
        "released_margin": figures.cash(fill.margin_returned_cash),
        "fee": figures.cash(fill.fee_cash),
        "rank": fill.rank,
        "score": fill.score,
        "indicator": fill.indicator,
        "quantity_ahead": figures.quantity(fill.quantity_ahead_lots),
    }
    if end is not None:
        numbers |= {"trigger": end.trigger, "counterparties": end.counterparties}
    return numbers


# --- what the core has no notice of ---


def _cancelled(event: FillCancelled, figures: Figures) -> Worded:
    fill = event.fill
    closed = f"{figures.quantity(fill.lots)} {fill.contract} {fill.side}"
    return Worded(
        f"ADL fill {fill.fill} was taken back: {closed} is open again",
        (
            f"Fill {fill.fill} had closed {closed} at {figures.price(fill.price_ticks)}.",
            f"It was taken back to the last unit: {event.note}.",
        ),
        {"fill": fill.fill, "closed": figures.quantity(fill.lots), "note": event.note},
    )


def _socialized(event: LossSocialized, row: int, figures: Figures) -> Worded:
    asset, side = figures.terms.settle, event.sides[row]
    amount, loss = figures.cash(event.amount_cash[row]), figures.cash(event.loss_cash)
    shared = (
        f"A loss of {loss} {asset} that the insurance pool could not cover was shared out among "
        f"{len(event.accounts)} open positions: {in_words(event.rule)}."
    )
    share = f"Your share is {amount} {asset}; the position's entry cost has risen by that much."
    return Worded(
        f"Your {event.contract} {side} position bears {amount} {asset} of a socialized loss",
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
