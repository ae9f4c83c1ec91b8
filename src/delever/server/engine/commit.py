"""The engine's side of the runner: everything here runs on the engine's one thread.

A commit's commands are stamped, each id is run only once, and what the board shows of the past is
kept: when a contract was last marked and last deleveraged, and the indicators last published.
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
    Command,
    ContractDefined,
    ContractMoved,
    Event,
    MarksSet,
    PoolDefined,
    PoolFunded,
    RatingsSet,
    RefreshIndicators,
)
from delever.core.risk.publication import publish
from delever.journal import JournalError, Record, Recorder
from delever.journal.record import decode_command, decode_events, encode_command
from delever.server.engine.journal_lock import Claim
from delever.server.engine.market_snapshot import Board, board_of

NOW = 0
"""As a command's time: the server's clock says it, when the command's turn has come."""

LOUD = (
    AdlPaused,
    AdlStarted,
    AdlStopped,
    ContractDefined,
    ContractMoved,
    PoolDefined,
    PoolFunded,
    RatingsSet,
)
"""Events after which the board is made anew at once."""

TAIL = 200_000
"""Records of the journal that a restart reads again, or as many as ids are remembered."""


class Committed(NamedTuple):
    """One command that is durable, with all that followed from it."""

    sequence: int
    time_ms: int
    command: Command
    events: tuple[Event, ...]


def committed_of(record: Record) -> Committed:
    """Return what a record of the journal holds; msgspec.MsgspecError where it cannot be read."""
    return Committed(
        record.sequence,
        record.time_ms,
        decode_command(record.command),
        decode_events(record.events),
    )


class IdReusedError(Exception):
    """A command's id was used before, by a command that says something else."""

    def __init__(self, command_id: str, sequence: int) -> None:
        super().__init__(f"id {command_id!r} belongs to another command, of sequence {sequence}")
        self.sequence = sequence


class Outcome(NamedTuple):
    """What came of one command; `repeated` where it had been run before under the same id."""

    committed: Committed
    repeated: bool


