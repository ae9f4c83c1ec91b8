"""When ADL starts and when it stops, with every number that was compared.

A trigger reads the book and says whether its start and its stop condition hold; the engine keeps
the state between them, so a trigger between its two limits leaves ADL as it is. Ratios are compared
by cross-multiplication, never by division: a limit is met exactly or not at all.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from delever.core.book import Book
from delever.core.holdings import ContractState, Limits, Parcel
from delever.core.insurance import observed_equity, profit_of
from delever.core.messages import Reason, Side
from delever.core.units import PPM, ratio_ppm

WARNING_PPM = 800_000
"""A trigger this far on its way is worth a notice: 80 %."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a trigger found: does its start hold, does its stop hold, and how near is the start."""

    starts: bool
    stops: bool
    progress_ppm: int
    numbers: dict[str, int]


class Trigger(Protocol):
    """A start and a stop condition for one contract."""

    @property
    def name(self) -> str:
        """The trigger's name in events and documents."""

    @property
    def reason(self) -> Reason:
        """The condition, as a predicate."""

    def read(self, book: Book, state: ContractState) -> Reading:
        """Return what holds now."""

    def parcels(self, state: ContractState, side: Side) -> Sequence[Parcel]:
        """Return the inventory that ADL is to close while the trigger is on."""


def limits_of(book: Book, state: ContractState, own: Limits) -> Limits:
    """Return the limits that hold: the contract's, else its pool's, else the rule set's own.

    A start set below a stop of another level takes that stop down with it: ADL that has started
    does not stop at the same numbers.
    """
    return _merged(state.limits, book.pool_of(state).limits, own)


@functools.cache
def _merged(contract: Limits, pool: Limits, own: Limits) -> Limits:
    limits = contract.over(pool).over(own)
    return replace(limits, stop_ppm=min(limits.stop_ppm, limits.start_ppm))


def all_parcels(state: ContractState, side: Side) -> Sequence[Parcel]:
    """Return all inventory of one side, oldest takeover first."""
    return list(state.inventory[side].parcels.values())


def under_water(state: ContractState, side: Side) -> Sequence[Parcel]:
    """Return the inventory whose takeover price the mark has passed: its account lost it all."""
    return [
        parcel
        for parcel in state.inventory[side].parcels.values()
        if side.sign * (parcel.price_ticks - state.mark) > 0
    ]


@dataclass(frozen=True, slots=True)
class ContractDrawdown:
    """The contract's profit has fallen too far below its peak, measured by the pool's peak balance.

    Start: balance > balance_above and (peak profit - profit) / peak balance >= start, inclusive.
    Stop: that ratio < stop. Both peaks are over the pool's window. It starts with or without
    inventory, and what is taken over while it is on is closed at once.
    """

    limits: Limits
    name: str = field(default="contract_drawdown", init=False)
    reason: Reason = field(default=Reason.CONTRACT_DRAWDOWN_REACHES_LIMIT, init=False)

    def read(self, book: Book, state: ContractState) -> Reading:
        """Return what holds now; `pnl_ratio_ppm` is negative below the peak, as Bybit shows it."""
        pool, limits = book.pool_of(state), limits_of(book, state, self.limits)
        profit = profit_of(state)
        profit_peak = state.profit_peak.peak(book.time_ms, profit)
        balance_peak = pool.balance_peak.peak(book.time_ms, pool.balance)
        drawdown = profit_peak - profit
        covered = pool.balance > limits.balance_above_cash
        starts = balance_peak > 0 and drawdown * PPM >= limits.start_ppm * balance_peak
        return Reading(
            starts=covered and starts,
            stops=drawdown == 0 or drawdown * PPM < limits.stop_ppm * balance_peak,
            progress_ppm=ratio_ppm(drawdown * PPM, limits.start_ppm * balance_peak)
            if covered
            else 0,
            numbers={
                "balance_cash": pool.balance,
                "balance_above_cash": limits.balance_above_cash,
                "balance_peak_cash": balance_peak,
                "profit_cash": profit,
                "profit_peak_cash": profit_peak,
                "pnl_ratio_ppm": -ratio_ppm(drawdown, balance_peak),
                "start_ppm": -limits.start_ppm,
                "stop_ppm": -limits.stop_ppm,
            },
        )

    def parcels(self, state: ContractState, side: Side) -> Sequence[Parcel]:
        """Return all inventory."""
        return all_parcels(state, side)


@dataclass(frozen=True, slots=True)
class PoolEquity:
    """The pool's equity is used up. Start: <= 0 with inventory to close. Stop: > 0."""

    name: str = field(default="pool_equity", init=False)
    reason: Reason = field(default=Reason.POOL_EQUITY_IS_NOT_POSITIVE, init=False)

    def read(self, book: Book, state: ContractState) -> Reading:
        """Return what holds now; the way to the trigger is measured from the peak of equity."""
        pool = book.pool_of(state)
        equity = observed_equity(book, pool)
        peak = pool.equity_peak.peak(book.time_ms, equity)
        return Reading(
            starts=equity <= 0 and state.holds_inventory,
            stops=equity > 0,
            progress_ppm=ratio_ppm(peak - equity, peak) if peak > 0 else 0,
            numbers={"balance_cash": pool.balance, "equity_cash": equity, "equity_peak_cash": peak},
        )

    def parcels(self, state: ContractState, side: Side) -> Sequence[Parcel]:
        """Return all inventory."""
        return all_parcels(state, side)


