"""Queue: one counterparty after the other, in order of rank. Every venue with a ranking does it."""

from delever.core.rules.adl_price import Quote
from delever.core.rules.policies.allocation import fill_in_order
from delever.core.rules.policies.policy import closable_lots
from delever.core.rules.ranking import Queue
from delever.core.units import Ints


class QueuePolicy:
    """Each counterparty is closed whole before the next one; only the last one in part.

    Lots of counterparty i: min(q_i, max(Q - (q_1 + ... + q_(i-1)), 0)), with Q the lots wanted and
    q_i the lots that may be closed of the counterparty with rank i. Those with the highest score
    pay. Source: the ADL pages of every venue with a ranking; P2, Prop. 6 and 7.

    >>> import numpy as np
    >>> fill_in_order(12, np.array([5, 4, 8])).tolist()
    [5, 4, 3]
    """

    name = "queue"

    def allocate(self, queue: Queue, wanted_lots: int, _quote: Quote) -> Ints:
        """Return the lots of each counterparty, in order of rank."""
        return fill_in_order(wanted_lots, closable_lots(queue))
