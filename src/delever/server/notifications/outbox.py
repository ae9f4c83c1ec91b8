"""Rows to be sent: filled together with the cursor, claimed by one sender at a time, then a log.

The cursor into the journal moves in the same transaction as the rows of the records it has passed.
A process killed before that commit fills them again, one killed after it has them: at least once.
Every transaction begins with the write that decides it, so that two never wait for each other.
"""

import uuid
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from delever.server.notifications.tables import cursor, deliveries

ONLY = 1
"""The cursor's only row."""

NEVER = 0
"""A time before everything: nobody holds the row, or it has not ended."""


class Channel(StrEnum):
    """How a notice travels."""

    MAIL = "mail"
    WEBHOOK = "webhook"


class State(StrEnum):
    """What has come of a delivery."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


class Letter(NamedTuple):
    """A notice to one recipient on one channel; `body` is the webhook's JSON, facts inside."""

    notice: str
    sequence: int
    kind: str
    account: str
    contract: str
    channel: Channel
    address: str
    body: str


class Claimed(NamedTuple):
    """A letter that only who holds it may send, until `until_ms`."""

    number: int
    hold: str
    letter: Letter
    attempts: int
    made_ms: int
    until_ms: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the delivery log. `next_try_ms` and `ended_ms` are 0 where there is none."""

    notice: str
    sequence: int
    kind: str
    account: str
    contract: str
    channel: Channel
    address: str
    state: State
    attempts: int
    last_error: str
    made_ms: int
    next_try_ms: int
    ended_ms: int


class Backlog(NamedTuple):
    """How much waits, for how long the oldest has, and how much was given up."""

    waiting: int
    lag_ms: int
    failed: int


class Outbox:
    """The outbox in one database; several processes may share it."""

    def __init__(self, database: AsyncEngine, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    # --- filling ---

    async def open(self, head: int) -> int:
        """Return the sequence up to which notices are in the outbox, for a journal with this head.

        The first time, and where the journal is shorter than what was read of it (it was restored
        from a backup), that is the head: what happened before is told to nobody any more.
        """
        async with self._database.begin() as connection:
            known = await self._cursor(connection)
            if known is None:
                await connection.execute(sa.insert(cursor).values(only=ONLY, sequence=head))
            elif known > head:
                await connection.execute(sa.update(cursor).values(sequence=head))
            return head if known is None else min(known, head)

    async def _cursor(self, connection: AsyncConnection) -> int | None:
        return (await connection.execute(sa.select(cursor.c.sequence))).scalar_one_or_none()

    async def fill(self, after: int, until: int, letters: Sequence[Letter]) -> bool:
        """Keep the letters of the records (after, until] and move the cursor, or do neither.

        Returns False where another process has moved the cursor; the letters are its business.
        """
        now_ms = self._now_ms()
        async with self._database.begin() as connection:
            moved = await connection.execute(
                sa.update(cursor).where(cursor.c.sequence == after).values(sequence=until)
            )
            if moved.rowcount != 1:
                return False
            if letters:
                rows = [{**each._asdict(), **_fresh(now_ms)} for each in letters]
                await connection.execute(sa.insert(deliveries), rows)
        return True

    async def position(self) -> int:
        """Return the sequence up to which notices are in the outbox."""
        async with self._database.connect() as connection:
            return await self._cursor(connection) or 0

    # --- sending ---

    async def claim(self, channel: Channel, *, limit: int, hold_ms: int) -> list[Claimed]:
        """Return what is due on a channel, oldest first, now held by nobody else."""
        now_ms, hold, table = self._now_ms(), uuid.uuid4().hex, deliveries.c
        free = table.claimed_until_ms <= now_ms
        due = sa.and_(
            table.state == State.WAITING, table.channel == channel, table.next_try_ms <= now_ms
        )
        order = table.next_try_ms, table.number
        first = sa.select(table.number).where(due, free).order_by(*order).limit(limit)
        first = first.with_for_update(skip_locked=True)  # PostgreSQL: rivals take what follows
        async with self._database.begin() as connection:
            await connection.execute(
                sa.update(deliveries)
                .where(table.number.in_(first))
                .values(claimed_by=hold, claimed_until_ms=now_ms + hold_ms)
            )
            rows = await connection.execute(
                sa.select(deliveries).where(due, table.claimed_by == hold).order_by(table.number)
            )
            return [_claimed(row) for row in rows.mappings()]

    async def sent(self, claimed: Claimed) -> None:
        """Note that a letter has arrived."""
        await self._end(claimed, State.SENT, claimed.attempts + 1, "")

    async def failed(self, claimed: Claimed, error: str) -> None:
        """Note that a letter will never arrive."""
        await self._end(claimed, State.FAILED, claimed.attempts + 1, error)

    async def later(self, claimed: Claimed, error: str, next_try_ms: int) -> None:
        """Note that a letter did not arrive, and when to try again."""
        await self._note(
            claimed,
            attempts=claimed.attempts + 1,
            last_error=error,
            next_try_ms=next_try_ms,
            claimed_until_ms=NEVER,
        )

    async def release(self, claimed: Claimed) -> None:
        """Let go of a letter that was not tried."""
        await self._note(claimed, claimed_until_ms=NEVER)

    async def _end(self, claimed: Claimed, state: State, attempts: int, error: str) -> None:
        await self._note(
            claimed, state=state, attempts=attempts, last_error=error, ended_ms=self._now_ms()
        )

    async def _note(self, claimed: Claimed, **values: Any) -> None:
        """Change a row as long as it is held: who came too late changes nothing."""
        table = deliveries.c
        held = (table.number == claimed.number) & (table.claimed_by == claimed.hold)
        waiting = table.state == State.WAITING
        async with self._database.begin() as connection:
            await connection.execute(sa.update(deliveries).where(held, waiting).values(values))

    # --- the log ---

    async def forget(self, before_ms: int, limit: int) -> int:
        """Delete the oldest rows that ended before a time, at most `limit`; return how many."""
        table = deliveries.c
        old = sa.select(table.number).where(
            table.state != State.WAITING, table.ended_ms < before_ms
        )
        oldest = old.order_by(table.number).limit(limit)
        async with self._database.begin() as connection:
            gone = await connection.execute(sa.delete(deliveries).where(table.number.in_(oldest)))
            return gone.rowcount

    async def of_account(self, account: str, limit: int) -> list[Delivery]:
        """Return the newest deliveries of an account's notices, newest first."""
        table = deliveries.c
        newest = sa.select(deliveries).where(table.account == account).order_by(table.number.desc())
        async with self._database.connect() as connection:
            rows = await connection.execute(newest.limit(limit))
            return [_delivery(row) for row in rows.mappings()]

    async def backlog(self) -> Backlog:
        """Return how much waits and how much has failed."""
        table, count = deliveries.c, sa.func.count()
        waits = sa.select(count, sa.func.min(table.made_ms)).where(table.state == State.WAITING)
        gone = sa.select(count).select_from(deliveries).where(table.state == State.FAILED)
        async with self._database.connect() as connection:
            waiting, oldest_ms = (await connection.execute(waits)).one()
            failed = (await connection.execute(gone)).scalar_one()
        return Backlog(waiting, self._now_ms() - oldest_ms if waiting else 0, failed)


