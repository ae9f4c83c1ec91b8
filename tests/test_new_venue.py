"""`make venue`: the files of a new venue are complete, formatted and marked where unfinished."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from delever.core.rules import RuleSet
from sources import ROOT

generator = runpy.run_path(str(ROOT / "docs" / "new_venue.py"))
new_venue, VenueError, MARK = generator["new_venue"], generator["VenueError"], generator["MARK"]


def test_the_rule_file_is_a_rule_set_with_marked_rules(tmp_path: Path) -> None:
    text = new_venue("untaken")[Path("src/delever/core/rules/venues/untaken.py")]
    (tmp_path / "untaken.py").write_text(text)
    rule_set = runpy.run_path(str(tmp_path / "untaken.py"))["UNTAKEN"]
    assert isinstance(rule_set, RuleSet)
    assert [rule.id for rule in rule_set.rules] == [f"UNT-0{number}" for number in range(1, 6)]
    assert all(MARK in rule.text for rule in rule_set.rules)
    ruff = [sys.executable, "-m", "ruff", "format", "--check", "--config", ROOT / "pyproject.toml"]
    subprocess.run([*ruff, tmp_path / "untaken.py"], check=True, capture_output=True)


def test_every_rule_is_cited_and_every_table_stays_aligned() -> None:
    files = new_venue("untaken")
    tables = [text for path, text in files.items() if path.match("tests/tables/*.txt")]
    assert set(re.findall(r"UNT-\d\d", "".join(tables))) == {f"UNT-0{n}" for n in range(1, 6)}
    for text in tables:
        rows = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert len({row.index("|") for row in rows}) == 1
        assert rows[-1].startswith("untaken ")


def test_the_registry_imports_and_lists_the_venue() -> None:
    registry = new_venue("untaken")[Path("src/delever/core/rules/__init__.py")]
    assert "from delever.core.rules.venues.untaken import UNTAKEN\n" in registry
    assert "    UNTAKEN,\n)\n" in registry
    imports = re.findall(r"^from delever.core.rules.venues.*", registry, re.MULTILINE)
    assert imports == sorted(imports)


def test_an_existing_table_row_changes_in_no_character() -> None:
    for path, text in new_venue("untaken").items():
        if path.match("tests/tables/*.txt"):
            assert text.startswith((ROOT / path).read_text())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "must be 3 to 20"),
        ("Untaken", "must be 3 to 20"),
        ("../x", "must be 3 to 20"),
        ("bybit", "bybit.py exists"),
    ],
)
def test_an_invalid_or_taken_name_is_refused(name: str, message: str) -> None:
    with pytest.raises(VenueError, match=message):
        new_venue(name)


def test_a_taken_prefix_of_rule_ids_is_extended() -> None:
    assert "BYBX-01" in new_venue("bybx")[Path("src/delever/core/rules/venues/bybx.py")]
