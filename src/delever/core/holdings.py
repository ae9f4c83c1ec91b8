"""What the book keeps for each asset, contract and pool."""

from dataclasses import dataclass

from delever.core.columns import Lane, Wallets
from delever.core.contracts import Terms
from delever.core.messages import (
    AdlFilled,
    DefineContract,
    DefinePool,
    PoolObserved,
    Side,
)
from delever.core.rolling import RollingPeak
from delever.core.units import Ints


class AssetState:
    """One settle asset: its unit, its wallets, and the totals that the ledger must meet."""

    def __init__(self, name: str, cash_decimals: int) -> None:
        self.name = name
        self.cash_decimals = cash_decimals
        self.wallets = Wallets()
        self.pool_balance = 0
        self.inventory_cost = 0
        self.fees = 0


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

    __slots__ = ("changed", "cost", "lots", "parcels")

    def __init__(self) -> None:
        self.parcels: dict[int, Parcel] = {}
        self.lots = 0
        self.cost = 0
        self.changed: set[int] = set()

    def add(self, parcel: Parcel) -> None:
        """Take a parcel in."""
        self.parcels[parcel.takeover] = parcel
        self.lots += parcel.lots
        self.cost += parcel.cost
        self.changed.add(parcel.takeover)

    def take(self, takeover: int, lots: int, cost_cash: int) -> None:
        """Close lots of one parcel, with their part of its cost."""
        parcel = self.parcels[takeover]
        parcel.lots -= lots
        parcel.cost -= cost_cash
        self.lots -= lots
        self.cost -= cost_cash
        self.changed.add(takeover)
        if parcel.lots == 0:
            del self.parcels[takeover]

    def give_back(self, fill: AdlFilled) -> None:
        """Put back what an ADL fill had closed; a parcel that was gone stands last."""
        if fill.takeover not in self.parcels:
            self.parcels[fill.takeover] = Parcel(
                fill.takeover, fill.liquidated_account, 0, 0, fill.price_ticks
            )
        self.take(fill.takeover, -fill.lots, -fill.pool_cost_cash)


class ContractState:
    """One contract: terms, mark, depth, positions, inventory, profit, and whether ADL runs."""

    def __init__(self, definition: DefineContract, terms: Terms, window_ms: int) -> None:
        self.definition = definition
        self.terms = terms
        self.name = definition.contract
        self.pool = definition.pool
        self.mark = 0
        self.previous_mark = 0
        self.bids: tuple[tuple[int, int], ...] = ()
        self.asks: tuple[tuple[int, int], ...] = ()
        self.depth_missing_since_ms: dict[Side, int | None] = {Side.LONG: None, Side.SHORT: None}
        self.lanes = {side: Lane() for side in Side}
        self.inventory = {side: Inventory() for side in Side}
        self.realised = 0
        self.injected = 0
        self.profit_peak = RollingPeak(window_ms)
        self.active: dict[str, int] = {}
        self.near: set[str] = set()
        self.exhausted: dict[Side, int] = {}

    def start_again(self, pool: str, window_ms: int) -> None:
        """Stand behind another pool with no past: profit, peak and ADL state begin anew."""
        self.pool = pool
        self.realised = 0
        self.injected = 0
        self.profit_peak = RollingPeak(window_ms)
        self.active.clear()
        self.near.clear()

    def valued(self, side: Side, lots: Ints, cost: Ints) -> tuple[Ints, Ints]:
        """Return the rows' profit and maintenance at the mark in Cash; 0 before the first mark."""
        if self.mark == 0:
            return lots * 0, lots * 0
        value = self.terms.value_cash(side.sign * lots, self.mark)
        return value - cost, self.terms.maintenance_cash(abs(value))

    def inventory_value(self, side: Side) -> int:
        """Return what inventory is worth at the mark in Cash; its cost before the first mark."""
        inventory = self.inventory[side]
        if self.mark == 0:
            return inventory.cost
        return self.terms.value_cash(side.sign * inventory.lots, self.mark)

    def inventory_profit(self, side: Side) -> int:
        """Return the unrealised profit of inventory of one side at the mark, in Cash."""
        return self.inventory_value(side) - self.inventory[side].cost

    @property
    def unrealised(self) -> int:
        """Unrealised profit of inventory on both sides, in Cash."""
        return self.inventory_profit(Side.LONG) + self.inventory_profit(Side.SHORT)

    @property
    def profit(self) -> int:
        """Cumulative profit of the contract in its pool: realised, unrealised and injected."""
        return self.realised + self.injected + self.unrealised

    def scalars(self) -> tuple[object, ...]:
        """Return the contract's own numbers for the hash of changes."""
        return (
            self.pool,
            self.mark,
            self.previous_mark,
            self.realised,
            self.injected,
            self.bids,
            self.asks,
            sorted(self.active.items()),
            sorted(self.depth_missing_since_ms.items()),
        )

    def take_changes(self, side: Side) -> list[tuple[int, ...]]:
        """Return the positions and parcels of one side that changed, as they are now."""
        lane, inventory = self.lanes[side], self.inventory[side]
        changes: list[tuple[int, ...]] = []
        for key in sorted(lane.changed):
            row = lane.rows.get(key)
            changes.append(key if row is None else lane.kept(row))
        for takeover in sorted(inventory.changed):
            parcel = inventory.parcels.get(takeover)
            left = (parcel.lots, parcel.cost) if parcel else ()
            changes.append((takeover, *left))
        lane.changed.clear()
        inventory.changed.clear()
        return changes


class PoolState:
    """One insurance pool: settled cash, its peaks, and what was last observed of it."""

    def __init__(self, definition: DefinePool) -> None:
        self.definition = definition
        self.name = definition.pool
        self.asset = definition.asset
        self.balance = 0
        self.balance_peak = RollingPeak(definition.peak_window_ms)
        self.equity_peak = RollingPeak(definition.peak_window_ms)
        self.observed: PoolObserved | None = None

    def scalars(self) -> tuple[object, ...]:
        """Return the pool's own numbers for the hash of changes."""
        return (self.balance,)
