"""Checks that every result stays inside int64: a command that could leave it is rejected whole.

Products and sums of columns stay inside because the equity of an account, the totals of a position
table and the worth of a pool are bounded before each command, at any intermediate state.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import PoolState
from delever.core.book.position_table import PositionBounds
from delever.core.market.collateral import VALUE_LIMIT, CollateralTerms
from delever.core.market.contract_terms import MAX_TICKS, ContractTerms
from delever.core.market.validation import Rejection, reject_unless
from delever.core.messages import (
    AdlFilled,
    CollateralTakenOver,
    Event,
    Reason,
    Side,
    TakenOver,
    WalletSettled,
)
from delever.core.units import COLUMN_LIMIT, INT64_LIMIT, Mark, Ratio, scale_mark, share_floor
from delever.core.valuation.insurance import worst_ticks

POOL_LIMIT = INT64_LIMIT
"""Upper bound, in Cash, on a pool's worth: events report it as one int64, no column sums it."""

ContractSide = tuple[str, Side]
"""A position table, by contract name and side."""


NO_BOUNDS: Mapping[Side, PositionBounds] = {}


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
    marks: Mapping[str, Mark],
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
    if not (new_bounds or marks or max_balance) and bounds_fit(book, {}):
        return
    equity, at_mark = _bounds_after(book, marks, new_bounds, max_balance)
    field = "positions" if growth else "marks" if marks else "balances"
    for name, bound in equity.items():
        if (
            bound >= COLUMN_LIMIT
            and _exact_equity_bound(book, name, marks, growth, max_balance) >= COLUMN_LIMIT
        ):
            raise Rejection(field, name, Reason.EXCEEDS_NUMERIC_RANGE)
    if not pooled_fits(book, at_mark, {}):
        exact = {
            name: _exact_equity_bound(book, name, marks, growth, max_balance, at_mark=True)
            for name in book.assets
        }
        fits = pooled_fits(book, exact, {})
        reject_unless(fits, field, book.margin_currency, Reason.EXCEEDS_NUMERIC_RANGE)


def balances_fit(book: Book, balances: Iterable[tuple[str, str, int]]) -> bool:
    """Return whether the bounds on equity show that balances (account, asset, Cash) fit."""
    for _, name, cash in balances:
        asset = book.assets[name]
        if asset.exposure + max(asset.wallets.largest, abs(cash)) >= COLUMN_LIMIT:
            return False
    return not book.margin_currency


def bounds_fit(book: Book, moved: Mapping[str, Mark]) -> bool:
    """Return whether the bounds on equity show that it fits the numeric range at new marks.

    `moved` are the marks that leave the bands of their contracts: only those change a bound.
    """
    if not (moved or book.margin_currency):
        bounds = [asset.equity_bound for asset in book.assets.values()]
        return max(bounds, default=0) < COLUMN_LIMIT
    equity, at_mark = _bounds_after(book, moved, {}, {})
    return max(equity.values(), default=0) < COLUMN_LIMIT and pooled_fits(book, at_mark, {})


def _bounds_after(
    book: Book,
    marks: Mapping[str, Mark],
    new_bounds: Mapping[str, Mapping[Side, PositionBounds]],
    max_balance: Mapping[str, int],
) -> tuple[dict[str, int], dict[str, int]]:
    """Return the bounds on equity by asset, at any mark of a band and at the marks."""
    equity = {name: asset.equity_bound for name, asset in book.assets.items()}
    at_mark = {name: asset.equity_bound_at_mark for name, asset in book.assets.items()}
    for name, cash in max_balance.items():
        grown_by = max(cash - book.asset(name).wallets.largest, 0)
        equity[name] += grown_by
        at_mark[name] += grown_by
    for name in new_bounds.keys() | marks.keys():
        state = book.contracts[name]
        given = marks.get(name, state.mark), new_bounds.get(name, NO_BOUNDS)
        exposure, exposure_at_mark = state.exposures(*given)
        settle = state.terms.settle
        equity[settle] += exposure - state.exposure_bound
        at_mark[settle] += exposure_at_mark - state.exposure_at_mark_bound
    return equity, at_mark


def terms_fit(book: Book, changed: Mapping[str, CollateralTerms]) -> bool:
    """Return whether the equity of multi-asset accounts fits the numeric range at new terms."""
    at_mark = {name: asset.equity_bound_at_mark for name, asset in book.assets.items()}
    if pooled_fits(book, at_mark, changed):
        return True
    exact = {
        name: _exact_equity_bound(book, name, {}, {}, {}, at_mark=True) for name in book.assets
    }
    return pooled_fits(book, exact, changed)


