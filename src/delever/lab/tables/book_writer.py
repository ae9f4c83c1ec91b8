"""A book -> tables of exact text, in the columns that `book_reader` takes."""

from collections.abc import Iterator

import msgspec
import numpy as np
import polars as pl

from delever.core.book.book import DEFAULT_CASH_DECIMALS, Book
from delever.core.book.contract_state import ContractState
from delever.core.market.collateral import INDEX_PRICE_DECIMALS, unit_collateral
from delever.core.messages import PositionRow, Side, TriggerLimits
from delever.core.units import format_scaled
from delever.formatting import ContractFormatter
from delever.lab.errors import InputError
from delever.lab.tables.table import SCHEMAS, Cells, TableSchema

LEVERAGE_DECIMALS = 2


def frames_of(book: Book) -> dict[str, pl.DataFrame]:
    """Return a book's tables by name, optional ones only if they have rows.

    Raises InputError for a book with state that tables cannot express.
    """
    _check_expressible(book)
    rows = {
        "assets": list(_assets(book)),
        "pools": list(_pools(book)),
        "contracts": list(_contracts(book)),
        "margin_tiers": list(_tiers(book)),
        "collateral": list(_collateral(book)),
        "accounts": list(_accounts(book)),
        "marks": list(_marks(book)),
        "balances": list(_balances(book)),
        "account_margins": list(_account_margins(book)),
        "depth": list(_depth(book)),
        "positions": [*_positions(book), *_lone_orders(book)],
    }
    return {
        name: _frame(schema, rows[name])
        for name, schema in SCHEMAS.items()
        if rows[name] or schema.required
    }


def _frame(schema: TableSchema, rows: list[Cells]) -> pl.DataFrame:
    """Return rows as a frame of the columns that they use, in the order of the schema."""
    used = {name for row in rows for name in row}
    columns = [name for name, needed in schema.columns().items() if needed or name in used]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))


def _check_expressible(book: Book) -> None:
    """Raise InputError for inventory, ADL under way, fills not included, or stale rows."""
    for state in book.contracts.values():
        for side in Side:
            lots = state.inventory[side].total_lots
            if lots:
                quantity = ContractFormatter.of(book, state).quantity(lots)
                inventory = f"{side} {quantity} {state.name}"
                raise InputError(f"tables cannot express the book's inventory ({inventory})")
        if state.active:
            raise InputError(f"tables cannot express that ADL is on in {state.name}")
    for pool in book.pools.values():
        if pool.collateral:
            held = ", ".join(sorted(pool.collateral))
            raise InputError(f"tables cannot express the collateral of pool {pool.name} ({held})")
    if book.has_stale_rows:
        raise InputError("tables cannot express that rows are stale: the newest ones were rejected")
    if book.outstanding.fills:
        count = len(book.outstanding.fills)
        raise InputError(f"tables cannot express {count} ADL fills that the venue has not included")


def _assets(book: Book) -> Iterator[Cells]:
    for asset in book.assets.values():
        if asset.cash_decimals != DEFAULT_CASH_DECIMALS:
            yield {"asset": asset.name, "cash_decimals": str(asset.cash_decimals)}


def _pools(book: Book) -> Iterator[Cells]:
    for pool in book.pools.values():
        definition = pool.definition
        decimals = book.asset(pool.asset).cash_decimals
        yield {
            "pool": definition.pool,
            "kind": str(definition.kind),
            "asset": definition.asset,
            "rules": definition.rules,
            "managed": _flag(definition.managed),
            "max_slippage": str(definition.max_slippage),
            "peak_window_ms": str(definition.peak_window_ms),
            **_limits(definition.limits),
            "balance": format_scaled(pool.balance, decimals),
        }


def _contracts(book: Book) -> Iterator[Cells]:
    for state in book.contracts.values():
        definition = state.definition
        yield {
            "contract": definition.contract,
            "kind": str(definition.kind),
            "settle": definition.settle,
            "pool": state.pool,
            "tick_size": str(definition.tick_size),
            "lot_size": str(definition.lot_size),
            "multiplier": str(definition.multiplier),
            "adl_exempt": _flag(definition.adl_exempt),
            **_limits(definition.limits),
        }


def _limits(limits: TriggerLimits) -> Cells:
    values = msgspec.structs.asdict(limits)
    return {f"limits.{name}": str(limit) for name, limit in values.items() if limit is not None}


def _tiers(book: Book) -> Iterator[Cells]:
    for state in book.contracts.values():
        for tier in state.definition.margin_tiers:
            yield {
                "contract": state.name,
                "notional_from": str(tier.notional_from),
                "maintenance_rate": str(tier.maintenance_rate),
            }


