"""Senders by mail and by webhook: SMTP, and HTTP requests signed according to Standard Webhooks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import NamedTuple

import aiosmtplib
import httpx2
import standardwebhooks

from delever.config import MailConfig
from delever.server.notifications.delivery_worker import (
    ATTEMPT_TIMEOUT_MS,
    DeliveryFailure,
    DeliveryResult,
)
from delever.server.notifications.outbox import ClaimedNotification, Notification

TLS_PORT = 465

SMTP_PERMANENT = 500
"""From this SMTP reply code on a retry would fail, too."""

HTTP_GONE = 410
"""The receiver does not want any more requests."""

MAX_ERROR_BODY = 200
"""Characters of a response's body that the delivery log stores."""


# --- mail ---


class MailSender:
    """Sends a batch of mails over one SMTP connection.

    `password` is empty where the server needs no login; `compose` may raise ValueError.
    """

    def __init__(
        self,
        mail: MailConfig,
        password: str,
        compose: Callable[[Notification], EmailMessage],
        now_ms: Callable[[], int],
    ) -> None:
        self._mail = mail
        self._password = password
        self._compose = compose
        self._now_ms = now_ms

    async def send(self, batch: Sequence[ClaimedNotification]) -> AsyncIterator[DeliveryResult]:
        """Yield the result of each mail as soon as it is known.

        Mails that could not be finished before their claim ends are not tried.
        """
        client = self._client()
        lost: DeliveryFailure | None = None
        try:
            lost = await self._connect(client)
            for claimed in batch:
                if lost is None and self._now_ms() + ATTEMPT_TIMEOUT_MS > claimed.until_ms:
                    return
                failure = lost or await self._send_one(client, claimed.notification)
                if not client.is_connected:
                    lost = failure
                yield DeliveryResult(claimed, failure)
        finally:
            client.close()

    def _client(self) -> aiosmtplib.SMTP:
        tls = self._mail.port == TLS_PORT
        return aiosmtplib.SMTP(
            hostname=self._mail.host,
            port=self._mail.port,
            username=self._mail.username or None,
            password=self._password or None,
            use_tls=tls,
            start_tls=self._mail.start_tls and not tls,
            local_hostname="localhost",
            timeout=ATTEMPT_TIMEOUT_MS / 1_000,
        )

    async def _connect(self, client: aiosmtplib.SMTP) -> DeliveryFailure | None:
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError) as error:
            return DeliveryFailure(_error_text(error))
        return None

    async def _send_one(
        self, client: aiosmtplib.SMTP, notification: Notification
    ) -> DeliveryFailure | None:
        try:
            await client.send_message(self._compose(notification))
        except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPResponseException) as error:
            return DeliveryFailure(_error_text(error), permanent=_code(error) >= SMTP_PERMANENT)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return DeliveryFailure(_error_text(error))
        return None


def _code(error: Exception) -> int:
    """Return the SMTP reply code of an error; of several refused recipients the lowest."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return min(refused.code for refused in error.recipients)
    return int(getattr(error, "code", 0))


def _error_text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


# --- webhooks ---


class WebhookEndpoint(NamedTuple):
    """The URL of a webhook and the key that signs its requests; None does not sign them."""

    url: str
    key: standardwebhooks.Webhook | None


class WebhookSender:
    """Posts the notifications of a batch concurrently.

    `endpoint_of` returns the endpoint of an address, or None where it is no longer configured.
    `trust_env` uses the proxies of the environment.
    """

    def __init__(
        self,
        endpoint_of: Callable[[str], WebhookEndpoint | None],
        now_ms: Callable[[], int],
        *,
        trust_env: bool = False,
    ) -> None:
        self._endpoint_of = endpoint_of
        self._now_ms = now_ms
        self._trust_env = trust_env
        self._tls = httpx2.create_ssl_context()  # once: it reads all certificates

    async def send(self, batch: Sequence[ClaimedNotification]) -> AsyncIterator[DeliveryResult]:
        """Yield the result of each request as soon as it is known."""
        timeout = ATTEMPT_TIMEOUT_MS / 1_000
        async with httpx2.AsyncClient(
            timeout=timeout, trust_env=self._trust_env, verify=self._tls
        ) as client:
            requests = [asyncio.create_task(self._result(client, claimed)) for claimed in batch]
            try:
                for result in asyncio.as_completed(requests):
                    yield await result
            finally:
                for request in requests:
                    request.cancel()

    async def _result(
        self, client: httpx2.AsyncClient, claimed: ClaimedNotification
    ) -> DeliveryResult:
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT_MS / 1_000):
                failure = await self._post(client, claimed.notification)
        except TimeoutError:
            failure = DeliveryFailure(f"no answer within {ATTEMPT_TIMEOUT_MS} ms")
        return DeliveryResult(claimed, failure)

    async def _post(
        self, client: httpx2.AsyncClient, notification: Notification
    ) -> DeliveryFailure | None:
        endpoint = self._endpoint_of(notification.address)
        if endpoint is None:
            return DeliveryFailure("the webhook is no longer configured", permanent=True)
        headers = self._headers(endpoint.key, notification)
        content = notification.body.encode()
        try:
            answer = await client.post(endpoint.url, content=content, headers=headers)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return DeliveryFailure(_error_text(error))
        if answer.is_success:
            return None
        text = f"HTTP {answer.status_code}: {answer.text[:MAX_ERROR_BODY]}"
        return DeliveryFailure(text, permanent=answer.status_code == HTTP_GONE)

    def _headers(
        self, key: standardwebhooks.Webhook | None, notification: Notification
    ) -> dict[str, str]:
        """Return the headers of Standard Webhooks; the time is that of this attempt."""
        seconds = self._now_ms() // 1_000
        headers = {
            "content-type": "application/json",
            "user-agent": "delever",
            "webhook-id": notification.notice,
            "webhook-timestamp": str(seconds),
        }
        if key is not None:
            time = datetime.fromtimestamp(seconds, UTC)
            headers["webhook-signature"] = key.sign(notification.notice, time, notification.body)
        return headers
