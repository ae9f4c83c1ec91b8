"""The inventory of an insurance pool: positions taken over, in tranches of one takeover each."""

from collections.abc import Iterable
from dataclasses import dataclass

from delever.core.messages import AdlFilled
from delever.core.units import Mark, Ratio, share_floor


@dataclass(slots=True)
class Tranche:
    """The open part of one takeover; cost in Cash.

    `equity` and `maintenance` are those of the account's margin bucket when it was taken over, in
    Cash; both are 0 for a tranche that a cancelled fill has opened again.
    """

    takeover: int
    account: str
    lots: int
    cost: int
    price_ticks: int
    equity: int = 0
    maintenance: int = 0


class Inventory:
    """A pool's open tranches of one contract and side, oldest takeover first."""

    __slots__ = ("_underwater", "changed", "total_cost", "total_lots", "tranches")

    def __init__(self, tranches: Iterable[Tranche] = (), changed: Iterable[int] = ()) -> None:
        self.tranches = {tranche.takeover: tranche for tranche in tranches}
        self.total_lots = sum(tranche.lots for tranche in self.tranches.values())
        self.total_cost = sum(tranche.cost for tranche in self.tranches.values())
        self.changed = set(changed)
        self._underwater: tuple[int, Mark, list[Tranche]] | None = None

    def __reduce__(self) -> tuple[type["Inventory"], tuple[object, ...]]:
        """Return what a copy takes, faster than slots do by themselves."""
        return Inventory, (tuple(self.tranches.values()), tuple(self.changed))

    def underwater(self, sign: int, mark_ticks: Mark) -> list[Tranche]:
        """Return the tranches that a mark values below their takeover price; `sign` is the side's.

        They are computed once for a mark, as long as no tranche changes.
        """
        cached = self._underwater
        if cached is None or cached[:2] != (sign, mark_ticks):
            below = [
                tranche
                for tranche in self.tranches.values()
                if sign * (tranche.price_ticks - mark_ticks) > 0
            ]
            cached = self._underwater = sign, mark_ticks, below
        return cached[2]

    def add(self, tranche: Tranche) -> None:
        """Add the tranche of a new takeover."""
        self.tranches[tranche.takeover] = tranche
        self.total_lots += tranche.lots
        self.total_cost += tranche.cost
        self.changed.add(tranche.takeover)
        self._underwater = None

    def reduce(self, takeover: int, lots: int, cost_cash: int) -> None:
        """Close lots of a tranche, and the cost that belongs to them."""
        tranche = self.tranches[takeover]
        tranche.lots -= lots
        tranche.cost -= cost_cash
        self.total_lots -= lots
        self.total_cost -= cost_cash
        self.changed.add(takeover)
        self._underwater = None
        if tranche.lots == 0:
            del self.tranches[takeover]

    def restore(self, fill: AdlFilled) -> None:
        """Reopen what an ADL fill closed; a tranche that was closed whole is added last."""
        if fill.takeover not in self.tranches:
            self.tranches[fill.takeover] = Tranche(
                fill.takeover, fill.liquidated_account, 0, 0, fill.takeover_price_ticks
            )
        self.reduce(fill.takeover, -fill.lots, -fill.pool_cost_cash)

    def rescale(self, lots_ratio: Ratio, price_ratio: Ratio) -> None:
        """Express lots and prices in new units: each times its ratio, which gives whole numbers."""
        for tranche in self.tranches.values():
            tranche.lots = share_floor(tranche.lots, *lots_ratio)
            tranche.price_ticks = share_floor(tranche.price_ticks, *price_ratio)
        self.total_lots = share_floor(self.total_lots, *lots_ratio)
        self.changed.update(self.tranches)
        self._underwater = None

    def take_changes(self) -> list[tuple[object, ...]]:
        """Return (takeover, lots, cost) of the tranches that changed since the last call.

        A closed tranche is (takeover,).
        """
        if not self.changed:
            return []
        changed = [(takeover, self.tranches.get(takeover)) for takeover in sorted(self.changed)]
        self.changed.clear()
        return [(takeover, t.lots, t.cost) if t else (takeover,) for takeover, t in changed]
