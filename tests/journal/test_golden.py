"""Journals of earlier engines replay to the same hashes, and open by rebuilding from records.

Each file of `golden/` was written by the engine of that month, with a snapshot in the format of
that month; its head covers every record, and each record the changes of the book.
"""

import shutil
from pathlib import Path

import pytest
from sessions import crash

from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import AdlFilled, IndicatorsPublished, RatingsSet
from delever.journal import Recorder, SqliteJournal, replay_events
from delever.journal.record import decode_command, decode_events
from delever.journal.replay import snapshot_book, snapshot_finding
from delever.journal.snapshot import encode_book

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.journal"))
HEADS = {
    "2026-11-managed": "7c50688ae4550e3cd0d994c787bf4479960cf4216729abf825c5dcb0a5980298",
    "2026-11-shared": "c0c3584e994e1441a48865b03af07cbe889a34e8abcfc3129660e00b8d64b47e",
}
every_golden = pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)


@pytest.fixture
def journal(golden: Path, tmp_path: Path) -> Path:
    """A copy, because opening a journal writes to it."""
    return Path(shutil.copy(golden, tmp_path / "golden.db"))


@every_golden
def test_the_records_replay_to_the_same_hashes(golden: Path, journal: Path) -> None:
    with SqliteJournal(journal) as opened:
        replayed = replay_events(opened, from_zero=True)
        assert replayed.finding is None
        assert replayed.head.hash.hex() == HEADS[golden.stem]
        assert replayed.records > len(crash())


@every_golden
def test_the_commands_give_the_same_events_and_changes(journal: Path) -> None:
    by_commands, by_events = Book(), Book()
    kinds = set()
    with SqliteJournal(journal) as opened:
        for record in opened.records():
            events = decode_events(record.events)
            assert step(by_commands, decode_command(record.command)) == events, record.sequence
            for event in events:
                by_events.apply(event)
                kinds.add(type(event))
            assert by_commands.take_changes() == by_events.take_changes(), record.sequence
    assert encode_book(by_commands) == encode_book(by_events)
    assert kinds >= {AdlFilled, IndicatorsPublished, RatingsSet}


@every_golden
def test_a_snapshot_of_an_earlier_format_is_rebuilt_from_the_records(journal: Path) -> None:
    with SqliteJournal(journal) as opened:
        (snapshot,) = opened.snapshots()
        assert snapshot_finding(opened, snapshot) is None  # sound, in a format of before
        assert snapshot_book(snapshot) is None
        assert replay_events(opened).began_after == 0
    with Recorder.open(journal) as recorder:
        recorder.snapshot()
        whole = encode_book(recorder.book)
    with SqliteJournal(journal) as opened:
        again = replay_events(opened)
        assert (again.began_after, again.finding) == (again.head.sequence, None)
        assert encode_book(again.book) == whole
