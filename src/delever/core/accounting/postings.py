"""Event -> balanced postings: no movement of money or lots has only one side."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from delever.core import messages as m
from delever.core.accounting.ledger import (
    BOOK_TOTALS,
    COLLATERAL,
    FEES,
    INVENTORY,
    MARGINS,
    OUTSIDE,
    POOL,
    POSITIONS,
    WALLETS,
    Posting,
    lots_unit,
)
from delever.core.book import Book
from delever.core.book.position_table import PositionColumns
from delever.core.market.contract_terms import lots_ratio_of
from delever.core.market.validation import unpack_column
from delever.core.messages import Event
from delever.core.messages.fill_batch import FillBatch
from delever.core.units import exact_sum, share_floor


def postings(book: Book, event: Event) -> Iterable[Posting]:
    """Return the postings of an event that is about to be applied to the book."""
    post = _POSTINGS.get(type(event))
    return () if post is None else post(book, event)


def postings_of_fills(book: Book, fills: FillBatch) -> Iterator[Posting]:
    """Return the postings of a batch of fills: the sums of the postings of each."""
    return _closed(book, fills.first, [sum(fills.columns[name]) for name in _FILL_AMOUNTS])


def _against_outside(moved: Iterable[Posting], unit: str) -> Iterator[Posting]:
    """Yield postings, and the posting to OUTSIDE that balances them."""
    total = 0
    for posting in moved:
        total += posting[-1]
        yield posting
    yield OUTSIDE, unit, unit, -total


# --- snapshots ---


def _balances_set(book: Book, event: m.BalancesSet) -> Iterator[Posting]:
    for account, asset, balance in zip(
        event.accounts, event.assets, event.balance_cash, strict=True
    ):
        moved = balance - book.asset(asset).wallets.balance.item(book.accounts.index[account])
        yield WALLETS, asset, asset, moved
        yield OUTSIDE, asset, asset, -moved


def _balance_columns_set(book: Book, event: m.BalanceColumnsSet) -> Iterator[Posting]:
    """Yield the change of the wallets' total: a bulk command is one movement."""
    accounts = unpack_column(event.account, "<i4", 0)
    submitted = exact_sum(unpack_column(event.balance_cash, "<i8", len(accounts)))
    known = exact_sum(book.asset(event.asset).wallets.balance[accounts])
    moved = [(WALLETS, event.asset, event.asset, submitted - known)]
    yield from _against_outside(moved, event.asset)


def _positions_set(book: Book, event: m.PositionsSet) -> list[Posting]:
    """Return the change of the table's totals: a command is one movement."""
    table, index = book.contracts[event.contract].tables[event.side], book.accounts.index
    cost, margin, lots = sum(event.cost_cash), sum(event.margin_cash), sum(event.lots)
    for account, position in zip(event.accounts, event.positions, strict=True):
        row = table.find(index[account], position)
        if row is not None:
            old_lots, old_cost, old_margin = table.amounts_at(row)
            lots, cost, margin = lots - old_lots, cost - old_cost, margin - old_margin
    return _side_moved(book, event, cost, margin, lots)


def _position_columns_set(book: Book, event: m.PositionColumnsSet) -> list[Posting]:
    table = book.contracts[event.contract].tables[event.side]
    columns, accounts = PositionColumns.of_event(event), unpack_column(event.account, "<i4", 0)
    rows = table.find_all(accounts, unpack_column(event.position, "<i4", len(accounts)))
    rows = rows[rows >= 0]
    max_cost = max(table.max_cost, int(abs(columns.cost).max(initial=0)))
    cost = exact_sum(columns.cost, max_cost) - exact_sum(table.cost[rows], max_cost)
    margin = exact_sum(columns.margin) - exact_sum(table.margin[rows])
    lots = int(columns.lots.sum()) - int(table.lots[rows].sum())
    return _side_moved(book, event, cost, margin, lots)


def _side_moved(
    book: Book, event: m.PositionsSet | m.PositionColumnsSet, cost: int, margin: int, lots: int
) -> list[Posting]:
    name, asset = event.contract, book.contracts[event.contract].terms.settle
    unit, lots = lots_unit(name), event.side.sign * lots
    moved = [
        (POSITIONS, name, asset, -cost),
        (OUTSIDE, asset, asset, cost - margin),
        (POSITIONS, name, unit, lots),
        (OUTSIDE, unit, unit, -lots),
    ]
    return [*moved, (MARGINS, name, asset, margin)] if margin else moved


# --- pools, takeover, unwinding ---


