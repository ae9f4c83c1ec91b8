"""A book as tables: text, exact, in the columns that reading takes."""

from collections.abc import Iterator

import polars as pl

from delever.core.book.book import DEFAULT_CASH_DECIMALS, Book
from delever.core.book.contract_state import ContractState
from delever.core.messages import PositionRow, Side
from delever.core.units import format_scaled
from delever.formatting import Figures
from delever.lab.errors import InputError
from delever.lab.tables.table import SHAPES, Cells, Shape

LEVERAGE_DECIMALS = 2
OPTIONAL = ("assets", "margin_tiers", "depth")


def frames_of(book: Book) -> dict[str, pl.DataFrame]:
    """Return a book's tables by name; optional ones only where they say something.

    Raises InputError where the book holds what tables cannot carry.
    """
    _check_plain(book)
    rows = {
        "assets": list(_assets(book)),
        "pools": list(_pools(book)),
        "contracts": list(_contracts(book)),
        "margin_tiers": list(_tiers(book)),
        "accounts": list(_accounts(book)),
        "marks": list(_marks(book)),
        "balances": list(_balances(book)),
        "depth": list(_depth(book)),
        "positions": [*_positions(book), *_lone_orders(book)],
    }
    return {name: _frame(SHAPES[name], rows[name]) for name in rows if _kept(name, rows[name])}


def _kept(name: str, rows: list[Cells]) -> bool:
    return bool(rows) or SHAPES[name].required


def _frame(shape: Shape, rows: list[Cells]) -> pl.DataFrame:
    """Return rows under the columns they use, in the order of the shape."""
    used = {name for row in rows for name in row}
    columns = [name for name, needed in shape.columns().items() if needed or name in used]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))


def _check_plain(book: Book) -> None:
    """Refuse a book whose tables would not add up to it."""
    for state in book.contracts.values():
        for side in Side:
            lots = state.inventory[side].total_lots
            if lots:
                held = f"{side} {Figures.of(book, state).quantity(lots)} {state.name}"
                raise InputError(f"the book holds inventory ({held}), which no table carries")
        if state.active:
            raise InputError(f"ADL is under way in {state.name}, which no table carries")
    if book.outstanding:
        count = len(book.outstanding)
        raise InputError(f"the venue has yet to include {count} ADL fills, which no table carries")


def _assets(book: Book) -> Iterator[Cells]:
    for asset in book.assets.values():
        if asset.cash_decimals != DEFAULT_CASH_DECIMALS:
            yield {"asset": asset.name, "cash_decimals": str(asset.cash_decimals)}


def _pools(book: Book) -> Iterator[Cells]:
    for pool in book.pools.values():
        told = pool.definition
        decimals = book.asset(pool.asset).cash_decimals
        yield {
            "pool": told.pool,
            "kind": str(told.kind),
            "asset": told.asset,
            "rules": told.rules,
            "managed": _flag(told.managed),
            "max_slippage": str(told.max_slippage),
            "peak_window_ms": str(told.peak_window_ms),
            **_limits(told.limits),
            "balance": format_scaled(pool.balance, decimals),
        }


def _contracts(book: Book) -> Iterator[Cells]:
    for state in book.contracts.values():
        told = state.definition
        yield {
            "contract": told.contract,
            "kind": str(told.kind),
            "settle": told.settle,
            "pool": state.pool,
            "tick_size": str(told.tick_size),
            "lot_size": str(told.lot_size),
            "multiplier": str(told.multiplier),
            "adl_exempt": _flag(told.adl_exempt),
            **_limits(told.limits),
        }


def _limits(limits: object) -> Cells:
    names = ("start", "stop", "trigger_threshold", "wait_ms")
    told = {name: getattr(limits, name) for name in names}
    return {f"limits.{name}": str(limit) for name, limit in told.items() if limit is not None}


def _tiers(book: Book) -> Iterator[Cells]:
    for state in book.contracts.values():
        for tier in state.definition.margin_tiers:
            yield {
                "contract": state.name,
                "notional_from": str(tier.notional_from),
                "maintenance_rate": str(tier.maintenance_rate),
            }


def _accounts(book: Book) -> Iterator[Cells]:
    accounts = book.accounts
    for row, name in enumerate(accounts.names):
        yield {
            "account": name,
            "hedge_mode": _flag(bool(accounts.hedge_mode[row])),
            "adl_exempt": _flag(bool(accounts.adl_exempt[row])),
        }


def _marks(book: Book) -> Iterator[Cells]:
    for state in book.contracts.values():
        figures = Figures.of(book, state)
        if state.mark:
            row = {"contract": state.name, "mark": figures.price(state.mark)}
            if state.previous_mark != state.mark:
                row["previous_mark"] = figures.price(state.previous_mark)
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


def _depth(book: Book) -> Iterator[Cells]:
    for state in book.contracts.values():
        figures = Figures.of(book, state)
        for side, levels in (("bid", state.bids), ("ask", state.asks)):
            for ticks, lots in levels:
                yield {
                    "contract": state.name,
                    "side": side,
                    "price": figures.price(ticks),
                    "quantity": figures.quantity(lots),
                }


def _positions(book: Book) -> Iterator[Cells]:
    """Yield every position, with the account's open orders in the contract on its first one."""
    told: set[tuple[str, str]] = set()
    for state in book.contracts.values():
        for side in Side:
            for row in _in_order(book, state, side):
                cells = _position(book, state, side, row)
                key = (cells["account"], state.name)
                orders = book.open_orders.get(key, ())
                if orders and key not in told:
                    told.add(key)
                    cells["open_orders"] = " ".join(orders)
                yield cells


def _in_order(book: Book, state: ContractState, side: Side) -> list[int]:
    """Return the rows of a table by account and position number: rows move, names do not."""
    table, names = state.tables[side], book.accounts.names
    return sorted(
        range(table.size),
        key=lambda row: (names[int(table.account[row])], int(table.position[row])),
    )


def _position(book: Book, state: ContractState, side: Side, row: int) -> Cells:
    table, figures = state.tables[side], Figures.of(book, state)
    cells = {
        "account": book.accounts.names[int(table.account[row])],
        "contract": state.name,
        "side": str(side),
        "quantity": figures.quantity(int(table.lots[row])),
        "entry_cost": figures.cash(abs(int(table.cost[row]))),
        "leverage": format_scaled(int(table.leverage[row]), LEVERAGE_DECIMALS),
    }
    if table.isolated[row]:
        cells["isolated_margin"] = figures.cash(int(table.margin[row]))
    if table.position[row]:
        cells["position"] = str(int(table.position[row]))
    if table.under_liquidation[row]:
        cells["under_liquidation"] = _flag(yes=True)
    return cells


def _lone_orders(book: Book) -> Iterator[Cells]:
    """Yield a closed position for orders in a contract in which the account holds none."""
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
