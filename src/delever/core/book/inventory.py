"""What a pool has taken over of one contract and side and not yet closed, tranche by tranche."""

from dataclasses import dataclass

from delever.core.messages import AdlFilled


@dataclass(slots=True)
class Tranche:
    """What one takeover brought into inventory and is not yet closed; cost in Cash."""

    takeover: int
    account: str
    lots: int
    cost: int
    price_ticks: int


class Inventory:
    """What a pool has taken over of one contract and side, oldest takeover first."""

    __slots__ = ("changed", "tranches", "total_cost", "total_lots")

    def __init__(self) -> None:
        self.tranches: dict[int, Tranche] = {}
        self.total_lots = 0
        self.total_cost = 0
        self.changed: set[int] = set()

    def add(self, tranche: Tranche) -> None:
        """Take a tranche in."""
        self.tranches[tranche.takeover] = tranche
        self.total_lots += tranche.lots
        self.total_cost += tranche.cost
        self.changed.add(tranche.takeover)

    def take(self, takeover: int, lots: int, cost_cash: int) -> None:
        """Close lots of one tranche, with their part of its cost."""
        tranche = self.tranches[takeover]
        tranche.lots -= lots
        tranche.cost -= cost_cash
        self.total_lots -= lots
        self.total_cost -= cost_cash
        self.changed.add(takeover)
        if tranche.lots == 0:
            del self.tranches[takeover]

    def give_back(self, fill: AdlFilled) -> None:
        """Put back what an ADL fill had closed; a tranche that was gone stands last."""
        if fill.takeover not in self.tranches:
            self.tranches[fill.takeover] = Tranche(
                fill.takeover, fill.liquidated_account, 0, 0, fill.takeover_price_ticks
            )
        self.take(fill.takeover, -fill.lots, -fill.pool_cost_cash)

    def take_changes(self) -> list[tuple[object, ...]]:
        """Return what is left of the tranches that changed, and forget which."""
        if not self.changed:
            return []
        changed = [(takeover, self.tranches.get(takeover)) for takeover in sorted(self.changed)]
        self.changed.clear()
        return [(takeover, p.lots, p.cost) if p else (takeover,) for takeover, p in changed]
