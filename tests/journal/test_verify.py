"""Whatever happens to the file, `verify` reports the problem and its place, or nothing was lost."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from forgery import contents, flipped, forge, links, record, spoil
from hypothesis import given
from hypothesis import strategies as st
from sessions import crash, opening

from delever.core import messages as m
from delever.core.book import Book
from delever.core.messages import Side
from delever.journal import (
    Finding,
    Head,
    JournalError,
    JournalProblem,
    Recorder,
    SqliteJournal,
    replay_events,
    verify,
)
from delever.journal.record import (
    EMPTY_HEAD,
    Snapshot,
    digest,
    encode_command,
    encode_events,
    seal_record,
    seal_snapshot,
)
from delever.journal.snapshot import decode_book, encode_book

LAST = len(crash())


@pytest.fixture(scope="module")
def sound() -> Iterator[Path]:
    """The crash on disk, with snapshots after records 12 and 24; not to be modified."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.db"
        record(path, crash(), snapshot_every=12)
        yield path


@pytest.fixture
def path(sound: Path, tmp_path: Path) -> Path:
    """A copy of the journal, to be damaged."""
    return Path(shutil.copy(sound, tmp_path / "damaged.db"))


def found(path: Path, *, deep: bool = True) -> list[str]:
    return [str(finding) for finding in verify(path, deep=deep).findings]


def test_a_sound_journal_has_no_findings(sound: Path) -> None:
    with SqliteJournal(sound, readonly=True) as journal:
        head = journal.head()
    verification = verify(sound)
    assert verification.ok
    assert (verification.records, verification.snapshots, verification.replayed) == (LAST, 2, LAST)
    assert verification.head == head
    assert verify(sound, deep=False).replayed == 0


def test_an_empty_journal_is_sound(tmp_path: Path) -> None:
    SqliteJournal(tmp_path / "new.db").close()
    verification = verify(tmp_path / "new.db")
    assert (verification.ok, verification.records, verification.head) == (True, 0, EMPTY_HEAD)


def test_a_journal_in_use_can_be_verified(tmp_path: Path) -> None:
    with Recorder.open(tmp_path / "new.db") as recorder:
        recorder.submit(crash()[:20])
        assert verify(tmp_path / "new.db").replayed == 20
        recorder.submit(crash()[20:])
        assert verify(tmp_path / "new.db").replayed == LAST


def test_commands_that_the_engine_could_not_run_are_listed(tmp_path: Path) -> None:
    """CORE-55."""
    with Recorder.open(tmp_path / "new.db") as recorder:
        recorder.submit(crash()[:20])
        recorder.book.contracts["BTC"].pool = "nowhere"
        recorder.submit([m.SetTime(time_ms=6)])
    assert verify(tmp_path / "new.db").internal_errors == (21,)
    assert verify(tmp_path / "new.db").ok
    assert verify(tmp_path / "new.db", deep=False).internal_errors == ()


def test_a_book_of_which_no_snapshot_can_be_taken_is_found(tmp_path: Path) -> None:
    """The forged position is larger than columns may be: the next snapshot would fail."""
    path = tmp_path / "new.db"
    record(path, opening())
    with SqliteJournal(path) as journal:
        book, head = newest_book_of(journal)
        large = (2**62,)
        forged = (
            m.Accepted(sequence=head.sequence + 1, time_ms=0),
            m.PositionsSet(
                version=1,
                last_fill=0,
                contract="BTC",
                side=Side.LONG,
                accounts=("ann",),
                positions=(0,),
                lots=large,
                cost_cash=(0,),
                isolated=(False,),
                margin_cash=(0,),
                leverage_hundredths=(100,),
                under_liquidation=(False,),
            ),
        )
        for event in forged:
            book.apply(event)
        command, changes = encode_command(m.SetTime(time_ms=0)), digest(book.take_changes())
        events = encode_events(forged)
        journal.append([seal_record(head.sequence + 1, 0, command, events, head.hash, changes)])
    problems = {finding.problem for finding in verify(path).findings}
    assert problems == {JournalProblem.SNAPSHOT_IMPOSSIBLE, JournalProblem.EVENTS_MISMATCH}


def newest_book_of(journal: SqliteJournal) -> tuple[Book, Head]:
    replayed = replay_events(journal, from_zero=True)
    return replayed.book, replayed.head


def test_verifying_changes_nothing(sound: Path) -> None:
    before = sound.read_bytes()
    verify(sound)
    assert sound.read_bytes() == before


def test_progress_covers_the_chain_and_both_replays(sound: Path) -> None:
    calls: list[tuple[int, int]] = []
    verify(sound, progress=lambda *call: calls.append(call))
    assert calls == [(passes * LAST, 3 * LAST) for passes in (1, 2, 3)]


