"""Pro rata: every counterparty is closed by the same fraction of its position."""

import numpy as np

from delever.core.rules.policies.policy import AllocationTiers
from delever.core.rules.ranking import Queue
from delever.core.units import Ints


class ProRataPolicy:
    """All counterparties are one tier, each with the weight of its lots."""

    name = "pro_rata"

    def tiers(self, queue: Queue, rows: Ints) -> AllocationTiers:
        """Return all rows in one tier."""
        lots = queue.closable_lots[rows]
        return AllocationTiers(rows, lots, np.zeros(len(rows), np.int64), lots)
