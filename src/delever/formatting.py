"""Integers, names and times as text: the one place, for server, lab, dashboard and command line.

Decimals are exact and without trailing zeros; nothing here rounds, except `significant`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Self

from delever.core.units import Mark, format_scaled

if TYPE_CHECKING:
    from delever.core.book import Book
    from delever.core.book.contract_state import ContractState
    from delever.core.market.contract_terms import ContractTerms

PPM_DECIMALS = 6

PERCENT_DECIMALS = 4
"""Decimals of parts per million as percent: -300000 is -30 %."""


@dataclass(frozen=True, slots=True)
class ContractFormatter:
    """Formats the integers of one contract: Cash, Ticks and Lots."""

    terms: "ContractTerms"
    cash_decimals: int

    @classmethod
    def of(cls, book: "Book", state: "ContractState") -> Self:
        """Return the formatter of a contract in a book."""
        return cls(state.terms, book.asset_of(state).cash_decimals)

    def at(self, sequence: int) -> Self:
        """Return the formatter of the events of a sequence: ticks and lots may be former ones."""
        return replace(self, terms=self.terms.at(sequence)) if self.terms.former else self

    def cash(self, amount_cash: int) -> str:
        """Return an amount in units of the settle asset."""
        return format_scaled(amount_cash, self.cash_decimals)

    def price(self, ticks: Mark) -> str:
        """Return a price, or a mark of any precision."""
        return format_scaled(*self.terms.decimal_of(ticks))

    def quantity(self, lots: int) -> str:
        """Return a quantity."""
        return format_scaled(lots * self.terms.lot[0], self.terms.lot[1])

    def exact_cash(self, amount_cash: int) -> Decimal:
        """Return an amount in units of the settle asset, as a decimal."""
        return exact_decimal(amount_cash, self.cash_decimals)

    def exact_price(self, ticks: Mark) -> Decimal:
        """Return a price as a decimal."""
        return exact_decimal(*self.terms.decimal_of(ticks))

    def exact_quantity(self, lots: int) -> Decimal:
        """Return a quantity as a decimal."""
        return exact_decimal(lots * self.terms.lot[0], self.terms.lot[1])

    def amount(self, name: str, amount: int) -> tuple[str, str]:
        """Return (name, text) of an integer whose name ends in its unit.

        `_cash`, `_ticks` and `_lots` become decimals and leave the name; other units stay.
        """
        stem, _, unit = name.rpartition("_")
        match unit:
            case "cash":
                return stem, self.cash(amount)
            case "ticks":
                return stem, self.price(amount)
            case "lots":
                return stem, self.quantity(amount)
        return name, str(amount)

    def labeled_amount(self, name: str, amount: int) -> tuple[str, str]:
        """Return (label, text) of an integer whose name ends in its unit, with the unit in text."""
        stem, _, unit = name.rpartition("_")
        match unit:
            case "ppm":
                return humanize(stem), percent(amount)
            case "ms":
                return humanize(stem), f"{amount} ms"
            case "cash":
                return humanize(stem), f"{self.cash(amount)} {self.terms.settle}"
        name, text = self.amount(name, amount)
        return humanize(name), text

    def labeled_amounts(self, amounts: dict[str, int]) -> str:
        """Return 'label text, label text, ...' of integers whose names end in their units."""
        pairs = (self.labeled_amount(name, amount) for name, amount in amounts.items())
        return ", ".join(f"{label} {text}" for label, text in pairs)


# --- numbers ---


def percent(ppm: int) -> str:
    """Return parts per million as percent: '-30 %'."""
    return f"{format_scaled(ppm, PERCENT_DECIMALS)} %"


def multiple(ppm: int) -> str:
    """Return parts per million as a multiple: '6.5x'."""
    return f"{format_scaled(ppm, PPM_DECIMALS)}x"


def exact_decimal(amount: int, decimals: int) -> Decimal:
    """Return amount * 10^-decimals, exactly (integers of the book have at most 19 digits)."""
    return Decimal(amount).scaleb(-decimals)


def decimal_text(number: Decimal) -> str:
    """Return a decimal as plain text, without exponent and trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def significant(number: float) -> str:
    """Return a float, such as a score, rounded to six significant digits."""
    return f"{number:.6g}"


# --- words and times ---


_ABBREVIATIONS = {"adl": "ADL", "pnl": "PnL"}


_REMEDIES = {
    "already_defined": "change it with `amend_contract` or `amend_pool`",
    "odd_lots": "submit a multiple of the new lot, or close the rest with `odd_lots` close_at_mark",
    "multi_asset_account": "define the account without `multi_asset`",
    "exceeds_numeric_range": "define the asset with fewer `cash_decimals`",
    "time_jump_held": "check the clock; an operator confirms it with `set_time`, `confirmed`",
    "internal_error": "nothing was changed; report the command with the engine's log",
    "limit_required": "the rule set has no default for it; set it, or open a pool that is not "
    "managed",
}


SCENARIO_TIMES_MS = 365 * 24 * 3_600_000
"""Times below are a scenario's own: no clock is in 1970."""


def humanize(name: str) -> str:
    """Return an identifier as words: 'contract PnL'."""
    return " ".join(_ABBREVIATIONS.get(word, word) for word in name.split("_"))


def rejection_text(reason: str) -> str:
    """Return the reason of a rejection as words, with the remedy where there is one.

    >>> rejection_text("exceeds_numeric_range")
    'exceeds numeric range: define the asset with fewer `cash_decimals`'
    """
    remedy = _REMEDIES.get(reason)
    return f"{humanize(reason)}: {remedy}" if remedy else humanize(reason)


def html_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text as an HTML table, the first one as its heading.

    >>> html_table([("a", "b"), ("1 < 2", "")])
    '<table><tr><th>a</th><th>b</th></tr><tr><td>1 &lt; 2</td><td></td></tr></table>'
    """
    tags = ["th", *["td"] * (len(rows) - 1)]
    lines = (
        "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)
        for tag, row in zip(tags, rows, strict=True)
    )
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: '1 position', '2 positions'."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def moment(time_ms: int) -> str:
    """Return a time as UTC, or as seconds where a scenario counts its own time from 0.

    >>> moment(1_760_130_964_123), moment(14_000)
    ('2025-10-10 21:16:04.123 UTC', '14.000 s')
    """
    if time_ms < SCENARIO_TIMES_MS:
        return f"{time_ms // 1000}.{time_ms % 1000:03d} s"
    return f"{utc(time_ms)} UTC"


def utc(time_ms: int) -> str:
    """Return a time as UTC with milliseconds: '2025-10-10 21:16:04.123'."""
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
    return f"{time:%Y-%m-%d %H:%M:%S}.{time_ms % 1000:03d}"
