"""The single writer: it owns engine, journal and clock, on a thread of its own.

    submit              run commands; returns their outcomes once they are durable
    read                call a function of the book between two commits
    market_snapshot     the market as readers see it: immutable, replaced as a whole
    listeners           called with every commit, on the event loop, after the callers' answers
    replay_to           the same, and at start with the journal's newest records

The event loop never waits for the engine with a lock held: whatever waits is a future. Commands
that arrive while a commit is being written share the next one. A command whose step raises is
rejected alone (`delever.journal.recorder`); `errors` counts the errors that the engine survived, by
place. After an error of the journal, or without memory, the runner accepts no more commands,
reports the error as `failed` and calls `on_failed`: the process should exit and be started again.
"""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, TypeVar

import msgspec
import structlog

from delever.config import Config
from delever.core.book import Book
from delever.core.kernels import WorkSharing
from delever.core.messages import Command, SetTime
from delever.core.risk.publication.schedule import due_refreshes
from delever.journal import EngineFailure, SqliteJournal
from delever.server.engine.commit import (
    NOW,
    Committed,
    CommitWriter,
    DuplicateIdError,
    Outcome,
    committed_of,
)
from delever.server.engine.listeners import Listeners
from delever.server.engine.market_snapshot import MarketSnapshot

__all__ = [
    "NOW",
    "BusyError",
    "Committed",
    "DuplicateIdError",
    "Outcome",
    "PendingRequest",
    "Runner",
    "StoppedError",
]

AnswerT = TypeVar("AnswerT")

log = structlog.get_logger()

TICK_MS = 1_000
"""Monitored contracts see time pass at least this often: windows slide, waits end."""


SERVER = "server"
"""Who submits the commands of ticks."""

HEARTBEAT_MS = 60_000
"""Without any command the journal's time follows the clock this often."""


class BusyError(Exception):
    """The queue of commands is full; try again later."""


class StoppedError(Exception):
    """The engine has stopped: after an error, or because the server shuts down."""


class PendingRequest(NamedTuple):
    """Commands that share a commit, and the future of their outcomes."""

    commands: Sequence[Command]
    done: "asyncio.Future[list[Outcome | DuplicateIdError]]"


def answer_requests(
    requests: Iterable[PendingRequest], outcomes: Sequence[Outcome | DuplicateIdError]
) -> None:
    """Return each request the outcomes of its commands, which are in the order of the requests."""
    begin = 0
    for request in requests:
        end = begin + len(request.commands)
        if not request.done.done():  # the caller may have gone
            request.done.set_result(list(outcomes[begin:end]))
        begin = end


def refuse_requests(requests: Iterable[PendingRequest], error: Exception) -> None:
    """Raise an error to the callers of requests, unless they have gone."""
    for request in requests:
        if not request.done.done():
            request.done.set_exception(error)