@dataclass(frozen=True, slots=True)
class PoolDrawdown:
    """The pool's available funds (its equity) have fallen too far below their own peak.

    Start: (peak - equity) / peak >= start, inclusive, with inventory to close. Stop: < stop.
    `by_contract` holds the start and stop of single contracts.
    """

    limits: Limits
    by_contract: dict[str, Limits] = field(default_factory=dict)
    name: str = field(default="pool_drawdown", init=False)
    reason: Reason = field(default=Reason.POOL_DRAWDOWN_REACHES_LIMIT, init=False)

    def read(self, book: Book, state: ContractState) -> Reading:
        """Return what holds now."""
        pool = book.pool_of(state)
        limits = limits_of(book, state, self.by_contract.get(state.name, self.limits))
        equity = observed_equity(book, pool)
        peak = pool.equity_peak.peak(book.time_ms, equity)
        fall = peak - equity
        return Reading(
            starts=peak > 0 and fall * PPM >= limits.start_ppm * peak and state.holds_inventory,
            stops=fall == 0 or fall * PPM < limits.stop_ppm * peak,
            progress_ppm=ratio_ppm(fall * PPM, limits.start_ppm * peak) if peak > 0 else 0,
            numbers={
                "equity_cash": equity,
                "equity_peak_cash": peak,
                "drawdown_ppm": ratio_ppm(fall, peak),
                "start_ppm": limits.start_ppm,
                "stop_ppm": limits.stop_ppm,
            },
        )

    def parcels(self, state: ContractState, side: Side) -> Sequence[Parcel]:
        """Return all inventory."""
        return all_parcels(state, side)


@dataclass(frozen=True, slots=True)
class Illiquidity:
    """The depth that could absorb the inventory has been missing for too long.

    Start: depth within the pool's slippage has been less than inventory for wait_ms without a
    break. Stop: depth suffices again, or nothing is left to close.
    """

    limits: Limits
    name: str = field(default="illiquidity", init=False)
    reason: Reason = field(default=Reason.DEPTH_STAYS_BELOW_INVENTORY, init=False)

    def read(self, book: Book, state: ContractState) -> Reading:
        """Return what holds now."""
        wait_ms = limits_of(book, state, self.limits).wait_ms
        since = [ms for ms in state.depth_missing_since_ms.values() if ms is not None]
        waited_ms = book.time_ms - min(since) if since else 0
        return Reading(
            starts=bool(since) and waited_ms >= wait_ms,
            stops=not since,
            progress_ppm=ratio_ppm(waited_ms, wait_ms),
            numbers={"waited_ms": waited_ms, "wait_ms": wait_ms},
        )

    def parcels(self, state: ContractState, side: Side) -> Sequence[Parcel]:
        """Return the inventory of a side whose depth is missing."""
        missing = state.depth_missing_since_ms[side] is not None
        return all_parcels(state, side) if missing else []


@dataclass(frozen=True, slots=True)
class AccountEquity:
    """An account taken over is worth less than nothing: the mark is past its takeover price.

    No pool pays. Start: any inventory is under water. Stop: none is.
    """

    name: str = field(default="account_equity", init=False)
    reason: Reason = field(default=Reason.ACCOUNT_EQUITY_IS_NEGATIVE, init=False)

    def read(self, _book: Book, state: ContractState) -> Reading:
        """Return what holds now."""
        lots = sum(parcel.lots for side in Side for parcel in under_water(state, side))
        return Reading(
            starts=lots > 0,
            stops=lots == 0,
            progress_ppm=PPM if lots else 0,
            numbers={"mark_ticks": state.mark, "under_water_lots": lots},
        )

    def parcels(self, state: ContractState, side: Side) -> Sequence[Parcel]:
        """Return the inventory that is under water."""
        return under_water(state, side)


@dataclass(frozen=True, slots=True)
class FundExhausted:
    """The mark has passed the takeover price of inventory, and the pool has nothing left.

    Start: equity <= 0 and any inventory under water. Stop: either no longer holds.
    """

    name: str = field(default="fund_exhausted", init=False)
    reason: Reason = field(default=Reason.MARK_IS_THROUGH_BANKRUPTCY_PRICE, init=False)

    def read(self, book: Book, state: ContractState) -> Reading:
        """Return what holds now."""
        pool = book.pool_of(state)
        equity = observed_equity(book, pool)
        peak = pool.equity_peak.peak(book.time_ms, equity)
        lots = sum(parcel.lots for side in Side for parcel in under_water(state, side))
        return Reading(
            starts=equity <= 0 and lots > 0,
            stops=equity > 0 or lots == 0,
            progress_ppm=ratio_ppm(peak - equity, peak) if peak > 0 and lots else 0,
            numbers={
                "mark_ticks": state.mark,
                "under_water_lots": lots,
                "equity_cash": equity,
                "equity_peak_cash": peak,
            },
        )

    def parcels(self, state: ContractState, side: Side) -> Sequence[Parcel]:
        """Return the inventory that is under water."""
        return under_water(state, side)
