"""Rule tables: one case a row, in aligned text, the expected outcome behind a bar.

    # rule: ABC-01  source: the venue's help page, example 1
    balance    peak       pnl        | outcome  price
    1000000    1000000    -300000    | start    99.5
    1000000    1000000    -299999    | -        -

    # rule: ABC-02 ABC-03  source: the same page, "Release"
    1000000    1000000    -250000    | start    99.0

A file in tests/tables/ is one table. Its first line that is neither blank nor a comment names the
columns; every later one is a row with as many cells. Cells are separated by blanks; `-` is an empty
cell. One bar separates inputs from expected outcomes, in the same column of every line. Blank lines
and comments may occur anywhere; a comment with `rule:` lists the rule ids (of docs/rules.md) of the
rows below it, until the next such comment.

A test is parametrized by a whole table:

    @pytest.mark.parametrize("row", cases("triggers.txt"))
    def test_trigger(row: Row) -> None:
        assert {"outcome": decide(row["balance"], ...)} == row.expected

Each case is named by file, line and rules (`triggers.txt:5-ABC-01`), so a failing row is easy to
find. Rows that belong together (the counterparties of one round) have the same word in a column and
come as one list from `grouped_cases("rounds.txt", by="round")`.
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
    """Return the rows of a table; a row that does not fit the header is named in the error."""
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
    """Return one pytest case a row, named by file, line and rules."""
    return [pytest.param(row, id="-".join([row.where, *row.rules])) for row in rows_of(name)]


def grouped_cases(name: str, by: str) -> list[Any]:
    """Return one pytest case a run of rows with the same word in a column, named by that word."""
    groups = [list(group) for _, group in itertools.groupby(rows_of(name), lambda row: row[by])]
    return [pytest.param(g, id="-".join([g[0].where, g[0][by], *g[0].rules])) for g in groups]
