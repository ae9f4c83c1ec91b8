"""A replay gives the same book and the same events, from zero and from any snapshot."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from forgery import forge, record, spoil
from hypothesis import given
from hypothesis import strategies as st
from sessions import amended, crash, sessions

from delever.core import messages as m
from delever.core.messages import Command
from delever.journal import (
    JournalProblem,
    Recorder,
    Replay,
    SqliteJournal,
    replay_commands,
    replay_events,
)
from delever.journal.record import decode_events, encode_command, encode_events
from delever.journal.snapshot import encode_book

LAST = len(crash())
TAKEOVER = 1 + next(place for place, c in enumerate(crash()) if isinstance(c, m.Takeover))

BOTH = pytest.mark.parametrize("replay", [replay_events, replay_commands])
Replayer = Callable[..., Replay]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The crash on disk, with snapshots after records 12 and 24."""
    path = tmp_path / "crash.db"
    record(path, crash(), snapshot_every=12)
    return path


@given(sessions(), st.integers(1, 20), st.integers(1, 20))
def test_every_session_replays_to_the_same_book(
    session: list[Command], size: int, snapshot_every: int
) -> None:
    with Recorder.open(":memory:", snapshot_every=snapshot_every) as recorder:
        for start in range(0, len(session), size):
            recorder.submit(session[start : start + size])
        for replay in (replay_events, replay_commands):
            for from_zero in (True, False):
                replayed = replay(recorder.journal, from_zero=from_zero)
                assert replayed.finding is None
                assert replayed.head == recorder.head
                assert encode_book(replayed.book) == encode_book(recorder.book)


@BOTH
@pytest.mark.parametrize("from_zero", [True, False])
def test_a_session_with_amendments_replays(
    tmp_path: Path, replay: Replayer, from_zero: bool
) -> None:
    path = tmp_path / "amended.db"
    record(path, amended(), snapshot_every=22)
    with SqliteJournal(path, readonly=True) as journal:
        replayed = replay(journal, from_zero=from_zero)
        events = [e for entry in journal.records() for e in decode_events(entry.events)]
    assert replayed.finding is None
    kinds = {type(event) for event in events}
    assert kinds >= {m.ContractAmended, m.PositionsClosed, m.InventoryClosed, m.PoolAmended}


@BOTH
@pytest.mark.parametrize(("until", "began_after"), [(11, 0), (12, 12), (20, 12), (30, 24)])
def test_a_replay_until_a_record_gives_the_book_after_it(
    path: Path, replay: Replayer, until: int, began_after: int
) -> None:
    then = Recorder.open(":memory:")
    then.submit(crash()[:until])
    with SqliteJournal(path, readonly=True) as journal:
        for from_zero in (False, True):
            replayed = replay(journal, until=until, from_zero=from_zero)
            assert replayed.finding is None
            assert replayed.head == then.head
            assert replayed.began_after == (0 if from_zero else began_after)
            assert replayed.records == until - replayed.began_after
            assert encode_book(replayed.book) == encode_book(then.book)
    then.close()


@BOTH
def test_an_empty_journal_replays_to_an_empty_book(replay: Replayer) -> None:
    with SqliteJournal(":memory:") as journal:
        replayed = replay(journal)
        assert (replayed.records, replayed.finding) == (0, None)
        assert replayed.book.sequence == 0


@BOTH
def test_progress_is_reported_up_to_the_end(path: Path, replay: Replayer) -> None:
    calls: list[tuple[int, int]] = []
    with SqliteJournal(path, readonly=True) as journal:
        replay(journal, from_zero=True, progress=lambda *call: calls.append(call))
        replay(journal, until=30, progress=lambda *call: calls.append(call))
    assert calls == [(LAST, LAST), (6, 6)]


@BOTH
def test_a_replay_reads_one_state_of_a_journal_in_use(path: Path, replay: Replayer) -> None:
    with Recorder.open(path) as writer, SqliteJournal(path, readonly=True) as journal:
        later = m.SetTime(time_ms=writer.book.time_ms)
        replayed = replay(journal, progress=lambda *_: writer.submit([later]))
        assert (replayed.head.sequence, replayed.finding) == (LAST, None)
        assert replay(journal).head == writer.head


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE snapshots SET body = flip(body, 99) WHERE sequence = 24",
        "UPDATE snapshots SET record_hash = flip(record_hash, 9) WHERE sequence = 24",
        "UPDATE snapshots SET sequence = 25 WHERE sequence = 24",
        "DELETE FROM snapshots WHERE sequence = 24",
    ],
)
def test_an_untrusted_snapshot_is_ignored(path: Path, statement: str) -> None:
    spoil(path, statement)
    with SqliteJournal(path, readonly=True) as journal:
        replayed = replay_events(journal)
        assert (replayed.began_after, replayed.finding) == (12, None)
        assert replayed.head == journal.head()


