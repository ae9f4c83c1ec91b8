"""Books from data frames: missing tables are inferred exactly, or rejected."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from delever.core.messages import Side
from delever.lab.errors import InputError
from delever.lab.queries.position_queries import rank
from delever.lab.tables.book_reader import book_of
from delever.lab.tables.book_writer import frames_of

POSITIONS: dict[str, list[Any]] = {
    "account": ["ann", "bob"],
    "contract": ["BTCUSDT", "BTCUSDT"],
    "side": ["long", "short"],
    "quantity": ["1.25", "0.5"],
    "entry_price": ["64000.1", "65000"],
    "leverage": ["50", "3"],
}
MARKS = {"BTCUSDT": "64000.5"}


def with_column(name: str, values: list[Any]) -> dict[str, list[Any]]:
    return {**POSITIONS, name: values}


def test_contracts_pools_accounts_and_margins_are_inferred_from_positions() -> None:
    book = book_of(POSITIONS, MARKS, pool="1000", rules="bitmart")
    state = book.contracts["BTCUSDT"]
    assert (state.definition.tick_size, state.definition.lot_size) == ("0.1", "0.01")
    assert (state.pool, book.pools["USDT"].definition.rules) == ("USDT", "bitmart")
    assert book.pools["USDT"].balance == 1000 * 10**8
    long, short = state.tables[Side.LONG], state.tables[Side.SHORT]
    assert long.margin[0] == 160_000_250_000  # 1.25 x 64000.1 / 50
    assert short.margin[0] == 1_083_333_333_333  # 0.5 x 65000 / 3, rounded down
    assert [bool(table.isolated[0]) for table in (long, short)] == [True, True]


@pytest.mark.parametrize(
    "positions",
    [
        pl.DataFrame(POSITIONS),
        [dict(zip(POSITIONS, row, strict=True)) for row in zip(*POSITIONS.values(), strict=True)],
        with_column("quantity", [Decimal("1.250"), Decimal("0.5")]),
        with_column("leverage", [50, 3]),
        pl.DataFrame(POSITIONS).with_columns(pl.col("side", "contract").cast(pl.Categorical)),
    ],
    ids=["polars", "rows", "decimals", "whole numbers", "categories"],
)
def test_every_type_of_a_table_gives_the_same_book(positions: object) -> None:
    book = book_of(positions, MARKS)
    state = book.contracts["BTCUSDT"]
    assert state.definition.lot_size == "0.01"
    assert [table.margin[0] for table in state.tables.values()] == [
        160_000_250_000,
        1_083_333_333_333,
    ]


def test_floats_are_rejected_unless_rounding_is_requested() -> None:
    floats = with_column("quantity", [1.25, 0.1 + 0.2])
    with pytest.raises(InputError, match=r"positions, quantity: holds floats, which are not exact"):
        book_of(floats, MARKS)
    book = book_of(floats, MARKS, floats="round:3")
    assert book.contracts["BTCUSDT"].tables[Side.SHORT].lots[0] == 30
    nan = with_column("quantity", [1.25, float("nan")])
    with pytest.raises(InputError, match=r"row 2, quantity 'nan': invalid decimal"):
        book_of(nan, MARKS, floats="round:3")
    with pytest.raises(ValueError, match="must be 'round:N'"):
        book_of(floats, MARKS, floats="nearest")


def test_marks_by_name_are_as_exact_as_a_column() -> None:
    more = {"BTCUSDT": "64000.5", "ETHUSDT": 3150, "SOLUSDT": Decimal("150.5")}
    assert book_of(POSITIONS, more).contracts["BTCUSDT"].mark == 640_005
    with pytest.raises(InputError, match=r"marks, mark: holds floats, which are not exact"):
        book_of(POSITIONS, {"BTCUSDT": 64000.5})
    rounded = book_of(POSITIONS, {"BTCUSDT": 64000.5}, floats="round:1")
    assert rounded.contracts["BTCUSDT"].mark == 640_005


def test_an_arrow_column_of_marks_finer_than_the_tick_is_taken_and_written_exactly() -> None:
    """CORE-35"""
    kind = {"kind": ["linear"], "settle": ["USDT"], "pool": ["USDT"]}
    contracts = {"contract": ["BTCUSDT"], "tick_size": ["0.1"], "lot_size": ["0.01"], **kind}
    mark = pa.array([Decimal("64000.12345678")], pa.decimal128(18, 8))
    marks = pa.table({"contract": ["BTCUSDT"], "mark": mark})
    book = book_of(POSITIONS, marks, contracts=contracts)
    assert book.contracts["BTCUSDT"].mark == Fraction("640001.2345678")
    written = frames_of(book)["marks"].to_dicts()
    assert written[0]["mark"] == "64000.12345678"


def test_margins_of_the_venue_are_read_ranked_and_written() -> None:
    """CORE-39: ann has the larger leverage, but not by the venue's own equity."""
    longs = {**POSITIONS, "side": ["long", "long"], "isolated_margin": [None, None]}
    balances = {"account": ["ann", "bob"], "asset": ["USDT"] * 2, "balance": [9_000, 40_000]}
    cross = {name: column for name, column in longs.items() if name != "isolated_margin"}
    margins = {"account": ["ann"], "asset": ["USDT"], "equity": ["900000.5"], "maintenance": [40]}
    mark = {"BTCUSDT": "70000.5"}
    orders = []
    for venue in (None, margins):
        book = book_of(cross, mark, balances=balances, account_margins=venue)
        orders.append(rank(book, "BTCUSDT", "long")["account"].to_list())
    assert orders == [["ann", "bob"], ["bob", "ann"]]
    written = frames_of(book)["account_margins"].to_dicts()
    assert written == [
        {"account": "ann", "asset": "USDT", "equity": "900000.5", "maintenance": "40"}
    ]
    unknown = {**margins, "account": ["nobody"]}
    with pytest.raises(InputError, match=r"account_margins, row 1, account 'nobody': unknown"):
        book_of(cross, mark, balances=balances, account_margins=unknown)


