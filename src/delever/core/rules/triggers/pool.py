"""Triggers that look at the pool behind a contract: its equity, and where that came from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.inventory import Tranche
from delever.core.market.trigger_limits import Limits
from delever.core.messages import Reason, Side
from delever.core.rules.triggers.base import Reading, all_tranches, limits_of
from delever.core.units import PPM, div_floor, ratio_ppm, share_floor
from delever.core.valuation.insurance import observed_equity


@dataclass(frozen=True, slots=True)
class PoolEquity:
    """The pool's equity is used up. Start: <= 0 with inventory to close. Stop: > 0.

    Under `until_empty` it goes on, once started, until no inventory is left either.
    """

    until_empty: bool = False
    name: str = field(default="pool_equity", init=False)
    reason: Reason = field(default=Reason.POOL_EQUITY_NOT_POSITIVE, init=False)

    def read(self, book: Book, state: ContractState) -> Reading:
        """Return what holds now; the way to the trigger is measured from the peak of equity."""
        pool = book.pool_of(state)
        equity = observed_equity(book, pool)
        peak = pool.equity_peak.peak(book.time_ms, equity)
        return Reading(
            starts=equity <= 0 and state.has_inventory,
            stops=not state.has_inventory if self.until_empty else equity > 0,
            trigger_used_ppm=ratio_ppm(peak - equity, peak) if peak > 0 else 0,
            numbers={"balance_cash": pool.balance, "equity_cash": equity, "equity_peak_cash": peak},
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return all inventory."""
        return all_tranches(state, side)


@dataclass(frozen=True, slots=True)
class PoolDrawdown:
    """The pool's available funds (its equity) have fallen too far below their own peak.

    Start: (peak - equity) / peak >= start, inclusive, with inventory to close. Stop: < stop.
    `by_contract` holds the start and stop of single contracts.
    """

    limits: Limits
    by_contract: dict[str, Limits] = field(default_factory=dict)
    name: str = field(default="pool_drawdown", init=False)
    reason: Reason = field(default=Reason.POOL_DRAWDOWN_LIMIT, init=False)

    def read(self, book: Book, state: ContractState) -> Reading:
        """Return what holds now."""
        pool = book.pool_of(state)
        limits = limits_of(book, state, self.by_contract.get(state.name, self.limits))
        equity = observed_equity(book, pool)
        peak = pool.equity_peak.peak(book.time_ms, equity)
        fall = peak - equity
        return Reading(
            starts=peak > 0 and fall * PPM >= limits.start_ppm * peak and state.has_inventory,
            stops=fall == 0 or fall * PPM < limits.stop_ppm * peak,
            trigger_used_ppm=ratio_ppm(fall * PPM, limits.start_ppm * peak) if peak > 0 else 0,
            numbers={
                "equity_cash": equity,
                "equity_peak_cash": peak,
                "drawdown_ppm": ratio_ppm(fall, peak),
                "start_ppm": limits.start_ppm,
                "stop_ppm": limits.stop_ppm,
            },
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return all inventory."""
        return all_tranches(state, side)


@dataclass(frozen=True, slots=True)
class PoolBelowMean:
    """The pool's equity has fallen too far below its own time-weighted mean.

    Start: equity < mean - max(start * mean, `least_units` whole units of the asset), with inventory
    to close. Stop: equity at or above the same with `stop`. The mean is over the pool's window.
    """

    limits: Limits
    least_units: int
    name: str = field(default="pool_below_mean", init=False)
    reason: Reason = field(default=Reason.POOL_EQUITY_BELOW_MEAN, init=False)

    def read(self, book: Book, state: ContractState) -> Reading:
        """Return what holds now; mean and threshold are shown rounded down, compared exactly."""
        pool, limits = book.pool_of(state), limits_of(book, state, self.limits)
        equity = observed_equity(book, pool)
        area, span_ms = pool.equity_mean.area(book.time_ms, equity)
        least = self.least_units * state.terms.cash_unit * span_ms * PPM
        fall = area * PPM - equity * span_ms * PPM
        start, stop = (max(area * ppm, least) for ppm in (limits.start_ppm, limits.stop_ppm))
        return Reading(
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
        """Return all inventory."""
        return all_tranches(state, side)


@dataclass(frozen=True, slots=True)
class ProfitToPool:
    """One side's profit has become too large a part of the pool that stands against it.

    The pool's inventory is the counter-position of its liquidity providers: what that has lost is
    what the other side has won. Start: profit / balance > start, strictly. Stop: <= start. Only as
    much is closed as brings the ratio down to `stop`, and never below it.
    """

    limits: Limits
    name: str = field(default="profit_to_pool", init=False)
    reason: Reason = field(default=Reason.PNL_TO_POOL_LIMIT, init=False)

    def read(self, book: Book, state: ContractState) -> Reading:
        """Return what holds now, for the side that has won more."""
        balance = book.pool_of(state).balance
        limits = limits_of(book, state, self.limits)
        profit = max(-state.inventory_pnl(side) for side in Side)
        exceeds = self._exceeds(profit, balance, limits)
        return Reading(
            starts=exceeds,
            stops=not exceeds,
            trigger_used_ppm=ratio_ppm(profit * PPM, limits.start_ppm * balance),
            numbers={
                "profit_cash": profit,
                "balance_cash": balance,
                "ratio_ppm": ratio_ppm(profit, balance),
                "start_ppm": limits.start_ppm,
                "stop_ppm": limits.stop_ppm,
            },
        )

    def tranches(self, book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the losing inventory, oldest first, up to what brings the ratio to `stop`.

        Closing realises R: (profit - R) / (balance - R) >= stop gives the largest R.
        """
        balance, profit = book.pool_of(state).balance, -state.inventory_pnl(side)
        limits = limits_of(book, state, self.limits)
        if not self._exceeds(profit, balance, limits):
            return []
        if limits.stop_ppm >= PPM:
            return all_tranches(state, side)
        realized = div_floor(profit * PPM - limits.stop_ppm * balance, PPM - limits.stop_ppm)
        return list(_losing(state, side, realized))

    @staticmethod
    def _exceeds(profit_cash: int, balance_cash: int, limits: Limits) -> bool:
        return balance_cash > 0 and profit_cash * PPM > limits.start_ppm * balance_cash


def _losing(state: ContractState, side: Side, loss_cash: int) -> Iterator[Tranche]:
    """Yield losing tranches, oldest first and the last one cut, that lose at most this together."""
    for tranche in state.inventory[side].tranches.values():
        loss = tranche.cost - state.terms.value_cash(side.sign * tranche.lots, state.mark)
        if loss <= 0:
            continue
        lots = tranche.lots if loss <= loss_cash else share_floor(tranche.lots, loss_cash, loss)
        if lots:
            yield replace(tranche, lots=lots, cost=share_floor(tranche.cost, lots, tranche.lots))
        loss_cash -= loss
        if loss_cash <= 0:
            return
