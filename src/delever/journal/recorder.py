"""Engine and journal together: the events that `submit` returns are durable."""

import functools
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from delever.core.accounting.invariants import audit
from delever.core.book import Book
from delever.core.engine import internal_error, step
from delever.core.kernels import ParallelMap
from delever.core.messages import Command, Event
from delever.core.rules import RULE_SETS, RuleSet, rule_sets_of, rules_digest
from delever.journal.archive import superfluous_snapshots
from delever.journal.record import (
    Head,
    Record,
    SegmentTerms,
    decode_command,
    digest,
    encode_command,
    encode_events,
    seal_record,
    seal_segment,
    seal_snapshot,
)
from delever.journal.replay import Progress, advance_by_events, newest_book, replay_events
from delever.journal.snapshot import encode_book
from delever.journal.sqlite import SCHEMA_VERSION, JournalError, SqliteJournal
from delever.rule_registry import digest_of, registry

ENGINE_VERSION = version("delever")
"""The version that segments name."""

SNAPSHOT_EVERY = 50_000
"""Default number of records between two snapshots: the most that a restart replays."""


class EngineFailure(NamedTuple):
    """An error that the engine survived, at a record.

    `place` is "step", whose command was rejected with `internal_error`; "snapshot", which was left
    out; or "publication" of the server's market snapshot, which remains the one before.
    """

    place: str
    sequence: int
    command: Command | None
    error: Exception


