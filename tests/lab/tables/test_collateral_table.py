"""A book directory with collateral: its terms, the accounts' mode, and errors with their place."""

from pathlib import Path

import pytest

import delever
from delever.core.engine import step
from delever.core.messages import SetIndexPrices, Side, Takeover, UnwindFill
from delever.lab.errors import InputError
from delever.lab.queries.position_queries import rank
from delever.lab.tables.book_reader import read_book, write_book
from delever.lab.tables.book_writer import frames_of

TABLES = {
    "contracts": """contract,kind,settle,pool,tick_size,lot_size,multiplier
BTCUSDT,linear,USDT,main,0.5,0.001,1
BTCUSD,inverse,BTC,coin,0.5,1,100
""",
    "pools": """pool,kind,asset,rules,balance,managed
main,shared,USDT,binance,100000,false
coin,isolated,BTC,binance,1,false
""",
    "accounts": "account,hedge_mode,adl_exempt\ncm,false,false\nu,false,false\n",
    "balances": "account,asset,balance\ncm,BTC,2\nu,USDT,118000\n",
    "positions": """account,contract,side,quantity,entry_price,leverage
cm,BTCUSDT,short,1,60000,5
u,BTCUSDT,short,1,60000,5
""",
    "marks": "contract,mark,previous_mark\nBTCUSDT,59000,60000\nBTCUSD,59000,60000\n",
    "collateral": "asset,index_price,bid_buffer,ask_buffer,quantity_from,rate\nBTC,59000,0,0,0,1\n",
}
"""Case D06, as its folder has it."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in TABLES.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


def leverages(folder: Path) -> list[tuple[str, int, str]]:
    queue = rank(read_book(folder), "BTCUSDT", "short", rules="binance")
    columns = queue["account"], queue["rank"], queue["effective_leverage"]
    return [(account, rank, f"{one:.6f}") for account, rank, one in zip(*columns, strict=True)]


def test_equal_wealth_in_bitcoin_and_in_dollars_ties(folder: Path) -> None:
    """CORE-46: case D06: 59,000 / (118,000 + 1,000); the accounts table needs no column."""
    tied = [("cm", 1, "0.495798"), ("u", 2, "0.495798")]
    assert leverages(folder) == tied
    (folder / "collateral.csv").write_text(TABLES["collateral"].replace("0,0,0,1", "0,0,0,0.98"))
    assert leverages(folder) == tied


def test_the_column_of_the_accounts_decides(folder: Path) -> None:
    accounts = "account,multi_asset\ncm,\nu,true\n"
    (folder / "accounts.csv").write_text(accounts)
    assert leverages(folder)[0] == ("cm", 1, "59.000000")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_collateral_is_written_and_read_unchanged(
    folder: Path, tmp_path: Path, suffix: str
) -> None:
    terms = """asset,index_price,margin_currency,quantity_from,value_from,rate,cap,bid_buffer
BTC,59000.123456789,USDT,0,,0.98,50,0.025
BTC,,,10,,0.95,,
EUR,1.1,USDT,,0,1,,
EUR,,,,500,0.5,,
USDT,1,,0,,0.9999,,
"""
    (folder / "collateral.csv").write_text(terms)
    (folder / "accounts.csv").write_text("account,multi_asset\ncm,true\nu,false\n")
    book = read_book(folder)
    step(book, SetIndexPrices(time_ms=0, prices={"BTC": "58999.5"}))
    write_book(book, tmp_path / "again", suffix=suffix)
    again = read_book(tmp_path / "again")
    assert again.margin_currency == "USDT"
    for name, asset in book.assets.items():
        assert again.assets[name].collateral == asset.collateral
        assert again.assets[name].index_price == asset.index_price
    frames, written = frames_of(book), frames_of(again)
    assert {name: frame.rows() for name, frame in frames.items()} == {
        name: frame.rows() for name, frame in written.items()
    }


INVALID = {
    "BTC,0,0,0,0,1": "row 1 (line 2), index_price '0': not positive",
    "BTC,,0,0,0,1": "row 1 (line 2), index_price: is empty",
    "BTC,59000,0,0,0,1.1": "row 1 (line 2), rate '1.1': out of range",
    "BTC,59000,0,0,5,1": "row 1 (line 2), quantity_from '5': invalid collateral tiers",
    "BTC,59000,0,0,0,0.9\nBTC,,,,5,0.95": "row 2 (line 3), quantity_from '5': invalid collateral",
    "BTC,59000,1,0,0,1": "row 1 (line 2), bid_buffer '1': out of range",
    "EUR,1,0,0,0,1": "row 1 (line 2), margin_currency '': empty name",
}


@pytest.mark.parametrize("row", INVALID)
def test_an_invalid_cell_is_rejected_with_its_place(folder: Path, row: str) -> None:
    header = TABLES["collateral"].splitlines()[0]
    (folder / "collateral.csv").write_text(f"{header}\n{row}\n")
    with pytest.raises(InputError) as error:
        read_book(folder)
    assert INVALID[row] in str(error.value)


def test_a_fund_with_collateral_is_not_written(folder: Path, tmp_path: Path) -> None:
    book = read_book(folder)
    step(book, Takeover(time_ms=0, account="cm", contract="BTCUSDT", price="70000"))
    assert book.pools["main"].collateral["BTC"].amount == 16_949_153
    sale = UnwindFill(time_ms=0, contract="BTCUSDT", side=Side.SHORT, quantity=1, price=70_000)
    step(book, sale)
    with pytest.raises(InputError, match="collateral of pool main"):
        write_book(book, tmp_path / "again")


def test_frames_may_have_collateral() -> None:
    """The library takes the same table, and infers the margin currency."""
    book = delever.book_of(
        [{"account": "ann", "contract": "X", "side": "long", "quantity": 1, "entry_price": 100}],
        {"X": 100},
        contracts="linear",
        balances=[{"account": "ann", "asset": "BTC", "balance": 1}],
        collateral=[{"asset": "BTC", "index_price": 250}],
    )
    (row,) = delever.rank(book, "X", "long", rules="binance").rows(named=True)
    assert row["effective_leverage"] == 0.4
