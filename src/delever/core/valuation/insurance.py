"""Insurance pools: equity, contract PnL, unwinding of inventory, depth for it.

A pool's balance is settled cash and collateral at cost; its equity adds the unrealized PnL of its
inventory and of its collateral. The PnL of a
contract in its pool is realized plus unrealized PnL of its inventory, plus injections booked to it.
"""

from collections.abc import Callable, Iterable, Iterator

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import PoolState, Tranche
from delever.core.messages import DepthSet, DepthSufficiencySet, Event, PoolObserved, Side, Unwound
from delever.core.units import PPM, Mark, div_floor, floor_ticks, share_floor
from delever.core.valuation.multi_asset import collateral_pnl


def pool_equity(book: Book, pool: PoolState) -> int:
    """Return a pool's equity in Cash: balance plus unrealized PnL of inventory and collateral."""
    return _equity(book, pool, (state for state in book.monitored() if state.pool == pool.name))


def _equity(book: Book, pool: PoolState, members: Iterable[ContractState]) -> int:
    inventory_pnl = sum(state.unrealized_pnl for state in members)
    return pool.balance + inventory_pnl + collateral_pnl(book, pool)


def observed_equity(book: Book, pool: PoolState) -> int:
    """Return a pool's equity as last observed; each step observes it before it reads triggers."""
    return pool.observed.equity_cash if pool.observed else pool_equity(book, pool)


def contract_pnl_of(state: ContractState) -> int:
    """Return a contract's cumulative PnL in its pool, in Cash."""
    return state.realized_pnl + state.injected + state.unrealized_pnl


def observe(book: Book, *, changed_only: bool = False) -> Iterator[Event]:
    """Yield an observation of each pool whose numbers changed since the last one.

    `changed_only` looks at pools whose balance changed alone, not at those whose marks moved.
    """
    monitored = book.monitored()
    names = set(book.unobserved_pools)
    if not changed_only:
        names |= {state.pool for state in monitored}
    for pool in [book.pools[name] for name in sorted(names)]:
        members = [state for state in monitored if state.pool == pool.name]
        observed = PoolObserved(
            pool=pool.name,
            balance_cash=pool.balance,
            equity_cash=_equity(book, pool, members),
            contracts=tuple(state.name for state in members),
            contract_pnl_cash=tuple(contract_pnl_of(state) for state in members),
        )
        if observed != pool.observed:
            yield observed


def unwind(state: ContractState, side: Side, lots: int, price_ticks: int) -> Iterator[Unwound]:
    """Yield the unwinding of inventory in the market, oldest takeover first."""
    for tranche in list(state.inventory[side].tranches.values()):
        if lots == 0:
            return
        closed = min(lots, tranche.lots)
        yield _unwound(state, side, tranche, closed, price_ticks)
        lots -= closed


def _unwound(
    state: ContractState, side: Side, tranche: Tranche, lots: int, price_ticks: int
) -> Unwound:
    """Return the unwinding of lots of a tranche.

    The cost of closed lots is floored, and the open lots retain the rest, so no unit is lost.
    """
    value = state.terms.trade_cash(side.sign * lots, price_ticks)
    cost = share_floor(tranche.cost, lots, tranche.lots)
    return Unwound(
        takeover=tranche.takeover,
        contract=state.name,
        side=side,
        lots=lots,
        price_ticks=price_ticks,
        value_cash=value,
        cost_cash=cost,
        realized_pnl_cash=value - cost,
    )


def payable_lots(lots: int, balance_cash: int, realized_pnl: Callable[[int], int]) -> int:
    """Return how many of the lots a pool can close with a balance of 0 or above.

    One lot more would take it below. `realized_pnl` is what the pool realizes with so many lots, in
    Cash; a gain can always be taken.

    >>> payable_lots(10, 25, lambda lots: -10 * lots), payable_lots(10, -5, lambda lots: lots)
    (2, 10)
    """
    money = max(balance_cash, 0)
    if realized_pnl(lots) >= -money:
        return lots
    payable, beyond = 0, lots
    while beyond - payable > 1:
        middle = div_floor(payable + beyond, 2)
        if realized_pnl(middle) >= -money:
            payable = middle
        else:
            beyond = middle
    return payable


def worst_ticks(mark_ticks: Mark, side: Side, slippage_ppm: int) -> int:
    """Return the worst price, in ticks, at which inventory of a side is unwound, rounded down."""
    return floor_ticks(mark_ticks, PPM - side.sign * slippage_ppm)


def usable_depth(
    state: ContractState, side: Side, slippage_ppm: int
) -> tuple[tuple[int, int], ...]:
    """Return the levels of depth that inventory of a side may be unwound into, best first.

    Long inventory is sold to bids, short inventory is bought from asks, within the maximum
    slippage from the mark.
    """
    worst = worst_ticks(state.mark, side, slippage_ppm)
    levels = state.bids if side is Side.LONG else state.asks
    return tuple(level for level in levels if side.sign * (level[0] - worst) >= 0)


def absorb(
    pool: PoolState, state: ContractState, side: Side, *, beyond_balance: bool
) -> Iterator[Event]:
    """Yield the unwinding of inventory into depth (managed pools); each is applied before the next.

    It reaches as far as depth and the pool's money do: what the pool cannot pay for stays open, to
    be closed by ADL. `beyond_balance`: the pool unwinds whatever it has.
    """
    if not state.inventory[side].tranches:
        return
    usable = len(usable_depth(state, side, pool.max_slippage_ppm))
    levels = list(state.bids if side is Side.LONG else state.asks)
    consumed = 0
    while consumed < usable:
        ticks, offered = levels[consumed]
        while offered:
            money = None if beyond_balance else pool.balance
            unwound = _next_unwinding(state, side, offered, ticks, money)
            if unwound is None:
                break
            yield unwound
            offered -= unwound.lots
        levels[consumed] = ticks, offered
        if offered:
            break
        consumed += 1
    rest = tuple(levels[consumed:])
    bids, asks = (rest, state.asks) if side is Side.LONG else (state.bids, rest)
    if (bids, asks) != (state.bids, state.asks):
        yield DepthSet(contract=state.name, bids=bids, asks=asks)


def _next_unwinding(
    state: ContractState, side: Side, lots: int, ticks: int, balance_cash: int | None
) -> Unwound | None:
    """Return the unwinding of the oldest takeover of which the pool can pay for any lots."""
    for tranche in state.inventory[side].tranches.values():
        closed = min(lots, tranche.lots)
        if balance_cash is None:
            return _unwound(state, side, tranche, closed, ticks)

        def realized_pnl(part: int, tranche: Tranche = tranche) -> int:
            value = state.terms.trade_cash(side.sign * part, ticks)
            return value - share_floor(tranche.cost, part, tranche.lots)

        if payable := payable_lots(closed, balance_cash, realized_pnl):
            return _unwound(state, side, tranche, payable, ticks)
    return None


def watch_depth(book: Book, state: ContractState) -> Iterator[Event]:
    """Yield the moments at which depth becomes insufficient or sufficient for the inventory.

    A contract without submitted depth is not watched.
    """
    if not state.depth_known:
        return
    slippage_ppm = book.pool_of(state).max_slippage_ppm
    for side in Side:
        inventory_lots = state.inventory[side].total_lots
        sufficient = inventory_lots == 0 or inventory_lots <= sum(
            lots for _, lots in usable_depth(state, side, slippage_ppm)
        )
        if sufficient != (state.depth_insufficient_since_ms[side] is None):
            yield DepthSufficiencySet(contract=state.name, side=side, sufficient=sufficient)
