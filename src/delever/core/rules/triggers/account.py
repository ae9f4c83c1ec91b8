"""Triggers that look at the accounts taken over: inventory whose takeover price is passed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.inventory import Tranche
from delever.core.messages import Reason, Side
from delever.core.rules.triggers.base import Reading, under_water
from delever.core.units import PPM, ratio_ppm
from delever.core.valuation.insurance import observed_equity


@dataclass(frozen=True, slots=True)
class AccountEquity:
    """An account taken over is worth less than nothing: the mark is past its takeover price.

    No pool pays. Start: any inventory is under water. Stop: none is. With a `backstop`, a managed
    pool is a vault that stands in between: ADL waits until its equity is negative too.
    """

    backstop: bool = False
    name: str = field(default="account_equity", init=False)
    reason: Reason = field(default=Reason.NEGATIVE_ACCOUNT_EQUITY, init=False)

    def read(self, book: Book, state: ContractState) -> Reading:
        """Return what holds now."""
        pool = book.pool_of(state)
        equity = observed_equity(book, pool)
        lots = sum(tranche.lots for side in Side for tranche in under_water(state, side))
        waits = self.backstop and pool.definition.managed and equity >= 0
        starts = lots > 0 and not waits
        return Reading(
            starts=starts,
            stops=not starts,
            trigger_used_ppm=PPM if starts else 0,
            numbers={"mark_ticks": state.mark, "under_water_lots": lots, "equity_cash": equity},
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory that is under water."""
        return under_water(state, side)


@dataclass(frozen=True, slots=True)
class FundExhausted:
    """The mark has passed the takeover price of inventory, and the pool has nothing left.

    Start: equity <= 0 and any inventory under water. Stop: either no longer holds.
    """

    name: str = field(default="fund_exhausted", init=False)
    reason: Reason = field(default=Reason.MARK_THROUGH_BANKRUPTCY_PRICE, init=False)

    def read(self, book: Book, state: ContractState) -> Reading:
        """Return what holds now."""
        pool = book.pool_of(state)
        equity = observed_equity(book, pool)
        peak = pool.equity_peak.peak(book.time_ms, equity)
        lots = sum(tranche.lots for side in Side for tranche in under_water(state, side))
        return Reading(
            starts=equity <= 0 and lots > 0,
            stops=equity > 0 or lots == 0,
            trigger_used_ppm=ratio_ppm(peak - equity, peak) if peak > 0 and lots else 0,
            numbers={
                "mark_ticks": state.mark,
                "under_water_lots": lots,
                "equity_cash": equity,
                "equity_peak_cash": peak,
            },
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory that is under water."""
        return under_water(state, side)
