"""The explanation of one past ADL fill as text, and as named values."""

from dataclasses import dataclass
from typing import Any

from delever.core.explain.explanation import Explanation, TriggerState
from delever.core.messages import AdlFilled, AdlStarted, CounterpartySkipped, RoundClosed
from delever.formatting import ContractFormatter, count, humanize, moment
from delever.lab.queries.explanation_text import numbered, position_facts, position_lines

MAX_SKIPS_IN_TEXT = 10
"""Skipped counterparties that the text names; `facts` has all."""


@dataclass(frozen=True, slots=True)
class FillExplanation:
    """Why a position was deleveraged, from the journal; its text is numbered arithmetic.

    `explanation` is that of the position when the round began, replayed from the record
    `replayed_from` up to `sequence`, the record of the fill; `record_hash` is that record's in the
    journal's chain. `differences` names the numbers that
    differ from the fill when computed again. `filled_before` are the fills of the round before this
    one, `skipped` the counterparties of a better rank that were skipped as ineligible. `start` is
    the event that set the trigger on, `also_on` names other triggers that were on, and `forced` is
    the note of an operator who forced the round. `remaining_lots` is the position after the fill,
    `unfilled_lots` the inventory that the round left. `cancelled` is the record that cancelled the
    fill.
    """

    sequence: int
    record_hash: bytes
    replayed_from: int
    explanation: Explanation
    fill: AdlFilled
    round: RoundClosed
    trigger: TriggerState
    also_on: tuple[str, ...]
    forced: str
    start: AdlStarted | None
    filled_before: tuple[AdlFilled, ...]
    skipped: tuple[CounterpartySkipped, ...]
    differences: tuple[str, ...]
    pnl_at_mark_cash: int
    remaining_lots: int
    unfilled_lots: int
    cancelled: int | None
    formatter: ContractFormatter

    @property
    def recomputed(self) -> str:
        """The outcome of computing the fill again: 'the same', or what differs."""
        return f"{', '.join(self.differences)} differ" if self.differences else "the same"

    @property
    def haircut_cash(self) -> int:
        """The account's loss against the mark, in Cash."""
        return self.pnl_at_mark_cash - self.fill.realized_pnl_cash

    def __str__(self) -> str:
        lines = [
            *position_lines(self.explanation, self.formatter),
            _place_line(self),
            _recomputed_line(self),
            *_trigger_lines(self),
            _price_line(self),
            *_ahead_lines(self),
            _ineligible_line(self),
            _takeover_line(self),
            _money_line(self),
            _orders_line(self),
            _remaining_line(self),
        ]
        if self.cancelled is not None:
            lines.append(f"The fill was cancelled later, by record {self.cancelled}.")
        return numbered(_heading(self), lines)

    def facts(self) -> dict[str, Any]:
        """Return the explanation as named values, exact numbers as text."""
        fill, explanation, formatter = self.fill, self.explanation, self.formatter
        return {
            "fill": fill.fill,
            "record": self.sequence,
            "record_hash": self.record_hash.hex(),
            "time_ms": explanation.time_ms,
            "replayed_from": self.replayed_from,
            "recomputed": self.recomputed,
            "differences": list(self.differences),
            "cancelled_by_record": self.cancelled,
            "rules": explanation.rules,
            "formula": explanation.formula,
            "contract": fill.contract,
            "side": str(fill.side),
            "account": fill.account,
            "position": fill.position,
            "closed": formatter.quantity(fill.lots),
            "remaining": formatter.quantity(self.remaining_lots),
            "price": formatter.price(fill.price_ticks),
            "mark": formatter.price(explanation.mark_ticks),
            "asset": formatter.terms.settle,
            "realized_pnl": formatter.cash(fill.realized_pnl_cash),
            "pnl_at_mark": formatter.cash(self.pnl_at_mark_cash),
            "haircut": formatter.cash(self.haircut_cash),
            "margin_returned": formatter.cash(fill.margin_returned_cash),
            "fee": formatter.cash(fill.fee_cash),
            "cancel_orders": list(fill.cancel_orders),
            "before_round": position_facts(explanation, formatter),
            "trigger": _trigger_facts(self),
            "takeover": {
                "takeover": fill.takeover,
                "account": fill.liquidated_account,
                "price": formatter.price(fill.takeover_price_ticks),
            },
            "filled_before": [_fill_facts(earlier, formatter) for earlier in self.filled_before],
            "skipped": [_skip_facts(skip) for skip in self.skipped],
            "round": _round_facts(self),
        }


