"""The single writer: it owns engine, journal and clock, on a thread of its own.

    submit      commands in, their outcomes out, once they are durable
    read        a function of the book, run between two commits
    board       what readers see: immutable, replaced as a whole
    listeners   told of every commit, on the event loop
    remember    the same, and at start of the journal's newest records

The event loop never waits for the engine with a lock held: whatever waits is a future. Commands
that arrive while a commit is being written share the next one. After an error inside the engine the
runner takes nothing more, and says so (`failed`).
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, TypeVar

import msgspec
import structlog

from delever.config import Config
from delever.core.book import Book
from delever.core.messages import Command, SetTime
from delever.core.risk.publication import due
from delever.journal import SqliteJournal
from delever.server.engine.commit import (
    NOW,
    Committed,
    IdReusedError,
    Outcome,
    Writer,
    committed_of,
)
from delever.server.engine.market_snapshot import Board

__all__ = ["NOW", "BusyError", "Committed", "IdReusedError", "Outcome", "Runner", "StoppedError"]

AnswerT = TypeVar("AnswerT")

log = structlog.get_logger()

TICK_MS = 1_000
"""Engaged contracts see time pass at least this often: windows slide, waits end."""


class BusyError(Exception):
    """More commands wait than may; try again later."""


class StoppedError(Exception):
    """The engine has stopped: an error, or the server is being shut down."""


class _Pending(NamedTuple):
    commands: Sequence[Command]
    done: "asyncio.Future[list[Outcome | IdReusedError]]"


class Runner:
    """The engine of one server. `start` before use, `stop` at the end.

    `now_ms` is the only clock. Opening raises JournalError where the journal is not sound.
    """

    def __init__(self, config: Config, now_ms: Callable[[], int]) -> None:
        self.config = config
        self.now_ms = now_ms
        self.failed: BaseException | None = None
        self.commit_seconds = 0.0  # of the commit that listeners are told of
        self.listeners: list[Callable[[Sequence[Committed]], None]] = []
        self.board_listeners: list[Callable[[Board], None]] = []
        self._remembering: list[Callable[[Sequence[Committed]], None]] = []
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._ranking = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="ranking")
        self._waiting: list[_Pending] = []
        self._waiting_commands = 0
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = self._behind = False
        self._writer = Writer(config, now_ms, self._ranking.map)
        self.board = self._writer.board

    @property
    def journal_path(self) -> Path | None:
        """The journal's file, or None where it is kept in memory only."""
        path = self.config.journal.path
        return None if path == ":memory:" else Path(path)

    @property
    def waiting(self) -> int:
        """How many commands wait for the engine."""
        return self._waiting_commands

    def remember(self, hear: Callable[[Sequence[Committed]], None]) -> None:
        """Let somebody hear at start what the journal's newest records hold, then every commit."""
        self._remembering.append(hear)
        self.listeners.append(hear)

    async def start(self) -> None:
        """Recall the newest records; then begin to take commands and to let time pass."""
        for committed in self._writer.recall():
            for hear in self._remembering:
                hear((committed,))
        self._tell([], [], self._writer.make_board())
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
        closing = self._engine.submit(self._writer.close, snapshot=last)
        await asyncio.wrap_future(closing)
        self._engine.shutdown()
        self._ranking.shutdown()

    # --- what others ask for ---

    async def submit(self, commands: Sequence[Command]) -> list[Outcome | IdReusedError]:
        """Run commands in their order and in one commit; return what came of each, durable.

        Commands with time NOW get the clock's. Raises BusyError, StoppedError, or ValueError for a
        number that no journal can hold, with nothing done.
        """
        if self.failed is not None or self._stopping:
            raise StoppedError("the engine has stopped")
        if not commands:
            return []
        if self._waiting_commands + len(commands) > self.config.journal.queue_limit:
            raise BusyError(f"{self._waiting_commands} commands wait already")
        done: asyncio.Future[list[Outcome | IdReusedError]] = (
            asyncio.get_running_loop().create_future()
        )
        self._waiting.append(_Pending(commands, done))
        self._waiting_commands += len(commands)
        self._wake.set()
        return await done

    async def read(self, question: Callable[[Book], AnswerT]) -> AnswerT:
        """Return a function of the book, run between two commits; it must not change the book.

        Raises StoppedError at shutdown, and after an error: the book may then be ahead of what the
        journal holds.
        """
        if self._stopping:
            raise StoppedError("the server is being shut down")
        if self.failed is not None:
            raise StoppedError("the engine has stopped")
        return await asyncio.wrap_future(self._engine.submit(question, self._writer.recorder.book))

    async def look_up(self, question: Callable[[SqliteJournal], AnswerT]) -> AnswerT:
        """Return a function of the journal, read beside the engine; StoppedError at shutdown."""
        if self._stopping:
            raise StoppedError("the server is being shut down")
        path = self.journal_path
        if path is None:  # a journal in memory is seen by its own connection only
            return await asyncio.wrap_future(
                self._engine.submit(question, self._writer.recorder.journal)
            )
        return await asyncio.to_thread(_ask, path, question)

    async def records(self, after: int, limit: int) -> list[Committed]:
        """Return what was committed after a sequence, oldest first."""

        def read(journal: SqliteJournal) -> list[Committed]:
            return [committed_of(record) for record in journal.records(after, after + limit)]

        return await self.look_up(read)

    # --- the event loop's side ---

    async def _pump(self) -> None:
        while self.failed is None and not (self._stopping and not self._waiting):
            await self._wake.wait()
            self._wake.clear()
            while self._waiting and self.failed is None:
                await self._write(self._next_commit())

    async def _write(self, batch: list[_Pending]) -> None:
        """Write one commit; where a command holds what no journal can, each of it alone."""
        loop, began = asyncio.get_running_loop(), perf_counter()
        asked = [command for pending in batch for command in pending.commands]
        try:
            outcomes, board = await loop.run_in_executor(self._engine, self._writer.commit, asked)
        except msgspec.MsgspecError as error:
            if len(batch) == 1:
                batch[0].done.set_exception(ValueError(str(error)))
                return
            for pending in batch:
                await self._write([pending])
        except BaseException as error:  # noqa: BLE001 - whatever it is, nothing may go on
            self._fail(error, batch)
        else:
            self.commit_seconds = perf_counter() - began
            self._tell(batch, outcomes, board)

    def _next_commit(self) -> list[_Pending]:
        """Return what shares the next commit: all that waits, up to the limit."""
        size = end = 0
        for pending in self._waiting:
            size += len(pending.commands)
            if end and size > self.config.journal.batch_limit:
                size -= len(pending.commands)
                break
            end += 1
        batch, self._waiting = self._waiting[:end], self._waiting[end:]
        self._waiting_commands -= size
        return batch

    def _tell(
        self, batch: list[_Pending], outcomes: list[Outcome | IdReusedError], board: Board | None
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
        log.critical("the engine has stopped", error=repr(error), exc_info=error)
        for pending in (*batch, *self._waiting):
            if not pending.done.done():
                pending.done.set_exception(StoppedError(f"the engine has stopped: {error!r}"))
        self._waiting.clear()
        self._waiting_commands = 0

    async def _tick(self) -> None:
        """Ask for what is due, again and again."""
        while True:
            await asyncio.sleep(TICK_MS / 1000)
            with contextlib.suppress(BusyError, StoppedError):
                await self.tick()

    async def tick(self) -> None:
        """Ask for what is due now: indicators, ratings, or only that time passes; and a new board."""
        self._look_at_clock()
        commands = await self.read(self._due)
        if commands:
            await self.submit(commands)
        elif self.board.is_old(self.now_ms(), self.config.publication.snapshot_interval_ms):
            board = await self.read(lambda _: self._writer.make_board())
            self._tell([], [], board)

    def _look_at_clock(self) -> None:
        """Warn, once each time, that the clock is behind the journal: time stands still so long."""
        behind_ms = self.board.time_ms - self.now_ms()
        if (behind_ms > TICK_MS) != self._behind:
            self._behind = not self._behind
            tell = log.warning if self._behind else log.info
            tell(
                "the clock is behind the journal" if self._behind else "the clock has caught up",
                behind_ms=behind_ms,
            )

    def _due(self, book: Book) -> list[Command]:
        """Return what is due, to be stamped when its turn comes."""
        shown = self.config.publication
        refreshes = due(
            book,
            self.now_ms(),
            ratings_interval_ms=shown.ratings_interval_ms,
            indicators_interval_ms=shown.indicators_interval_ms,
        )
        if not refreshes and book.engaged():
            return [SetTime(time_ms=NOW)]
        return [msgspec.structs.replace(refresh, time_ms=NOW) for refresh in refreshes]


def _ask(path: Path, question: Callable[[SqliteJournal], AnswerT]) -> AnswerT:
    with SqliteJournal(path, readonly=True) as journal:
        return question(journal)
