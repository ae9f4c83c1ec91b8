"""Retention: snapshots are pruned, old records go to archives, and one chain comes back."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from forgery import contents, record, spoil
from sessions import crash

from delever.core import messages as m
from delever.journal import JournalError, JournalProblem, Recorder, SqliteJournal, verify
from delever.journal.archive import archive, link_findings, prune, restore, superfluous_snapshots
from delever.journal.record import EMPTY_HEAD
from delever.journal.snapshot import encode_book
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.queries.fill_explanation import explain_fill
from delever.lab.runs.journal_commands import read_journal_commands

DAY_MS = 24 * 3_600_000
RETAIN = 5


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal of the crash with a snapshot after every fourth record; the newest are retained."""
    path = tmp_path / "journal.db"
    record(path, crash(), snapshot_every=4)
    return path


def snapshots(path: Path) -> list[int]:
    with SqliteJournal(path, readonly=True) as opened:
        return [snapshot.sequence for snapshot in opened.snapshots()]


def sequences(path: Path) -> list[int]:
    with SqliteJournal(path, readonly=True) as opened:
        return [each.sequence for each in opened.records()]


def books(*paths: Path) -> list[bytes]:
    found = []
    for path in paths:
        with Recorder.open(path) as recorder:
            found.append(encode_book(recorder.book))
    return found


def archived(journal: Path, name: str = "archive.db", retain: int = RETAIN) -> Path:
    archive(journal, journal.with_name(name), retain=retain)
    return journal.with_name(name)


# --- snapshots ---


def test_the_newest_three_snapshots_and_the_last_of_each_day_stay(tmp_path: Path) -> None:
    path = tmp_path / "days.db"
    with Recorder.open(path, snapshot_every=1) as recorder:
        for day, hours in enumerate((3, 2, 5)):  # records 1-3, 4-5, 6-10
            for hour in range(hours):
                recorder.submit([m.SetTime(time_ms=day * DAY_MS + hour)])
    assert snapshots(path) == [10, 9, 8, 5, 3]
    with SqliteJournal(path, readonly=True) as opened:
        assert superfluous_snapshots(opened) == []


def test_a_damaged_snapshot_leaves_two_to_begin_with(journal: Path) -> None:
    newest, before, _ = snapshots(journal)[:3]
    spoil(journal, f"UPDATE snapshots SET body = flip(body, 99) WHERE sequence = {newest}")
    with Recorder.open(journal) as recorder:
        assert recorder.head.sequence == len(crash())
        assert recorder._snapshot_sequence == before


# --- archive, prune, restore ---


def test_an_archive_and_the_rest_are_the_journal(journal: Path, tmp_path: Path) -> None:
    whole = contents(journal)
    (book,) = books(journal)
    old = archived(journal)
    last = snapshots(old)[0]
    assert len(crash()) - last >= RETAIN
    assert prune(journal, old, retain=RETAIN).sequence == last
    assert sequences(old) == list(range(1, last + 1))
    assert sequences(journal) == list(range(last + 1, len(crash()) + 1))
    assert link_findings([old, journal]) == []
    restore(tmp_path / "restored.db", [old, journal])
    assert contents(tmp_path / "restored.db") == whole
    assert books(journal, tmp_path / "restored.db") == [book, book]
    files = {path.name for path in tmp_path.iterdir()}
    assert {"archive.db", "restored.db"} == {each for each in files if "journal" not in each}


def test_a_pruned_journal_verifies_from_its_first_record_on(journal: Path) -> None:
    old = archived(journal)
    last = prune(journal, old, retain=RETAIN)
    verification = verify(journal)
    assert verification.ok
    assert verification.base == last
    assert verification.records == len(crash()) - last.sequence
    assert verification.replayed == len(crash())
    assert verify(old).head == last


def test_a_pruned_journal_is_continued_and_archived_again(journal: Path, tmp_path: Path) -> None:
    first = archived(journal)
    prune(journal, first, retain=RETAIN)
    with Recorder.open(journal, snapshot_every=2) as recorder:
        for day in range(1, 5):
            recorder.submit([m.SetTime(time_ms=day * DAY_MS)])
    second = archived(journal, "second.db", retain=1)
    assert sequences(second)[0] == sequences(first)[-1] + 1
    assert verify(second).ok
    prune(journal, second, retain=1)
    assert link_findings([first, second, journal]) == []
    restore(tmp_path / "restored.db", [first, second, journal])
    assert sequences(tmp_path / "restored.db") == list(range(1, len(crash()) + 5))
    assert verify(tmp_path / "restored.db").ok


def test_the_rest_alone_can_be_restored(journal: Path, tmp_path: Path) -> None:
    last = prune(journal, archived(journal), retain=RETAIN)
    restore(tmp_path / "copy.db", [journal])
    assert contents(tmp_path / "copy.db") == contents(journal)
    assert verify(tmp_path / "copy.db").base == last


def test_the_newest_segment_stays_with_the_records_that_it_names(tmp_path: Path) -> None:
    path = tmp_path / "segments.db"
    for limit, hour in ((0, 0), (10**9, 1), (2 * 10**9, 2)):
        with Recorder.open(path, snapshot_every=1, max_time_jump_ms=limit) as recorder:
            recorder.submit([m.SetTime(time_ms=hour * 10 + n) for n in range(3)])
    old = archived(path, retain=3)  # ends with the second segment
    prune(path, old, retain=3)
    with SqliteJournal(path, readonly=True) as opened:
        assert [segment.first_sequence for segment in opened.segments()] == [7]
    assert verify(path).ok
    restore(tmp_path / "restored.db", [old, path])
    with SqliteJournal(tmp_path / "restored.db", readonly=True) as opened:
        assert [segment.first_sequence for segment in opened.segments()] == [1, 4, 7]


