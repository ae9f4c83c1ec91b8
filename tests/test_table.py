"""The parser of rule tables."""

import pytest

from table import parse

TEXT = """
# rule: ABC-01 ABC-02  source: a page
given   other | outcome  why
1       -     | start    -

# an aside
2       x     | -        late
# rule: ABC-03
3       y     | stop     early
"""


def test_a_row_has_all_cells_and_those_expected() -> None:
    first, second, third = parse(TEXT, "t.txt")
    assert first == {"given": "1", "other": "", "outcome": "start", "why": ""}
    assert second.expected == {"outcome": "", "why": "late"}
    assert third["outcome"] == "stop"


def test_a_row_has_its_line_and_its_rules() -> None:
    rows = parse(TEXT, "t.txt")
    assert [row.where for row in rows] == ["t.txt:4", "t.txt:7", "t.txt:9"]
    assert [row.rules for row in rows] == [["ABC-01", "ABC-02"], ["ABC-01", "ABC-02"], ["ABC-03"]]


@pytest.mark.parametrize(
    "line",
    ["1 2 start", "1 2 | start | early", "1 | 2 start", "1 2 3 | start", "1 2 |"],
    ids=["no bar", "two bars", "bar misplaced", "too many", "too few"],
)
def test_a_row_that_does_not_fit_is_rejected_with_its_line(line: str) -> None:
    with pytest.raises(ValueError, match=r"^t\.txt:2: "):
        parse(f"a b | outcome\n{line}\n", "t.txt")


def test_a_table_without_rows_is_empty() -> None:
    assert parse("# only a comment\na | b\n", "t.txt") == []
