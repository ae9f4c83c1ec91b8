"""Triggers that look at one contract: its profit, its depth, its inventory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.inventory import Tranche
from delever.core.market.trigger_limits import Limits
from delever.core.messages import Reason, Side
from delever.core.rules.triggers.base import Reading, all_tranches, limits_of
from delever.core.units import PPM, ratio_ppm
from delever.core.valuation.insurance import profit_of


@dataclass(frozen=True, slots=True)
class ContractDrawdown:
    """The contract's profit has fallen too far below its peak, measured by the pool's peak balance.

    Start: balance > trigger_threshold and (peak profit - profit) / peak balance >= start, inclusive.
    Stop: that ratio < stop. Both peaks are over the pool's window. It starts with or without
    inventory, and what is taken over while it is on is closed at once.
    """

    limits: Limits
    name: str = field(default="contract_drawdown", init=False)
    reason: Reason = field(default=Reason.CONTRACT_DRAWDOWN_LIMIT, init=False)

    def read(self, book: Book, state: ContractState) -> Reading:
        """Return what holds now; `pnl_ratio_ppm` is negative below the peak, as Bybit shows it."""
        pool, limits = book.pool_of(state), limits_of(book, state, self.limits)
        profit = profit_of(state)
        contract_pnl_peak = state.contract_pnl_peak.peak(book.time_ms, profit)
        balance_peak = pool.balance_peak.peak(book.time_ms, pool.balance)
        drawdown = contract_pnl_peak - profit
        covered = pool.balance > limits.trigger_threshold_cash
        starts = balance_peak > 0 and drawdown * PPM >= limits.start_ppm * balance_peak
        return Reading(
            starts=covered and starts,
            stops=drawdown == 0 or drawdown * PPM < limits.stop_ppm * balance_peak,
            trigger_used_ppm=ratio_ppm(drawdown * PPM, limits.start_ppm * balance_peak)
            if covered
            else 0,
            numbers={
                "balance_cash": pool.balance,
                "trigger_threshold_cash": limits.trigger_threshold_cash,
                "balance_peak_cash": balance_peak,
                "profit_cash": profit,
                "profit_peak_cash": contract_pnl_peak,
                "pnl_ratio_ppm": -ratio_ppm(drawdown, balance_peak),
                "start_ppm": -limits.start_ppm,
                "stop_ppm": -limits.stop_ppm,
            },
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return all inventory."""
        return all_tranches(state, side)


@dataclass(frozen=True, slots=True)
class Illiquidity:
    """The depth that could absorb the inventory has been missing for too long.

    Start: depth within the pool's slippage has been less than inventory for wait_ms without a
    break. Stop: depth suffices again, or nothing is left to close.
    """

    limits: Limits
    name: str = field(default="illiquidity", init=False)
    reason: Reason = field(default=Reason.INSUFFICIENT_DEPTH, init=False)

    def read(self, book: Book, state: ContractState) -> Reading:
        """Return what holds now."""
        wait_ms = limits_of(book, state, self.limits).wait_ms
        since = [ms for ms in state.depth_missing_since_ms.values() if ms is not None]
        waited_ms = book.time_ms - min(since) if since else 0
        return Reading(
            starts=bool(since) and waited_ms >= wait_ms,
            stops=not since,
            trigger_used_ppm=ratio_ppm(waited_ms, wait_ms),
            numbers={"waited_ms": waited_ms, "wait_ms": wait_ms},
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory of a side whose depth is missing."""
        missing = state.depth_missing_since_ms[side] is not None
        return all_tranches(state, side) if missing else []


@dataclass(frozen=True, slots=True)
class Unplaced:
    """Any inventory at all: what could not be placed is closed at once.

    Start: inventory. Stop: none left.
    """

    name: str = field(default="unplaced", init=False)
    reason: Reason = field(default=Reason.INVENTORY_NOT_UNWOUND, init=False)

    def read(self, _book: Book, state: ContractState) -> Reading:
        """Return what holds now."""
        lots = sum(inventory.total_lots for inventory in state.inventory.values())
        return Reading(
            starts=lots > 0,
            stops=lots == 0,
            trigger_used_ppm=PPM if lots else 0,
            numbers={"inventory_lots": lots},
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return all inventory."""
        return all_tranches(state, side)
