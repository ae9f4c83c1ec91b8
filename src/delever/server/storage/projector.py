"""Projects the journal into SQL: at start from the cursor on, then record by record.

Rows and cursor are written in one transaction, so a record is projected exactly once even if the
process is killed. What cannot be read or written is tried again; the engine does not wait.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from delever.journal import Head, Record, SqliteJournal
from delever.server.engine.runner import Committed, Runner, StoppedError
from delever.server.storage import tables
from delever.server.storage.rows import HistoryRows, LastMark, rows_of

PAGE_RECORDS = 500
"""Records of one transaction."""

RETRY_S = 1.0
"""Pause after an error of the database."""

CATCH_UP_S = 2.0
"""How long a query waits for the projection of the newest commit."""

ONLY = 1
"""The cursor's one row."""

log = structlog.get_logger()


class HistoryProjector:
    """Projects a runner's journal into a database; call `start` before use and `stop` at the end.

    `sequence` is the last record in the database; a transaction has up to `page_records` records.
    """

    def __init__(
        self, runner: Runner, database: AsyncEngine, page_records: int = PAGE_RECORDS
    ) -> None:
        self.database = database
        self._page_records = page_records
        self.sequence = 0
        self.caught_up = False
        self._committed = 0
        self._runner = runner
        self._wake = asyncio.Event()
        self._moved = asyncio.Condition()
        self._following: asyncio.Task[None] | None = None
        runner.listeners.append(self._listen)

    async def start(self) -> None:
        """Open the database and begin to follow the journal; may raise database errors.

        A second call does nothing.
        """
        if self._following is not None:
            return
        await self.open()
        self._following = asyncio.create_task(self._follow())

    async def open(self) -> None:
        """Read the cursor; `advance` then works.

        A history beyond the journal, or of another one, is emptied and projected again: the journal
        was restored from a backup, or replaced.
        """
        async with self.database.connect() as connection:
            sequence, record_hash = await _cursor(connection)
        problem = await self._runner.look_up(
            lambda journal: _cursor_problem(journal, sequence, record_hash)
        )
        if problem:
            log.warning("the history is projected again", problem=problem, sequence=sequence)
            async with self.database.begin() as connection:
                for table in reversed(tables.metadata.sorted_tables):
                    await connection.execute(sa.delete(table))
            sequence = 0
        base = await self._runner.look_up(lambda journal: journal.base())
        if sequence < base.sequence:
            log.warning("the history lacks archived records", after=sequence, until=base.sequence)
            sequence = base.sequence
            async with self.database.begin() as connection:
                await _set_cursor(connection, base)
        self.sequence = sequence

    @property
    def lag(self) -> int:
        """How many durable records are not in the database yet."""
        return max(self._runner.market_snapshot.sequence, self._committed) - self.sequence

    async def stop(self) -> None:
        """Stop following; the next start catches up."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def current(self) -> int:
        """Wait until all commits so far are in the database, or a moment; return its sequence."""
        committed = self._committed
        if self.sequence < committed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CATCH_UP_S), self._moved:
                    await self._moved.wait_for(lambda: self.sequence >= committed)
        return self.sequence

    def _listen(self, commits: Sequence[Committed]) -> None:
        if commits:
            self._committed = commits[-1].sequence
        self._wake.set()

    async def _follow(self) -> None:
        while True:
            self._wake.clear()
            try:
                moved = await self.advance()
            except StoppedError:
                return
            except Exception as error:  # noqa: BLE001 - a task that ended would project nothing more
                log.warning(
                    "history cannot be written; it is tried again",
                    error=repr(error),
                    sequence=self.sequence,
                )
                await asyncio.sleep(RETRY_S)
                continue
            if not moved:
                self.caught_up = True
                await self._wake.wait()

    async def advance(self) -> bool:
        """Project the next records; return whether there were any."""
        after, until = self.sequence, self.sequence + self._page_records
        records = await self._runner.look_up(
            lambda journal: list(journal.intact_records(after, until))
        )
        if not records:
            return False
        async with self.database.begin() as connection:
            if await _move_cursor(connection, after, records[-1]):
                await _write(connection, records)
        async with self._moved:
            self.sequence = records[-1].sequence
            self._moved.notify_all()
        return True


def _cursor_problem(journal: SqliteJournal, sequence: int, record_hash: bytes | None) -> str:
    """Return why the record at the cursor is not one of this journal, or ""."""
    head = journal.head()
    if head is not None and sequence > head.sequence:
        return f"the journal ends at record {head.sequence}"
    at = journal.head_at(sequence)
    if at is None or record_hash in {None, at.hash}:
        return ""
    return "the journal has another record there"


async def _cursor(connection: AsyncConnection) -> tuple[int, bytes | None]:
    """Return the newest record in the database and its hash; (0, None) for none."""
    columns = tables.cursor.c.sequence, tables.cursor.c.record_hash
    found = (await connection.execute(sa.select(*columns))).one_or_none()
    return (0, None) if found is None else (int(found.sequence), found.record_hash)


async def _move_cursor(connection: AsyncConnection, after: int, record: Record) -> bool:
    """Move the cursor from `after`; return False where another process has moved it."""
    if after == 0 and (await _cursor(connection))[0] == 0:
        await _set_cursor(connection, record.head)
        return True
    at, to = tables.cursor.c.sequence, {"sequence": record.sequence, "record_hash": record.hash}
    moved = await connection.execute(sa.update(tables.cursor).where(at == after).values(**to))
    return moved.rowcount == 1


async def _set_cursor(connection: AsyncConnection, head: Head) -> None:
    await connection.execute(sa.delete(tables.cursor))
    position = {"sequence": head.sequence, "record_hash": head.hash}
    await connection.execute(sa.insert(tables.cursor), {"only": ONLY, **position})


async def _write(connection: AsyncConnection, records: Sequence[Record]) -> None:
    """Write the rows that records add and change."""
    episodes, fills = tables.episodes, tables.fills
    on = await connection.execute(
        sa.select(episodes.c.contract, episodes.c.trigger, episodes.c.episode).where(
            episodes.c.stopped_sequence.is_(None)
        )
    )
    open_episodes = {(contract, trigger): episode for contract, trigger, episode in on}
    last = await connection.scalar(sa.select(sa.func.max(episodes.c.episode)))
    marks = tables.last_marks
    stored = await connection.execute(sa.select(marks))
    last_marks = {contract: LastMark(*values) for contract, *values in stored}
    rows = await asyncio.to_thread(rows_of, records, open_episodes, last or 0, last_marks)
    for table, new in rows.new.items():
        if new:
            await connection.execute(sa.insert(table), new)
    await _change(connection, rows, episodes, fills)
    if rows.marks:
        await connection.execute(sa.delete(marks).where(marks.c.contract.in_(rows.marks)))
        newest = [{"contract": name} | mark._asdict() for name, mark in rows.marks.items()]
        await connection.execute(sa.insert(marks), newest)


async def _change(
    connection: AsyncConnection, rows: HistoryRows, episodes: sa.Table, fills: sa.Table
) -> None:
    """Write the ends of earlier episodes, and cancellations of earlier fills."""
    stop = sa.update(episodes).where(episodes.c.episode == sa.bindparam("of"))
    stop = stop.values(
        stopped_sequence=sa.bindparam("by"),
        stopped_ms=sa.bindparam("at_ms"),
        stop_numbers=sa.bindparam("with"),
    )
    cancel = sa.update(fills).where(fills.c.fill == sa.bindparam("of"))
    cancel = cancel.values(cancelled_sequence=sa.bindparam("by"))
    changes: list[tuple[Any, list[dict[str, Any]]]] = [(stop, rows.stopped)]
    changes.append((cancel, rows.cancelled))
    for statement, changed in changes:
        if changed:
            await connection.execute(statement, changed)
