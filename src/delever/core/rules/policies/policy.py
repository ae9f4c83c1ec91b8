"""What a policy decides: in which tiers, and with which weights, the queue is closed."""

from dataclasses import dataclass
from typing import Protocol

from delever.core.rules.ranking import Queue
from delever.core.units import Ints


@dataclass(frozen=True, slots=True)
class AllocationTiers:
    """Counterparties in tiers: their rows, lots at most, tier (not decreasing) and weight.

    A tier is used up before the next one begins; within a tier, lots are shared by weight.
    """

    rows: Ints
    cap_lots: Ints
    tier: Ints
    weight: Ints


class Policy(Protocol):
    """How a quantity is divided over the queue."""

    @property
    def name(self) -> str:
        """The policy's name in commands and documents."""

    def tiers(self, queue: Queue, rows: Ints) -> AllocationTiers:
        """Return eligible rows, which are in order of rank, in tiers."""
