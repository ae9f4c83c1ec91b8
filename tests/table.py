"""Rule tables: one case per row, in aligned text, with the expected outcome after a bar.

    # rule: ABC-01  source: the venue's help page, example 1
    balance    peak       pnl        | outcome  price
    1000000    1000000    -300000    | start    99.5
    1000000    1000000    -299999    | -        -

    # rule: ABC-02 ABC-03  source: the same page, "Release"
    1000000    1000000    -250000    | start    99.0

A file in tests/tables/ is one table. The first line that is neither blank nor a comment names the
columns; every later one is a row with as many cells. Cells are separated by blanks and contain
none; `-` is an empty cell. One bar separates input from expected outcome, at the same position on
every line. Blank lines and comments may be anywhere; a comment with `rule:` gives the rule ids (of
docs/rules.md) of the rows below it, until the next such comment.

A test runs a whole table:

    @pytest.mark.parametrize("row", cases("triggers.txt"))
    def test_trigger(row: Row) -> None:
        assert {"outcome": decide(row["balance"], ...)} == row.expected

The name of a case has file, line and rules (`triggers.txt:5-ABC-01`), so that a failing row is
found at once. Rows that belong together (the counterparties of one round) have the same word in a
column and arrive together, as a list, from `grouped_cases("rounds.txt", by="round")`.
"""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

TABLES = Path(__file__).parent / "tables"
RULE_ID = re.compile(r"\b[A-Z]{2,8}-\d{2}\b")


class Row(dict[str, str]):
    """All cells by column; `expected` are the cells behind the bar, `where` is file:line."""

    def __init__(self, cells: dict[str, str], outcomes: set[str], where: str, rules: list[str]):
        super().__init__(cells)
        self.expected = {column: cells[column] for column in cells if column in outcomes}
        self.where = where
        self.rules = rules


def parse(text: str, name: str) -> list[Row]:
    """Return the rows of a table; ValueError names a row that does not fit the header."""
    rows: list[Row] = []
    rules: list[str] = []
    columns: list[str] | None = None
    outcomes: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("#"):
            rules = RULE_ID.findall(line) if "rule:" in line else rules
        elif line.strip():
            given, bar, expected = (part.split() for part in line.partition("|"))
            if not bar or "|" in expected:
                raise ValueError(f"{name}:{number}: one bar separates given and expected: {line!r}")
            if columns is None:
                columns, outcomes = given + expected, set(expected)
                width = len(given)
                continue
            if (len(given), len(given + expected)) != (width, len(columns)):
                raise ValueError(f"{name}:{number}: cells do not fit {columns}: {line!r}")
            cells = ["" if cell == "-" else cell for cell in given + expected]
            where = f"{name}:{number}"
            rows.append(Row(dict(zip(columns, cells, strict=True)), outcomes, where, rules))
    return rows


def rows_of(name: str) -> list[Row]:
    """Return the rows of a file in tests/tables/."""
    return parse((TABLES / name).read_text(encoding="utf-8"), name)


def cases(name: str) -> list[Any]:
    """Return a pytest case for each row, named by file, line and rules."""
    return [pytest.param(row, id="-".join([row.where, *row.rules])) for row in rows_of(name)]


def grouped_cases(name: str, by: str) -> list[Any]:
    """Return a pytest case for each run of rows with the same word in a column."""
    groups = [list(group) for _, group in itertools.groupby(rows_of(name), lambda row: row[by])]
    return [pytest.param(g, id="-".join([g[0].where, g[0][by], *g[0].rules])) for g in groups]
