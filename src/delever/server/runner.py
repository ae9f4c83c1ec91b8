"""The single writer: it owns engine, journal and clock, on a thread of its own.

    submit      commands in, their outcomes out, once they are durable
    read        a function of the book, run between two commits
    board       what readers see: immutable, replaced as a whole
    committed   every commit, told to listeners on the event loop

The event loop never waits for the engine with a lock held: whatever waits is a future. Commands that
arrive while a commit is being written share the next one. After an error inside the engine the
runner takes nothing more, and says so (`failed`).
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from delever.config import Config
from delever.core.book import Book
from delever.core.messages import (
    AdlStarted,
    AdlStopped,
    Command,
    Event,
    RatingsSet,
    RefreshLights,
    RefreshRatings,
    SetTime,
)
from delever.core.publishing import Published, publish
from delever.journal import JournalError, Recorder, SqliteJournal
from delever.journal.codec import decode_command, encode_command
from delever.server.board import Board, board_of

AnswerT = TypeVar("AnswerT")

NOW = 0
"""As a command's time: the runner's clock says it, when the command's turn has come."""

TICK_MS = 1_000
"""Engaged contracts see time pass at least this often: windows slide, waits end."""

LOUD = (AdlStarted, AdlStopped, RatingsSet)
"""Events after which the board is made anew at once."""


class Committed(NamedTuple):
    """One command that is durable, with all that followed from it."""

    sequence: int
    time_ms: int
    command: Command
    events: tuple[Event, ...]


class Busy(Exception):
    """More commands wait than may; try again later."""


class Stopped(Exception):
    """The engine has stopped: an error, or the server is being shut down."""


class IdReused(Exception):
    """A command's id was used before, by a command that says something else."""

    def __init__(self, command_id: str, sequence: int) -> None:
        super().__init__(f"id {command_id!r} belongs to another command, of sequence {sequence}")
        self.sequence = sequence


class Outcome(NamedTuple):
    """What came of one command; `repeated` where it had been run before under the same id."""

    committed: Committed
    repeated: bool


class _Pending(NamedTuple):
    commands: Sequence[Command]
    done: "asyncio.Future[list[Outcome | IdReused]]"


