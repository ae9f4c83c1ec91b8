"""Commits: everything here runs on the engine's own thread.

A commit stamps its commands with the server's clock and runs each command id once. The writer also
stores what the market snapshot reports of the past: when a contract was last marked, when it was
last deleveraged, and the indicators last published.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from delever.config import Config
from delever.core.kernels import ParallelMap
from delever.core.messages import (
    Accepted,
    AdlFilled,
    AdlPaused,
    AdlStarted,
    AdlStopped,
    CollateralConverted,
    CollateralTakenOver,
    Command,
    ContractAmended,
    ContractDefined,
    ContractMoved,
    ContractSettled,
    ContractStatusSet,
    Event,
    MarksSet,
    PoolAmended,
    PoolDefined,
    PoolFunded,
    RatingsSet,
    Reason,
    RefreshIndicators,
    Rejected,
)
from delever.core.risk.publication.cache import PublishedIndicators, publish
from delever.journal import EngineFailure, JournalError, Record, Recorder
from delever.journal.record import decode_command, decode_events, encode_command
from delever.replication import CommandGroup
from delever.rule_registry import installed_rule_sets
from delever.server.engine.journal_lock import JournalLock
from delever.server.engine.market_snapshot import MarketSnapshot, market_snapshot_of

NOW = -(2**63)
"""The `time_ms` of a command without a time: the server's clock stamps it at its commit.

