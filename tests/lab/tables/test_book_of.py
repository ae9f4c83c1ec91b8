"""Books from data frames: missing tables are inferred exactly, or rejected."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from delever.core.messages import Side
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.queries.position_queries import rank
from delever.lab.runs.market_paths.path import Shock
from delever.lab.runs.stress_test import simulate
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
    book = book_of(POSITIONS, MARKS, contracts="linear", pool="1000", rules="bitmart")
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
    book = book_of(positions, MARKS, contracts="linear")
    state = book.contracts["BTCUSDT"]
    assert state.definition.lot_size in {"0.01", "0.001"}  # as written
    assert [table.margin[0] for table in state.tables.values()] == [
        160_000_250_000,
        1_083_333_333_333,
    ]


def test_floats_are_rejected_unless_rounding_is_requested() -> None:
    floats = with_column("quantity", [1.25, 0.1 + 0.2])
    with pytest.raises(InputError, match=r"positions, quantity: holds floats, which are not exact"):
        book_of(floats, MARKS, contracts="linear")
    book = book_of(floats, MARKS, contracts="linear", floats="round:3")
    assert book.contracts["BTCUSDT"].tables[Side.SHORT].lots[0] == 30
    nan = with_column("quantity", [1.25, float("nan")])
    with pytest.raises(InputError, match=r"row 2, quantity 'nan': invalid decimal"):
        book_of(nan, MARKS, contracts="linear", floats="round:3")
    with pytest.raises(ValueError, match="must be 'round:N'"):
        book_of(floats, MARKS, contracts="linear", floats="nearest")


def test_marks_by_name_are_as_exact_as_a_column() -> None:
    more = {"BTCUSDT": "64000.5", "ETHUSDT": 3150, "SOLUSDT": Decimal("150.5")}
    assert book_of(POSITIONS, more, contracts="linear").contracts["BTCUSDT"].mark == 640_005
    with pytest.raises(InputError, match=r"marks, mark: holds floats, which are not exact"):
        book_of(POSITIONS, {"BTCUSDT": 64000.5}, contracts="linear")
    rounded = book_of(POSITIONS, {"BTCUSDT": 64000.5}, contracts="linear", floats="round:1")
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
        book = book_of(cross, mark, contracts="linear", balances=balances, account_margins=venue)
        orders.append(rank(book, "BTCUSDT", "long")["account"].to_list())
    assert orders == [["ann", "bob"], ["bob", "ann"]]
    written = frames_of(book)["account_margins"].to_dicts()
    assert written == [
        {"account": "ann", "asset": "USDT", "equity": "900000.5", "maintenance": "40"}
    ]
    unknown = {**margins, "account": ["nobody"]}
    with pytest.raises(InputError, match=r"account_margins, row 1, account 'nobody': unknown"):
        book_of(cross, mark, contracts="linear", balances=balances, account_margins=unknown)


def test_a_missing_required_table_or_mark_is_rejected() -> None:
    nothing: Any = None
    with pytest.raises(InputError, match=r"^positions, account: the column is missing$"):
        book_of(nothing, MARKS, contracts="linear")
    with pytest.raises(InputError, match=r"^marks, contract: the column is missing$"):
        book_of(POSITIONS, nothing, contracts="linear")
    with pytest.raises(InputError, match=r"^positions, row 1, contract 'BTCUSDT': has no mark"):
        book_of(POSITIONS, {}, contracts="linear")


def test_positions_need_a_margin_a_leverage_or_balances() -> None:
    bare = {name: cells for name, cells in POSITIONS.items() if name != "leverage"}
    with pytest.raises(InputError, match="positions: the margin of the positions is missing"):
        book_of(bare, MARKS, contracts="linear")
    given = {**bare, "isolated_margin": ["100", None]}
    tables = book_of(given, MARKS, contracts="linear").contracts["BTCUSDT"].tables
    assert tables[Side.LONG].margin[0] == 100 * 10**8
    assert tables[Side.SHORT].margin[0] == 32_500 * 10**8  # leverage 1 where none is given
    balances = {"account": ["ann"], "asset": ["USDT"], "balance": ["7"]}
    cross = book_of(bare, MARKS, contracts="linear", balances=balances)
    assert not cross.contracts["BTCUSDT"].tables[Side.LONG].isolated[0]


def test_an_account_on_both_sides_is_in_hedge_mode() -> None:
    book = book_of(with_column("account", ["ann", "ann"]), MARKS, contracts="linear")
    assert book.accounts.hedge_mode[0]
    assert not book_of(POSITIONS, MARKS, contracts="linear").accounts.hedge_mode.any()


def test_fine_prices_and_quantities_give_the_asset_more_decimals() -> None:
    book = book_of(
        with_column("quantity", ["1.2500001", "0.5"]), {"BTCUSDT": "64000.5001"}, contracts="linear"
    )
    assert book.assets["USDT"].cash_decimals == 11
    with pytest.raises(InputError, match=r"assets \(inferred\), row 1, cash_decimals '14'"):
        book_of(
            with_column("quantity", ["1.2500001", "0.5"]),
            {"BTCUSDT": "64000.5000001"},
            contracts="linear",
        )


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
        book_of(positions, MARKS, contracts="linear")


@pytest.mark.parametrize(
    ("mark", "quantities", "steps"),
    [
        ("3.00", ["10", "5"], ("0.01", "1")),
        ("3", ["10.0", "5.00"], ("1", "0.01")),
        ("58000.00000000", ["0.00100000", "1"], ("0.00001", "0.001")),
        ("58000.0000000000", ["0.00100000", "1.00000001"], ("1", "0.00000001")),
    ],
    ids=["tick", "lot", "zeros of quantities go first", "then those of prices"],
)
def test_ticks_and_lots_are_the_decimals_written(
    mark: str, quantities: list[str], steps: tuple[str, str]
) -> None:
    positions = {**with_column("quantity", quantities), "entry_price": ["3", "3"]}
    book = book_of(positions, {"BTCUSDT": mark}, contracts="linear")
    definition = book.contracts["BTCUSDT"].definition
    assert (definition.tick_size, definition.lot_size) == steps


def test_what_was_inferred_is_in_the_repr() -> None:
    book = book_of(POSITIONS, MARKS, contracts={"BTCUSDT": "linear"})
    inferred = "BTCUSDT: settle USDT, tick_size 0.1, lot_size 0.01 (inferred)"
    assert repr(book) == f"<Book: 1 contract, 2 accounts, 1 pool; {inferred}>"
    assert repr(book.copy()) == repr(book)
    terms = {"settle": "USDT", "tick_size": "0.1", "lot_size": "0.01"}
    described = [{"contract": "BTCUSDT", "kind": "linear", **terms}]
    assert repr(book_of(POSITIONS, MARKS, contracts=described)) == (
        "<Book: 1 contract, 2 accounts, 1 pool>"
    )


@pytest.mark.parametrize(
    ("contracts", "message"),
    [
        (None, 'BTCUSDT\': is not described: add contracts={"BTCUSDT": "linear"}'),
        ({"ETHUSDT": "linear"}, 'is not described: add contracts={"BTCUSDT": "linear"}'),
        ("perpetual", "contracts, BTCUSDT 'perpetual': is no kind of contract: say 'linear' or"),
        ("inverse", "contracts, row 1, settle: an inverse contract settles in its coin: name it"),
    ],
)
def test_a_contract_that_is_not_described_is_rejected(contracts: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        book_of(POSITIONS, MARKS, contracts=contracts)
    assert message in str(caught.value)


def test_sides_may_have_the_names_of_venues() -> None:
    for sides in (["LONG", "SHORT"], ["Buy", "Sell"], ["BUY", "short"]):
        book = book_of(with_column("side", sides), MARKS, contracts="linear")
        assert [table.size for table in book.contracts["BTCUSDT"].tables.values()] == [1, 1]
    with pytest.raises(InputError, match="row 1, side 'BOTH'"):
        book_of(with_column("side", ["BOTH", "SHORT"]), MARKS, contracts="linear")


def test_pools_in_two_assets_have_a_balance_each() -> None:
    positions = with_column("contract", ["BTCUSDT", "BTCUSD"])
    marks = {"BTCUSDT": "64000.5", "BTCUSD": "64000.5"}
    inverse = {"contract": "BTCUSD", "kind": "inverse", "settle": "BTC", "lot_size": "0.01"}
    contracts = [{"contract": "BTCUSDT", "kind": "linear"}, inverse]
    both = book_of(positions, marks, contracts=contracts, pool={"USDT": "1000", "BTC": 2})
    assert {name: pool.balance for name, pool in both.pools.items()} == {
        "USDT": 1000 * 10**8,
        "BTC": 2 * 10**8,
    }
    with pytest.raises(InputError, match=r'pools in BTC and USDT: .* pool=\{"USDT": ..., "BTC"'):
        book_of(positions, marks, contracts=contracts, pool="1000")
    with pytest.raises(UnknownNameError, match="no pool 'USDC'"):
        book_of(positions, marks, contracts=contracts, pool={"USDC": 1})
    with pytest.raises(InputError, match=r'must be exact text: write "1000\.0"'):
        book_of(POSITIONS, MARKS, contracts="linear", pool=1000.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("pool", ["-5", -5, {"USDT": "-5"}])
def test_a_negative_balance_of_a_fund_is_rejected(pool: Any) -> None:
    with pytest.raises(InputError, match=r"pool.* '-5': is negative: .* starts with 0 or more"):
        book_of(POSITIONS, MARKS, contracts="linear", pool=pool)
    book = book_of(POSITIONS, MARKS, contracts="linear")
    with pytest.raises(InputError, match=r"pool.* '-5': is negative"):
        simulate(book, Shock({"BTCUSDT": "-0.1"}), pool=pool)
