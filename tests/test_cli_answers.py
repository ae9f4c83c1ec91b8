"""The command line's answers about past fills, hedges, and other venues' rules."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from delever.cli import Exit, call
from delever.core.rules import RULE_SETS

EXAMPLES = Path(__file__).parent.parent / "examples"
BOOK = str(EXAMPLES / "book")
CRASH = str(EXAMPLES / "crash.ndjson")
COMPARE = ("compare-rules", BOOK, "--contract", "BTCUSDT")
HEDGE = ("whatif", BOOK, "--contract", "BTCUSDT", "--hedge")

Tell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tell(capfd: pytest.CaptureFixture[str]) -> Tell:
    """Run a command line in process; return its exit code and what it wrote where."""

    def told(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = call(words)
        out, err = capfd.readouterr()
        return code, out, err

    return told


@pytest.fixture
def journal(tell: Tell, tmp_path: Path) -> str:
    path = str(tmp_path / "crash.db")
    assert tell("run", CRASH, "--journal", path)[0] == Exit.DONE
    return path


# --- explain --journal ---


def test_a_past_fill_is_explained_as_text_or_json(tell: Tell, journal: str) -> None:
    asked = ("explain", "--journal", journal, "--fill", "2")
    code, out, err = tell(*asked)
    assert (code, err) == (Exit.DONE, "")
    assert out.startswith("Fill 2 closed 50 of the 50 BTCUSDT short of bob at 56500, mark 56000;")
    assert "Recomputed: the same (" in out
    told = json.loads(tell(*asked, "--json")[1])
    assert (told["schema"], told["recomputed"]) == ("delever.fill/1", "the same")
    assert told["when_the_round_began"]["rank"] == 2
    assert told["cancel_orders"] == ["bob-17"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say BOOK --account A --contract C, or --journal J --fill N"),
        ([BOOK, "--account", "bob"], "say BOOK --account A --contract C, or --journal J --fill N"),
        (["--journal", "j.db"], "a past fill needs both --journal and --fill"),
        (["--fill", "1"], "a past fill needs both --journal and --fill"),
        ([BOOK, "--journal", "j.db", "--fill", "1"], "--journal and --fill explain a past fill, "),
        (["--journal", "j", "--fill", "1", "--rules", "bybit"], "--journal and --fill explain a "),
    ],
)
def test_explain_wants_an_open_position_or_a_past_fill(
    tell: Tell, words: list[str], said: str
) -> None:
    code, out, err = tell("explain", *words)
    assert (code, out) == (Exit.WRONG_USE, "")
    assert err.startswith(f"delever: {said}")


def test_a_fill_or_a_journal_that_is_not_there_or_not_sound(
    tell: Tell, journal: str, tmp_path: Path
) -> None:
    code, out, err = tell("explain", "--journal", journal, "--fill", "4")
    assert (code, out) == (Exit.WRONG_USE, "")
    assert err == f"delever: there is no fill 4 in {journal}; the fills are 1 to 3\n"
    none = str(tmp_path / "none.db")
    assert tell("explain", "--journal", none, "--fill", "1") == (
        Exit.BAD_INPUT,
        "",
        f"delever: {none}: not found\n",
    )
    with sqlite3.connect(journal) as connection:
        connection.execute("UPDATE records SET time_ms = 1001 WHERE sequence = 8")
    connection.close()
    code, out, err = tell("explain", "--journal", journal, "--fill", "1")
    assert (code, out) == (Exit.BAD_INPUT, "")
    assert err == (
        f"delever: {journal}: the journal is not sound: record 8: content does not match its hash\n"
    )


# --- whatif --hedge ---


def test_a_hedge_is_told_beside_the_place_now(tell: Tell) -> None:
    code, out, _ = tell(*HEDGE, "2", "--account", "dan", "--side", "short")
    assert code == Exit.DONE
    assert "What if 2 were opened on the other side at the mark?" in out
    told = json.loads(tell(*HEDGE, "4", "--account", "bob", "--json")[1])
    assert (told["schema"], told["after"]["reason"]) == ("delever.whatif/1", "position_closed")
    assert (told["before"]["of"], told["after"]["of"]) == (4, 3)


def test_a_hedge_that_cannot_be_is_bad_input(tell: Tell) -> None:
    code, out, err = tell(*HEDGE, "4.5", "--account", "bob")
    assert (code, out) == (Exit.BAD_INPUT, "")
    assert err == "delever: hedge '4.5': must be at most 4, which is what is held\n"


# --- compare-rules ---


def test_compare_rules_tells_programs_a_row_for_each_position_and_rule_set(tell: Tell) -> None:
    code, out, err = tell(*COMPARE, "--account", "dan")
    assert (code, err) == (Exit.DONE, "")
    header, *rows = [line.split("\t") for line in out.splitlines()]
    assert header[:7] == ["contract", "side", "account", "position", "quantity", "rules", "rank"]
    assert [row[5] for row in rows] == [*RULE_SETS] * 2
    told = json.loads(tell(*COMPARE, "--account", "dan", "--json")[1])
    assert told["schema"] == "delever.compare_rules/1"
    assert (told["contract"], told["account"], len(told["rows"])) == ("BTCUSDT", "dan", len(rows))


def test_compare_rules_shows_eyes_a_column_for_each_rule_set(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    some = ("--rules", "bybit", "--rules", "hyperliquid")
    code, out, _ = tell(*COMPARE, *some, "--format", "table")
    assert code == Exit.DONE
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "contract side account quantity bybit hyperliquid"
    assert "BTCUSDT short bob 4 1 of 4, indicator 5 2 of 3, indicator 2" in lines
    assert lines[-1] == "BTCUSDT trigger pool equity: 0 % account equity: 0 %"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_compare_rules_writes_a_file(tell: Tell, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"compared.{suffix}"
    assert tell("compare-rules", BOOK, "-o", str(file)) == (Exit.DONE, "", "")
    frame = pl.read_csv(file) if suffix == "csv" else pl.read_parquet(file)
    assert frame.height % len(RULE_SETS) == 0
    assert set(frame["rules"]) == set(RULE_SETS)


def test_compare_rules_of_nobody_is_no_rows(tell: Tell) -> None:
    nobody = ("compare-rules", BOOK, "--contract", "ETHUSDT", "--account", "hal")
    assert tell(*nobody, "--format", "table")[:2] == (Exit.DONE, "no rows\n")
    code, _, err = tell("compare-rules", BOOK, "--account", "bub")
    assert (code, err) == (
        Exit.WRONG_USE,
        "delever: there is no account 'bub'; did you mean 'bob'?\n",
    )