def _trigger_facts(why: FillExplanation) -> dict[str, Any]:
    state, start = why.trigger, why.start
    return {
        "trigger": state.trigger,
        "forced": why.forced or None,
        "since_ms": state.since_ms,
        "also_on": list(why.also_on),
        "start_numbers": None if start is None else start.numbers,
        "numbers": state.numbers,
        "price_rule": why.fill.price_rule,
        "price_numbers": why.round.numbers,
    }


def _fill_facts(fill: AdlFilled, formatter: ContractFormatter) -> dict[str, Any]:
    return {
        "rank": fill.rank,
        "account": fill.account,
        "position": fill.position,
        "closed": formatter.quantity(fill.lots),
    }


def _skip_facts(skip: CounterpartySkipped) -> dict[str, Any]:
    return {
        "rank": skip.rank,
        "account": skip.account,
        "position": skip.position,
        "reason": str(skip.reason),
        "numbers": skip.numbers,
    }


def _round_facts(why: FillExplanation) -> dict[str, Any]:
    closed_round, formatter = why.round, why.formatter
    return {
        "inventory": formatter.quantity(closed_round.wanted_lots),
        "closed": formatter.quantity(closed_round.filled_lots),
        "unfilled": formatter.quantity(why.unfilled_lots),
        "rounding_residual": formatter.cash(closed_round.rounding_residual_cash),
        "unfunded": formatter.cash(closed_round.unfunded_cash),
        "counterparties": closed_round.counterparties,
        "ineligible": closed_round.ineligible,
    }


# --- lines ---


def _heading(why: FillExplanation) -> str:
    fill, explanation, formatter = why.fill, why.explanation, why.formatter
    position = f" (position {fill.position})" if fill.position else ""
    quantity = formatter.quantity(explanation.queue_position.lots)
    return (
        f"Fill {fill.fill} closed {formatter.quantity(fill.lots)} of the {quantity} "
        f"{fill.contract} {fill.side} of {fill.account}{position} at "
        f"{formatter.price(fill.price_ticks)}, mark {formatter.price(explanation.mark_ticks)}; "
        f"rules of {explanation.rules}, record {why.sequence}, {moment(explanation.time_ms)}. When "
        "the round began:"
    )


def _place_line(why: FillExplanation) -> str:
    fill, formatter = why.fill, why.formatter
    ahead = formatter.quantity(fill.quantity_ahead_lots)
    if fill.rank > 1:
        ahead += f" of {count(fill.rank - 1, 'position')}"
    queue = formatter.quantity(why.explanation.queue_lots)
    return (
        f"Rank {fill.rank} of {why.round.counterparties}, highest score first; quantity ahead: "
        f"{ahead}; whole queue: {queue}. Indicator {fill.indicator} of 5."
    )


def _recomputed_line(why: FillExplanation) -> str:
    replayed = f"the book was replayed from record {why.replayed_from} to the round in record"
    numbers = "rank, score, indicator, quantity ahead and price"
    if not why.differences:
        return f"Recomputed: the same ({numbers}; {replayed} {why.sequence})."
    return (
        f"Recomputed: NOT the same: {', '.join(why.differences)} differ ({replayed} "
        f"{why.sequence}; this version ranks or prices differently from the one that wrote it)."
    )