def pooled_fits(
    book: Book, bounds: Mapping[str, int], changed: Mapping[str, CollateralTerms]
) -> bool:
    """Return whether the equity of multi-asset accounts fits the numeric range in every asset.

    `bounds` are those on the equity in one asset at the marks, `changed` the terms that a command
    sets. The value of each asset is below `VALUE_LIMIT`, their sum below the numeric range.
    """
    if not (book.margin_currency or changed):
        return True
    terms = {asset.name: asset.collateral for asset in book.assets.values() if asset.collateral}
    terms |= changed
    values = [-each.equity.of(-bounds.get(name, 0)) for name, each in terms.items()]
    if max(values, default=0) >= VALUE_LIMIT:
        return False
    total = sum(values)
    return all(-each.index.amount_of(-total) < VALUE_LIMIT for each in terms.values())


def _exact_equity_bound(
    book: Book,
    asset: str,
    marks: Mapping[str, Mark],
    growth: Mapping[ContractSide, Growth],
    max_balance: Mapping[str, int],
    *,
    at_mark: bool = False,
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
            exposure = state.exposure_at_mark if at_mark else state.exposure
            bound += exposure(mark, new_bounds, exact=True)
    return bound


def check_cancellation(book: Book, fill: AdlFilled) -> None:
    """Reject the cancellation of a fill after which a position, wallet or pool would not fit.

    The fill fitted when it was executed; the mark, or the account's other positions, may have grown
    since.
    """
    state = book.contracts[fill.contract]
    growth, balance = _reopened(book, state, fill)
    settle = state.terms.settle
    reopened = fill.lots * _lot_value_bound(book, state) + abs(fill.pool_cost_cash)
    added = Counter({state.pool: reopened})
    added[fill.pool] += abs(fill.pool_realized_pnl_cash)
    try:
        check_range(
            book, {}, growth={(state.name, fill.side): growth}, max_balance={settle: balance}
        )
        fits = all(_worth_bound(book, pool) + cash < POOL_LIMIT for pool, cash in added.items())
    except Rejection:
        fits = False
    reject_unless(fits, "fill", fill.fill, Reason.EXCEEDS_NUMERIC_RANGE)


def _reopened(book: Book, state: ContractState, fill: AdlFilled) -> tuple[Growth, int]:
    """Return the position that a cancelled fill reopens, and the absolute balance it leaves."""
    account, table = book.accounts.index[fill.account], state.tables[fill.side]
    row = table.find(account, fill.position)
    lots, cost, margin = (0, 0, 0) if row is None else table.amounts_at(row)
    cost += fill.cost_cash
    margin += fill.margin_returned_cash
    ids = len(table.position_ids | {fill.position})
    paid = fill.realized_pnl_cash + fill.margin_returned_cash - fill.fee_cash
    balance = book.asset_of(state).wallets.balance.item(account) - paid
    return Growth(fill.lots, lots + fill.lots, abs(cost) + margin, ids), abs(balance)


# --- pools ---


def check_inventory(book: Book, marks: Mapping[str, Mark]) -> None:
    """Reject marks at which the worth of a pool with its inventory could exceed the pool limit."""
    if book.monitored():
        for pool in sorted({state.pool for state in book.monitored() if state.name in marks}):
            if _worth_bound(book, pool, marks) >= POOL_LIMIT:
                raise Rejection("marks", book.pools[pool].asset, Reason.EXCEEDS_NUMERIC_RANGE)


def depth_fits(book: Book, state: ContractState, bids: Sequence[tuple[int, int]]) -> bool:
    """Return whether a pool's worth stays inside the pool limit if it sells into these bids."""
    best = max((ticks for ticks, _ in bids), default=0)
    return _worth_bound(book, state.pool, {state.name: best}) < POOL_LIMIT


def move_fits(book: Book, state: ContractState, pool: PoolState) -> bool:
    """Return whether the worth of a pool stays inside the pool limit with one contract more."""
    worth = _inventory_bound(state, _prices(state, pool)) + abs(state.unrealized_pnl)
    return worth == 0 or _worth_bound(book, pool.name) + worth < POOL_LIMIT


def takeover_fits(book: Book, events: Iterable[Event]) -> bool:
    """Return whether the worth of pools stays inside the pool limit after these takeovers."""
    added: Counter[str] = Counter()
    for event in events:
        if isinstance(event, TakenOver):
            state = book.contracts[event.contract]
            value = event.lots * _lot_value_bound(book, state)
            added[state.pool] += value + abs(event.value_cash) + abs(event.to_pool_cash)
        elif isinstance(event, CollateralTakenOver):
            added[event.pool] += 2 * abs(event.value_cash)
        elif isinstance(event, WalletSettled):
            added[event.pool] += abs(event.amount_cash)
    return all(_worth_bound(book, pool) + cash < POOL_LIMIT for pool, cash in added.items())


def funding_fits(book: Book, pool: PoolState, amount: int, contract: str | None) -> bool:
    """Return whether the worth of a pool stays inside the pool limit after a funding.

    What lowers a balance towards 0 always fits.
    """
    growth = max(abs(pool.balance + amount) - abs(pool.balance), 0)
    if contract is not None:
        growth += abs(amount)  # also counted in the contract's PnL
    return growth == 0 or _worth_bound(book, pool.name) + growth < POOL_LIMIT


def amendment_fits(
    book: Book, state: ContractState, terms: ContractTerms, lots_ratio: Ratio, price_ratio: Ratio
) -> bool:
    """Return whether everything stays inside its limit once a contract has these terms."""
    most_lots = max(table.total_lots for table in state.tables.values())
    prices = _prices(state, book.pool_of(state))
    scaled = [scale_mark(price, price_ratio) for price in prices]
    if 8 * share_floor(most_lots, *lots_ratio) >= COLUMN_LIMIT or max(scaled) > MAX_TICKS:
        return False
    before, after = (
        max(map(each.max_lot_value, at)) for each, at in ((state.terms, prices), (terms, scaled))
    )
    lots, _ = state.largest_holding_with({}, exact=True)
    added = share_floor(lots, *lots_ratio) * after - lots * before
    held = sum(inventory.total_lots for inventory in state.inventory.values())
    worth = share_floor(held, *lots_ratio) * after - held * before
    equity = _exact_equity_bound(book, terms.settle, {}, {}, {})
    return (
        equity + max(added, 0) < COLUMN_LIMIT
        and _worth_bound(book, state.pool) + max(worth, 0) < POOL_LIMIT
    )


def unwinding_fits(book: Book, state: ContractState, realized_pnl: int) -> bool:
    """Return whether the worth of a pool stays inside the pool limit after an unwinding."""
    numbers = book.pool_of(state).balance, state.realized_pnl + state.injected
    growth = sum(max(abs(number + realized_pnl) - abs(number), 0) for number in numbers)
    return growth == 0 or _worth_bound(book, state.pool) + growth < POOL_LIMIT


def _worth_bound(book: Book, pool: str, prices: Mapping[str, Mark] | None = None) -> int:
    """Return a bound on a pool's balance and on the PnL of its inventory, at these prices too."""
    owner = book.pools[pool]
    bound = abs(owner.balance) + sum(abs(held.cost) for held in owner.collateral.values())
    for state in book.monitored():
        if state.pool == pool:
            bound += abs(state.realized_pnl + state.injected)
            if state.has_inventory:
                reached = _prices(state, owner, (prices or {}).get(state.name, 0))
                bound += _inventory_bound(state, reached)
    return bound


def _inventory_bound(state: ContractState, prices: Iterable[Mark]) -> int:
    """Return a bound on the value and the cost of a contract's inventory at any of some prices."""
    lots = sum(inventory.total_lots for inventory in state.inventory.values())
    cost = sum(abs(inventory.total_cost) for inventory in state.inventory.values())
    return lots * max(map(state.terms.max_lot_value, prices)) + cost


def _lot_value_bound(book: Book, state: ContractState) -> int:
    """Return a bound on a lot's value in Cash at any price of `_prices`."""
    return max(map(state.terms.max_lot_value, _prices(state, book.pool_of(state))))


def _prices(state: ContractState, pool: PoolState, price: Mark = 0) -> list[Mark]:
    """Return a price, the marks, and the highest at which a managed pool may unwind."""
    prices = [price, state.mark, state.previous_mark]
    if pool.definition.managed:
        prices.append(worst_ticks(max(prices), Side.SHORT, pool.max_slippage_ppm))
        prices += [ticks for ticks, _ in state.bids[:1]]
    return prices
