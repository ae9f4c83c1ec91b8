"""Haircuts by order of risk, and with the lowest highest burden."""

from dataclasses import dataclass, field
from functools import cache
from statistics import NormalDist

import numpy as np

from delever.core.units import Floats
from delever.lab.policies.context import PolicyContext
from delever.lab.policies.haircuts.levels import capped_shares
from delever.lab.policies.haircuts.winners import Winners

NORMAL_POINTS = 1024
"""Points of the standard normal distribution for the expected loss without scenarios."""


@dataclass(frozen=True, slots=True)
class RiskGreedy:
    """Take all profit of the winners whose next loss shrinks most per unit of profit taken.

    Winners in order of r_i E_i / w_i, the highest first, give up their whole profit until the
    budget B is met, in money. r(l) = l E[(1 / l + Z)-] is the expected loss of the venue on
    leverage l under the next relative move Z against the winners: the context's, or normal with the
    standard deviation `volatility`. It is the fractional knapsack, and minimizes d(h) = sum
    (1 - h_i) r_i E_i exactly. The levered with little profit pay. Source: P1, with claim F2
    corrected.

        >>> winners = Winners.of([10, 1], [10, 100], [20, 100])
        >>> RiskGreedy().haircuts(winners, 1.1).round(6).tolist()
        [0.1, 1.0]
    """

    volatility: float = 0.5
    name: str = field(default="risk_greedy", init=False)

    def haircuts(
        self, winners: Winners, budget: float, context: PolicyContext | None = None
    ) -> Floats:
        """Return each winner's haircut."""
        value = expected_loss(winners, adverse_moves(context, self.volatility))
        return fill_by_value(value, winners.profit, budget)


def fill_by_value(value: Floats, profit: Floats, budget: float) -> Floats:
    """Return profits taken whole, the highest value / profit first, until they sum to the budget.

    Equal ratios are taken in order.
    """
    order = np.argsort(
        -np.divide(value, profit, out=np.zeros_like(value), where=profit > 0), kind="stable"
    )
    sorted_profit = profit[order]
    ahead = np.cumsum(sorted_profit) - sorted_profit
    taken = np.zeros_like(profit)
    taken[order] = np.clip(budget - ahead, 0, sorted_profit)
    return taken


def expected_loss(winners: Winners, adverse: Floats) -> Floats:
    """Return E[(N Z - E)+] of each winner over equally likely adverse relative moves Z."""
    sorted_moves = np.sort(adverse)
    tail_sums = np.append(np.cumsum(sorted_moves[::-1])[::-1], 0.0)
    threshold = np.divide(
        winners.equity,
        winners.notional,
        out=np.full_like(winners.equity, np.inf),
        where=winners.notional > 0,
    )
    first = np.searchsorted(sorted_moves, threshold, side="right")
    count = len(sorted_moves) - first
    loss: Floats = (winners.notional * tail_sums[first] - winners.equity * count) / len(adverse)
    return np.where(count > 0, loss, 0.0)


def adverse_moves(context: PolicyContext | None, volatility: float) -> Floats:
    """Return the moves against the winners of a context, or normal ones."""
    if context is not None and context.scenarios is not None:
        moves: Floats = context.scenarios[:, 0]
        return moves
    return volatility * normal_points()


@cache
def normal_points() -> Floats:
    """Return equally likely points of a standard normal distribution."""
    chances = (np.arange(NORMAL_POINTS) + 0.5) / NORMAL_POINTS
    return np.array([NormalDist().inv_cdf(chance) for chance in chances.tolist()])


@dataclass(frozen=True, slots=True)
class MinMaxBurden:
    """The highest haircut in parts of equity is as low as possible.

    x_i = min(w_i, M E_i) with the level M at which they sum to B, in money. Winners with most
    equity pay most. P2 measures the burden by w_i instead of E_i: then pro rata is the optimum.
    Source: P1, min-max ILP, whose published run was no ILP: its solver was not installed.

        >>> winners = Winners.of([8, 4, 0.5], [10, 5, 1])
        >>> MinMaxBurden().haircuts(winners, 7.5).round(6).tolist()
        [4.6875, 2.34375, 0.46875]
    """

    name: str = field(default="min_max_burden", init=False)

    def haircuts(
        self, winners: Winners, budget: float, _context: PolicyContext | None = None
    ) -> Floats:
        """Return each winner's haircut."""
        equity = np.maximum(winners.equity, 0)
        caps = np.divide(winners.profit, equity, out=np.zeros_like(equity), where=equity > 0)
        return capped_shares(equity, caps, budget)