def _pool_funded(book: Book, event: m.PoolFunded) -> Iterator[Posting]:
    asset = book.pools[event.pool].asset
    moved = [(POOL, event.pool, asset, event.amount_cash)]
    return _against_outside(moved, asset)


def _wallet_settled(_book: Book, event: m.WalletSettled) -> Iterator[Posting]:
    asset, amount = event.asset, event.amount_cash
    yield WALLETS, asset, asset, -amount
    yield POOL, event.pool, asset, amount


def _collateral_taken_over(book: Book, event: m.CollateralTakenOver) -> Iterator[Posting]:
    """Yield both movements: the asset to the pool, its value to the account's wallet."""
    settle = book.pools[event.pool].asset
    asset, amount, value = event.asset, event.amount_cash, event.value_cash
    yield WALLETS, asset, asset, -amount
    yield COLLATERAL, event.pool, asset, amount
    yield WALLETS, settle, settle, value
    yield COLLATERAL, event.pool, settle, -value


def _collateral_converted(book: Book, event: m.CollateralConverted) -> Iterator[Posting]:
    settle, sold = book.pools[event.pool].asset, event.amount_cash
    moved = [(COLLATERAL, event.pool, event.asset, -sold)]
    yield from _against_outside(moved, event.asset)
    moved = [
        (COLLATERAL, event.pool, settle, event.cost_cash),
        (POOL, event.pool, settle, event.realized_pnl_cash),
    ]
    yield from _against_outside(moved, settle)


def _taken_over(book: Book, event: m.TakenOver) -> Iterator[Posting]:
    state = book.contracts[event.contract]
    asset, name = state.terms.settle, event.contract
    yield POSITIONS, name, asset, event.cost_cash
    yield MARGINS, name, asset, -event.margin_cash
    yield WALLETS, asset, asset, event.to_wallet_cash
    yield POOL, state.pool, asset, event.to_pool_cash
    yield INVENTORY, name, asset, -event.value_cash
    unit, lots = lots_unit(name), event.side.sign * event.lots
    yield POSITIONS, name, unit, -lots
    yield INVENTORY, name, unit, lots


def _positions_netted(book: Book, event: m.PositionsNetted) -> Iterator[Posting]:
    asset, name = book.contracts[event.contract].terms.settle, event.contract
    cost = event.long_cost_cash + event.short_cost_cash
    yield POSITIONS, name, asset, cost
    yield WALLETS, asset, asset, event.realized_pnl_cash


def _positions_closed(book: Book, event: m.PositionsClosed) -> Iterator[Posting]:
    """Yield the closing of positions as one movement; what the sides do not match is outside."""
    state = book.contracts[event.contract]
    asset, name, unit = state.terms.settle, event.contract, lots_unit(event.contract)
    cost, margin, to_pool = (
        sum(column) for column in (event.cost_cash, event.margin_cash, event.to_pool_cash)
    )
    to_wallets = sum(event.realized_pnl_cash) + margin - to_pool
    moved = [
        (POSITIONS, name, asset, cost),
        (MARGINS, name, asset, -margin),
        (WALLETS, asset, asset, to_wallets),
        (POOL, state.pool, asset, to_pool),
    ]
    yield from _against_outside(moved, asset)
    signed = -event.side.sign * sum(event.lots)
    yield from _against_outside([(POSITIONS, name, unit, signed)], unit)


def _inventory_closed(book: Book, event: m.InventoryClosed) -> Iterator[Posting]:
    state = book.contracts[event.contract]
    asset, unit = state.terms.settle, lots_unit(event.contract)
    realized = sum(event.realized_pnl_cash)
    moved = [
        (INVENTORY, event.contract, asset, sum(event.cost_cash)),
        (POOL, state.pool, asset, realized),
    ]
    yield from _against_outside(moved, asset)
    signed = -event.side.sign * sum(event.lots)
    yield from _against_outside([(INVENTORY, event.contract, unit, signed)], unit)


def _contract_settled(book: Book, event: m.ContractSettled) -> Iterator[Posting]:
    state = book.contracts[event.contract]
    asset = state.terms.settle
    moved = [(POOL, state.pool, asset, event.rounding_cash)]
    return _against_outside(moved, asset)


def _settlement_loss_shared(book: Book, event: m.SettlementLossShared) -> Iterator[Posting]:
    asset, total = book.contracts[event.contract].terms.settle, sum(event.amount_cash)
    yield WALLETS, asset, asset, -total
    yield POOL, event.pool, asset, total


