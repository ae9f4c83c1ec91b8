"""run and demo: commands in, a summary out."""

import json
from contextlib import closing
from pathlib import Path

import polars as pl
from command_line import BOOK, CRASH, Call, run_process

from delever.cli import ExitCode
from delever.server.engine.journal_lock import JournalLock

CRASH_SUMMARY = """\
14 commands from 0 to 4000 ms: 1 takeover, 3 fills of ADL on 3 accounts

# adl
time_ms | contract | trigger | adl | numbers
3000 | BTCUSDT | contract drawdown | started | balance 1000000 USDT, trigger threshold 1 USDT, \
balance peak 1000000 USDT, contract PnL -350000 USDT, contract PnL peak 0 USDT, PnL ratio -35 %, \
start -30 %, stop -25 %
4000 | BTCUSDT | contract drawdown | stopped | balance 760000 USDT, trigger threshold 1 USDT, \
balance peak 1000000 USDT, contract PnL -240000 USDT, contract PnL peak 0 USDT, PnL ratio -24 %, \
start -30 %, stop -25 %

# contracts
contract | asset | taken_over | unwound | closed | inventory | accounts | realized_pnl | haircut | \
pool_pnl | unfunded
BTCUSDT | USDT | 100 | 0 | 100 | 0 | 3 | 350000 | 50000 | -300000 | 0

# fills
fill | time_ms | contract | side | account | quantity | price | realized_pnl | rank | indicator | \
liquidated_account
1 | 3000 | BTCUSDT | short | cyd | 30 | 56500 | 105000 | 1 | 5 | ann
2 | 3000 | BTCUSDT | short | bob | 50 | 56500 | 175000 | 2 | 2 | ann
3 | 3000 | BTCUSDT | short | dan | 20 | 56500 | 70000 | 3 | 1 | ann

# pools
pool | rules | asset | balance | equity | unfunded
main | bybit | USDT | 760000 | 760000 | 0
""".replace(" | ", "\t")


def test_run_summarizes_a_scenario(delever: Call) -> None:
    assert delever("run", CRASH) == (ExitCode.SUCCESS, CRASH_SUMMARY, "")
    answer = json.loads(delever("run", CRASH, "--json")[1])
    assert (answer["schema"], answer["fills"][0]["account"]) == ("delever.run/1", "cyd")
    assert answer["pools"][0]["balance"] == "760000"


def test_run_out_stores_events_fills_and_summary(delever: Call, tmp_path: Path) -> None:
    assert delever("run", CRASH, "--out", str(tmp_path / "result"))[0] == ExitCode.SUCCESS
    events = (tmp_path / "result" / "events.ndjson").read_text().splitlines()
    assert sum(json.loads(event)["type"] == "adl_filled" for event in events) == 3
    assert pl.read_parquet(tmp_path / "result" / "fills.parquet").height == 3
    assert json.loads((tmp_path / "result" / "summary.json").read_text())["fills"] == 3


def test_run_reads_standard_input_and_exits_4_for_a_rejected_command() -> None:
    done = run_process("run", "-", text='{"type": "set_time", "time_ms": -1}\n')
    assert done.returncode == ExitCode.INVALID_INPUT
    assert done.stderr == (
        "delever: standard input, line 1, time_ms '-1': rejected: out of range\n"
    )
    assert done.stdout.startswith("1 command (1 rejected) from 0 to 0 ms")


def test_run_loads_a_book_before_the_scenario_into_a_new_journal_only(
    delever: Call, tmp_path: Path
) -> None:
    scenario, journal = tmp_path / "s.ndjson", tmp_path / "journal.db"
    scenario.write_text(
        '{"type": "set_marks", "time_ms": 9, "marks": {"BTCUSDT": "70000"}}\n'
        '{"type": "takeover", "time_ms": 9, "account": "bob", "contract": "BTCUSDT"}\n'
    )
    words = ("run", str(scenario), "--book", BOOK, "--journal", str(journal))
    code, out, err = delever(*words)
    assert (code, err) == (ExitCode.SUCCESS, "")
    assert out.startswith("2 commands from 9 to 9 ms: 1 takeover, 0 fills")
    head = json.loads(delever("verify", str(journal), "--json")[1])["head"]
    assert len(head) == 64
    assert delever("verify", str(journal))[:2] == (
        ExitCode.SUCCESS,
        f"verified: 28 records, 28 of them replayed both ways; head {head}\n",
    )
    code, _, err = delever(*words)
    assert code == ExitCode.USAGE_ERROR
    assert f"{journal} has 28 records: --book needs a new journal" in err


