"""Queue, explanation and what-if of a book, as data frames and as text.

`rules` is the name of a rule set, or a `RuleSet`; None takes that of the contract's pool.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.engine import rules_of
from delever.core.explain import explanation as core
from delever.core.explain import what_if as supposed
from delever.core.explain.explanation import Explanation
from delever.core.explain.what_if import (
    AddMargin,
    AnyChange,
    Impossible,
    OpenHedge,
    PartialClose,
    SetLeverage,
)
from delever.core.messages import Amount, Reason, Side
from delever.core.rules import RULE_SETS, RuleSet
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import Ints, format_scaled, parse_decimal, scaled, steps
from delever.core.valuation.side_valuation import value_side
from delever.formatting import Figures, exact
from delever.lab.errors import InputError, UnknownNameError, in_words, unknown
from delever.lab.queries.explanation_text import (
    change_text,
    facts,
    lines_of,
    text,
    what_if_facts,
    what_if_text,
)

LEVERAGE_DECIMALS = 2
LEVERAGES = "must be from 0.01 to 1000, in 0.01"


def rank(
    book: Book, contract: str, side: str, *, rules: str | RuleSet | None = None
) -> pl.DataFrame:
    """Return the queue of one contract and side, next first; then who is not in line, and why.

    `rank` counts from 1; `indicator` is 5 in front and 1 behind; `ahead` is the quantity that is closed
    before it is this position's turn; the parts of the score have columns of their own. Quantities
    and money are exact decimals. Raises UnknownNameError for a contract or rule set that is not
    there.
    """
    state = contract_of(book, contract)
    view = value_side(book, state, side_of(side))
    queue = rank_side(view, rules_named(rules, book, state).ranking)
    rows, reasons = _rows(queue)
    figures = Figures.of(book, state)
    names = book.accounts.names
    leverages = state.tables[view.side].leverage[rows].tolist()
    return pl.DataFrame(
        [
            pl.Series("rank", _in_line(queue.rank[rows], reasons), pl.Int64),
            pl.Series("account", [names[account] for account in view.account[rows]], pl.String),
            pl.Series("position", view.position[rows]),
            quantities("quantity", view.lots[rows].tolist(), figures),
            decimals("leverage", leverages, LEVERAGE_DECIMALS),
            decimals("profit", view.profit[rows].tolist(), figures.cash_decimals),
            pl.Series("score", queue.score.value[rows]),
            pl.Series("indicator", _in_line(queue.indicator[rows], reasons), pl.Int64),
            quantities("ahead", _in_line(queue.ahead_lots[rows], reasons), figures),
            *(pl.Series(name, part[rows]) for name, part in queue.score.parts.items()),
            pl.Series("reason", reasons, pl.String),
        ]
    )


@dataclass(frozen=True, slots=True)
class Why:
    """Why a position stands where it stands; its text is numbered arithmetic."""

    explanation: Explanation
    figures: Figures

    def __str__(self) -> str:
        return text(self.explanation, self.figures)

    def lines(self) -> list[str]:
        """Return the lines of the text, neither numbered nor wrapped."""
        return lines_of(self.explanation, self.figures)

    def facts(self) -> dict[str, Any]:
        """Return the same as named values, exact numbers as text."""
        return facts(self.explanation, self.figures)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A position's place before and after one change, everybody else unchanged."""

    explanation: Explanation
    outcome: supposed.WhatIf
    figures: Figures

    def __str__(self) -> str:
        return what_if_text(self.explanation, self.outcome, self.figures)

    @property
    def change(self) -> str:
        """The change in words."""
        return change_text(self.outcome.change, self.figures)

    def facts(self) -> dict[str, Any]:
        """Return the same as named values, exact numbers as text."""
        return what_if_facts(self.explanation, self.outcome, self.figures)


def explain(
    book: Book,
    contract: str,
    account: str,
    *,
    side: str | None = None,
    position: int = 0,
    rules: str | RuleSet | None = None,
) -> Why:
    """Return why a position stands where it stands in the queue.

    `side` may be left out where the account holds only one. Raises UnknownNameError where there is
    no such position.
    """
    state = contract_of(book, contract)
    held = _side_held(book, state, account, side, position)
    chosen = rules_named(rules, book, state)
    found = core.explain(book, contract, held, account, position=position, rules=chosen)
    if isinstance(found, str):
        raise UnknownNameError(f"{contract} {held} {account} {position}: {found}")
    return Why(found, Figures.of(book, state))


def what_if(
    book: Book,
    contract: str,
    account: str,
    *,
    leverage: Amount | None = None,
    add_margin: Amount | None = None,
    close: Amount | None = None,
    hedge: Amount | None = None,
    side: str | None = None,
    position: int = 0,
    rules: str | RuleSet | None = None,
) -> WhatIf:
    """Return what exactly one change would make of a position's place in the queue.

    `leverage` is a new leverage, `add_margin` cash put in (negative: taken out), `close` a quantity
    closed at the mark, `hedge` one opened at the mark on the other side (in one-way mode that
    closes as much). Raises UnknownNameError where there is no such position, and InputError for a
    change that is no exact number, cannot be made, or is none or more than one.
    """
    why = explain(book, contract, account, side=side, position=position, rules=rules)
    asked = {"leverage": leverage, "add_margin": add_margin, "close": close, "hedge": hedge}
    given = {name: amount for name, amount in asked.items() if amount is not None}
    if len(given) != 1:
        told = " and ".join(given) or "none"
        raise InputError(f"give one of {_listed(asked)} (there is {told})")
    name, amount = next(iter(given.items()))
    outcome = supposed.what_if(
        book,
        contract,
        why.explanation.side,
        account,
        _change(why, name, amount),
        position=position,
        rules=rules_named(rules, book, contract_of(book, contract)),
    )
    if isinstance(outcome, str):
        raise UnknownNameError(f"{contract} {account}: {outcome}")
    if isinstance(outcome, Impossible):
        raise InputError(
            _why_impossible(why, outcome), column=name, value=amount, reason=outcome.reason
        )
    return WhatIf(why.explanation, outcome, why.figures)


