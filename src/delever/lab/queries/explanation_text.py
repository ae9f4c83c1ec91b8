"""Explanations and what-ifs as text, numbered line by line, and as named values."""

import textwrap
from collections.abc import Sequence
from typing import Any

from delever.core.explain.explanation import Explanation, TriggerState
from delever.core.explain.queue_position import QueuePosition
from delever.core.explain.what_if import AddMargin, AnyChange, OpenHedge, PartialClose, WhatIf
from delever.core.units import format_scaled, ratio_ppm
from delever.formatting import ContractFormatter, humanize, moment, percent, significant

WIDTH = 100
"""Columns after which the lines of an explanation are wrapped."""


# --- explanations ---


def explanation_text(explanation: Explanation, formatter: ContractFormatter) -> str:
    """Return an explanation as a heading and numbered lines."""
    return numbered(_heading(explanation, formatter), explanation_lines(explanation, formatter))


def explanation_lines(explanation: Explanation, formatter: ContractFormatter) -> list[str]:
    """Return the lines of an explanation, neither numbered nor wrapped."""
    return [
        *position_lines(explanation, formatter),
        *_place_lines(explanation, formatter),
        _inventory_line(explanation, formatter),
        *(_trigger_line(state, formatter) for state in explanation.triggers),
    ]


def position_lines(explanation: Explanation, formatter: ContractFormatter) -> list[str]:
    """Return the lines on PnL, equity and every term of the score."""
    return [
        _pnl_line(explanation, formatter),
        _equity_line(explanation, formatter),
        *_score_lines(explanation, formatter),
    ]


def numbered(heading: str, lines: Sequence[str]) -> str:
    """Return a heading and numbered lines, wrapped."""
    with_numbers = [f"{number:>2}. {line}" for number, line in enumerate(lines, start=1)]
    return "\n".join([_wrapped(heading, ""), "", *map(_wrapped, with_numbers)])


def explanation_facts(explanation: Explanation, formatter: ContractFormatter) -> dict[str, Any]:
    """Return an explanation as named values, exact numbers as text."""
    return {
        "as_of": explanation.as_of,
        "time_ms": explanation.time_ms,
        "rules": explanation.rules,
        "formula": explanation.formula,
        "contract": explanation.contract,
        "side": str(explanation.side),
        "account": explanation.account,
        "position": explanation.position,
        "margin_mode": _margin_mode(explanation),
        "mark": formatter.price(explanation.mark_ticks),
        "asset": formatter.terms.settle,
        **position_facts(explanation, formatter),
        "queue_quantity": formatter.quantity(explanation.queue_lots),
        "opposite_inventory": formatter.quantity(explanation.opposite_inventory_lots),
        "triggers": [
            {
                "trigger": state.trigger,
                "on": state.on,
                "since_ms": state.since_ms,
                "trigger_used_ppm": state.trigger_used_ppm,
                "price_rule": state.price_rule,
                "numbers": state.numbers,
            }
            for state in explanation.triggers
        ],
    }


def position_facts(explanation: Explanation, formatter: ContractFormatter) -> dict[str, Any]:
    """Return the valuation of a position and its place in the queue as named values."""
    return {
        "unrealized_pnl": formatter.cash(explanation.unrealized_pnl_cash),
        "notional": formatter.cash(explanation.notional_cash),
        "entry_notional": formatter.cash(explanation.entry_notional_cash),
        "equity": formatter.cash(explanation.equity_cash),
        "maintenance_margin": formatter.cash(explanation.maintenance_cash),
        "margin_ratio_ppm": explanation.margin_ratio_ppm,
        **_queue_position_facts(explanation.queue_position, formatter),
    }


def _queue_position_facts(place: QueuePosition, formatter: ContractFormatter) -> dict[str, Any]:
    is_ranked = place.reason is None
    return {
        "quantity": formatter.quantity(place.lots),
        "rank": place.rank if is_ranked else None,
        "ranked": place.ranked,
        "indicator": place.indicator if is_ranked else None,
        "quantity_ahead": formatter.quantity(place.quantity_ahead_lots) if is_ranked else None,
        "score": place.score,
        "parts": place.parts,
        "reason": None if is_ranked else str(place.reason),
    }


# --- what-ifs ---