def test_a_missing_required_table_or_mark_is_rejected() -> None:
    nothing: Any = None
    with pytest.raises(InputError, match=r"^positions, account: the column is missing$"):
        book_of(nothing, MARKS)
    with pytest.raises(InputError, match=r"^marks, contract: the column is missing$"):
        book_of(POSITIONS, nothing)
    with pytest.raises(InputError, match=r"^positions, row 1, contract 'BTCUSDT': has no mark"):
        book_of(POSITIONS, {})


def test_positions_need_a_margin_a_leverage_or_balances() -> None:
    bare = {name: cells for name, cells in POSITIONS.items() if name != "leverage"}
    with pytest.raises(InputError, match="positions: the margin of the positions is missing"):
        book_of(bare, MARKS)
    given = {**bare, "isolated_margin": ["100", None]}
    tables = book_of(given, MARKS).contracts["BTCUSDT"].tables
    assert tables[Side.LONG].margin[0] == 100 * 10**8
    assert tables[Side.SHORT].margin[0] == 32_500 * 10**8  # leverage 1 where none is given
    balances = {"account": ["ann"], "asset": ["USDT"], "balance": ["7"]}
    cross = book_of(bare, MARKS, balances=balances)
    assert not cross.contracts["BTCUSDT"].tables[Side.LONG].isolated[0]


def test_an_account_on_both_sides_is_in_hedge_mode() -> None:
    book = book_of(with_column("account", ["ann", "ann"]), MARKS)
    assert book.accounts.hedge_mode[0]
    assert not book_of(POSITIONS, MARKS).accounts.hedge_mode.any()


def test_fine_prices_and_quantities_give_the_asset_more_decimals() -> None:
    book = book_of(with_column("quantity", ["1.2500001", "0.5"]), {"BTCUSDT": "64000.5001"})
    assert book.assets["USDT"].cash_decimals == 11
    with pytest.raises(InputError, match=r"assets \(inferred\), row 1, cash_decimals '14'"):
        book_of(with_column("quantity", ["1.2500001", "0.5"]), {"BTCUSDT": "64000.5000001"})


def test_the_margin_of_an_inverse_contract_is_in_coins() -> None:
    contracts = {
        "contract": ["BTCUSDT"],
        "kind": ["inverse"],
        "settle": ["BTC"],
        "tick_size": ["0.1"],
        "lot_size": ["1"],
        "multiplier": ["100"],
    }
    book = book_of(with_column("quantity", ["640", "1"]), MARKS, contracts=contracts, pool="2")
    table = book.contracts["BTCUSDT"].tables[Side.LONG]
    assert table.margin[0] == 1_999_996  # 640 x 100 / 64000.1 / 50 BTC, rounded down
    assert book.pools["BTC"].balance == 2 * 10**8


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ([{"account": "a"}, 3], "positions: is not a table"),
        (with_column("quantity", [1, "x"]), "positions: is not a table"),
        (with_column("quantity", [["1"], ["2"]]), "positions, quantity: holds List"),
        (with_column("colour", ["red", "blue"]), "positions, 'colour': unknown column"),
        ({"account": ["a"]}, "positions, contract: the column is missing"),
        (with_column("quantity", ["-1", "1"]), "row 1, side 'long': side sign mismatch"),
    ],
)
def test_an_invalid_table_of_positions_is_rejected(positions: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        book_of(positions, MARKS)
