"""replay and verify: a journal rebuilt and checked."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from command_line import CRASH, Call

from delever.cli import ExitCode
from delever.core.messages import SetTime
from delever.journal import Recorder
from delever.server.engine.journal_lock import JournalLock


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


def session(tmp_path: Path) -> str:
    """Record 60 commands with a snapshot after every tenth, and return the journal."""
    path = tmp_path / "journal.db"
    with Recorder.open(path, snapshot_every=10) as recorder:
        for n in range(60):
            recorder.submit([SetTime(time_ms=n * 3_600_000)])
    return str(path)


def test_old_records_are_archived_pruned_verified_and_restored(
    delever: Call, tmp_path: Path
) -> None:
    journal, archive, whole = session(tmp_path), str(tmp_path / "a.db"), str(tmp_path / "whole.db")
    head = delever("verify", journal)[1].split()[-1]
    code, out, _ = delever("journal", "archive", journal, archive, "--retain", "15")
    assert (code, out.split(";")[0]) == (0, f"{archive}: verified, records up to 40")
    both = f"verified: 60 records, 60 of them replayed both ways; head {head}\n"
    assert delever("verify", archive, journal) == (0, both, "")  # 40 of them are in both files
    code, out, _ = delever("journal", "prune", journal, archive, "--retain", "15")
    assert (code, out.split(",")[0]) == (0, f"{journal}: records up to 40 deleted")
    rest = f"verified: 20 records from record 41 on, 20 of them replayed both ways; head {head}\n"
    assert delever("verify", journal) == (0, rest, "")
    assert delever("verify", archive, journal) == (0, both, "")
    code, out, _ = delever("journal", "restore", whole, archive, journal)
    assert (code, out) == (0, f"{whole}: verified, records up to 60; head {head}\n")
    assert delever("verify", whole) == (0, both, "")


def test_files_that_do_not_continue_each_other_are_not_verified(
    delever: Call, tmp_path: Path
) -> None:
    journal, archive = session(tmp_path), str(tmp_path / "a.db")
    delever("journal", "archive", journal, archive, "--retain", "15")
    delever("journal", "prune", journal, archive, "--retain", "15")
    code, out, err = delever("verify", journal, archive, "--json")
    answer = json.loads(out)
    assert (code, answer["ok"]) == (ExitCode.CHECK_FAILED, False)
    assert answer["findings"][0]["problem"] == "archive_unlinked"
    assert "does not continue" in err


def test_a_journal_in_use_is_archived_and_not_pruned(delever: Call, tmp_path: Path) -> None:
    journal, archive = session(tmp_path), str(tmp_path / "a.db")
    with closing(JournalLock(journal)), Recorder.open(journal) as recorder:
        assert delever("journal", "archive", journal, archive, "--retain", "15")[0] == 0
        code, _, err = delever("journal", "prune", journal, archive, "--retain", "15")
        assert code == ExitCode.INVALID_INPUT
        assert "another process writes this journal" in err
        assert recorder.submit([SetTime(time_ms=60 * 3_600_000)])


def test_retention_errors_name_the_file_and_the_remedy(delever: Call, tmp_path: Path) -> None:
    journal, archive = session(tmp_path), str(tmp_path / "a.db")
    code, _, err = delever("journal", "archive", journal, archive)
    assert code == ExitCode.INVALID_INPUT
    why = "has no snapshot that leaves 100000 of its 60 records; there is nothing to archive"
    assert err == f"delever: {journal}: {why}\n"
    assert delever("journal", "prune", archive, archive)[0] == ExitCode.INVALID_INPUT
    assert delever("journal", "restore", archive)[0] == ExitCode.USAGE_ERROR
    assert not Path(archive).exists()
