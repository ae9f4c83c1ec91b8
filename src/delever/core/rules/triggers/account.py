"""Triggers on bankrupt accounts: inventory whose takeover price the mark has passed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import Tranche
from delever.core.market.trigger_limits import Limits
from delever.core.messages import Reason, Side
from delever.core.rules.triggers.trigger import (
    TriggerEvaluation,
    limits_of,
    stop_equity_of,
    underwater,
    underwater_lots,
)
from delever.core.units import PPM, floor_ticks, ratio_ppm
from delever.core.valuation.insurance import observed_equity


@dataclass(frozen=True, slots=True)
class AccountEquity:
    """The equity of an account taken over is negative: the mark has passed its takeover price.

    The insurance fund does not pay. Start: any inventory is underwater. Stop: none is. With a
    `backstop`, a managed pool is a vault that takes losses first: ADL waits until the vault's
    equity is negative too.
    """

    backstop: bool = False
    name: str = field(default="account_equity", init=False)
    reason: Reason = field(default=Reason.NEGATIVE_ACCOUNT_EQUITY, init=False)
    limit_fields: tuple[str, ...] = field(default=(), init=False)

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether any inventory is underwater."""
        pool = book.pool_of(state)
        equity = observed_equity(book, pool)
        lots = underwater_lots(state)
        vault_pays = self.backstop and pool.definition.managed and equity >= 0
        starts = lots > 0 and not vault_pays
        return TriggerEvaluation(
            starts=starts,
            stops=not starts,
            trigger_used_ppm=PPM if starts else 0,
            numbers={
                "mark_ticks": floor_ticks(state.mark),
                "underwater_lots": lots,
                "equity_cash": equity,
            },
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory that is underwater."""
        return underwater(state, side)

    def deficit_cash(self, _book: Book, _state: ContractState) -> None:
        """Return None: the trigger watches accounts, not the fund."""


@dataclass(frozen=True, slots=True)
class BankruptcyBand:
    """The mark is further beyond a takeover price than the band within which the fund pays.

    Start: any inventory with (takeover price - mark) / takeover price > start, the other way round
    for shorts. Stop: none. `by_contract` overrides the band of single contracts.
    """

    limits: Limits
    by_contract: dict[str, Limits] = field(default_factory=dict)
    name: str = field(default="bankruptcy_band", init=False)
    reason: Reason = field(default=Reason.MARK_BEYOND_BAND, init=False)
    limit_fields: tuple[str, ...] = field(default=("start",), init=False)

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether any inventory is beyond the band."""
        start_ppm = self._start_ppm(book, state)
        furthest_ppm = max(
            (self._beyond(state, side, t) for side in Side for t in underwater(state, side)),
            default=0,
        )
        starts = any(self.tranches(book, state, side) for side in Side)
        return TriggerEvaluation(
            starts=starts,
            stops=not starts,
            trigger_used_ppm=ratio_ppm(furthest_ppm, start_ppm),
            numbers={
                "mark_ticks": floor_ticks(state.mark),
                "beyond_ppm": furthest_ppm,
                "start_ppm": start_ppm,
            },
        )

    def tranches(self, book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory beyond the band."""
        start_ppm = self._start_ppm(book, state)
        return [
            tranche
            for tranche in underwater(state, side)
            if side.sign * (tranche.price_ticks - state.mark) * PPM
            > start_ppm * tranche.price_ticks
        ]

    def deficit_cash(self, _book: Book, _state: ContractState) -> None:
        """Return None: the trigger watches prices, not the fund."""

    def _start_ppm(self, book: Book, state: ContractState) -> int:
        own = self.by_contract.get(state.name, self.limits)
        return limits_of(book, state, own).start_ppm

    @staticmethod
    def _beyond(state: ContractState, side: Side, tranche: Tranche) -> int:
        beyond = side.sign * (tranche.price_ticks - Fraction(state.mark))
        return ratio_ppm(beyond.numerator, beyond.denominator * tranche.price_ticks)


@dataclass(frozen=True, slots=True)
class FundDepleted:
    """The mark has passed the takeover price of inventory, and the insurance fund is depleted.

    Start: pool equity <= 0 and any inventory underwater. Stop: equity > `stop_equity` (0 by
    default), or no inventory underwater.
    """

    name: str = field(default="fund_depleted", init=False)
    reason: Reason = field(default=Reason.MARK_THROUGH_BANKRUPTCY_PRICE, init=False)
    limit_fields: tuple[str, ...] = field(default=("stop_equity",), init=False)

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether the fund is depleted and any inventory is underwater."""
        pool = book.pool_of(state)
        equity = observed_equity(book, pool)
        peak = pool.equity_peak.peak(book.time_ms, equity)
        lots = underwater_lots(state)
        return TriggerEvaluation(
            starts=equity <= 0 and lots > 0,
            stops=equity > stop_equity_of(book, state) or lots == 0,
            trigger_used_ppm=ratio_ppm(peak - equity, peak) if peak > 0 and lots else 0,
            numbers={
                "mark_ticks": floor_ticks(state.mark),
                "underwater_lots": lots,
                "equity_cash": equity,
                "equity_peak_cash": peak,
            },
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory that is underwater."""
        return underwater(state, side)

    def deficit_cash(self, book: Book, state: ContractState) -> int:
        """Return what the pool's equity lacks to be above the stop."""
        return stop_equity_of(book, state) + 1 - observed_equity(book, book.pool_of(state))
