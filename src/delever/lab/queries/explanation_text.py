"""Explanations and what-ifs as text, numbered line by line, and as named values."""

import textwrap
from collections.abc import Sequence
from html import escape
from typing import Any

from delever.core.explain.explanation import Explanation, TriggerState
from delever.core.explain.queue_position import QueuePosition
from delever.core.explain.what_if import AddMargin, AnyChange, OpenHedge, PartialClose, WhatIf
from delever.core.units import format_scaled, ratio_ppm
from delever.formatting import ContractFormatter, html_table, humanize, moment, percent, significant

TERM_LABELS = {
    "unrealized_pnl": "unrealized PnL",
    "positive_pnl": "PnL, at least 0",
    "joint_pnl": "joint PnL",
    "notional": "notional at mark",
    "joint_notional": "joint notional at mark",
    "entry_notional": "notional at entry",
    "cover": "share of equity",
    "positive_equity": "equity, at least 0",
    "floored_equity": "equity, at least 1",
    "floored_balance": "balance, at least 1",
    "maintenance": "maintenance margin of the position",
    "bucket_maintenance": "maintenance margin",
}
"""Terms of scores whose label is not the words of their name."""

WIDTH = 100
"""Columns after which the lines of an explanation are wrapped."""

MAX_LISTED = 8
"""Positions that share a margin, listed in one line."""


# --- explanations ---


def explanation_text(explanation: Explanation, formatter: ContractFormatter) -> str:
    """Return an explanation as a heading, numbered lines and the table of triggers."""
    lines = numbered(_heading(explanation, formatter), explanation_lines(explanation, formatter))
    if not explanation.triggers:
        return lines
    return f"{lines}\n\n{_columns_text(trigger_table(explanation.triggers, formatter))}"


def explanation_lines(explanation: Explanation, formatter: ContractFormatter) -> list[str]:
    """Return the lines of an explanation, neither numbered nor wrapped."""
    return [
        *position_lines(explanation, formatter),
        *_place_lines(explanation, formatter),
        _inventory_line(explanation, formatter),
        *(_trigger_line(state) for state in explanation.triggers),
    ]


def explanation_html(explanation: Explanation, formatter: ContractFormatter) -> str:
    """Return an explanation as HTML, for a notebook: a heading, a list and a table."""
    lines = explanation_lines(explanation, formatter)
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    table = html_table(trigger_table(explanation.triggers, formatter))
    heading = escape(_heading(explanation, formatter))
    return f"<p>{heading}</p><ol>{items}</ol>{table if explanation.triggers else ''}"


def explanation_summary(explanation: Explanation) -> str:
    """Return in one line which position is explained, and its place in the queue."""
    place = explanation.queue_position
    rank = f"rank {place.rank} of {place.ranked}" if place.reason is None else str(place.reason)
    return (
        f"{explanation.account} {explanation.contract} {explanation.side}: {rank}, "
        f"score {significant(place.score)} by {explanation.rules}"
    )


def trigger_table(
    triggers: Sequence[TriggerState], formatter: ContractFormatter
) -> list[tuple[str, ...]]:
    """Return the numbers that triggers compared: a row for each, a column for each trigger."""
    columns = [_trigger_cells(state, formatter) for state in triggers]
    labels = dict.fromkeys(label for column in columns for label in column)
    heading = ("trigger", *(humanize(state.trigger) for state in triggers))
    rows = [(label, *(column.get(label, "") for column in columns)) for label in labels]
    return [heading, *rows]


def _trigger_cells(state: TriggerState, formatter: ContractFormatter) -> dict[str, str]:
    return {
        "ADL": "on" if state.on else "off",
        "trigger used": percent(state.trigger_used_ppm),
        "ADL price": humanize(state.price_rule),
    } | dict(formatter.labeled_amount(name, number) for name, number in state.numbers.items())


