"""One account and the marks beside it, read from the book in one go, so that they fit together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from delever.config import Role
from delever.core.book import Book
from delever.core.market.contract_terms import Terms
from delever.core.units import div_floor
from delever.server.engine.account_view import Holdings, Position, holdings_of
from delever.server.engine.market_snapshot import Board
from delever.server.transport.api_keys import Holder
from delever.server.venues.liquidation import liquidation_ticks


@dataclass(frozen=True, slots=True)
class Seen:
    """An account's holdings, every contract's mark, and the contracts of its open orders."""

    holdings: Holdings
    marks: Mapping[str, int]
    orders: Mapping[str, str]

    def liquidation(self, held: Position, terms: Terms) -> int | None:
        """Return the mark at which a position is liquidated, to the nearest tick, or None."""
        mark = self.marks[held.contract]
        ticks = liquidation_ticks(held, self.holdings, terms, mark)
        if ticks is None:
            return None
        half_up = ticks + Fraction(1, 2)
        return div_floor(half_up.numerator, half_up.denominator)

    def indicator(self, board: Board, held: Position) -> int:
        """Return the indicator of a position as last published, 0 where it has none."""
        indicators = board.indicators
        return (
            indicators.indicator(held.contract, held.side, self.holdings.index) if indicators else 0
        )


def account_of(holder: Holder) -> str | None:
    """Return the account that a key is shown: its first one, if it may see accounts at all."""
    may = holder.may(Role.TRADE_ACCOUNT) or holder.may(Role.READ)
    return holder.account if may else None


def see(name: str) -> Callable[[Book], Seen | None]:
    """Return the question of the book for an account; its answer is None where it is unknown."""

    def look(book: Book) -> Seen | None:
        holdings = holdings_of(book, name)
        if holdings is None:
            return None
        marks = {state.name: state.mark for state in book.contracts.values()}
        orders = {
            order: contract
            for contract in marks
            for order in book.open_orders.get((name, contract), ())
        }
        return Seen(holdings, marks, orders)

    return look
