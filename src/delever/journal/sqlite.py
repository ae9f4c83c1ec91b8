"""The journal as one SQLite file: what was appended is on disk before `append` returns.

Write-ahead log with `synchronous=FULL`: a commit ends with the log on disk, and a process killed
at any moment leaves the records of whole commits. Many records share one commit. The head, the
newest sequence and hash, is written in the same commit, so that a lost tail is noticed.

After a failed fsync the system may return bytes that are not on disk, and report success for the
next fsync (https://wiki.postgresql.org/wiki/Fsync_Errors). A process that is killed then leaves a
log whose end can be read and is lost with the power, together with every commit that follows it.
Opening a journal for writing therefore writes its log again, byte by byte in place, and syncs it
before anything else: only then is what was read on disk.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from delever.journal.record import EMPTY_HEAD, Head, Record, Segment, Snapshot

APPLICATION_ID = 0x64656C76
"""SQLite application id that marks the file as a journal: the letters 'delv'."""

SCHEMA_VERSION = 1
"""Version of the tables below, stored as SQLite's user_version."""

PAGE_BYTES = 16_384
"""Page size of a new file: large, because records can be long and every page is logged."""

CACHE_KIB = 65_536
"""Page cache: a larger commit spills into the log page by page."""

REWRITE_BYTES = 1 << 20
"""Bytes of the log that are written again at one time."""

MAX_SEQUENCE = 2**63 - 1
"""Upper bound on any sequence."""

_TABLES = (
    """CREATE TABLE records (
        sequence INTEGER PRIMARY KEY,
        time_ms INTEGER NOT NULL,
        command BLOB NOT NULL,
        events BLOB NOT NULL,
        previous_hash BLOB NOT NULL,
        book_hash BLOB NOT NULL,
        hash BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE head (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        sequence INTEGER NOT NULL,
        hash BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE snapshots (
        sequence INTEGER PRIMARY KEY,
        record_hash BLOB NOT NULL,
        body BLOB NOT NULL,
        hash BLOB NOT NULL
    ) STRICT""",
)

_SEGMENTS_TABLE = """CREATE TABLE IF NOT EXISTS segments (
        first_sequence INTEGER PRIMARY KEY,
        previous_hash BLOB NOT NULL,
        body BLOB NOT NULL,
        hash BLOB NOT NULL
    ) STRICT"""
"""Added to the files of before it when they are written again; they have no segment until then."""

_BASE_TABLE = """CREATE TABLE IF NOT EXISTS base (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        sequence INTEGER NOT NULL,
        hash BLOB NOT NULL
    ) STRICT"""
"""The last record before the first one of the file; the records up to it are in archives."""

_LOG_POSITION_TABLE = """CREATE TABLE IF NOT EXISTS log_position (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        log_sequence INTEGER NOT NULL
    ) STRICT"""
"""The last message of the replicated log whose commands are in the file; 0 for none, or no log."""

_RECORDS = "SELECT sequence, time_ms, command, events, previous_hash, book_hash, hash FROM records"
_SNAPSHOTS = "SELECT sequence, record_hash, body, hash FROM snapshots"

_SNAPSHOT_TIMES = """SELECT snapshots.sequence, time_ms FROM snapshots
    JOIN records ON records.sequence = snapshots.sequence ORDER BY snapshots.sequence"""

_SEGMENTS = "SELECT first_sequence, previous_hash, body, hash FROM segments"
_HAS_SEGMENTS = "SELECT 1 FROM sqlite_schema WHERE name = 'segments'"
_HAS_BASE = "SELECT 1 FROM sqlite_schema WHERE name = 'base'"

_PRUNE_SEGMENTS = """DELETE FROM segments WHERE first_sequence < (
    SELECT max(first_sequence) FROM segments WHERE first_sequence <= ? + 1)"""

_SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""Errors of reading a damaged file; the second is raised if SQLite's message quotes the damage."""


class JournalError(Exception):
    """Raised for a journal that cannot be opened, trusted or written."""


