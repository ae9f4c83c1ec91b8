"""Accounts, balances and positions of a book -> commands in columns, a column at a time.

A table with a cell that is missing, unusual or wrong has no such command (None): its rows become
commands one by one, so that the engine names the cell that it rejects.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from delever.core import messages as m
from delever.core.book import Book
from delever.core.intake.column_packing import position_columns
from delever.core.market.contract_terms import ContractTerms
from delever.core.market.validation import pack_column
from delever.core.messages import Command, Side
from delever.core.units import MAX_COLUMN_DIGITS, Ints, parse_decimals
from delever.lab.tables.table import TextTable

Exact = np.ndarray[Any, np.dtype[np.object_]]
"""A column of Python integers, which have no bound."""

POWERS_OF_TEN: Exact = np.array([10**n for n in range(MAX_COLUMN_DIGITS + 1)], object)
FLAGS = {"false": 0, "true": 1}
SIDES = {str(side): number for number, side in enumerate(Side)}


@dataclass(frozen=True, slots=True)
class DecimalColumn:
    """Exact decimals: mantissa / unit, a power of ten."""

    mantissa: Exact
    unit: Exact


def read_decimals(texts: Sequence[str]) -> DecimalColumn | None:
    """Return plain, unsigned decimals as a column; None where one of them is something else.

    >>> column = read_decimals(["10.50", "7"])
    >>> column.mantissa.tolist(), column.unit.tolist()
    ([1050, 7], [100, 1])
    >>> read_decimals(["10.50", "-7"])
    """
    parsed = parse_decimals(texts)
    if parsed is None:
        return None
    mantissas, decimals = parsed
    return DecimalColumn(mantissas.astype(object), POWERS_OF_TEN[decimals])


def cells_of(table: TextTable, name: str, default: str = "") -> list[str]:
    """Return a column's cells, those that are empty as the default."""
    return [row.get(name, default) for row in table.rows]


# --- accounts and balances ---


def account_columns(_book: Book, table: TextTable) -> list[Command] | None:
    """Return the command that defines the accounts of a table, if its columns allow that."""
    if table.column("note"):
        return None
    hedge_mode, adl_exempt, multi_asset = (
        _codes(cells_of(table, name, "false"), FLAGS)
        for name in ("hedge_mode", "adl_exempt", "multi_asset")
    )
    if hedge_mode is None or adl_exempt is None or multi_asset is None:
        return None
    command = m.DefineAccounts(
        time_ms=0,
        accounts=tuple(cells_of(table, "account")),
        hedge_mode=bytes(hedge_mode),
        adl_exempt=bytes(adl_exempt),
        multi_asset=bytes(multi_asset),
        owners=tuple(cells_of(table, "owner")) if table.column("owner") else (),
    )
    return [command]


def balance_columns(book: Book, table: TextTable) -> list[Command] | None:
    """Return the commands that set the balances of a table, one an asset, if columns allow that."""
    balances = read_decimals(cells_of(table, "balance"))
    accounts, assets = cells_of(table, "account"), np.array(cells_of(table, "asset"), object)
    if balances is None:
        return None
    commands: list[Command] = []
    for name in dict.fromkeys(assets.tolist()):
        if name not in book.assets:
            return None
        rows = np.flatnonzero(assets == name)
        per_unit = 10 ** book.assets[name].cash_decimals
        cash = _whole(balances.mantissa[rows] * per_unit, balances.unit[rows])
        if cash is None:
            return None
        commands.append(
            m.SetBalanceColumns(
                time_ms=0,
                version=0,
                asset=name,
                accounts=tuple(accounts[row] for row in rows.tolist()),
                balance_cash=pack_column(cash, "<i8"),
                strict=True,
            )
        )
    return commands


# --- positions ---


def position_commands(book: Book, table: TextTable) -> list[Command] | None:
    """Return the command that sets the positions of a table, if its columns allow that."""
    columns = _position_codes(book, table)
    states = list(book.contracts.values())
    if columns is None or table.column("open_orders"):
        return None
    contract = np.array(columns["contract"])
    lots = _lots(table, [state.terms for state in states], contract)
    if lots is None:
        return None
    decimals = np.array([book.asset_of(state).cash_decimals for state in states])[contract]
    per_unit = POWERS_OF_TEN[decimals]
    cost = _costs(table, [state.terms for state in states], contract, lots, per_unit)
    leverage = _scaled(cells_of(table, "leverage", "1"), 100)
    margin = _scaled(cells_of(table, "isolated_margin", "0"), per_unit)
    if cost is None or leverage is None or margin is None:
        return None
    columns["isolated"] = ["isolated_margin" in row for row in table.rows]
    columns |= {"leverage_hundredths": leverage, "margin_cash": margin}
    columns |= {"lots": lots, "cost_cash": cost}
    try:
        return [
            position_columns(
                time_ms=0, version=0, contracts=list(book.contracts), columns=columns, strict=True
            )
        ]
    except ValueError:  # a number that its column has no room for
        return None


