"""Who can pay: columns of winners in money, and the protocol of a haircut policy."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from delever.core.rules.ranking import Queue
from delever.core.units import Floats
from delever.lab.errors import InputError
from delever.lab.policies.context import PolicyContext


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
