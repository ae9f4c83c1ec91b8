"""Rows as tables for eyes and as text for programs: nothing is cut, nothing is lost."""

import dataclasses
import os
import pty
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from delever.cli import output
from delever.core.rules import RULE_SETS

BOOK = Path(__file__).parent.parent / "examples" / "book"
RANK = ("rank", str(BOOK), "--contract", "BTCUSDT", "--side", "short")


def on_a_terminal(*words: str) -> tuple[int, str, str]:
    """Run a command line whose standard output is a terminal."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "60", "NO_COLOR": "1", "TERM": "xterm"}
    command = [sys.executable, "-m", "delever", *words]
    done = subprocess.run(
        command, check=False, stdout=follower, stderr=subprocess.PIPE, env=environment
    )
    os.set_blocking(leader, False)
    with os.fdopen(leader, "rb", buffering=0) as screen:
        text = (screen.read(65536) or b"").decode().replace("\r\n", "\n")
    os.close(follower)
    return done.returncode, text, done.stderr.decode()


def test_on_a_terminal_rows_are_a_table() -> None:
    """Numbers stay whole where the terminal is narrow; no colour where none is wanted."""
    code, text, err = on_a_terminal(*RANK)
    assert (code, err) == (0, "")
    lines = text.splitlines()
    assert lines[2].split() == [
        "rank", "account", "quantity", "leverage", "profit", "score", "indicator", "ahead", "entry",
        "leverage", "reason",
    ]  # fmt: skip
    assert lines[4].split() == [
        "1", "bob", "4", "25", "16479", "0.407654", "5", "0", "0.0604776", "6.74058",
    ]  # fmt: skip
    assert "exempt_account" in lines[8]


def test_from_a_terminal_parquet_goes_to_a_file_and_nowhere_else(tmp_path: Path) -> None:
    file = tmp_path / "queue.parquet"
    assert on_a_terminal(*RANK, "-o", str(file)) == (0, "", "")
    assert pl.read_parquet(file).height == 5
    rejected = "delever: Parquet is not for a terminal: say -o FILE\n"
    assert on_a_terminal(*RANK, "--format", "parquet") == (2, "", rejected)


@pytest.mark.parametrize("columns", ["20", "60", "80", "100", "120", "200"])
def test_no_word_of_a_table_is_cut(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for rules in RULE_SETS.values():
        rows = [dataclasses.asdict(rule) for rule in rules.rules]
        words = [word for row in rows for cell in row.values() for word in cell.split()]
        assert not Counter(words) - Counter(output.table(rows).split()), rules.name


def test_a_table_leaves_out_what_says_nothing_and_aligns_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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


def test_rows_with_markup_or_separators_come_through() -> None:
    rows = [{"text": "[bold]a,b[/bold]\tc", "yes": True, "none": None, "score": 0.1}]
    assert "[bold]a,b[/bold]" in output.table(rows)
    assert output.separated(rows, ",") == 'text,yes,none,score\n"[bold]a,b[/bold]\tc",yes,,0.1\n'
    assert output.separated([], ",") == ""
    assert output.separated([], ",", ["text", "yes"]) == "text,yes\n"