def test_run_continues_a_journal_only_where_it_is_asked_to(delever: Call, tmp_path: Path) -> None:
    journal, later = str(tmp_path / "journal.db"), tmp_path / "later.ndjson"
    later.write_text('{"type": "set_time", "time_ms": 999999}\n')
    assert delever("run", CRASH, "--journal", journal)[0] == ExitCode.SUCCESS
    before = delever("verify", journal)[1]
    code, out, err = delever("run", str(later), "--journal", journal)
    assert (code, out) == (ExitCode.USAGE_ERROR, "")
    assert f"{journal} has 14 records: add --append to continue it, or choose a new file" in err
    assert delever("verify", journal)[1] == before
    assert delever("run", str(later), "--journal", journal, "--append")[0] == ExitCode.SUCCESS
    assert delever("verify", journal)[1].startswith("verified: 15 records")
    code, _, err = delever("run", str(later), "--append")
    assert code == ExitCode.USAGE_ERROR
    assert "--append needs --journal" in err


def test_run_applies_nothing_of_a_truncated_scenario(delever: Call, tmp_path: Path) -> None:
    truncated = tmp_path / "cut.ndjson"
    truncated.write_bytes(Path(CRASH).read_bytes()[:-40])
    code, out, err = delever("run", str(truncated), "--journal", str(tmp_path / "journal.db"))
    assert (code, out) == (ExitCode.INVALID_INPUT, "")
    assert err == f"delever: {truncated}, line 28: is cut off: the JSON ends too early\n"
    assert not (tmp_path / "journal.db").exists()


def test_run_logs_rejections_by_line_and_continues(delever: Call, tmp_path: Path) -> None:
    scenario = tmp_path / "s.ndjson"
    text = Path(CRASH).read_text()
    scenario.write_text(
        text.replace('"account": "ann", "contract"', '"account": "amy", "contract"')
    )
    code, out, err = delever("run", str(scenario))
    assert code == ExitCode.INVALID_INPUT
    assert err.splitlines() == [
        f"delever: {scenario}, line 17, positions[0].account 'amy': rejected: unknown account",
        f"delever: {scenario}, line 21, account 'amy': rejected: unknown account",
    ]
    assert out.startswith("14 commands (1 rejected) from 0 to 4000 ms: 0 takeovers")


def test_run_refuses_a_journal_that_another_process_writes(delever: Call, tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    with closing(JournalLock(journal)):
        code, out, err = delever("run", CRASH, "--journal", str(journal))
    assert (code, out) == (ExitCode.INVALID_INPUT, "")
    assert err.startswith(f"delever: {journal}: another process writes this journal")
    assert not journal.exists()


def test_demo_ends_with_a_verified_journal(delever: Call, tmp_path: Path) -> None:
    journal = tmp_path / "demo.db"
    small = ("demo", "--accounts", "300", "--contracts", "4", "--journal", str(journal))
    code, out, err = delever(*small)
    run_time = "about 3 s of CPU time"
    assert (code, err) == (
        ExitCode.SUCCESS,
        f"crash of seed 10: 300 accounts, 4 contracts; {run_time}\n",
    )
    assert out.startswith("ADL closed positions of ")
    for title in ("crash", "who paid", "insurance funds", "contracts", "why these accounts"):
        assert f"\n# {title}\n" in out
    assert "\njournal verified: " in out
    assert delever(*small)[0] == ExitCode.INVALID_INPUT  # the journal exists
    assert delever("demo", "--accounts", "1")[0] == ExitCode.USAGE_ERROR
