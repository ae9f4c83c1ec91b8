"""The outbox in SQL: notifications to deliver, claimed by one process at a time, then a log.

The server and `delever watch` share it. Rows are added in the transaction that also stores their
cause: the server's cursor into the journal, or the watch's active rules. A process killed before
the commit adds them again, one killed after it has stored them: delivery is at least once.
Every transaction begins with the write that decides it, so that two never wait for each other.

Times are milliseconds of the caller's clock. A claim (`claimed_by`) is valid until
`claimed_until_ms`; the claim of a process that died ends by itself.
"""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa

from delever.server.storage.sql_text import SqlText

ResultT = TypeVar("ResultT")

NO_TIME_MS = 0
"""The time of something that has not happened: no claim, or no end."""

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""SQLite generates ids only for the type INTEGER."""

metadata = sa.MetaData()
"""The tables of the outbox."""

deliveries = sa.Table(
    "notice_deliveries",
    metadata,
    sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    sa.Column("notice", SqlText, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("kind", SqlText, nullable=False),
    sa.Column("account", SqlText, nullable=False),
    sa.Column("contract", SqlText, nullable=False),
    sa.Column("channel", SqlText, nullable=False),
    sa.Column("address", SqlText, nullable=False),
    sa.Column("body", SqlText, nullable=False),
    sa.Column("state", SqlText, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_try_ms", sa.BigInteger, nullable=False),
    sa.Column("last_error", SqlText, nullable=False),
    sa.Column("ended_ms", sa.BigInteger, nullable=False),
    sa.Column("claimed_by", SqlText, nullable=False),
    sa.Column("claimed_until_ms", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("notice", "channel", "address", name="notice_deliveries_once"),
    sa.Index("notice_deliveries_due", "state", "channel", "next_try_ms", "id"),
    sa.Index("notice_deliveries_account", "account", "id"),
)

cursor = sa.Table(
    "notice_cursor",
    metadata,
    sa.Column("only", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
)
"""The journal sequence up to which notices are in the outbox: one row."""


class NoticeChannel(StrEnum):
    """The channels of the server."""

    MAIL = "mail"
    WEBHOOK = "webhook"


class DeliveryState(StrEnum):
    """The state of a delivery."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


class Notification(NamedTuple):
    """A notice to one recipient on one channel; `body` is the JSON of a webhook."""

    notice: str
    sequence: int
    kind: str
    account: str
    contract: str
    channel: str
    address: str
    body: str


class ClaimedNotification(NamedTuple):
    """A notification that only the owner of the claim may send, until `until_ms`."""

    id: int
    claim: str
    notification: Notification
    attempts: int
    until_ms: int


class DeliveryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the delivery log; `next_try_ms` and `ended_ms` are 0 where there is none."""

    notice: str
    sequence: int
    kind: str
    account: str
    contract: str
    channel: str
    address: str
    state: DeliveryState
    attempts: int
    last_error: str
    created_ms: int
    next_try_ms: int
    ended_ms: int


class OutboxBacklog(NamedTuple):
    """Number of waiting deliveries, age of the oldest in ms, and number of failed deliveries."""

    waiting: int
    lag_ms: int
    failed: int


class Transact(Protocol):
    """Runs a function of a connection in one transaction and returns its result."""

    def __call__(self, work: Callable[[sa.Connection], ResultT]) -> Awaitable[ResultT]:
        """Return the result of `work`, committed."""


class Outbox:
    """The outbox of one database; several processes may share it."""

    def __init__(self, transact: Transact, now_ms: Callable[[], int]) -> None:
        self._transact = transact
        self._now_ms = now_ms

    async def claim(
        self, channel: str, *, limit: int, claim_ms: int, max_wait_ms: int
    ) -> list[ClaimedNotification]:
        """Claim up to `limit` notifications that are due on a channel, oldest first.

        A time further ahead than the longest wait, or than a claim, is that of a clock which was
        wrong: the notification is due.
        """
        now_ms, claim, column = self._now_ms(), uuid.uuid4().hex, deliveries.c
        due = sa.and_(
            column.state == DeliveryState.WAITING,
            column.channel == channel,
            ~column.next_try_ms.between(now_ms + 1, now_ms + max_wait_ms),
        )
        free = ~column.claimed_until_ms.between(now_ms + 1, now_ms + claim_ms)
        oldest = sa.select(column.id).where(due, free).order_by(column.next_try_ms, column.id)
        # PostgreSQL: concurrent claims take the rows that follow
        oldest = oldest.limit(limit).with_for_update(skip_locked=True)

        def claimed(connection: sa.Connection) -> list[ClaimedNotification]:
            values = {"claimed_by": claim, "claimed_until_ms": now_ms + claim_ms}
            connection.execute(sa.update(deliveries).where(column.id.in_(oldest)).values(**values))
            rows = sa.select(deliveries).where(due, column.claimed_by == claim).order_by(column.id)
            return [_claimed(row) for row in connection.execute(rows).mappings()]

        return await self._transact(claimed)

    async def mark_sent(self, claimed: ClaimedNotification) -> None:
        """Record that a notification was delivered."""
        await self._end(claimed, DeliveryState.SENT, "")

    async def mark_failed(self, claimed: ClaimedNotification, error: str) -> None:
        """Record that a notification will not be tried again."""
        await self._end(claimed, DeliveryState.FAILED, error)

    async def retry(self, claimed: ClaimedNotification, error: str, next_try_ms: int) -> None:
        """Record a failed attempt, and when to try again."""
        await self._update(
            claimed,
            attempts=claimed.attempts + 1,
            last_error=error,
            next_try_ms=next_try_ms,
            claimed_until_ms=NO_TIME_MS,
        )

    async def release(self, claimed: ClaimedNotification) -> None:
        """End the claim of a notification that was not tried."""
        await self._update(claimed, claimed_until_ms=NO_TIME_MS)

    async def _end(self, claimed: ClaimedNotification, state: DeliveryState, error: str) -> None:
        await self._update(
            claimed,
            state=state,
            attempts=claimed.attempts + 1,
            last_error=error,
            ended_ms=self._now_ms(),
        )

    async def _update(self, claimed: ClaimedNotification, **values: Any) -> None:
        """Change a row while its claim is valid; a claim that was lost changes nothing."""
        column = deliveries.c
        own = (column.id == claimed.id) & (column.claimed_by == claimed.claim)
        waiting = column.state == DeliveryState.WAITING
        change = sa.update(deliveries).where(own, waiting).values(values)
        await self._transact(lambda connection: connection.execute(change))

    # --- the delivery log ---

    async def delete_ended(self, before_ms: int, limit: int) -> int:
        """Delete the oldest rows that ended before a time, at most `limit`; return how many."""
        return await self._transact(lambda connection: delete_ended(connection, before_ms, limit))

    async def of_account(self, account: str, limit: int) -> list[DeliveryRecord]:
        """Return the newest deliveries of an account's notices, newest first."""
        column = deliveries.c
        newest = sa.select(deliveries).where(column.account == account).order_by(column.id.desc())

        def read(connection: sa.Connection) -> list[DeliveryRecord]:
            rows = connection.execute(newest.limit(limit)).mappings()
            return [_delivery_record(row) for row in rows]

        return await self._transact(read)

    async def backlog(self) -> OutboxBacklog:
        """Return the backlog of all channels."""
        now_ms = self._now_ms()
        return await self._transact(lambda connection: backlog_of(connection, now_ms))


class JournalOutbox(Outbox):
    """An outbox that is filled from a journal: its cursor moves together with the new rows."""

    async def open(self, head: int, begin: int | None = None) -> int:
        """Return the sequence up to which notices are in the outbox, for a journal with this head.

        That is `begin`, by default the head, for a new outbox, and the head where the cursor is
        beyond the journal (it was restored from a backup): earlier records are not notified again.
        Notices of records that the journal has lost are not sent; they give up their names to those
        of the records to come.

        A new cursor survives a loss of power: without it the next process would begin at a newer
        head, and notices in between would be lost.
        """
        now_ms, first = self._now_ms(), head if begin is None else begin

        def opened(connection: sa.Connection) -> int:
            position = _position(connection)
            if position is None:
                connection.execute(sa.insert(cursor).values(only=1, sequence=first))
            elif position > head:
                connection.execute(sa.update(cursor).values(sequence=head))
                _give_up(connection, head, now_ms)
            return first if position is None else min(position, head)

        sequence = await self._transact(opened)
        await self._transact(_sync)
        return sequence

    async def fill(self, after: int, until: int, notifications: Sequence[Notification]) -> bool:
        """Add the notifications of the records (after, until] and move the cursor, or do neither.

        Returns False where another process has moved the cursor; it adds the notifications.
        """
        now_ms = self._now_ms()

        def filled(connection: sa.Connection) -> bool:
            move = sa.update(cursor).where(cursor.c.sequence == after).values(sequence=until)
            if connection.execute(move).rowcount != 1:
                return False
            add(connection, notifications, now_ms)
            return True

        return await self._transact(filled)

    async def position(self) -> int:
        """Return the sequence up to which notices are in the outbox."""
        return await self._transact(lambda connection: _position(connection) or 0)


