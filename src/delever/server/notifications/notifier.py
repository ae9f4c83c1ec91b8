"""Notices beside a runner: the outbox follows the journal, and couriers empty it.

A record is told only after it is durable: live ones by the runner's listener, those that an earlier
process did not get to out of the journal. The cursor says where the one ends.
"""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from delever.config import Config, MailConfig, NoticesConfig, secret
from delever.journal import SqliteJournal
from delever.server.engine.service import Committed, Runner
from delever.server.notifications.delivery_worker import Courier
from delever.server.notifications.outbox import Backlog, Channel, Delivery, Letter, Outbox
from delever.server.notifications.recipients import Recipients
from delever.server.notifications.selection import Lexicon, Told, lexicon_of, told_by
from delever.server.notifications.sender import Result
from delever.server.notifications.smtp import MailSender
from delever.server.notifications.templates import Templates
from delever.server.notifications.webhook import WebhookSender, keys_of

PAGE = 500
"""Records read from the journal at one time."""

REMEMBERED = 10_000
"""Records with notices that may wait in memory; beyond it they are read from the journal."""

IDLE_S = 0.5
"""How often the outbox is looked at, and how long a worker rests after an error."""

BACKLOG_S = 5
"""How often listeners are told what waits."""

FORGET_S = 600
"""How often the delivery log is rid of what is too old."""

FORGOTTEN = 1_000
"""Rows that go in one transaction, so that nobody waits for it long."""

CURSOR_EVERY = 1_000
"""Records without a notice after which the cursor moves nevertheless."""

GRACE_S = 2
"""How long a worker may take to end what it is sending when the server stops."""

log = structlog.get_logger()

DeliveryListener = Callable[[Channel, Sequence[Result]], None]
BacklogListener = Callable[[Backlog], None]


