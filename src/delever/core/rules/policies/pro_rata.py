"""Contract pro rata: the same fraction of every position, by largest remainder."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from delever.core.rules.adl_price import Quote
from delever.core.rules.policies.allocation import share_by_weight
from delever.core.rules.policies.policy import closable_lots
from delever.core.rules.ranking import Queue
from delever.core.units import Ints


@dataclass(frozen=True, slots=True)
class ContractProRata:
    """Every counterparty closes the same fraction of its position, in whole lots.

    Lots of counterparty i: Q q_i / (q_1 + ... + q_n) rounded down, and one lot more for those with
    the largest remainders, ties by rank; Q is the number of lots wanted, q_i the lots that may be
    closed. Under `takes_from` "winners" those with unrealized PnL above 0 pay, and the other
    positions only what winners do not suffice for; under "everyone" all of them alike. Source:
    partial tear-up of ISDA (2013); P1, contract-space pro rata.

    >>> import numpy as np
    >>> share_by_weight(10, np.array([10, 20, 30]), np.array([10, 20, 30])).tolist()
    [2, 3, 5]
    """

    takes_from: Literal["winners", "everyone"] = "winners"

    @property
    def name(self) -> str:
        """The name: `pro_rata`, or `pro_rata=everyone`."""
        return "pro_rata" if self.takes_from == "winners" else "pro_rata=everyone"

    def allocate(self, queue: Queue, wanted_lots: int, _quote: Quote) -> Ints:
        """Return the lots of each counterparty, in order of rank."""
        lots = closable_lots(queue)
        if self.takes_from == "everyone":
            return share_by_weight(wanted_lots, lots, lots)
        wins = queue.valuation.unrealized_pnl[queue.order] > 0
        allocated, left = np.zeros(len(lots), np.int64), wanted_lots
        for rows in (np.flatnonzero(wins), np.flatnonzero(~wins)):
            allocated[rows] = share_by_weight(left, lots[rows], lots[rows])
            left -= int(allocated[rows].sum())
        return allocated


class ProRataPolicy:
    """Contract pro rata over winners and losers, as journals of before December 2026 have it."""

    name = "pro_rata"

    def allocate(self, queue: Queue, wanted_lots: int, _quote: Quote) -> Ints:
        """Return the lots of each counterparty, in order of rank."""
        lots = closable_lots(queue)
        return share_by_weight(wanted_lots, lots, lots)
