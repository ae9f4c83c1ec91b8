"""Triggers that cap what the fund loses: on a takeover, in a contract or a pool a day, as a vault.

A day begins at 00:00 UTC. A loss of the day is the fall since then, of the contract's PnL or of the
pool's equity; money that an operator moves is no loss. A cap may be reached: ADL starts beyond it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import Tranche
from delever.core.market.trigger_limits import UNSET, Limits
from delever.core.messages import Reason, Side
from delever.core.rules.triggers.trigger import (
    TriggerEvaluation,
    limits_of,
    underwater,
    underwater_lots,
)
from delever.core.units import PPM, div_ceil, floor_ticks, ratio_ppm, share_floor
from delever.core.valuation.insurance import contract_pnl_of, observed_equity


@dataclass(frozen=True, slots=True)
class TakeoverLoss:
    """The fund would lose more on one position taken over than `takeover_loss`.

    The default is `units` whole units of the asset. The loss is that of what is still open, at the
    mark. Start: any tranche's loss > cap. Stop: none
    is. ADL closes the fewest lots of each tranche that bring its loss back to the cap.
    """

    units: int
    name: str = field(default="takeover_loss", init=False)
    reason: Reason = field(default=Reason.TAKEOVER_LOSS_LIMIT, init=False)
    limit_fields: tuple[str, ...] = field(default=("takeover_loss",), init=False)

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether the largest loss of a tranche exceeds the cap."""
        cap = self.cap_cash(book, state)
        losses = [tranche_loss(state, side, t) for side in Side for t in underwater(state, side)]
        return _compared(max(losses, default=0), cap, is_open=bool(losses))

    def tranches(self, book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the lots of each tranche that bring its loss back to the cap."""
        return list(_beyond_cap(state, side, self.cap_cash(book, state)))

    def deficit_cash(self, _book: Book, _state: ContractState) -> None:
        """Return None: the tranches are already those that a round may close."""

    def cap_cash(self, book: Book, state: ContractState) -> int:
        """Return the cap in Cash."""
        cap = limits_of(book, state, Limits()).takeover_loss_cash
        return self.units * state.terms.cash_unit if cap == UNSET else cap


@dataclass(frozen=True, slots=True)
class ContractDailyLoss:
    """The contract has lost more today than `contract_daily_loss` of the fund's opening equity.

    Start: loss > cap, with inventory underwater. Stop: loss <= cap, or none underwater.
    """

    limits: Limits
    name: str = field(default="contract_daily_loss", init=False)
    reason: Reason = field(default=Reason.CONTRACT_DAILY_LOSS_LIMIT, init=False)
    limit_fields: tuple[str, ...] = field(default=("contract_daily_loss",), init=False)

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether the loss of the day exceeds the cap."""
        is_open = underwater_lots(state) > 0
        return _compared(
            contract_loss_today(book, state), self.cap_cash(book, state), is_open=is_open
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory that is underwater: what is in profit costs the fund nothing."""
        return underwater(state, side)

    def deficit_cash(self, book: Book, state: ContractState) -> int:
        """Return the loss of the day beyond the cap."""
        return contract_loss_today(book, state) - self.cap_cash(book, state)

    def cap_cash(self, book: Book, state: ContractState) -> int:
        """Return the cap in Cash, rounded down."""
        limits = limits_of(book, state, self.limits)
        return _part_of_opening(book, state, limits.contract_daily_loss_ppm)


@dataclass(frozen=True, slots=True)
class PoolDailyLoss:
    """The pool has lost more today than `pool_daily_loss` of its opening equity.

    Start: loss > cap, with inventory of the contract underwater. Stop: loss <= cap, or none
    underwater.
    """

    limits: Limits
    name: str = field(default="pool_daily_loss", init=False)
    reason: Reason = field(default=Reason.POOL_DAILY_LOSS_LIMIT, init=False)
    limit_fields: tuple[str, ...] = field(default=("pool_daily_loss",), init=False)

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether the loss of the day exceeds the cap."""
        is_open = underwater_lots(state) > 0
        return _compared(pool_loss_today(book, state), self.cap_cash(book, state), is_open=is_open)

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory that is underwater: what is in profit costs the fund nothing."""
        return underwater(state, side)

    def deficit_cash(self, book: Book, state: ContractState) -> int:
        """Return the loss of the day beyond the cap."""
        return pool_loss_today(book, state) - self.cap_cash(book, state)

    def cap_cash(self, book: Book, state: ContractState) -> int:
        """Return the cap in Cash, rounded down."""
        limits = limits_of(book, state, self.limits)
        return _part_of_opening(book, state, limits.pool_daily_loss_ppm)


@dataclass(frozen=True, slots=True)
class LiquidatorLoss:
    """The liquidator of a vault has lost more today than its cap.

    A managed pool is the vault; its liquidator may lose the smaller of `vault_cap` of the vault's
    opening equity and `loss_threshold`. Start: any inventory underwater, and loss > cap. Stop: one
    of both no longer holds. A pool that is not managed is no vault: any inventory underwater starts
    ADL.
    """

    name: str = field(default="liquidator_loss", init=False)
    reason: Reason = field(default=Reason.LIQUIDATOR_LOSS_LIMIT, init=False)
    limit_fields: tuple[str, ...] = field(default=("vault_cap", "loss_threshold"), init=False)

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether inventory is underwater, and the liquidator's loss exceeds the cap."""
        lots = underwater_lots(state)
        if book.pool_of(state).definition.managed:
            cap = self.cap_cash(book, state)
            return _compared(pool_loss_today(book, state), cap, is_open=lots > 0)
        numbers = {"mark_ticks": floor_ticks(state.mark), "underwater_lots": lots}
        return TriggerEvaluation(lots > 0, lots == 0, PPM * (lots > 0), numbers)

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory that is underwater."""
        return underwater(state, side)

    def deficit_cash(self, _book: Book, _state: ContractState) -> None:
        """Return None: all inventory underwater is closed, so that no bad debt is left."""

    @staticmethod
    def cap_cash(book: Book, state: ContractState) -> int:
        """Return the cap of a vault's liquidator in Cash, rounded down: without limits, all."""
        limits = limits_of(book, state, Limits(vault_cap_ppm=PPM))
        cap = _part_of_opening(book, state, limits.vault_cap_ppm)
        threshold = limits.loss_threshold_cash
        return cap if threshold == UNSET else min(cap, threshold)


@dataclass(frozen=True, slots=True)
class LossCount:
    """The fund has lost an amount within a minute too often in the last four hours.

    The amount is `loss_threshold`, by default `units` whole units of the asset. Start: more than
    `times` such minutes, with inventory underwater. Stop: fewer than `times`, or none underwater.
    """

    units: int
    times: int
    name: str = field(default="loss_count", init=False)
    reason: Reason = field(default=Reason.LOSS_COUNT_LIMIT, init=False)
    limit_fields: tuple[str, ...] = field(default=("loss_threshold",), init=False)

    def evaluate(self, book: Book, state: ContractState) -> TriggerEvaluation:
        """Return whether the fund has lost the amount too often."""
        amount = limits_of(book, state, Limits()).loss_threshold_cash
        amount = self.units * state.terms.cash_unit if amount == UNSET else amount
        falls = book.pool_of(state).equity_falls.falls(book.time_ms)
        count = sum(fall >= amount for fall in falls)
        is_open = underwater_lots(state) > 0
        return TriggerEvaluation(
            starts=is_open and count > self.times,
            stops=not is_open or count < self.times,
            trigger_used_ppm=ratio_ppm(count, self.times + 1),
            numbers={"loss_threshold_cash": amount, "losses": count, "losses_limit": self.times},
        )

    def tranches(self, _book: Book, state: ContractState, side: Side) -> Sequence[Tranche]:
        """Return the inventory that is underwater."""
        return underwater(state, side)

    def deficit_cash(self, _book: Book, _state: ContractState) -> None:
        """Return None: what the fund has lost is not brought back by ADL."""


def contract_loss_today(book: Book, state: ContractState) -> int:
    """Return by how much a contract's PnL has fallen since 00:00 UTC, in Cash."""
    pnl = contract_pnl_of(state)
    return state.contract_pnl_opening.value(book.time_ms, pnl) - pnl


def pool_loss_today(book: Book, state: ContractState) -> int:
    """Return by how much the equity of a contract's pool has fallen since 00:00 UTC, in Cash."""
    pool = book.pool_of(state)
    equity = observed_equity(book, pool)
    return pool.equity_opening.value(book.time_ms, equity) - equity


def tranche_loss(state: ContractState, side: Side, tranche: Tranche) -> int:
    """Return what the fund loses on a tranche at the mark, in Cash; negative for a gain."""
    return tranche.cost - state.terms.value_cash(side.sign * tranche.lots, state.mark)


def _part_of_opening(book: Book, state: ContractState, part_ppm: int) -> int:
    """Return a part of the equity with which the pool opened the day, rounded down, in Cash."""
    pool = book.pool_of(state)
    opening = pool.equity_opening.value(book.time_ms, observed_equity(book, pool))
    return share_floor(max(opening, 0), part_ppm, PPM)


def _compared(loss_cash: int, cap_cash: int, *, is_open: bool) -> TriggerEvaluation:
    """Return the evaluation of a loss against its cap."""
    exceeds = is_open and loss_cash > cap_cash
    used_ppm = ratio_ppm(max(loss_cash, 0), cap_cash) if cap_cash and is_open else PPM * exceeds
    numbers = {"loss_cash": loss_cash, "loss_cap_cash": cap_cash}
    return TriggerEvaluation(exceeds, not exceeds, used_ppm, numbers)


def _beyond_cap(state: ContractState, side: Side, cap_cash: int) -> Iterator[Tranche]:
    """Yield the fewest lots of each tranche without which its loss is at most the cap."""
    for tranche in underwater(state, side):
        loss = tranche_loss(state, side, tranche)
        if loss <= cap_cash:
            continue
        lots = div_ceil(tranche.lots * (loss - cap_cash), loss)
        while tranche_loss(state, side, _rest(tranche, lots)) > cap_cash:
            lots += 1
        yield replace(tranche, lots=lots, cost=_cost_of(tranche, lots))


def _rest(tranche: Tranche, lots: int) -> Tranche:
    cost = tranche.cost - _cost_of(tranche, lots)
    return replace(tranche, lots=tranche.lots - lots, cost=cost)


def _cost_of(tranche: Tranche, lots: int) -> int:
    return share_floor(tranche.cost, lots, tranche.lots)