class Recorder:
    """The single writer of a journal, with the book that its records make.

    Opening restores the book from the newest usable snapshot and the events after it; raises
    JournalError if the journal is not sound. `snapshot_every` counts records; `parallel_map` is
    passed to `step`; `rule_sets` are those of one's own that pools may name, and a journal does not
    open with others than it was written with. `max_time_jump_ms` limits how far a command may move
    the time without an operator's confirmation (0: not at all limited); the journal's segments name
    it, and the limit of an earlier one holds for the first record of the next.

    A command whose step raises is rejected with `internal_error`, and the book is as before it: the
    recorder restores it from the newest snapshot, or from the copy that it took at the last such
    error, and the events since. `on_failure` is called with each of them. After an error of
    the journal itself, or without memory, the book may be ahead of the journal: the recorder then
    rejects everything, and the journal must be opened again.

        >>> import delever
        >>> from delever.core.messages import DefineAccount
        >>> with delever.Recorder.open(":memory:") as recorder:
        ...     events = recorder.submit([DefineAccount(time_ms=0, account="ann")])
        ...     recorder.head.sequence
        1
    """

    def __init__(
        self,
        journal: SqliteJournal,
        *,
        snapshot_every: int = SNAPSHOT_EVERY,
        progress: Progress | None = None,
        parallel_map: ParallelMap = map,
        rule_sets: Iterable[RuleSet] = (),
        on_failure: Callable[[EngineFailure], None] = lambda _: None,
        max_time_jump_ms: int = 0,
    ) -> None:
        replayed = replay_events(journal, progress=progress, registry=registry(rule_sets))
        if replayed.finding is not None:
            raise JournalError(f"{journal.path}: {replayed.finding}")
        if problem := _rules_problem(replayed.book):
            raise JournalError(f"{journal.path}: {problem}")
        self.journal = journal
        self.book = replayed.book
        self.book.use_segment(self.book.max_time_jump_ms, {})  # today's rule sets from now on
        self.head = replayed.head
        self._parallel_map = parallel_map
        self._snapshot_every = snapshot_every
        self._snapshot_sequence = replayed.began_after
        self._on_failure = on_failure
        self._max_time_jump_ms = max_time_jump_ms
        self._terms = _newest_terms(journal)
        self._checkpoint: tuple[Book, Head] | None = None
        self._uncommitted: list[Record] = []
        self._stopped = False

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        snapshot_every: int = SNAPSHOT_EVERY,
        progress: Progress | None = None,
        parallel_map: ParallelMap = map,
        rule_sets: Iterable[RuleSet] = (),
        on_failure: Callable[[EngineFailure], None] = lambda _: None,
        max_time_jump_ms: int = 0,
    ) -> Self:
        """Open the journal at a path, or create one; ':memory:' creates one without a file."""
        journal = SqliteJournal(path)
        try:
            return cls(
                journal,
                snapshot_every=snapshot_every,
                progress=progress,
                parallel_map=parallel_map,
                rule_sets=rule_sets,
                on_failure=on_failure,
                max_time_jump_ms=max_time_jump_ms,
            )
        except BaseException:
            journal.close()
            raise

    def submit(self, commands: Iterable[Command]) -> list[tuple[Event, ...]]:
        """Run commands, append them in one commit, and return the events of each once durable.

        Raises msgspec.MsgspecError, before anything runs, for a command with a value that no
        command can have, such as a float.
        """
        outcomes = self.run(commands)
        self.commit()
        return outcomes

    def run(self, commands: Iterable[Command]) -> list[tuple[Event, ...]]:
        """Run commands and return the events of each, which `commit` makes durable.

        Raises as `submit` does.
        """
        self._check_running()
        bodies = [encode_command(command) for command in commands]
        # The engine gets the decoded bytes, so that a replay starts from the same values.
        decoded = [decode_command(body) for body in bodies]
        self._stopped = True
        outcomes: list[tuple[Event, ...]] = []
        for body, command in zip(bodies, decoded, strict=True):
            events, record = self._run(self._uncommitted, body, command)
            outcomes.append(events)
            self._uncommitted.append(record)
            self.book.use_segment(self._max_time_jump_ms, {})
        self._stopped = False
        return outcomes

    def commit(self, log_sequence: int | None = None) -> None:
        """Append the records of all commands that have run, in one commit, and durably.

        A replica names the last message of the log that it has run. A snapshot is added where due.
        """
        self._check_running()
        self._stopped = True
        if self._uncommitted or log_sequence is not None:
            self._append(self._uncommitted, log_sequence)
            self._uncommitted = []
        if self.head.sequence - self._snapshot_sequence >= self._snapshot_every:
            self._add_snapshot_or_report()
        self._stopped = False

    @property
    def last_sequence(self) -> int:
        """The sequence of the last command that has run, committed or not."""
        return self.head.sequence + len(self._uncommitted)

    def _append(self, records: Sequence[Record], log_sequence: int | None) -> None:
        """Append records, as the first of a new segment where the terms have changed."""
        if not records:
            self.journal.append((), log_sequence=log_sequence)
            return
        terms = SegmentTerms(
            engine=ENGINE_VERSION,
            schema=SCHEMA_VERSION,
            rules=_digests_in_use(self.book),
            max_time_jump_ms=self._max_time_jump_ms,
        )
        changed = terms != self._terms
        segment = seal_segment(self.head, terms) if changed else None
        self.journal.append(records, segment, log_sequence)
        self.head, self._terms = records[-1].head, terms

    def _run(
        self, before: Sequence[Record], body: bytes, command: Command
    ) -> tuple[tuple[Event, ...], Record]:
        """Run a command after others of its commit; return its events and its record."""
        head = before[-1].head if before else self.head
        try:
            events = step(self.book, command, self._parallel_map)
            return events, self._record(head, body, events)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a step raises rejects its command
            self._restore(before)
            rejected = internal_error(command, error)
            self.book.apply(rejected)
            self._on_failure(EngineFailure("step", head.sequence + 1, command, error))
            return (rejected,), self._record(head, body, (rejected,))

    def _restore(self, before: Sequence[Record]) -> None:
        """Restore the book after the last of some records, which the journal does not have yet.

        The copy that is taken here is where the next restoration begins: a client that repeats a
        command that cannot be run costs a copy each time, not a replay.
        """
        book, head = self._checkpoint or newest_book(self.journal, self.head.sequence)
        stored = self.journal.records(head.sequence, self.head.sequence)
        for record in chain(stored, before):
            if record.sequence > head.sequence:
                finding = advance_by_events(book, record)
                if finding is not None:
                    raise JournalError(f"{self.journal.path}: {finding}")
                head = record.head
        self._checkpoint = book, head
        self.book.restore(book)

    def _record(self, head: Head, command: bytes, events: tuple[Event, ...]) -> Record:
        return seal_record(
            head.sequence + 1,
            self.book.time_ms,
            command,
            encode_events(events),
            head.hash,
            digest(self.book.take_changes()),
        )

    def snapshot(self) -> None:
        """Audit the book and append its snapshot, from which the next restart begins.

        Raises InvariantBrokenError, without a snapshot, if the book is not sound.
        """
        self._check_running()
        self._add_snapshot()

    def _add_snapshot(self) -> None:
        audit(self.book)
        self.journal.add_snapshot(seal_snapshot(self.head, encode_book(self.book)))
        self.journal.drop_snapshots(superfluous_snapshots(self.journal))
        self._snapshot_sequence = self.head.sequence
        self._checkpoint = None

    def _add_snapshot_or_report(self) -> None:
        """Add a snapshot; report a book that cannot be stored: the older snapshot stays."""
        try:
            self._add_snapshot()
        except (JournalError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - the records are durable: the engine goes on
            self._snapshot_sequence = self.head.sequence
            self._on_failure(EngineFailure("snapshot", self.head.sequence, None, error))

    def _check_running(self) -> None:
        if self._stopped:
            raise JournalError(f"{self.journal.path}: stopped by an error; open the journal again")

    def close(self, *, snapshot: bool = False) -> None:
        """Close the journal, after a last snapshot if requested and not stopped by an error."""
        if snapshot and not self._stopped and self.head.sequence > self._snapshot_sequence:
            self._add_snapshot_or_report()
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


def _newest_terms(journal: SqliteJournal) -> SegmentTerms | None:
    """Return the terms of the newest segment, or None for none, or for those of another version."""
    segments = journal.segments()
    try:
        return segments[-1].terms if segments else None
    except msgspec.MsgspecError:
        return None


def _digests_in_use(book: Book) -> dict[str, str]:
    """Return the digest of each venue's rule set that a pool uses, by name."""
    names = {pool.definition.rules.partition("+")[0] for pool in book.pools.values()}
    return {name: _digest_of(name) for name in sorted(names) if name in RULE_SETS}


@functools.cache
def _digest_of(name: str) -> str:
    return digest_of(RULE_SETS[name])


def _rules_problem(book: Book) -> str:
    """Return which pool's rule set is missing, or differs from the one in the journal, or ""."""
    known = rule_sets_of(book)
    for pool in book.pools.values():
        name = pool.definition.rules
        place = f"pool {pool.name}: rule set {name}"
        if name not in known:
            return f"{place} is not available; pass it as rule_sets, or install its package"
        here = rules_digest(book, name)
        if here != pool.rules_digest:
            return f"{place} has digest {pool.rules_digest or 'none'} in the journal, {here} here"
    return ""