def _columns_text(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows as text in aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def position_lines(explanation: Explanation, formatter: ContractFormatter) -> list[str]:
    """Return the lines on PnL, equity, bankruptcy price and every term of the score."""
    return [
        _pnl_line(explanation, formatter),
        *_joint_lines(explanation, formatter),
        *_cross_lines(explanation, formatter),
        _equity_line(explanation, formatter),
        _share_line(explanation, formatter),
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
        "joint_pnl": formatter.cash(explanation.joint_pnl_cash),
        "joint_notional": formatter.cash(explanation.joint_notional_cash),
        "initial_margin": formatter.cash(explanation.initial_margin_cash),
        "balance": formatter.cash(explanation.balance_cash),
        "equity": formatter.cash(explanation.equity_cash),
        "share_of_equity": formatter.cash(explanation.share_of_equity_cash),
        "bankruptcy_price": _bankruptcy_price(explanation, formatter),
        "maintenance_margin": formatter.cash(explanation.maintenance_cash),
        "position_maintenance_margin": formatter.cash(explanation.position_maintenance_cash),
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
        "terms": {name: _term(name, n, formatter) for name, n in place.terms.items()},
        "reason": None if is_ranked else str(place.reason),
    }


# --- what-ifs ---


def what_if_rows(outcome: WhatIf, formatter: ContractFormatter) -> list[tuple[str, str, str]]:
    """Return a position's place before and after a change as rows of text."""
    before, after = (_cells(place, formatter) for place in (outcome.before, outcome.after))
    return [("", "now", "then"), *((name, before[name], after[name]) for name in before)]


def what_if_text(explanation: Explanation, outcome: WhatIf, formatter: ContractFormatter) -> str:
    """Return a position's place before and after a change, side by side."""
    rows = what_if_rows(outcome, formatter)
    change = f"What if {change_text(outcome.change, formatter)}? All other accounts are unchanged."
    return "\n".join(
        [_wrapped(_heading(explanation, formatter), ""), change, "", _columns_text(rows)]
    )


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


def _joint_lines(explanation: Explanation, formatter: ContractFormatter) -> list[str]:
    """Return the line on a hedge, whose two sides some venues rank as one."""
    if explanation.joint_notional_cash == explanation.notional_cash:
        return []
    pnl = formatter.cash(explanation.joint_pnl_cash)
    notional = formatter.cash(explanation.joint_notional_cash)
    asset = formatter.terms.settle
    return [f"With the other side of the hedge: joint PnL {pnl} {asset}, notional {notional}."]


def _cross_lines(explanation: Explanation, formatter: ContractFormatter) -> list[str]:
    """Return the line on the positions that share the account's margin, where there are several."""
    if len(explanation.cross_positions) < 2:
        return []
    listed = [
        f"{each.contract} {each.side} (PnL {formatter.cash(each.unrealized_pnl_cash)}, "
        f"maintenance margin {formatter.cash(each.maintenance_cash)})"
        for each in explanation.cross_positions[:MAX_LISTED]
    ]
    more = len(explanation.cross_positions) - len(listed)
    return [
        f"{len(explanation.cross_positions)} positions share the margin: {', '.join(listed)}"
        + (f" and {more} more." if more else ".")
    ]


def _equity_line(explanation: Explanation, formatter: ContractFormatter) -> str:
    asset, cash = formatter.terms.settle, formatter.cash
    owner = "the position" if explanation.isolated else "the account's cross margin"
    where = " in all its assets at index prices" if explanation.multi_asset else ""
    ratio = ""
    if explanation.equity_cash > 0:
        ratio = f", a margin ratio of {percent(explanation.margin_ratio_ppm)}"
        plain_ppm = ratio_ppm(explanation.maintenance_cash, explanation.equity_cash)
        if explanation.margin_ratio_ppm != plain_ppm:
            ratio += " after collateral haircut"
    return (
        f"Equity of {owner}{where}: {cash(explanation.balance_cash)} balance + "
        f"{cash(explanation.bucket_pnl_cash)} unrealized PnL = {cash(explanation.equity_cash)} "
        f"{asset}; maintenance margin is {cash(explanation.maintenance_cash)} {asset}{ratio}."
    )


def _share_line(explanation: Explanation, formatter: ContractFormatter) -> str:
    """Return the line on what the position can lose until its own equity is zero."""
    cash, asset = formatter.cash, formatter.terms.settle
    share, price = cash(explanation.share_of_equity_cash), _bankruptcy_price(explanation, formatter)
    arithmetic = ""
    if explanation.shared_maintenance_cash != explanation.position_maintenance_cash:
        arithmetic = (
            f"{cash(explanation.equity_cash)} equity x "
            f"{cash(explanation.position_maintenance_cash)} / "
            f"{cash(explanation.shared_maintenance_cash)} maintenance margin = "
        )
    bankruptcy = "it cannot lose all of it" if price is None else f"bankruptcy price {price}"
    return f"Share of equity: {arithmetic}{share} {asset}; {bankruptcy}."


def _bankruptcy_price(explanation: Explanation, formatter: ContractFormatter) -> str | None:
    ticks = explanation.bankruptcy_ticks
    return None if ticks is None else formatter.price(ticks)


def _score_lines(explanation: Explanation, formatter: ContractFormatter) -> list[str]:
    place = explanation.queue_position
    parts = [_part_cells(place, name, formatter) for name in place.parts]
    lines = [" = ".join(cells) for cells in parts]
    score = _score_line(explanation, [cells[-1] for cells in parts], formatter)
    return [*(f"{line[:1].upper()}{line[1:]}." for line in lines), score]


def _part_cells(place: QueuePosition, name: str, formatter: ContractFormatter) -> list[str]:
    """Return the label of a part of a score, its quotient of terms, and its value."""
    label, text = _score_part(name, place.parts[name], formatter)
    if f"{name}_lots" in place.terms:
        text = formatter.quantity(place.terms[f"{name}_lots"])
    quotient = [
        f"{_term(term, place.terms[term], formatter)} ({_label(term)})"
        for term in place.quotients.get(name, ())
    ]
    return [label, *([" / ".join(quotient)] if quotient else []), text]


def _score_line(
    explanation: Explanation, parts: Sequence[str], formatter: ContractFormatter
) -> str:
    """Return the score with its arithmetic, or the numbers that it is counted from."""
    place = explanation.queue_position
    arithmetic = ""
    if len(place.parts) == 1 and next(iter(place.parts)).endswith("_cash"):
        arithmetic = f"{parts[0]} in units of {formatter.cash(1)} = "
    if place.quotients and len(parts) == 2:
        divides = place.divides_losers and place.parts[next(iter(place.parts))] <= 0
        arithmetic = f"{parts[0]} {'/' if divides else 'x'} {parts[1]} = "
    counted = [
        f"{_label(name)} {_term(name, number, formatter)}"
        for name, number in place.terms.items()
        if name.endswith("_number")
    ]
    numbers = f" ({', '.join(counted)})" if counted else ""
    return f"Score = {arithmetic}{significant(place.score)}: {explanation.formula}{numbers}."


def _term(name: str, number: int, formatter: ContractFormatter) -> str:
    """Return a term of a score as text: Cash unless its name has another unit."""
    if name.endswith("_number"):
        return str(number)
    return formatter.quantity(number) if name.endswith("_lots") else formatter.cash(number)


def _label(name: str) -> str:
    return TERM_LABELS.get(name, humanize(name.removesuffix("_number").removesuffix("_lots")))


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


def _trigger_line(state: TriggerState) -> str:
    status = "on" if state.on else f"off, trigger used {percent(state.trigger_used_ppm)}"
    since = "" if state.since_ms is None else f" since {moment(state.since_ms)}"
    price = humanize(state.price_rule)
    return f"ADL by {humanize(state.trigger)} is {status}{since}; its ADL price is the {price}."