class Runner:
    """The engine of one server; call `start` before use and `stop` at the end.

    `now_ms` is the only clock. Opening raises JournalError where the journal cannot be used.
    """

    def __init__(self, config: Config, now_ms: Callable[[], int]) -> None:
        self.config = config
        self.now_ms = now_ms
        self.failed: BaseException | None = None
        self.commit_seconds = 0.0  # of the commit that listeners are called with
        self.errors: Counter[str] = Counter()
        self.on_failed: Callable[[], None] = lambda: None
        self.listeners: Listeners[Sequence[Committed]] = Listeners(self.errors)
        self.snapshot_listeners: Listeners[MarketSnapshot] = Listeners(self.errors)
        self._replaying: list[Callable[[Sequence[Committed]], None]] = []
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="engine")
        threads = os.cpu_count() or 1
        self._ranking = ThreadPoolExecutor(threads, thread_name_prefix="ranking")
        self._queue: list[PendingRequest] = []
        self._queued_commands = 0
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._ticks: asyncio.Task[None] | None = None
        self._stopping = False
        self._clock_state = ""
        self._writer = CommitWriter(config, now_ms, WorkSharing(self._ranking, threads))
        self.market_snapshot = self._writer.market_snapshot

    @property
    def journal_path(self) -> Path | None:
        """The journal's file, or None for a journal in memory."""
        path = self.config.journal.path
        return None if path == ":memory:" else Path(path)

    @property
    def base_sequence(self) -> int:
        """The last record before those of the journal; the ones up to it are in archives."""
        return self._writer.base_sequence

    @property
    def lag(self) -> int:
        """Number of messages of a replicated log that are not in the book yet; 0 without a log."""
        return 0

    @property
    def log_outage_ms(self) -> int:
        """How long a replicated log has not answered; 0 while it does, or without a log."""
        return 0

    @property
    def waiting_for(self) -> str | None:
        """The part of the engine that is not ready, or None."""
        return None if self.failed is None else "engine"

    @property
    def queued(self) -> int:
        """Number of commands that wait for the engine."""
        return self._queued_commands

    def replay_to(self, listener: Callable[[Sequence[Committed]], None]) -> None:
        """Call a listener with the journal's newest records at start, then with every commit."""
        self._replaying.append(listener)
        self.listeners.append(listener)

    async def start(self, *, auto_tick: bool = True) -> None:
        """Restore the newest records; then accept commands and, with `auto_tick`, call `tick`."""
        self._restore()
        self._begin([self._pump()], auto_tick=auto_tick)

    def _restore(self) -> None:
        """Read the newest records again, for the listeners that replay them."""
        for committed in self._writer.restore():
            for listener in self._replaying:
                listener((committed,))
        self._publish([], [], self._writer.refresh_snapshot())

    def _begin(self, work: Sequence[Coroutine[None, None, None]], *, auto_tick: bool) -> None:
        """Start the tasks that run until `stop`, and the ticks."""
        self._tasks = [asyncio.create_task(each) for each in work]
        if auto_tick:
            self._ticks = asyncio.create_task(self._tick())
            self._tasks.append(self._ticks)
        for task in self._tasks:
            task.add_done_callback(self._on_end)

    def _on_end(self, task: "asyncio.Task[None]") -> None:
        """Fail where a task ends although the runner has not been stopped."""
        if not self._stopping and self.failed is None:
            error = None if task.cancelled() else task.exception()
            self._fail(error or RuntimeError("a task of the engine ended"), [])

    async def stop(self) -> None:
        """Finish queued commands, take a last snapshot of the book, and close the journal."""
        self._stopping = True
        self._wake.set()
        if self._ticks is not None:
            self._ticks.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        last = self.failed is None and self.journal_path is not None
        await self._on_engine(partial(self._writer.close, snapshot=last))
        self._engine.shutdown()
        self._ranking.shutdown()

    # --- requests ---

    async def submit(
        self, commands: Sequence[Command], by: str | None = None
    ) -> list[Outcome | DuplicateIdError]:
        """Run commands in their order and in one commit; return their outcomes once durable.

        `by` is who submits them, for their records. Commands with time NOW are stamped with the
        clock. Raises BusyError, StoppedError, or ValueError for a number that the journal cannot
        store; nothing is run then.
        """
        if self.failed is not None or self._stopping:
            raise StoppedError("the engine has stopped")
        if not commands:
            return []
        if self._queued_commands + len(commands) > self.config.journal.queue_limit:
            raise BusyError(f"{self._queued_commands} commands are queued already")
        if by is not None:
            commands = [msgspec.structs.replace(command, by=by) for command in commands]
        done: asyncio.Future[list[Outcome | DuplicateIdError]] = (
            asyncio.get_running_loop().create_future()
        )
        self._queue.append(PendingRequest(commands, done))
        self._queued_commands += len(commands)
        self._wake.set()
        return await done

    async def read(self, question: Callable[[Book], AnswerT]) -> AnswerT:
        """Return a function of the book, called between two commits; it must not change the book.

        Raises StoppedError at shutdown, and after an error: the book may then be ahead of the
        journal.
        """
        if self._stopping:
            raise StoppedError("the server is shutting down")
        if self.failed is not None:
            raise StoppedError("the engine has stopped")
        return await self._on_engine(partial(question, self._writer.recorder.book))

    async def look_up(self, question: Callable[[SqliteJournal], AnswerT]) -> AnswerT:
        """Return a function of the journal, called on another thread; StoppedError at shutdown."""
        if self._stopping:
            raise StoppedError("the server is shutting down")
        path = self.journal_path
        if path is None:  # only its own connection can read a journal in memory
            return await self._on_engine(partial(question, self._writer.recorder.journal))
        return await asyncio.to_thread(_ask, path, question)

    async def records(self, after: int, limit: int) -> list[Committed]:
        """Return the commits after a sequence, oldest first."""

        def read(journal: SqliteJournal) -> list[Committed]:
            return [committed_of(each) for each in journal.intact_records(after, after + limit)]

        return await self.look_up(read)

    async def _on_engine(self, work: Callable[[], AnswerT]) -> AnswerT:
        """Return the result of a function that runs on the engine's thread, after those before."""
        return await asyncio.get_running_loop().run_in_executor(self._engine, work)

    # --- the event loop's side ---

    async def _pump(self) -> None:
        while self.failed is None and not (self._stopping and not self._queue):
            await self._wake.wait()
            self._wake.clear()
            while self._queue and self.failed is None:
                await self._write(self._next_commit(self.config.journal.batch_limit))

    async def _write(self, batch: list[PendingRequest]) -> None:
        """Write one commit; where the journal cannot store a command, each request by itself."""
        began = perf_counter()
        commands = [command for pending in batch for command in pending.commands]
        try:
            outcomes, snapshot = await self._on_engine(partial(self._writer.commit, commands))
        except msgspec.MsgspecError as error:
            if len(batch) == 1:
                batch[0].done.set_exception(ValueError(str(error)))
                return
            for pending in batch:
                await self._write([pending])
        except BaseException as error:  # noqa: BLE001 - after any error the engine must stop
            self._fail(error, batch)
        else:
            self.commit_seconds = perf_counter() - began
            self._publish(batch, outcomes, snapshot)
        self._report(self._writer.take_failures())

    def _next_commit(self, limit: int) -> list[PendingRequest]:
        """Return the requests that share the next commit: all queued ones, up to a limit."""
        size = end = 0
        for pending in self._queue:
            size += len(pending.commands)
            if end and size > limit:
                size -= len(pending.commands)
                break
            end += 1
        batch, self._queue = self._queue[:end], self._queue[end:]
        self._queued_commands -= size
        return batch

    def _publish(
        self,
        batch: list[PendingRequest],
        outcomes: list[Outcome | DuplicateIdError],
        snapshot: MarketSnapshot | None,
    ) -> None:
        """Return each request its outcomes; then call the listeners."""
        if snapshot is not None:
            self.market_snapshot = snapshot
        answer_requests(batch, outcomes)
        if snapshot is not None:
            self.snapshot_listeners.call(snapshot)
        self.listeners.call(
            [o.committed for o in outcomes if isinstance(o, Outcome) and not o.repeated]
        )

    def _report(self, failures: Sequence[EngineFailure]) -> None:
        """Log and count the errors that the engine survived."""
        for place, sequence, command, error in failures:
            self.errors[place] += 1
            log.critical(
                "the engine survived an error",
                place=place,
                sequence=sequence,
                command=command and command.__struct_config__.tag,
                id=command and command.id,
                error=repr(error),
                exc_info=error,
            )

    def _fail(self, error: BaseException, batch: list[PendingRequest]) -> None:
        """Answer every request first: a log that cannot be written must not make one wait."""
        self.failed = error
        stopped = StoppedError(f"the engine has stopped: {error!r}")
        refuse_requests((*batch, *self._queue), stopped)
        self._queue.clear()
        self._queued_commands = 0
        self._wake.set()
        self.on_failed()
        log.critical("the engine has stopped", error=repr(error), exc_info=error)

    async def _tick(self) -> None:
        """Call `tick` once per TICK_MS; one that raises is logged, and the next one is called."""
        while True:
            await asyncio.sleep(TICK_MS / 1000)
            try:
                with contextlib.suppress(BusyError, StoppedError):
                    await self.tick()
            except Exception:
                self.errors["tick"] += 1
                log.exception("a tick raised")

    async def tick(self) -> None:
        """Submit the commands that are due, and refresh the market snapshot where it is old."""
        self._check_clock()
        commands = [] if self.time_is_held else await self.read(self._due)
        if commands:
            await self.submit(commands, SERVER)
            return
        interval_ms = self.config.publication.snapshot_interval_ms
        if self.market_snapshot.is_old(self.now_ms(), interval_ms):
            snapshot = await self.read(lambda _: self._writer.refresh_snapshot())
            self._publish([], [], snapshot)

    @property
    def clock_skew_ms(self) -> int:
        """How far the clock is ahead of the journal's time; negative: behind; 0 before the first.

        Ticks keep it within `HEARTBEAT_MS`.
        """
        time_ms = self.market_snapshot.time_ms
        return self.now_ms() - time_ms if time_ms else 0

    @property
    def time_is_held(self) -> bool:
        """Whether commands at the clock's time wait for an operator's confirmation."""
        limit_ms = self.config.journal.max_time_jump_ms
        return 0 < limit_ms < self.clock_skew_ms

    def _check_clock(self) -> None:
        """Log, once per change, that the clock is behind the journal, or too far ahead of it."""
        skew_ms = self.clock_skew_ms
        state = "held" if self.time_is_held else "behind" if skew_ms < -TICK_MS else ""
        if state == self._clock_state:
            return
        self._clock_state = state
        if state == "behind":
            log.warning("the clock is behind the journal", behind_ms=-skew_ms)
        elif state == "held":
            log.error("the clock is too far ahead; commands are held", ahead_ms=skew_ms)
        else:
            log.info("the clock has caught up", behind_ms=-skew_ms)

    def _due(self, book: Book) -> list[Command]:
        """Return the commands that are due; they are stamped when they are committed."""
        publication = self.config.publication
        refreshes = due_refreshes(
            book,
            self.now_ms(),
            ratings_interval_ms=publication.ratings_interval_ms,
            indicators_interval_ms=publication.indicators_interval_ms,
        )
        is_late = book.time_ms > 0 and self.now_ms() - book.time_ms >= HEARTBEAT_MS
        if not refreshes and (is_late or book.monitored()):
            return [SetTime(time_ms=NOW)]
        return [msgspec.structs.replace(refresh, time_ms=NOW) for refresh in refreshes]


def _ask(path: Path, question: Callable[[SqliteJournal], AnswerT]) -> AnswerT:
    with SqliteJournal(path, readonly=True) as journal:
        return question(journal)