No command can have this time; 0 is a time like any other.
"""

SNAPSHOT_EVENTS = (
    AdlPaused,
    AdlStarted,
    AdlStopped,
    CollateralConverted,
    CollateralTakenOver,
    ContractAmended,
    ContractDefined,
    ContractMoved,
    ContractSettled,
    ContractStatusSet,
    PoolAmended,
    PoolDefined,
    PoolFunded,
    RatingsSet,
)
"""Events after which the market snapshot is refreshed at once."""

RESTORED_RECORDS = 200_000
"""Newest records that a restart reads again; more where the idempotency window is longer."""


class Committed(NamedTuple):
    """One durable command with the events that followed from it."""

    sequence: int
    time_ms: int
    command: Command
    events: tuple[Event, ...]


def committed_of(record: Record) -> Committed:
    """Return the command and events of a journal record; may raise msgspec.MsgspecError."""
    return Committed(
        record.sequence,
        record.time_ms,
        decode_command(record.command),
        decode_events(record.events),
    )


class DuplicateIdError(Exception):
    """The id of a command belongs to an earlier, different command."""

    def __init__(self, command_id: str, sequence: int) -> None:
        super().__init__(f"id {command_id!r} belongs to another command, of sequence {sequence}")
        self.sequence = sequence


class Outcome(NamedTuple):
    """The result of one command; `repeated` where its id had been run before."""

    committed: Committed
    repeated: bool


class CommitWriter:
    """Recorder, idempotency window and market snapshot; opening may raise JournalError.

    Steps of a large book are ranked with `parallel_map`.
    """

    def __init__(
        self, config: Config, now_ms: Callable[[], int], parallel_map: ParallelMap
    ) -> None:
        self._lock = JournalLock(config.journal.path)
        self._failures: list[EngineFailure] = []
        self.recorder = self._opened(config, parallel_map)
        self.base_sequence = self.recorder.journal.base().sequence
        self._config = config
        self._now_ms = now_ms
        self._parallel_map = parallel_map
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._uncommitted: dict[int, Committed] = {}
        self._last_adl_ms: dict[str, int] = {}
        self._marked_ms: dict[str, int] = {}
        self._indicators: PublishedIndicators | None = None
        self.market_snapshot = MarketSnapshot(
            sequence=0,
            time_ms=0,
            taken_ms=now_ms(),
            accounts=0,
            contracts={},
            pools={},
            indicators=None,
        )
        if self.recorder.book.indicators:
            self._publish_indicators()
        self.refresh_snapshot()

    def _opened(self, config: Config, parallel_map: ParallelMap) -> Recorder:
        journal = config.journal
        try:
            return Recorder.open(
                journal.path,
                snapshot_every=journal.snapshot_every,
                parallel_map=parallel_map,
                rule_sets=installed_rule_sets(),
                on_failure=self._failures.append,
                max_time_jump_ms=journal.max_time_jump_ms,
            )
        except BaseException:
            self._lock.close()
            raise

    def close(self, *, snapshot: bool) -> None:
        """Close the journal, after a last snapshot of the book if asked for, and unlock it."""
        try:
            self.recorder.close(snapshot=snapshot)
        finally:
            self._lock.close()

    def take_failures(self) -> list[EngineFailure]:
        """Return the errors that the engine survived since the last call."""
        failures, self._failures[:] = self._failures[:], []
        return failures

    def commit(
        self, commands: Sequence[Command]
    ) -> tuple[list[Outcome | DuplicateIdError], MarketSnapshot | None]:
        """Run one commit, each id once; return the outcomes, and a new market snapshot if due."""
        outcomes = self._run_each_once(commands, self._now_ms())
        self.recorder.commit()
        return outcomes, self._snapshot_if_due(outcomes)

    def commit_groups(
        self, groups: Sequence[CommandGroup], log_sequence: int
    ) -> tuple[list[list[Outcome | DuplicateIdError] | None], MarketSnapshot | None]:
        """Run the groups of some messages of the log, each as a commit of its own, in one write.

        Return the outcomes of each, None for a group that was accepted longer ago than command ids
        are remembered, and a market snapshot if due. `log_sequence` is the last of the messages.
        """
        outcomes = [self._run_group(group) for group in groups]
        self.recorder.commit(log_sequence)
        self._uncommitted.clear()
        flat = [outcome for each in outcomes if each is not None for outcome in each]
        return outcomes, self._snapshot_if_due(flat)

    def _run_group(self, group: CommandGroup) -> list[Outcome | DuplicateIdError] | None:
        age = self.recorder.last_sequence - group.accepted_at
        if age >= self._config.journal.idempotency_window:
            return None
        outcomes = self._run_each_once(group.commands, group.time_ms)
        fresh = (each for each in outcomes if isinstance(each, Outcome) and not each.repeated)
        self._uncommitted |= {each.committed.sequence: each.committed for each in fresh}
        return outcomes

    def _run_each_once(
        self, commands: Sequence[Command], now_ms: int
    ) -> list[Outcome | DuplicateIdError]:
        """Run commands without committing them, each id once; `now_ms` stamps them."""
        outcomes: dict[int, Outcome | DuplicateIdError] = {}
        fresh: list[tuple[int, Command]] = []
        repeats: dict[int, int] = {}
        first_by_id: dict[str, int] = {}
        time_ms = max(now_ms, self.recorder.book.time_ms)
        for place, command in enumerate(commands):
            if command.id and command.id in self._ids:
                outcomes[place] = self._repeat(command, self._ids[command.id])
            elif command.id and command.id in first_by_id:
                repeats[place] = first_by_id[command.id]
            else:
                time_ms = max(time_ms, command.time_ms)
                fresh.append((place, _stamped(command, time_ms)))
                if command.id:
                    first_by_id[command.id] = place
        outcomes |= self._run(fresh)
        for place, first in repeats.items():
            outcome = outcomes[first]
            if not isinstance(outcome, Outcome):
                raise TypeError("the first command of a new id has no outcome")
            outcomes[place] = _repeated(commands[place], outcome.committed)
        return [outcomes[place] for place in range(len(commands))]

    def _run(self, fresh: list[tuple[int, Command]]) -> dict[int, Outcome | DuplicateIdError]:
        first = self.recorder.last_sequence + 1
        time_ms = self.recorder.book.time_ms
        results = self.recorder.run(command for _, command in fresh)
        outcomes: dict[int, Outcome | DuplicateIdError] = {}
        numbered = enumerate(zip(fresh, results, strict=True), start=first)
        for sequence, ((place, command), events) in numbered:
            if isinstance(events[0], Accepted):  # a rejected command does not move the clock
                time_ms = events[0].time_ms
            committed = Committed(sequence, time_ms, command, events)
            outcomes[place] = Outcome(committed, repeated=False)
            self._remember(committed)
            if isinstance(command, RefreshIndicators) and len(events) > 1:
                self._publish_indicators()
        return outcomes

    def _remember(self, committed: Committed) -> None:
        """Store the command's id, and the past that the market snapshot reports."""
        sequence, time_ms, command, events = committed
        if command.id and not _is_held(events):  # a held command may be sent again as it is
            self._ids[command.id] = sequence
        forgotten = sequence - self._config.journal.idempotency_window
        while self._ids and next(iter(self._ids.values())) <= forgotten:
            self._ids.popitem(last=False)
        for event in events:
            match event:
                case AdlFilled():
                    self._last_adl_ms[event.contract] = time_ms
                case MarksSet():
                    self._marked_ms |= dict.fromkeys(event.contracts, time_ms)
                case _:
                    pass

    def restore(self) -> Iterator[Committed]:
        """Read the journal's newest records again after a restart, and yield each of them."""
        count = max(RESTORED_RECORDS, self._config.journal.idempotency_window)
        after = max(0, self.recorder.head.sequence - count)
        for record in self.recorder.journal.intact_records(after):
            try:
                committed = committed_of(record)
            except msgspec.MsgspecError as error:
                where = f"{self._config.journal.path}: record {record.sequence}"
                raise JournalError(f"{where} cannot be read: {error}") from error
            self._remember(committed)
            yield committed

    def _repeat(self, command: Command, sequence: int) -> Outcome | DuplicateIdError:
        """Return the outcome of a command whose id was run before."""
        if sequence in self._uncommitted:
            return _repeated(command, self._uncommitted[sequence])
        record = self.recorder.journal.intact_record(sequence)
        if record is None:
            raise JournalError(f"record {sequence} is missing")
        return _repeated(command, committed_of(record))

    def _snapshot_if_due(
        self, outcomes: Iterable[Outcome | DuplicateIdError]
    ) -> MarketSnapshot | None:
        interval_ms = self._config.publication.snapshot_interval_ms
        is_old = self.market_snapshot.is_old(self._now_ms(), interval_ms)
        has_changed = any(
            isinstance(event, SNAPSHOT_EVENTS)
            for outcome in outcomes
            if isinstance(outcome, Outcome) and not outcome.repeated
            for event in outcome.committed.events
        )
        has_new_indicators = self._indicators is not self.market_snapshot.indicators
        due = is_old or has_changed or has_new_indicators
        return self.refresh_snapshot() if due else None

    def refresh_snapshot(self) -> MarketSnapshot:
        """Take a new market snapshot of the book, store it and return it.

        Where it cannot be taken, the snapshot before it is published again.
        """
        try:
            self.market_snapshot = market_snapshot_of(
                self.recorder.book,
                taken_ms=self._now_ms(),
                indicators=self._indicators,
                last_adl_ms=self._last_adl_ms,
                marked_ms=self._marked_ms,
            )
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the commit is durable: the engine goes on
            self._report("publication", error)
        return self.market_snapshot

    def _publish_indicators(self) -> None:
        try:
            self._indicators = publish(self.recorder.book, self._parallel_map)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the commit is durable: the engine goes on
            self._report("publication", error)

    def _report(self, place: str, error: Exception) -> None:
        self._failures.append(EngineFailure(place, self.recorder.head.sequence, None, error))


def _is_held(events: Sequence[Event]) -> bool:
    """Return whether a command was rejected until an operator confirms the time."""
    first = events[0]
    return isinstance(first, Rejected) and first.reason is Reason.TIME_JUMP_HELD


def _stamped(command: Command, time_ms: int) -> Command:
    """Return the command with the clock's time where it has none of its own."""
    if command.time_ms != NOW:
        return command
    return msgspec.structs.replace(command, time_ms=time_ms)


def _repeated(command: Command, before: Committed) -> Outcome | DuplicateIdError:
    """Return the earlier outcome where the command differs in time and submitter alone."""
    if _same_but_for_time(command, before.command):
        return Outcome(before, repeated=True)
    return DuplicateIdError(command.id, before.sequence)


def _same_but_for_time(one: Command, other: Command) -> bool:
    if type(one) is not type(other):
        return False
    stamped = msgspec.structs.replace(one, time_ms=other.time_ms, by=other.by)
    return encode_command(stamped) == encode_command(other)
