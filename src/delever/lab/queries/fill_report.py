"""One past ADL fill, told in words and numbers."""

from dataclasses import dataclass
from typing import Any

from delever.core.explain.explanation import Explanation, TriggerState
from delever.core.messages import AdlFilled, AdlStarted, CounterpartySkipped, RoundClosed
from delever.formatting import Figures
from delever.lab.errors import in_words
from delever.lab.queries.explanation_text import numbered, position_facts, position_lines

SKIPS_SHOWN = 10
"""Skipped counterparties that the text names; `facts` holds all."""


@dataclass(frozen=True, slots=True)
class WhyFilled:
    """Why a position was closed, as the journal has it; its text is numbered arithmetic.

    `explanation` is that of the position when the round began, replayed from `replayed_from` (a
    record) up to `sequence`, which holds the fill. `differs` names what came out otherwise than in
    the fill when it was computed again. `ahead` are the fills of the round before this one, and
    `skipped` the counterparties of a better rank that were passed over; `start` is the event that put
    the trigger on, `also_on` names others that were on, and `forced` is the note of an operator who
    had the round run. `left_lots` is what the position held after the fill, `unfilled_lots` the
    inventory that the round left over. `cancelled` is the record that took the fill back.
    """

    sequence: int
    replayed_from: int
    explanation: Explanation
    fill: AdlFilled
    round: RoundClosed
    trigger: TriggerState
    also_on: tuple[str, ...]
    forced: str
    start: AdlStarted | None
    ahead: tuple[AdlFilled, ...]
    skipped: tuple[CounterpartySkipped, ...]
    differs: tuple[str, ...]
    at_mark_cash: int
    left_lots: int
    unfilled_lots: int
    cancelled: int | None
    figures: Figures

    @property
    def recomputed(self) -> str:
        """What came of computing it again: 'the same', or what differs."""
        return f"{', '.join(self.differs)} differ" if self.differs else "the same"

    @property
    def borne_cash(self) -> int:
        """What the account would have had more at the mark, in Cash."""
        return self.at_mark_cash - self.fill.realized_pnl_cash

    def __str__(self) -> str:
        lines = [
            *position_lines(self.explanation, self.figures),
            _place(self),
            _check(self),
            *_trigger(self),
            _price(self),
            *_passed_over(self),
            _not_in_line(self),
            _takeover(self),
            _money(self),
            _orders(self),
            _leftover(self),
        ]
        if self.cancelled is not None:
            lines.append(f"The fill was taken back later, by record {self.cancelled}.")
        return numbered(_heading(self), lines)

    def facts(self) -> dict[str, Any]:
        """Return the same as named values, exact numbers as text."""
        fill, told, figures = self.fill, self.explanation, self.figures
        return {
            "fill": fill.fill,
            "record": self.sequence,
            "time_ms": told.time_ms,
            "replayed_from": self.replayed_from,
            "recomputed": self.recomputed,
            "differs": list(self.differs),
            "cancelled_by_record": self.cancelled,
            "rules": told.rules,
            "formula": told.formula,
            "contract": fill.contract,
            "side": str(fill.side),
            "account": fill.account,
            "position": fill.position,
            "closed": figures.quantity(fill.lots),
            "position_left": figures.quantity(self.left_lots),
            "price": figures.price(fill.price_ticks),
            "mark": figures.price(told.mark_ticks),
            "asset": figures.terms.settle,
            "realized": figures.cash(fill.realized_pnl_cash),
            "realized_at_mark": figures.cash(self.at_mark_cash),
            "borne": figures.cash(self.borne_cash),
            "released_margin": figures.cash(fill.margin_returned_cash),
            "fee": figures.cash(fill.fee_cash),
            "cancel_orders": list(fill.cancel_orders),
            "when_the_round_began": position_facts(told, figures),
            "trigger": _trigger_facts(self),
            "takeover": {
                "takeover": fill.takeover,
                "account": fill.liquidated_account,
                "price": figures.price(fill.takeover_price_ticks),
            },
            "ahead": [_ahead_facts(each, figures) for each in self.ahead],
            "skipped": [_skip_facts(each) for each in self.skipped],
            "round": _round_facts(self),
        }


def _trigger_facts(why: WhyFilled) -> dict[str, Any]:
    state, start = why.trigger, why.start
    return {
        "trigger": state.trigger,
        "forced": why.forced or None,
        "since_ms": state.since_ms,
        "also_on": list(why.also_on),
        "started_with": None if start is None else start.numbers,
        "numbers": state.numbers,
        "price_rule": why.fill.price_rule,
        "price_numbers": why.round.numbers,
    }


def _ahead_facts(fill: AdlFilled, figures: Figures) -> dict[str, Any]:
    return {
        "rank": fill.rank,
        "account": fill.account,
        "position": fill.position,
        "closed": figures.quantity(fill.lots),
    }


def _skip_facts(skip: CounterpartySkipped) -> dict[str, Any]:
    return {
        "rank": skip.rank,
        "account": skip.account,
        "position": skip.position,
        "reason": str(skip.reason),
        "numbers": skip.numbers,
    }


def _round_facts(why: WhyFilled) -> dict[str, Any]:
    told, figures = why.round, why.figures
    return {
        "inventory": figures.quantity(told.wanted_lots),
        "closed": figures.quantity(told.filled_lots),
        "left_over": figures.quantity(why.unfilled_lots),
        "rounding_residual": figures.cash(told.rounding_residual_cash),
        "counterparties": told.counterparties,
        "not_in_line": told.ineligible,
    }


# --- the lines ---


