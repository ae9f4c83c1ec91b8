"""Eligibility of a counterparty: what a fill at the round's price would do to its account.

Every filter assumes the worst price of the round. It tests what the rule set's policy would take
from each counterparty; those that fail are left out, and the policy divides the quantity again.
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
        self, valuation: SideValuation, taken_lots: Ints, wanted_lots: int, ticks: Sequence[int]
    ) -> Ints:
        """Return that amount by row, in Cash; a counterparty with a negative one is skipped.

        `taken_lots` are the lots that the policy would take from each row, `wanted_lots` those of
        the whole round.
        """


@dataclass(frozen=True, slots=True)
class FillSolvencyFilter:
    """The counterparty's margin bucket must have equity of at least 0 after what is taken from it.

    An account with several cross positions on this side passes or fails with all of them.
    """

    reason: Reason = field(default=Reason.FILL_WOULD_BANKRUPT_COUNTERPARTY, init=False)
    number: str = field(default="equity_after_cash", init=False)

    def remaining_cash(
        self, valuation: SideValuation, taken_lots: Ints, _wanted_lots: int, ticks: Sequence[int]
    ) -> Ints:
        """Return the equity of each margin bucket after the fills."""
        return equity_after(valuation, taken_lots, ticks)


@dataclass(frozen=True, slots=True)
class SolvencyFilter:
    """As `FillSolvencyFilter`, but after the largest fill, the smaller of position and quantity.

    It is the filter of rule sets of before December 2026.
    """

    reason: Reason = field(default=Reason.FILL_WOULD_BANKRUPT_COUNTERPARTY, init=False)
    number: str = field(default="equity_after_cash", init=False)

    def remaining_cash(
        self, valuation: SideValuation, _taken_lots: Ints, wanted_lots: int, ticks: Sequence[int]
    ) -> Ints:
        """Return the equity of each margin bucket after the largest possible fill."""
        return equity_after(valuation, np.minimum(valuation.lots, wanted_lots), ticks)


@dataclass(frozen=True, slots=True)
class ZeroPriceFilter:
    """The zero prices of both positions must cross, so that neither account's health gets worse.

    A position's zero price is the price at which it has lost its share of the account's equity, by
    maintenance margin. A trade there leaves equity / maintenance margin as it is (Lighter).
    """

    reason: Reason = field(default=Reason.ZERO_PRICES_NOT_CROSSED, init=False)
    number: str = field(default="equity_share_after_cash", init=False)

    def remaining_cash(
        self, valuation: SideValuation, _taken_lots: Ints, _wanted_lots: int, ticks: Sequence[int]
    ) -> Ints:
        """Return what is left of each position's share of the equity if it is closed whole."""
        equity, maintenance = valuation.equity.tolist(), valuation.maintenance.tolist()
        buckets = valuation.shared_maintenance.tolist()
        shares = [
            share_floor(cash, part, whole) if whole else cash
            for cash, part, whole in zip(equity, maintenance, buckets, strict=True)
        ]
        return np.array(shares, np.int64) + _equity_change(valuation, valuation.lots, ticks)


def equity_after(valuation: SideValuation, lots: Ints, ticks: Sequence[int]) -> Ints:
    """Return each margin bucket's equity after lots of each row are closed at the worst price.

    Cross positions of one account on this side share a bucket, and count together.
    """
    change = _equity_change(valuation, lots, ticks)
    if not valuation.position.any():  # at most one position an account on this side
        return valuation.equity + change
    cross, account = ~valuation.isolated, valuation.account
    by_account = np.zeros(int(account.max(initial=-1)) + 1, np.int64)
    np.add.at(by_account, account[cross], change[cross])
    return valuation.equity + np.where(cross, by_account[account], change)


def _equity_change(valuation: SideValuation, lots: Ints, ticks: Sequence[int]) -> Ints:
    """Return what closing lots at the worst of the prices, not at the mark, adds to equity."""
    largest = int(lots.max(initial=0))
    if largest == 0:
        return np.zeros(valuation.size, np.int64)
    terms, sign = valuation.terms, valuation.side.sign
    closed = sign * lots
    worst = min(ticks) if sign > 0 else max(ticks)
    worst = min(worst, terms.max_ticks(largest))
    return terms.value_cash(closed, worst) - terms.value_cash(closed, valuation.mark_ticks)


def apply_filters(
    filters: Sequence[EligibilityFilter],
    valuation: SideValuation,
    taken_lots: Ints,
    wanted_lots: int,
    ticks: Sequence[int],
) -> list[tuple[EligibilityFilter, Bools, Ints]]:
    """Return, for each filter, which rows fail it and no filter before it, and its amounts."""
    results: list[tuple[EligibilityFilter, Bools, Ints]] = []
    failed = np.zeros(valuation.size, bool)
    for eligibility in filters:
        remaining = eligibility.remaining_cash(valuation, taken_lots, wanted_lots, ticks)
        fails = remaining < 0
        results.append((eligibility, fails & ~failed, remaining))
        failed |= fails
    return results
