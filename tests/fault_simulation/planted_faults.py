"""Faults planted into the real code, each of which the simulation must find.

Four of them are defects that the simulation has found.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from delever.journal import JournalError, Record, Snapshot, SqliteJournal
from delever.journal.record import Segment
from delever.server.engine.commit import CommitWriter, committed_of
from delever.server.notifications import outbox
from delever.server.notifications.outbox import JournalOutbox, Outbox
from delever.server.storage.projector import HistoryProjector

PlantedFault = Callable[[pytest.MonkeyPatch], None]


def no_sync(patch: pytest.MonkeyPatch) -> None:
    """Commits are acknowledged before they are on disk."""
    opened = SqliteJournal._open

    def open_without(journal: SqliteJournal, *, readonly: bool) -> None:
        opened(journal, readonly=readonly)
        journal._connection.execute("PRAGMA synchronous = OFF")

    patch.setattr(SqliteJournal, "_open", open_without)


def several_commits(patch: pytest.MonkeyPatch) -> None:
    """The records of one request are not in one transaction."""
    append = SqliteJournal.append

    def append_one_by_one(
        journal: SqliteJournal,
        records: Sequence[Record],
        segment: Segment | None = None,
        log_sequence: int | None = None,
    ) -> None:
        for number, record in enumerate(records):
            append(journal, [record], None if number else segment, log_sequence)

    patch.setattr(SqliteJournal, "append", append_one_by_one)


def late_commit(patch: pytest.MonkeyPatch) -> None:
    """A commit is written together with the next one, after its answer."""
    append = SqliteJournal.append
    waiting: dict[int, list[tuple[Sequence[Record], Segment | None, int | None]]] = {}

    def append_later(
        journal: SqliteJournal,
        records: Sequence[Record],
        segment: Segment | None = None,
        log_sequence: int | None = None,
    ) -> None:
        late = waiting.setdefault(id(journal), [])
        late.append((records, segment, log_sequence))
        if len(late) > 3 or journal.path == ":memory:":
            for each in late:
                append(journal, *each)
            late.clear()

    patch.setattr(SqliteJournal, "append", append_later)


def ignored_write_error(patch: pytest.MonkeyPatch) -> None:
    """The engine goes on where a commit could not be written."""
    append = SqliteJournal.append

    def append_anyway(
        journal: SqliteJournal,
        records: Sequence[Record],
        segment: Segment | None = None,
        log_sequence: int | None = None,
    ) -> None:
        try:
            append(journal, records, segment, log_sequence)
        except JournalError:
            return

    patch.setattr(SqliteJournal, "append", append_anyway)


def forgotten_ids(patch: pytest.MonkeyPatch) -> None:
    """Ids of before a restart are unknown after it."""

    def restore(writer: CommitWriter) -> Any:
        yield from map(committed_of, writer.recorder.journal.records())

    patch.setattr(CommitWriter, "restore", restore)


def old_snapshot(patch: pytest.MonkeyPatch) -> None:
    """A snapshot has the book of the one before."""
    add = SqliteJournal.add_snapshot
    bodies: dict[str, bytes] = {}

    def add_old(journal: SqliteJournal, snapshot: Snapshot) -> None:
        body = bodies.get(journal.path, snapshot.body)
        bodies[journal.path] = snapshot.body
        old = snapshot._replace(body=body)
        add(journal, old._replace(hash=old.content_hash()))

    patch.setattr(SqliteJournal, "add_snapshot", add_old)


def believed_log(patch: pytest.MonkeyPatch) -> None:
    """What can be read of the log after a failed sync is taken to be on disk."""
    patch.setattr(SqliteJournal, "_rewrite_log", lambda _journal: None)


def unchecked_reads(patch: pytest.MonkeyPatch) -> None:
    """Records are served without comparing them with their hash. (Found by the simulation.)"""
    patch.setattr(SqliteJournal, "intact_records", SqliteJournal.records)


def cursor_apart(patch: pytest.MonkeyPatch) -> None:
    """The outbox's cursor moves before the notifications are stored."""
    fill = JournalOutbox.fill

    async def fill_in_two(store: JournalOutbox, after: int, until: int, found: Any) -> bool:
        if not await fill(store, after, until, ()):
            return False
        await store._transact(lambda connection: outbox.add(connection, found, store._now_ms()))
        return True

    patch.setattr(JournalOutbox, "fill", fill_in_two)


def sent_before(patch: pytest.MonkeyPatch) -> None:
    """Notifications are marked as sent before they are."""
    claim = Outbox.claim

    async def claim_and_mark(store: Outbox, channel: str, **limits: int) -> Any:
        batch = await claim(store, channel, **limits)
        for claimed in batch:
            await store.mark_sent(claimed)
        return batch

    patch.setattr(Outbox, "claim", claim_and_mark)


def unsynced_cursor(patch: pytest.MonkeyPatch) -> None:
    """A new cursor of the outbox is lost with the power. (Found by the simulation.)"""
    patch.setattr(outbox, "_sync", lambda _connection: None)


def believed_clock(patch: pytest.MonkeyPatch) -> None:
    """A retry is due when the clock says so, however far ahead. (Found by the simulation.)"""
    claim = Outbox.claim

    async def claim_by_clock(store: Outbox, channel: str, **limits: int) -> Any:
        return await claim(store, channel, **(limits | {"max_wait_ms": 10**15}))

    patch.setattr(Outbox, "claim", claim_by_clock)


def ending_projector(patch: pytest.MonkeyPatch) -> None:
    """The history stands still after an error of reading. (Found by the simulation.)"""

    async def follow(history: HistoryProjector) -> None:
        while True:
            history._wake.clear()
            if not await history.advance():
                await history._wake.wait()

    patch.setattr(HistoryProjector, "_follow", follow)


PLANTED: tuple[PlantedFault, ...] = (
    no_sync,
    several_commits,
    late_commit,
    ignored_write_error,
    forgotten_ids,
    old_snapshot,
    believed_log,
    unchecked_reads,
    cursor_apart,
    sent_before,
    unsynced_cursor,
    believed_clock,
    ending_projector,
)