def _position_codes(book: Book, table: TextTable) -> dict[str, Any] | None:
    """Return the columns that are codes or whole numbers, or None where one is unusual."""
    contracts = {name: number for number, name in enumerate(book.contracts)}
    account = book.accounts.names.find_all(cells_of(table, "account"))
    positions = cells_of(table, "position", "0")
    columns = {
        "contract": _codes(cells_of(table, "contract"), contracts),
        "side": _codes(cells_of(table, "side"), SIDES),
        "under_liquidation": _codes(cells_of(table, "under_liquidation", "false"), FLAGS),
        "position": list(map(int, positions)) if all(map(_is_count, positions)) else None,
    }
    if min(account, default=0) < 0 or any(column is None for column in columns.values()):
        return None
    return {"account": account, **columns}


def _lots(table: TextTable, terms: Sequence[ContractTerms], contract: Ints) -> Ints | None:
    """Return quantities in lots; a short's may have a minus sign."""
    quantities = [
        text[1:] if side == Side.SHORT and text[:1] == "-" else text
        for text, side in zip(cells_of(table, "quantity"), cells_of(table, "side"), strict=True)
    ]
    quantity = read_decimals(quantities)
    if quantity is None:
        return None
    per_lot = _exact([10 ** each.lot[1] for each in terms])[contract]
    lot = _exact([each.lot[0] for each in terms])[contract]
    return _whole(quantity.mantissa * per_lot, quantity.unit * lot)


def _costs(
    table: TextTable, terms: Sequence[ContractTerms], contract: Ints, lots: Ints, per_unit: Exact
) -> Ints | None:
    """Return costs without sign in Cash: exact ones, or those of entry prices to the nearest."""
    prices, costs = table.column("entry_price"), table.column("entry_cost")
    if costs:
        return None if prices or len(costs) < len(table.rows) else _scaled(costs, per_unit)
    price = read_decimals(cells_of(table, "entry_price"))
    if price is None or not price.mantissa.all():
        return None
    top = price.mantissa * _exact([10 ** each.tick[1] for each in terms])[contract]
    bottom = price.unit * _exact([each.tick[0] for each in terms])[contract]
    is_linear = np.array([each.linear for each in terms], bool)[contract]
    top, bottom = np.where(is_linear, top, bottom), np.where(is_linear, bottom, top)
    value = lots * _exact([each.factor for each in terms])[contract] * top
    return _within_int64((2 * value + bottom) // (2 * bottom))


# --- columns ---


def _codes(texts: Iterable[str], codes: Mapping[str, int]) -> list[int] | None:
    """Return the code of each text, or None where one has none."""
    try:
        return [codes[text] for text in texts]
    except KeyError:
        return None


def _is_count(text: str) -> bool:
    """Return whether a text is a whole number without sign and leading zeros."""
    return text == "0" or (text.isascii() and text.isdecimal() and text[0] != "0")


def _exact(numbers: Iterable[int]) -> Exact:
    column: Exact = np.array(list(numbers), object)
    return column


def _scaled(texts: Sequence[str], per_unit: Exact | int) -> Ints | None:
    """Return decimals in units, `per_unit` a whole, or None where one is not whole."""
    column = read_decimals(texts)
    return None if column is None else _whole(column.mantissa * per_unit, column.unit)


def _whole(numerator: Exact, denominator: Exact) -> Ints | None:
    """Return quotients, or None where one is not whole or does not fit int64."""
    quotient: Exact = numerator // denominator
    is_exact = bool((quotient * denominator == numerator).all())
    return _within_int64(quotient) if is_exact else None


def _within_int64(column: Exact) -> Ints | None:
    """Return a column as int64, or None where a number does not fit."""
    try:
        return column.astype(np.int64)
    except OverflowError:
        return None


COLUMN_COMMANDS: dict[str, Callable[[Book, TextTable], list[Command] | None]] = {
    "accounts": account_columns,
    "balances": balance_columns,
    "positions": position_commands,
}
"""The tables that become commands in columns where their cells allow that."""
