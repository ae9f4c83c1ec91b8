"""Why a counterparty in line is passed over: what closing at the round's price would do to it.

Each test takes the worst price of the round and is made for the whole queue before the first fill.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from delever.core.messages import Reason
from delever.core.units import Bools, Ints, share_floor
from delever.core.valuation.side_valuation import SideValuation


class Skip(Protocol):
    """A test that a counterparty must pass, with the number that it compares."""

    @property
    def reason(self) -> Reason:
        """Why a counterparty that fails is passed over."""

    @property
    def number(self) -> str:
        """The name of the amount that must not be negative, as events show it."""

    def left_cash(self, view: SideValuation, wanted_lots: int, ticks: Sequence[int]) -> Ints:
        """Return that amount by row; a negative one means that the counterparty is passed over."""


@dataclass(frozen=True, slots=True)
class WouldBankrupt:
    """The fill would leave the counterparty's margin bucket with less than nothing.

    The fill is as large as it can become; an account with several positions in the table bears all
    of them.
    """

    reason: Reason = field(default=Reason.FILL_WOULD_BANKRUPT_COUNTERPARTY, init=False)
    number: str = field(default="equity_after_cash", init=False)

    def left_cash(self, view: SideValuation, wanted_lots: int, ticks: Sequence[int]) -> Ints:
        """Return the equity of each margin bucket after the largest fill."""
        change = _change_cash(view, np.minimum(view.lots, wanted_lots), ticks)
        if not view.position.any():  # then everybody has one position here at most
            return view.equity + change
        by_account = np.zeros(int(view.account.max(initial=-1)) + 1, np.int64)
        np.add.at(by_account, view.account[~view.isolated], change[~view.isolated])
        return view.equity + np.where(view.isolated, change, by_account[view.account])


@dataclass(frozen=True, slots=True)
class ZeroPricesApart:
    """The price lies beyond the counterparty's own zero price, so its account would stand worse.

    The zero price is where the position has lost its part of the equity, by maintenance margin; a
    trade there leaves equity / maintenance margin as it was (Lighter).
    """

    reason: Reason = field(default=Reason.ZERO_PRICES_NOT_CROSSED, init=False)
    number: str = field(default="part_of_equity_after_cash", init=False)

    def left_cash(self, view: SideValuation, _wanted_lots: int, ticks: Sequence[int]) -> Ints:
        """Return what the price leaves of the position's part of the equity, all of it closed."""
        columns = view.equity.tolist(), view.maintenance.tolist(), view.bucket_maintenance.tolist()
        parts = [
            share_floor(equity, part, whole) if whole else equity
            for equity, part, whole in zip(*columns, strict=True)
        ]
        return np.array(parts, np.int64) + _change_cash(view, view.lots, ticks)


def _change_cash(view: SideValuation, lots: Ints, ticks: Sequence[int]) -> Ints:
    """Return what closing lots at the worst of the prices, instead of at the mark, changes."""
    if view.size == 0:
        return lots
    closed = view.side.sign * lots
    worst = min(ticks) if view.side.sign > 0 else max(ticks)
    worst = min(worst, view.terms.most_ticks(int(abs(closed).max())))
    return view.terms.value_cash(closed, worst) - view.terms.value_cash(closed, view.mark_ticks)


def rejected(
    skips: Sequence[Skip], view: SideValuation, wanted_lots: int, ticks: Sequence[int]
) -> list[tuple[Skip, Bools, Ints]]:
    """Return, for each test, who fails it first of all, and what would be left of each."""
    found: list[tuple[Skip, Bools, Ints]] = []
    seen = np.zeros(view.size, bool)
    for skip in skips:
        left = skip.left_cash(view, wanted_lots, ticks)
        found.append((skip, (left < 0) & ~seen, left))
        seen |= left < 0
    return found
