"""The SQLite file: durable, one chain, and nothing but a journal."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from forgery import links, spoil

from delever.journal import JournalError, SqliteJournal
from delever.journal.record import EMPTY_HEAD, Head, Snapshot, seal_snapshot


def test_a_new_journal_is_empty_and_starts_a_chain(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "new.db") as journal:
        assert journal.head() == EMPTY_HEAD
        assert list(journal.records()) == []
        assert list(journal.snapshots()) == []


def test_commits_are_synchronous(tmp_path: Path) -> None:
    full = 2
    with SqliteJournal(tmp_path / "new.db") as journal:
        assert journal._pragma("journal_mode") == b"wal"
        assert journal._pragma("synchronous") == full


def test_appended_records_are_readable_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with SqliteJournal(path) as writer, SqliteJournal(path, readonly=True) as reader:
        for start in (0, 4):
            head = writer.head()
            assert head is not None
            added = links(4, head)
            writer.append(added)
            assert reader.head() == added[-1].head
            assert list(reader.records(after=start)) == added
        assert reader.record(5) == added[0]
        assert reader.record(9) is None
        assert [record.sequence for record in reader.records(2, 5)] == [3, 4, 5]


def test_snapshots_come_newest_first(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "new.db") as journal:
        for sequence in (3, 9, 6):
            journal.add_snapshot(seal_snapshot(Head(sequence, b"hash"), b"book"))
        journal.add_snapshot(seal_snapshot(Head(6, b"hash"), b"another book"))
        assert [snapshot.sequence for snapshot in journal.snapshots()] == [9, 6, 3]
        newest = next(journal.snapshots(until=8))
        assert newest == Snapshot(6, b"hash", b"another book", newest.content_hash())


@pytest.mark.parametrize("first", [0, 1, 3])
def test_records_that_do_not_follow_the_head_are_rejected_whole(tmp_path: Path, first: int) -> None:
    with SqliteJournal(tmp_path / "new.db") as journal:
        journal.append(links(2))
        with pytest.raises(JournalError, match=f"record {first + 1} does not follow the head"):
            journal.append(links(6)[first:])
        assert [record.sequence for record in journal.records()] == [1, 2]


def test_two_writers_cannot_both_append(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with SqliteJournal(path) as one, SqliteJournal(path) as other:
        one.append(links(1))
        with pytest.raises(JournalError, match="does not follow"):
            other.append(links(1))


def test_a_commit_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with SqliteJournal(path) as journal:
        journal.append(links(2))
        spoil(
            path,
            "INSERT INTO records SELECT 4, time_ms, x'', x'', x'', x'', x'' FROM records"
            " WHERE sequence = 1",
        )
        with pytest.raises(JournalError, match="cannot be written: UNIQUE"):
            journal.append(links(4)[2:])
        assert journal.head() == links(2)[-1].head
        assert journal.record(3) is None


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    SqliteJournal(path).close()
    with SqliteJournal(path, readonly=True) as reader:
        with pytest.raises(JournalError, match="readonly"):
            reader.append(links(1))
        with pytest.raises(JournalError, match="readonly"):
            reader.add_snapshot(seal_snapshot(EMPTY_HEAD, b""))


def test_a_worker_thread_may_write(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "new.db") as journal:
        worker = threading.Thread(target=journal.append, args=(links(3),))
        worker.start()
        worker.join()
        assert journal.head() == links(3)[-1].head


def test_special_characters_in_a_path_are_literal(tmp_path: Path) -> None:
    path = tmp_path / "a b?mode=rw#%41.db"
    SqliteJournal(path).close()
    assert path.exists()
    with SqliteJournal(path, readonly=True) as journal:
        assert journal.head() == EMPTY_HEAD


def make_text(path: Path) -> None:
    path.write_text("sequence,command\n" * 300, encoding="utf-8")


def make_other_database(path: Path) -> None:
    spoil(path, "CREATE TABLE records (sequence INTEGER PRIMARY KEY, hash BLOB)")


def make_later_format(path: Path) -> None:
    SqliteJournal(path).close()
    spoil(path, "PRAGMA user_version = 2")


def make_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (make_text, "file is not a database"),
        (make_other_database, "is not a journal of format 1"),
        (make_later_format, "is not a journal of format 1"),
        (make_folder, "cannot be opened"),
    ],
)
def test_a_file_that_is_no_journal_is_rejected_by_name(
    tmp_path: Path, make: Callable[[Path], None], why: str, *, readonly: bool
) -> None:
    path = tmp_path / "odd.db"
    make(path)
    with pytest.raises(JournalError, match=rf"odd\.db: .*{why}"):
        SqliteJournal(path, readonly=readonly)


def test_a_reader_does_not_create_the_file(tmp_path: Path) -> None:
    path = tmp_path / "absent.db"
    with pytest.raises(JournalError, match="unable to open"):
        SqliteJournal(path, readonly=True)
    assert not path.exists()


def test_an_empty_file_becomes_a_journal_only_for_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(JournalError, match="is not a journal"):
        SqliteJournal(path, readonly=True)
    with SqliteJournal(path) as journal:
        assert journal.head() == EMPTY_HEAD


def test_a_closed_journal_raises_on_use(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "new.db")
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.append(links(1))
    with pytest.raises(JournalError, match="closed"):
        list(journal.records())
