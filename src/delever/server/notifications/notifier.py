"""Notices of a runner: the outbox follows the journal, and delivery workers empty it.

A record is notified only after it is durable. New records come from the runner's listener, those
that an earlier process did not finish from the journal; the cursor separates them.
"""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import sqlalchemy as sa
import standardwebhooks
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from delever.config import Config, ConfigError, MailConfig, NoticesConfig, secret
from delever.core.book import Book
from delever.core.messages import ContractAmended, PoolAmended
from delever.journal import SqliteJournal
from delever.server.engine.runner import Committed, Runner
from delever.server.notifications.channels import MailSender, WebhookEndpoint, WebhookSender
from delever.server.notifications.delivery_worker import (
    ChannelSender,
    DeliveryResult,
    DeliveryWorker,
    RetryPolicy,
)
from delever.server.notifications.outbox import (
    DeliveryRecord,
    JournalOutbox,
    NoticeChannel,
    Notification,
    OutboxBacklog,
    Transact,
)
from delever.server.notifications.recipients import Recipients
from delever.server.notifications.selection import (
    NoticeContext,
    RecordNotices,
    notice_context_of,
    notices_of,
)
from delever.server.notifications.templates import MailComposer, Templates

JOURNAL_PAGE = 500
"""Records read from the journal at one time."""

MAX_QUEUED = 10_000
"""Records with notices that may be queued in memory; beyond it they are read from the journal."""

IDLE_S = 0.5
"""How often the outbox is polled, and how long a worker pauses after an error."""

BACKLOG_S = 5
"""How often the backlog listeners are called."""

CLEANUP_S = 600
"""How often old rows of the delivery log are deleted."""

CLEANUP_ROWS = 1_000
"""Rows deleted in one transaction, so that others do not wait for it."""

CURSOR_INTERVAL = 1_000
"""Records without a notice after which the cursor moves nevertheless."""

SHUTDOWN_S = 2
"""How long a worker may take to finish its batch when the server stops."""

ResultT = TypeVar("ResultT")

AMENDED = ContractAmended, PoolAmended
"""Events after which the context of notices is read again."""

log = structlog.get_logger()

DeliveryListener = Callable[[str, Sequence[DeliveryResult]], None]
BacklogListener = Callable[[OutboxBacklog], None]


class Notifier:
    """Fills the outbox and delivers from it; call `start` before use and `stop` at the end.

    `senders` are those of the configured channels, as `senders_of` returns them.
    """

    def __init__(
        self,
        config: Config,
        runner: Runner,
        database: AsyncEngine,
        now_ms: Callable[[], int],
        senders: Mapping[NoticeChannel, ChannelSender],
    ) -> None:
        self.delivery_listeners: list[DeliveryListener] = []
        self.backlog_listeners: list[BacklogListener] = []
        self._runner = runner
        self._now_ms = now_ms
        self._retention_ms = config.notices.retention_ms
        self._recipients = Recipients(config.notices)
        self._outbox = JournalOutbox(transactions_of(database), now_ms)
        notices = config.notices
        retry = RetryPolicy(
            notices.retry_initial_ms, notices.retry_max_ms, notices.give_up_after_ms
        )
        self._workers = [
            DeliveryWorker(channel, sender, self._outbox, retry, now_ms)
            for channel, sender in senders.items()
        ]
        self._context = NoticeContext({}, {})
        self._queue: list[RecordNotices] = []
        self._committed = self._unread = self._filled = 0
        self._wake, self._stopping = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, started_at: int | None = None) -> None:
        """Continue where the last process ended; `fill` and `deliver` then work when called.

        A new outbox begins after `started_at`, by default the newest record.
        """
        self._runner.listeners.append(self._listen)
        head = await self._runner.look_up(_head)
        self._filled = await self._outbox.open(head, started_at)
        self._unread, self._committed = head, max(self._committed, head)

    async def start(self, started_at: int | None = None) -> None:
        """Continue where the last process ended, and begin to fill and to deliver."""
        await self.open(started_at)
        self._wake.set()
        self._tasks = [
            asyncio.create_task(self._follow()),
            *(
                asyncio.create_task(self._repeat(functools.partial(self._deliver, worker)))
                for worker in self._workers
            ),
            asyncio.create_task(self._repeat(self.report_backlog, BACKLOG_S)),
            asyncio.create_task(self._repeat(self.delete_old, CLEANUP_S)),
        ]

    async def stop(self) -> None:
        """Fill the outbox, and stop delivering; the next process delivers the rest."""
        self._stopping.set()
        self._wake.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=SHUTDOWN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._runner.listeners.remove(self._listen)

    async def deliveries_of(self, account: str, limit: int) -> list[DeliveryRecord]:
        """Return the newest deliveries of an account's notices ('' is the operator's)."""
        return await self._outbox.of_account(account, limit)

    # --- filling the outbox ---

    def _listen(self, commits: Sequence[Committed]) -> None:
        """Queue the notices of durable records; never wait."""
        if not commits:
            return
        found = [notices for notices in map(notices_of, commits) if notices is not None]
        self._committed = commits[-1].sequence
        if any(isinstance(event, AMENDED) for commit in commits for event in commit.events):
            self._context = NoticeContext({}, {})
        self._queue += found
        if len(self._queue) > MAX_QUEUED:
            self._queue, self._unread = [], self._committed
        if found or self._committed - self._filled >= CURSOR_INTERVAL:
            self._wake.set()

    async def fill(self) -> None:
        """Add the notices of all durable records to the outbox; an error loses none of them."""
        while self._filled < self._committed:
            if self._filled < self._unread:
                records = await self._runner.records(self._filled, JOURNAL_PAGE)
                found = [notices for notices in map(notices_of, records) if notices is not None]
                await self._add(found, records[-1].sequence)
            else:
                until = self._committed
                await self._add([n for n in self._queue if n.sequence <= until], until)
            self._queue = [n for n in self._queue if n.sequence > self._filled]

    async def _add(self, found: Sequence[RecordNotices], until: int) -> None:
        """Write notifications and cursor; where another process was first, continue there."""
        for notices in found:
            if not self._context.covers(notices):
                self._context = await self._runner.read(notice_context_of)
        notifications = await asyncio.to_thread(self._notifications, found)
        if await self._outbox.fill(self._filled, until, notifications):
            self._filled = until
        else:
            self._filled = await self._outbox.position()
            self._unread = self._committed

    def _notifications(self, found: Sequence[RecordNotices]) -> list[Notification]:
        return [
            notification
            for notices in found
            for notification in self._recipients.notifications(notices, self._context)
        ]

    # --- delivering ---

    async def deliver(self) -> list[DeliveryResult]:
        """Send one batch on each channel; return the results."""
        return [result for worker in self._workers for result in await self._deliver(worker)]

    async def _deliver(self, worker: DeliveryWorker) -> list[DeliveryResult]:
        results = await worker.deliver()
        if results:
            _log_failures(worker.channel, results)
            for listener in self.delivery_listeners:
                listener(worker.channel, results)
        return results

    async def report_backlog(self) -> list[DeliveryResult]:
        """Call the backlog listeners; return no results."""
        if self.backlog_listeners:
            backlog = await self._outbox.backlog()
            for listener in self.backlog_listeners:
                listener(backlog)
        return []

    async def delete_old(self) -> list[DeliveryResult]:
        """Delete rows of the delivery log beyond the retention time; return no results.

        The book's time bounds the clock's: an operator has confirmed its jumps.
        """
        book_ms = await self._runner.read(_time_ms)
        before_ms = min(self._now_ms(), book_ms) - self._retention_ms
        while await self._outbox.delete_ended(before_ms, CLEANUP_ROWS) == CLEANUP_ROWS:
            pass
        return []

    # --- tasks ---

    async def _follow(self) -> None:
        """Fill the outbox whenever there is something to add, and once more at the end."""
        while not self._stopping.is_set():
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.fill()
            except Exception:  # whatever it is, the next attempt may succeed
                log.exception("outbox_not_filled")
                self._wake.set()
                await self._pause()

    async def _repeat(
        self, work: Callable[[], Awaitable[list[DeliveryResult]]], pause_s: float = IDLE_S
    ) -> None:
        """Repeat work until the server stops; pause without results and after an error."""
        while not self._stopping.is_set():
            try:
                results = await work()
            except Exception:  # a worker that ended would deliver nothing any more
                log.exception("notices_not_sent")
                results = []
            if not results:
                await self._pause(pause_s)

    async def _pause(self, pause_s: float = IDLE_S) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause_s)


