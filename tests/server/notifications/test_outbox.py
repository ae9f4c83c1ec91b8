"""The outbox on SQLite and on a real PostgreSQL: one claim per notification, all or nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest
from manual_clock import ManualClock
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from delever.server.notifications.notifier import transactions_of
from delever.server.notifications.outbox import (
    DeliveryState,
    JournalOutbox,
    NoticeChannel,
    Notification,
)
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


def notifications(*names: str) -> list[Notification]:
    return [
        Notification(name, 1, "kind", "bob", "BTC", NoticeChannel.WEBHOOK, "http://there", "{}")
        for name in names
    ]


def test_two_processes_never_claim_the_same_notification(opened: Opened) -> None:
    clock = ManualClock(START_MS)

    async def go() -> None:
        async with opened() as engine:
            one, other = (
                JournalOutbox(transactions_of(engine), clock),
                JournalOutbox(transactions_of(engine), clock),
            )
            assert await one.open(0) == await other.open(0) == 0
            assert await one.fill(0, 5, notifications(*"abcdefgh"))
            batches = await asyncio.gather(
                *(
                    outbox.claim(NoticeChannel.WEBHOOK, limit=3, claim_ms=100, max_wait_ms=100)
                    for outbox in (one, other) * 2
                )
            )
            held = [claimed for batch in batches for claimed in batch]
            assert sorted(claimed.notification.notice for claimed in held) == list("abcdefgh")
            clock.ms += 99
            assert (
                await one.claim(NoticeChannel.WEBHOOK, limit=9, claim_ms=100, max_wait_ms=100) == []
            )
            clock.ms += 1  # the claims of a dead process end
            again = await one.claim(NoticeChannel.WEBHOOK, limit=9, claim_ms=100, max_wait_ms=100)
            assert len(again) == 8
            await other.mark_failed(held[0], "the claim has ended")
            log = {each.notice: each for each in await one.of_account("bob", 9)}
            assert log[held[0].notification.notice].state is DeliveryState.WAITING

    asyncio.run(go())


def test_old_ended_deliveries_are_deleted_and_waiting_ones_stay(opened: Opened) -> None:
    clock = ManualClock(START_MS)

    async def go() -> None:
        async with opened() as engine:
            outbox = JournalOutbox(transactions_of(engine), clock)
            await outbox.open(0)
            await outbox.fill(0, 5, notifications(*"abcd"))
            sent, failed, late, _ = await outbox.claim(
                NoticeChannel.WEBHOOK, limit=4, claim_ms=100, max_wait_ms=100
            )
            await outbox.mark_sent(sent)
            await outbox.mark_failed(failed, "no such address")
            clock.ms += 10
            await outbox.mark_sent(late)

            async def left() -> str:
                return "".join(each.notice for each in await outbox.of_account("bob", 9))[::-1]

            assert await outbox.delete_ended(START_MS, 9) == 0
            assert await outbox.delete_ended(START_MS + 1, 1) == 1
            assert await left() == "bcd"
            assert await outbox.delete_ended(START_MS + 1, 9) == 1
            assert await left() == "cd"
            assert await outbox.delete_ended(START_MS + 11, 9) == 1
            assert await outbox.delete_ended(2**62, 9) == 0
            assert await left() == "d"

    asyncio.run(go())


def test_notifications_and_cursor_are_written_together_or_not_at_all(opened: Opened) -> None:
    clock = ManualClock(START_MS)

    async def go() -> None:
        async with opened() as engine:
            outbox = JournalOutbox(transactions_of(engine), clock)
            await outbox.open(0)
            assert await outbox.fill(0, 5, notifications("a"))
            assert not await outbox.fill(0, 5, notifications("b"))
            with pytest.raises(IntegrityError):
                await outbox.fill(5, 6, notifications("c", "a"))
            assert await outbox.position() == 5
            assert [each.notice for each in await outbox.of_account("bob", 9)] == ["a"]
            assert await outbox.backlog() == (1, 0, 0)
            assert await outbox.open(3) == 3  # a journal restored from a backup

    asyncio.run(go())


def test_notices_beyond_a_restored_journal_are_not_sent_and_give_up_their_names(
    opened: Opened,
) -> None:
    """As after a backup was restored: records 6 to 9 are lost, and others follow record 5."""
    (named,) = notifications("7-1")
    lost = named._replace(sequence=7)

    async def go() -> None:
        async with opened() as engine:
            outbox = JournalOutbox(transactions_of(engine), ManualClock(START_MS))
            assert await outbox.open(5) == 5
            assert await outbox.fill(5, 9, [lost])
            assert await outbox.open(5) == 5
            assert (
                await outbox.claim(NoticeChannel.WEBHOOK, limit=9, claim_ms=1, max_wait_ms=9) == []
            )
            assert await outbox.fill(5, 8, [lost])
            (claimed,) = await outbox.claim(
                NoticeChannel.WEBHOOK, limit=9, claim_ms=1, max_wait_ms=9
            )
            assert claimed.notification == lost
            rows = sorted(await outbox.of_account("bob", 9), key=lambda row: row.state)
            assert [row.last_error for row in rows] == ["the journal was restored", ""]

    asyncio.run(go())