def _heading(why: WhyFilled) -> str:
    fill, told, figures = why.fill, why.explanation, why.figures
    number = f" (position {fill.position})" if fill.position else ""
    held = figures.quantity(told.standing.lots)
    return (
        f"Fill {fill.fill} closed {figures.quantity(fill.lots)} of the {held} {fill.contract} "
        f"{fill.side} of {fill.account}{number} at {figures.price(fill.price_ticks)}, mark "
        f"{figures.price(told.mark_ticks)}; rules of {told.rules}, record {why.sequence}, "
        f"{told.time_ms} ms. When the round began:"
    )


def _place(why: WhyFilled) -> str:
    fill, figures = why.fill, why.figures
    ahead = fill.rank - 1
    who = "nobody" if ahead == 0 else f"{counted(ahead)} with "
    lots = figures.quantity(fill.quantity_ahead_lots) if ahead else ""
    line = figures.quantity(why.explanation.queue_lots)
    return (
        f"Rank {fill.rank} of {why.round.counterparties}, highest score first; ahead: {who}{lots}, of "
        f"{line} in line. Indicator {fill.indicator} of 5."
    )


def counted(positions: int) -> str:
    """Return how many positions, in words."""
    return "1 position" if positions == 1 else f"{positions} positions"


def _check(why: WhyFilled) -> str:
    replayed = f"the book was replayed from record {why.replayed_from} to the round in record"
    what = "rank, score, indicator, quantity ahead and price"
    if not why.differs:
        return f"Recomputed: the same ({what}; {replayed} {why.sequence})."
    return (
        f"Recomputed: NOT the same: {', '.join(why.differs)} came out otherwise ({replayed} "
        f"{why.sequence}; this version ranks or prices otherwise than the one that wrote it)."
    )


def _trigger(why: WhyFilled) -> list[str]:
    state, figures = why.trigger, why.figures
    name = in_words(state.trigger)
    now = f"it compared {figures.numbers(state.numbers)}."
    since = f"ADL by {name} was on since {state.since_ms} ms"
    if state.since_ms is None:
        since = f"An operator forced the round ({why.forced!r}); its price is that of ADL by {name}"
    others = [
        f"ADL by {in_words(other)} was on, too; the first of the rules that has inventory to close "
        "decides."
        for other in why.also_on
    ]
    if why.start is None or why.start.numbers == state.numbers:
        return [f"{since}; {now}", *others]
    return [
        f"{since}, when it compared {figures.numbers(why.start.numbers)}.",
        f"When the round began {now}",
        *others,
    ]


def _price(why: WhyFilled) -> str:
    fill, figures = why.fill, why.figures
    inputs = figures.numbers(why.round.numbers)
    return f"Price: {in_words(fill.price_rule)} ({inputs}) gave {figures.price(fill.price_ticks)}."


def _passed_over(why: WhyFilled) -> list[str]:
    """Return who ahead was closed first, and who was passed over, with the reason."""
    figures = why.figures
    lines = []
    if why.ahead:
        closed = {(fill.account, fill.position) for fill in why.ahead}
        lots = figures.quantity(sum(fill.lots for fill in why.ahead))
        lines.append(f"Closed before it in the same round: {lots} of {counted(len(closed))}.")
    for skip in why.skipped[:SKIPS_SHOWN]:
        numbers = figures.numbers(skip.numbers)
        number = f" (position {skip.position})" if skip.position else ""
        lines.append(
            f"Passed over ahead of it: {skip.account}{number}, rank {skip.rank}: "
            f"{in_words(skip.reason)}{numbers and f' ({numbers})'}."
        )
    more = len(why.skipped) - SKIPS_SHOWN
    if more > 0:
        lines.append(f"Passed over ahead of it: {counted(more)} more.")
    return lines or ["Nobody ahead was closed or passed over."]


def _not_in_line(why: WhyFilled) -> str:
    told = [
        f"{counted(count)} because {in_words(reason)}"
        for reason, count in why.round.ineligible.items()
    ]
    return f"Not in line: {', '.join(told) or 'nobody'}."


def _takeover(why: WhyFilled) -> str:
    fill = why.fill
    return (
        f"Closed against takeover {fill.takeover}: {fill.contract} {fill.side.opposite} of "
        f"{fill.liquidated_account}, taken over at {why.figures.price(fill.takeover_price_ticks)} "
        "(the bankruptcy price, unless the venue named another)."
    )


def _money(why: WhyFilled) -> str:
    fill, figures = why.fill, why.figures
    asset = figures.terms.settle
    released = (
        f" {figures.cash(fill.margin_returned_cash)} {asset} of isolated margin were set free."
        if fill.margin_returned_cash
        else ""
    )
    return (
        f"Realized {figures.cash(fill.realized_pnl_cash)} {asset}; at the mark it would have been "
        f"{figures.cash(why.at_mark_cash)} {asset}, a difference of "
        f"{figures.cash(why.borne_cash)} {asset}. Fee: {figures.cash(fill.fee_cash)} {asset}."
        f"{released}"
    )


def _orders(why: WhyFilled) -> str:
    return f"Open orders to cancel: {', '.join(why.fill.cancel_orders) or 'none'}."


def _leftover(why: WhyFilled) -> str:
    told, figures = why.round, why.figures
    kept = f", {figures.cash(told.rounding_residual_cash)} {figures.terms.settle} of rounding kept"
    return (
        f"Left: {figures.quantity(why.left_lots)} of the position; of the "
        f"{figures.quantity(told.wanted_lots)} that the pool wanted closed in the round "
        f"{figures.quantity(why.unfilled_lots)}{kept if told.rounding_residual_cash else ''}."
    )
