"""Policies that divide lots with a view of the future, and haircuts turned into lots."""

from dataclasses import dataclass, field, replace

import numpy as np

from delever.core.messages import Side
from delever.core.rules.adl_price import Quote
from delever.core.rules.eligibility import equity_after
from delever.core.rules.policies import ContractProRata, MinMaxLeverage
from delever.core.rules.policies.allocation import fill_in_order, share_by_weight
from delever.core.rules.policies.policy import closable_lots
from delever.core.rules.ranking import Queue
from delever.core.units import Floats, Ints
from delever.lab.errors import InputError
from delever.lab.policies.context import PolicyContext
from delever.lab.policies.haircuts.ordered import normal_points
from delever.lab.policies.haircuts.winners import HaircutPolicy, Winners

WEIGHT_UNITS = 2**40
"""The largest of the weights by which lots are shared, which are rounded to integers."""


def share_by_float(wanted_lots: int, caps: Ints, weights: Floats) -> Ints:
    """Return lots in proportion to weights, under caps, by largest remainder.

    Members without weight share what the others cannot take, in order.

        >>> share_by_float(4, np.array([9, 9, 9]), np.array([0.5, 1.5, 0.0])).tolist()
        [1, 3, 0]
    """
    largest = float(weights.max(initial=0))
    scaled = np.rint(weights * (WEIGHT_UNITS / largest)) if largest > 0 else weights
    return share_by_weight(wanted_lots, caps, scaled.astype(np.int64))


@dataclass(frozen=True, slots=True)
class HaircutLots:
    """A haircut policy in a run: lots in proportion to its haircuts.

    A lot closed at the ADL price costs its counterparty g against the mark, so that the haircut x_i
    of the budget B = Q g is x_i / g lots, rounded by largest remainder, ties by rank. Where a
    position has fewer lots, or winners do not suffice, the others share the rest. At a price
    without a haircut the budget is the same part of all profits as the lots wanted are of all lots.
    """

    policy: HaircutPolicy
    context: PolicyContext = field(default_factory=PolicyContext)

    @property
    def name(self) -> str:
        """The name of the haircut policy."""
        return self.policy.name

    def in_context(self, context: PolicyContext) -> "HaircutLots":
        """Return the policy with a context."""
        return replace(self, context=context)

    def allocate(self, queue: Queue, wanted_lots: int, quote: Quote) -> Ints:
        """Return the lots of each counterparty, in order of rank."""
        caps, winners = closable_lots(queue), Winners.of_queue(queue)
        valuation = queue.valuation
        costs = valuation.equity - equity_after(
            valuation, np.minimum(valuation.lots, 1), quote.ticks
        )
        gap = max(float(costs[queue.order].max(initial=0)), 0.0)
        part = wanted_lots / max(int(caps.sum()), 1)
        budget = wanted_lots * gap or float(winners.profit.sum()) * part
        context = self.context
        if context.scenarios is not None:
            context = context.against(valuation.terms.name, valuation.side)
        return share_by_float(wanted_lots, caps, self.policy.haircuts(winners, budget, context))


@dataclass(frozen=True, slots=True)
class TearUp:
    """Partial tear-up: every position of the opposite side loses the same fraction, won or lost.

    Lots of counterparty i: Q q_i / (q_1 + ... + q_n) by largest remainder, ties by rank; with Q the
    sum it is a full tear-up. All pay by size. Source: ISDA, CCP Loss Allocation at the End of the
    Waterfall (2013); it is contract pro rata over everyone.
    """

    name: str = field(default="tear_up", init=False)

    def allocate(self, queue: Queue, wanted_lots: int, quote: Quote) -> Ints:
        """Return the lots of each counterparty, in order of rank."""
        return ContractProRata("everyone").allocate(queue, wanted_lots, quote)


