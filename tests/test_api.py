"""The library as the README shows it: ten lines from positions to a comparison."""

import doctest
import io
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

import delever

POSITIONS = {
    "account": ["ann", "bob", "cyd", "dan", "eve"],
    "contract": ["BTCUSDT"] * 5,
    "side": ["long", "short", "short", "short", "long"],
    "quantity": ["12", "5", "4", "6", "3"],
    "entry_price": ["64500", "66000", "65000", "63000", "60100.5"],
    "leverage": ["50", "10", "20", "5", "2"],
}


def test_the_quickstart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pl.DataFrame(POSITIONS).write_parquet("positions.parquet")

    positions = pl.read_parquet("positions.parquet")
    book = delever.book_of(positions, {"BTCUSDT": "64000.5"}, contracts="linear", pool="100000")
    queue = delever.rank(book, "BTCUSDT", "short", rules="bybit")
    why = delever.explain(book, "BTCUSDT", "bob")
    then = delever.what_if(book, "BTCUSDT", "bob", leverage="3")
    shock = delever.Shock({"BTCUSDT": "-0.10"})
    result = delever.simulate(book, shock, rules="bybit")
    table = delever.compare(book, shock, rules=["bybit", "binance", "bitmart", "hyperliquid"])
    table.write_csv("compare.csv")

    assert queue["account"].to_list() == ["cyd", "bob", "dan"]
    assert queue["quantity_ahead"].to_list() == [0, 4, 9]
    assert str(why).startswith("bob holds 5 BTCUSDT short, isolated, at mark 64000.5")
    assert "2 of 3" in str(then)
    assert result.summary.fills == result.fills.height > 0
    closed = dict(table.select("rules", "closed").iter_rows())
    assert closed["bybit"] == Decimal(12)
    assert pl.read_csv("compare.csv").height == table.height


def test_public_names_are_imported_when_they_are_first_used() -> None:
    program = (
        "import sys, delever; before = set(sys.modules); delever.simulate;"
        "print('polars' in before, 'numpy' in before, 'polars' in sys.modules)"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert process.stdout.split() == ["False", "False", "True"]


@pytest.mark.parametrize("name", delever.__all__)
def test_every_public_name_has_an_example_that_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Examples run in the root of the repository, with an empty `folder` to write to."""
    monkeypatch.chdir(Path(__file__).parent.parent)
    finder = doctest.DocTestFinder(recurse=False)
    (examples,) = finder.find(getattr(delever, name), name, globs={"folder": tmp_path})
    assert examples.examples
    report = io.StringIO()
    doctest.DocTestRunner().run(examples, out=report.write)
    assert not report.getvalue(), report.getvalue()


def test_a_name_that_is_not_public_raises_attribute_error() -> None:
    assert set(delever.__all__) <= set(dir(delever))
    with pytest.raises(AttributeError, match="module 'delever' has no attribute 'ranke'"):
        delever.ranke  # noqa: B018 - the look-up is what is tested


def test_a_book_goes_through_the_engine_and_a_journal(tmp_path: Path) -> None:
    examples = Path(__file__).parent.parent / "examples"
    commands = delever.read_scenario(examples / "crash.ndjson")
    with delever.Recorder.open(tmp_path / "journal.db") as recorder:
        outcomes = recorder.submit(commands)
    assert delever.verify(tmp_path / "journal.db").ok
    result = delever.run(delever.Book(), commands)
    assert list(result.outcomes) == outcomes
    assert delever.schema()["title"] == "delever command"
