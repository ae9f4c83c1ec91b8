"""Books from tables: what is wrong is named to the cell, what is right comes back to the digit."""

import re
import shutil
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.core.accounting.invariants import audit
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Reason, SetMarks, SetTime, Side, Takeover
from delever.lab.errors import InputError
from delever.lab.tables.book_reader import book_of, build, read_book, write_book
from delever.lab.tables.book_writer import frames_of
from delever.lab.tables.table import SCHEMAS, table_of

EXAMPLE = Path(__file__).parents[3] / "examples" / "book"

# file, text, its replacement, message
INVALID = [
    ("positions", "bob,BTCUSDT,short,4,", "bob,BTCUSDT,short,4.0005,",
     "row 3 (line 4), quantity '4.0005': invalid lot multiple"),
    ("positions", "bob,BTCUSDT,short,4,", "bob,BTCUSDT,short,NaN,",
     "row 3 (line 4), quantity 'NaN': invalid decimal"),
    ("positions", "bob,BTCUSDT,short,4,", "bob,BTCUSDT,short,1e3,",
     "row 3 (line 4), quantity '1e3': invalid decimal"),
    ("positions", "bob,BTCUSDT,short,4,", "bob,BTCUSDT,short,,",
     "row 3 (line 4), quantity: is empty"),
    ("positions", "bob,BTCUSDT,short,4,", "bob,BTCUSDT,long,-4,",
     "row 3 (line 4), side 'long': side sign mismatch"),
    ("positions", "bob,BTCUSDT,short,4,", "bob,BTCUSDT,shrt,4,",
     "row 3 (line 4), side 'shrt': must be one of long, short"),
    ("positions", "bob,BTCUSDT,short,4,", "bob,BTCUSDC,short,4,",
     "row 3 (line 4), contract 'BTCUSDC': unknown contract"),
    ("positions", "bob,BTCUSDT,short,4,", "bub,BTCUSDT,short,4,",
     "row 3 (line 4), account 'bub': unknown account"),
    ("positions", "bob,BTCUSDT,short,4,", "bob,BTCUSDT,short,4000000000000000000,",
     "row 3 (line 4), quantity '4000000000000000000': exceeds numeric range"),
    ("positions", "68120.25,25,", "-68120.25,25,",
     "row 3 (line 4), entry_price '-68120.25': not positive"),
    ("positions", "68120.25,25,", ",25,",
     "row 3 (line 4), entry_price 'neither': missing entry price"),
    ("positions", "68120.25,25,", "68120.25,0,",
     "row 3 (line 4), leverage '0': out of range"),
    ("positions", "bob,BTCUSDT,short,4,", "ann,BTCUSDT,long,4,",
     "row 3 (line 4), account 'ann': duplicate row: row 1 is about the same"),
    ("positions", ",bob-17 bob-18", ",bob-17,bob-18",
     "row 3 (line 4): has 9 cells under 8 columns"),
    ("positions", "leverage", "leverge", "'leverge': unknown column; did you mean 'leverage'?"),
    ("positions", "side,quantity", "side,side", "side: the column is there twice"),
    ("marks", "contract,mark,", "contract,price,", "'price': unknown column; there is "),
    ("marks", "64000.5", "64000.00000000001",
     "row 1 (line 2), mark '64000.00000000001': too many decimals"),
    ("marks", "64210", "6421O",
     "row 1 (line 2), previous_mark '6421O': invalid decimal"),
    ("marks", "ETHUSDT", "ETHUSDC", "row 2 (line 3), contract 'ETHUSDC': unknown contract"),
    ("depth", "BTCUSDT,bid,63950", "BTCUSDT,bid,64950",
     "row 2 (line 3), price '64950': invalid depth order"),
    ("depth", "BTCUSDT,ask,64001,0.25", "BTCUSDT,ask,64001,0",
     "row 4 (line 5), quantity '0': not positive"),
    ("depth", "BTCUSDT,bid,64000", "BTCUSDT,buy,64000",
     "row 1 (line 2), side 'buy': must be one of ask, bid"),
    ("depth", "BTCUSD,bid,63987.5", "BTCEUR,bid,63987.5",
     "row 11 (line 12), contract 'BTCEUR': unknown contract"),
    ("pools", "isolated", "isoltd", "row 2 (line 3), kind 'isoltd': must be one of shared, "),
    ("pools", "bybit", "bybyt", "row 1 (line 2), rules 'bybyt': unknown rule set"),
    ("pools", "40000", "4e4", "row 1 (line 2), balance '4e4': invalid decimal"),
    ("contracts", "USDT,main,0.5", "USDT,mian,0.5",
     "row 1 (line 2), pool 'mian': unknown pool"),
    ("contracts", "main,0.5,0.001", "main,0.5,0.0000000001",
     "row 1 (line 2), tick_size '0.5': fractional lot value"),
    ("margin_tiers", "1000000,0.01", "1000000,0.001",
     "row 2 (line 3), notional_from '1000000': invalid margin tiers"),
    ("margin_tiers", "BTCUSD,0", "BTCEUR,0",
     "row 5 (line 6), contract 'BTCEUR': unknown contract"),
    ("accounts", "dan,true", "dan,false", "row 6 (line 7), side 'short': hedge mode required"),
    ("accounts", "dan,true", "dan,maybe",
     "row 4 (line 5), hedge_mode 'maybe': must be true or false"),
    ("accounts", "dan,true", "cyd,true",
     "row 4 (line 5), account 'cyd': duplicate row: row 3 is about the same"),
    ("balances", "4100", "4100.123456789",
     "row 2 (line 3), balance '4100.123456789': too many decimals"),
    ("balances", "hal,BTC", "hal,ETH", "row 7 (line 8), asset 'ETH': unknown asset"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "book"))


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"), INVALID, ids=[row[3] for row in INVALID]
)
def test_an_invalid_cell_is_rejected_with_its_place(
    folder: Path, name: str, old: str, new: str, message: str
) -> None:
    replace(folder / f"{name}.csv", old, new)
    # An account's mode is invalid only because of its positions, which are named.
    named = "positions" if "hedge mode" in message else name
    with pytest.raises(
        InputError, match=f"^{re.escape(f'{folder}/{named}.csv, {message}')}"
    ) as caught:
        read_book(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "coding", "message"),
    [
        (",", ";", "utf-8", "is separated by semicolons; a table is separated by commas"),
        (",", "\t", "utf-8", "is separated by tabs; a table is separated by commas"),
        (",", "\t", "utf-16", "is not UTF-8 text"),
    ],
)
def test_a_table_without_commas_or_utf_8_is_rejected(
    folder: Path, old: str, new: str, coding: str, message: str
) -> None:
    file = folder / "positions.csv"
    file.write_bytes(file.read_text().replace(old, new).encode(coding))
    with pytest.raises(InputError, match=f"^{re.escape(f'{file}: {message}')}$"):
        read_book(folder)


