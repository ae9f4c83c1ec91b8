"""The database of the past: the engine of a URL, and its schema brought up to date."""

from importlib.resources import as_file, files

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from delever.config import Config

MEMORY = "sqlite+aiosqlite://"


def url_of(config: Config) -> str:
    """Return where the past is kept: as configured, else in a SQLite file beside the journal."""
    if config.history.url:
        return config.history.url
    path = config.journal.path
    return MEMORY if path == ":memory:" else f"sqlite+aiosqlite:///{path}.history"


def database_of(config: Config) -> AsyncEngine:
    """Return the engine of a configuration's database; sqlalchemy.exc.ArgumentError for no URL."""
    url = url_of(config)
    if url == MEMORY:  # seen by its own connection only, so there is one
        return create_async_engine(url, poolclass=StaticPool)
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    return engine


def _set_up_sqlite(connection: object, _record: object) -> None:
    """Let readers work beside the writer; what a power cut loses is projected again."""
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA busy_timeout = 10000")
    cursor.close()


async def migrate(database: AsyncEngine) -> None:
    """Bring the schema up to date; what is there is kept."""
    async with database.begin() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command  # noqa: PLC0415 - heavy
    from alembic.config import Config as Alembic  # noqa: PLC0415 - heavy

    with as_file(files("delever.server.history").joinpath("migrations")) as folder:
        settings = Alembic()
        settings.set_main_option("script_location", str(folder))
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")


__all__ = ["AsyncConnection", "AsyncEngine", "database_of", "migrate", "url_of"]
