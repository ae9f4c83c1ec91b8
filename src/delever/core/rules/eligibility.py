"""Eligibility of a counterparty: what a fill at the round's price would do to its account.

Every filter assumes the worst price of the round and is applied to the whole queue before the first
fill.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from delever.core.messages import Reason
from delever.core.units import Bools, Ints, share_floor
from delever.core.valuation.side_valuation import SideValuation


class EligibilityFilter(Protocol):
    """A condition that every counterparty of a round must meet."""

    @property
    def reason(self) -> Reason:
        """Why a counterparty that fails is skipped."""

    @property
    def number(self) -> str:
        """The name, in events, of the amount that must not be negative."""

    def remaining_cash(
        self, valuation: SideValuation, wanted_lots: int, ticks: Sequence[int]
    ) -> Ints:
        """Return that amount by row, in Cash; a counterparty with a negative one is skipped."""


@dataclass(frozen=True, slots=True)
class SolvencyFilter:
    """The counterparty's margin bucket must have equity of at least 0 after the fill.

    The fill is assumed to be as large as it can be, the smaller of position and quantity wanted; an
    account with several positions on this side is assumed to be filled on all of them.
    """

    reason: Reason = field(default=Reason.FILL_WOULD_BANKRUPT_COUNTERPARTY, init=False)
    number: str = field(default="equity_after_cash", init=False)

    def remaining_cash(
        self, valuation: SideValuation, wanted_lots: int, ticks: Sequence[int]
    ) -> Ints:
        """Return the equity of each margin bucket after the largest possible fill."""
        change = _equity_change(valuation, np.minimum(valuation.lots, wanted_lots), ticks)
        if not valuation.position.any():  # at most one position an account on this side
            return valuation.equity + change
        cross, account = ~valuation.isolated, valuation.account
        by_account = np.zeros(int(account.max(initial=-1)) + 1, np.int64)
        np.add.at(by_account, account[cross], change[cross])
        return valuation.equity + np.where(cross, by_account[account], change)


@dataclass(frozen=True, slots=True)
class ZeroPriceFilter:
    """The zero prices of both positions must cross, so that neither account's health gets worse.

    A position's zero price is the price at which it has lost its share of the account's equity, by
    maintenance margin. A trade there leaves equity / maintenance margin as it is (Lighter).
    """

    reason: Reason = field(default=Reason.ZERO_PRICES_NOT_CROSSED, init=False)
    number: str = field(default="equity_share_after_cash", init=False)

    def remaining_cash(
        self, valuation: SideValuation, _wanted_lots: int, ticks: Sequence[int]
    ) -> Ints:
        """Return what is left of each position's share of the equity if it is closed whole."""
        equity, maintenance = valuation.equity.tolist(), valuation.maintenance.tolist()
        buckets = valuation.shared_maintenance.tolist()
        shares = [
            share_floor(cash, part, whole) if whole else cash
            for cash, part, whole in zip(equity, maintenance, buckets, strict=True)
        ]
        return np.array(shares, np.int64) + _equity_change(valuation, valuation.lots, ticks)


def _equity_change(valuation: SideValuation, lots: Ints, ticks: Sequence[int]) -> Ints:
    """Return what closing lots at the worst of the prices, not at the mark, adds to equity."""
    if valuation.size == 0:
        return lots
    terms, sign = valuation.terms, valuation.side.sign
    closed = sign * lots
    worst = min(ticks) if sign > 0 else max(ticks)
    worst = min(worst, terms.max_ticks(int(abs(closed).max())))
    return terms.value_cash(closed, worst) - terms.value_cash(closed, valuation.mark_ticks)


def apply_filters(
    filters: Sequence[EligibilityFilter],
    valuation: SideValuation,
    wanted_lots: int,
    ticks: Sequence[int],
) -> list[tuple[EligibilityFilter, Bools, Ints]]:
    """Return, for each filter, which rows fail it and no filter before it, and its amounts."""
    results: list[tuple[EligibilityFilter, Bools, Ints]] = []
    failed = np.zeros(valuation.size, bool)
    for eligibility in filters:
        remaining = eligibility.remaining_cash(valuation, wanted_lots, ticks)
        fails = remaining < 0
        results.append((eligibility, fails & ~failed, remaining))
        failed |= fails
    return results
