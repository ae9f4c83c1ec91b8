"""An explanation as numbered arithmetic, in words and numbers."""

import textwrap
from collections.abc import Sequence
from typing import Any

from delever.core.explain.explanation import Explanation, Standing, TriggerState
from delever.core.explain.what_if import AddMargin, AnyChange, OpenHedge, PartialClose, WhatIf
from delever.core.units import format_scaled
from delever.formatting import Figures, percent
from delever.lab.errors import in_words

WIDTH = 100
"""Where lines of an explanation end."""


def text(told: Explanation, figures: Figures) -> str:
    """Return an explanation as numbered lines."""
    return numbered(_heading(told, figures), lines_of(told, figures))


def lines_of(told: Explanation, figures: Figures) -> list[str]:
    """Return an explanation's lines of arithmetic, neither numbered nor wrapped."""
    return [
        *position_lines(told, figures),
        *_place(told, figures),
        _inventory(told, figures),
        *(_trigger(state, figures) for state in told.triggers),
    ]


def numbered(heading: str, lines: Sequence[str]) -> str:
    """Return a heading and numbered lines, wrapped."""
    counted = [f"{number:>2}. {line}" for number, line in enumerate(lines, start=1)]
    return "\n".join([_wrapped(heading, ""), "", *map(_wrapped, counted)])


def position_lines(told: Explanation, figures: Figures) -> list[str]:
    """Return profit, equity and the score taken apart, each as a line."""
    return [_profit(told, figures), _equity(told, figures), *_score(told, figures)]