SWAP = (
    "UPDATE records SET sequence = -1 WHERE sequence = 17",
    "UPDATE records SET sequence = 17 WHERE sequence = 18",
    "UPDATE records SET sequence = 18 WHERE sequence = -1",
)
ROTATE = (
    "UPDATE records SET sequence = -sequence WHERE sequence BETWEEN 15 AND 18",
    "UPDATE records SET sequence = 15 WHERE sequence = -18",
    "UPDATE records SET sequence = 1 - sequence WHERE sequence < 0",
)
MOVE = (
    "DELETE FROM records WHERE sequence = 18",
    "UPDATE records SET sequence = 18 WHERE sequence = 17",
)
DAMAGED = "the file is damaged: {path}: cannot be read: no such table:"


@pytest.mark.parametrize(
    ("statements", "findings"),
    [
        *(
            (
                [f"UPDATE records SET {column} = flip({column}, 42) WHERE sequence = 17"],
                ["record 17: content does not match its hash"],
            )
            for column in ("command", "events", "previous_hash", "book_hash", "hash")
        ),
        (
            ["UPDATE records SET time_ms = time_ms + 1 WHERE sequence = 17"],
            ["record 17: content does not match its hash"],
        ),
        (
            ["UPDATE records SET events = flip(events, 1) WHERE sequence IN (1, 2)"],
            [f"record {sequence}: content does not match its hash" for sequence in (1, 2)],
        ),
        (["DELETE FROM records WHERE sequence = 18"], ["record 18 is missing"]),
        (["DELETE FROM records WHERE sequence = 1"], ["record 1 is missing"]),
        (
            ["DELETE FROM records WHERE sequence IN (3, 8, 9, 10)"],
            ["record 3 is missing", "records 8 to 10 are missing"],
        ),
        (
            SWAP,
            [
                "record 17: is out of order, it was record 18",
                "record 18: is out of order, it was record 17",
            ],
        ),
        (
            ROTATE,
            [
                "record 15: is out of order, it was record 18",
                "record 16: is out of order, it was record 15",
                "record 17: is out of order, it was record 16",
                "record 18: is out of order, it was record 17",
            ],
        ),
        (MOVE, ["record 17 is missing", "record 18: is out of order, it was record 17"]),
        (
            [f"DELETE FROM records WHERE sequence = {LAST}"],
            [f"record {LAST} is missing at the end, but the head names more"],
        ),
        (
            ["DELETE FROM records WHERE sequence > 30"],
            [f"records 31 to {LAST} are missing at the end, but the head names more"],
        ),
        (
            ["DELETE FROM records"],
            [
                f"records 1 to {LAST} are missing at the end, but the head names more",
                "snapshot 12: does not belong to record 12 of this journal",
                "snapshot 24: does not belong to record 24 of this journal",
            ],
        ),
        (["DELETE FROM head"], [f"the head is missing; the last record is {LAST}"]),
        (
            ["UPDATE head SET hash = flip(hash, 0)"],
            [f"the head does not match the hash of record {LAST}"],
        ),
        (
            ["UPDATE head SET sequence = 31"],
            [f"the head names record 31, but record {LAST} exists"],
        ),
        (
            [f"UPDATE records SET hash = flip(hash, 0) WHERE sequence = {LAST}"],
            [f"record {LAST}: content does not match its hash"],
        ),
        (
            ["UPDATE snapshots SET body = flip(body, 500) WHERE sequence = 24"],
            ["snapshot 24: content does not match its hash"],
        ),
        (
            ["UPDATE snapshots SET sequence = 99 WHERE sequence = 24"],
            ["snapshot 99: content does not match its hash"],
        ),
        (["DROP TABLE snapshots"], [f"after record {LAST} {DAMAGED} snapshots"]),
        (["DROP TABLE records"], [f"after record 0 {DAMAGED} records"]),
    ],
)
def test_each_problem_is_reported_once_at_its_place(
    path: Path, statements: list[str], findings: list[str]
) -> None:
    spoil(path, *statements)
    expected = [text.format(path=path) for text in findings]
    assert found(path, deep=False) == expected
    assert set(expected) <= set(found(path))


def test_replays_cover_the_sound_records(path: Path) -> None:
    spoil(path, "DELETE FROM records WHERE sequence = 18")
    verification = verify(path)
    assert verification.replayed == 17
    assert verification.records == LAST - 1
    assert [finding.sequence for finding in verification.findings] == [18]


def test_a_record_sealed_again_is_not_linked_to_the_next(path: Path) -> None:
    with SqliteJournal(path, readonly=True) as journal:
        old = journal.record(17)
    assert old is not None
    forged = old._replace(command=encode_command(m.SetTime(time_ms=4)))
    spoil(
        path,
        f"UPDATE records SET command = x'{forged.command.hex()}',"
        f" hash = x'{forged.content_hash().hex()}' WHERE sequence = 17",
    )
    assert found(path, deep=False) == ["record 18: does not follow record 17, which was replaced"]