def test_a_position_without_a_mark_is_rejected(folder: Path) -> None:
    """Its unrealized PnL would be 0; a contract without positions needs no mark."""
    replace(folder / "marks.csv", "ETHUSDT,3150.25,3166.4\n", "")
    message = f"{folder}/positions.csv, row 2 (line 3), contract 'ETHUSDT': has no mark"
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        read_book(folder)
    table = folder / "positions.csv"
    lines = [line for line in table.read_text().splitlines() if ",ETHUSDT," not in line]
    table.write_text("\n".join(lines))
    assert read_book(folder).contracts["ETHUSDT"].mark == 0


def test_the_error_of_a_rejection_has_its_reason(folder: Path) -> None:
    replace(folder / "marks.csv", "64000.5", "64000.00000000001")
    with pytest.raises(InputError) as caught:
        read_book(folder)
    error = caught.value
    assert error.reason is Reason.TOO_MANY_DECIMALS
    assert (error.row, error.line, error.column, error.value) == (1, 2, "mark", "64000.00000000001")
    assert error.file.endswith("marks.csv")


def test_missing_empty_and_misspelled_files_are_rejected(folder: Path) -> None:
    (folder / "depth.csv").rename(folder / "depht.csv")
    with pytest.raises(InputError, match=r"depht\.csv: is no table of a book; did you mean 'depth"):
        read_book(folder)
    (folder / "depht.csv").write_text("")
    (folder / "depht.csv").rename(folder / "depth.csv")
    with pytest.raises(InputError, match=r"depth\.csv: is empty"):
        read_book(folder)
    (folder / "positions.csv").unlink()
    with pytest.raises(InputError, match=r"positions\.csv: is missing"):
        read_book(folder)
    with pytest.raises(InputError, match="nowhere: not found"):
        read_book(folder / "nowhere")
    with pytest.raises(InputError, match="is no directory"):
        read_book(folder / "marks.csv")