# --- looking things up ---


def contract_of(book: Book, contract: str) -> ContractState:
    """Return a contract by name; raises UnknownNameError."""
    if contract not in book.contracts:
        raise unknown("contract", contract, book.contracts)
    return book.contracts[contract]


def side_of(side: str) -> Side:
    """Return a side by name; raises UnknownNameError."""
    if side not in set(Side):
        raise unknown("side", side, Side)
    return Side(side)


def rules_named(rules: str | RuleSet | None, book: Book, state: ContractState) -> RuleSet:
    """Return a rule set by name, or that of the contract's pool; raises UnknownNameError."""
    if rules is None:
        return rules_of(book, state)
    return rule_set(rules)


def rule_set(rules: str | RuleSet) -> RuleSet:
    """Return a rule set by name; raises UnknownNameError."""
    if isinstance(rules, RuleSet):
        return rules
    if rules not in RULE_SETS:
        raise unknown("rule set", rules, RULE_SETS)
    return RULE_SETS[rules]


def venue_of(rules: str) -> str:
    """Return the name of a rule set without that of a policy: `bybit` of `bybit+pro_rata`."""
    return rules.partition("+")[0]


def _side_held(
    book: Book, state: ContractState, account: str, side: str | None, position: int
) -> Side:
    """Return the side of an account's position, where there is only one it can be."""
    index = book.accounts.index.get(account)
    if index is None:
        raise unknown("account", account, book.accounts.names)
    held = [s for s in Side if state.tables[s].find(index, position) is not None]
    asked = [side_of(side)] if side else held
    found = [s for s in asked if s in held]
    if len(found) == 1:
        return found[0]
    numbered = f" with number {position}" if position else ""
    what = f"{side or ''} position in {state.name}{numbered}".strip()
    if not found:
        raise UnknownNameError(f"{account} holds no {what}")
    raise UnknownNameError(f"{account} holds both sides of {state.name}: say which side")


def _change(why: Why, name: str, amount: Amount) -> AnyChange:
    """Return the change that is asked for, in exact numbers."""
    number = parse_decimal(amount) if isinstance(amount, str | int) else None
    if number is None:
        raise InputError("must be an exact decimal, such as '2.5'", column=name, value=amount)
    figures = why.figures
    match name:
        case "leverage":
            hundredths = scaled(number, LEVERAGE_DECIMALS)
            if hundredths is None:
                raise InputError(LEVERAGES, column=name, value=amount)
            return SetLeverage(leverage_hundredths=hundredths)
        case "add_margin":
            cash = scaled(number, figures.cash_decimals)
            if cash is None:
                raise InputError("has too many decimals", column=name, value=amount)
            return AddMargin(amount_cash=cash)
    lots = steps(number, figures.terms.lot)
    if lots is None:
        lot = format_scaled(*figures.terms.lot)
        raise InputError(f"must be a multiple of {lot}, above 0", column=name, value=amount)
    return PartialClose(lots=lots) if name == "close" else OpenHedge(lots=lots)


def _why_impossible(why: Why, impossible: Impossible) -> str:
    """Return why a change cannot be made, with the number that it would have to keep to."""
    held = why.figures.quantity(why.explanation.standing.lots)
    told = {
        ("leverage_hundredths", Reason.OUT_OF_RANGE): LEVERAGES,
        ("lots", Reason.NOT_POSITIVE): "must be above 0",
        ("lots", Reason.EXCEEDS_POSITION): f"must be at most {held}, which is what is held",
        ("amount_cash", Reason.NEGATIVE_NOT_ALLOWED): "takes out more than the margin",
    }
    return told.get((impossible.field, impossible.reason), in_words(impossible.reason))


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}"


# --- columns ---


def _rows(queue: Queue) -> tuple[Ints, list[str | None]]:
    """Return the rows in line, then the others by reason, and each one's reason."""
    rows = queue.order.tolist()
    reasons: list[str | None] = [None] * len(rows)
    for reason, others in queue.ineligible.items():
        rows += others.tolist()
        reasons += [str(reason)] * len(others)
    return np.array(rows, np.int64), reasons


def _in_line(counts: Ints, reasons: list[str | None]) -> list[int | None]:
    """Return counts, empty for those not in line."""
    return [
        None if reason else count for count, reason in zip(counts.tolist(), reasons, strict=True)
    ]


def decimals(name: str, amounts: Iterable[int | None], places: int) -> pl.Series:
    """Return integers in units of 10^-places as a column of exact decimals."""
    cells = [None if amount is None else exact(amount, places) for amount in amounts]
    return pl.Series(name, cells, pl.Decimal(38, places))


def quantities(name: str, lots: Iterable[int | None], figures: Figures) -> pl.Series:
    """Return lots as a column of exact decimals."""
    mantissa, places = figures.terms.lot
    return decimals(name, (None if n is None else n * mantissa for n in lots), places)
