from delever.dashboard.frame import View
from delever.dashboard.source import Source


async def show_all(source: Source) -> None:
    await View(source, "x", "/pools").connect()


async def show(source: Source, pool: str = "", episode: str = "") -> None:
    await View(source, "x", "/pools").connect()
