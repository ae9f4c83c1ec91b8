"""The price at which ADL closes, for each tranche of inventory, in whole ticks.

Pool-level prices are rounded in the pool's favour, so that the pool is never beyond its limit; what
that leaves, less than one tick on the quantity closed, stays with the pool and is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.inventory import Tranche
from delever.core.market.trigger_limits import Limits
from delever.core.messages import Side
from delever.core.rules.triggers import limits_of
from delever.core.units import PPM, Ticks, div_ceil, div_floor, share_floor
from delever.core.valuation.insurance import pool_equity, profit_of


@dataclass(frozen=True, slots=True)
class Quote:
    """A price for each tranche, and what it was computed from.

    `target_cash` is what the inventory is to be worth at a pool-level price, or None for a price
    that does not depend on the pool.
    """

    ticks: tuple[Ticks, ...]
    numbers: dict[str, int]
    target_cash: int | None = None


class PriceRule(Protocol):
    """How a venue prices ADL."""

    @property
    def name(self) -> str:
        """The rule's name in events and documents."""

    def quote(
        self, book: Book, state: ContractState, side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return the price for each tranche of inventory of one side."""


@dataclass(frozen=True, slots=True)
class AtBankruptcyPrice:
    """The price at which each position was taken over: the pool neither gains nor loses."""

    name: str = field(default="bankruptcy_price", init=False)

    def quote(
        self, _book: Book, state: ContractState, _side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return each tranche's own price."""
        ticks = tuple(Ticks(tranche.price_ticks) for tranche in tranches)
        return Quote(ticks, {"mark_ticks": state.mark})


@dataclass(frozen=True, slots=True)
class AtMark:
    """The current mark: the pool keeps its loss, counterparties close as if in the market."""

    name: str = field(default="mark", init=False)

    def quote(
        self, _book: Book, state: ContractState, _side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return the mark."""
        return Quote((Ticks(state.mark),) * len(tranches), {"mark_ticks": state.mark})


@dataclass(frozen=True, slots=True)
class AtPreviousMark:
    """The mark before the current one (Hyperliquid)."""

    name: str = field(default="previous_mark", init=False)

    def quote(
        self, _book: Book, state: ContractState, _side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return the previous mark."""
        numbers = {"mark_ticks": state.mark, "previous_mark_ticks": state.previous_mark}
        return Quote((Ticks(state.previous_mark),) * len(tranches), numbers)


@dataclass(frozen=True, slots=True)
class AtMarkUnlessSpent:
    """The current mark, or the bankruptcy price where the pool has next to nothing left.

    Nearly spent: equity <= spent * peak equity over the pool's window.
    """

    spent_ppm: int
    name: str = field(default="mark_unless_spent", init=False)

    def quote(
        self, book: Book, state: ContractState, side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return the mark, or each tranche's own price."""
        pool = book.pool_of(state)
        equity = pool_equity(book, pool)
        peak = pool.equity_peak.peak(book.time_ms, equity)
        spent = equity * PPM <= self.spent_ppm * peak
        rule = AtBankruptcyPrice() if spent else AtMark()
        quote = rule.quote(book, state, side, tranches)
        numbers = {"equity_cash": equity, "equity_peak_cash": peak, "spent_ppm": self.spent_ppm}
        return Quote(quote.ticks, quote.numbers | numbers)


@dataclass(frozen=True, slots=True)
class AtCappedMark:
    """The current mark, but never worse for the pool than the price of the takeover."""

    name: str = field(default="capped_mark", init=False)

    def quote(
        self, _book: Book, state: ContractState, side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return the mark where it is the better one for the pool, else the tranche's own price."""
        better = max if side is Side.LONG else min
        ticks = tuple(Ticks(better(tranche.price_ticks, state.mark)) for tranche in tranches)
        return Quote(ticks, {"mark_ticks": state.mark})


@dataclass(frozen=True, slots=True)
class AtTransferPrice:
    """The current mark moved by a spread in favour of whoever takes the inventory.

    Long inventory goes below the mark (rounded down), short inventory above it (rounded up).
    """

    spread_ppm: int
    name: str = field(default="transfer_price", init=False)

    def quote(
        self, _book: Book, state: ContractState, side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return one price for all tranches, at least one tick."""
        round_off = div_floor if side is Side.LONG else div_ceil
        ticks = round_off(state.mark * (PPM - side.sign * self.spread_ppm), PPM)
        numbers = {"mark_ticks": state.mark, "spread_ppm": self.spread_ppm}
        return Quote((Ticks(max(ticks, 1)),) * len(tranches), numbers)


@dataclass(frozen=True, slots=True)
class AtDrawdownLimit:
    """The price at which the contract's profit sits exactly at its drawdown limit.

    limit = peak profit - start * peak balance. The inventory of this side is to realize
    limit - (profit without it); its worth at the price is that much above its cost.
    """

    limits: Limits
    name: str = field(default="drawdown_limit", init=False)

    def quote(
        self, book: Book, state: ContractState, side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return one price for all tranches."""
        pool, limits = book.pool_of(state), limits_of(book, state, self.limits)
        profit = profit_of(state)
        contract_pnl_peak = state.contract_pnl_peak.peak(book.time_ms, profit)
        balance_peak = pool.balance_peak.peak(book.time_ms, pool.balance)
        limit = contract_pnl_peak - _part_floor(limits.start_ppm, balance_peak)
        cost = state.inventory[side].total_cost
        rest = profit - state.inventory_pnl(side)
        numbers = {
            "limit_cash": limit,
            "profit_cash": profit,
            "profit_peak_cash": contract_pnl_peak,
            "balance_peak_cash": balance_peak,
            "inventory_cost_cash": cost,
        }
        return _pool_level(state, side, tranches, cost + limit - rest, numbers)


@dataclass(frozen=True, slots=True)
class AtDeficitShare:
    """The pool's deficit, shared over its losing inventory in proportion to the losses.

    Each price is the mark moved against the counterparties by the contract's share; after all are
    closed, the pool's equity is 0.
    """

    name: str = field(default="shared_deficit", init=False)

    def quote(
        self, book: Book, state: ContractState, side: Side, tranches: Sequence[Tranche]
    ) -> Quote:
        """Return one price for all tranches."""
        pool = book.pool_of(state)
        equity = pool_equity(book, pool)
        deficit = max(-equity, 0)
        losses = sum(
            max(-member.inventory_pnl(each), 0) for member in book.members(pool) for each in Side
        )
        own = max(-state.inventory_pnl(side), 0)
        share = div_ceil(deficit * own, losses) if losses else 0
        value = state.inventory_value(side)
        numbers = {
            "equity_cash": equity,
            "pool_losses_cash": losses,
            "own_loss_cash": own,
            "share_cash": share,
            "mark_ticks": state.mark,
        }
        return _pool_level(state, side, tranches, value + share, numbers)


def _part_floor(rate_ppm: int, amount: int) -> int:
    """Return rate * amount rounded down: a limit is never wider than its ratio allows."""
    return share_floor(amount, rate_ppm, PPM)


def _pool_level(
    state: ContractState,
    side: Side,
    tranches: Sequence[Tranche],
    target_cash: int,
    numbers: dict[str, int],
) -> Quote:
    """Return the price at which all inventory of the side is worth the target.

    The pool is given no more than its inventory's cost, and counterparties nothing better than the mark
    (inventory in profit is closed at the mark).
    """
    inventory = state.inventory[side]
    target = max(min(target_cash, inventory.total_cost), state.inventory_value(side))
    ticks = state.terms.price_reaching(side.sign * inventory.total_lots, target)
    numbers["target_cash"] = target
    return Quote((ticks,) * len(tranches), numbers, target)
