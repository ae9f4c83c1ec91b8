"""One account with every contract's mark, read from the book in one call, so that they agree.

The liquidation price of a position is computed here, from the account's equity and maintenance.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from delever.config import Role
from delever.core.book import Book
from delever.core.market.contract_terms import Terms
from delever.core.units import PPM, div_floor
from delever.server.engine.account_view import Holdings, Position, holdings_of
from delever.server.engine.market_snapshot import Board
from delever.server.transport.api_keys import Holder


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """An account's holdings, every contract's mark, and the contracts of its open orders."""

    holdings: Holdings
    marks: Mapping[str, int]
    orders: Mapping[str, str]

    def liquidation(self, held: Position, terms: Terms) -> int | None:
        """Return a position's liquidation price to the nearest tick, or None without one."""
        mark = self.marks[held.contract]
        ticks = liquidation_ticks(held, self.holdings, terms, mark)
        if ticks is None:
            return None
        half_up = ticks + Fraction(1, 2)
        return div_floor(half_up.numerator, half_up.denominator)

    def indicator(self, board: Board, held: Position) -> int:
        """Return a position's ADL indicator as last published, or 0 without one."""
        published = board.indicators
        if not published:
            return 0
        return published.indicator(held.contract, held.side, self.holdings.index)


def readable_account(holder: Holder) -> str | None:
    """Return the account that an API key may read, or None if it may not read accounts."""
    may = holder.may(Role.TRADE_ACCOUNT) or holder.may(Role.READ)
    return holder.account if may else None


def account_query(name: str) -> Callable[[Book], AccountSnapshot | None]:
    """Return a function that reads an account from a book; it returns None if unknown."""

    def read(book: Book) -> AccountSnapshot | None:
        holdings = holdings_of(book, name)
        if holdings is None:
            return None
        marks = {state.name: state.mark for state in book.contracts.values()}
        orders = {
            order: contract
            for contract in marks
            for order in book.open_orders.get((name, contract), ())
        }
        return AccountSnapshot(holdings, marks, orders)

    return read


def liquidation_ticks(
    held: Position, holdings: Holdings, terms: Terms, mark_ticks: int
) -> Fraction | None:
    """Return the mark, in ticks, at which equity equals maintenance margin, or None.

    Only this contract's mark moves. Both sides of a cross hedge move together; an isolated
    position moves alone. Maintenance follows the margin tier of the present notional, as venues'
    own calculators do. None if no positive price qualifies, or without a mark.
    """
    moving: Sequence[Position] = (held,)
    equity, maintenance = held.margin_cash + held.profit_cash, held.maintenance_cash
    if not held.isolated:
        moving = [p for p in holdings.of(held.contract) if not p.isolated]
        wallet = next(wallet for wallet in holdings.wallets if wallet.asset == terms.settle)
        equity, maintenance = wallet.equity_cash, wallet.maintenance_cash
    if not mark_ticks:
        return None
    return _solve(moving, terms, mark_ticks, equity, maintenance)


def _solve(
    moving: Sequence[Position], terms: Terms, mark_ticks: int, equity: int, maintenance: int
) -> Fraction | None:
    """Solve equity(price) = maintenance(price), both affine in the price or in its inverse."""
    signed = sum(p.side.sign * p.lots for p in moving) * terms.factor
    rated, fixed_part = Fraction(), maintenance - sum(p.maintenance_cash for p in moving)
    for position in moving:
        notional = abs(position.cost_cash + position.profit_cash)
        tier = int(np.searchsorted(terms.tier_from_cash, notional, side="right")) - 1
        rated += Fraction(position.lots * terms.factor * int(terms.tier_rate_ppm[tier]), PPM)
        fixed_part -= int(terms.tier_deduction_cash[tier])
    free = Fraction(equity - fixed_part)
    if terms.linear:
        top, bottom = free - signed * mark_ticks, rated - signed
    else:
        top, bottom = signed + rated, free + Fraction(signed, mark_ticks)
    if not bottom:
        return None
    price = top / bottom
    return price if price > 0 else None