def what_if_text(explanation: Explanation, outcome: WhatIf, formatter: ContractFormatter) -> str:
    """Return a position's place before and after a change, side by side."""
    before, after = (_cells(place, formatter) for place in (outcome.before, outcome.after))
    rows = [("", "now", "then"), *((name, before[name], after[name]) for name in before)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    change = f"What if {change_text(outcome.change, formatter)}? All other accounts are unchanged."
    return "\n".join([_wrapped(_heading(explanation, formatter), ""), change, "", *table])


def change_text(change: AnyChange, formatter: ContractFormatter) -> str:
    """Return a change in words."""
    match change:
        case AddMargin():
            amount = formatter.cash(abs(change.amount_cash))
            moved = "added" if change.amount_cash >= 0 else "withdrawn"
            return f"{amount} {formatter.terms.settle} of margin were {moved}"
        case PartialClose():
            return f"{formatter.quantity(change.lots)} were closed at the mark"
        case OpenHedge():
            return f"{formatter.quantity(change.lots)} were opened on the other side at the mark"
    return f"leverage were {format_scaled(change.leverage_hundredths, 2)}"


def what_if_facts(
    explanation: Explanation, outcome: WhatIf, formatter: ContractFormatter
) -> dict[str, Any]:
    """Return a what-if as named values, exact numbers as text."""
    return {
        "as_of": explanation.as_of,
        "rules": explanation.rules,
        "contract": explanation.contract,
        "side": str(explanation.side),
        "account": explanation.account,
        "position": explanation.position,
        "change": change_text(outcome.change, formatter),
        "before": _queue_position_facts(outcome.before, formatter),
        "after": _queue_position_facts(outcome.after, formatter),
    }


def _cells(place: QueuePosition, formatter: ContractFormatter) -> dict[str, str]:
    """Return the rows that a what-if compares, as text."""
    cells = {"quantity": formatter.quantity(place.lots)}
    if place.reason is None:
        cells["rank"] = f"{place.rank} of {place.ranked}"
        cells["indicator"] = f"{place.indicator} of 5"
        cells["quantity ahead"] = formatter.quantity(place.quantity_ahead_lots)
    else:
        why = humanize(place.reason)
        cells |= {"rank": f"not ranked: {why}", "indicator": "-", "quantity ahead": "-"}
    cells["score"] = significant(place.score)
    return cells | dict(_score_part(name, part, formatter) for name, part in place.parts.items())


# --- lines ---


def _wrapped(line: str, indent: str = "    ") -> str:
    """Return a line wrapped at WIDTH, without breaking numbers and names."""
    return textwrap.fill(
        line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _heading(explanation: Explanation, formatter: ContractFormatter) -> str:
    quantity = formatter.quantity(explanation.queue_position.lots)
    position = f" (position {explanation.position})" if explanation.position else ""
    return (
        f"{explanation.account}{position} holds {quantity} {explanation.contract} "
        f"{explanation.side}, {_margin_mode(explanation)}, at mark "
        f"{formatter.price(explanation.mark_ticks)}; rules of {explanation.rules}, as of sequence "
        f"{explanation.as_of}."
    )


def _margin_mode(explanation: Explanation) -> str:
    return "isolated" if explanation.isolated else "cross"


def _pnl_line(explanation: Explanation, formatter: ContractFormatter) -> str:
    mark = f"{formatter.cash(explanation.notional_cash)} at mark"
    entry = f"{formatter.cash(explanation.entry_notional_cash)} at entry"
    gains_with_mark = formatter.terms.cost_sign(explanation.side) > 0
    arithmetic = f"{mark} - {entry}" if gains_with_mark else f"{entry} - {mark}"
    pnl = formatter.cash(explanation.unrealized_pnl_cash)
    return f"Unrealized PnL: {arithmetic} = {pnl} {formatter.terms.settle}."


def _equity_line(explanation: Explanation, formatter: ContractFormatter) -> str:
    asset = formatter.terms.settle
    owner = "The position has" if explanation.isolated else "The account's cross margin has"
    ratio = ""
    if explanation.equity_cash > 0:
        ratio = f", a margin ratio of {percent(explanation.margin_ratio_ppm)}"
        plain_ppm = ratio_ppm(explanation.maintenance_cash, explanation.equity_cash)
        if explanation.margin_ratio_ppm != plain_ppm:
            ratio += " after collateral haircut"
    return (
        f"{owner} {formatter.cash(explanation.equity_cash)} {asset} of equity; maintenance margin "
        f"is {formatter.cash(explanation.maintenance_cash)} {asset}{ratio}."
    )


def _score_lines(explanation: Explanation, formatter: ContractFormatter) -> list[str]:
    place = explanation.queue_position
    parts = [_score_part(name, part, formatter) for name, part in place.parts.items()]
    return [
        *(f"{label[:1].upper()}{label[1:]} = {text}." for label, text in parts),
        f"Score = {explanation.formula} = {significant(place.score)}.",
    ]


def _score_part(name: str, part: float, formatter: ContractFormatter) -> tuple[str, str]:
    """Return (label, text) of a part of a score: a ratio, or an amount of money."""
    if name.endswith("_cash"):
        return formatter.labeled_amount(name, int(part))
    return humanize(name), significant(part)


def _place_lines(explanation: Explanation, formatter: ContractFormatter) -> list[str]:
    place = explanation.queue_position
    if place.reason is not None:
        why = humanize(place.reason)
        return [f"Not ranked, and not deleveraged as long as this applies: {why}."]
    ahead = formatter.quantity(place.quantity_ahead_lots)
    queue = formatter.quantity(explanation.queue_lots)
    rank = f"Rank {place.rank} of {place.ranked}, highest score first"
    return [
        f"{rank}; quantity ahead: {ahead} of {queue} in the queue.",
        f"Indicator {place.indicator} of 5.",
    ]


def _inventory_line(explanation: Explanation, formatter: ContractFormatter) -> str:
    place = explanation.queue_position
    inventory = formatter.quantity(explanation.opposite_inventory_lots)
    opposite = f"The fund's inventory on the opposite side is {inventory}"
    if place.reason is not None:
        return f"{opposite}."
    if place.quantity_ahead_lots == 0:
        return f"{opposite}; this position is the first to be deleveraged against it."
    ahead = formatter.quantity(place.quantity_ahead_lots)
    return f"{opposite}; this position is deleveraged once more than {ahead} must be closed."


def _trigger_line(state: TriggerState, formatter: ContractFormatter) -> str:
    status = "on" if state.on else f"off, trigger used {percent(state.trigger_used_ppm)}"
    since = "" if state.since_ms is None else f" since {moment(state.since_ms)}"
    numbers = formatter.labeled_amounts(state.numbers)
    return (
        f"ADL by {humanize(state.trigger)} is {status}{since} ({numbers}); its ADL price is the "
        f"{humanize(state.price_rule)}."
    )
