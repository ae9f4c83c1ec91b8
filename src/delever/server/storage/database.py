"""The SQL database next to the journal: tables of the history and the outbox of notices.

It is SQLite in a file next to the journal, or a configured SQLAlchemy URL (PostgreSQL with psycopg
is tested). All of it is projected from the journal, except for the results of deliveries; a lost
database is filled again. Alembic creates and migrates its tables (migrations/).
"""

from importlib.resources import as_file, files
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from delever.config import Config, ConfigError, secret

BUSY_S = 30
"""How long a SQLite writer waits for another one."""

VERSION_TABLE = "history_version"
"""Alembic's table of the version; a migration's file begins with its own."""

MIGRATION_LOCK = 0x64656C76
"""Advisory lock of PostgreSQL: of two servers that start together, one waits."""


def open_database(config: Config) -> AsyncEngine:
    """Return the engine of the configured database, not connected yet.

    Raises ConfigError where the URL is invalid or its variable is not set, or where its driver is
    missing or not asynchronous.
    """
    url, variable = config.history.url, config.history.url_env
    if variable:
        url = secret("history.url_env", env=variable)
    if url:
        try:
            return create_async_engine(url, pool_pre_ping=True)
        except (sa.exc.SQLAlchemyError, ImportError) as error:  # the message has no password
            raise ConfigError(f"history.url: {error}") from error
    path = config.journal.path
    if path == ":memory:":  # each connection would have a database of its own
        engine = create_async_engine(
            "sqlite+aiosqlite://", poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0
        )
    else:
        engine = create_async_engine(
            f"sqlite+aiosqlite:///{path}.history", connect_args={"timeout": BUSY_S}
        )
    event.listen(engine.sync_engine, "connect", _configure)
    return engine


def _configure(connection: Any, _record: object) -> None:
    """Allow reads during a write; rows lost in a power cut are projected or sent again."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


async def migrate(database: AsyncEngine) -> None:
    """Migrate the tables to the newest version; their rows stay."""
    async with database.begin() as connection:
        if not await connection.run_sync(is_newest):
            await connection.run_sync(_upgrade)


def is_newest(connection: sa.Connection) -> bool:
    """Return whether the tables are those of the newest migration, without importing alembic."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return False
    column = sa.column("version_num", sa.String)
    version = connection.scalar(sa.select(column).select_from(sa.table(VERSION_TABLE)))
    folder = files("delever.server.storage").joinpath("migrations", "versions")
    versions = [each.name.partition("_")[0] for each in folder.iterdir()]
    return version == max(filter(str.isdigit, versions))


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command  # noqa: PLC0415 - heavy
    from alembic.config import Config as Settings  # noqa: PLC0415 - heavy

    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
    with as_file(files("delever.server.storage").joinpath("migrations")) as folder:
        settings = Settings()
        settings.set_main_option("script_location", str(folder))
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
