"""Lazy side indices: a pro-rata round in O(1), which each account settles when it is touched.

A side of a contract has two numbers instead of a fill for each account: `scale` shrinks every
position, and `paid` books what a unit of position pays. Source: percolator v16.8.3
(dcccrypto/percolator, 23 June 2026): delta_K = ceil(D A / OI), A' = floor(A OI' / OI).
"""

from dataclasses import dataclass, field, replace

import numpy as np

from delever.core.rules.adl_price import Quote
from delever.core.rules.policies.allocation import fill_in_order
from delever.core.rules.policies.policy import closable_lots
from delever.core.rules.ranking import Queue
from delever.core.units import Ints, div_ceil, div_floor, share_floor
from delever.lab.errors import InputError

SCALE = 2**60
"""Position units per lot of a new side: positions shrink from here."""

PAID_UNIT = 2**40
"""Parts of a unit of cash in which payments for a position unit are booked."""

DRAIN_BELOW = 2**20
"""Scale below which a side only closes positions until it is empty, and then starts again."""


@dataclass(frozen=True, slots=True)
class SideIndex:
    """One side of a contract: its scale, what a position unit has paid, and its open lots.

    Positions are `SidePosition` values; a round changes the index alone. What rounding leaves is
    never against the venue: scale and positions are rounded down, so that positions may sum to less
    than the open lots, by up to a lot each (dust), and payments are rounded up.

        >>> side = SideIndex(open_lots=30)
        >>> amy, ben = side.position(10), side.position(20)
        >>> side = side.reduced(6, deficit_cash=300)
        >>> side.settled(amy), side.settled(ben), side.open_lots
        ((7, 100), (15, 200), 24)
    """

    open_lots: int
    scale: int = SCALE
    paid: int = 0
    epoch: int = 0

    @property
    def drains_only(self) -> bool:
        """Whether the scale is too small for new positions."""
        return self.scale < DRAIN_BELOW

    def position(self, lots: int) -> "SidePosition":
        """Return a position opened now; its lots are not yet counted in `open_lots`."""
        if self.drains_only:
            raise InputError("only closes positions until it is empty", column="side")
        return SidePosition(lots, self.scale, self.paid, self.epoch)

    def opened(self, lots: int) -> "SideIndex":
        """Return the side with more open lots."""
        return replace(self, open_lots=self.open_lots + lots)

    def reduced(self, lots: int, deficit_cash: int = 0) -> "SideIndex":
        """Return the side after a round: lots closed, and a deficit paid, both pro rata.

        A side that is closed whole starts again in a new epoch. Raises InputError for more lots
        than are open, and for a deficit without open lots.
        """
        if not 0 <= lots <= self.open_lots or deficit_cash < 0 or not self.open_lots:
            raise InputError(
                f"must be from 0 to the {self.open_lots} open lots", column="lots", value=lots
            )
        paid = self.paid + div_ceil(deficit_cash * self.scale * PAID_UNIT, self.open_lots)
        left = self.open_lots - lots
        scale = div_floor(self.scale * left, self.open_lots)
        return replace(self, open_lots=left, scale=scale, paid=paid)

    def restarted(self) -> "SideIndex":
        """Return an empty side with a full scale; raises InputError while lots are open."""
        if self.open_lots:
            raise InputError("has open lots", column="side", value=self.open_lots)
        return replace(self, scale=SCALE, epoch=self.epoch + 1)

    def settled(self, position: "SidePosition") -> tuple[int, int]:
        """Return a position's lots now, rounded down, and what it owes, rounded up, in Cash.

        A position of an earlier epoch has been closed whole.
        """
        scale = self.scale if position.epoch == self.epoch else 0
        lots = div_floor(position.lots * scale, position.scale)
        owed = position.lots * (self.paid - position.paid)
        return lots, div_ceil(owed, position.scale * PAID_UNIT)


@dataclass(frozen=True, slots=True)
class SidePosition:
    """A position as of its last settlement: lots, and the side's numbers of then."""

    lots: int
    scale: int
    paid: int
    epoch: int


@dataclass(frozen=True, slots=True)
class LazySideIndex:
    """A round of side indices, with every account settled at once.

    Counterparty i keeps floor(q_i A' / A) lots, A' / A being the part of the side that stays open;
    what these floors close beyond the lots wanted, less than a lot each, is returned by rank, the
    last first. All pay by size, as under tear_up, but a venue that settles lazily needs no fill for
    each account: two integers a side. Source: percolator v16.8.3.
    """

    name: str = field(default="lazy_side_index", init=False)

    def allocate(self, queue: Queue, wanted_lots: int, _quote: Quote) -> Ints:
        """Return the lots of each counterparty, in order of rank."""
        lots = closable_lots(queue)
        whole = int(lots.sum())
        if wanted_lots >= whole:
            return lots
        left = whole - wanted_lots
        open_ = np.array([share_floor(left, own, whole) for own in lots.tolist()], np.int64)
        closed = lots - open_
        returned = fill_in_order(int(closed.sum()) - wanted_lots, np.minimum(closed, 1)[::-1])
        return closed - returned[::-1]
