"""Journals on disk, and ways to falsify them."""

import sqlite3
from pathlib import Path

from delever.core.messages import Command
from delever.journal import Record, Recorder, SqliteJournal
from delever.journal.record import EMPTY_HEAD, Head, seal_record, seal_snapshot


def record(path: Path, commands: list[Command], *, snapshot_every: int = 10**9) -> None:
    """Write a journal of the commands, in commits of three, and close it."""
    with Recorder.open(path, snapshot_every=snapshot_every) as recorder:
        for start in range(0, len(commands), 3):
            recorder.submit(commands[start : start + 3])


def spoil(path: Path, *statements: str) -> None:
    """Run SQL on the file directly; the function `flip(blob, bit)` changes one bit."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.create_function("flip", 2, flipped)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def flipped(content: bytes, bit: int) -> bytes:
    """Return the bytes with one bit changed, modulo their length."""
    place = bit // 8 % len(content)
    changed = content[place] ^ 1 << bit % 8
    return content[:place] + bytes([changed]) + content[place + 1 :]


def contents(path: Path) -> list[tuple[object, ...]]:
    """Return the records, snapshots and head of a journal."""
    with SqliteJournal(path, readonly=True) as journal:
        return [*journal.records(), *journal.snapshots(), journal.head() or ()]


def forge(path: Path, sequence: int, **content: object) -> None:
    """Rewrite one record, and seal all records, the head and the snapshots again."""
    with SqliteJournal(path) as journal:
        records = list(journal.records())
        bodies = {snapshot.sequence: snapshot.body for snapshot in journal.snapshots()}
    previous, forged = EMPTY_HEAD.hash, []
    for old in records:
        new = old._replace(**content) if old.sequence == sequence else old
        forged.append(seal_record(*new[:4], previous, new.book_hash))
        previous = forged[-1].hash
    spoil(path, "DELETE FROM records", "DELETE FROM snapshots", "DELETE FROM head")
    spoil(path, f"INSERT INTO head VALUES (1, 0, x'{EMPTY_HEAD.hash.hex()}')")
    with SqliteJournal(path) as journal:
        journal.append(forged)
        for place, body in bodies.items():
            journal.add_snapshot(seal_snapshot(forged[place - 1].head, body))


def links(count: int, start: Head = EMPTY_HEAD) -> list[Record]:
    """Return linked records with arbitrary content."""
    chain: list[Record] = []
    for sequence in range(start.sequence + 1, start.sequence + count + 1):
        previous = chain[-1].hash if chain else start.hash
        chain.append(seal_record(sequence, 10 * sequence, b"command", b"events", previous, b"book"))
    return chain