def add(connection: sa.Connection, notifications: Sequence[Notification], now_ms: int) -> None:
    """Add notifications, due now, in the caller's transaction."""
    fresh = {
        "state": DeliveryState.WAITING,
        "created_ms": now_ms,
        "attempts": 0,
        "next_try_ms": now_ms,
        "last_error": "",
        "ended_ms": NO_TIME_MS,
        "claimed_by": "",
        "claimed_until_ms": NO_TIME_MS,
    }
    if notifications:
        rows = [{**notification._asdict(), **fresh} for notification in notifications]
        connection.execute(sa.insert(deliveries), rows)


def delete_ended(connection: sa.Connection, before_ms: int, limit: int) -> int:
    """Delete the oldest rows that ended before a time, at most `limit`; return how many."""
    column = deliveries.c
    ended = (column.state != DeliveryState.WAITING) & (column.ended_ms < before_ms)
    oldest = sa.select(column.id).where(ended).order_by(column.id).limit(limit)
    return connection.execute(sa.delete(deliveries).where(column.id.in_(oldest))).rowcount


def backlog_of(connection: sa.Connection, now_ms: int) -> OutboxBacklog:
    """Return the backlog of all channels."""
    column, count = deliveries.c, sa.func.count()
    waits = sa.select(count, sa.func.min(column.created_ms)).where(
        column.state == DeliveryState.WAITING
    )
    failures = sa.select(count).where(column.state == DeliveryState.FAILED)
    waiting, oldest_ms = connection.execute(waits).one()
    failed = connection.execute(failures).scalar_one()
    return OutboxBacklog(waiting, now_ms - oldest_ms if waiting else 0, failed)


def _give_up(connection: sa.Connection, head: int, now_ms: int) -> None:
    """Fail what waits for records beyond the head, and rename all of their notices."""
    beyond, column = deliveries.c.sequence > head, deliveries.c
    lost = {
        "state": DeliveryState.FAILED,
        "last_error": "the journal was restored",
        "ended_ms": now_ms,
    }
    waits = beyond & (column.state == DeliveryState.WAITING)
    connection.execute(sa.update(deliveries).where(waits).values(**lost))
    renamed = column.notice + "~" + sa.cast(column.id, sa.Text)
    connection.execute(sa.update(deliveries).where(beyond).values(notice=renamed))


def _sync(connection: sa.Connection) -> None:
    """Write what SQLite has committed to the disk; other databases have done so."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA wal_checkpoint(FULL)")


def _position(connection: sa.Connection) -> int | None:
    position: int | None = connection.execute(sa.select(cursor.c.sequence)).scalar_one_or_none()
    return position


def _claimed(row: sa.RowMapping) -> ClaimedNotification:
    return ClaimedNotification(
        row["id"],
        row["claimed_by"],
        Notification(*(row[name] for name in Notification._fields)),
        row["attempts"],
        row["claimed_until_ms"],
    )


def _delivery_record(row: sa.RowMapping) -> DeliveryRecord:
    """Return a row of the log; of a webhook's URL only scheme and host, which have no token."""
    state = DeliveryState(row["state"])
    values = {name: row[name] for name in DeliveryRecord.__struct_fields__}
    values["state"] = state
    if row["channel"] == NoticeChannel.WEBHOOK:
        values["address"] = origin_of(row["address"])
    if state is not DeliveryState.WAITING:
        values["next_try_ms"] = NO_TIME_MS
    return DeliveryRecord(**values)


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL, without path and credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
