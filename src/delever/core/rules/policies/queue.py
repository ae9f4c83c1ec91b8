"""Queue: one counterparty after the other, in order of rank. Every venue with a ranking does it."""

import numpy as np

from delever.core.rules.policies.policy import AllocationTiers
from delever.core.rules.ranking import Queue
from delever.core.units import Ints


class QueuePolicy:
    """Each counterparty is a tier of its own."""

    name = "queue"

    def tiers(self, queue: Queue, rows: Ints) -> AllocationTiers:
        """Return one tier a row, in order of rank."""
        lots, tiers = queue.closable_lots[rows], np.arange(len(rows))
        return AllocationTiers(rows, lots, tiers, np.ones(len(rows), np.int64))
