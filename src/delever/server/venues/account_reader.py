"""One account with every contract's mark, read from the book in one call, so that they agree.

The liquidation price of a position is computed here, from the account's equity and maintenance.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from delever.config import Role
from delever.core.book import Book
from delever.core.market.contract_terms import ContractTerms
from delever.core.units import PPM, Mark, div_floor
from delever.server.engine.account_snapshot import (
    AccountSnapshot,
    PositionSnapshot,
    account_snapshot_of,
)
from delever.server.engine.market_snapshot import MarketSnapshot
from delever.server.transport.api_keys import ApiKey


@dataclass(frozen=True, slots=True)
class AccountReading:
    """An account, every contract's mark, and the contracts of its open orders."""

    account: AccountSnapshot
    marks: Mapping[str, Mark]
    orders: Mapping[str, str]

    def liquidation(self, position: PositionSnapshot, terms: ContractTerms) -> int | None:
        """Return a position's liquidation price to the nearest tick, or None without one."""
        mark = self.marks[position.contract]
        ticks = liquidation_ticks(position, self.account, terms, mark)
        if ticks is None:
            return None
        half_up = ticks + Fraction(1, 2)
        return div_floor(half_up.numerator, half_up.denominator)

    def indicator(self, snapshot: MarketSnapshot, position: PositionSnapshot) -> int:
        """Return a position's ADL indicator as last published, or 0 without one."""
        published = snapshot.indicators
        if not published:
            return 0
        return published.indicator(position.contract, position.side, self.account.index)


def readable_account(key: ApiKey) -> str | None:
    """Return the account that an API key may read, or None if it may not read accounts."""
    may = key.has_role(Role.TRADE_ACCOUNT) or key.has_role(Role.READ)
    return key.account if may else None


def account_query(name: str) -> Callable[[Book], AccountReading | None]:
    """Return a function that reads an account from a book; it returns None if unknown."""

    def read(book: Book) -> AccountReading | None:
        account = account_snapshot_of(book, name)
        if account is None:
            return None
        marks = {state.name: state.mark for state in book.contracts.values()}
        orders = {
            order: contract
            for contract in marks
            for order in book.open_orders.get((name, contract), ())
        }
        return AccountReading(account, marks, orders)

    return read


def liquidation_ticks(
    position: PositionSnapshot, account: AccountSnapshot, terms: ContractTerms, mark_ticks: Mark
) -> Fraction | None:
    """Return the mark, in ticks, at which equity equals maintenance margin, or None.

    Only this contract's mark moves. Both sides of a cross hedge move together; an isolated
    position moves alone. The PnL of a multi-asset account counts in full. Maintenance follows the
    margin tier of the present notional, as venues' own calculators do. None if no positive price
    qualifies, or without a mark.
    """
    moving: Sequence[PositionSnapshot] = (position,)
    equity, maintenance = (
        position.margin_cash + position.unrealized_pnl_cash,
        position.maintenance_cash,
    )
    if not position.isolated:
        moving = [p for p in account.positions_in(position.contract) if not p.isolated]
        wallet = next(wallet for wallet in account.wallets if wallet.asset == terms.settle)
        equity, maintenance = wallet.margin_equity_cash, wallet.margin_maintenance_cash
    if not mark_ticks:
        return None
    return _solve(moving, terms, mark_ticks, equity, maintenance)


def _solve(
    moving: Sequence[PositionSnapshot],
    terms: ContractTerms,
    mark_ticks: Mark,
    equity: int,
    maintenance: int,
) -> Fraction | None:
    """Solve equity(price) = maintenance(price), both affine in the price or in its inverse."""
    signed = sum(p.side.sign * p.lots for p in moving) * terms.factor
    rated, fixed_part = Fraction(), maintenance - sum(p.maintenance_cash for p in moving)
    for position in moving:
        notional = abs(position.cost_cash + position.unrealized_pnl_cash)
        tier = int(np.searchsorted(terms.tier_from_cash, notional, side="right")) - 1
        rated += Fraction(position.lots * terms.factor * int(terms.tier_rate_ppm[tier]), PPM)
        fixed_part -= int(terms.tier_deduction_cash[tier])
    free = Fraction(equity - fixed_part)
    if terms.linear:
        top, bottom = free - signed * mark_ticks, rated - signed
    else:
        top, bottom = signed + rated, free + Fraction(signed) / mark_ticks
    if not bottom:
        return None
    price = top / bottom
    return price if price > 0 else None