class SqliteJournal:
    """Records, head and snapshots in one file; ':memory:' stores them for this process only.

    One writer at a time: an append that does not follow the head is rejected. Readers may open the
    same file while it is written. Raises JournalError if the file is not a journal.
    """

    def __init__(self, path: str | Path, *, readonly: bool = False) -> None:
        self.path = str(path)
        try:
            self._connection = _connect(self.path, readonly=readonly)
        except _SQLITE_ERRORS as error:
            raise JournalError(f"{self.path}: cannot be opened: {error}") from error
        try:
            self._open(readonly=readonly)
        except _SQLITE_ERRORS as error:
            self.close()
            raise JournalError(f"{self.path}: {error}") from error
        except JournalError:
            self.close()
            raise

    def _open(self, *, readonly: bool) -> None:
        if self._pragma("page_count") == 0 and not readonly:
            self._create()
        version = self._pragma("application_id"), self._pragma("user_version")
        if version != (APPLICATION_ID, SCHEMA_VERSION):
            raise JournalError(f"{self.path}: is not a journal of format {SCHEMA_VERSION}")
        if not readonly:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._rewrite_log()
            self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            self._connection.execute(_SEGMENTS_TABLE)
            self._connection.execute(_BASE_TABLE)
            self._connection.execute(_LOG_POSITION_TABLE)

    def _create(self) -> None:
        self._connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        with self._transaction() as connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            for table in _TABLES:
                connection.execute(table)
            connection.execute("INSERT INTO head VALUES (1, ?, ?)", EMPTY_HEAD)

    def _rewrite_log(self) -> None:
        """Make durable what the log of an ended process has, before any of it is believed.

        The transaction excludes other writers; checkpoints, which it does not exclude, only read
        the log. Raises JournalError where the disk fails again.
        """
        file = self._connection.execute("PRAGMA database_list").fetchone()[2]
        if not file:  # in memory
            return
        try:
            with self._transaction():
                rewrite_file(f"{os.fsdecode(file)}-wal")
        except OSError as error:
            self._close_without_checkpoint()
            raise JournalError(f"{self.path}: its log cannot be written: {error}") from error

    def _close_without_checkpoint(self) -> None:
        """Close the file and leave its log; SQLite checkpoints with the last writing connection."""
        with closing(_connect(self.path, readonly=True)) as reader:
            reader.execute("SELECT sequence FROM head").fetchone()
            self.close()

    def _pragma(self, name: str) -> object:
        return self._connection.execute(f"PRAGMA {name}").fetchone()[0]

    # --- writing ---

    def append(
        self,
        records: Sequence[Record],
        segment: Segment | None = None,
        log_sequence: int | None = None,
    ) -> None:
        """Append records that follow the head in one commit; on return they are on disk.

        With a segment, it begins with the first of them. A replica names the last message of the
        log that it has run, with or without records.

        Raises JournalError, with no record written, if another writer has moved the head or the
        write fails.
        """
        with self._transaction() as connection:
            if log_sequence is not None:
                position = (1, log_sequence)
                connection.execute("INSERT OR REPLACE INTO log_position VALUES (?, ?)", position)
            if not records:
                return
            first, last = records[0], records[-1]
            moved = connection.execute(
                "UPDATE head SET sequence = ?, hash = ? WHERE sequence = ? AND hash = ?",
                (*last.head, first.sequence - 1, first.previous_hash),
            )
            if moved.rowcount != 1:
                raise JournalError(f"{self.path}: record {first.sequence} does not follow the head")
            # sqlite3 looks for an adapter of each bytes object, but stores a bytearray directly.
            rows = [(*record[:4], *map(bytearray, record[4:])) for record in records]
            connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            if segment is not None:
                connection.execute("INSERT INTO segments VALUES (?, ?, ?, ?)", segment)

    def add_snapshot(self, snapshot: Snapshot) -> None:
        """Store a snapshot, replacing one of the same sequence."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)", snapshot)

    def drop_snapshots(self, sequences: Sequence[int]) -> None:
        """Delete the snapshots of some records."""
        with self._transaction() as connection:
            connection.executemany(
                "DELETE FROM snapshots WHERE sequence = ?", [(each,) for each in sequences]
            )

    def extend(self, source: "SqliteJournal", until: Head) -> None:
        """Append the records of another journal after the head of this one, up to a record.

        Segments and snapshots go with them. A new journal begins where the other one does. Raises
        JournalError, with nothing written, where the other one does not continue this one.
        """
        own, base = self.head() or EMPTY_HEAD, source.base()
        begin = base if own == EMPTY_HEAD else own
        if begin != base and source.head_at(begin.sequence) != begin:
            raise JournalError(f"{source.path}: does not continue after record {begin.sequence}")
        with source.read_transaction(), self._transaction() as connection:
            records = source.records(begin.sequence, until.sequence)
            connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", records)
            segments = [each for each in source.segments() if each.first_sequence <= until.sequence]
            connection.executemany("INSERT OR IGNORE INTO segments VALUES (?, ?, ?, ?)", segments)
            snapshots = source.snapshots(until.sequence)
            connection.executemany("INSERT OR IGNORE INTO snapshots VALUES (?, ?, ?, ?)", snapshots)
            connection.execute("UPDATE head SET sequence = ?, hash = ?", until)
            if own == EMPTY_HEAD and base != EMPTY_HEAD:
                connection.execute("INSERT OR REPLACE INTO base VALUES (1, ?, ?)", base)

    def prune(self, base: Head) -> None:
        """Delete the records up to one that has a snapshot, and what belongs to them alone."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM records WHERE sequence <= ?", (base.sequence,))
            connection.execute("DELETE FROM snapshots WHERE sequence < ?", (base.sequence,))
            connection.execute(_PRUNE_SEGMENTS, (base.sequence,))
            connection.execute("INSERT OR REPLACE INTO base VALUES (1, ?, ?)", base)

    def compact(self) -> None:
        """Return the space of deleted records to the file system; needs as much free space."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except _SQLITE_ERRORS as error:
            raise JournalError(f"{self.path}: cannot be compacted: {error}") from error

    def end_log(self) -> None:
        """Leave the write-ahead mode, so that the journal is one file, also on a read-only disk."""
        try:
            self._connection.execute("PRAGMA journal_mode = DELETE")
        except _SQLITE_ERRORS as error:
            raise JournalError(f"{self.path}: cannot be written: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit the writes of the block, or none of them after an error."""
        try:
            with self._connection as connection:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
        except _SQLITE_ERRORS as error:
            raise JournalError(f"{self.path}: cannot be written: {error}") from error

    # --- reading; raises JournalError for a damaged file ---

    @contextmanager
    def read_transaction(self) -> Iterator[None]:
        """Run all reads of the block against one state, whatever is appended meanwhile."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.rollback()

    def head(self) -> Head | None:
        """Return the newest sequence and hash; None if the file has lost them."""
        row = next(self._rows("SELECT sequence, hash FROM head"), None)
        if row is None or (type(row[0]), type(row[1])) != (int, bytes):
            return None
        return Head(*row)

    def base(self) -> Head:
        """Return the last record before those of the file, (0, genesis) for a whole journal."""
        if next(self._rows(_HAS_BASE), None) is None:
            return EMPTY_HEAD
        row = next(self._rows("SELECT sequence, hash FROM base"), None)
        return EMPTY_HEAD if row is None else Head(*row)

    def log_sequence(self) -> int:
        """Return the last message of the replicated log whose commands the file has, or 0."""
        row = next(self._rows("SELECT log_sequence FROM log_position"), None)
        return 0 if row is None else int(row[0])

    def head_at(self, sequence: int) -> Head | None:
        """Return a record, or the base, as a head; None where the file does not have it."""
        record, base = self.record(sequence), self.base()
        if record is None:
            return base if base.sequence == sequence else None
        return record.head

    def records(self, after: int = 0, until: int = MAX_SEQUENCE) -> Iterator[Record]:
        """Return the records with after < sequence <= until, in order."""
        query = f"{_RECORDS} WHERE sequence > ? AND sequence <= ? ORDER BY sequence"
        return map(Record._make, self._rows(query, after, until))

    def hashes(self, after: int, until: int) -> list[bytes]:
        """Return the hashes of the records with after < sequence <= until, in order."""
        query = "SELECT hash FROM records WHERE sequence > ? AND sequence <= ? ORDER BY sequence"
        return [row[0] for row in self._rows(query, after, until)]

    def record(self, sequence: int) -> Record | None:
        """Return one record, or None if it does not exist."""
        return next(self.records(sequence - 1, sequence), None)

    def intact_records(self, after: int = 0, until: int = MAX_SEQUENCE) -> Iterator[Record]:
        """Return the same records as `records`; raise JournalError for a changed one.

        For readers that serve records without a replay, which compares all of them.
        """
        for record in self.records(after, until):
            if record.content_hash() != record.hash:
                where = f"{self.path}: record {record.sequence}"
                raise JournalError(f"{where}: content does not match its hash")
            yield record

    def intact_record(self, sequence: int) -> Record | None:
        """Return one record, or None if it does not exist; raise JournalError for a changed one."""
        return next(self.intact_records(sequence - 1, sequence), None)

    def snapshots(self, until: int = MAX_SEQUENCE) -> Iterator[Snapshot]:
        """Return the snapshots up to a sequence, newest first."""
        query = f"{_SNAPSHOTS} WHERE sequence <= ? ORDER BY sequence DESC"
        return map(Snapshot._make, self._rows(query, until))

    def snapshot_times(self) -> list[tuple[int, int]]:
        """Return (sequence, time of its record) of every snapshot, oldest first."""
        return list(self._rows(_SNAPSHOT_TIMES))

    def segments(self) -> list[Segment]:
        """Return the segments, oldest first; none for a file of before them."""
        if next(self._rows(_HAS_SEGMENTS), None) is None:
            return []
        rows = self._rows(f"{_SEGMENTS} ORDER BY first_sequence")
        return list(map(Segment._make, rows))

    def damage(self) -> str | None:
        """Return the report of SQLite's integrity check, or None for an intact file."""
        rows = self._rows("PRAGMA integrity_check(3)")
        text = "; ".join(row[0].decode(errors="replace") for row in rows)
        return None if text == "ok" else text

    def _rows(self, query: str, *values: int) -> Iterator[tuple[Any, ...]]:
        try:
            # `yield from` would close the cursor of a closed file once its generator is collected
            for row in self._connection.execute(query, values):  # noqa: UP028
                yield row
        except _SQLITE_ERRORS as error:
            raise JournalError(f"{self.path}: cannot be read: {error}") from error

    # --- closing ---

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def rewrite_file(path: str) -> None:
    """Write the bytes of a file again, in place, and sync them; do nothing without the file.

    Interrupted at any byte it leaves the same file. Raises OSError.
    """
    try:
        opened = open(path, "r+b")  # noqa: PTH123, SIM115 - a path of SQLite
    except FileNotFoundError:
        return
    with opened as file:
        for offset in count(0, REWRITE_BYTES):
            file.seek(offset)
            content = file.read(REWRITE_BYTES)
            if not content:
                break
            file.seek(offset)
            file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _connect(path: str, *, readonly: bool) -> sqlite3.Connection:
    """Open the file; the caller begins and ends transactions, possibly on a worker thread."""
    if not readonly and path != ":memory:" and not Path(path).exists():
        os.close(os.open(path, os.O_CREAT, 0o600))  # SQLite gives its other files the same mode
    name = f"file:{quote(path)}?mode=ro" if readonly else path
    connection = sqlite3.connect(name, uri=readonly, isolation_level=None, check_same_thread=False)
    # No column is text: a damaged value that looks like text is returned as its bytes.
    connection.text_factory = bytes
    return connection