def test_a_repeated_table_and_invalid_utf_8_are_rejected(folder: Path) -> None:
    pl.DataFrame({"contract": ["BTCUSDT"]}).write_parquet(folder / "depth.parquet")
    with pytest.raises(InputError, match=r"depth\.csv: exists as depth\.parquet too"):
        read_book(folder)
    (folder / "depth.csv").write_bytes(b"contract,side,price,quantity\n\xff,bid,1,1\n")
    (folder / "depth.parquet").unlink()
    with pytest.raises(InputError, match=r"depth\.csv: cannot be read: invalid utf-8"):
        read_book(folder)
    (folder / "depth.csv").unlink()
    (folder / "depth.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"depth\.parquet: cannot be read"):
        read_book(folder)


def test_blank_lines_are_no_rows_but_count_as_lines(folder: Path) -> None:
    before = read_book(folder)
    replace(folder / "marks.csv", "ETHUSDT", "\nETHUSDT")
    (folder / "accounts.csv").write_text((folder / "accounts.csv").read_text() + "\n\n")
    assert tables(read_book(folder)) == tables(before)
    replace(folder / "marks.csv", "3150.25", "0")
    with pytest.raises(InputError, match=r"row 3 \(line 4\), mark '0': not positive"):
        read_book(folder)


def test_a_header_alone_is_an_empty_table(folder: Path) -> None:
    for name in ("positions", "balances", "depth", "accounts"):
        header = (folder / f"{name}.csv").read_text().partition("\n")[0]
        (folder / f"{name}.csv").write_text(header + "\n")
    book = read_book(folder)
    assert book.accounts.size == 0
    assert book.contracts["BTCUSDT"].mark == 128_001
    assert book.contracts["BTCUSDT"].previous_mark == 128_420


def test_the_example_book_has_the_values_of_its_files() -> None:
    book = read_book(EXAMPLE)
    assert list(book.contracts) == ["BTCUSDT", "ETHUSDT", "BTCUSD"]
    assert book.accounts.size == 12
    for state in book.contracts.values():
        assert state.tables[Side.LONG].total_lots == state.tables[Side.SHORT].total_lots > 0
    assert book.pools["main"].balance == 40_000 * 10**8
    assert book.open_orders["bob", "BTCUSDT"] == ("bob-17", "bob-18")
    assert book.accounts.hedge_mode[book.accounts.index["dan"]]
    tiers = book.contracts["BTCUSDT"].terms.tier_rate_ppm.tolist()
    assert tiers == [5_000, 10_000]
    audit(book)


def tables(book: Book) -> dict[str, list[dict[str, str]]]:
    return {name: frame.to_dicts() for name, frame in frames_of(book).items()}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_written_book_is_read_unchanged(tmp_path: Path, suffix: str) -> None:
    book = read_book(EXAMPLE)
    write_book(book, tmp_path / "copy", suffix=suffix)
    copy = read_book(tmp_path / "copy")
    assert tables(copy) == tables(book)
    for name, state in book.contracts.items():
        for side, table in state.tables.items():
            assert copy.contracts[name].tables[side].total_cost == table.total_cost
    write_book(copy, tmp_path / "copy", suffix=".csv")
    assert {file.suffix for file in (tmp_path / "copy").iterdir()} == {".csv"}


def test_unusual_books_are_written_and_read_unchanged(tmp_path: Path) -> None:
    """Negative balances, finer units, limits, orders without a position, several position ids."""
    book = book_of(
        positions={
            "account": ["a", "a", "b"],
            "contract": ["XUSD"] * 3,
            "side": ["short", "short", "long"],
            "quantity": ["0.5", "2", "0"],
            "entry_cost": ["0.12345678901", "7", None],
            "position": [3, 0, 0],
            "under_liquidation": [True, None, None],
            "open_orders": [None, None, "b-1 b-2"],
        },
        marks={"XUSD": "3"},
        accounts={"account": ["a", "b"], "owner": ["desk", None]},
        balances=[{"account": "a", "asset": "EUR", "balance": "-0.00000000001"}],
        contracts={
            "contract": ["XUSD"],
            "kind": ["linear"],
            "settle": ["EUR"],
            "pool": ["p"],
            "tick_size": ["0.5"],
            "lot_size": ["0.5"],
            "limits.start": ["0.4"],
            "adl_exempt": ["true"],
        },
        pools={
            "pool": ["p"],
            "kind": ["portfolio"],
            "asset": ["EUR"],
            "rules": ["bitmart"],
            "balance": ["-12.5"],
            "limits.wait_ms": ["5"],
            "limits.stop_equity": ["7"],
            "max_slippage": ["0.1"],
        },
        assets={"asset": ["EUR"], "cash_decimals": [11]},
    )
    assert book.pools["p"].balance == -(125 * 10**10)
    write_book(book, tmp_path)
    again = read_book(tmp_path)
    assert tables(again) == tables(book)
    assert again.open_orders == {("b", "XUSD"): ("b-1", "b-2")}
    assert again.contracts["XUSD"].limits == book.contracts["XUSD"].limits
    assert again.pools["p"].limits == book.pools["p"].limits
    assert again.accounts.owners == {again.accounts.index["a"]: "desk"}


def test_a_book_with_inventory_is_not_written(tmp_path: Path) -> None:
    book = read_book(EXAMPLE)
    step(book, SetMarks(time_ms=1, marks={"BTCUSDT": "66000"}))
    step(book, Takeover(time_ms=1, account="ann", contract="BTCUSDT"))
    with pytest.raises(
        InputError, match=r"cannot express the book's inventory \(long 2\.5 BTCUSDT\)"
    ):
        write_book(book, tmp_path / "book")
    assert not (tmp_path / "book").exists()


amounts = st.decimals(
    min_value=Decimal("0.001"), max_value=1000, places=3, allow_nan=False, allow_infinity=False
).map(str)


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from("abcdef"),
            st.sampled_from(["X", "Y"]),
            st.sampled_from(["long", "short"]),
            amounts,
            amounts,
            st.none() | amounts,
            st.sampled_from(["1", "2.5", "100"]),
        ),
        min_size=1,
        max_size=12,
        unique_by=lambda row: row[:3],
    ),
    marks=st.tuples(amounts, amounts),
)
def test_any_book_round_trips_through_its_tables(
    rows: list[tuple[str | None, ...]], marks: tuple[str, str]
) -> None:
    columns = ("account", "contract", "side", "quantity", "entry_price", "isolated_margin")
    book = book_of(
        pl.DataFrame(rows, schema=[*columns, "leverage"], orient="row"),
        {"X": marks[0], "Y": marks[1]},
        contracts="linear",
        balances={"account": ["a"], "asset": ["USDT"], "balance": ["1.5"]},
        pool="17",
    )
    step(book, SetTime(time_ms=5))
    frames = frames_of(book)
    again = build({name: table_of(frame, SCHEMAS[name], name) for name, frame in frames.items()})
    assert tables(again) == tables(book)
    audit(again)
