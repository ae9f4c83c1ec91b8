"""Send alerts: mail by aiosmtplib, signed webhooks by httpx2, chat by apprise.

A delivery that fails is tried again, later each time, for a day; how each went stays in the store.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Protocol

import msgspec

from delever.config import MailConfig, secret
from delever.watch.faults import text_of
from delever.watch.rules import Alert
from delever.watch.settings import Channel, Settings
from delever.watch.store import Delivery, Store

TIMEOUT_S = 15
FIRST_RETRY_MS, LONGEST_RETRY_MS = 5_000, 15 * 60_000
GIVE_UP_MS = 24 * 3_600_000
AT_ONCE = 20


class UndeliveredError(Exception):
    """A channel has not taken an alert, and says why."""


class Sender(Protocol):
    """What sends an alert to one channel, or raises."""

    async def __call__(self, number: str, alert: Alert) -> None:
        """Send; `number` is the same in every attempt, so that a receiver can tell a repetition."""


def senders(settings: Settings, now_ms: Callable[[], int]) -> dict[str, Sender]:
    """Return what sends to each channel; ConfigError where a secret is not there."""
    return {channel.name: _sender(channel, settings.mail, now_ms) for channel in settings.channels}


def _sender(channel: Channel, mail: MailConfig, now_ms: Callable[[], int]) -> Sender:
    where = f"channels ({channel.name})"
    if channel.mail:
        password = secret(where, env=mail.password_env) if mail.password_env else ""
        return _Mailer(channel.mail, mail, password)
    if channel.apprise_env:
        return _Chat(secret(where, env=channel.apprise_env))
    url = secret(where, env=channel.webhook_env) if channel.webhook_env else channel.webhook
    signing = channel.webhook_secret_env
    return _Webhook(url, secret(where, env=signing) if signing else "", now_ms)


async def deliver(store: Store, sending: Mapping[str, Sender], now_ms: Callable[[], int]) -> int:
    """Try every delivery that is due; return how many arrived."""
    due = store.due(now_ms())[:AT_ONCE]
    errors = await asyncio.gather(*(_try(delivery, sending) for delivery in due))
    for delivery, error in zip(due, errors, strict=True):
        settle(store, delivery, error, now_ms())
    return errors.count("")


def settle(store: Store, delivery: Delivery, error: str, now_ms: int) -> None:
    """Note how an attempt went: sent, to be tried again, or given up."""
    wait_ms = min(FIRST_RETRY_MS * 2 ** min(delivery.attempts, 12), LONGEST_RETRY_MS)
    if not error:
        store.settle(delivery, "sent", now_ms, "")
    elif now_ms + wait_ms - delivery.made_ms > GIVE_UP_MS:
        store.settle(delivery, "failed", now_ms, error)
    else:
        store.settle(delivery, "waiting", now_ms + wait_ms, error)


async def _try(delivery: Delivery, sending: Mapping[str, Sender]) -> str:
    """Return "" or why it did not arrive."""
    send = sending.get(delivery.channel)
    if send is None:
        return f"there is no channel {delivery.channel} any more"
    return await attempt(send, f"delever-{delivery.made_ms}-{delivery.id}", delivery.alert)


async def attempt(send: Sender, number: str, alert: Alert) -> str:
    """Send once; return "" or why it did not arrive. A channel's failure is never the watch's."""
    try:
        await asyncio.wait_for(send(number, alert), TIMEOUT_S)
    except TimeoutError:
        return f"no answer within {TIMEOUT_S} s"
    except Exception as error:  # noqa: BLE001 - whatever a channel's library raises is its answer
        return text_of(error)
    return ""


def subject(alert: Alert) -> str:
    """Return one line that says it."""
    return f"[delever] {alert.text}"


def body(alert: Alert) -> str:
    """Return the alert as plain text."""
    at = datetime.fromtimestamp(alert.at_ms / 1000, UTC).isoformat(sep=" ", timespec="seconds")
    return f"{alert.text}\n\nRule {alert.rule} ({alert.kind}), {at}.\n"


class _Mailer:
    def __init__(self, to: str, mail: MailConfig, password: str) -> None:
        self._to, self._mail, self._password = to, mail, password

    async def __call__(self, number: str, alert: Alert) -> None:
        import aiosmtplib  # noqa: PLC0415 - heavy

        message = EmailMessage()
        message["Subject"] = subject(alert)
        message["From"], message["To"] = self._mail.sender, self._to
        message["Message-ID"] = f"<{number}@delever.invalid>"
        message["Date"] = format_datetime(datetime.fromtimestamp(alert.at_ms / 1000, UTC))
        message.set_content(body(alert))
        await aiosmtplib.send(
            message,
            hostname=self._mail.host,
            port=self._mail.port,
            username=self._mail.username or None,
            password=self._password or None,
            start_tls=self._mail.start_tls,
            timeout=TIMEOUT_S,
        )


class _Webhook:
    def __init__(self, url: str, signing: str, now_ms: Callable[[], int]) -> None:
        self._url, self._signing, self._now_ms = url, signing, now_ms

    async def __call__(self, number: str, alert: Alert) -> None:
        import httpx2  # noqa: PLC0415 - heavy

        content = msgspec.json.encode({"type": "delever.watch.alert", "data": alert})
        headers = {"Content-Type": "application/json", **self._signed(number, content)}
        async with httpx2.AsyncClient(timeout=TIMEOUT_S) as client:
            answer = await client.post(self._url, content=content, headers=headers)
        if not answer.is_success:
            raise UndeliveredError(f"HTTP {answer.status_code}")

    def _signed(self, number: str, content: bytes) -> dict[str, str]:
        """Return the headers of Standard Webhooks; the time is of this attempt."""
        seconds = self._now_ms() // 1000
        headers = {"webhook-id": number, "webhook-timestamp": str(seconds)}
        if self._signing:
            from standardwebhooks import Webhook  # noqa: PLC0415 - heavy

            at = datetime.fromtimestamp(seconds, UTC)
            signature = Webhook(self._signing).sign(number, at, content.decode())
            headers["webhook-signature"] = signature
        return headers


class _Chat:
    def __init__(self, url: str) -> None:
        self._url = url

    async def __call__(self, number: str, alert: Alert) -> None:  # noqa: ARG002 - chat has no ids
        import apprise  # noqa: PLC0415 - heavy

        chat = apprise.Apprise()
        if not chat.add(self._url):
            raise UndeliveredError("apprise does not know this kind of URL")
        if not await chat.async_notify(title=subject(alert), body=body(alert)):
            raise UndeliveredError("the service has not taken it")


def trial(now_ms: int) -> Alert:
    """Return an alert that says that alerts arrive."""
    return Alert(
        rule="test-alert",
        about="test",
        text="this is a test: alerts of delever watch arrive here",
        at_ms=now_ms,
        kind="raised",
        send=(),
    )
