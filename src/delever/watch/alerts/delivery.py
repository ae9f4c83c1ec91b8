"""Deliver alerts: mail by aiosmtplib, signed webhooks by httpx2, chat by apprise.

A failed delivery is retried with exponential backoff for a day; the store has every delivery's
state.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Protocol

import msgspec

from delever.config import MailConfig, secret
from delever.watch.alerts.alert_rules import Alert
from delever.watch.market_data.errors import error_text
from delever.watch.settings import AlertChannel, WatchSettings
from delever.watch.store import AlertDelivery, WatchStore

TIMEOUT_S = 15
FIRST_RETRY_MS, MAX_RETRY_MS = 5_000, 15 * 60_000
EXPIRES_MS = 24 * 3_600_000
BATCH_LIMIT = 20


class UndeliveredError(Exception):
    """The receiver of a channel did not accept an alert."""


class AlertSender(Protocol):
    """Sends an alert to one channel, or raises."""

    async def __call__(self, message_id: str, alert: Alert) -> None:
        """Send an alert; every attempt has the same `message_id`."""


def senders(settings: WatchSettings, now_ms: Callable[[], int]) -> dict[str, AlertSender]:
    """Return the sender of each channel; ConfigError if a secret is missing."""
    return {channel.name: _sender(channel, settings.mail, now_ms) for channel in settings.channels}


def _sender(channel: AlertChannel, mail: MailConfig, now_ms: Callable[[], int]) -> AlertSender:
    where = f"channels ({channel.name})"
    if channel.mail:
        password = secret(where, env=mail.password_env) if mail.password_env else ""
        return _Mailer(channel.mail, mail, password)
    if channel.apprise_env:
        return _Chat(secret(where, env=channel.apprise_env))
    url = secret(where, env=channel.webhook_env) if channel.webhook_env else channel.webhook
    signing_env = channel.webhook_secret_env
    return _Webhook(url, secret(where, env=signing_env) if signing_env else "", now_ms)


async def deliver(
    store: WatchStore, by_channel: Mapping[str, AlertSender], now_ms: Callable[[], int]
) -> int:
    """Try the deliveries that are due; return the number sent."""
    due = store.due(now_ms())[:BATCH_LIMIT]
    errors = await asyncio.gather(*(_try(delivery, by_channel) for delivery in due))
    for delivery, error in zip(due, errors, strict=True):
        record_attempt(store, delivery, error, now_ms())
    return errors.count("")


def record_attempt(store: WatchStore, delivery: AlertDelivery, error: str, now_ms: int) -> None:
    """Store the result of an attempt: sent, to be retried, or failed for good."""
    wait_ms = min(FIRST_RETRY_MS * 2 ** min(delivery.attempts, 12), MAX_RETRY_MS)
    if not error:
        store.update_delivery(delivery, "sent", now_ms, "")
    elif now_ms + wait_ms - delivery.made_ms > EXPIRES_MS:
        store.update_delivery(delivery, "failed", now_ms, error)
    else:
        store.update_delivery(delivery, "waiting", now_ms + wait_ms, error)


async def _try(delivery: AlertDelivery, by_channel: Mapping[str, AlertSender]) -> str:
    """Return "" or the error of a delivery."""
    send = by_channel.get(delivery.channel)
    if send is None:
        return f"channel {delivery.channel} is no longer configured"
    return await send_once(send, f"delever-{delivery.made_ms}-{delivery.id}", delivery.alert)


async def send_once(send: AlertSender, message_id: str, alert: Alert) -> str:
    """Send once; return "" or the error. A channel's failure never ends the watch."""
    try:
        await asyncio.wait_for(send(message_id, alert), TIMEOUT_S)
    except TimeoutError:
        return f"no answer within {TIMEOUT_S} s"
    except Exception as error:  # noqa: BLE001 - any error of a channel's library is its result
        return error_text(error)
    return ""


def subject(alert: Alert) -> str:
    """Return the subject line of an alert."""
    return f"[delever] {alert.text}"


def body(alert: Alert) -> str:
    """Return an alert as plain text."""
    at = datetime.fromtimestamp(alert.at_ms / 1000, UTC).isoformat(sep=" ", timespec="seconds")
    return f"{alert.text}\n\nRule {alert.rule} ({alert.kind}), {at}.\n"


class _Mailer:
    def __init__(self, to: str, mail: MailConfig, password: str) -> None:
        self._to, self._mail, self._password = to, mail, password

    async def __call__(self, message_id: str, alert: Alert) -> None:
        import aiosmtplib  # noqa: PLC0415 - slow to import

        message = EmailMessage()
        message["Subject"] = subject(alert)
        message["From"], message["To"] = self._mail.sender, self._to
        message["Message-ID"] = f"<{message_id}@delever.invalid>"
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
    def __init__(self, url: str, signing_secret: str, now_ms: Callable[[], int]) -> None:
        self._url, self._signing_secret, self._now_ms = url, signing_secret, now_ms

    async def __call__(self, message_id: str, alert: Alert) -> None:
        import httpx2  # noqa: PLC0415 - slow to import

        content = msgspec.json.encode({"type": "delever.watch.alert", "data": alert})
        headers = {"Content-Type": "application/json", **self._signed(message_id, content)}
        async with httpx2.AsyncClient(timeout=TIMEOUT_S) as client:
            answer = await client.post(self._url, content=content, headers=headers)
        if not answer.is_success:
            raise UndeliveredError(f"HTTP {answer.status_code}")

    def _signed(self, message_id: str, content: bytes) -> dict[str, str]:
        """Return the headers of Standard Webhooks, with the time of this attempt."""
        seconds = self._now_ms() // 1000
        headers = {"webhook-id": message_id, "webhook-timestamp": str(seconds)}
        if self._signing_secret:
            from standardwebhooks import Webhook  # noqa: PLC0415 - slow to import

            at = datetime.fromtimestamp(seconds, UTC)
            signature = Webhook(self._signing_secret).sign(message_id, at, content.decode())
            headers["webhook-signature"] = signature
        return headers


class _Chat:
    def __init__(self, url: str) -> None:
        self._url = url

    async def __call__(self, message_id: str, alert: Alert) -> None:  # noqa: ARG002 - chat has no ids
        import apprise  # noqa: PLC0415 - slow to import

        chat = apprise.Apprise()
        if not chat.add(self._url):
            raise UndeliveredError("apprise does not know this kind of URL")
        if not await chat.async_notify(title=subject(alert), body=body(alert)):
            raise UndeliveredError("the service did not accept the message")


def sample_alert(now_ms: int) -> Alert:
    """Return an alert that tests a channel."""
    return Alert(
        rule="test-alert",
        subject="test",
        text="this is a test: alerts of delever watch arrive here",
        at_ms=now_ms,
        kind="raised",
        channels=(),
    )
