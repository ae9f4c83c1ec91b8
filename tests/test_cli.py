"""The command line: what goes where, in which form, and with which exit code."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import msgspec
import polars as pl
import pytest

from delever.cli import Exit, call
from delever.core.rules import RULE_SETS
from delever.server.engine.journal_lock import Claim

EXAMPLES = Path(__file__).parent.parent / "examples"
BOOK = str(EXAMPLES / "book")
CRASH = str(EXAMPLES / "crash.ndjson")
RANK = ("rank", BOOK, "--contract", "BTCUSDT", "--side", "short")

CRASH_TOLD = """\
14 commands from 0 to 4000 ms: 1 takeover, 3 fills of ADL on 3 accounts

# adl
time_ms | contract | trigger | adl | numbers
3000 | BTCUSDT | contract drawdown | started | balance 1000000 USDT, balance above 1 USDT, \
balance peak 1000000 USDT, profit -350000 USDT, profit peak 0 USDT, pnl ratio -35 %, \
start -30 %, stop -25 %
4000 | BTCUSDT | contract drawdown | stopped | balance 760000 USDT, balance above 1 USDT, \
balance peak 1000000 USDT, profit -240000 USDT, profit peak 0 USDT, pnl ratio -24 %, \
start -30 %, stop -25 %

# contracts
contract | asset | taken_over | unwound | closed | left | accounts | realized | borne | pool_profit
BTCUSDT | USDT | 100 | 0 | 100 | 0 | 3 | 350000 | 50000 | -300000

# fills
fill | time_ms | contract | side | account | quantity | price | realized | rank | indicator | \
liquidated_account
1 | 3000 | BTCUSDT | short | cyd | 30 | 56500 | 105000 | 1 | 5 | ann
2 | 3000 | BTCUSDT | short | bob | 50 | 56500 | 175000 | 2 | 2 | ann
3 | 3000 | BTCUSDT | short | dan | 20 | 56500 | 70000 | 3 | 1 | ann

