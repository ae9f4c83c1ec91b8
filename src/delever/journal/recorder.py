"""Engine and journal together: what `submit` returns will not be lost."""

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from delever.core.accounting.invariants import audit
from delever.core.engine import step
from delever.core.kernels import ParallelMap
from delever.core.messages import Command, Event
from delever.journal.codec import decode_command, encode_command, encode_events
from delever.journal.record import Head, Record, digest, seal, seal_snapshot
from delever.journal.replay import Progress, replay_events
from delever.journal.snapshot import encode_book
from delever.journal.sqlite import JournalError, SqliteJournal

SNAPSHOT_EVERY = 50_000
"""Records between two snapshots: what a restart has to replay at most."""


class Recorder:
    """The one writer of a journal, with the book that its records make.

    Opening restores the book from the newest usable snapshot and the events after it; JournalError
    where the journal is not sound. `snapshot_every` counts records; `parallel_map` is what `step` is given.
    After any error inside `submit` the book may be ahead of the journal: the recorder takes nothing
    more, and the journal has to be opened again.
    """

    def __init__(
        self,
        journal: SqliteJournal,
        *,
        snapshot_every: int = SNAPSHOT_EVERY,
        progress: Progress | None = None,
        parallel_map: ParallelMap = map,
    ) -> None:
        replayed = replay_events(journal, progress=progress)
        if replayed.finding is not None:
            raise JournalError(f"{journal.path}: {replayed.finding}")
        self.journal = journal
        self.book = replayed.book
        self.head = replayed.head
        self._parallel_map = parallel_map
        self._snapshot_every = snapshot_every
        self._snapshot_sequence = replayed.began_after
        self._stopped = False

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        snapshot_every: int = SNAPSHOT_EVERY,
        progress: Progress | None = None,
        parallel_map: ParallelMap = map,
    ) -> Self:
        """Open the journal at a path, or begin one; ':memory:' begins one that is not kept."""
        journal = SqliteJournal(path)
        try:
            return cls(
                journal, snapshot_every=snapshot_every, progress=progress, parallel_map=parallel_map
            )
        except BaseException:
            journal.close()
            raise

    def submit(self, commands: Iterable[Command]) -> list[tuple[Event, ...]]:
        """Run commands and keep them in one commit; return each one's events once that is durable.

        Raises msgspec.MsgspecError, with nothing done, where a command holds what no command can
        hold, such as a float.
        """
        self._ensure_going()
        bodies = [encode_command(command) for command in commands]
        # The engine gets what the journal keeps, so that a replay starts from the same values.
        decoded = [decode_command(body) for body in bodies]
        self._stopped = True
        outcomes: list[tuple[Event, ...]] = []
        records: list[Record] = []
        head = self.head
        for body, command in zip(bodies, decoded, strict=True):
            events = step(self.book, command, self._parallel_map)
            outcomes.append(events)
            record = self._record(head, body, events)
            records.append(record)
            head = record.head
        self.journal.append(records)
        self.head = head
        if head.sequence - self._snapshot_sequence >= self._snapshot_every:
            self._keep_book()
        self._stopped = False
        return outcomes

    def _record(self, head: Head, command: bytes, events: tuple[Event, ...]) -> Record:
        return seal(
            head.sequence + 1,
            self.book.time_ms,
            command,
            encode_events(events),
            head.hash,
            digest(self.book.take_changes()),
        )

    def snapshot(self) -> None:
        """Keep the book as it stands, so that a restart begins here.

        It is audited first: raises InvariantBrokenError rather than keep a book that is not sound.
        """
        self._ensure_going()
        self._keep_book()

    def _keep_book(self) -> None:
        audit(self.book)
        self.journal.add_snapshot(seal_snapshot(self.head, encode_book(self.book)))
        self._snapshot_sequence = self.head.sequence

    def _ensure_going(self) -> None:
        if self._stopped:
            raise JournalError(f"{self.journal.path}: stopped by an error; open the journal again")

    def close(self, *, snapshot: bool = False) -> None:
        """Close the journal, with a last snapshot if asked for (and not stopped by an error)."""
        if snapshot and not self._stopped and self.head.sequence > self._snapshot_sequence:
            self.snapshot()
        self.journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
