"""The ADL price: at which each tranche of inventory is closed, in whole ticks.

A pool-level price is rounded in the pool's favor, so that the pool is never beyond its limit. The
rounding residual, less than one tick on the quantity closed, stays with the pool and is reported. A
price at a mark finer than the tick is rounded in the counterparties' favor: down for long
inventory, up for short, so that ADL at the mark has no haircut. The pool pays less than one tick. A
takeover price between the ticks of an amended tick is rounded in the pool's favor.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import Tranche
from delever.core.market.trigger_limits import Limits
from delever.core.messages import Side
from delever.core.rules.triggers import limits_of
from delever.core.rules.triggers.trigger import underwater
from delever.core.units import PPM, Mark, Ticks, ceil_ticks, div_ceil, floor_ticks, share_floor
from delever.core.valuation.insurance import contract_pnl_of, pool_equity


@dataclass(frozen=True, slots=True)
class Quote:
    """One price a tranche, and the numbers from which it was computed.

    `target_cash` is the value that a pool-level price gives to the inventory; None for a price that
    does not depend on the pool.
    """

    ticks: tuple[Ticks, ...]
    numbers: dict[str, int]
    target_cash: int | None = None


class PriceRule(Protocol):
    """How a venue prices ADL fills."""

    @property
    def name(self) -> str:
        """The rule's name in events and documents."""

    def quote(
        self, book: Book, state: ContractState, side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return the price of each tranche of inventory of one side."""


@dataclass(frozen=True, slots=True)
class AtBankruptcyPrice:
    """The price at which each position was taken over: the pool neither gains nor loses."""

    name: str = field(default="bankruptcy_price", init=False)

    def quote(
        self, _book: Book, state: ContractState, side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return each tranche's takeover price."""
        terms, up = state.terms, side is Side.LONG  # never below what the pool has paid
        ticks = tuple(terms.on_tick(tranche.price_ticks, up=up) for tranche in tranches)
        return Quote(ticks, mark_numbers(state))


@dataclass(frozen=True, slots=True)
class AtMark:
    """The current mark price: the pool takes the loss, counterparties have no haircut."""

    name: str = field(default="mark", init=False)

    def quote(
        self, _book: Book, state: ContractState, side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return the mark on the tick grid."""
        return Quote((on_tick(state, state.mark, side),) * len(tranches), mark_numbers(state))


@dataclass(frozen=True, slots=True)
class AtPreviousMark:
    """The mark price before the current one (Hyperliquid)."""

    name: str = field(default="previous_mark", init=False)

    def quote(
        self, _book: Book, state: ContractState, side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return the previous mark on the tick grid."""
        previous = {"previous_mark_ticks": floor_ticks(state.previous_mark)}
        ticks = on_tick(state, state.previous_mark, side)
        return Quote((ticks,) * len(tranches), mark_numbers(state) | previous)


@dataclass(frozen=True, slots=True)
class AtMarkUnlessDepleted:
    """The current mark price, or the bankruptcy price if the fund is nearly depleted.

    Nearly depleted: pool equity <= depleted_ppm * peak equity over the pool's window.
    """

    depleted_ppm: int
    name: str = field(default="mark_unless_depleted", init=False)

    def quote(
        self, book: Book, state: ContractState, side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return the mark, or each tranche's takeover price."""
        pool = book.pool_of(state)
        equity = pool_equity(book, pool)
        peak = pool.equity_peak.peak(book.time_ms, equity)
        depleted = equity * PPM <= self.depleted_ppm * peak
        rule = AtBankruptcyPrice() if depleted else AtMark()
        quote = rule.quote(book, state, side, tranches)
        numbers = {
            "equity_cash": equity,
            "equity_peak_cash": peak,
            "depleted_ppm": self.depleted_ppm,
        }
        return Quote(quote.ticks, quote.numbers | numbers)


@dataclass(frozen=True, slots=True)
class AtCappedMark:
    """The current mark price, but never worse for the pool than the takeover price."""

    name: str = field(default="capped_mark", init=False)

    def quote(
        self, _book: Book, state: ContractState, side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return the better of mark and takeover price for the pool, for each tranche."""
        better = max if side is Side.LONG else min
        terms, up, mark = state.terms, side is Side.LONG, on_tick(state, state.mark, side)
        prices = (better(tranche.price_ticks, mark) for tranche in tranches)
        ticks = tuple(terms.on_tick(price, up=up) for price in prices)
        return Quote(ticks, mark_numbers(state))


@dataclass(frozen=True, slots=True)
class AtTransferPrice:
    """The current mark price less a spread in favor of the counterparties.

    Long inventory closes below the mark (rounded down), short inventory above it (rounded up).
    """

    spread_ppm: int
    name: str = field(default="transfer_price", init=False)

    def quote(
        self, _book: Book, state: ContractState, side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return one price for all tranches, at least one tick."""
        ticks = on_tick(state, state.mark, side, PPM - side.sign * self.spread_ppm)
        numbers = mark_numbers(state) | {"spread_ppm": self.spread_ppm}
        return Quote((ticks,) * len(tranches), numbers)


@dataclass(frozen=True, slots=True)
class AtDrawdownLimit:
    """The price at which the contract's PnL is exactly at its drawdown limit.

    limit = peak PnL - start * peak balance. The tranches to close realize limit - (PnL without
    them): their value at the price is their cost plus that amount.
    """

    limits: Limits
    name: str = field(default="drawdown_limit", init=False)

    def quote(
        self, book: Book, state: ContractState, side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return one price for all tranches."""
        pool, limits = book.pool_of(state), limits_of(book, state, self.limits)
        contract_pnl = contract_pnl_of(state)
        pnl_peak = state.contract_pnl_peak.peak(book.time_ms, contract_pnl)
        balance_peak = pool.balance_peak.peak(book.time_ms, pool.balance)
        # Rounded down: a limit is never wider than its ratio allows.
        limit = pnl_peak - share_floor(balance_peak, limits.start_ppm, PPM)
        cost = _cost(tranches)
        other_pnl = contract_pnl - (_value_at_mark(state, side, tranches) - cost)
        numbers = {
            "limit_cash": limit,
            "contract_pnl_cash": contract_pnl,
            "contract_pnl_peak_cash": pnl_peak,
            "balance_peak_cash": balance_peak,
            "inventory_cost_cash": cost,
        }
        return _pool_level(state, side, tranches, cost + limit - other_pnl, numbers)


@dataclass(frozen=True, slots=True)
class AtDeficitShare:
    """The mark price less the tranches' pro-rata share of the pool's deficit.

    The deficit is shared over the pool's underwater inventory in proportion to the losses; when
    all of it is closed, the pool's equity is 0.
    """

    name: str = field(default="deficit_share", init=False)

    def quote(
        self, book: Book, state: ContractState, side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return one price for all tranches."""
        pool = book.pool_of(state)
        equity = pool_equity(book, pool)
        deficit = max(-equity, 0)
        losses = sum(
            _loss(member, other_side, underwater(member, other_side))
            for member in book.members(pool)
            for other_side in Side
        )
        own_loss = _loss(state, side, tranches)
        share = div_ceil(deficit * own_loss, losses) if losses else 0
        numbers = {
            "equity_cash": equity,
            "pool_losses_cash": losses,
            "own_loss_cash": own_loss,
            "share_cash": share,
            **mark_numbers(state),
        }
        target = _value_at_mark(state, side, tranches) + share
        return _pool_level(state, side, tranches, target, numbers)


def mark_numbers(state: ContractState) -> dict[str, int]:
    """Return the mark in whole ticks, rounded down, for a quote's numbers."""
    return {"mark_ticks": floor_ticks(state.mark)}


def on_tick(state: ContractState, mark: Mark, side: Side, part_ppm: int = PPM) -> Ticks:
    """Return a mark, or a part of it, on the tick grid, at least one tick.

    Rounded in favor of the counterparties of inventory of a side: down for long inventory.
    """
    round_off = floor_ticks if side is Side.LONG else ceil_ticks
    step = state.terms.price_step
    steps = round_off(mark if step == 1 else Fraction(mark, step), part_ppm)
    return Ticks(max(steps, 1) * step)


def _cost(tranches: Sequence[Tranche]) -> int:
    return sum(tranche.cost for tranche in tranches)


def _value_at_mark(state: ContractState, side: Side, tranches: Sequence[Tranche]) -> int:
    """Return the value of tranches at the mark in Cash; their cost before the first mark."""
    if state.confirmed_mark == 0:
        return _cost(tranches)
    lots = sum(tranche.lots for tranche in tranches)
    return state.terms.value_cash(side.sign * lots, state.confirmed_mark)


def _loss(state: ContractState, side: Side, tranches: Sequence[Tranche]) -> int:
    return max(_cost(tranches) - _value_at_mark(state, side, tranches), 0)


def _pool_level(
    state: ContractState,
    side: Side,
    tranches: Sequence[Tranche],
    target_cash: int,
    numbers: dict[str, int],
) -> Quote:
    """Return the price at which the tranches are worth the target.

    The target is at most the tranches' cost, so that the pool does not profit, and at least its
    value at the mark, so that counterparties get nothing better than the mark.
    """
    target = max(min(target_cash, _cost(tranches)), _value_at_mark(state, side, tranches))
    lots = sum(tranche.lots for tranche in tranches)
    ticks = state.terms.price_at_value(side.sign * lots, target)
    return Quote((ticks,) * len(tranches), numbers | {"target_cash": target}, target)
