"""replay and verify: a journal rebuilt and checked."""

import json
import shutil
import sqlite3
from pathlib import Path

from command_line import CRASH, Call

from delever.cli import ExitCode


def test_replay_rebuilds_the_book_by_events_and_by_commands(delever: Call, tmp_path: Path) -> None:
    journal = str(tmp_path / "journal.db")
    delever("run", CRASH, "--journal", journal)
    code, out, _ = delever("replay", journal, "--json")
    answer = json.loads(out)
    assert (code, answer["schema"]) == (ExitCode.SUCCESS, "delever.replay/1")
    assert [row["by"] for row in answer["replays"]] == ["events", "commands"]
    assert {row["finding"] for row in answer["replays"]} == {"agrees"}
    assert answer["pools"][0]["balance"] == "760000"
    early = json.loads(delever("replay", journal, "--until", "3", "--json")[1])
    assert early["replays"][0]["records"] == 3


def test_replay_and_verify_find_a_forged_record(delever: Call, tmp_path: Path) -> None:
    journal, forged = tmp_path / "journal.db", tmp_path / "forged.db"
    delever("run", CRASH, "--journal", str(journal))
    shutil.copy(journal, forged)
    with sqlite3.connect(forged) as connection:
        connection.execute("UPDATE records SET time_ms = 1001 WHERE sequence = 8")
    connection.close()
    code, out, err = delever("verify", str(forged), "--json")
    answer = json.loads(out)
    assert (code, answer["ok"]) == (ExitCode.CHECK_FAILED, False)
    assert answer["findings"][0]["record"] == 8
    assert "NOT verified: record 8: content does not match its hash" in err
    assert delever("replay", str(forged), "--by", "events")[0] == ExitCode.CHECK_FAILED


def test_verify_rejects_a_missing_journal(delever: Call, tmp_path: Path) -> None:
    assert delever("verify", str(tmp_path / "none.db"))[0] == ExitCode.INVALID_INPUT
