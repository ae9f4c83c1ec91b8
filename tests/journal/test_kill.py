"""A process killed at any moment has stored every record that it acknowledged."""

import errno
import itertools
import multiprocessing
import os
import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from forgery import contents, flipped
from sessions import crash

from delever.core import messages as m
from delever.core.messages import Command
from delever.journal import JournalError, Record, Recorder, SqliteJournal, sqlite, verify

PROCESSES = multiprocessing.get_context("forkserver")
"""Processes forked from one that has imported this file: each is killed, and costs no imports."""

PROCESSES.set_forkserver_preload([__name__])


def commands_after(time_ms: int) -> Iterator[Command]:
    """Yield endless commands: marks up and down, injections, time."""
    for turn in itertools.count():
        now_ms = time_ms + turn
        yield m.SetMarks(time_ms=now_ms, marks={"BTC": 90 + turn % 20, "ETH": 100 - turn % 7})
        amount = 5 + turn % 3
        yield m.FundPool(
            time_ms=now_ms, pool="side", amount=amount, reason=m.FundingReason.INJECTION
        )
        yield m.SetTime(time_ms=now_ms - turn % 5)


def submit_until_killed(path: Path, acknowledge: Connection) -> None:
    """Submit batches of one to nine commands, and send the head after each."""
    recorder = Recorder.open(path, snapshot_every=100)
    if recorder.head.sequence == 0:
        recorder.submit(crash())
    source = commands_after(recorder.book.time_ms)
    for turn in itertools.count():
        recorder.submit(itertools.islice(source, 1 + turn % 9))
        acknowledge.send((recorder.head.sequence, recorder.head.hash.hex()))


def kill_after(path: Path, batches: int) -> list[tuple[int, str]]:
    """Run a process, kill it after some acknowledgements, and return all of them."""
    acknowledged, acknowledge = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=submit_until_killed, args=(path, acknowledge))
    process.start()
    acknowledge.close()
    heads = [acknowledged.recv() for _ in range(batches)]
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with suppress(EOFError, OSError):  # the last one may have been sent in part
        while True:
            heads.append(acknowledged.recv())
    return heads


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal as a killed process leaves it: most of it still in the write-ahead log."""
    path = tmp_path_factory.mktemp("killed") / "live.db"
    kill_after(path, 20)
    return path


def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    everything: list[tuple[int, str]] = []
    for batches in (1, 2, 40, 150):
        everything += kill_after(path, batches)
        verification = verify(path)
        assert verification.ok
        assert verification.head is not None
        assert verification.replayed == verification.head.sequence >= everything[-1][0]
        with Recorder.open(path) as recorder:
            assert recorder.head == verification.head
            assert recorder.book.sequence == verification.head.sequence
    with SqliteJournal(path, readonly=True) as journal:
        for sequence, text in everything:
            stored = journal.record(sequence)
            assert stored is not None
            assert stored.hash.hex() == text


@pytest.mark.slow
def test_two_hundred_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    path, draw = tmp_path / "live.db", random.Random(5)
    hashes: dict[int, str] = {}
    for _ in range(200):
        acknowledged = kill_after(path, draw.randint(1, 12))
        hashes |= acknowledged
        verification = verify(path, deep=False)
        assert verification.ok
        assert verification.head is not None
        assert verification.head.sequence >= acknowledged[-1][0]
    assert verify(path).ok
    with SqliteJournal(path, readonly=True) as journal:
        stored = {record.sequence: record.hash.hex() for record in journal.records()}
    assert list(stored) == list(range(1, len(stored) + 1))
    assert hashes.items() <= stored.items()


def refuse_to_sync(_descriptor: int) -> None:
    raise OSError(errno.EIO, "the disk failed")


def test_the_log_of_a_killed_process_is_on_disk_before_it_is_believed(
    tmp_path: Path, killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails again ends the opening, and leaves every byte of the log."""
    log = Path(f"{killed}-wal").read_bytes()
    path = write_log(tmp_path, killed, log)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse_to_sync)
        with pytest.raises(JournalError, match="its log cannot be written"):
            SqliteJournal(path)
        patch.setattr(sqlite, "REWRITE_BYTES", 100_001)
        written: list[int] = []
        patch.setattr(os, "fsync", lambda descriptor: written.append(os.fstat(descriptor).st_ino))
        with SqliteJournal(path) as journal, SqliteJournal(path, readonly=True) as reader:
            assert written == [Path(f"{path}-wal").stat().st_ino]
            assert Path(f"{path}-wal").read_bytes() == log
            assert journal.head() == reader.head()


def write_log(folder: Path, killed: Path, log: bytes) -> Path:
    """Copy the journal of the killed process, with another write-ahead log."""
    path = folder / "torn.db"
    path.write_bytes(killed.read_bytes())
    Path(f"{path}-wal").write_bytes(log)
    Path(f"{path}-shm").unlink(missing_ok=True)
    return path


@pytest.mark.parametrize("tear", ["cut off", "flipped"])
def test_a_damaged_write_ahead_log_leaves_whole_commits(
    tmp_path: Path, killed: Path, tear: str
) -> None:
    log = Path(f"{killed}-wal").read_bytes()
    whole = contents(write_log(tmp_path, killed, log))
    records = [row for row in whole if isinstance(row, Record)]
    lengths = set()
    for place in range(0, len(log), len(log) // 50):
        torn = log[:place] if tear == "cut off" else flipped(log, 8 * place)
        path = write_log(tmp_path, killed, torn)
        verification = verify(path)
        if verification.ok:
            with SqliteJournal(path, readonly=True) as journal:
                left = list(journal.records())
            assert left == records[: len(left)]
            assert verification.head is not None
            assert verification.head.sequence == len(left)
            lengths.add(len(left))
    assert len(lengths) > 10
