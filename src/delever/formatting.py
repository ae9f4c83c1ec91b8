"""The book's integers as people read them: plain decimals in units of asset and contract."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.market.contract_terms import Terms
from delever.core.units import format_scaled

PPM_DECIMALS = 6

PERCENT_DECIMALS = 4
"""Parts per million as percent: -300000 is -30."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How the numbers of one contract are written; exact, without trailing zeros."""

    terms: Terms
    cash_decimals: int

    @classmethod
    def of(cls, book: Book, state: ContractState) -> Self:
        """Return the figures of a contract in a book."""
        return cls(state.terms, book.asset_of(state).cash_decimals)

    def cash(self, amount_cash: int) -> str:
        """Return an amount in whole units of the settle asset."""
        return format_scaled(amount_cash, self.cash_decimals)

    def price(self, ticks: int) -> str:
        """Return a price."""
        return format_scaled(ticks * self.terms.tick[0], self.terms.tick[1])

    def quantity(self, lots: int) -> str:
        """Return a quantity."""
        return format_scaled(lots * self.terms.lot[0], self.terms.lot[1])

    def number(self, name: str, amount: int) -> tuple[str, str]:
        """Return (what, how much) of a number whose name ends in its unit."""
        what, _, unit = name.rpartition("_")
        what = what.replace("_", " ")
        match unit:
            case "cash":
                return what, f"{self.cash(amount)} {self.terms.settle}"
            case "ticks":
                return what, self.price(amount)
            case "lots":
                return what, self.quantity(amount)
            case "ppm":
                return what, percent(amount)
            case "ms":
                return what, f"{amount} ms"
        return name.replace("_", " "), str(amount)

    def numbers(self, numbers: dict[str, int]) -> str:
        """Return named numbers in one line."""
        pairs = [self.number(name, amount) for name, amount in numbers.items()]
        return ", ".join(f"{what} {amount}" for what, amount in pairs)


def percent(ppm: int) -> str:
    """Return parts per million as percent."""
    return f"{format_scaled(ppm, PERCENT_DECIMALS)} %"


def times(ppm: int) -> str:
    """Return parts per million as a multiple: 6500000 is 6.5x."""
    return f"{format_scaled(ppm, PPM_DECIMALS)}x"


def exact(amount: int, decimals: int) -> Decimal:
    """Return amount * 10^-decimals, exactly (a book's integers have at most 19 digits)."""
    return Decimal(amount).scaleb(-decimals)
