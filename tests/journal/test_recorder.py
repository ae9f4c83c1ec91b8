"""Events that `submit` returns are durable; what could not be written is not returned."""

from pathlib import Path

import msgspec
import pytest
from forgery import links, record, spoil
from sessions import balances, crash, opening, position

from delever.core import messages as m
from delever.core.accounting.invariants import InvariantBrokenError
from delever.core.book.pool_state import PoolState
from delever.core.engine import is_internal_error, step
from delever.core.messages import Side
from delever.journal import (
    EngineFailure,
    JournalError,
    Recorder,
    SqliteJournal,
    replay_commands,
    replay_events,
)
from delever.journal.record import decode_command, decode_events
from delever.journal.snapshot import decode_book, encode_book


def sequences(journal: SqliteJournal) -> list[int]:
    return [snapshot.sequence for snapshot in journal.snapshots()]


def test_records_are_durable_before_their_events_are_returned(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with Recorder.open(path) as recorder, SqliteJournal(path, readonly=True) as reader:
        outcomes = recorder.submit(crash()[:20])
        records = list(reader.records())
        assert [decode_command(r.command) for r in records] == crash()[:20]
        assert [decode_events(r.events) for r in records] == outcomes
        assert reader.head() == recorder.head == records[-1].head


def test_a_rejected_command_is_recorded() -> None:
    with Recorder.open(":memory:") as recorder:
        recorder.submit(opening())
        (events,) = recorder.submit([m.Takeover(time_ms=0, account="nobody")])
        assert isinstance(events[0], m.Rejected)
        assert recorder.head.sequence == recorder.book.sequence == len(opening()) + 1


def test_submitting_nothing_records_nothing() -> None:
    with Recorder.open(":memory:") as recorder:
        assert recorder.submit([]) == []
        assert recorder.head.sequence == 0


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_the_size_of_a_commit_changes_nothing(tmp_path: Path, size: int) -> None:
    with Recorder.open(":memory:") as whole, Recorder.open(tmp_path / "new.db") as recorder:
        outcomes = whole.submit(crash())
        pieces = [crash()[at : at + size] for at in range(0, len(crash()), size)]
        assert [events for piece in pieces for events in recorder.submit(piece)] == outcomes
        assert recorder.head == whole.head


@pytest.mark.parametrize("snapshot_every", [1, 7, 1000])
def test_a_journal_opened_again_continues(tmp_path: Path, snapshot_every: int) -> None:
    with Recorder.open(":memory:") as whole:
        whole.submit(crash())
        for command in crash():
            with Recorder.open(tmp_path / "new.db", snapshot_every=snapshot_every) as recorder:
                recorder.submit([command])
        assert recorder.head == whole.head
        assert encode_book(recorder.book) == encode_book(whole.book)


def test_a_snapshot_is_added_after_the_given_number_of_records(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    record(path, crash()[:21], snapshot_every=10)
    with Recorder.open(path, snapshot_every=10) as recorder:
        assert sequences(recorder.journal) == [12]
        recorder.submit(crash()[21:22])
        assert sequences(recorder.journal) == [22, 12]


def test_a_restart_begins_at_the_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    recorder = Recorder.open(path)
    recorder.submit(crash()[:20])
    recorder.close(snapshot=True)
    calls: list[tuple[int, int]] = []
    with Recorder.open(path, progress=lambda *call: calls.append(call)) as again:
        assert again.head.sequence == 20
        again.submit(crash()[20:])
    with Recorder.open(path, progress=lambda *call: calls.append(call)):
        assert calls == [(len(crash()) - 20, len(crash()) - 20)]


def test_closing_again_without_records_adds_no_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    for _ in range(3):
        recorder = Recorder.open(path)
        recorder.submit(opening() if recorder.head.sequence == 0 else [])
        recorder.close(snapshot=True)
    with SqliteJournal(path) as journal:
        assert sequences(journal) == [len(opening())]


def test_a_value_that_no_command_can_have_is_rejected_before_anything_runs() -> None:
    with Recorder.open(":memory:") as recorder:
        recorder.submit(opening())
        wrong = m.SetPositions(time_ms=1, version=1, positions=(position("ann", Side.LONG, 0.1),))
        with pytest.raises(msgspec.ValidationError, match=r"positions\[0\]\.quantity"):
            recorder.submit([balances(1, ann=5), wrong])
        assert recorder.book.time_ms == 0
        recorder.submit([balances(1, ann=5)])
        assert recorder.head.sequence == len(opening()) + 1


def test_the_engine_gets_the_values_that_a_replay_gets() -> None:
    with Recorder.open(":memory:") as recorder:
        as_list = m.SetMarks(time_ms=0, marks={"ETH": 1, "BTC": 2})
        recorder.submit([*opening(), as_list])
        newest = recorder.journal.record(recorder.head.sequence)
        assert newest is not None
        assert decode_command(newest.command) == as_list
        with Recorder.open(":memory:") as again:
            for command in [*opening(), as_list]:
                step(again.book, command)
            assert encode_book(again.book) == encode_book(recorder.book)


def test_an_amount_beyond_64_bits_is_rejected_and_recorded(tmp_path: Path) -> None:
    with Recorder.open(tmp_path / "new.db") as recorder:
        recorder.submit(opening())
        (events,) = recorder.submit([msgspec.structs.replace(balances(1, ann=10**25), strict=True)])
        assert isinstance(events[0], m.Rejected)
        assert events[0].reason is m.Reason.EXCEEDS_NUMERIC_RANGE
    with Recorder.open(tmp_path / "new.db") as recorder:
        assert recorder.head.sequence == len(opening()) + 1


def break_engine(recorder: Recorder) -> None:
    """Damage the book in memory, so that the next step raises."""
    recorder.book.contracts["BTC"].pool = "nowhere"


def test_a_command_whose_step_raises_is_rejected_and_the_book_is_as_before_it() -> None:
    """CORE-55."""
    failures: list[EngineFailure] = []
    with (
        Recorder.open(":memory:", on_failure=failures.append) as recorder,
        Recorder.open(":memory:") as sound,
    ):
        recorder.submit(crash()[:20])
        sound.submit(crash()[:20])
        break_engine(recorder)
        bad = m.SetTime(time_ms=6, id="x")
        outcomes = recorder.submit([bad, *crash()[20:]])
        expected = m.Rejected(
            command="set_time", reason=m.Reason.INTERNAL_ERROR, field="", value="KeyError"
        )
        assert outcomes[0] == (expected,)
        assert [(f.sequence, f.command, str(f.error)) for f in failures] == [(21, bad, "'nowhere'")]
        sound.submit([m.Takeover(time_ms=6, account="nobody"), *crash()[20:]])
        assert encode_book(recorder.book) == encode_book(sound.book)
        assert replay_events(recorder.journal, from_zero=True).finding is None
        by_command = replay_commands(recorder.journal, from_zero=True)
        assert by_command.finding is None
        assert encode_book(by_command.book) == encode_book(sound.book)


def test_commands_before_the_one_that_raises_remain_and_each_of_many_is_rejected() -> None:
    """The second error is restored from the copy that was taken at the first."""
    with Recorder.open(":memory:", snapshot_every=15) as recorder:
        recorder.submit(crash()[:18])
        good = crash()[18:20]
        recorder.submit(good)
        book = encode_book(recorder.book)
        for time_ms in (6, 7):
            break_engine(recorder)
            (events,) = recorder.submit([m.SetTime(time_ms=time_ms)])
            assert is_internal_error(events)
            head = decode_book(encode_book(recorder.book))
            head.sequence = 20
            assert encode_book(head) == book
        assert replay_events(recorder.journal).finding is None


class WithoutMemory(dict[str, PoolState]):
    """Pools whose look-up finds no memory."""

    def __getitem__(self, name: str) -> PoolState:
        raise MemoryError(name)


def test_an_error_without_memory_stops_the_recorder(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with Recorder.open(path) as recorder:
        recorder.submit(crash()[:20])
        recorder.book.pools = WithoutMemory(recorder.book.pools)
        with pytest.raises(MemoryError):
            recorder.submit([m.SetTime(time_ms=6)])
        with pytest.raises(JournalError, match="open the journal again"):
            recorder.submit([m.SetTime(time_ms=7)])
        with pytest.raises(JournalError, match="open the journal again"):
            recorder.snapshot()
    with Recorder.open(path) as again:
        assert again.head.sequence == 20


def test_a_snapshot_that_cannot_be_taken_is_left_out_and_reported(tmp_path: Path) -> None:
    failures: list[EngineFailure] = []
    path = tmp_path / "new.db"
    with Recorder.open(path, snapshot_every=10, on_failure=failures.append) as recorder:
        recorder.submit(crash()[:9])
        recorder.book.assets["USDT"].pool_balance += 1
        recorder.submit(crash()[9:10])
        assert [(f.place, f.sequence, f.command) for f in failures] == [("snapshot", 10, None)]
        assert sequences(recorder.journal) == []
        recorder.submit(crash()[10:11])
    with Recorder.open(path) as again:
        assert again.head.sequence == 11


def test_a_second_writer_stops_the_first(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with Recorder.open(path) as first, Recorder.open(path) as second:
        second.submit(opening()[:1])
        for why in ("does not follow the head", "open the journal again"):
            with pytest.raises(JournalError, match=why):
                first.submit(opening()[:1])


def test_an_unsound_book_is_not_stored_as_a_snapshot(tmp_path: Path) -> None:
    with Recorder.open(tmp_path / "new.db") as recorder:
        recorder.submit(crash()[:15])
        recorder.book.contracts["BTC"].tables[Side.SHORT].lots[0] += 1
        with pytest.raises(InvariantBrokenError):
            recorder.snapshot()
        assert sequences(recorder.journal) == []


def test_an_unsound_journal_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    record(path, crash())
    spoil(path, "DELETE FROM records WHERE sequence > 20")
    with pytest.raises(JournalError, match=r"new\.db: records 21 to \d+ are missing at the end"):
        Recorder.open(path)


def test_records_without_real_commands_are_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with SqliteJournal(path) as journal:
        journal.append(links(3))
    with pytest.raises(JournalError, match="record 1: cannot be replayed"):
        Recorder.open(path)
