"""Tables set by commands in columns: the same books and the same errors as row by row."""

from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from delever.core.messages import DefineAccounts, SetBalanceColumns, SetPositionColumns
from delever.lab.errors import InputError
from delever.lab.tables import book_reader
from delever.lab.tables.book_reader import book_of
from delever.lab.tables.book_writer import frames_of
from delever.lab.tables.column_commands import COLUMN_COMMANDS
from delever.lab.tables.table import SCHEMAS, TextTable, table_of

CONTRACTS = {
    "contract": ["BTC", "BTCUSD"],
    "kind": ["linear", "inverse"],
    "settle": ["USDT", "BTC"],
    "multiplier": ["0.001", "1"],
}
MARKS = {"BTC": "60000.5", "BTCUSD": "60000"}
QUANTITIES: list[Any] = [
    "1",
    "2.50",
    "0.001",
    "3000000",
    "0",
    "-2",
    "+2",
    "-0",
    "",
    None,
    "1e3",
    "9" * 20,
]
PRICES: list[Any] = ["61000", "59999.123456789", "1", "0", "-5", None, "", "nan", "0.1", "9" * 18]
LEVERAGES: list[Any] = ["10", "2.5", "0.01", None, "0", "-1", "1.234", "20000"]


def cells(usual: list[Any], unusual: list[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy of cells: usual ones in most rows, so that most tables are valid."""
    return st.one_of(*[st.sampled_from(usual)] * 9, st.sampled_from(unusual))


ROW = st.fixed_dictionaries(
    {
        "account": cells(["ann", "bob", "cid", "dan"], ["", None, "é"]),
        "contract": cells(["BTC", "BTCUSD"], ["ETH", None]),
        "side": cells(["long", "short", "Sell"], ["up", None]),
        "quantity": cells(QUANTITIES[:4], QUANTITIES),
        "entry_price": cells(PRICES[:3], PRICES),
        "entry_cost": cells([None], ["100", "0", "-1", "0.000000001"]),
        "leverage": cells(LEVERAGES[:3], LEVERAGES),
        "isolated_margin": cells([None], ["100.5", "0", "-1", "x"]),
        "position": cells(["0", "1"], ["-1", "01", "2147483648", None]),
        "under_liquidation": cells(["false", "true"], ["1", "yes", None]),
        "open_orders": cells([None], ["order-1 order-2"]),
    }
)
BALANCE = st.fixed_dictionaries(
    {
        "account": cells(["ann", "bob", "cid", "dan"], ["eve", None]),
        "asset": cells(["USDT", "BTC"], ["ETH", None]),
        "balance": cells(["1000", "0", "0.5"], ["-3", "1e3", "0.123456789", None]),
    }
)


def book_or_error(positions: pl.DataFrame, balances: pl.DataFrame | None) -> object:
    """Return all tables of the book of some tables, or the text of the error about them."""
    try:
        book = book_of(positions, MARKS, balances=balances, contracts=CONTRACTS)
    except InputError as error:
        return str(error)
    rows = {name: sorted(map(str, frame.to_dicts())) for name, frame in frames_of(book).items()}
    totals = {
        (name, side): (table.total_lots, table.total_cost, table.total_margin, table.bounds)
        for name, state in book.contracts.items()
        for side, table in state.tables.items()
    }
    return rows, totals


def frame_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(rows[0], pl.String))


PLAIN = {
    "account": "ann", "contract": "BTC", "side": "long", "quantity": "1", "entry_price": "61000",
    "entry_cost": None, "leverage": "10", "isolated_margin": None, "position": "0",
    "under_liquidation": "false", "open_orders": None,
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=4), st.none() | st.lists(BALANCE, min_size=1, max_size=4))
@example([PLAIN | {"side": "short", "quantity": "-1"}], None)
@example([PLAIN | {"quantity": "1000000000000000000", "entry_price": "9" * 18}], None)
@example([PLAIN, PLAIN | {"side": "short"}], [{"account": "ann", "asset": "BTC", "balance": "1"}])
def test_tables_in_columns_give_the_book_or_error_of_their_rows(
    positions: list[dict[str, Any]], balances: list[dict[str, Any]] | None
) -> None:
    tables = frame_of(positions), None if balances is None else frame_of(balances)
    row_by_row = book_or_error(*tables)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(book_reader, "MIN_COLUMN_ROWS", 1)
        assert book_or_error(*tables) == row_by_row


def table(name: str, rows: list[dict[str, Any]]) -> TextTable:
    return table_of(frame_of(rows), SCHEMAS[name], name)


@pytest.mark.parametrize(
    ("name", "row", "command", "unusual"),
    [
        ("accounts", {"account": "ann", "hedge_mode": "true"}, DefineAccounts, {"note": "why"}),
        ("balances", {"account": "ann", "asset": "BTC", "balance": "2.5"}, SetBalanceColumns,
         {"balance": "-2.5"}),
        ("positions", PLAIN, SetPositionColumns, {"open_orders": "order-1"}),
    ],
)  # fmt: skip
def test_a_plain_table_is_one_command_in_columns_and_an_unusual_one_is_none(
    name: str, row: dict[str, Any], command: type, unusual: dict[str, str]
) -> None:
    book = book_of([PLAIN], MARKS, contracts=CONTRACTS)
    commands = COLUMN_COMMANDS[name](book, table(name, [row]))
    assert commands is not None
    assert [type(each) for each in commands] == [command]
    assert COLUMN_COMMANDS[name](book, table(name, [row | unusual])) is None