class Runner:
    """The engine of one server. `start` before use, `stop` at the end.

    `now_ms` is the only clock. Opening raises JournalError where the journal is not sound.
    """

    def __init__(self, config: Config, now_ms: Callable[[], int]) -> None:
        self.config = config
        self.now_ms = now_ms
        self.failed: BaseException | None = None
        self.listeners: list[Callable[[Sequence[Committed]], None]] = []
        self.board_listeners: list[Callable[[Board], None]] = []
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._waiting: list[_Pending] = []
        self._waiting_commands = 0
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._last_adl_ms: dict[str, int] = {}
        self._marked_ms: dict[str, int] = {}
        self._lights: Published | None = None
        self._recorder = Recorder.open(
            config.journal.path, snapshot_every=config.journal.snapshot_every
        )
        self._remember()
        self.board = self._make_board()

    @property
    def journal_path(self) -> Path | None:
        """The journal's file, or None where it is kept in memory only."""
        path = self.config.journal.path
        return None if path == ":memory:" else Path(path)

    @property
    def waiting(self) -> int:
        """How many commands wait for the engine."""
        return self._waiting_commands

    async def start(self) -> None:
        """Begin to take commands and to let time pass."""
        self._tasks = [asyncio.create_task(self._pump()), asyncio.create_task(self._tick())]

    async def stop(self) -> None:
        """Finish what waits, keep a last snapshot, and close the journal."""
        self._stopping = True
        self._wake.set()
        if self._tasks:
            pump, tick = self._tasks
            tick.cancel()
            await asyncio.gather(pump, tick, return_exceptions=True)
        last = self.failed is None and self.journal_path is not None
        closing = self._engine.submit(self._recorder.close, snapshot=last)
        await asyncio.wrap_future(closing)
        self._engine.shutdown()

    # --- what others ask for ---

    async def submit(self, commands: Sequence[Command]) -> list[Outcome | IdReused]:
        """Run commands in their order and in one commit; return what came of each, durable.

        Commands with time NOW get the clock's. Raises Busy or Stopped with nothing done.
        """
        if self.failed is not None or self._stopping:
            raise Stopped("the engine has stopped")
        if not commands:
            return []
        if self._waiting_commands + len(commands) > self.config.journal.max_waiting:
            raise Busy(f"{self._waiting_commands} commands wait already")
        done: asyncio.Future[list[Outcome | IdReused]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Pending(commands, done))
        self._waiting_commands += len(commands)
        self._wake.set()
        return await done

    async def read(self, question: Callable[[Book], AnswerT]) -> AnswerT:
        """Return a function of the book, run between two commits; it must not change the book."""
        if self._stopping:
            raise Stopped("the server is being shut down")
        return await asyncio.wrap_future(self._engine.submit(question, self._recorder.book))

    async def look_up(self, question: Callable[[SqliteJournal], AnswerT]) -> AnswerT:
        """Return a function of the journal, read beside the engine; Stopped at shutdown."""
        if self._stopping:
            raise Stopped("the server is being shut down")
        path = self.journal_path
        if path is None:  # a journal in memory is seen by its own connection only
            return await asyncio.wrap_future(self._engine.submit(question, self._recorder.journal))
        return await asyncio.to_thread(_ask, path, question)

    async def records(self, after: int, limit: int) -> list[Committed]:
        """Return what was committed after a sequence, oldest first."""

        def read(journal: SqliteJournal) -> list[Committed]:
            from delever.journal.codec import decode_events  # noqa: PLC0415

            return [
                Committed(
                    record.sequence,
                    record.time_ms,
                    decode_command(record.command),
                    decode_events(record.events),
                )
                for record in journal.records(after, after + limit)
            ]

        return await self.look_up(read)

    # --- the event loop's side ---

    async def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        while not (self._stopping and not self._waiting):
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch = self._next_commit()
                try:
                    work = loop.run_in_executor(self._engine, self._commit, batch)
                    outcomes, board = await work
                except BaseException as error:  # noqa: BLE001 - whatever it is, nothing may go on
                    self._fail(error, batch)
                    return
                self._tell(batch, outcomes, board)

    def _next_commit(self) -> list[_Pending]:
        """Return what shares the next commit: all that waits, up to the limit."""
        size = end = 0
        for pending in self._waiting:
            size += len(pending.commands)
            if end and size > self.config.journal.max_commit:
                size -= len(pending.commands)
                break
            end += 1
        batch, self._waiting = self._waiting[:end], self._waiting[end:]
        self._waiting_commands -= size
        return batch

    def _tell(
        self, batch: list[_Pending], outcomes: list[Outcome | IdReused], board: Board | None
    ) -> None:
        """Give everybody their outcomes, and listeners what is new."""
        if board is not None:
            self.board = board
            for listener in self.board_listeners:
                listener(board)
        fresh = [o.committed for o in outcomes if isinstance(o, Outcome) and not o.repeated]
        for tell in self.listeners:
            tell(fresh)
        begin = 0
        for pending in batch:
            end = begin + len(pending.commands)
            if not pending.done.done():  # whoever asked may have gone
                pending.done.set_result(outcomes[begin:end])
            begin = end

    def _fail(self, error: BaseException, batch: list[_Pending]) -> None:
        self.failed = error
        for pending in (*batch, *self._waiting):
            if not pending.done.done():
                pending.done.set_exception(Stopped(f"the engine has stopped: {error!r}"))
        self._waiting.clear()
        self._waiting_commands = 0

    async def _tick(self) -> None:
        """Ask for what is due, again and again."""
        while True:
            await asyncio.sleep(TICK_MS / 1000)
            with contextlib.suppress(Busy, Stopped):
                await self.tick()

    async def tick(self) -> None:
        """Ask for what is due now: lights, ratings, or only that time passes; and a new board."""
        due = self._due()
        if due:
            await self.submit(due)
        elif self.now_ms() - self.board.made_ms >= self.config.publication.board_every_ms:
            board = await self.read(lambda _: self._make_board())
            self._tell([], [], board)

    def _due(self) -> list[Command]:
        shown, now_ms = self.config.publication, self.now_ms()
        commands: list[Command] = []
        if not self.board.contracts:
            return commands
        if now_ms - self.board.ratings_ms >= shown.ratings_every_ms:
            commands.append(RefreshRatings(time_ms=NOW))
        if now_ms - self.board.lights_ms >= shown.lights_every_ms:
            commands.append(RefreshLights(time_ms=NOW))
        if not commands and self.board.engaged:
            commands.append(SetTime(time_ms=NOW))
        return commands

    # --- the engine's side: everything below runs on its thread ---

    def _commit(self, batch: list[_Pending]) -> tuple[list[Outcome | IdReused], Board | None]:
        """Run one commit's commands, each id only once."""
        known: dict[int, Outcome | IdReused] = {}
        fresh: list[tuple[int, Command]] = []
        again: dict[int, int] = {}
        claimed: dict[str, int] = {}
        asked = [command for pending in batch for command in pending.commands]
        time_ms = max(self.now_ms(), self._recorder.book.time_ms)
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

    def _run(self, fresh: list[tuple[int, Command]]) -> dict[int, Outcome | IdReused]:
        first = self._recorder.head.sequence + 1
        results = self._recorder.submit(command for _, command in fresh)
        time_ms = self._recorder.book.time_ms
        outcomes: dict[int, Outcome | IdReused] = {}
        numbered = enumerate(zip(fresh, results, strict=True), start=first)
        for sequence, ((place, command), events) in numbered:
            outcomes[place] = Outcome(Committed(sequence, time_ms, command, events), repeated=False)
            self._note(sequence, command, events)
        return outcomes

    def _note(self, sequence: int, command: Command, events: tuple[Event, ...]) -> None:
        """Remember the id, and what the board shows of what has happened."""
        if command.id:
            self._ids[command.id] = sequence
            if len(self._ids) > self.config.journal.remember_ids:
                self._ids.popitem(last=False)
        self._watch(command.time_ms, events)
        if isinstance(command, RefreshLights) and len(events) > 1:
            self._lights = publish(self._recorder.book)

    def _watch(self, time_ms: int, events: Iterable[Event]) -> None:
        for event in events:
            match type(event).__struct_config__.tag:
                case "adl_filled":
                    self._last_adl_ms[event.contract] = time_ms  # type: ignore[attr-defined]
                case "marks_set":
                    self._marked_ms |= dict.fromkeys(event.contracts, time_ms)  # type: ignore[attr-defined]

    def _repeat(self, command: Command, sequence: int) -> Outcome | IdReused:
        """Return what came of a command that was run before."""
        from delever.journal.codec import decode_events  # noqa: PLC0415

        record = self._recorder.journal.record(sequence)
        if record is None:
            raise JournalError(f"record {sequence} is gone")
        before = decode_command(record.command)
        events = decode_events(record.events)
        return _repeated(command, Committed(sequence, record.time_ms, before, events))

    def _remember(self) -> None:
        """Find again, after a restart, the newest ids and what the board shows of the past."""
        from delever.journal.codec import decode_events  # noqa: PLC0415

        book, journal = self._recorder.book, self._recorder.journal
        after = max(0, self._recorder.head.sequence - self.config.journal.remember_ids)
        for record in journal.records(after):
            command = decode_command(record.command)
            if command.id:
                self._ids[command.id] = record.sequence
            self._watch(record.time_ms, decode_events(record.events))
        if book.lights is not None:
            self._lights = publish(book)

    def _board_if_due(self, outcomes: Iterable[Outcome | IdReused]) -> Board | None:
        old = self.now_ms() - self.board.made_ms >= self.config.publication.board_every_ms
        loud = any(
            isinstance(event, LOUD)
            for outcome in outcomes
            if isinstance(outcome, Outcome) and not outcome.repeated
            for event in outcome.committed.events
        )
        new = self._lights is not self.board.lights
        return self._make_board() if old or loud or new else None

    def _make_board(self) -> Board:
        return board_of(
            self._recorder.book,
            made_ms=self.now_ms(),
            lights=self._lights,
            last_adl_ms=self._last_adl_ms,
            marked_ms=self._marked_ms,
        )


def _ask(path: Path, question: Callable[[SqliteJournal], AnswerT]) -> AnswerT:
    with SqliteJournal(path, readonly=True) as journal:
        return question(journal)


def _timed(command: Command, time_ms: int) -> Command:
    """Return the command with the clock's time where it names none."""
    if command.time_ms != NOW:
        return command
    return msgspec.structs.replace(command, time_ms=time_ms)


def _repeated(command: Command, before: Committed) -> Outcome | IdReused:
    """Return the earlier outcome if the command is the same but for its time."""
    same = _timed_alike(command, before.command)
    return Outcome(before, repeated=True) if same else IdReused(command.id, before.sequence)


def _timed_alike(one: Command, other: Command) -> bool:
    if type(one) is not type(other):
        return False
    timed = msgspec.structs.replace(one, time_ms=other.time_ms)
    return encode_command(timed) == encode_command(other)