class Notifier:
    """Fills the outbox and sends what is in it. `start` before use, `stop` at the end.

    Raises ConfigError where a secret or a template cannot be had.
    """

    def __init__(
        self, config: Config, runner: Runner, database: AsyncEngine, now_ms: Callable[[], int]
    ) -> None:
        self.delivery_listeners: list[DeliveryListener] = []
        self.backlog_listeners: list[BacklogListener] = []
        self._runner = runner
        self._now_ms = now_ms
        self._keep_ms = config.notices.retention_ms
        self._recipients = Recipients(config.notices)
        self._outbox = Outbox(database, now_ms)
        self._couriers = _couriers(config.notices, self._outbox, now_ms)
        self._lexicon = Lexicon({}, {})
        self._live: list[Told] = []
        self._seen = self._unread = self._filled = 0
        self._wake, self._stopping = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Take up where the last process ended; `fill` and `deliver` then work when called."""
        self._runner.listeners.append(self._listen)
        head = await self._runner.look_up(_head)
        self._filled = await self._outbox.open(head)
        self._unread, self._seen = head, max(self._seen, head)

    async def start(self) -> None:
        """Take up where the last process ended, and begin to fill and to send."""
        await self.open()
        self._wake.set()
        self._tasks = [
            asyncio.create_task(self._follow()),
            *(
                asyncio.create_task(self._again(functools.partial(self._round, each)))
                for each in self._couriers
            ),
            asyncio.create_task(self._again(self.tell_backlog, BACKLOG_S)),
            asyncio.create_task(self._again(self.forget, FORGET_S)),
        ]

    async def stop(self) -> None:
        """Fill what is known, and stop sending; what waits is sent by the next process."""
        self._stopping.set()
        self._wake.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._listen in self._runner.listeners:
            self._runner.listeners.remove(self._listen)

    async def deliveries_of(self, account: str, limit: int) -> list[Delivery]:
        """Return the newest deliveries of an account's notices ('' is the operator's)."""
        return await self._outbox.of_account(account, limit)

    # --- filling ---

    def _listen(self, commits: Sequence[Committed]) -> None:
        """Remember what durable records tell; never waits."""
        if not commits:
            return
        told = [each for each in map(told_by, commits) if each is not None]
        self._seen = commits[-1].sequence
        self._live += told
        if len(self._live) > REMEMBERED:
            self._live, self._unread = [], self._seen
        if told or self._seen - self._filled >= CURSOR_EVERY:
            self._wake.set()

    async def fill(self) -> None:
        """Bring the outbox up to what is durable; where that fails, nothing is lost."""
        while self._filled < self._seen:
            if self._filled < self._unread:
                records = await self._runner.records(self._filled, PAGE)
                told = [each for each in map(told_by, records) if each is not None]
                await self._keep(told, records[-1].sequence)
            else:
                until = self._seen
                await self._keep([each for each in self._live if each.sequence <= until], until)
            self._live = [each for each in self._live if each.sequence > self._filled]

    async def _keep(self, told: Sequence[Told], until: int) -> None:
        """Write letters and cursor; where another process was first, take up its cursor."""
        for each in told:
            if not self._lexicon.knows(each):
                self._lexicon = await self._runner.read(lexicon_of)
        letters = await asyncio.to_thread(self._letters, told)
        if await self._outbox.fill(self._filled, until, letters):
            self._filled = until
        else:
            self._filled = await self._outbox.position()
            self._unread = self._seen

    def _letters(self, told: Sequence[Told]) -> list[Letter]:
        return [letter for each in told for letter in self._recipients.letters(each, self._lexicon)]

    # --- sending ---

    async def deliver(self) -> list[Result]:
        """Send one batch on each channel; return what came of it."""
        return [result for courier in self._couriers for result in await self._round(courier)]

    async def _round(self, courier: Courier) -> list[Result]:
        results = await courier.round()
        if results:
            _log(courier.channel, results)
            for listener in self.delivery_listeners:
                listener(courier.channel, results)
        return results

    async def tell_backlog(self) -> list[Result]:
        """Tell listeners what waits; nothing was sent, so there is a rest before the next time."""
        if self.backlog_listeners:
            backlog = await self._outbox.backlog()
            for listener in self.backlog_listeners:
                listener(backlog)
        return []

    async def forget(self) -> list[Result]:
        """Rid the delivery log of what ended too long ago; nothing was sent."""
        before_ms = self._now_ms() - self._keep_ms
        while await self._outbox.forget(before_ms, FORGOTTEN) == FORGOTTEN:
            pass
        return []

    # --- the tasks ---

    async def _follow(self) -> None:
        """Fill whenever there is something to fill, and once more at the end."""
        while not self._stopping.is_set():
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.fill()
            except Exception:  # whatever it is, the next try may go well
                log.exception("notices_not_kept")
                self._wake.set()
                await self._rest()

    async def _again(
        self, work: Callable[[], Awaitable[list[Result]]], rest_s: float = IDLE_S
    ) -> None:
        """Work as long as there is something to do; rest when idle and after an error."""
        while not self._stopping.is_set():
            try:
                results = await work()
            except Exception:  # a worker that ended would tell nobody any more
                log.exception("notices_not_sent")
                results = []
            if not results:
                await self._rest(rest_s)

    async def _rest(self, rest_s: float = IDLE_S) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), rest_s)


def _head(journal: SqliteJournal) -> int:
    head = journal.head()
    return head.sequence if head else 0


def check_material(notices: NoticesConfig) -> None:
    """Read all that notices need from elsewhere; ConfigError where a secret or template is not."""
    _password(notices.mail)
    Templates(notices.templates)
    keys_of(notices)


def _password(mail: MailConfig) -> str:
    return secret("notices.mail", env=mail.password_env) if mail.password_env else ""


def _couriers(notices: NoticesConfig, outbox: Outbox, now_ms: Callable[[], int]) -> list[Courier]:
    """Return a courier for each channel that is configured."""
    found = []
    if notices.mail.host:
        mail, templates = notices.mail, Templates(notices.templates)
        by_mail = MailSender(mail, _password(mail), templates, now_ms)
        found.append(Courier(Channel.MAIL, by_mail, outbox, notices, now_ms))
    by_webhook = WebhookSender(keys_of(notices), now_ms)
    found.append(Courier(Channel.WEBHOOK, by_webhook, outbox, notices, now_ms))
    return found


def _log(channel: Channel, results: Sequence[Result]) -> None:
    """Log failures; the address stays in the delivery log."""
    for claimed, failure in results:
        if failure is not None:
            log.warning(
                "notice_not_delivered",
                channel=str(channel),
                notice=claimed.letter.notice,
                attempts=claimed.attempts + 1,
                error=failure.error,
                permanent=failure.permanent,
            )
