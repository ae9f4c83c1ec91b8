"""What a policy says of a queue."""

from dataclasses import dataclass
from typing import Protocol

from delever.core.rules.ranking import Queue
from delever.core.units import Ints


@dataclass(frozen=True, slots=True)
class Line:
    """Counterparties in tiers: rows, the most they may lose, their tier (not falling), their weight.

    A tier is used up before the next is touched; inside one, lots are shared by weight.
    """

    rows: Ints
    cap_lots: Ints
    tier: Ints
    weight: Ints


class Policy(Protocol):
    """Who stands in line."""

    @property
    def name(self) -> str:
        """The policy's name in commands and documents."""

    def line(self, queue: Queue, rows: Ints) -> Line:
        """Return the rows, given in order of rank, arranged in tiers."""
