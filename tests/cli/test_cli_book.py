"""Queries on a book directory: rank, explain, whatif, rank-all."""

import json
import sqlite3
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from command_line import BOOK, CRASH, RANK, Call

from delever.cli import ExitCode
from delever.core.rules import RULE_SETS

COMPARE = ("rank-all", BOOK, "--contract", "BTCUSDT")
HEDGE = ("whatif", BOOK, "--contract", "BTCUSDT", "--hedge")
POSITION = (BOOK, "--account", "bob", "--contract", "BTCUSDT")


@pytest.fixture
def journal(delever: Call, tmp_path: Path) -> str:
    path = str(tmp_path / "crash.db")
    assert delever("run", CRASH, "--journal", path)[0] == ExitCode.SUCCESS
    return path


# --- rank ---


def test_rank_writes_tab_separated_rows_to_a_pipe(delever: Call) -> None:
    code, out, err = delever(*RANK, "-n", "2")
    assert (code, err) == (ExitCode.SUCCESS, "")
    header, *rows = [line.split("\t") for line in out.splitlines()]
    assert header[:6] == ["rank", "account", "position", "quantity", "leverage", "unrealized_pnl"]
    assert [row[:6] for row in rows] == [
        ["1", "bob", "0", "4", "25", "16479"],
        ["2", "cyd", "0", "1.25", "20", "2475"],
    ]


def test_rank_writes_json_with_schema_and_metadata(delever: Call) -> None:
    code, out, _ = delever(*RANK, "--json", "--rules", "bitmart")
    answer = json.loads(out)
    assert code == ExitCode.SUCCESS
    assert {key: answer[key] for key in ("schema", "contract", "side", "rules", "as_of")} == {
        "schema": "delever.rank/1",
        "contract": "BTCUSDT",
        "side": "short",
        "rules": "bitmart",
        "as_of": 26,
    }
    assert [row["account"] for row in answer["rows"]] == ["bob", "cyd", "dan", "eve", "mm-1"]
    assert answer["rows"][3]["unrealized_pnl"] == "-832.875"
    assert answer["rows"][4]["rank"] is None


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_rank_writes_a_file_in_the_format_of_its_suffix(
    delever: Call, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"queue.{suffix}"
    assert delever(*RANK, "-o", str(file)) == (ExitCode.SUCCESS, "", "")
    match suffix:
        case "csv" | "tsv":
            separator = "," if suffix == "csv" else "\t"
            accounts = pl.read_csv(file, separator=separator)["account"].to_list()
        case "parquet":
            frame = pl.read_parquet(file)
            assert frame["unrealized_pnl"][3] == Decimal("-832.875")
            accounts = frame["account"].to_list()
        case "jsonl":
            accounts = [json.loads(line)["account"] for line in file.read_text().splitlines()]
        case _:
            accounts = [row["account"] for row in json.loads(file.read_text())["rows"]]
    assert accounts == ["bob", "cyd", "dan", "eve", "mm-1"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json", "--format", "csv"], "--json and --format csv contradict each other"),
        (["-o", "queue.xml"], "queue.xml: unknown suffix; add --format"),
        (["--rules", "ftx"], "there is no rule set 'ftx'"),
    ],
)
def test_invalid_options_are_usage_errors(delever: Call, words: list[str], message: str) -> None:
    code, out, err = delever(*RANK, *words)
    assert (code, out) == (ExitCode.USAGE_ERROR, "")
    assert err.startswith(f"delever: {message}")


# --- explain an open position, whatif ---


def test_explain_writes_text_or_json(delever: Call) -> None:
    code, out, _ = delever("explain", *POSITION)
    assert code == ExitCode.SUCCESS
    assert " 272481 at entry - 256002 at mark = 16479 USDT." in out
    answer = json.loads(delever("explain", *POSITION, "--json")[1])
    assert (answer["schema"], answer["rank"], answer["ranked"]) == ("delever.explanation/1", 1, 4)
    assert " = 16479 USDT." in delever("explain", *POSITION, "--rules", "gmx")[1]


def test_whatif_writes_text_or_json(delever: Call) -> None:
    code, out, _ = delever("whatif", *POSITION, "--add-margin", "-1000")
    assert code == ExitCode.SUCCESS
    assert "What if 1000 USDT of margin were " in out
    answer = json.loads(delever("whatif", *POSITION, "--close", "1.5", "--json")[1])
    assert (answer["before"]["rank"], answer["after"]["rank"]) == (1, 2)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], ExitCode.USAGE_ERROR, "expected one of --leverage, --add-margin, --close and --hedge"),
        (["--close", "1", "--leverage", "2"], ExitCode.USAGE_ERROR, "expected one of "),
        (
            ["--close", "9"],
            ExitCode.INVALID_INPUT,
            "close '9': must be at most the position's quantity, 4",
        ),
    ],
)
def test_whatif_rejects_no_change_two_changes_and_an_impossible_change(
    delever: Call, words: list[str], code: int, message: str
) -> None:
    outcome = delever("whatif", *POSITION, *words)
    assert outcome[:2] == (code, "")
    assert outcome[2].startswith(f"delever: {message}")