def test_a_snapshot_of_another_version_is_ignored(path: Path) -> None:
    with SqliteJournal(path) as journal:
        newest = next(journal.snapshots())
        fields = msgspec.msgpack.decode(newest.body)
        del fields["last_fill"]
        newest = newest._replace(body=msgspec.msgpack.encode(fields))
        journal.add_snapshot(newest._replace(hash=newest.content_hash()))
        assert replay_events(journal).began_after == 12


@BOTH
def test_a_replay_stops_before_a_changed_record(path: Path, replay: Replayer) -> None:
    spoil(path, "UPDATE records SET events = flip(events, 77) WHERE sequence = 17")
    with SqliteJournal(path, readonly=True) as journal:
        replayed = replay(journal, from_zero=True)
    assert replayed.head.sequence == replayed.book.sequence == 16
    assert str(replayed.finding) == "record 17: content does not match its hash"


@BOTH
def test_a_replay_reports_missing_records_at_the_end(path: Path, replay: Replayer) -> None:
    spoil(path, "DELETE FROM records WHERE sequence > 30")
    with SqliteJournal(path, readonly=True) as journal:
        replayed = replay(journal)
        assert replayed.finding is not None
        assert replayed.finding.problem is JournalProblem.RECORD_MISSING
        assert replay(journal, until=30).finding is None


def recorded_events(path: Path, sequence: int) -> tuple[m.AnyEvent, ...]:
    with SqliteJournal(path, readonly=True) as journal:
        recorded = journal.record(sequence)
    assert recorded is not None
    return decode_events(recorded.events)


def test_forged_events_do_not_match_the_book_hash(path: Path) -> None:
    accepted, taken, *rest = recorded_events(path, TAKEOVER)
    assert isinstance(taken, m.TakenOver)
    cheaper = msgspec.structs.replace(taken, to_pool_cash=taken.to_pool_cash + 1)
    forge(path, TAKEOVER, events=encode_events([accepted, cheaper, *rest]))
    with SqliteJournal(path, readonly=True) as journal:
        by_events = replay_events(journal, from_zero=True).finding
        by_commands = replay_commands(journal, from_zero=True).finding
    assert by_events is not None
    assert by_commands is not None
    assert (by_events.sequence, by_events.problem) == (TAKEOVER, JournalProblem.BOOK_MISMATCH)
    assert (by_commands.sequence, by_commands.problem) == (TAKEOVER, JournalProblem.EVENTS_MISMATCH)
    assert "event 1 was TakenOver(" in by_commands.detail
    assert "to_pool_cash=1," in by_commands.detail


def test_a_removed_event_is_reported_with_both_counts(path: Path) -> None:
    events = recorded_events(path, TAKEOVER)
    forge(path, TAKEOVER, events=encode_events(events[:-1]))
    with SqliteJournal(path, readonly=True) as journal:
        finding = replay_commands(journal, from_zero=True).finding
    assert f"{len(events) - 1} events were recorded, {len(events)} follow now" in str(finding)


def test_a_forged_command_does_not_give_the_recorded_events(path: Path) -> None:
    takeover = encode_command(m.Takeover(time_ms=4, account="bob"))
    forge(path, TAKEOVER, command=takeover)
    with SqliteJournal(path, readonly=True) as journal:
        assert replay_events(journal, from_zero=True).finding is None
        finding = replay_commands(journal, from_zero=True).finding
    assert finding is not None
    assert (finding.sequence, finding.problem) == (TAKEOVER, JournalProblem.EVENTS_MISMATCH)


@BOTH
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"book_hash": bytes(32)}, JournalProblem.BOOK_MISMATCH),
        ({"time_ms": 3}, JournalProblem.BOOK_MISMATCH),
        ({"command": b"?", "events": b"?"}, JournalProblem.REPLAY_FAILED),
    ],
)
def test_other_forgeries_are_reported_at_their_record(
    path: Path, replay: Replayer, content: dict[str, object], problem: JournalProblem
) -> None:
    forge(path, TAKEOVER, **content)
    with SqliteJournal(path, readonly=True) as journal:
        finding = replay(journal, from_zero=True).finding
    assert finding is not None
    assert (finding.sequence, finding.problem) == (TAKEOVER, problem)


def test_events_of_an_unknown_contract_cannot_be_replayed(path: Path) -> None:
    moved = m.ContractMoved(contract="DOGE", source="main", target="side", note="")
    accepted = m.Accepted(sequence=TAKEOVER, time_ms=4)
    forge(path, TAKEOVER, events=encode_events([accepted, moved]))
    with SqliteJournal(path, readonly=True) as journal:
        finding = replay_events(journal, from_zero=True).finding
    assert str(finding) == f"record {TAKEOVER}: cannot be replayed: KeyError('DOGE')"
