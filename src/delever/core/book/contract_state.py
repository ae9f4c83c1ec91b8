"""The state of one contract: terms, mark, depth, positions, inventory and PnL."""

from collections.abc import Mapping
from dataclasses import dataclass

from delever.core.book.account_tables import Wallets
from delever.core.book.inventory import Inventory
from delever.core.book.position_table import PositionTable
from delever.core.kernels import Revalued, kernels_for
from delever.core.market.contract_terms import Terms
from delever.core.market.rolling_windows import RollingPeak, RollingVolatility
from delever.core.market.trigger_limits import Limits
from delever.core.messages import AdlFilled, DefineContract, Rating, Side
from delever.core.units import Ints


@dataclass(frozen=True, slots=True)
class OutstandingLoss:
    """One position's part of a socialized loss that the venue's numbers may not include yet."""

    fill: int
    contract: str
    side: Side
    position: int
    amount_cash: int


class ContractState:
    """One contract: terms, mark, depth, positions, inventory, profit, and whether ADL runs."""

    def __init__(
        self, definition: DefineContract, terms: Terms, limits: Limits, window_ms: int
    ) -> None:
        self.number = 0
        self.definition = definition
        self.terms = terms
        self.limits = limits
        self.name = definition.contract
        self.key = f"contract {self.name}"
        self.pool = definition.pool
        self.mark = 0
        self.previous_mark = 0
        self.marks = RollingVolatility()
        self.bids: tuple[tuple[int, int], ...] = ()
        self.asks: tuple[tuple[int, int], ...] = ()
        self.depth_known = False
        self.depth_missing_since_ms: dict[Side, int | None] = {Side.LONG: None, Side.SHORT: None}
        self.tables = {side: PositionTable() for side in Side}
        self.inventory = {side: Inventory() for side in Side}
        self.realized = 0
        self.injected = 0
        self.contract_pnl_peak = RollingPeak(window_ms)
        self.active: dict[str, int] = {}
        self.near: set[str] = set()
        self.paused = False
        self.exhausted: dict[Side, int] = {}
        self.rating: Rating | None = None
        self.counted = False
        self.measured_exposure = 0
        self.most_held = 0, 0

    def reset_for_pool(self, pool: str, window_ms: int, time_ms: int) -> None:
        """Stand behind another pool with no past: profit, peak and ADL state begin anew."""
        self.pool = pool
        self.realized = 0
        self.injected = 0
        self.contract_pnl_peak = RollingPeak(window_ms)
        self.contract_pnl_peak.observe(
            time_ms, self.unrealized_pnl
        )  # a loss brought along is no drawdown
        self.active.clear()
        self.near.clear()
        self.exhausted.clear()
        self.counted = False

    def valued(self, side: Side, lots: Ints, cost: Ints) -> tuple[Ints, Ints]:
        """Return the rows' profit and maintenance at the mark in Cash; 0 before the first mark."""
        if self.mark == 0:
            return lots * 0, lots * 0
        value = self.terms.value_cash(side.sign * lots, self.mark)
        return value - cost, self.terms.maintenance_cash(abs(value))

    def withdraw(self, side: Side, rows: Ints, wallets: Wallets) -> None:
        """Take the rows' profit and maintenance out of their cross wallets."""
        self._move(side, rows, wallets, -1)

    def contribute(self, side: Side, rows: Ints, wallets: Wallets) -> None:
        """Value the rows at the mark and add them to their cross wallets."""
        table = self.tables[side]
        table.unrealized_pnl[rows], table.maintenance[rows] = self.valued(
            side, table.lots[rows], table.cost[rows]
        )
        self._move(side, rows, wallets, 1)

    def _move(self, side: Side, rows: Ints, wallets: Wallets, sign: int) -> None:
        table = self.tables[side]
        table.changed_at = wallets.sequence
        kernels_for(len(rows)).contribute(
            rows,
            table.account,
            table.isolated,
            table.unrealized_pnl,
            table.maintenance,
            sign,
            wallets.rows,
            wallets.sequence,
        )

    def mark_at(self, time_ms: int, mark_ticks: int, sequence: int) -> list[Revalued]:
        """Stand at a new mark from this time on; return the tables to be valued at it."""
        self.previous_mark, self.mark = self.mark or mark_ticks, mark_ticks
        self.marks.observe(time_ms, mark_ticks)
        long, short = self.tables.values()
        long.changed_at = short.changed_at = sequence
        factor, ticks = self.terms.per_lot(Side.LONG, mark_ticks)
        moved: list[Revalued] = [(long, factor, ticks, self.terms)] if long.size else []
        if short.size:
            moved.append((short, -factor, ticks, self.terms))
        return moved

    def restate(
        self,
        side: Side,
        key: tuple[int, int],
        amounts: tuple[int, int, int],
        terms: tuple[bool, int, bool],
        wallets: Wallets,
    ) -> None:
        """Have a position stand at (lots, cost, margin) and (isolated, leverage, in liquidation).

        It is valued at the mark; its cross wallet, before and after, gets the differences. One
        without lots stays until it is removed.
        """
        table, (lots, cost, margin) = self.tables[side], amounts
        table.changed_at = wallets.sequence
        row = table.put(*key)
        was_isolated, is_isolated = table.isolated.item(row), terms[0]
        gone = (
            (0, 0)
            if was_isolated
            else (table.unrealized_pnl.item(row), table.maintenance.item(row))
        )
        table.set_row(row, lots, cost, margin)
        table.isolated[row], table.leverage[row], table.under_liquidation[row] = terms
        unrealized_pnl = maintenance = 0
        if self.mark:
            value = self.terms.value_cash(side.sign * lots, self.mark)
            unrealized_pnl, maintenance = value - cost, self.terms.maintenance_of(abs(value))
        table.unrealized_pnl[row], table.maintenance[row] = unrealized_pnl, maintenance
        if is_isolated:
            unrealized_pnl = maintenance = 0
        if not (was_isolated and is_isolated):
            wallets.shift(key[0], unrealized_pnl - gone[0], maintenance - gone[1])

    def reduce(
        self, side: Side, key: tuple[int, int], amounts: tuple[int, int, int], wallets: Wallets
    ) -> None:
        """Take (lots, cost, margin) out of a position; negative amounts put them back."""
        table = self.tables[side]
        row = table.put(*key)
        lots, cost, margin = table.amounts_of(row)
        left = lots - amounts[0], cost - amounts[1], margin - amounts[2]
        self.restate(side, key, left, table.terms_of(row), wallets)
        if left[0] == 0:
            table.remove(row)

    def reopen(self, key: tuple[int, int], fill: AdlFilled) -> None:
        """Have a position to put a fill back into, with the terms that it had."""
        table = self.tables[fill.side]
        if table.find(*key) is None:
            row = table.put(*key)
            table.isolated[row], table.leverage[row] = fill.isolated, fill.leverage_hundredths

    def inventory_value(self, side: Side) -> int:
        """Return what inventory is worth at the mark in Cash; its cost before the first mark."""
        inventory = self.inventory[side]
        if self.mark == 0:
            return inventory.total_cost
        return self.terms.value_cash(side.sign * inventory.total_lots, self.mark)

    def inventory_pnl(self, side: Side) -> int:
        """Return the unrealized profit of inventory of one side at the mark, in Cash."""
        return self.inventory_value(side) - self.inventory[side].total_cost

    @property
    def unrealized_pnl(self) -> int:
        """Unrealized profit of inventory on both sides, in Cash."""
        return self.inventory_pnl(Side.LONG) + self.inventory_pnl(Side.SHORT)

    @property
    def has_inventory(self) -> bool:
        """Whether its pool holds any of it."""
        long, short = self.inventory.values()
        return bool(long.tranches or short.tranches)

    @property
    def engaged(self) -> bool:
        """Whether it keeps its pool busy: inventory, profit, a trigger on or near, a wait.

        Once counted with its pool it stays so: a profit that returns to 0 still has its peak.
        """
        waits = set(self.depth_missing_since_ms.values()) != {None}
        unrealized_pnl = self.realized or self.injected
        busy = unrealized_pnl or self.active or self.near or waits or self.has_inventory
        return bool(self.counted or busy)

    def exposure(
        self, mark: int, more: Mapping[Side, tuple[int, int, int]], *, now: bool = False
    ) -> int:
        """Return a bound on what one account can gain or lose here in Cash.

        The largest position of each side at the mark plus the largest cost, times the position
        numbers in use; `more` is the (lots, cost, numbers) about to be set. It grows with the book
        and does not fall with it: `now` looks through the positions that are there instead.
        """
        lots, cost = self.most(more, now=now) if more or now else self.most_held
        return lots * self.worth(mark) + cost

    def worth(self, mark: int) -> int:
        """Return what a lot is worth at a mark in Cash, at most: inverse ones at one tick."""
        return self.terms.factor * (mark if self.terms.linear else 1)

    def most(
        self, more: Mapping[Side, tuple[int, int, int]], *, now: bool = False
    ) -> tuple[int, int]:
        """Return the lots and cost of somebody who holds the largest position of every number."""
        all_lots = all_costs = 0
        for side, table in self.tables.items():
            lots, cost, numbers = table.current_bounds() if now else table.most
            if side in more:
                most = more[side]
                lots, cost = max(lots, most[0]), max(cost, most[1])
                numbers = max(numbers, most[2])
            all_lots, all_costs = all_lots + lots * numbers, all_costs + cost * numbers
        return all_lots, all_costs

    def scalars(self) -> tuple[object, ...]:
        """Return the contract's own numbers for the hash of changes."""
        return (
            self.pool,
            self.mark,
            self.previous_mark,
            self.realized,
            self.injected,
            self.bids,
            self.asks,
            sorted(self.active.items()),
            sorted(self.depth_missing_since_ms.items()),
            self.rating and (self.rating.level, self.rating.as_of),
            *(("paused",) if self.paused else ()),
        )

    def take_changes(self, side: Side) -> list[tuple[object, ...]]:
        """Return the positions and tranches of one side that changed, as they are now."""
        return [*self.tables[side].take_changes(), *self.inventory[side].take_changes()]
