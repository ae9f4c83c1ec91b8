"""Migrations on SQLite and on PostgreSQL: created once, upgraded without losing rows.

The older version is 0001, with the tables of the outbox created outside alembic.
"""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as Settings
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from delever.config import ConfigError, parse
from delever.server.notifications import outbox
from delever.server.notifications.notifier import transactions_of
from delever.server.notifications.outbox import JournalOutbox, NoticeChannel, Notification
from delever.server.storage import tables
from delever.server.storage.database import is_newest, migrate, open_database

NOTIFICATION = Notification(
    "n-1", 1, "kind", "bob", "BTC", NoticeChannel.MAIL, "bob@mail.test", "{}"
)


def using(url: str, use: Callable[[AsyncEngine], Awaitable[None]]) -> None:
    async def go() -> None:
        database = create_async_engine(url)
        try:
            await use(database)
        finally:
            await database.dispose()

    asyncio.run(go())


async def differences(database: AsyncEngine) -> list[Any]:
    """Return the differences between the database and the tables in the code."""

    def compare(connection: sa.Connection) -> list[Any]:
        metadata = [tables.metadata, outbox.metadata]
        found = compare_metadata(MigrationContext.configure(connection), metadata)
        return [difference for difference in found if "history_version" not in str(difference)]

    async with database.connect() as connection:
        return await connection.run_sync(compare)


def create_older_version(connection: sa.Connection) -> None:
    """Create a database of version 0001, and the outbox without alembic."""
    settings = Settings()
    settings.set_main_option("script_location", str(files("delever.server.storage") / "migrations"))
    settings.attributes["connection"] = connection
    command.upgrade(settings, "0001")
    outbox.metadata.create_all(connection)


async def version(database: AsyncEngine) -> str:
    async with database.connect() as connection:
        found = await connection.scalar(sa.text("SELECT version_num FROM history_version"))
        return str(found)


def test_migrations_create_every_table_once(empty_database: str) -> None:
    async def use(database: AsyncEngine) -> None:
        await migrate(database)
        assert await differences(database) == []
        await migrate(database)
        assert await version(database) == "0004"

    using(empty_database, use)


def test_migrations_keep_the_rows_of_an_older_version(empty_database: str) -> None:
    async def use(database: AsyncEngine) -> None:
        async with database.begin() as connection:
            await connection.run_sync(create_older_version)
            await connection.execute(sa.insert(tables.cursor), {"only": 1, "sequence": 7})
        notices = JournalOutbox(transactions_of(database), lambda: 1_000)
        assert await notices.open(5) == 5
        assert await notices.fill(5, 6, [NOTIFICATION])
        before = await notices.of_account("bob", 9)
        assert await version(database) == "0001"
        await migrate(database)
        assert await version(database) == "0004"
        assert await differences(database) == []
        assert await notices.of_account("bob", 9) == before != []
        assert await notices.position() == 6
        async with database.connect() as connection:
            assert await connection.scalar(sa.select(tables.cursor.c.sequence)) == 7

    using(empty_database, use)


def test_migrations_continue_after_a_process_was_killed(empty_database: str) -> None:
    async def use(database: AsyncEngine) -> None:
        await migrate(database)
        async with database.begin() as connection:
            await connection.execute(sa.text("DELETE FROM history_version"))
            await connection.run_sync(outbox.deliveries.drop)
            await connection.run_sync(tables.unwinds.drop)
        await migrate(database)
        assert await differences(database) == []

    using(empty_database, use)


def test_concurrent_migrations_create_every_table_once(postgres: str) -> None:
    async def use(database: AsyncEngine) -> None:
        together = [migrate(database) for _ in range(3)]
        assert await asyncio.gather(*together, return_exceptions=True) == [None] * 3
        assert await differences(database) == []

    using(postgres, use)


def test_the_url_may_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    config = parse({"history": {"url_env": "DELEVER_HISTORY"}})
    with pytest.raises(ConfigError, match="'DELEVER_HISTORY' is not set"):
        open_database(config)
    monkeypatch.setenv("DELEVER_HISTORY", "postgresql+psycopg://delever:s3cret@db/history")
    url = open_database(config).url
    assert (url.host, url.database, url.password) == ("db", "history", "s3cret")
    monkeypatch.setenv("DELEVER_HISTORY", "postgresql+nothing://delever:s3cret@db/history")
    with pytest.raises(ConfigError) as caught:
        open_database(config)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigError, match="url and url_env exclude each other"):
        parse({"history": {"url": "sqlite+aiosqlite://", "url_env": "DELEVER_HISTORY"}})


def test_the_newest_version_is_known_without_alembic(empty_database: str) -> None:
    async def check(database: AsyncEngine) -> None:
        async with database.begin() as connection:
            assert not await connection.run_sync(is_newest)
        await migrate(database)
        async with database.begin() as connection:
            assert await connection.run_sync(is_newest)
            await connection.execute(sa.text("UPDATE history_version SET version_num = '0001'"))
            assert not await connection.run_sync(is_newest)

    using(empty_database, check)
