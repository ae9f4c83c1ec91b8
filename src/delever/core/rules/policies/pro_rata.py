"""Pro rata: everybody in line gives up the same part of the position (contract pro-rata)."""

import numpy as np

from delever.core.rules.policies.base import Line
from delever.core.rules.ranking import Queue
from delever.core.units import Ints


class ProRata:
    """All counterparties share one tier, each with the weight of its lots."""

    name = "pro_rata"

    def line(self, queue: Queue, rows: Ints) -> Line:
        """Return the rows in one tier."""
        lots = queue.view.lots[rows]
        return Line(rows, lots, np.zeros(len(rows), np.int64), lots)