def test_a_whole_chain_sealed_again_is_found_by_replay(path: Path) -> None:
    forge(path, 17, command=encode_command(m.SetTime(time_ms=4)))
    assert verify(path, deep=False).ok
    (finding,) = verify(path).findings
    assert (finding.sequence, finding.problem) == (17, JournalProblem.EVENTS_MISMATCH)


def test_a_snapshot_sealed_again_is_found_by_replay(path: Path) -> None:
    with SqliteJournal(path) as journal:
        newest = next(journal.snapshots())
        book = decode_book(newest.body)
        book.contracts["BTC"].tables[Side.SHORT].margin[0] += 1
        head = (newest.sequence, newest.record_hash)
        journal.add_snapshot(seal_snapshot(head, encode_book(book)))
    assert verify(path, deep=False).ok
    assert verify(path).findings == (
        Finding(
            24,
            JournalProblem.SNAPSHOT_BOOK_MISMATCH,
            "snapshot 24: is not the book that the records make",
        ),
    )


def test_a_snapshot_of_another_chain_is_unlinked(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    record(other, [m.SetTime(time_ms=7)] * 24, snapshot_every=12)
    with SqliteJournal(other) as journal, SqliteJournal(path) as other_journal:
        other_journal.add_snapshot(next(journal.snapshots()))
    assert found(path) == ["snapshot 24: does not belong to record 24 of this journal"]


def test_a_snapshot_of_another_version_is_no_problem(path: Path) -> None:
    with SqliteJournal(path) as journal:
        newest = next(journal.snapshots())
        journal.add_snapshot(seal_snapshot((newest.sequence, newest.record_hash), b"\x80"))
    assert verify(path).ok


def test_verification_ends_after_the_maximum_of_findings(tmp_path: Path) -> None:
    path = tmp_path / "broken.db"
    with SqliteJournal(path) as journal:
        journal.append(links(1000))
    spoil(path, "UPDATE records SET book_hash = x'00'")
    verification = verify(path)
    assert verification.records == len(verification.findings) == 100


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, JournalProblem.FILE_MISSING),
        (b"", JournalProblem.NOT_A_JOURNAL),
        (b"not a database" * 1000, JournalProblem.NOT_A_JOURNAL),
        (bytes(4096), JournalProblem.NOT_A_JOURNAL),
    ],
)
def test_a_file_that_is_no_journal_is_one_finding(
    tmp_path: Path, content: bytes | None, problem: JournalProblem
) -> None:
    path = tmp_path / "odd.db"
    if content is not None:
        path.write_bytes(content)
    verification = verify(path)
    assert [finding.problem for finding in verification.findings] == [problem]
    assert str(path) in str(verification.findings[0])
    assert path.exists() == (content is not None)


BITS = st.integers(0, 2**20)
"""Bits of a file of 50 kB, or, modulo its size, of anything smaller."""

COLUMNS = st.sampled_from(["command", "events", "previous_hash", "book_hash", "hash"])


@given(COLUMNS, st.integers(1, LAST), BITS)
def test_any_flipped_bit_of_any_record_is_found_there(
    sound: Path, column: str, sequence: int, bit: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(sound, folder))
        flip = f"flip({column}, {bit})"
        spoil(path, f"UPDATE records SET {column} = {flip} WHERE sequence = {sequence}")
        assert found(path, deep=False) == [f"record {sequence}: content does not match its hash"]


def check_found_or_harmless(sound: Path, content: bytes) -> None:
    """Fail if a file with this content verifies, yet differs from the sound journal."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.db"
        path.write_bytes(content)
        verification = verify(path, deep=False)
        if verification.ok:
            trusted = contents(path)
            lost = [row for row in contents(sound) if row not in trusted]
            assert all(isinstance(row, Snapshot) for row in lost)
            assert len(trusted) == len(contents(sound)) - len(lost)


@given(BITS)
def test_any_flipped_bit_of_the_file_is_found_or_harmless(sound: Path, bit: int) -> None:
    check_found_or_harmless(sound, flipped(sound.read_bytes(), bit))


@given(st.integers(0, 800))
def test_any_flipped_bit_of_the_header_is_found_or_harmless(sound: Path, bit: int) -> None:
    check_found_or_harmless(sound, flipped(sound.read_bytes(), bit))


@given(BITS, st.binary(max_size=64))
def test_a_file_cut_off_or_overwritten_is_found_or_harmless(
    sound: Path, place: int, overwritten: bytes
) -> None:
    content = sound.read_bytes()
    place %= len(content)
    check_found_or_harmless(sound, content[:place] + overwritten)
    rest = content[place + len(overwritten) :]
    check_found_or_harmless(sound, content[:place] + overwritten + rest)


@given(BITS)
def test_a_damaged_file_opens_with_the_same_book_or_not_at_all(sound: Path, bit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.db"
        path.write_bytes(flipped(sound.read_bytes(), bit))
        try:
            with Recorder.open(path) as recorder:
                book = encode_book(recorder.book)
        except JournalError:
            return
        with Recorder.open(sound) as recorder:
            assert encode_book(recorder.book) == book
