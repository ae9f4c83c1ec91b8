"""What stands behind bankrupt accounts: inventory, its profit, the pool's equity, funding.

A pool's `balance` is settled cash; its `equity` adds the unrealized profit of all its inventory. A
contract's profit in its pool is what its inventory has realized, plus what it would realize at the
mark, plus injections booked to it.
"""

from collections.abc import Iterator

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import PoolState
from delever.core.messages import DepthSet, DepthSufficiencySet, Event, PoolObserved, Side, Unwound
from delever.core.units import PPM, div_floor, share_floor


def pool_equity(book: Book, pool: PoolState) -> int:
    """Return balance plus unrealized profit of the pool's inventory, in Cash."""
    return pool.balance + sum(
        state.unrealized_pnl for state in book.monitored() if state.pool == pool.name
    )


def observed_equity(book: Book, pool: PoolState) -> int:
    """Return the pool's equity as last observed: the engine observes before it reads triggers."""
    return pool.observed.equity_cash if pool.observed else pool_equity(book, pool)


def contract_pnl_of(state: ContractState) -> int:
    """Return the contract's cumulative profit in its pool, in Cash."""
    return state.realized_pnl + state.injected + state.unrealized_pnl


def observe(book: Book) -> Iterator[Event]:
    """Yield the numbers of each pool that has changed since it was last observed."""
    engaged = book.monitored()
    names = book.unobserved_pools | {state.pool for state in engaged}
    for pool in [book.pools[name] for name in sorted(names)]:
        members = [state for state in engaged if state.pool == pool.name]
        seen = PoolObserved(
            pool=pool.name,
            balance_cash=pool.balance,
            equity_cash=pool.balance + sum(state.unrealized_pnl for state in members),
            contracts=tuple(state.name for state in members),
            contract_pnl_cash=tuple(contract_pnl_of(state) for state in members),
        )
        if seen != pool.observed:
            yield seen


def unwind(state: ContractState, side: Side, lots: int, price_ticks: int) -> Iterator[Unwound]:
    """Yield the closing of inventory in the market, oldest takeover first.

    A tranche's cost is split by lots and floored; what is left keeps the rest, so nothing is lost.
    """
    for tranche in list(state.inventory[side].tranches.values()):
        if lots == 0:
            return
        closed = min(lots, tranche.lots)
        value = state.terms.trade_cash(side.sign * closed, price_ticks)
        cost = share_floor(tranche.cost, closed, tranche.lots)
        yield Unwound(
            takeover=tranche.takeover,
            contract=state.name,
            side=side,
            lots=closed,
            price_ticks=price_ticks,
            value_cash=value,
            cost_cash=cost,
            realized_pnl_cash=value - cost,
        )
        lots -= closed


def worst_ticks(mark_ticks: int, side: Side, slippage_ppm: int) -> int:
    """Return the worst price at which inventory of this side is closed at a mark, rounded down."""
    return div_floor(mark_ticks * (PPM - side.sign * slippage_ppm), PPM)


def usable_depth(
    state: ContractState, side: Side, slippage_ppm: int
) -> tuple[tuple[int, int], ...]:
    """Return the levels that inventory of this side may be closed into, best first.

    Long inventory is sold into bids, short inventory bought from asks, no further from the mark
    than the slippage allows.
    """
    worst = worst_ticks(state.mark, side, slippage_ppm)
    levels = state.bids if side is Side.LONG else state.asks
    return tuple(level for level in levels if side.sign * (level[0] - worst) >= 0)


def absorb(state: ContractState, side: Side, slippage_ppm: int) -> Iterator[Event]:
    """Yield the closing of inventory into depth, as far as depth reaches (managed mode)."""
    reach = len(usable_depth(state, side, slippage_ppm))
    levels = list(state.bids if side is Side.LONG else state.asks)
    taken = 0
    while taken < reach and (left := state.inventory[side].total_lots):
        ticks, offered = levels[taken]
        closed = min(left, offered)
        yield from unwind(state, side, closed, ticks)
        if closed < offered:
            levels[taken] = (ticks, offered - closed)
            break
        taken += 1
    rest = tuple(levels[taken:])
    bids, asks = (rest, state.asks) if side is Side.LONG else (state.bids, rest)
    if (bids, asks) != (state.bids, state.asks):
        yield DepthSet(contract=state.name, bids=bids, asks=asks)


def watch_depth(book: Book, state: ContractState) -> Iterator[Event]:
    """Yield the moments at which depth begins or ceases to be less than inventory.

    A contract whose depth was never told is not watched.
    """
    if not state.depth_known:
        return
    slippage_ppm = book.pool_of(state).max_slippage_ppm
    for side in Side:
        held = state.inventory[side].total_lots
        missing = held > 0 and held > sum(
            lots for _, lots in usable_depth(state, side, slippage_ppm)
        )
        if missing != (state.depth_insufficient_since_ms[side] is not None):
            yield DepthSufficiencySet(contract=state.name, side=side, sufficient=not missing)
