"""The database beside the journal: queries of the past, and the outbox of notices.

SQLite in a file beside the journal, or whatever SQLAlchemy URL is configured (PostgreSQL through
psycopg is tested). All of it follows from the journal but for what became of deliveries; a database
that is lost is filled again. Its tables are made by alembic, version by version: migrations/.
"""

from importlib.resources import as_file, files
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from delever.config import Config, ConfigError

BUSY_S = 30
"""How long one SQLite writer waits for another."""

MIGRATING = 0x64656C76
"""PostgreSQL's lock on the schema: of two servers that start together, one waits."""

metadata = sa.MetaData()
"""All tables as they are now: history/tables and notify/tables."""


class Words(sa.types.TypeDecorator[str]):
    """Text that is kept as it is, but for NUL, which PostgreSQL holds in no text.

    Names and notes may hold one; a single of them would keep all that follows out of the database.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: sa.Dialect) -> str | None:
        """Return the text as it is written and looked for."""
        return value and value.replace("\0", "\N{REPLACEMENT CHARACTER}")


def open_database(config: Config) -> AsyncEngine:
    """Return the engine of the configured database; nothing is connected yet.

    Raises ConfigError where the URL is none, or its driver is not there or cannot wait.
    """
    url = config.history.url
    if url:
        try:
            return create_async_engine(url, pool_pre_ping=True)
        except (sa.exc.SQLAlchemyError, ImportError) as error:  # its text has no password in it
            raise ConfigError(f"history.url: {error}") from error
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


async def migrate(database: AsyncEngine) -> None:
    """Bring the tables up to date; what is in them is kept."""
    async with database.begin() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command  # noqa: PLC0415 - heavy
    from alembic.config import Config as Settings  # noqa: PLC0415 - heavy

    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATING)))
    with as_file(files("delever.server").joinpath("migrations")) as folder:
        settings = Settings()
        settings.set_main_option("script_location", str(folder))
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
