"""Triggers on one contract: the drawdown of its PnL, its depth, its inventory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import Tranche
from delever.core.market.trigger_limits import UNSET, Limits
from delever.core.messages import Reason, Side
from delever.core.rules.triggers.trigger import (
    TriggerEvaluation,
    all_tranches,
    limits_of,
    underwater,
)
from delever.core.units import PPM, div_ceil, ratio_ppm
from delever.core.valuation.insurance import contract_pnl_of


@dataclass(frozen=True, slots=True)
class ContractDrawdown:
    """The contract's PnL has fallen too far below its peak, relative to the pool's peak balance.

    Start: balance > trigger_threshold and (peak PnL - PnL) / peak balance >= start, inclusive.
    Stop: that ratio < stop. Both peaks are over the pool's window. ADL starts with or without
    inventory, and closes at once what is taken over while it is on.
    """

    limits: Limits
    name: str = field(default="contract_drawdown", init=False)
    reason: Reason = field(default=Reason.CONTRACT_DRAWDOWN_LIMIT, init=False)
    limit_fields: tuple[str, ...] = field(
        default=("start", "stop", "trigger_threshold"), init=False
    )

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether the limits are reached; `pnl_ratio_ppm` is negative below the peak."""
        pool, limits = book.pool_of(state), limits_of(book, state, self.limits)
        contract_pnl = contract_pnl_of(state)
        pnl_peak = state.contract_pnl_peak.peak(book.time_ms, contract_pnl)
        balance_peak = pool.balance_peak.peak(book.time_ms, pool.balance)
        drawdown = pnl_peak - contract_pnl
        above_threshold = pool.balance > limits.trigger_threshold_cash
        reached = balance_peak > 0 and drawdown * PPM >= limits.start_ppm * balance_peak
        used_ppm = ratio_ppm(drawdown * PPM, limits.start_ppm * balance_peak)
        return TriggerEvaluation(
            starts=above_threshold and reached,
            stops=drawdown == 0 or drawdown * PPM < limits.stop_ppm * balance_peak,
            trigger_used_ppm=used_ppm if above_threshold else 0,
            numbers={
                "balance_cash": pool.balance,
                "trigger_threshold_cash": limits.trigger_threshold_cash,
                "balance_peak_cash": balance_peak,
                "contract_pnl_cash": contract_pnl,
                "contract_pnl_peak_cash": pnl_peak,
                "pnl_ratio_ppm": -ratio_ppm(drawdown, balance_peak),
                "start_ppm": -limits.start_ppm,
                "stop_ppm": -limits.stop_ppm,
            },
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory that is underwater: what is in profit costs the contract nothing."""
        return underwater(state, side)

    def deficit_cash(self, book: Book, state: ContractState) -> int:
        """Return what the contract's PnL lacks to have a drawdown below the stop."""
        pool, limits = book.pool_of(state), limits_of(book, state, self.limits)
        pnl = contract_pnl_of(state)
        peak = state.contract_pnl_peak.peak(book.time_ms, pnl)
        balance_peak = pool.balance_peak.peak(book.time_ms, pool.balance)
        return min(peak - div_ceil(balance_peak * limits.stop_ppm, PPM) + 1, peak) - pnl


@dataclass(frozen=True, slots=True)
class Illiquidity:
    """The order book has been too thin to unwind the inventory for too long.

    Start: depth within the pool's slippage has been less than inventory for wait_ms without a
    break. Stop: depth suffices again, or no inventory is left.
    """

    limits: Limits
    name: str = field(default="illiquidity", init=False)
    reason: Reason = field(default=Reason.INSUFFICIENT_DEPTH, init=False)
    limit_fields: tuple[str, ...] = field(default=("wait_ms",), init=False)

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether depth has been insufficient for `wait_ms`."""
        wait_ms = limits_of(book, state, self.limits).wait_ms
        since = [ms for ms in state.depth_insufficient_since_ms.values() if ms is not None]
        waited_ms = book.time_ms - min(since) if since else 0
        return TriggerEvaluation(
            starts=bool(since) and waited_ms >= wait_ms,
            stops=not since,
            trigger_used_ppm=ratio_ppm(waited_ms, wait_ms),
            numbers={"waited_ms": waited_ms, "wait_ms": wait_ms},
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory of a side with insufficient depth."""
        missing = state.depth_insufficient_since_ms[side] is not None
        return all_tranches(state, side) if missing else []

    def deficit_cash(self, _book: Book, _state: ContractState) -> None:
        """Return None: the trigger watches depth, not the fund."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Too much inventory of the pool waits to be unwound.

    Start: notional of the pool's inventory at the marks >= `backlog`, inclusive, some of it in the
    contract. Stop: below, or none in the contract. Without the limit ADL never starts by it.
    """

    name: str = field(default="backlog", init=False)
    reason: Reason = field(default=Reason.BACKLOG_LIMIT, init=False)
    limit_fields: tuple[str, ...] = field(default=("backlog",), init=False)

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether the notional of inventory has reached the limit."""
        limit = limits_of(book, state, Limits()).backlog_cash
        notional = sum(
            abs(member.inventory_value(side))
            for member in book.monitored()
            if member.pool == state.pool
            for side in Side
        )
        reached = limit != UNSET and state.has_inventory and notional >= limit
        return TriggerEvaluation(
            starts=reached,
            stops=not reached,
            trigger_used_ppm=ratio_ppm(notional, limit) if limit > 0 else PPM * reached,
            numbers={"inventory_notional_cash": notional, "backlog_cash": limit},
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the whole inventory."""
        return all_tranches(state, side)

    def deficit_cash(self, _book: Book, _state: ContractState) -> None:
        """Return None: the trigger watches inventory, not the fund."""


@dataclass(frozen=True, slots=True)
class OpenInventory:
    """The pool has any inventory at all: what nobody took over is closed at once.

    Start: inventory. Stop: no inventory.
    """

    name: str = field(default="open_inventory", init=False)
    reason: Reason = field(default=Reason.INVENTORY_NOT_UNWOUND, init=False)
    limit_fields: tuple[str, ...] = field(default=(), init=False)

    def evaluate(self, _book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether there is inventory."""
        lots = sum(inventory.total_lots for inventory in state.inventory.values())
        return TriggerEvaluation(
            starts=lots > 0,
            stops=lots == 0,
            trigger_used_ppm=PPM if lots else 0,
            numbers={"inventory_lots": lots},
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the whole inventory."""
        return all_tranches(state, side)

    def deficit_cash(self, _book: Book, _state: ContractState) -> None:
        """Return None: the trigger watches inventory, not the fund."""