def _contract_amended(book: Book, event: m.ContractAmended) -> Iterator[Posting]:
    """Yield the lots that a new unit adds to each ledger account, against outside."""
    state, unit = book.contracts[event.contract], lots_unit(event.contract)
    ratio = lots_ratio_of(state.definition, event.definition)
    for ledger in (POSITIONS, INVENTORY):
        lots = BOOK_TOTALS[ledger](book, event.contract, unit)
        added = share_floor(lots, *ratio) - lots
        if added:
            yield from _against_outside([(ledger, event.contract, unit, added)], unit)


def _inventory_netted(book: Book, event: m.InventoryNetted) -> Iterator[Posting]:
    """Yield the postings of money; the lots of both sides have the same ledger account."""
    asset, cost = book.contracts[event.contract].terms.settle, -event.realized_pnl_cash
    yield INVENTORY, event.contract, asset, cost
    yield POOL, event.pool, asset, event.realized_pnl_cash


def _unwound(book: Book, event: m.Unwound) -> Iterator[Posting]:
    state = book.contracts[event.contract]
    asset, unit = state.terms.settle, lots_unit(event.contract)
    moved = [
        (INVENTORY, event.contract, asset, event.cost_cash),
        (POOL, state.pool, asset, event.realized_pnl_cash),
    ]
    yield from _against_outside(moved, asset)
    signed = -event.side.sign * event.lots
    yield from _against_outside([(INVENTORY, event.contract, unit, signed)], unit)


# --- ADL ---

_FILL_AMOUNTS = (
    "lots",
    "cost_cash",
    "realized_pnl_cash",
    "margin_returned_cash",
    "fee_cash",
    "pool_cost_cash",
    "pool_realized_pnl_cash",
)


def _filled(book: Book, fill: m.AdlFilled, direction: int = 1) -> Iterator[Posting]:
    amounts = [direction * getattr(fill, name) for name in _FILL_AMOUNTS]
    return _closed(book, fill, amounts)


def _fill_cancelled(book: Book, event: m.FillCancelled) -> Iterator[Posting]:
    return _filled(book, event.fill, -1)


def _compensated(_book: Book, event: m.Compensated) -> Iterator[Posting]:
    asset, amount = event.asset, event.amount_cash
    yield POOL, event.pool, asset, -amount
    yield WALLETS, asset, asset, amount


def _closed(book: Book, fill: m.AdlFilled, amounts: Sequence[int]) -> Iterator[Posting]:
    """Yield the postings of closing counterparty and inventory, by the _FILL_AMOUNTS."""
    state = book.contracts[fill.contract]
    asset, name = state.terms.settle, fill.contract
    lots, cost, realized_pnl, margin_returned, fee, pool_cost, pool_realized_pnl = amounts
    to_wallet = realized_pnl + margin_returned - fee
    yield POSITIONS, name, asset, cost
    if margin_returned:
        yield MARGINS, name, asset, -margin_returned
    yield WALLETS, asset, asset, to_wallet
    if fee:
        yield FEES, asset, asset, fee
    yield INVENTORY, name, asset, pool_cost
    yield POOL, fill.pool, asset, pool_realized_pnl
    unit, lots = lots_unit(name), fill.side.sign * lots
    yield POSITIONS, name, unit, -lots
    yield INVENTORY, name, unit, lots


def _loss_socialized(book: Book, event: m.LossSocialized) -> Iterator[Posting]:
    state = book.contracts[event.contract]
    asset, total = state.terms.settle, sum(event.amount_cash)
    yield POSITIONS, event.contract, asset, -total
    yield POOL, state.pool, asset, total


_POSTINGS: dict[type[Event], Callable[[Book, Any], Iterable[Posting]]] = {
    m.BalancesSet: _balances_set,
    m.BalanceColumnsSet: _balance_columns_set,
    m.PositionsSet: _positions_set,
    m.PositionColumnsSet: _position_columns_set,
    m.PoolFunded: _pool_funded,
    m.ContractAmended: _contract_amended,
    m.PositionsClosed: _positions_closed,
    m.InventoryClosed: _inventory_closed,
    m.ContractSettled: _contract_settled,
    m.SettlementLossShared: _settlement_loss_shared,
    m.TakenOver: _taken_over,
    m.PositionsNetted: _positions_netted,
    m.InventoryNetted: _inventory_netted,
    m.WalletSettled: _wallet_settled,
    m.CollateralTakenOver: _collateral_taken_over,
    m.CollateralConverted: _collateral_converted,
    m.Unwound: _unwound,
    m.AdlFilled: _filled,
    m.FillCancelled: _fill_cancelled,
    m.Compensated: _compensated,
    m.LossSocialized: _loss_socialized,
}
