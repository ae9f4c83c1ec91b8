"""The queue: one after the other, in order of rank. What every venue with a ranking does."""

import numpy as np

from delever.core.rules.policies.base import Line
from delever.core.rules.ranking import Queue
from delever.core.units import Ints


class InOrder:
    """Each counterparty is a tier of its own."""

    name = "queue"

    def line(self, queue: Queue, rows: Ints) -> Line:
        """Return the rows in order of rank."""
        tiers = np.arange(len(rows))
        return Line(rows, queue.view.lots[rows], tiers, np.ones(len(rows), np.int64))
