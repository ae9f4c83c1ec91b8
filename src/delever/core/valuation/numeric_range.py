"""Checks that every result stays inside int64: a command that could leave it is rejected whole.

Products and sums of columns stay inside because the equity of an account, the totals of a position
table and the worth of a pool are bounded before each command, at any intermediate state.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import PoolState
from delever.core.book.position_table import PositionBounds
from delever.core.market.contract_terms import MAX_TICKS, ContractTerms
from delever.core.market.validation import Rejection
from delever.core.messages import Event, Reason, Side, TakenOver, WalletSettled
from delever.core.units import COLUMN_LIMIT, INT64_LIMIT, Ratio, share_floor

POOL_LIMIT = INT64_LIMIT
"""Upper bound, in Cash, on a pool's worth: events report it as one int64, no column sums it."""

ContractSide = tuple[str, Side]
"""A position table, by contract name and side."""


class Growth(NamedTuple):
    """The positions that a command sets in a table: total lots, and the bounds on each of them.

    `max_cost` includes isolated margin; `position_ids` counts all ids in use after the command.
    """

    total_lots: int
    max_lots: int
    max_cost: int
    position_ids: int

    @property
    def bounds(self) -> PositionBounds:
        """The bounds on each position that the command sets."""
        return PositionBounds(self.max_lots, self.max_cost, self.position_ids)


def check_range(
    book: Book,
    marks: Mapping[str, int],
    *,
    growth: Mapping[ContractSide, Growth] | None = None,
    max_balance: Mapping[str, int] | None = None,
) -> None:
    """Reject a command after which an account's equity or a table's total could leave int64.

    No account's equity exceeds the largest position of every table at its mark and cost, plus the
    largest wallet. The bounds since the last reset are tried first; only where they leave no room,
    the current positions are scanned.
    """
    growth, max_balance = growth or {}, max_balance or {}
    new_bounds: dict[str, dict[Side, PositionBounds]] = {}
    for (name, side), grown in growth.items():
        table = book.contracts[name].tables[side]
        if 8 * (table.total_lots + grown.total_lots) >= COLUMN_LIMIT:
            raise Rejection("positions", name, Reason.EXCEEDS_NUMERIC_RANGE)
        if table.is_exceeded_by(grown.bounds):
            new_bounds.setdefault(name, {})[side] = grown.bounds
    equity = {name: asset.equity_bound for name, asset in book.assets.items()}
    for name, cash in max_balance.items():
        equity[name] += max(cash - book.asset(name).wallets.largest, 0)
    for name in new_bounds.keys() | marks.keys():
        state = book.contracts[name]
        exposure = state.exposure(marks.get(name, state.mark), new_bounds.get(name, {}))
        equity[state.terms.settle] += exposure - state.exposure_bound
    for name, bound in equity.items():
        if (
            bound >= COLUMN_LIMIT
            and _exact_equity_bound(book, name, marks, growth, max_balance) >= COLUMN_LIMIT
        ):
            field = "positions" if growth else "marks" if marks else "balances"
            raise Rejection(field, name, Reason.EXCEEDS_NUMERIC_RANGE)


def _exact_equity_bound(
    book: Book,
    asset: str,
    marks: Mapping[str, int],
    growth: Mapping[ContractSide, Growth],
    max_balance: Mapping[str, int],
) -> int:
    """Return the bound on equity computed from the current and the submitted positions."""
    bound = max(book.asset(asset).wallets.max_balance(), max_balance.get(asset, 0))
    for state in book.contracts.values():
        if state.terms.settle == asset:
            new_bounds = {
                side: growth[state.name, side].bounds
                for side in Side
                if (state.name, side) in growth
            }
            mark = marks.get(state.name, state.mark)
            bound += state.exposure(mark, new_bounds, exact=True)
    return bound


def check_inventory(book: Book, marks: Mapping[str, int]) -> None:
    """Reject marks at which the worth of a pool with its inventory could exceed the pool limit."""
    if book.monitored():
        for asset in {book.contracts[name].terms.settle for name in marks}:
            if _pool_worth_bound(book, asset, marks) >= POOL_LIMIT:
                raise Rejection("marks", asset, Reason.EXCEEDS_NUMERIC_RANGE)


def takeover_fits(book: Book, events: Iterable[Event]) -> bool:
    """Return whether the worth of pools stays inside the pool limit after these takeovers."""
    added: dict[str, int] = {}
    for event in events:
        if isinstance(event, TakenOver):
            state = book.contracts[event.contract]
            value = event.lots * _max_lot_value(state)
            moved = value + abs(event.value_cash) + abs(event.to_pool_cash)
            added[state.terms.settle] = added.get(state.terms.settle, 0) + moved
        elif isinstance(event, WalletSettled):
            added[event.asset] = added.get(event.asset, 0) + abs(event.amount_cash)
    return all(
        _pool_worth_bound(book, asset, {}) + cash < POOL_LIMIT for asset, cash in added.items()
    )


def funding_fits(book: Book, pool: PoolState, amount: int, contract: str | None) -> bool:
    """Return whether the worth of an asset's pools stays inside the pool limit after a funding.

    What lowers a balance towards 0 always fits.
    """
    growth = max(abs(pool.balance + amount) - abs(pool.balance), 0)
    if contract is not None:
        growth += abs(amount)  # also counted in the contract's PnL
    return growth == 0 or _pool_worth_bound(book, pool.asset, {}) + growth < POOL_LIMIT


def amendment_fits(
    book: Book, state: ContractState, terms: ContractTerms, lots_ratio: Ratio, price_ratio: Ratio
) -> bool:
    """Return whether everything stays inside its limit once a contract has these terms."""
    tables = state.tables.values()
    most_lots = max(table.total_lots for table in tables)
    prices = state.mark, state.previous_mark
    top = share_floor(max(prices), *price_ratio)
    if 8 * share_floor(most_lots, *lots_ratio) >= COLUMN_LIMIT or top > MAX_TICKS:
        return False
    lots, _ = state.largest_holding_with({}, exact=True)
    per_lot = terms.factor * (top if terms.linear else 1)
    added = share_floor(lots, *lots_ratio) * per_lot - lots * _max_lot_value(state)
    held = sum(inventory.total_lots for inventory in state.inventory.values())
    worth = share_floor(held, *lots_ratio) * per_lot - held * _max_lot_value(state)
    asset = terms.settle
    return (
        _exact_equity_bound(book, asset, {}, {}, {}) + max(added, 0) < COLUMN_LIMIT
        and _pool_worth_bound(book, asset, {}) + max(worth, 0) < POOL_LIMIT
    )


def _pool_worth_bound(book: Book, asset: str, marks: Mapping[str, int]) -> int:
    """Return a bound on the balances of an asset's pools and on the PnL of their inventory."""
    bound = sum(abs(pool.balance) for pool in book.pools.values() if pool.asset == asset)
    for state in book.monitored():
        if state.terms.settle == asset:
            lot_value = _max_lot_value(state, marks.get(state.name, 0))
            for inventory in state.inventory.values():
                bound += inventory.total_lots * lot_value + abs(inventory.total_cost)
            bound += abs(state.realized_pnl + state.injected)
    return bound


def _max_lot_value(state: ContractState, mark: int = 0) -> int:
    """Return a bound on a lot's value in Cash at a new mark, the current or the previous one."""
    return state.max_lot_value(max(mark, state.mark, state.previous_mark))
