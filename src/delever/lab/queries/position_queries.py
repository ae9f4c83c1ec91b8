"""Queue, explanation and what-if of a book's positions, as data frames and as text.

`rules` is the name of a rule set, or a `RuleSet`; None selects that of the contract's pool.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import polars as pl

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.explain import explanation as core
from delever.core.explain import what_if as core_what_if
from delever.core.explain.explanation import Explanation
from delever.core.explain.queue_position import bankruptcy_prices
from delever.core.explain.what_if import (
    AddMargin,
    AnyChange,
    ImpossibleChange,
    OpenHedge,
    PartialClose,
    SetLeverage,
)
from delever.core.market.contract_terms import ContractTerms
from delever.core.market.validation import Rejection
from delever.core.messages import Amount, Reason, Side
from delever.core.rules import RULE_OPTIONS, RULE_SETS, RuleSet, rule_set_of, rule_sets_of
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import Ints, Mark, format_scaled, parse_decimal, scaled, steps
from delever.core.valuation.side_valuation import value_side
from delever.formatting import ContractFormatter, exact_decimal, html_table, rejection_text
from delever.lab.errors import InputError, UnknownNameError, check_book, check_exact, unknown
from delever.lab.queries.explanation_text import (
    change_text,
    explanation_facts,
    explanation_html,
    explanation_lines,
    explanation_summary,
    explanation_text,
    what_if_facts,
    what_if_rows,
    what_if_text,
)
from delever.lab.tables.table import as_floats, side_name
from delever.suggestions import suggestion

LEVERAGE_DECIMALS = 2
LEVERAGE_RANGE = "must be from 0.01 to 10000, in steps of 0.01"


def rank(
    book: Book,
    contract: str,
    side: str,
    *,
    rules: str | RuleSet | None = None,
    as_float: bool = False,
) -> pl.DataFrame:
    """Return the queue of one side of a contract, first the next to be deleveraged.

    Ineligible positions follow, without a rank and with a `reason`. `rank` counts from 1;
    `indicator` is 5 at the front and 1 at the back; `quantity_ahead` is the quantity that is closed
    before it is this position's turn; each part of the score has its own column.
    `bankruptcy_price` is that of a takeover at this mark, empty where the margin cannot be lost.
    Quantities, prices and money are exact decimals, or float64 with `as_float`. Raises
    UnknownNameError for an unknown contract, side or rule set.

        >>> import delever
        >>> book = delever.read_book("examples/book")
        >>> queue = delever.rank(book, "BTCUSDT", "short")
        >>> queue.select("rank", "account", "quantity_ahead", "indicator").row(1)
        (2, 'cyd', Decimal('4.000'), 3)
    """
    state = contract_of(book, contract)
    view = value_side(book, state, side_of(side))
    queue = rank_side(view, rules_named(rules, book, state).ranking)
    rows, reasons = _rows(queue)
    formatter = ContractFormatter.of(book, state)
    names = book.accounts.names
    bankruptcies = bankruptcy_prices(book, state, view, rows.tolist())
    leverages = state.tables[view.side].leverage[rows].tolist()
    frame = pl.DataFrame(
        [
            pl.Series("rank", _ranked_only(queue.rank[rows], reasons), pl.Int64),
            pl.Series("account", [names[account] for account in view.account[rows]], pl.String),
            pl.Series("position", view.position[rows]),
            quantities("quantity", view.lots[rows].tolist(), formatter),
            decimals("leverage", leverages, LEVERAGE_DECIMALS),
            decimals("unrealized_pnl", view.unrealized_pnl[rows].tolist(), formatter.cash_decimals),
            prices("bankruptcy_price", bankruptcies, formatter),
            pl.Series("score", queue.score.value[rows]),
            pl.Series("indicator", _ranked_only(queue.indicator[rows], reasons), pl.Int64),
            quantities(
                "quantity_ahead", _ranked_only(queue.quantity_ahead_lots[rows], reasons), formatter
            ),
            *(
                pl.Series(name, part[rows])
                for name, part in queue.score.parts.items()
                if name != "unrealized_pnl"  # is a column already, exact
            ),
            pl.Series("reason", reasons, pl.String),
        ]
    )
    return as_floats(frame) if as_float else frame


@dataclass(frozen=True, slots=True, repr=False)
class PositionExplanation:
    """The explanation of a position's place in the queue; its text is numbered arithmetic."""

    explanation: Explanation
    formatter: ContractFormatter

    def __str__(self) -> str:
        return explanation_text(self.explanation, self.formatter)

    def __repr__(self) -> str:
        return f"<PositionExplanation: {explanation_summary(self.explanation)}>"

    def _repr_html_(self) -> str:
        return explanation_html(self.explanation, self.formatter)

    def lines(self) -> list[str]:
        """Return the lines of the text, neither numbered nor wrapped."""
        return explanation_lines(self.explanation, self.formatter)

    def facts(self) -> dict[str, Any]:
        """Return the explanation as named values, exact numbers as text."""
        return explanation_facts(self.explanation, self.formatter)