# pools
pool | rules | asset | balance | equity
main | bybit | USDT | 760000 | 760000
""".replace(" | ", "\t")

Tell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tell(capfd: pytest.CaptureFixture[str]) -> Tell:
    """Run a command line in process; return its exit code and what it wrote where."""

    def told(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            code = call(words)
        except SystemExit as left:
            code = int(str(left.code))
        out, err = capfd.readouterr()
        return code, out, err

    return told


def delever(*words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "delever", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, input=text)


# --- exit codes, as a shell sees them ---


def test_help_and_version_come_without_the_weight_of_tables() -> None:
    program = (
        "import sys\nfrom delever.cli import call\ncall(['--help'])\n"
        "print(sorted({'polars', 'numpy'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert told.stdout.splitlines()[-1] == b"[]"
    assert b"replay-hyperliquid" in told.stdout
    version = delever("--version")
    assert (version.returncode, version.stdout, version.stderr) == (0, "0.1.0\n", "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["rules"], Exit.DONE, ""),
        (["rank", BOOK], Exit.WRONG_USE, "--contract"),
        (["rnak", BOOK], Exit.WRONG_USE, "rnak"),
        ([*RANK, "--format", "xml"], Exit.WRONG_USE, "--format"),
        ([*RANK, "-n", "-3"], Exit.WRONG_USE, "Must be >= 1"),
        (
            [*RANK, "-o", "none/x.csv"],
            Exit.FAILED,
            "delever: none/x.csv: No such file or directory",
        ),
        (["rank", "none", *RANK[2:]], Exit.BAD_INPUT, "delever: none: not found"),
        (["verify", CRASH], Exit.CHECK_FAILED, "is NOT verified: "),
        (["replay", CRASH], Exit.BAD_INPUT, f"delever: {CRASH}: file is not a database"),
    ],
)
def test_exit_codes(words: list[str], code: int, said: str) -> None:
    told = delever(*words)
    assert told.returncode == code
    assert said in told.stderr
    assert "Traceback" not in told.stderr


def test_standard_input_is_a_scenario_and_a_refusal_is_bad_input() -> None:
    told = delever("run", "-", text='{"type": "set_time", "time_ms": -1}\n')
    assert told.returncode == Exit.BAD_INPUT
    assert told.stderr == (
        "delever: standard input, line 1, time_ms '-1': rejected: out of range\n"
    )
    assert told.stdout.startswith("1 command (1 rejected) from 0 to 0 ms")


class Interrupted:
    """A standard input at which somebody presses Ctrl-C."""

    @property
    def buffer(self) -> Iterator[bytes]:
        yield b"# a scenario begins\n"
        raise KeyboardInterrupt


def test_an_interrupt_is_told_as_one(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Interrupted())
    assert tell("run", "-") == (Exit.INTERRUPTED, "", "delever: interrupted\n")


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    command = [sys.executable, "-m", "delever", "schema"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as writing:
        if writing.stdout is None or writing.stderr is None:
            raise OSError("no pipes")
        writing.stdout.close()
        assert writing.stderr.read() == b""
        assert writing.wait() == Exit.DONE


# --- rank, explain, whatif ---


def test_rank_tells_programs_tab_separated_rows(tell: Tell) -> None:
    code, out, err = tell(*RANK, "-n", "2")
    assert (code, err) == (Exit.DONE, "")
    header, *rows = [line.split("\t") for line in out.splitlines()]
    assert header[:6] == ["rank", "account", "position", "quantity", "leverage", "profit"]
    assert [row[:6] for row in rows] == [
        ["1", "bob", "0", "4", "25", "16479"],
        ["2", "cyd", "0", "1.25", "20", "2475"],
    ]


def test_rank_tells_json_with_its_schema(tell: Tell) -> None:
    code, out, _ = tell(*RANK, "--json", "--rules", "bitmart")
    told = json.loads(out)
    assert code == Exit.DONE
    assert {key: told[key] for key in ("schema", "contract", "side", "rules", "as_of")} == {
        "schema": "delever.rank/1",
        "contract": "BTCUSDT",
        "side": "short",
        "rules": "bitmart",
        "as_of": 26,
    }
    assert [row["account"] for row in told["rows"]] == ["bob", "cyd", "dan", "eve", "mm-1"]
    assert told["rows"][3]["profit"] == "-832.875"
    assert told["rows"][4]["rank"] is None


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_rank_writes_a_file_in_the_form_of_its_name(
    tell: Tell, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"queue.{suffix}"
    code, out, err = tell(*RANK, "-o", str(file))
    assert (code, out, err) == (Exit.DONE, "", "")
    match suffix:
        case "csv" | "tsv":
            separator = "," if suffix == "csv" else "\t"
            accounts = pl.read_csv(file, separator=separator)["account"].to_list()
        case "parquet":
            frame = pl.read_parquet(file)
            assert frame["profit"][3] == Decimal("-832.875")
            accounts = frame["account"].to_list()
        case "jsonl":
            accounts = [json.loads(line)["account"] for line in file.read_text().splitlines()]
        case _:
            accounts = [row["account"] for row in json.loads(file.read_text())["rows"]]
    assert accounts == ["bob", "cyd", "dan", "eve", "mm-1"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json", "--format", "csv"], "--json and --format csv do not go together"),
        (["-o", "queue.xml"], "queue.xml: say --format, the name does not"),
        (["--rules", "ftx"], "there is no rule set 'ftx'"),
    ],
)
def test_options_that_do_not_fit_are_wrong_use(tell: Tell, words: list[str], said: str) -> None:
    code, out, err = tell(*RANK, *words)
    assert (code, out) == (Exit.WRONG_USE, "")
    assert err.startswith(f"delever: {said}")


def test_explain_and_whatif_tell_text_or_json(tell: Tell) -> None:
    asked = (BOOK, "--account", "bob", "--contract", "BTCUSDT")
    code, out, _ = tell("explain", *asked)
    assert code == Exit.DONE
    assert " 1. Profit: 272481 at entry - 256002 at mark = 16479 USDT." in out
    told = json.loads(tell("explain", *asked, "--json")[1])
    assert (told["schema"], told["rank"], told["of"]) == ("delever.explanation/1", 1, 4)
    code, out, _ = tell("whatif", *asked, "--add-margin", "-1000")
    assert code == Exit.DONE
    assert "What if 1000 USDT of margin were taken out?" in out
    told = json.loads(tell("whatif", *asked, "--close", "1.5", "--json")[1])
    assert (told["before"]["rank"], told["after"]["rank"]) == (1, 2)
    assert " 3. Profit = 16479 USDT." in tell("explain", *asked, "--rules", "gmx")[1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], Exit.WRONG_USE, "say one of --leverage, --add-margin, --close and --hedge"),
        (["--close", "1", "--leverage", "2"], Exit.WRONG_USE, "say one of "),
        (["--close", "9"], Exit.BAD_INPUT, "close '9': must be at most 4, "),
    ],
)
def test_whatif_wants_one_change_that_can_be(
    tell: Tell, words: list[str], code: int, said: str
) -> None:
    told = tell("whatif", BOOK, "--account", "bob", "--contract", "BTCUSDT", *words)
    assert told[:2] == (code, "")
    assert told[2].startswith(f"delever: {said}")


def test_names_that_are_not_there_are_wrong_use(tell: Tell) -> None:
    code, _, err = tell("explain", BOOK, "--account", "bub", "--contract", "BTCUSDT")
    assert (code, err) == (2, "delever: there is no account 'bub'; did you mean 'bob'?\n")


# --- run, replay, verify ---


def test_run_says_what_a_scenario_came_to(tell: Tell) -> None:
    assert tell("run", CRASH) == (Exit.DONE, CRASH_TOLD, "")
    told = json.loads(tell("run", CRASH, "--json")[1])
    assert (told["schema"], told["fills"][0]["account"]) == ("delever.run/1", "cyd")
    assert told["pools"][0]["balance"] == "760000"


def test_run_keeps_events_fills_and_summary(tell: Tell, tmp_path: Path) -> None:
    code, _, _ = tell("run", CRASH, "--out", str(tmp_path / "result"))
    assert code == Exit.DONE
    events = (tmp_path / "result" / "events.ndjson").read_text().splitlines()
    assert sum(json.loads(event)["type"] == "adl_filled" for event in events) == 3
    assert pl.read_parquet(tmp_path / "result" / "fills.parquet").height == 3
    assert json.loads((tmp_path / "result" / "summary.json").read_text())["fills"] == 3


def test_a_book_is_told_before_a_scenario(tell: Tell, tmp_path: Path) -> None:
    scenario, journal = tmp_path / "s.ndjson", tmp_path / "journal.db"
    scenario.write_text(
        '{"type": "set_marks", "time_ms": 9, "marks": {"BTCUSDT": "70000"}}\n'
        '{"type": "takeover", "time_ms": 9, "account": "bob", "contract": "BTCUSDT"}\n'
    )
    words = ("run", str(scenario), "--book", BOOK, "--journal", str(journal))
    code, out, err = tell(*words)
    assert (code, err) == (Exit.DONE, "")
    assert out.startswith("2 commands from 9 to 9 ms: 1 takeover, 0 fills")
    head = json.loads(tell("verify", str(journal), "--json")[1])["head"]
    assert len(head) == 64
    assert tell("verify", str(journal))[:2] == (
        Exit.DONE,
        f"verified: 28 records, 28 of them replayed both ways; head {head}\n",
    )
    code, _, err = tell(*words)
    assert code == Exit.WRONG_USE
    assert "has records: a book can only be told to a new journal" in err


def test_a_scenario_that_is_cut_off_is_not_begun(tell: Tell, tmp_path: Path) -> None:
    cut = tmp_path / "cut.ndjson"
    cut.write_bytes(Path(CRASH).read_bytes()[:-40])
    code, out, err = tell("run", str(cut), "--journal", str(tmp_path / "journal.db"))
    assert (code, out) == (Exit.BAD_INPUT, "")
    assert err == f"delever: {cut}, line 28: is cut off: the JSON ends too early\n"
    assert not (tmp_path / "journal.db").exists()


def test_refusals_are_told_by_line_and_the_rest_runs(tell: Tell, tmp_path: Path) -> None:
    scenario = tmp_path / "s.ndjson"
    text = Path(CRASH).read_text()
    scenario.write_text(
        text.replace('"account": "ann", "contract"', '"account": "amy", "contract"')
    )
    code, out, err = tell("run", str(scenario))
    assert code == Exit.BAD_INPUT
    assert err.splitlines() == [
        f"delever: {scenario}, line 17, positions[0].account 'amy': rejected: unknown account",
        f"delever: {scenario}, line 21, account 'amy': rejected: unknown account",
    ]
    assert out.startswith("14 commands (2 rejected) from 0 to 4000 ms: 0 takeovers")


def test_a_journal_that_another_process_writes_is_left_alone(tell: Tell, tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    with closing(Claim(journal)):
        code, out, err = tell("run", CRASH, "--journal", str(journal))
    assert (code, out) == (Exit.BAD_INPUT, "")
    assert err.startswith(f"delever: {journal}: another process writes this journal")
    assert not journal.exists()


def test_replay_and_verify_prove_a_journal_and_find_what_was_changed(
    tell: Tell, tmp_path: Path
) -> None:
    journal, forged = tmp_path / "journal.db", tmp_path / "forged.db"
    tell("run", CRASH, "--journal", str(journal))
    code, out, _ = tell("replay", str(journal), "--json")
    told = json.loads(out)
    assert (code, told["schema"]) == (Exit.DONE, "delever.replay/1")
    assert [row["by"] for row in told["replays"]] == ["events", "commands"]
    assert {row["finding"] for row in told["replays"]} == {"agrees"}
    assert told["pools"][0]["balance"] == "760000"
    early = json.loads(tell("replay", str(journal), "--until", "3", "--json")[1])
    assert early["replays"][0]["records"] == 3
    shutil.copy(journal, forged)
    with sqlite3.connect(forged) as connection:
        connection.execute("UPDATE records SET time_ms = 1001 WHERE sequence = 8")
    connection.close()
    code, out, err = tell("verify", str(forged), "--json")
    told = json.loads(out)
    assert (code, told["ok"], told["findings"][0]["record"]) == (Exit.CHECK_FAILED, False, 8)
    assert "NOT verified: record 8: content does not match its hash" in err
    assert tell("replay", str(forged), "--by", "events")[0] == Exit.CHECK_FAILED
    assert tell("verify", str(tmp_path / "none.db"))[0] == Exit.BAD_INPUT


# --- rules, schema, demo ---


def test_rules_are_told_with_source_confidence_and_assumption(tell: Tell) -> None:
    told = json.loads(tell("rules", "--json")[1])
    assert [row["rules"] for row in told["rows"]] == list(RULE_SETS)
    told = json.loads(tell("rules", "bybit", "--json")[1])
    assert told["triggers"] == "pool_equity, contract_drawdown"
    assert [row["id"] for row in told["rows"]] == [rule.id for rule in RULE_SETS["bybit"].rules]
    assert all(row["source"] and row["confidence"] for row in told["rows"])
    assert tell("rules", "bybt")[0] == Exit.WRONG_USE


def test_schema_is_json_schema(tell: Tell) -> None:
    code, out, _ = tell("schema")
    assert code == Exit.DONE
    assert msgspec.json.decode(out)["discriminator"]["propertyName"] == "type"


def test_demo_ends_with_a_journal_that_is_verified(tell: Tell, tmp_path: Path) -> None:
    journal = tmp_path / "demo.db"
    small = ("demo", "--accounts", "300", "--contracts", "4", "--journal", str(journal))
    code, out, err = tell(*small)
    assert (code, err) == (Exit.DONE, "")
    assert out.startswith("# crash\nwhat\thow_much\n")
    assert "\njournal verified: " in out
    assert tell(*small)[0] == Exit.BAD_INPUT  # the journal is not new
    assert tell("demo", "--accounts", "1")[0] == Exit.WRONG_USE


LOADED = "import sys; from delever.cli import call; call(sys.argv[1:]); print(*sys.modules)"


def test_help_loads_no_tables_and_a_small_book_no_compiler() -> None:
    def loaded(*words: str) -> set[str]:
        command = [sys.executable, "-c", LOADED, *words]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        return set(run.stdout.splitlines()[-1].split())

    assert not loaded("--help") & {"numpy", "msgspec", "polars", "markdown_it", "pygments"}
    rank = loaded(*RANK)
    assert "numpy" in rank
    assert "numba" not in rank