def what_if_text(told: Explanation, outcome: WhatIf, figures: Figures) -> str:
    """Return a position's place before and after a change, side by side."""
    before, after = (_cells(standing, figures) for standing in (outcome.before, outcome.after))
    rows = [("", "now", "then"), *((name, before[name], after[name]) for name in before)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    change = f"What if {change_text(outcome.change, figures)}? Everybody else stays as they are."
    return "\n".join([_wrapped(_heading(told, figures), ""), change, "", *table])


def change_text(change: AnyChange, figures: Figures) -> str:
    """Return a change in words."""
    match change:
        case AddMargin():
            amount = figures.cash(abs(change.amount_cash))
            moved = "put in" if change.amount_cash >= 0 else "taken out"
            return f"{amount} {figures.terms.settle} of margin were {moved}"
        case PartialClose():
            return f"{figures.quantity(change.lots)} were closed at the mark"
        case OpenHedge():
            return f"{figures.quantity(change.lots)} were opened on the other side at the mark"
    return f"leverage were {format_scaled(change.leverage_hundredths, 2)}"


def facts(told: Explanation, figures: Figures) -> dict[str, Any]:
    """Return an explanation as named values, exact numbers as text."""
    return {
        "as_of": told.as_of,
        "time_ms": told.time_ms,
        "rules": told.rules,
        "formula": told.formula,
        "contract": told.contract,
        "side": str(told.side),
        "account": told.account,
        "position": told.position,
        "margin_mode": _mode(told),
        "mark": figures.price(told.mark_ticks),
        "asset": figures.terms.settle,
        **position_facts(told, figures),
        "queue_quantity": figures.quantity(told.queue_lots),
        "inventory_against": figures.quantity(told.opposite_inventory_lots),
        "triggers": [
            {
                "trigger": state.trigger,
                "on": state.on,
                "since_ms": state.since_ms,
                "trigger_used_ppm": state.trigger_used_ppm,
                "price_rule": state.price_rule,
                "numbers": state.numbers,
            }
            for state in told.triggers
        ],
    }


def position_facts(told: Explanation, figures: Figures) -> dict[str, Any]:
    """Return what a position is worth and where it stands as named values."""
    return {
        "profit": figures.cash(told.profit_cash),
        "value_at_mark": figures.cash(told.notional_cash),
        "value_at_entry": figures.cash(told.entry_notional_cash),
        "equity": figures.cash(told.equity_cash),
        "maintenance_margin": figures.cash(told.maintenance_cash),
        "margin_rate_ppm": told.margin_rate_ppm,
        **_standing(told.standing, figures),
    }


def what_if_facts(told: Explanation, outcome: WhatIf, figures: Figures) -> dict[str, Any]:
    """Return a what-if as named values, exact numbers as text."""
    return {
        "as_of": told.as_of,
        "rules": told.rules,
        "contract": told.contract,
        "side": str(told.side),
        "account": told.account,
        "position": told.position,
        "change": change_text(outcome.change, figures),
        "before": _standing(outcome.before, figures),
        "after": _standing(outcome.after, figures),
    }


def _standing(standing: Standing, figures: Figures) -> dict[str, Any]:
    ranked = standing.reason is None
    return {
        "quantity": figures.quantity(standing.lots),
        "rank": standing.rank if ranked else None,
        "of": standing.of,
        "indicator": standing.indicator if ranked else None,
        "ahead": figures.quantity(standing.ahead_lots) if ranked else None,
        "score": standing.score,
        "parts": standing.parts,
        "reason": None if ranked else str(standing.reason),
    }


def _cells(standing: Standing, figures: Figures) -> dict[str, str]:
    """Return what a what-if compares, as text."""
    cells = {"quantity": figures.quantity(standing.lots)}
    if standing.reason is None:
        cells["rank"] = f"{standing.rank} of {standing.of}"
        cells["indicator"] = f"{standing.indicator} of 5"
        cells["ahead"] = figures.quantity(standing.ahead_lots)
    else:
        why = in_words(standing.reason)
        cells |= {"rank": f"not in line: {why}", "indicator": "-", "ahead": "-"}
    cells["score"] = short(standing.score)
    return cells | dict(_part(name, part, figures) for name, part in standing.parts.items())


def _part(name: str, part: float, figures: Figures) -> tuple[str, str]:
    """Return (what, how much) of a part of a score: most are ratios, some are money."""
    if name.endswith("_cash"):
        return figures.number(name, int(part))
    return in_words(name), short(part)


def _wrapped(line: str, indent: str = "    ") -> str:
    """Return a line in several where it is long; numbers and names stay whole."""
    return textwrap.fill(
        line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def short(number: float) -> str:
    """Return a score with six digits that count."""
    return f"{number:.6g}"


# --- the lines ---


def _heading(told: Explanation, figures: Figures) -> str:
    quantity = figures.quantity(told.standing.lots)
    number = f" (position {told.position})" if told.position else ""
    return (
        f"{told.account}{number} holds {quantity} {told.contract} {told.side}, {_mode(told)}, "
        f"at mark {figures.price(told.mark_ticks)}; rules of {told.rules}, as of sequence "
        f"{told.as_of}."
    )


def _mode(told: Explanation) -> str:
    return "isolated" if told.isolated else "cross"


def _profit(told: Explanation, figures: Figures) -> str:
    asset = figures.terms.settle
    mark, entry = figures.cash(told.notional_cash), figures.cash(told.entry_notional_cash)
    rises = figures.terms.cost_sign(told.side) > 0
    terms = [f"{mark} at mark", f"{entry} at entry"]
    arithmetic = " - ".join(terms if rises else reversed(terms))
    return f"Profit: {arithmetic} = {figures.cash(told.profit_cash)} {asset}."


def _equity(told: Explanation, figures: Figures) -> str:
    asset = figures.terms.settle
    own = "The position has" if told.isolated else "The account's cross margin has"
    rate = "" if told.equity_cash <= 0 else (
        f", {percent(told.margin_rate_ppm)} of it"
    )  # fmt: skip
    return (
        f"{own} {figures.cash(told.equity_cash)} {asset} of equity; maintenance margin is "
        f"{figures.cash(told.maintenance_cash)} {asset}{rate}."
    )


def _score(told: Explanation, figures: Figures) -> list[str]:
    parts = [_part(name, part, figures) for name, part in told.standing.parts.items()]
    told_parts = [f"{what.capitalize()} = {amount}." for what, amount in parts]
    return [*told_parts, f"Score = {told.formula} = {short(told.standing.score)}."]


def _place(told: Explanation, figures: Figures) -> list[str]:
    standing = told.standing
    if standing.reason is not None:
        why = in_words(standing.reason)
        return [f"Not in line, and never closed as long as that is so: {why}."]
    ahead = figures.quantity(standing.ahead_lots) if standing.ahead_lots else "nobody"
    line = figures.quantity(told.queue_lots)
    place = f"Rank {standing.rank} of {standing.of}, highest score first"
    return [f"{place}; ahead: {ahead}, of {line} in line.", f"Indicator {standing.indicator} of 5."]


def _inventory(told: Explanation, figures: Figures) -> str:
    held = figures.quantity(told.opposite_inventory_lots)
    against = f"The pool holds {held} {told.side.opposite} to be closed against this side"
    if told.standing.reason is not None:
        return f"{against}."
    if told.standing.ahead_lots == 0:
        return f"{against}; the next to be closed is this position."
    return f"{against}; beyond {figures.quantity(told.standing.ahead_lots)} it is its turn."


def _trigger(state: TriggerState, figures: Figures) -> str:
    way = "on" if state.on else f"off, {percent(state.trigger_used_ppm)} of the way"
    since = "" if state.since_ms is None else f" since {state.since_ms} ms"
    numbers = figures.numbers(state.numbers)
    return (
        f"ADL by {in_words(state.trigger)} is {way}{since} ({numbers}); it would close at the "
        f"{in_words(state.price_rule)}."
    )
