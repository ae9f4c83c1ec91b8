"""Event -> balanced postings: nothing that moves money or lots moves only one side.

Cash postings sum to zero in each settle asset, lot postings in each contract. Positions and
inventory stand at cost, which is owed: a position that cost 100 is posted as -100. `OUTSIDE` is the
world that delever only hears of: the market into which inventory is unwound, and the venue's own
books where it tells absolute balances and positions.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.inventory import Inventory
from delever.core.book.position_table import Numbers, PositionTable
from delever.core.market.validation import column_of
from delever.core.messages import Event, Side
from delever.core.messages.fill_batch import Fills
from delever.core.units import exact_sum


class Part(StrEnum):
    """Where money or lots stand."""

    WALLETS = "wallets"
    MARGINS = "margins"
    POSITIONS = "positions"
    INVENTORY = "inventory"
    POOL = "pool"
    FEES = "fees"
    OUTSIDE = "outside"


class Posting(msgspec.Struct, frozen=True, gc=False):
    """One side of a movement. `unit` is a settle asset (Cash) or 'lots of CONTRACT' (lots).

    `of` names what the book keeps a total for: the asset (wallets, fees), the contract (margins,
    positions, inventory) or the pool.
    """

    part: Part
    of: str
    unit: str
    amount: int
    account: str = ""


def lots_unit(contract: str) -> str:
    """Return the unit in which a contract's lots are posted."""
    return f"lots of {contract}"


def postings(book: Book, event: Event) -> Iterable[Posting]:
    """Return the postings of an event that is about to be applied to the book."""
    make = _POSTINGS.get(type(event))
    return () if make is None else make(book, event)


def _against_outside(moved: Iterable[Posting], unit: str) -> Iterator[Posting]:
    """Yield the postings and what the outside world has on the other side."""
    total = 0
    for posting in moved:
        total += posting.amount
        yield posting
    yield Posting(Part.OUTSIDE, unit, unit, -total)


def _balances_set(book: Book, event: m.BalancesSet) -> Iterator[Posting]:
    for account, asset, balance in zip(
        event.accounts, event.assets, event.balance_cash, strict=True
    ):
        known = book.asset(asset).wallets.balance.item(book.accounts.index[account])
        moved = Posting(Part.WALLETS, asset, asset, balance - known, account)
        yield from _against_outside([moved], asset)


def _balance_columns_set(book: Book, event: m.BalanceColumnsSet) -> Iterator[Posting]:
    """Yield the total of the wallets before and after: a bulk command is one movement."""
    accounts = column_of(event.account, "<i4", 0)
    now = exact_sum(column_of(event.balance_cash, "<i8", len(accounts)))
    known = exact_sum(book.asset(event.asset).wallets.balance[accounts])
    moved = [Posting(Part.WALLETS, event.asset, event.asset, now - known)]
    yield from _against_outside(moved, event.asset)


def _positions_set(book: Book, event: m.PositionsSet) -> Iterator[Posting]:
    """Yield the table's totals before and after: a command is one movement."""
    table, index = book.contracts[event.contract].tables[event.side], book.accounts.index
    cost, margin, lots = sum(event.cost_cash), sum(event.margin_cash), sum(event.lots)
    for account, position in zip(event.accounts, event.positions, strict=True):
        row = table.find(index[account], position)
        if row is not None:
            held_lots, held_cost, held_margin = table.amounts_of(row)
            lots, cost, margin = lots - held_lots, cost - held_cost, margin - held_margin
    return _lane_moved(book, event, cost, margin, lots)


def _position_columns_set(book: Book, event: m.PositionColumnsSet) -> Iterator[Posting]:
    table, told = book.contracts[event.contract].tables[event.side], Numbers.told(event)
    accounts = column_of(event.account, "<i4", 0)
    rows = table.index.find_all(accounts, column_of(event.position, "<i4", len(accounts)))
    rows = rows[rows >= 0]
    most = max(table.largest_cost, int(abs(told.cost).max(initial=0)))
    cost = exact_sum(told.cost, most) - exact_sum(table.cost[rows], most)
    margin = exact_sum(told.margin) - exact_sum(table.margin[rows])
    lots = int(told.lots.sum()) - int(table.lots[rows].sum())
    return _lane_moved(book, event, cost, margin, lots)


def _lane_moved(
    book: Book, event: m.PositionsSet | m.PositionColumnsSet, cost: int, margin: int, lots: int
) -> Iterator[Posting]:
    name, asset = event.contract, book.contracts[event.contract].terms.settle
    unit, lots = lots_unit(name), event.side.sign * lots
    yield Posting(Part.POSITIONS, name, asset, -cost)
    if margin:
        yield Posting(Part.MARGINS, name, asset, margin)
    yield Posting(Part.OUTSIDE, asset, asset, cost - margin)
    yield Posting(Part.POSITIONS, name, unit, lots)
    yield Posting(Part.OUTSIDE, unit, unit, -lots)


def _pool_funded(book: Book, event: m.PoolFunded) -> Iterator[Posting]:
    asset = book.pools[event.pool].asset
    moved = [Posting(Part.POOL, event.pool, asset, event.amount_cash)]
    return _against_outside(moved, asset)


def _wallet_settled(_book: Book, event: m.WalletSettled) -> Iterator[Posting]:
    yield Posting(Part.WALLETS, event.asset, event.asset, -event.amount_cash, event.account)
    yield Posting(Part.POOL, event.pool, event.asset, event.amount_cash)


