"""What a pool has taken over of one contract and side and not yet closed, parcel by parcel."""

from dataclasses import dataclass

from delever.core.messages import AdlFilled


@dataclass(slots=True)
class Parcel:
    """What one takeover brought into inventory and is not yet closed; cost in Cash."""

    takeover: int
    account: str
    lots: int
    cost: int
    price_ticks: int


class Inventory:
    """What a pool has taken over of one contract and side, oldest takeover first."""

    __slots__ = ("changed", "parcels", "total_cost", "total_lots")

    def __init__(self) -> None:
        self.parcels: dict[int, Parcel] = {}
        self.total_lots = 0
        self.total_cost = 0
        self.changed: set[int] = set()

    def add(self, parcel: Parcel) -> None:
        """Take a parcel in."""
        self.parcels[parcel.takeover] = parcel
        self.total_lots += parcel.lots
        self.total_cost += parcel.cost
        self.changed.add(parcel.takeover)

    def take(self, takeover: int, lots: int, cost_cash: int) -> None:
        """Close lots of one parcel, with their part of its cost."""
        parcel = self.parcels[takeover]
        parcel.lots -= lots
        parcel.cost -= cost_cash
        self.total_lots -= lots
        self.total_cost -= cost_cash
        self.changed.add(takeover)
        if parcel.lots == 0:
            del self.parcels[takeover]

    def give_back(self, fill: AdlFilled) -> None:
        """Put back what an ADL fill had closed; a parcel that was gone stands last."""
        if fill.takeover not in self.parcels:
            self.parcels[fill.takeover] = Parcel(
                fill.takeover, fill.liquidated_account, 0, 0, fill.takeover_price_ticks
            )
        self.take(fill.takeover, -fill.lots, -fill.pool_cost_cash)

    def take_changes(self) -> list[tuple[object, ...]]:
        """Return what is left of the parcels that changed, and forget which."""
        if not self.changed:
            return []
        changed = [(takeover, self.parcels.get(takeover)) for takeover in sorted(self.changed)]
        self.changed.clear()
        return [(takeover, p.lots, p.cost) if p else (takeover,) for takeover, p in changed]