def transactions_of(database: AsyncEngine) -> Transact:
    """Return how an outbox runs its transactions in a database."""

    async def transact(work: Callable[[sa.Connection], ResultT]) -> ResultT:
        async with database.begin() as connection:
            return await connection.run_sync(work)

    return transact


def _time_ms(book: Book) -> int:
    return book.time_ms


def _head(journal: SqliteJournal) -> int:
    head = journal.head()
    return head.sequence if head else 0


def check_material(notices: NoticesConfig) -> None:
    """Read all secrets and templates of notices; raise ConfigError where one cannot be used."""
    _password(notices.mail)
    Templates(notices.templates)
    webhook_endpoints(notices)


def _password(mail: MailConfig) -> str:
    return secret("notices.mail", env=mail.password_env) if mail.password_env else ""


def webhook_endpoints(notices: NoticesConfig) -> dict[str, WebhookEndpoint]:
    """Return the endpoint of each webhook; raise ConfigError where its secret cannot be used."""
    endpoints = {}
    for number, recipient in enumerate(notices.recipients):
        if recipient.webhook:
            where = f"notices.recipients[{number}].webhook_secret_env"
            text = secret(where, env=recipient.webhook_secret_env)
            try:
                key = standardwebhooks.Webhook(text)
            except (ValueError, RuntimeError) as error:
                raise ConfigError(f"{where}: the secret is not base64: {error}") from None
            endpoints[recipient.webhook] = WebhookEndpoint(recipient.webhook, key)
    return endpoints


def senders_of(
    notices: NoticesConfig, now_ms: Callable[[], int]
) -> dict[NoticeChannel, ChannelSender]:
    """Return the sender of each configured channel.

    Raises ConfigError where a secret or a template cannot be read.
    """
    senders: dict[NoticeChannel, ChannelSender] = {}
    if notices.mail.host:
        mail = notices.mail
        compose = MailComposer(mail.sender, Templates(notices.templates), now_ms)
        senders[NoticeChannel.MAIL] = MailSender(mail, _password(mail), compose, now_ms)
    senders[NoticeChannel.WEBHOOK] = WebhookSender(webhook_endpoints(notices).get, now_ms)
    return senders


def _log_failures(channel: str, results: Sequence[DeliveryResult]) -> None:
    """Log failed attempts, without the address."""
    for claimed, failure in results:
        if failure is not None:
            log.warning(
                "notice_not_delivered",
                channel=str(channel),
                notice=claimed.notification.notice,
                attempts=claimed.attempts + 1,
                error=failure.error,
                permanent=failure.permanent,
            )