# --- what is refused ---


def test_an_archive_needs_a_snapshot_that_leaves_enough(journal: Path, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"no snapshot that leaves 1000 of its \d+ records"):
        archive(journal, tmp_path / "archive.db", retain=1000)
    assert not list(tmp_path.glob("archive*"))


def test_an_archive_does_not_replace_a_file(journal: Path, tmp_path: Path) -> None:
    (tmp_path / "archive.db").write_text("precious")
    with pytest.raises(JournalError, match="exists already"):
        archived(journal)
    assert (tmp_path / "archive.db").read_text() == "precious"


def test_an_unsound_journal_is_not_archived(journal: Path, tmp_path: Path) -> None:
    spoil(journal, "UPDATE records SET events = flip(events, 99) WHERE sequence = 3")
    with pytest.raises(JournalError, match="record 3: content does not match its hash"):
        archived(journal)
    assert not list(tmp_path.glob("archive*"))


def other(journal: Path) -> Path:
    path = journal.with_name("other.db")
    record(path, [m.SetTime(time_ms=n) for n in range(40)], snapshot_every=4)
    return archived(path, "of_another.db")


def damaged(journal: Path) -> Path:
    old = archived(journal)
    spoil(old, "UPDATE records SET events = flip(events, 99) WHERE sequence = 3")
    return old


def without_its_snapshot(journal: Path) -> Path:
    old = archived(journal)
    spoil(journal, f"DELETE FROM snapshots WHERE sequence = {sequences(old)[-1]}")
    return old


def already_pruned(journal: Path) -> Path:
    old = archived(journal)
    prune(journal, old, retain=RETAIN)
    return old


@pytest.mark.parametrize(
    ("made", "retain", "problem"),
    [
        (other, RETAIN, r"its record \d+ is not one of"),
        (damaged, RETAIN, "is not sound: record 3"),
        (
            without_its_snapshot,
            RETAIN,
            r"has no snapshot of record \d+ \(any more\): write a new archive",
        ),
        (already_pruned, RETAIN, r"does not begin at record \d+"),
        (archived, 1000, "less than 1000 records would stay in .*: use the retain of the archive"),
    ],
)
def test_records_that_an_archive_does_not_replace_are_not_deleted(
    journal: Path, made: Callable[[Path], Path], retain: int, problem: str
) -> None:
    old = made(journal)
    before = contents(journal)
    with pytest.raises(JournalError, match=problem):
        prune(journal, old, retain=retain)
    assert contents(journal) == before


def test_files_in_another_order_are_neither_verified_nor_joined(
    journal: Path, tmp_path: Path
) -> None:
    old = archived(journal)
    prune(journal, old, retain=RETAIN)
    (finding,) = link_findings([journal, old])
    assert finding.problem is JournalProblem.ARCHIVE_UNLINKED
    with pytest.raises(JournalError, match="does not continue after record"):
        restore(tmp_path / "restored.db", [journal, old])
    assert not (tmp_path / "restored.db").exists()


def test_a_first_snapshot_that_is_another_one_is_found(journal: Path) -> None:
    old = archived(journal)
    last = prune(journal, old, retain=RETAIN)
    with SqliteJournal(journal) as opened:
        newest = next(opened.snapshots())
    spoil(
        journal,
        f"UPDATE snapshots SET (body, hash) = (SELECT body, hash FROM snapshots WHERE sequence = "
        f"{newest.sequence}) WHERE sequence = {last.sequence}",
    )
    assert [finding.problem for finding in link_findings([old, journal])] == [
        JournalProblem.SNAPSHOT_BOOK_MISMATCH
    ]
    assert not verify(journal).ok


def test_a_pruned_journal_without_its_first_snapshot_names_the_remedy(journal: Path) -> None:
    prune(journal, archived(journal), retain=RETAIN)
    spoil(journal, "DELETE FROM snapshots")
    with pytest.raises(JournalError, match="restore the journal from its archives"):
        Recorder.open(journal)
    (finding,) = verify(journal).findings
    assert "are in archives, and the snapshot of record" in finding.detail


def test_a_changed_base_is_found(journal: Path) -> None:
    prune(journal, archived(journal), retain=RETAIN)
    spoil(journal, "UPDATE base SET hash = flip(hash, 9)")
    problems = {finding.problem for finding in verify(journal).findings}
    assert JournalProblem.RECORD_UNLINKED in problems


# --- questions about archived records ---


def test_a_fill_in_an_archive_is_explained_there(journal: Path) -> None:
    old = archived(journal)
    prune(journal, old, retain=RETAIN)
    assert explain_fill(old, 1).recomputed == "the same"
    with pytest.raises(UnknownNameError, match=r"fill 1 is not in .*: look in its archives"):
        explain_fill(journal, 1)


def test_commands_of_a_pruned_journal_are_not_a_whole_session(journal: Path) -> None:
    prune(journal, archived(journal), retain=RETAIN)
    with pytest.raises(InputError, match="join it with its archives"):
        read_journal_commands(journal)


def test_a_file_of_before_has_no_base(journal: Path) -> None:
    with sqlite3.connect(journal) as connection:
        connection.execute("DROP TABLE base")
    connection.close()
    with SqliteJournal(journal, readonly=True) as opened:
        assert opened.base() == EMPTY_HEAD
    assert verify(journal).ok
