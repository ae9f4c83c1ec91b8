"""Haircuts in proportion: to profit, under caps, by risk, to gains since the default, to all."""

from dataclasses import dataclass, field

import numpy as np

from delever.core.units import Floats
from delever.lab.policies.context import PolicyContext
from delever.lab.policies.haircuts.levels import capped_shares
from delever.lab.policies.haircuts.winners import Winners


@dataclass(frozen=True, slots=True)
class WealthProRata:
    """Every winner gives up the same fraction of its profit.

    x_i = B w_i / (w_1 + ... + w_n), in money: w is profit, B the budget, at most the sum of
    profits. Winners pay by profit; no other split has a lower highest x_i / w_i. Source: P1,
    pro rata; P2 (arXiv 2602.15182), Proposition 9.

        >>> winners = Winners.of([8, 4, 0.5], [10, 5, 1])
        >>> WealthProRata().haircuts(winners, 7.5).round(6).tolist()
        [4.8, 2.4, 0.3]
    """

    name: str = field(default="wealth_pro_rata", init=False)

    def haircuts(
        self, winners: Winners, budget: float, _context: PolicyContext | None = None
    ) -> Floats:
        """Return each winner's haircut."""
        return capped_shares(winners.profit, np.ones_like(winners.profit), budget)


@dataclass(frozen=True, slots=True)
class CappedProRata:
    """The same fraction of every profit, up to a cap of each winner.

    x_i = w_i min(t, b_i) with the level t at which they sum to B, in money; the cap is b_i =
    min(max_ratio, (E_i - min_equity) / w_i), not below 0. Winners pay by profit, and nobody is
    left with less than `min_equity`. With equal caps it is proof against splitting; unequal caps
    turn the order of survivors round. Source: P1 (arXiv 2512.01112), capped pro rata; KKT: h_i <
    b_i implies h_i = t.

        >>> winners = Winners.of([10, 9], [20, 9.9])
        >>> CappedProRata(min_equity=9).haircuts(winners, 5).round(6).tolist()
        [4.1, 0.9]
    """

    max_ratio: float = 1.0
    min_equity: float = 0.0
    name: str = field(default="capped_pro_rata", init=False)

    def caps(self, winners: Winners) -> Floats:
        """Return each winner's cap, as a part of its profit."""
        room = np.maximum(winners.equity - self.min_equity, 0)
        caps = np.divide(room, winners.profit, out=np.zeros_like(room), where=winners.profit > 0)
        return np.minimum(caps, self.max_ratio)

    def haircuts(
        self, winners: Winners, budget: float, _context: PolicyContext | None = None
    ) -> Floats:
        """Return each winner's haircut."""
        return capped_shares(winners.profit, self.caps(winners), budget)


@dataclass(frozen=True, slots=True)
class RiskAwareProRata:
    """The fraction of profit that a winner gives up grows with its leverage.

    h_i = min(1, t l_i^exponent), x_i = w_i h_i, with the level t at which they sum to B, in money;
    l = N / E is leverage. Winners without leverage pay only where the others do not suffice. The
    levered pay more, but it does not minimize the venue's next deficit: risk_greedy does (claim F2
    of the literature does not stand). Source: P1, RAP(g) with g(l) = l^(exponent - 1).

        >>> winners = Winners.of([4, 4], [10, 10], [10, 20])
        >>> RiskAwareProRata().haircuts(winners, 2).round(6).tolist()
        [0.4, 1.6]
    """

    exponent: float = 2.0
    name: str = field(default="risk_aware_pro_rata", init=False)

    def haircuts(
        self, winners: Winners, budget: float, _context: PolicyContext | None = None
    ) -> Floats:
        """Return each winner's haircut."""
        leverage = winners.leverage
        finite = np.isfinite(leverage)
        weight = leverage[finite] ** self.exponent
        weight /= weight.max(initial=0) or 1
        mass = np.zeros_like(winners.profit)
        mass[finite] = winners.profit[finite] * weight
        infinite = np.where(finite, 0.0, winners.profit)
        taken = capped_shares(infinite, np.ones_like(mass), budget)  # no equity: first
        left = budget - float(taken.sum())
        ratio_caps = np.divide(winners.profit, mass, out=np.zeros_like(mass), where=mass > 0)
        taken += capped_shares(mass, ratio_caps, left)
        rest = np.where(taken > 0, 0.0, winners.profit)
        return taken + capped_shares(rest, np.ones_like(mass), budget - float(taken.sum()))


@dataclass(frozen=True, slots=True)
class VmGainsHaircut:
    """Variation margin gains haircutting: in proportion to gains since the default.

    x_i = min(w_i, t g_i) with the level t at which they sum to B, in money; g is the gain since the
    default began, `Winners.gain`. Those who gained from the default's move pay, at most their
    profit. Source: ISDA, CCP Loss Allocation at the End of the Waterfall (2013).

        >>> winners = Winners.of([8, 4, 4], [10, 5, 5], gain=[1, 2, 0])
        >>> VmGainsHaircut().haircuts(winners, 1.5).tolist()
        [0.5, 1.0, 0.0]
    """

    name: str = field(default="vm_gains_haircut", init=False)

    def haircuts(
        self, winners: Winners, budget: float, _context: PolicyContext | None = None
    ) -> Floats:
        """Return each winner's haircut."""
        gain, profit = winners.gain, winners.profit
        ratio_caps = np.divide(profit, gain, out=np.zeros_like(gain), where=gain > 0)
        return capped_shares(gain, ratio_caps, budget)


@dataclass(frozen=True, slots=True)
class GlobalHaircut:
    """One ratio for all profits: withdrawals are cut, no position is closed.

    x_i = w_i (1 - h), h = max(0, (assets - principal) / (w_1 + ... + w_n)) = 1 - B / (w_1 + ... +
    w_n), not below 0, in money. All winners of all contracts pay, and only what they withdraw as
    profit; the risk stays. Source: percolator (dcccrypto), the global profit haircut.

        >>> winners = Winners.of([8, 4], [10, 5])
        >>> GlobalHaircut().haircuts(winners, 24).tolist(), GlobalHaircut().ratio(winners, 3)
        ([8.0, 4.0], 0.75)
    """

    name: str = field(default="global_haircut", init=False)

    def ratio(self, winners: Winners, budget: float) -> float:
        """Return h, the part of profits that can be withdrawn."""
        total = float(winners.profit.sum())
        return max(1 - budget / total, 0.0) if total else 1.0

    def haircuts(
        self, winners: Winners, budget: float, _context: PolicyContext | None = None
    ) -> Floats:
        """Return each winner's haircut."""
        return winners.profit * (1 - self.ratio(winners, max(budget, 0.0)))
