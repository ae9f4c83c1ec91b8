"""Notices as webhooks, signed as Standard Webhooks says: id, time and body under one HMAC."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime

import httpx2
import standardwebhooks

from delever.config import ConfigError, NoticesConfig, secret
from delever.server.notifications.outbox import Claimed, Letter
from delever.server.notifications.sender import TIMEOUT_MS, Failure, Result

GONE = 410
"""The receiver wants nothing more."""

SHOWN = 200
"""Characters of a refusal's body that the delivery log keeps."""


def keys_of(notices: NoticesConfig) -> Mapping[str, standardwebhooks.Webhook]:
    """Return the key of each webhook; ConfigError where a secret cannot be had or used."""
    keys = {}
    for number, recipient in enumerate(notices.recipients):
        if recipient.webhook:
            where = f"notices.recipients[{number}].webhook_secret_env"
            text = secret(where, env=recipient.webhook_secret_env)
            try:
                keys[recipient.webhook] = standardwebhooks.Webhook(text)
            except (ValueError, RuntimeError) as error:
                raise ConfigError(f"{where}: the secret is not base64: {error}") from None
    return keys


class WebhookSender:
    """Posts a batch side by side; one slow receiver holds up only the batch it is part of."""

    def __init__(
        self, keys: Mapping[str, standardwebhooks.Webhook], now_ms: Callable[[], int]
    ) -> None:
        self._keys = keys
        self._now_ms = now_ms
        self._tls = httpx2.create_ssl_context()  # once: it reads all certificates

    async def send(self, batch: Sequence[Claimed]) -> AsyncIterator[Result]:
        """Yield what came of each request as soon as that is known."""
        timeout = TIMEOUT_MS / 1_000
        async with httpx2.AsyncClient(timeout=timeout, trust_env=False, verify=self._tls) as client:
            posting = [asyncio.create_task(self._result(client, claimed)) for claimed in batch]
            try:
                for done in asyncio.as_completed(posting):
                    yield await done
            finally:
                for task in posting:
                    task.cancel()

    async def _result(self, client: httpx2.AsyncClient, claimed: Claimed) -> Result:
        try:
            async with asyncio.timeout(TIMEOUT_MS / 1_000):
                failure = await self._post(client, claimed.letter)
        except TimeoutError:
            failure = Failure(f"no answer within {TIMEOUT_MS} ms")
        return Result(claimed, failure)

    async def _post(self, client: httpx2.AsyncClient, letter: Letter) -> Failure | None:
        key = self._keys.get(letter.address)
        if key is None:
            return Failure("the webhook is no longer configured", permanent=True)
        try:
            answer = await client.post(
                letter.address, content=letter.body.encode(), headers=self._signed(key, letter)
            )
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return Failure(f"{type(error).__name__}: {error}")
        if answer.is_success:
            return None
        shown = f"HTTP {answer.status_code}: {answer.text[:SHOWN]}"
        return Failure(shown, permanent=answer.status_code == GONE)

    def _signed(self, key: standardwebhooks.Webhook, letter: Letter) -> dict[str, str]:
        seconds = self._now_ms() // 1_000
        time = datetime.fromtimestamp(seconds, UTC)
        return {
            "content-type": "application/json",
            "user-agent": "delever",
            "webhook-id": letter.notice,
            "webhook-timestamp": str(seconds),
            "webhook-signature": key.sign(letter.notice, time, letter.body),
        }