def test_whatif_hedge_closes_the_position_in_one_way_mode(delever: Call) -> None:
    code, out, _ = delever(*HEDGE, "2", "--account", "dan", "--side", "short")
    assert code == ExitCode.SUCCESS
    assert "What if 2 were opened on the other side at the mark?" in out
    answer = json.loads(delever(*HEDGE, "4", "--account", "bob", "--json")[1])
    assert (answer["schema"], answer["after"]["reason"]) == ("delever.whatif/1", "position_closed")
    assert (answer["before"]["ranked"], answer["after"]["ranked"]) == (4, 3)


def test_whatif_rejects_a_hedge_larger_than_the_position(delever: Call) -> None:
    code, out, err = delever(*HEDGE, "4.5", "--account", "bob")
    assert (code, out) == (ExitCode.INVALID_INPUT, "")
    assert err == "delever: hedge '4.5': must be at most the position's quantity, 4\n"


# --- explain a past fill ---


def test_explain_writes_a_past_fill_as_text_or_json(delever: Call, journal: str) -> None:
    past_fill = ("explain", "--journal", journal, "--fill", "2")
    code, out, err = delever(*past_fill)
    assert (code, err) == (ExitCode.SUCCESS, "")
    assert out.startswith("Fill 2 closed 50 of the 50 BTCUSDT short of bob at 56500, mark 56000;")
    assert "Recomputed: the same (" in out
    answer = json.loads(delever(*past_fill, "--json")[1])
    assert (answer["schema"], answer["recomputed"]) == ("delever.fill/1", "the same")
    assert answer["before_round"]["rank"] == 2
    assert answer["cancel_orders"] == ["bob-17"]


EXPECTED = "expected BOOK --account A --contract C, or --journal J --fill N"
ALONE = "--journal and --fill cannot be combined with other options"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], EXPECTED),
        ([BOOK, "--account", "bob"], EXPECTED),
        (["--journal", "j.db"], "a past fill needs both --journal and --fill"),
        (["--fill", "1"], "a past fill needs both --journal and --fill"),
        ([BOOK, "--journal", "j.db", "--fill", "1"], ALONE),
        (["--journal", "j", "--fill", "1", "--rules", "bybit"], ALONE),
    ],
)
def test_explain_needs_an_open_position_or_a_past_fill(
    delever: Call, words: list[str], message: str
) -> None:
    code, out, err = delever("explain", *words)
    assert (code, out) == (ExitCode.USAGE_ERROR, "")
    assert err.startswith(f"delever: {message}")


def test_explain_rejects_a_missing_fill_and_a_missing_or_forged_journal(
    delever: Call, journal: str, tmp_path: Path
) -> None:
    code, out, err = delever("explain", "--journal", journal, "--fill", "4")
    assert (code, out) == (ExitCode.USAGE_ERROR, "")
    assert err == f"delever: there is no fill 4 in {journal}; the fills are 1 to 3\n"
    missing = str(tmp_path / "none.db")
    assert delever("explain", "--journal", missing, "--fill", "1") == (
        ExitCode.INVALID_INPUT,
        "",
        f"delever: {missing}: not found\n",
    )
    with sqlite3.connect(journal) as connection:
        connection.execute("UPDATE records SET time_ms = 1001 WHERE sequence = 8")
    connection.close()
    code, out, err = delever("explain", "--journal", journal, "--fill", "1")
    assert (code, out) == (ExitCode.INVALID_INPUT, "")
    assert err.startswith(f"delever: {journal}: the journal is ")
    assert err.endswith(": record 8: content does not match its hash\n")


# --- rank-all ---


def test_rank_all_writes_a_row_for_each_position_and_rule_set(delever: Call) -> None:
    code, out, err = delever(*COMPARE, "--account", "dan")
    assert (code, err) == (ExitCode.SUCCESS, "")
    header, *rows = [line.split("\t") for line in out.splitlines()]
    assert header[:7] == ["contract", "side", "account", "position", "quantity", "rules", "rank"]
    assert [row[5] for row in rows] == [*RULE_SETS] * 2
    answer = json.loads(delever(*COMPARE, "--account", "dan", "--json")[1])
    assert answer["schema"] == "delever.rank_all/1"
    about = (answer["contract"], answer["account"], len(answer["rows"]))
    assert about == ("BTCUSDT", "dan", len(rows))


def test_rank_all_as_a_table_has_a_column_for_each_rule_set(
    delever: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    two = ("--rules", "bybit", "--rules", "hyperliquid")
    code, out, _ = delever(*COMPARE, *two, "--format", "table")
    assert code == ExitCode.SUCCESS
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "contract side account quantity bybit hyperliquid"
    assert "BTCUSDT short bob 4 1 of 4, indicator 5 2 of 3, indicator 2" in lines
    assert lines[-1] == "BTCUSDT trigger pool equity: 0 % liquidator loss: 0 %"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rank_all_writes_a_file(delever: Call, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"compared.{suffix}"
    assert delever("rank-all", BOOK, "-o", str(file)) == (ExitCode.SUCCESS, "", "")
    frame = pl.read_csv(file) if suffix == "csv" else pl.read_parquet(file)
    assert frame.height % len(RULE_SETS) == 0
    assert set(frame["rules"]) == set(RULE_SETS)


def test_rank_all_of_an_account_without_positions_has_no_rows(delever: Call) -> None:
    flat = ("rank-all", BOOK, "--contract", "ETHUSDT", "--account", "hal")
    assert delever(*flat, "--format", "table")[:2] == (ExitCode.SUCCESS, "no rows\n")