@dataclass(frozen=True, slots=True, repr=False)
class WhatIfResult:
    """A position's place before and after one change, all other accounts unchanged."""

    explanation: Explanation
    outcome: core_what_if.WhatIf
    formatter: ContractFormatter

    def __str__(self) -> str:
        return what_if_text(self.explanation, self.outcome, self.formatter)

    def __repr__(self) -> str:
        return f"<WhatIfResult: {explanation_summary(self.explanation)}; what if {self.change}?>"

    def _repr_html_(self) -> str:
        rows = html_table(what_if_rows(self.outcome, self.formatter))
        return f"<p>{escape(repr(self)[1:-1])}</p>{rows}"

    @property
    def change(self) -> str:
        """The change in words."""
        return change_text(self.outcome.change, self.formatter)

    def facts(self) -> dict[str, Any]:
        """Return the what-if as named values, exact numbers as text."""
        return what_if_facts(self.explanation, self.outcome, self.formatter)


def explain(
    book: Book,
    contract: str,
    account: str,
    *,
    side: str | None = None,
    position: int = 0,
    rules: str | RuleSet | None = None,
) -> PositionExplanation:
    """Return the explanation of a position's place in the queue.

    `side` may be omitted if the account has positions on one side only. Raises UnknownNameError for
    an unknown position.

        >>> import delever
        >>> book = delever.read_book("examples/book")
        >>> explanation = delever.explain(book, "BTCUSDT", "bob")
        >>> print(explanation.lines()[0])
        Unrealized PnL: 272481 at entry - 256002 at mark = 16479 USDT.
    """
    state = contract_of(book, contract)
    position_side = _position_side(book, state, account, side, position)
    chosen = rules_named(rules, book, state)
    found = core.explain(book, contract, position_side, account, position=position, rules=chosen)
    if isinstance(found, str):
        raise UnknownNameError(f"{contract} {position_side} {account} {position}: {found}")
    return PositionExplanation(found, ContractFormatter.of(book, state))


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
) -> WhatIfResult:
    """Return a position's place in the queue before and after exactly one change.

    `leverage` is a new leverage, `add_margin` cash added (negative: withdrawn), `close` a quantity
    closed at the mark, `hedge` one opened at the mark on the other side (in one-way mode it closes
    as much). Raises UnknownNameError for an unknown position, and InputError for a change that is
    not an exact number or cannot be made, and for none or several changes.

        >>> import delever
        >>> book = delever.read_book("examples/book")
        >>> outcome = delever.what_if(book, "BTCUSDT", "bob", close="1.5").facts()
        >>> outcome["change"], outcome["before"]["rank"], outcome["after"]["rank"]
        ('1.5 were closed at the mark', 1, 2)
    """
    why = explain(book, contract, account, side=side, position=position, rules=rules)
    changes = {"leverage": leverage, "add_margin": add_margin, "close": close, "hedge": hedge}
    given = {name: amount for name, amount in changes.items() if amount is not None}
    if len(given) != 1:
        names = " and ".join(given) or "none"
        raise InputError(f"give exactly one of {_listed(changes)}, not {names}")
    name, amount = next(iter(given.items()))
    outcome = core_what_if.what_if(
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
    if isinstance(outcome, ImpossibleChange):
        raise InputError(
            _why_impossible(why, outcome), column=name, value=amount, reason=outcome.reason
        )
    return WhatIfResult(why.explanation, outcome, why.formatter)


# --- lookups by name ---


def contract_of(book: Book, contract: str) -> ContractState:
    """Return a contract by name; raises UnknownNameError."""
    check_book(book)
    if contract not in book.contracts:
        raise unknown("contract", contract, book.contracts)
    return book.contracts[contract]


def side_of(side: str) -> Side:
    """Return a side by name, delever's or a venue's (LONG, Buy); raises UnknownNameError."""
    name = side_name(side) if isinstance(side, str) else side
    if name not in set(Side):
        raise unknown("side", side, Side)
    return Side(name)


def lots_of(state: ContractState, column: str, quantity: Amount) -> int:
    """Return a quantity above 0 in lots; raises InputError, with the lot where it is no multiple.

    >>> import delever
    >>> book = delever.read_book("examples/book")
    >>> lots_of(book.contracts["BTCUSDT"], "quantity", "1.5")
    1500
    """
    check_exact(column, quantity)
    try:
        lots = int(state.terms.read_lots(column, quantity))
    except Rejection as rejection:
        why = rejection_text(rejection.reason)
        if rejection.reason is Reason.INVALID_LOT_MULTIPLE:
            why = _no_multiple(state.terms)
        raise InputError(why, column=column, value=quantity) from None
    if lots <= 0:
        raise InputError("must be above 0", column=column, value=quantity)
    return lots


def _no_multiple(terms: ContractTerms) -> str:
    return f"must be a multiple of {format_scaled(*terms.lot)}, above 0"


def rules_named(rules: str | RuleSet | None, book: Book, state: ContractState) -> RuleSet:
    """Return a rule set by name, or that of the contract's pool; raises UnknownNameError."""
    if rules is None:
        return rule_set_of(book, state)
    return rule_set(rules, rule_sets_of(book))


def rule_set(rules: str | RuleSet, known: Mapping[str, RuleSet] = RULE_SETS) -> RuleSet:
    """Return a rule set by name; raises UnknownNameError."""
    if isinstance(rules, RuleSet):
        return rules
    if rules not in known:
        raise _unknown_rule_set(rules, known)
    return known[rules]


def _unknown_rule_set(name: str, known: Mapping[str, RuleSet]) -> UnknownNameError:
    """Return the error for a rule set, which names the venue or the option that does not exist."""
    venue, *options = name.split("+") if isinstance(name, str) else [name]  # no name: 5
    if not options or venue not in known:
        return unknown("rule set", venue, known)
    if not known[venue].cases:
        return UnknownNameError(f"{name!r}: rule set {venue!r} has no queue, so it has no options")
    wrong = next(option for option in options if f"{venue}+{option}" not in known)
    why = f"there is no option {wrong!r}{suggestion(wrong, RULE_OPTIONS)}"
    return UnknownNameError(f"rule set {name!r}: {why}")


def venue_of(rules: str) -> str:
    """Return the name of a rule set without that of a policy: `bybit` of `bybit+pro_rata`."""
    return rules.partition("+")[0]


def _position_side(
    book: Book, state: ContractState, account: str, side: str | None, position: int
) -> Side:
    """Return the side of an account's position; raises UnknownNameError unless there is one."""
    index = book.accounts.index.get(account)
    if index is None:
        raise unknown("account", account, book.accounts.names)
    sides = [side_of(side)] if side else list(Side)
    found = [s for s in sides if state.tables[s].find(index, position) is not None]
    if len(found) == 1:
        return found[0]
    with_id = f" with id {position}" if position else ""
    what = f"{side or ''} position in {state.name}{with_id}".strip()
    if not found:
        raise UnknownNameError(f"{account} has no {what}")
    raise UnknownNameError(f"{account} has both sides of {state.name}: give the side")


def _change(why: PositionExplanation, name: str, amount: Amount) -> AnyChange:
    """Return a change in exact numbers; raises InputError."""
    check_exact(name, amount)
    number = parse_decimal(amount) if isinstance(amount, str | int) else None
    if number is None:
        raise InputError("must be an exact decimal, such as '2.5'", column=name, value=amount)
    formatter = why.formatter
    match name:
        case "leverage":
            hundredths = scaled(number, LEVERAGE_DECIMALS)
            if hundredths is None:
                raise InputError(LEVERAGE_RANGE, column=name, value=amount)
            return SetLeverage(leverage_hundredths=hundredths)
        case "add_margin":
            cash = scaled(number, formatter.cash_decimals)
            if cash is None:
                raise InputError("has too many decimals", column=name, value=amount)
            return AddMargin(amount_cash=cash)
    lots = steps(number, formatter.terms.lot)
    if lots is None:
        raise InputError(_no_multiple(formatter.terms), column=name, value=amount)
    return PartialClose(lots=lots) if name == "close" else OpenHedge(lots=lots)


def _why_impossible(why: PositionExplanation, impossible: ImpossibleChange) -> str:
    """Return why a change cannot be made, with the limit that it exceeds."""
    quantity = why.formatter.quantity(why.explanation.queue_position.lots)
    texts = {
        ("leverage_hundredths", Reason.OUT_OF_RANGE): LEVERAGE_RANGE,
        ("lots", Reason.NOT_POSITIVE): "must be above 0",
        ("lots", Reason.EXCEEDS_POSITION): f"must be at most the position's quantity, {quantity}",
        ("amount_cash", Reason.NEGATIVE_NOT_ALLOWED): "withdraws more than the margin",
    }
    return texts.get((impossible.field, impossible.reason), rejection_text(impossible.reason))


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}"