class Writer:
    """Recorder, remembered ids and board. Opening raises JournalError where that is not sound.

    `parallel_map` is what a step is given to rank a large book by.
    """

    def __init__(
        self, config: Config, now_ms: Callable[[], int], parallel_map: ParallelMap
    ) -> None:
        self._claim = Claim(config.journal.path)
        self.recorder = self._opened(config, parallel_map)
        self._config = config
        self._now_ms = now_ms
        self._parallel_map = parallel_map
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._last_adl_ms: dict[str, int] = {}
        self._marked_ms: dict[str, int] = {}
        self._indicators = (
            publish(self.recorder.book, parallel_map) if self.recorder.book.indicators else None
        )
        self.board = self.make_board()

    def _opened(self, config: Config, parallel_map: ParallelMap) -> Recorder:
        journal = config.journal
        try:
            return Recorder.open(
                journal.path, snapshot_every=journal.snapshot_every, parallel_map=parallel_map
            )
        except BaseException:
            self._claim.close()
            raise

    def close(self, *, snapshot: bool) -> None:
        """Close the journal, with a last snapshot if asked for, and let the next one have it."""
        try:
            self.recorder.close(snapshot=snapshot)
        finally:
            self._claim.close()

    def commit(
        self, asked: Sequence[Command]
    ) -> tuple[list[Outcome | IdReusedError], Board | None]:
        """Run one commit's commands, each id only once."""
        known: dict[int, Outcome | IdReusedError] = {}
        fresh: list[tuple[int, Command]] = []
        again: dict[int, int] = {}
        claimed: dict[str, int] = {}
        time_ms = max(self._now_ms(), self.recorder.book.time_ms)
        for place, command in enumerate(asked):
            if command.id and command.id in self._ids:
                known[place] = self._repeat(command, self._ids[command.id])
            elif command.id and command.id in claimed:
                again[place] = claimed[command.id]
            else:
                time_ms = max(time_ms, command.time_ms)
                fresh.append((place, _timed(command, time_ms)))
                if command.id:
                    claimed[command.id] = place
        known |= self._run(fresh)
        for place, first in again.items():
            outcome = known[first]
            if not isinstance(outcome, Outcome):
                raise TypeError("an id that is new was run before")
            known[place] = _repeated(asked[place], outcome.committed)
        board = self._board_if_due(known.values())
        return [known[place] for place in range(len(asked))], board

    def _run(self, fresh: list[tuple[int, Command]]) -> dict[int, Outcome | IdReusedError]:
        first = self.recorder.head.sequence + 1
        time_ms = self.recorder.book.time_ms
        results = self.recorder.submit(command for _, command in fresh)
        outcomes: dict[int, Outcome | IdReusedError] = {}
        numbered = enumerate(zip(fresh, results, strict=True), start=first)
        for sequence, ((place, command), events) in numbered:
            if isinstance(events[0], Accepted):  # a rejected command moves no clock
                time_ms = events[0].time_ms
            committed = Committed(sequence, time_ms, command, events)
            outcomes[place] = Outcome(committed, repeated=False)
            self._remember(committed)
            if isinstance(command, RefreshIndicators) and len(events) > 1:
                self._indicators = publish(self.recorder.book, self._parallel_map)
        return outcomes

    def _remember(self, committed: Committed) -> None:
        """Remember the id, and what the board shows of what has happened."""
        sequence, time_ms, command, events = committed
        if command.id:
            self._ids[command.id] = sequence
            if len(self._ids) > self._config.journal.idempotency_window:
                self._ids.popitem(last=False)
        for event in events:
            match event:
                case AdlFilled():
                    self._last_adl_ms[event.contract] = time_ms
                case MarksSet():
                    self._marked_ms |= dict.fromkeys(event.contracts, time_ms)
                case _:
                    pass

    def recall(self) -> Iterator[Committed]:
        """Remember again, after a restart, the journal's newest records; yield each of them."""
        newest = max(TAIL, self._config.journal.idempotency_window)
        for record in self.recorder.journal.records(max(0, self.recorder.head.sequence - newest)):
            try:
                committed = committed_of(record)
            except msgspec.MsgspecError as error:
                where = f"{self._config.journal.path}: record {record.sequence}"
                raise JournalError(f"{where} cannot be read: {error}") from error
            self._remember(committed)
            yield committed

    def _repeat(self, command: Command, sequence: int) -> Outcome | IdReusedError:
        """Return what came of a command that was run before."""
        record = self.recorder.journal.record(sequence)
        if record is None:
            raise JournalError(f"record {sequence} is gone")
        return _repeated(command, committed_of(record))

    def _board_if_due(self, outcomes: Iterable[Outcome | IdReusedError]) -> Board | None:
        old = self.board.is_old(self._now_ms(), self._config.publication.snapshot_interval_ms)
        loud = any(
            isinstance(event, LOUD)
            for outcome in outcomes
            if isinstance(outcome, Outcome) and not outcome.repeated
            for event in outcome.committed.events
        )
        new = self._indicators is not self.board.indicators
        return self.make_board() if old or loud or new else None

    def make_board(self) -> Board:
        """Return what readers see, as the book stands; it is the board from now on."""
        self.board = board_of(
            self.recorder.book,
            made_ms=self._now_ms(),
            indicators=self._indicators,
            last_adl_ms=self._last_adl_ms,
            marked_ms=self._marked_ms,
        )
        return self.board


def _timed(command: Command, time_ms: int) -> Command:
    """Return the command with the clock's time where it names none."""
    if command.time_ms != NOW:
        return command
    return msgspec.structs.replace(command, time_ms=time_ms)


def _repeated(command: Command, before: Committed) -> Outcome | IdReusedError:
    """Return the earlier outcome if the command is the same but for its time."""
    same = _timed_alike(command, before.command)
    return Outcome(before, repeated=True) if same else IdReusedError(command.id, before.sequence)


def _timed_alike(one: Command, other: Command) -> bool:
    if type(one) is not type(other):
        return False
    timed = msgspec.structs.replace(one, time_ms=other.time_ms)
    return encode_command(timed) == encode_command(other)
