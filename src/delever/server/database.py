"""The database beside the journal: queries of the past, and the outbox of notices.

SQLite in a file beside the journal, or whatever SQLAlchemy URL is configured (PostgreSQL through
psycopg is tested). All of it follows from the journal but for what became of deliveries; a database
that is lost is filled again.
"""

from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from delever.config import Config

BUSY_S = 30
"""How long one SQLite writer waits for another."""


def open_database(config: Config) -> AsyncEngine:
    """Return the engine of the configured database; nothing is connected yet."""
    url = config.history.url
    if url:
        return create_async_engine(url, pool_pre_ping=True)
    path = config.journal.path
    if path == ":memory:":  # one connection, or each would see a memory of its own
        engine = create_async_engine(
            "sqlite+aiosqlite://", poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0
        )
    else:
        engine = create_async_engine(
            f"sqlite+aiosqlite:///{path}.history", connect_args={"timeout": BUSY_S}
        )
    event.listen(engine.sync_engine, "connect", _set_up)
    return engine


def _set_up(connection: Any, _record: object) -> None:
    """Let readers go on while one writes; what a power cut takes is filled again or sent again."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()