def _fresh(now_ms: int) -> dict[str, Any]:
    return {
        "state": State.WAITING,
        "made_ms": now_ms,
        "attempts": 0,
        "next_try_ms": now_ms,
        "last_error": "",
        "ended_ms": NEVER,
        "claimed_by": "",
        "claimed_until_ms": NEVER,
    }


def _claimed(row: sa.RowMapping) -> Claimed:
    letter = Letter(*(row[name] for name in Letter._fields))
    return Claimed(
        row["number"],
        row["claimed_by"],
        letter._replace(channel=Channel(letter.channel)),
        row["attempts"],
        row["made_ms"],
        row["claimed_until_ms"],
    )


def _delivery(row: sa.RowMapping) -> Delivery:
    """Return a row as the log shows it: of a webhook's address only the host, never a token."""
    channel, state = Channel(row["channel"]), State(row["state"])
    values = {name: row[name] for name in Delivery.__struct_fields__}
    address = row["address"] if channel is Channel.MAIL else host_of(row["address"])
    next_try_ms = row["next_try_ms"] if state is State.WAITING else NEVER
    shown = {"channel": channel, "state": state, "address": address, "next_try_ms": next_try_ms}
    return Delivery(**values | shown)


def host_of(url: str) -> str:
    """Return scheme, host and port of an address, without path and credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
