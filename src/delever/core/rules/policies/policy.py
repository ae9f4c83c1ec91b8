"""The protocol of a policy that divides a quantity over the ADL queue, in lots."""

from typing import Protocol

from delever.core.rules.adl_price import Quote
from delever.core.rules.ranking import Queue
from delever.core.units import Ints


class LotPolicy(Protocol):
    """How the lots that a round closes are divided over the queue, live and in the lab.

    A policy is a value without state of its own: the same queue, quantity and quote give the same
    lots on every machine. A dataclass is part of its rule set's digest with all of its fields.
    """

    @property
    def name(self) -> str:
        """The policy's name in commands, tables and documents."""

    def allocate(self, queue: Queue, wanted_lots: int, quote: Quote) -> Ints:
        """Return the lots that each counterparty closes, in the order of `queue.order`.

        Each is at least 0 and at most the counterparty's `closable_lots`; they sum to at most
        `wanted_lots`. A round calls it again without the counterparties that a filter excludes.
        """


def closable_lots(queue: Queue) -> Ints:
    """Return the lots that a round may close of each counterparty, in the order of the queue."""
    lots: Ints = queue.closable_lots[queue.order]
    return lots