def _trigger_lines(why: FillExplanation) -> list[str]:
    state, formatter = why.trigger, why.formatter
    name = humanize(state.trigger)
    now = f"it compared {formatter.labeled_amounts(state.numbers)}."
    if state.since_ms is not None:
        since = f"ADL by {name} was on since {moment(state.since_ms)}"
    else:
        since = f"An operator forced the round ({why.forced!r}); its price is that of ADL by {name}"
    others = [
        f"ADL by {humanize(other)} was on, too; the rule set's first trigger with inventory to "
        "close decides."
        for other in why.also_on
    ]
    if why.start is None or why.start.numbers == state.numbers:
        return [f"{since}; {now}", *others]
    return [
        f"{since}, when it compared {formatter.labeled_amounts(why.start.numbers)}.",
        f"When the round began {now}",
        *others,
    ]


def _price_line(why: FillExplanation) -> str:
    fill, formatter = why.fill, why.formatter
    inputs = formatter.labeled_amounts(why.round.numbers)
    price = formatter.price(fill.price_ticks)
    return f"Price: {humanize(fill.price_rule)} ({inputs}) gave {price}."


def _ahead_lines(why: FillExplanation) -> list[str]:
    """Return the lines on counterparties ahead: those closed first, and those skipped."""
    formatter = why.formatter
    lines = []
    if why.filled_before:
        positions = {(fill.account, fill.position) for fill in why.filled_before}
        quantity = formatter.quantity(sum(fill.lots for fill in why.filled_before))
        lines.append(
            f"Closed before it in the same round: {quantity} of "
            f"{count(len(positions), 'position')}."
        )
    for skip in why.skipped[:MAX_SKIPS_IN_TEXT]:
        numbers = formatter.labeled_amounts(skip.numbers)
        position = f" (position {skip.position})" if skip.position else ""
        lines.append(
            f"Skipped ahead of it: {skip.account}{position}, rank {skip.rank}: "
            f"{humanize(skip.reason)}{numbers and f' ({numbers})'}."
        )
    more = len(why.skipped) - MAX_SKIPS_IN_TEXT
    if more > 0:
        lines.append(f"Skipped ahead of it: {count(more, 'position')} more.")
    return lines or ["No position ahead was closed or skipped."]


def _ineligible_line(why: FillExplanation) -> str:
    reasons = [
        f"{count(number, 'position')} because {humanize(reason)}"
        for reason, number in why.round.ineligible.items()
    ]
    return f"Ineligible: {', '.join(reasons) or 'none'}."


def _takeover_line(why: FillExplanation) -> str:
    fill = why.fill
    return (
        f"Closed against takeover {fill.takeover}: {fill.contract} {fill.side.opposite} of "
        f"{fill.liquidated_account}, taken over at "
        f"{why.formatter.price(fill.takeover_price_ticks)} (the bankruptcy price, unless the venue "
        "named another)."
    )


def _money_line(why: FillExplanation) -> str:
    fill, formatter = why.fill, why.formatter
    asset = formatter.terms.settle
    returned = ""
    if fill.margin_returned_cash:
        returned = f" Margin returned: {formatter.cash(fill.margin_returned_cash)} {asset}."
    return (
        f"Realized PnL: {formatter.cash(fill.realized_pnl_cash)} {asset}; at the mark: "
        f"{formatter.cash(why.pnl_at_mark_cash)} {asset}; haircut: "
        f"{formatter.cash(why.haircut_cash)} {asset}. Fee: {formatter.cash(fill.fee_cash)} {asset}."
        f"{returned}"
    )


def _orders_line(why: FillExplanation) -> str:
    return f"Open orders to cancel: {', '.join(why.fill.cancel_orders) or 'none'}."


def _remaining_line(why: FillExplanation) -> str:
    closed_round, formatter = why.round, why.formatter
    residual = ""
    if closed_round.rounding_residual_cash:
        amount = formatter.cash(closed_round.rounding_residual_cash)
        residual = f", with {amount} {formatter.terms.settle} of rounding residual for the fund"
    if closed_round.unfunded_cash:
        amount = formatter.cash(closed_round.unfunded_cash)
        residual += (
            f"; the fund could not pay {amount} {formatter.terms.settle} of the round's loss"
        )
    return (
        f"Remaining: {formatter.quantity(why.remaining_lots)} of the position, and "
        f"{formatter.quantity(why.unfilled_lots)} of the round's inventory of "
        f"{formatter.quantity(closed_round.wanted_lots)}{residual}."
    )