def _taken_over(book: Book, event: m.TakenOver) -> Iterator[Posting]:
    state = book.contracts[event.contract]
    asset, name = state.terms.settle, event.contract
    yield Posting(Part.POSITIONS, name, asset, event.cost_cash, event.account)
    yield Posting(Part.MARGINS, name, asset, -event.margin_cash, event.account)
    yield Posting(Part.WALLETS, asset, asset, event.to_wallet_cash, event.account)
    yield Posting(Part.POOL, state.pool, asset, event.to_pool_cash)
    yield Posting(Part.INVENTORY, name, asset, -event.value_cash)
    unit, lots = lots_unit(name), event.side.sign * event.lots
    yield Posting(Part.POSITIONS, name, unit, -lots, event.account)
    yield Posting(Part.INVENTORY, name, unit, lots)


def _unwound(book: Book, event: m.Unwound) -> Iterator[Posting]:
    state = book.contracts[event.contract]
    asset, unit = state.terms.settle, lots_unit(event.contract)
    moved = [
        Posting(Part.INVENTORY, event.contract, asset, event.cost_cash),
        Posting(Part.POOL, state.pool, asset, event.realized_pnl_cash),
    ]
    yield from _against_outside(moved, asset)
    lots = Posting(Part.INVENTORY, event.contract, unit, -event.side.sign * event.lots)
    yield from _against_outside([lots], unit)


def _filled(book: Book, fill: m.AdlFilled, direction: int = 1) -> Iterator[Posting]:
    amounts = [direction * getattr(fill, name) for name in _AMOUNTS]
    return _closed(book, fill, amounts, fill.account)


def postings_of_fills(book: Book, fills: Fills) -> Iterator[Posting]:
    """Return the postings of fills together: what each would post, added up."""
    return _closed(book, fills.first, [sum(fills.columns[name]) for name in _AMOUNTS])


_AMOUNTS = (
    *("lots", "cost_cash", "realized_pnl_cash", "margin_returned_cash", "fee_cash"),
    *("pool_cost_cash", "pool_realized_pnl_cash"),
)


def _closed(
    book: Book, fill: m.AdlFilled, amounts: Sequence[int], account: str = ""
) -> Iterator[Posting]:
    state = book.contracts[fill.contract]
    asset, name = state.terms.settle, fill.contract
    lots, cost, realized, released, fee, pool_cost, pool_realized_pnl = amounts
    yield Posting(Part.POSITIONS, name, asset, cost, account)
    if released:
        yield Posting(Part.MARGINS, name, asset, -released, account)
    yield Posting(Part.WALLETS, asset, asset, realized + released - fee, account)
    if fee:
        yield Posting(Part.FEES, asset, asset, fee)
    yield Posting(Part.INVENTORY, name, asset, pool_cost)
    yield Posting(Part.POOL, fill.pool, asset, pool_realized_pnl)
    unit, lots = lots_unit(name), fill.side.sign * lots
    yield Posting(Part.POSITIONS, name, unit, -lots, account)
    yield Posting(Part.INVENTORY, name, unit, lots)


def _fill_cancelled(book: Book, event: m.FillCancelled) -> Iterator[Posting]:
    return _filled(book, event.fill, -1)


def _loss_socialized(book: Book, event: m.LossSocialized) -> Iterator[Posting]:
    state = book.contracts[event.contract]
    asset = state.terms.settle
    for account, amount in zip(event.accounts, event.amount_cash, strict=True):
        yield Posting(Part.POSITIONS, event.contract, asset, -amount, account)
    yield Posting(Part.POOL, state.pool, asset, sum(event.amount_cash))


_POSTINGS: dict[type[Event], Callable[[Book, Any], Iterator[Posting]]] = {
    m.BalancesSet: _balances_set,
    m.BalanceColumnsSet: _balance_columns_set,
    m.PositionsSet: _positions_set,
    m.PositionColumnsSet: _position_columns_set,
    m.PoolFunded: _pool_funded,
    m.TakenOver: _taken_over,
    m.WalletSettled: _wallet_settled,
    m.Unwound: _unwound,
    m.AdlFilled: _filled,
    m.FillCancelled: _fill_cancelled,
    m.LossSocialized: _loss_socialized,
}


def _margins(book: Book, of: str, _unit: str) -> int:
    tables = book.contracts[of].tables
    return tables[Side.LONG].total_margin + tables[Side.SHORT].total_margin


def _positions(book: Book, of: str, unit: str) -> int:
    return _held(book.contracts[of], book.contracts[of].tables, unit)


def _inventory(book: Book, of: str, unit: str) -> int:
    return _held(book.contracts[of], book.contracts[of].inventory, unit)


def _held(
    state: ContractState, sides: Mapping[Side, PositionTable] | Mapping[Side, Inventory], unit: str
) -> int:
    """Return what both sides hold: in lots, or at cost, which is owed."""
    long, short = sides.values()
    if unit == state.terms.settle:
        return -long.total_cost - short.total_cost
    return long.total_lots - short.total_lots


TOTALS: dict[Part, Callable[[Book, str, str], int]] = {
    Part.WALLETS: lambda book, of, _unit: book.assets[of].wallets.total,
    Part.MARGINS: _margins,
    Part.POSITIONS: _positions,
    Part.INVENTORY: _inventory,
    Part.POOL: lambda book, of, _unit: book.pools[of].balance,
    Part.FEES: lambda book, of, _unit: book.assets[of].fees,
}
"""What the book itself holds where postings go, by part, of what and in which unit."""