def _collateral(book: Book) -> Iterator[Cells]:
    """Yield every asset's tiers, at its index price now; the margin currency's only if it has."""
    for asset in book.assets.values():
        definition = asset.definition
        if definition is None or definition == unit_collateral(asset.name):
            continue
        for tier in definition.tiers:
            cells = {
                "asset": asset.name,
                "index_price": format_scaled(asset.index_price, INDEX_PRICE_DECIMALS),
                "margin_currency": book.margin_currency,
                "bid_buffer": definition.bid_buffer,
                "ask_buffer": definition.ask_buffer,
                "quantity_from": tier.quantity_from,
                "value_from": tier.value_from,
                "rate": tier.rate,
                "conversion_haircut": definition.conversion_haircut,
                "cap": definition.cap,
            }
            yield {name: str(cell) for name, cell in cells.items() if cell is not None}


def _accounts(book: Book) -> Iterator[Cells]:
    accounts = book.accounts
    pools_margin = accounts.any_multi_asset or bool(book.margin_currency)
    for row, name in enumerate(accounts.names):
        yield {
            "account": name,
            "hedge_mode": _flag(bool(accounts.hedge_mode[row])),
            "adl_exempt": _flag(bool(accounts.adl_exempt[row])),
            **({"multi_asset": _flag(bool(accounts.multi_asset[row]))} if pools_margin else {}),
            **({"owner": accounts.owners[row]} if row in accounts.owners else {}),
        }


def _marks(book: Book) -> Iterator[Cells]:
    for state in book.contracts.values():
        formatter = ContractFormatter.of(book, state)
        if state.mark:
            row = {"contract": state.name, "mark": formatter.price(state.mark)}
            if state.previous_mark != state.mark:
                row["previous_mark"] = formatter.price(state.previous_mark)
            yield row


def _balances(book: Book) -> Iterator[Cells]:
    for asset in book.assets.values():
        wallets = asset.wallets
        for row, balance in enumerate(wallets.balance[: wallets.size].tolist()):
            if balance:
                yield {
                    "account": book.accounts.names[row],
                    "asset": asset.name,
                    "balance": format_scaled(balance, asset.cash_decimals),
                }


def _account_margins(book: Book) -> Iterator[Cells]:
    for asset in book.assets.values():
        margins = asset.wallets.margins
        for row in np.flatnonzero(margins.is_set[: margins.size]).tolist():
            amounts = margins.equity.item(row), margins.maintenance.item(row)
            equity, maintenance = (format_scaled(each, asset.cash_decimals) for each in amounts)
            yield {
                "account": book.accounts.names[row],
                "asset": asset.name,
                "equity": equity,
                "maintenance": maintenance,
            }


def _depth(book: Book) -> Iterator[Cells]:
    for state in book.contracts.values():
        formatter = ContractFormatter.of(book, state)
        for side, levels in (("bid", state.bids), ("ask", state.asks)):
            for ticks, lots in levels:
                yield {
                    "contract": state.name,
                    "side": side,
                    "price": formatter.price(ticks),
                    "quantity": formatter.quantity(lots),
                }


def _positions(book: Book) -> Iterator[Cells]:
    """Yield every position, the account's first one in a contract with its open orders there."""
    with_orders: set[tuple[str, str]] = set()
    for state in book.contracts.values():
        for side in Side:
            for row in _in_order(book, state, side):
                cells = _position(book, state, side, row)
                key = (cells["account"], state.name)
                orders = book.open_orders.get(key, ())
                if orders and key not in with_orders:
                    with_orders.add(key)
                    cells["open_orders"] = " ".join(orders)
                yield cells


def _in_order(book: Book, state: ContractState, side: Side) -> list[int]:
    """Return the rows of a side by account name and position id, whatever their place in memory."""
    table, names = state.tables[side], book.accounts.names
    return sorted(
        range(table.size),
        key=lambda row: (names[int(table.account[row])], int(table.position[row])),
    )


def _position(book: Book, state: ContractState, side: Side, row: int) -> Cells:
    table, formatter = state.tables[side], ContractFormatter.of(book, state)
    cells = {
        "account": book.accounts.names[int(table.account[row])],
        "contract": state.name,
        "side": str(side),
        "quantity": formatter.quantity(int(table.lots[row])),
        "entry_cost": formatter.cash(abs(int(table.cost[row]))),
        "leverage": format_scaled(int(table.leverage[row]), LEVERAGE_DECIMALS),
    }
    if table.isolated[row]:
        cells["isolated_margin"] = formatter.cash(int(table.margin[row]))
    if table.position[row]:
        cells["position"] = str(int(table.position[row]))
    if table.under_liquidation[row]:
        cells["under_liquidation"] = _flag(yes=True)
    return cells


def _lone_orders(book: Book) -> Iterator[Cells]:
    """Yield a closed position for open orders in a contract without positions of the account."""
    for (account, contract), orders in book.open_orders.items():
        index = book.accounts.index[account]
        tables = book.contracts[contract].tables.values()
        if not any(table.positions_of(index) for table in tables):
            row = PositionRow(account=account, contract=contract, side=Side.LONG, quantity="0")
            yield {
                "account": row.account,
                "contract": row.contract,
                "side": str(row.side),
                "quantity": str(row.quantity),
                "open_orders": " ".join(orders),
            }


def _flag(yes: bool) -> str:
    return "true" if yes else "false"
