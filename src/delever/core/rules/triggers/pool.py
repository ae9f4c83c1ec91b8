"""Triggers on the pool behind a contract: its equity, its drawdown, the PnL it owes to traders."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import Tranche
from delever.core.market.trigger_limits import Limits
from delever.core.messages import Reason, Side
from delever.core.rules.triggers.sizing import in_turn
from delever.core.rules.triggers.trigger import (
    TriggerEvaluation,
    all_tranches,
    limits_of,
    stop_equity_of,
    underwater,
)
from delever.core.units import PPM, div_ceil, div_floor, ratio_ppm, share_floor
from delever.core.valuation.insurance import observed_equity


@dataclass(frozen=True, slots=True)
class PoolEquity:
    """The insurance fund is depleted. Start: pool equity <= 0 with inventory.

    Stop: equity > `stop_equity` (0 by default). Under `until_empty` ADL, once started, goes on
    until no inventory is left, and closes what is in profit, too.
    """

    until_empty: bool = False
    name: str = field(default="pool_equity", init=False)
    reason: Reason = field(default=Reason.POOL_EQUITY_NOT_POSITIVE, init=False)
    limit_fields: tuple[str, ...] = field(default=("stop_equity",), init=False)

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether the pool is depleted; the way to the start begins at its peak equity."""
        pool = book.pool_of(state)
        equity = observed_equity(book, pool)
        peak = pool.equity_peak.peak(book.time_ms, equity)
        stop_equity = stop_equity_of(book, state)
        return TriggerEvaluation(
            starts=equity <= 0 and state.has_inventory,
            stops=not state.has_inventory if self.until_empty else equity > stop_equity,
            trigger_used_ppm=ratio_ppm(peak - equity, peak) if peak > 0 else 0,
            numbers={"balance_cash": pool.balance, "equity_cash": equity, "equity_peak_cash": peak},
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory that is underwater: what is in profit costs the fund nothing."""
        return all_tranches(state, side) if self.until_empty else underwater(state, side)

    def deficit_cash(self, book: Book, state: ContractState) -> int:
        """Return what the pool's equity lacks to be above the stop."""
        return stop_equity_of(book, state) + 1 - observed_equity(book, book.pool_of(state))


@dataclass(frozen=True, slots=True)
class PoolDrawdown:
    """The pool's equity has fallen too far below its peak.

    Start: (peak - equity) / peak >= start, inclusive, with inventory. Stop: that ratio < stop.
    `by_contract` overrides start and stop for single contracts.
    """

    limits: Limits
    by_contract: dict[str, Limits] = field(default_factory=dict)
    name: str = field(default="pool_drawdown", init=False)
    reason: Reason = field(default=Reason.POOL_DRAWDOWN_LIMIT, init=False)
    limit_fields: tuple[str, ...] = field(default=("start", "stop"), init=False)

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether the drawdown has reached the limits."""
        pool = book.pool_of(state)
        limits = limits_of(book, state, self.by_contract.get(state.name, self.limits))
        equity = observed_equity(book, pool)
        peak = pool.equity_peak.peak(book.time_ms, equity)
        drawdown = peak - equity
        reached = peak > 0 and drawdown * PPM >= limits.start_ppm * peak
        return TriggerEvaluation(
            starts=reached and state.has_inventory,
            stops=drawdown == 0 or drawdown * PPM < limits.stop_ppm * peak,
            trigger_used_ppm=ratio_ppm(drawdown * PPM, limits.start_ppm * peak) if peak > 0 else 0,
            numbers={
                "equity_cash": equity,
                "equity_peak_cash": peak,
                "drawdown_ppm": ratio_ppm(drawdown, peak),
                "start_ppm": limits.start_ppm,
                "stop_ppm": limits.stop_ppm,
            },
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory that is underwater: what is in profit costs the fund nothing."""
        return underwater(state, side)

    def deficit_cash(self, book: Book, state: ContractState) -> int:
        """Return what the pool's equity lacks to have a drawdown below the stop."""
        pool = book.pool_of(state)
        limits = limits_of(book, state, self.by_contract.get(state.name, self.limits))
        equity = observed_equity(book, pool)
        peak = pool.equity_peak.peak(book.time_ms, equity)
        return min(share_floor(peak, PPM - limits.stop_ppm, PPM) + 1, peak) - equity


@dataclass(frozen=True, slots=True)
class PoolBelowMean:
    """The pool's equity has fallen too far below its time-weighted mean.

    Start: equity < mean - max(start * mean, `min_units` whole units of the asset), with inventory.
    Stop: equity at or above the same limit with `stop`. The mean is over the pool's window.
    """

    limits: Limits
    min_units: int
    name: str = field(default="pool_below_mean", init=False)
    reason: Reason = field(default=Reason.POOL_EQUITY_BELOW_MEAN, init=False)
    limit_fields: tuple[str, ...] = field(default=("start", "stop"), init=False)

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether equity is below its limits.

        The mean is compared exactly; mean and threshold in `numbers` are rounded down.
        """
        pool, limits = book.pool_of(state), limits_of(book, state, self.limits)
        equity = observed_equity(book, pool)
        area, span_ms = pool.equity_mean.area(book.time_ms, equity)
        minimum = self.min_units * state.terms.cash_unit * span_ms * PPM
        fall = area * PPM - equity * span_ms * PPM
        start, stop = (max(area * ppm, minimum) for ppm in (limits.start_ppm, limits.stop_ppm))
        return TriggerEvaluation(
            starts=fall > start and state.has_inventory,
            stops=fall <= stop,
            trigger_used_ppm=ratio_ppm(fall, start),
            numbers={
                "equity_cash": equity,
                "equity_mean_cash": div_floor(area, span_ms),
                "threshold_cash": div_floor(area * PPM - start, span_ms * PPM),
                "start_ppm": limits.start_ppm,
                "stop_ppm": limits.stop_ppm,
            },
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory that is underwater: what is in profit costs the fund nothing."""
        return underwater(state, side)

    def deficit_cash(self, book: Book, state: ContractState) -> int:
        """Return what the pool's equity lacks to be at its stop below the mean."""
        pool, limits = book.pool_of(state), limits_of(book, state, self.limits)
        equity = observed_equity(book, pool)
        area, span_ms = pool.equity_mean.area(book.time_ms, equity)
        minimum = self.min_units * state.terms.cash_unit * span_ms * PPM
        stop = max(area * limits.stop_ppm, minimum)
        return div_ceil(area * PPM - stop, span_ms * PPM) - equity


@dataclass(frozen=True, slots=True)
class PnlToPool:
    """The unrealized PnL of one side's traders is too large a part of the pool that pays it.

    The pool's inventory is the position of its liquidity providers: its loss is the PnL of the
    traders on the other side. Start: PnL / balance > start, strictly. Stop: PnL / balance <= start.
    A round closes no more than brings the ratio down to `stop`, and never below `stop`.
    """

    limits: Limits
    name: str = field(default="pnl_to_pool", init=False)
    reason: Reason = field(default=Reason.PNL_TO_POOL_LIMIT, init=False)
    limit_fields: tuple[str, ...] = field(default=("start", "stop"), init=False)

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether the ratio of the side with the larger PnL exceeds the start."""
        balance = book.pool_of(state).balance
        limits = limits_of(book, state, self.limits)
        trader_pnl = max(-state.inventory_pnl(side) for side in Side)
        exceeds = self._exceeds(trader_pnl, balance, limits)
        return TriggerEvaluation(
            starts=exceeds,
            stops=not exceeds,
            trigger_used_ppm=ratio_ppm(trader_pnl * PPM, limits.start_ppm * balance),
            numbers={
                "trader_pnl_cash": trader_pnl,
                "balance_cash": balance,
                "ratio_ppm": ratio_ppm(trader_pnl, balance),
                "start_ppm": limits.start_ppm,
                "stop_ppm": limits.stop_ppm,
            },
        )

    def tranches(self, book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the losing inventory, in turn, that brings the ratio down to `stop`.

        Closing realizes R: the largest R with (PnL - R) / (balance - R) >= stop.
        """
        balance, trader_pnl = book.pool_of(state).balance, -state.inventory_pnl(side)
        limits = limits_of(book, state, self.limits)
        if not self._exceeds(trader_pnl, balance, limits):
            return []
        if limits.stop_ppm >= PPM:
            return all_tranches(state, side)
        realized = div_floor(trader_pnl * PPM - limits.stop_ppm * balance, PPM - limits.stop_ppm)
        tranches = in_turn(state, side, all_tranches(state, side))
        return list(_losing_tranches(state, side, tranches, realized))

    def deficit_cash(self, _book: Book, _state: ContractState) -> None:
        """Return None: the tranches are already those that a round may close."""

    @staticmethod
    def _exceeds(trader_pnl: int, balance_cash: int, limits: Limits) -> bool:
        return balance_cash > 0 and trader_pnl * PPM > limits.start_ppm * balance_cash


def _losing_tranches(
    state: ContractState, side: Side, tranches: Sequence[Tranche], loss_cash: int
) -> Iterator[Tranche]:
    """Yield losing tranches, in their order, whose losses sum to at most `loss_cash`.

    Of the last one only the lots that fit; lots and cost are rounded down.
    """
    for tranche in tranches:
        loss = tranche.cost - state.terms.value_cash(side.sign * tranche.lots, state.mark)
        if loss <= 0:
            continue
        lots = tranche.lots if loss <= loss_cash else share_floor(tranche.lots, loss_cash, loss)
        if lots:
            yield replace(tranche, lots=lots, cost=share_floor(tranche.cost, lots, tranche.lots))
        loss_cash -= loss
        if loss_cash <= 0:
            return
