"""The schema of the past, brought up to date by alembic."""

from importlib.resources import as_file, files

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine


async def migrate(database: AsyncEngine) -> None:
    """Bring the schema up to date; what is there is kept."""
    async with database.begin() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command  # noqa: PLC0415 - heavy
    from alembic.config import Config  # noqa: PLC0415 - heavy

    with as_file(files("delever.server.history").joinpath("migrations")) as folder:
        settings = Config()
        settings.set_main_option("script_location", str(folder))
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
