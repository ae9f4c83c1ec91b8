"""The outbox on SQLite and on a real PostgreSQL: one holder a letter, all or nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest
from posting import Clock
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from delever.server.notifications.outbox import Channel, Letter, Outbox, State
from delever.server.storage.database import migrate

START_MS = 1_700_000_000_000
Opened = Callable[[], AbstractAsyncContextManager[AsyncEngine]]


@asynccontextmanager
async def made(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url)
    try:
        await migrate(engine)
        yield engine
    finally:
        await engine.dispose()


@pytest.fixture
def opened(empty_database: str) -> Opened:
    return partial(made, empty_database)


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


def test_what_ended_long_ago_is_forgotten_and_what_waits_is_kept(opened: Opened) -> None:
    clock = Clock(START_MS)

    async def go() -> None:
        async with opened() as engine:
            outbox = Outbox(engine, clock)
            await outbox.open(0)
            await outbox.fill(0, 5, letters(*"abcd"))
            sent, failed, late, _ = await outbox.claim(Channel.WEBHOOK, limit=4, hold_ms=100)
            await outbox.sent(sent)
            await outbox.failed(failed, "no such address")
            clock.ms += 10
            await outbox.sent(late)

            async def left() -> str:
                return "".join(each.notice for each in await outbox.of_account("bob", 9))[::-1]

            assert await outbox.forget(START_MS, 9) == 0
            assert await outbox.forget(START_MS + 1, 1) == 1
            assert await left() == "bcd"
            assert await outbox.forget(START_MS + 1, 9) == 1
            assert await left() == "cd"
            assert await outbox.forget(START_MS + 11, 9) == 1
            assert await outbox.forget(2**62, 9) == 0
            assert await left() == "d"

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
