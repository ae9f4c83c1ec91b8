"""Deliver alerts from the outbox: by mail, by signed webhook, or to a chat by apprise.

A failed delivery is retried with exponential backoff for a day, unless a retry would fail, too; the
store has every delivery's state.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from delever.config import ConfigError, MailConfig, secret
from delever.server.notifications.delivery_worker import (
    ATTEMPT_TIMEOUT_MS,
    ChannelSender,
    DeliveryFailure,
    DeliveryResult,
    DeliveryWorker,
    RetryPolicy,
)
from delever.server.notifications.outbox import ClaimedNotification, Notification
from delever.watch.alerts.alert_rules import Alert
from delever.watch.market_data.errors import error_text
from delever.watch.settings import AlertChannel, WatchSettings
from delever.watch.store import WatchStore, alert_of, notification_of

RETRY = RetryPolicy(initial_ms=5_000, max_ms=15 * 60_000, give_up_after_ms=24 * 3_600_000)


def senders(settings: WatchSettings, now_ms: Callable[[], int]) -> dict[str, ChannelSender]:
    """Return the sender of each channel; ConfigError if a secret is missing."""
    return {
        channel.name: _ContainedSender(_sender(channel, settings.mail, now_ms))
        for channel in settings.channels
    }


def _sender(channel: AlertChannel, mail: MailConfig, now_ms: Callable[[], int]) -> ChannelSender:
    from delever.server.notifications.channels import MailSender  # noqa: PLC0415 - slow to import

    where = f"channels ({channel.name})"
    if channel.mail:
        password = secret(where, env=mail.password_env) if mail.password_env else ""
        return MailSender(mail, password, _MailComposer(channel.mail, mail.sender), now_ms)
    if channel.apprise_env:
        return _ChatSender(secret(where, env=channel.apprise_env))
    return _webhook_sender(channel, where, now_ms)


def _webhook_sender(channel: AlertChannel, where: str, now_ms: Callable[[], int]) -> ChannelSender:
    from standardwebhooks import Webhook  # noqa: PLC0415 - slow to import

    from delever.server.notifications.channels import WebhookEndpoint, WebhookSender  # noqa: PLC0415 - slow to import

    url = secret(where, env=channel.webhook_env) if channel.webhook_env else channel.webhook
    key = None
    if channel.webhook_secret_env:
        text = secret(where, env=channel.webhook_secret_env)
        try:
            key = Webhook(text)
        except (ValueError, RuntimeError) as error:
            raise ConfigError(f"{where}: the signing secret is not base64: {error}") from None
    return WebhookSender(lambda _address: WebhookEndpoint(url, key), now_ms, trust_env=True)


async def deliver(
    store: WatchStore, channels: Mapping[str, ChannelSender], now_ms: Callable[[], int]
) -> int:
    """Send the deliveries that are due; return how many were delivered."""
    removed = store.waiting_by_channel().keys() - channels.keys()
    every: dict[str, ChannelSender] = {**channels, **{name: _RemovedChannel() for name in removed}}
    outbox = store.outbox(now_ms)
    workers = [
        DeliveryWorker(name, sender, outbox, RETRY, now_ms) for name, sender in every.items()
    ]
    results = await asyncio.gather(*(worker.deliver() for worker in workers))
    return sum(result.failure is None for own in results for result in own)


async def send_once(sender: ChannelSender, message_id: str, alert: Alert) -> str:
    """Send an alert once, without the outbox; return "" or the error."""
    notification = notification_of(alert, "", message_id)
    until_ms = alert.at_ms + 2 * ATTEMPT_TIMEOUT_MS
    claimed = ClaimedNotification(0, "", notification, 0, until_ms)
    errors = [failure.error async for _, failure in sender.send([claimed]) if failure is not None]
    return "".join(errors)


def subject(alert: Alert) -> str:
    """Return the subject line of an alert."""
    return f"[delever] {alert.text}"


def body(alert: Alert) -> str:
    """Return an alert as plain text."""
    at = datetime.fromtimestamp(alert.at_ms / 1000, UTC).isoformat(sep=" ", timespec="seconds")
    return f"{alert.text}\n\nRule {alert.rule} ({alert.kind}), {at}.\n"


class _MailComposer:
    """Composes the mail of an alert."""

    def __init__(self, to: str, sender: str) -> None:
        self._to, self._sender = to, sender

    def __call__(self, notification: Notification) -> EmailMessage:
        alert = alert_of(notification.body)
        message = EmailMessage()
        message["Subject"] = subject(alert)
        message["From"], message["To"] = self._sender, self._to
        message["Message-ID"] = f"<{notification.notice}@delever.invalid>"
        message["Date"] = format_datetime(datetime.fromtimestamp(alert.at_ms / 1000, UTC))
        message.set_content(body(alert))
        return message


class _ChatSender:
    """Sends alerts to a chat by apprise."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def send(self, batch: Sequence[ClaimedNotification]) -> AsyncIterator[DeliveryResult]:
        """Yield the result of each message."""
        for claimed in batch:
            error = await self._send_one(alert_of(claimed.notification.body))
            yield DeliveryResult(claimed, DeliveryFailure(error) if error else None)

    async def _send_one(self, alert: Alert) -> str:
        import apprise  # noqa: PLC0415 - slow to import

        chat = apprise.Apprise()
        if not chat.add(self._url):
            return "apprise does not know this kind of URL"
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT_MS / 1_000):
                accepted = await chat.async_notify(title=subject(alert), body=body(alert))
        except TimeoutError:
            return f"no answer within {ATTEMPT_TIMEOUT_MS} ms"
        return "" if accepted else "the service did not accept the message"


class _ContainedSender:
    """A sender whose exceptions are results, so that no channel ever ends the watch."""

    def __init__(self, sender: ChannelSender) -> None:
        self._sender = sender

    async def send(self, batch: Sequence[ClaimedNotification]) -> AsyncIterator[DeliveryResult]:
        """Yield the result of each notification."""
        untried = list(batch)
        try:
            async for result in self._sender.send(batch):
                untried.remove(result.claimed)
                yield result
        except Exception as error:  # noqa: BLE001 - any error of a channel's library is its result
            for claimed in untried:
                yield DeliveryResult(claimed, DeliveryFailure(error_text(error)))


class _RemovedChannel:
    """The sender of a channel that is no longer configured: every attempt fails."""

    async def send(self, batch: Sequence[ClaimedNotification]) -> AsyncIterator[DeliveryResult]:
        """Yield a failure for each notification."""
        for claimed in batch:
            channel = claimed.notification.channel
            yield DeliveryResult(
                claimed, DeliveryFailure(f"channel {channel} is no longer configured")
            )


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
