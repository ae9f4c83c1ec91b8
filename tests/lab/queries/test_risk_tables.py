"""ADL risk ratings as rows, in the library and on the command line."""

import json
from pathlib import Path

import pytest

from delever.cli import ExitCode, call
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import ContractKind, DefineContract, DefinePool, PoolKind
from delever.core.risk.rating import rating_of
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.queries.risk_tables import curve, inputs, levels, rate
from delever.lab.tables.book_reader import read_book

EXAMPLE = Path(__file__).parents[3] / "examples" / "book"
BOOK = read_book(EXAMPLE)


def test_every_contract_is_rated() -> None:
    """RSK-01: one row per contract, with the higher of two levels."""
    rows = levels(rate(BOOK))
    assert [row["contract"] for row in rows] == list(BOOK.contracts)
    order = ["low", "medium", "high", "extremely_high"]
    for row in rows:
        assert order.index(row["risk"]) == max(map(order.index, (row["scorecard"], row["stress"])))


def test_the_points_of_a_scorecard_sum_to_the_rating() -> None:
    rating = rating_of(BOOK, "BTCUSDT")
    assert rating is not None
    parts = inputs(BOOK, rating)
    assert len(parts) == 7
    assert sum(part["points"] for part in parts) == rating.points
    values = {part["input"]: (part["value"], part["points_at"]) for part in parts}
    assert values["average leverage"] == ("6.906533x", "10x, 20x, 40x")
    assert values["fund balance"] == ("4.041 %", "below 2 %, 0.5 %, 0.1 %")
    points = curve(BOOK, rating)
    assert [point["move"] for point in points][:1] == ["-50 %"]
    assert [point["move"] for point in points][-1:] == ["50 %"]
    assert any(point["adl"] != "0" for point in points)


def test_a_contract_that_cannot_be_rated_is_rejected() -> None:
    with pytest.raises(UnknownNameError, match="no contract 'BTCUSDC'"):
        rate(BOOK, ["BTCUSDC"])
    contract = DefineContract(
        time_ms=0, contract="X", kind=ContractKind.LINEAR, settle="USDT", pool="main",
        tick_size="1", lot_size="1",
    )  # fmt: skip
    book = Book()
    step(book, DefinePool(time_ms=0, pool="main", kind=PoolKind.SHARED, asset="USDT", rules="okx"))
    step(book, contract)
    assert rate(book) == []
    with pytest.raises(InputError, match="contract 'X': a contract without a mark has no rating"):
        rate(book, ["X"])


def test_the_command_writes_levels_or_one_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["risk", str(EXAMPLE)]) == ExitCode.SUCCESS
    assert capsys.readouterr().out.splitlines()[:2] == [
        "# risk",
        "contract\trisk\tdecided_by\tscorecard\tpoints\tstress\tadl_from\tvolatility",
    ]
    assert call(["risk", str(EXAMPLE), "--contract", "ETHUSDT", "--json"]) == ExitCode.SUCCESS
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "delever.risk/1"
    assert [len(answer[part]) for part in ("risk", "inputs")] == [1, 7]
    assert call(["risk", str(EXAMPLE), "--contract", "X"]) == ExitCode.USAGE_ERROR
