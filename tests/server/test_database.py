"""The schema on SQLite and on PostgreSQL: made once, brought up to date, never at the cost of rows.

A database of 0.1.0's first builds is one at version 0001 whose outbox was made beside alembic.
"""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as Settings
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from delever.server.notifications.outbox import Channel, Letter, Outbox
from delever.server.notifications.tables import cursor, deliveries
from delever.server.storage import tables
from delever.server.storage.database import metadata, migrate

LETTER = Letter("n-1", 1, "kind", "bob", "BTC", Channel.MAIL, "bob@mail.test", "{}")


def using(url: str, use: Callable[[AsyncEngine], Awaitable[None]]) -> None:
    async def go() -> None:
        database = create_async_engine(url)
        try:
            await use(database)
        finally:
            await database.dispose()

    asyncio.run(go())


async def differences(database: AsyncEngine) -> list[Any]:
    """Return in what the database differs from what the code says of it."""

    def compare(connection: sa.Connection) -> list[Any]:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
        return [each for each in found if "history_version" not in str(each)]

    async with database.connect() as connection:
        return await connection.run_sync(compare)


def make_as_before(connection: sa.Connection) -> None:
    """Make what the version before 0002 made: the past by alembic, the outbox by itself."""
    settings = Settings()
    settings.set_main_option("script_location", str(files("delever.server") / "migrations"))
    settings.attributes["connection"] = connection
    command.upgrade(settings, "0001")
    metadata.create_all(connection, [cursor, deliveries])


async def version(database: AsyncEngine) -> str:
    async with database.connect() as connection:
        found = await connection.scalar(sa.text("SELECT version_num FROM history_version"))
        return str(found)


def test_an_empty_database_gets_every_table_once(empty_database: str) -> None:
    async def use(database: AsyncEngine) -> None:
        await migrate(database)
        assert await differences(database) == []
        await migrate(database)
        assert await version(database) == "0002"

    using(empty_database, use)


def test_a_database_of_the_version_before_is_taken_over_with_its_rows(empty_database: str) -> None:
    async def use(database: AsyncEngine) -> None:
        async with database.begin() as connection:
            await connection.run_sync(make_as_before)
            await connection.execute(sa.insert(tables.cursor), {"only": 1, "sequence": 7})
        outbox = Outbox(database, lambda: 1_000)
        assert await outbox.open(5) == 5
        assert await outbox.fill(5, 6, [LETTER])
        before = await outbox.of_account("bob", 9)
        assert await version(database) == "0001"
        await migrate(database)
        assert await version(database) == "0002"
        assert await differences(database) == []
        assert await outbox.of_account("bob", 9) == before != []
        assert await outbox.position() == 6
        async with database.connect() as connection:
            assert await connection.scalar(sa.select(tables.cursor.c.sequence)) == 7

    using(empty_database, use)


def test_a_process_killed_while_it_made_the_tables_holds_up_nobody(empty_database: str) -> None:
    async def use(database: AsyncEngine) -> None:
        await migrate(database)
        async with database.begin() as connection:
            await connection.execute(sa.text("DELETE FROM history_version"))
            await connection.run_sync(deliveries.drop)
            await connection.run_sync(tables.unwinds.drop)
        await migrate(database)
        assert await differences(database) == []

    using(empty_database, use)


def test_servers_that_start_together_make_the_tables_once(postgres: str) -> None:
    async def use(database: AsyncEngine) -> None:
        together = [migrate(database) for _ in range(3)]
        assert await asyncio.gather(*together, return_exceptions=True) == [None] * 3
        assert await differences(database) == []

    using(postgres, use)
