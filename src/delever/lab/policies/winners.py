"""Who can pay: columns of winners in money, the protocol of a haircut policy, and its context."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from delever.core.messages import Side
from delever.core.rules.policies import LotPolicy
from delever.core.rules.ranking import Queue
from delever.core.units import Floats
from delever.lab.errors import InputError


@dataclass(frozen=True, slots=True)
class Winners:
    """Those who can give up profit, in units of money (all of one asset), an entry each.

    `profit` w is unrealized PnL, at least 0 and the most that a haircut takes; `equity` E is that
    of the account, `notional` N the value of its positions. `gain` is the profit since the default,
    where it is not the profit itself. Raises InputError for columns that are not finite, not of one
    length, or with a negative profit or notional.

        >>> import numpy as np
        >>> Winners.of([8, 4, 0.5], [10, 5, 1]).profit.tolist()
        [8.0, 4.0, 0.5]
    """

    profit: Floats
    equity: Floats
    notional: Floats
    gain: Floats

    def __post_init__(self) -> None:
        for name in self.__slots__:
            column = getattr(self, name)
            if column.shape != self.profit.shape or not np.isfinite(column).all():
                raise InputError("must have a finite number for each winner", column=name)
        for name in ("profit", "notional", "gain"):
            if (getattr(self, name) < 0).any():
                raise InputError("must be at least 0", column=name)

    @classmethod
    def of(
        cls, profit: object, equity: object, notional: object = None, gain: object = None
    ) -> "Winners":
        """Return winners from sequences; notional is by default the equity, gain the profit."""
        columns = (
            profit,
            equity,
            np.maximum(np.asarray(equity, float), 0) if notional is None else notional,
            profit if gain is None else gain,
        )
        return cls(*(np.array(column, float) for column in columns))

    @classmethod
    def of_queue(cls, queue: Queue) -> "Winners":
        """Return the counterparties of a queue, in its order, in the smallest unit of the asset."""
        valuation, order = queue.valuation, queue.order
        profit = np.maximum(valuation.unrealized_pnl[order], 0)
        return cls.of(profit, valuation.equity[order], valuation.notional[order])

    @property
    def leverage(self) -> Floats:
        """Notional / equity; infinite without equity."""
        sound = self.equity > 0
        infinite = np.where(self.notional > 0, np.inf, 0.0)
        return np.divide(self.notional, self.equity, out=infinite, where=sound)

    def without(self, haircuts: Floats) -> "Winners":
        """Return the winners after haircuts: profit, gain and equity are smaller by them."""
        left = np.maximum(self.profit - haircuts, 0)
        gain = np.maximum(self.gain - haircuts, 0)
        return Winners(left, self.equity - haircuts, self.notional, gain)


@dataclass(frozen=True, slots=True)
class PolicyContext:
    """What a policy may know besides the queue: views of the future, and what earlier rounds left.

    `scenarios` has a row a scenario and a column for each of `contracts`: the relative move of the
    mark, -0.1 for a fall by a tenth. `factor` is the relative move of each contract with one factor
    (one standard deviation of it). `exposure` is each account's net value of positions by contract,
    long positive, and `equity` each account's, both by account name. `state` is a policy's own.
    """

    contracts: tuple[str, ...] = ()
    scenarios: Floats | None = None
    factor: tuple[float, ...] = ()
    exposure: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    equity: Mapping[str, float] = field(default_factory=dict)
    state: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.scenarios is not None:
            if self.scenarios.ndim != 2 or self.scenarios.shape[1] != len(self.contracts):
                raise InputError("must have a column for each contract", column="scenarios")
            if not np.isfinite(self.scenarios).all():
                raise InputError("must be finite numbers", column="scenarios")
        if self.factor and len(self.factor) != len(self.contracts):
            raise InputError("must have a number for each contract", column="factor")

    def moves(self, contract: str) -> Floats:
        """Return the moves of one contract; raises InputError where no scenario has it."""
        if self.scenarios is None or contract not in self.contracts:
            raise InputError("is in no scenario of the policy's context", column=contract)
        moves: Floats = self.scenarios[:, self.contracts.index(contract)]
        return moves

    def against(self, contract: str, side: Side) -> "PolicyContext":
        """Return a context with one column: the moves of a contract against positions of a side."""
        adverse = -side.sign * self.moves(contract)
        return replace(self, contracts=(contract,), scenarios=adverse[:, None], factor=())


class HaircutPolicy(Protocol):
    """How an amount of money is taken from the profits of winners; in the lab only."""

    @property
    def name(self) -> str:
        """The policy's name in tables and documents."""

    def haircuts(
        self, winners: Winners, budget: float, context: PolicyContext | None = None
    ) -> Floats:
        """Return what each winner gives up: at least 0, at most its profit.

        The context's scenarios, where a policy reads them, have one column: moves against the
        winners. Haircuts sum to the budget, or to all that the policy can take if that is less.
        """


class ScenarioPolicy(Protocol):
    """A policy that needs a context before it can divide lots."""

    def in_context(self, context: PolicyContext) -> LotPolicy:
        """Return the policy with the context built in."""
