"""Rows as a terminal table and as delimited text: nothing is cut, nothing is lost."""

import dataclasses
from collections import Counter
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from command_line import RANK, run_on_terminal

from delever.cli import output
from delever.core.rules import RULE_SETS


def test_rows_are_a_table_on_a_terminal_wider_than_the_terminal_where_numbers_need_it() -> None:
    code, text, err = run_on_terminal(*RANK)
    assert (code, err) == (0, "")
    lines = text.splitlines()
    assert lines[2].split() == [
        "rank", "account", "quantity", "leverage", "pnl", "price", "score", "indicator", "ahead",
        "entry", "leverage", "reason",
    ]  # fmt: skip
    assert lines[4].split() == [
        "1", "bob", "4", "25", "16479", "73495", "0.407654", "5", "0", "0.0604776", "6.74058",
    ]  # fmt: skip
    assert "exempt_account" in lines[8]


def test_parquet_is_written_to_a_file_and_not_to_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "queue.parquet"
    assert run_on_terminal(*RANK, "-o", str(file)) == (0, "", "")
    assert pl.read_parquet(file).height == 5
    message = "delever: Parquet cannot be written to a terminal; add -o FILE\n"
    assert run_on_terminal(*RANK, "--format", "parquet") == (2, "", message)


@pytest.mark.parametrize("columns", ["20", "60", "80", "100", "120", "200"])
def test_no_word_of_a_table_is_cut(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for rule_set in RULE_SETS.values():
        rows = [dataclasses.asdict(rule) for rule in rule_set.rules]
        words = [word for row in rows for cell in row.values() for word in cell.split()]
        assert not Counter(words) - Counter(output.table(rows).split()), rule_set.name


def test_a_table_aligns_numbers_and_omits_empty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    rows = [
        {"name": "a_name_of_31_letters_that_stays", "how_much": Decimal("1.50"), "note": None},
        {"name": "b", "how_much": Decimal(-20), "note": ""},
    ]
    assert output.table(rows).splitlines() == [
        "                                  how",
        "name                             much",
        "─────────────────────────────────────",
        "a_name_of_31_letters_that_stays   1.5",
        "b                                 -20",
    ]
    assert output.table([]) == "no rows\n"


def test_markup_separators_and_quotes_survive() -> None:
    rows = [{"text": '[bold]a,"b"[/bold]\tc', "yes": True, "none": None, "score": 0.1}]
    names = ["text", "yes", "none", "score"]
    assert '[bold]a,"b"[/bold]' in output.table(rows)
    assert output.delimited(rows, ",", names) == (
        'text,yes,none,score\n"[bold]a,""b""[/bold]\tc",yes,,0.1\n'
    )


def test_no_rows_are_a_header_and_no_names_are_nothing() -> None:
    assert output.delimited([], ",", []) == ""
    assert output.delimited([], ",", ["text", "yes"]) == "text,yes\n"


def test_integers_beyond_38_digits_stay_exact() -> None:
    rows = [{"total": Decimal(10**45 + 1)}, {"total": Decimal("0.50")}]
    assert output.delimited(rows, "\t", ["total"]) == f"total\n{10**45 + 1}\n0.5\n"
