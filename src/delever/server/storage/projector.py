"""Follows the journal into SQL: at start from where the cursor stands, then as records come.

Rows and cursor are written in one transaction, so a record is projected exactly once, whenever the
process is killed. A database that cannot be reached is asked again; the engine does not wait.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from delever.journal import Record
from delever.server.engine.service import Committed, Runner, StoppedError
from delever.server.storage import tables
from delever.server.storage.rows import Rows, rows_of

PAGE = 500
"""Records of one transaction."""

RETRY_S = 1.0
"""How long a database that has failed is left alone."""

PATIENCE_S = 2.0
"""How long a question about the past waits for the projection of what was just committed."""

ONLY = 1
"""The cursor's one row."""

log = structlog.get_logger()


class History:
    """The projection of a runner's journal into a database. `start` before use, `stop` at the end.

    `sequence` is the last record that is in it; a transaction takes `page` records.
    """

    def __init__(self, runner: Runner, database: AsyncEngine, page: int = PAGE) -> None:
        self.database = database
        self._page = page
        self.sequence = 0
        self.caught_up = False
        self._told = 0
        self._runner = runner
        self._news = asyncio.Event()
        self._moved = asyncio.Condition()
        self._following: asyncio.Task[None] | None = None
        runner.listeners.append(self._tell)

    async def start(self) -> None:
        """Open and begin to follow; database errors are raised."""
        await self.open()
        self._following = asyncio.create_task(self._follow())

    async def open(self) -> None:
        """Take up where the cursor stands; `advance` then works."""
        async with self.database.connect() as connection:
            self.sequence = await _cursor(connection)

    async def stop(self) -> None:
        """Cease to follow; what is missing then is caught up at the next start."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def current(self) -> int:
        """Wait a moment until all that is durable now is in the database; return what is."""
        told = self._told
        if self.sequence < told:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S), self._moved:
                    await self._moved.wait_for(lambda: self.sequence >= told)
        return self.sequence

    def _tell(self, committed: Sequence[Committed]) -> None:
        if committed:
            self._told = committed[-1].sequence
        self._news.set()

    async def _follow(self) -> None:
        while True:
            self._news.clear()
            try:
                moved = await self.advance()
            except (SQLAlchemyError, OSError) as error:
                told = {"error": repr(error), "sequence": self.sequence}
                log.warning("history cannot be written; it is tried again", **told)
                await asyncio.sleep(RETRY_S)
                continue
            except StoppedError:
                return
            if not moved:
                self.caught_up = True
                await self._news.wait()

    async def advance(self) -> bool:
        """Project the next records; return whether there were any."""
        after, until = self.sequence, self.sequence + self._page
        records = await self._runner.look_up(lambda journal: list(journal.records(after, until)))
        if not records:
            return False
        async with self.database.begin() as connection:
            if await _move_cursor(connection, after, records[-1].sequence):
                await _write(connection, records)
        async with self._moved:
            self.sequence = records[-1].sequence
            self._moved.notify_all()
        return True


async def _cursor(connection: AsyncConnection) -> int:
    found = await connection.scalar(sa.select(tables.cursor.c.sequence))
    return 0 if found is None else int(found)


async def _move_cursor(connection: AsyncConnection, after: int, sequence: int) -> bool:
    """Move the cursor from where we believe it is; False where another process has moved it."""
    if after == 0 and await _cursor(connection) == 0:
        await connection.execute(sa.delete(tables.cursor))
        row = {"only": ONLY, "sequence": sequence}
        await connection.execute(sa.insert(tables.cursor), row)
        return True
    at = tables.cursor.c.sequence
    moved = await connection.execute(
        sa.update(tables.cursor).where(at == after).values(sequence=sequence)
    )
    return moved.rowcount == 1


async def _write(connection: AsyncConnection, records: Sequence[Record]) -> None:
    """Write what the records add and change."""
    episodes, fills = tables.episodes, tables.fills
    on = await connection.execute(
        sa.select(episodes.c.contract, episodes.c.trigger, episodes.c.episode).where(
            episodes.c.stopped_sequence.is_(None)
        )
    )
    open_episodes = {(contract, trigger): episode for contract, trigger, episode in on}
    last = await connection.scalar(sa.select(sa.func.max(episodes.c.episode)))
    rows = await asyncio.to_thread(rows_of, records, open_episodes, last or 0)
    for table, new in rows.new.items():
        if new:
            await connection.execute(sa.insert(table), new)
    await _change(connection, rows, episodes, fills)


async def _change(
    connection: AsyncConnection, rows: Rows, episodes: sa.Table, fills: sa.Table
) -> None:
    """Write what ends earlier episodes, and takes earlier fills back."""
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