# --- columns ---


def _rows(queue: Queue) -> tuple[Ints, list[str | None]]:
    """Return the ranked rows, then the ineligible ones by reason, with the reason of each."""
    rows = queue.order.tolist()
    reasons: list[str | None] = [None] * len(rows)
    for reason, others in queue.ineligible.items():
        rows += others.tolist()
        reasons += [str(reason)] * len(others)
    return np.array(rows, np.int64), reasons


def _ranked_only(counts: Ints, reasons: list[str | None]) -> list[int | None]:
    """Return counts, None for ineligible positions."""
    return [
        None if reason else count for count, reason in zip(counts.tolist(), reasons, strict=True)
    ]


def decimals(name: str, amounts: Iterable[int | None], places: int) -> pl.Series:
    """Return integers in units of 10^-places as a column of exact decimals."""
    cells = [None if amount is None else exact_decimal(amount, places) for amount in amounts]
    return pl.Series(name, cells, pl.Decimal(38, places))


def quantities(name: str, lots: Iterable[int | None], formatter: ContractFormatter) -> pl.Series:
    """Return lots as a column of exact decimals."""
    mantissa, places = formatter.terms.lot
    return decimals(name, (None if n is None else n * mantissa for n in lots), places)


def prices(name: str, ticks: Iterable[Mark | None], formatter: ContractFormatter) -> pl.Series:
    """Return Ticks as a column of exact decimals."""
    cells = [None if price is None else formatter.exact_price(price) for price in ticks]
    return pl.Series(name, cells, pl.Decimal(38, formatter.terms.tick[1]))