@dataclass(frozen=True, slots=True)
class CvarCutoff:
    """Close, in order of rank, only what is above the leverage that a bad move would bankrupt.

    z is the VaR at `alpha` of the relative move against the side, that of the context's scenarios
    or normal with the standard deviation `volatility`; an account with leverage above 1 / z is
    bankrupt after it. Where the lots above that leverage suffice, q_i - E_i / (z p) of each, any
    division of them has the lowest CVaR, and the better ranks are closed, so that few accounts are
    touched; where they do not, min-max leverage is the optimum. The most levered pay. Source: P3
    (arXiv 2603.15963), Theorem 2.9.

        >>> context = PolicyContext(("BTC",), np.array([[0.1], [-0.05], [-0.25], [-0.3]]))
        >>> CvarCutoff(alpha=0.5).in_context(context).value_at_risk("BTC", Side.LONG)
        0.25
    """

    alpha: float = 0.95
    volatility: float = 0.1
    context: PolicyContext = field(default_factory=PolicyContext)
    name: str = field(default="cvar_cutoff", init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < 1:
            raise InputError("must be at least 0 and below 1", column="alpha", value=self.alpha)

    def in_context(self, context: PolicyContext) -> "CvarCutoff":
        """Return the policy with a context, whose scenarios are the moves."""
        return replace(self, context=context)

    def value_at_risk(self, contract: str, side: Side) -> float:
        """Return z: at most 1 - alpha of the moves against the side are above it."""
        moves = self.volatility * normal_points()
        if self.context.scenarios is not None:
            moves = np.sort(self.context.against(contract, side).moves(contract))
        return float(moves[min(int(len(moves) * self.alpha), len(moves) - 1)])

    def allocate(self, queue: Queue, wanted_lots: int, quote: Quote) -> Ints:
        """Return the lots of each counterparty, in order of rank."""
        valuation, order = queue.valuation, queue.order
        move = self.value_at_risk(valuation.terms.name, valuation.side)
        if move > 0:
            lots = valuation.lots[order].astype(float)
            leverage = valuation.notional[order] / np.maximum(valuation.equity[order], 1)
            stay = np.ceil(lots / np.maximum(leverage * move, 1e-300))
            excess = np.clip(lots - stay, 0, closable_lots(queue)).astype(np.int64)
            if int(excess.sum()) >= wanted_lots:
                return fill_in_order(wanted_lots, excess)
        return MinMaxLeverage().allocate(queue, wanted_lots, quote)


@dataclass(frozen=True, slots=True)
class FactorWaterFilling:
    """Water filling on leverage with respect to one factor, over all contracts of an account.

    l_i = v'(q_i - x_i) / E_i is the loss, in parts of equity, under one standard deviation of the
    factor, with v the contracts' moves with it. x_i moves it within the limits of the position;
    l_i* = clip(t, low_i, high_i) for the level t at which the lots sum to Q, rounded by largest
    remainder, ties by rank. Accounts with factor risk pay; a hedged account, whose other contracts
    offset it, is left alone. The round reduces one contract: for several at once, the factor says
    nothing about each contract's sum. Source: P3, Theorem 3.8.

    It needs a context with `factor`, `exposure` and `equity`.

        >>> factor_shares([30.0, 2.0], [20.0, 20.0], [10.0, 10.0], 16.0).tolist()
        [16.0, 0.0]
    """

    context: PolicyContext = field(default_factory=PolicyContext)
    names: tuple[str, ...] = ()
    name: str = field(default="factor_water_filling", init=False)

    def in_context(self, context: PolicyContext) -> "FactorWaterFilling":
        """Return the policy with a context, whose accounts are in the order of the book."""
        return replace(self, context=context, names=tuple(context.exposure))

    def allocate(self, queue: Queue, wanted_lots: int, _quote: Quote) -> Ints:
        """Return the lots of each counterparty, in order of rank.

        Raises InputError without a factor of the contract, or where the side gains with it.
        """
        context, valuation, order = self.context, queue.valuation, queue.order
        contract = valuation.terms.name
        if contract not in context.contracts or not context.factor:
            raise InputError("needs a context with a factor of the contract", column=self.name)
        loadings = np.array(context.factor)
        loading = loadings[context.contracts.index(contract)] * -valuation.side.sign
        exposure = np.array([context.exposure[name] for name in self.names]) @ -loadings
        equity = np.array([context.equity[name] for name in self.names])
        account, caps = valuation.account[order], closable_lots(queue)
        unit = valuation.notional[order] / np.maximum(valuation.lots[order], 1)
        unit = unit / float(valuation.terms.cash_unit) * loading
        if loading <= 0:
            raise InputError("rises with the factor; say the factor the other way", column=contract)
        risk, most = exposure[account], caps * unit
        lots = factor_shares(risk, most, equity[account], wanted_lots * float(unit.mean())) / unit
        floors: Ints = np.minimum(lots.astype(np.int64), caps)
        left = wanted_lots - int(floors.sum())
        rest = share_by_float(left, caps - floors, lots - floors + 1e-12)
        return rest + floors


def factor_shares(risk: object, most: object, equity: object, budget: float) -> Floats:
    """Return what each account's risk is reduced by: max(0, risk - t E), at most `most`.

    The level t, which may be negative, is that at which reductions sum to the budget; all are
    money of loss under one standard deviation of the factor. Bisection, to the last bit.
    """
    f, cap, capital = (np.asarray(column, float) for column in (risk, most, equity))
    capital = np.maximum(capital, np.finfo(float).tiny)
    low, high = float(((f - cap) / capital).min()), float((f / capital).max())
    while low < (middle := (low + high) / 2) < high:
        if np.clip(f - middle * capital, 0, cap).sum() > budget:
            low = middle
        else:
            high = middle
    shares: Floats = np.clip(f - high * capital, 0, cap)
    return shares
