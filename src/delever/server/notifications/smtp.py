"""Notices by mail: a batch over one SMTP connection, each with a Message-ID of its own."""

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage

import aiosmtplib
import jinja2
import msgspec

from delever.config import MailConfig
from delever.server.notifications.outbox import Claimed, Letter
from delever.server.notifications.sender import TIMEOUT_MS, Failure, Result
from delever.server.notifications.templates import Templates

TLS_PORT = 465

PERMANENT = 500
"""SMTP replies from here on say that trying again is of no use."""


class MailSender:
    """Sends by one SMTP server. `password` is empty where nobody logs in."""

    def __init__(
        self, mail: MailConfig, password: str, templates: Templates, now_ms: Callable[[], int]
    ) -> None:
        self._mail = mail
        self._password = password
        self._templates = templates
        self._now_ms = now_ms

    async def send(self, batch: Sequence[Claimed]) -> AsyncIterator[Result]:
        """Yield what came of each mail as soon as that is known.

        What the server's hold on the rows has no time left for is not yielded, and not sent.
        """
        client = self._client()
        lost: Failure | None = None
        try:
            lost = await self._connected(client)
            for claimed in batch:
                if lost is None and self._now_ms() + TIMEOUT_MS > claimed.until_ms:
                    return
                failure = lost or await self._send_one(client, claimed.letter)
                if not client.is_connected:
                    lost = failure
                yield Result(claimed, failure)
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
            timeout=TIMEOUT_MS / 1_000,
        )

    async def _connected(self, client: aiosmtplib.SMTP) -> Failure | None:
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError) as error:
            return Failure(_shown(error))
        return None

    async def _send_one(self, client: aiosmtplib.SMTP, letter: Letter) -> Failure | None:
        try:
            await client.send_message(self._message(letter))
        except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPResponseException) as error:
            return Failure(_shown(error), permanent=_code(error) >= PERMANENT)
        except (aiosmtplib.SMTPException, OSError, ValueError, jinja2.TemplateError) as error:
            return Failure(_shown(error))
        return None

    def _message(self, letter: Letter) -> EmailMessage:
        page = self._templates.page(msgspec.json.decode(letter.body)["data"])
        message = EmailMessage()
        message["From"] = self._mail.sender
        message["To"] = letter.address
        message["Subject"] = page.subject
        message["Date"] = datetime.fromtimestamp(self._now_ms() // 1_000, UTC)
        message["Message-ID"] = message_id(letter, self._mail.sender)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(page.text)
        message.add_alternative(page.html, subtype="html")
        return message


def message_id(letter: Letter, sender: str) -> str:
    """Return the Message-ID of a notice to an address: the same at every attempt."""
    to = hashlib.sha256(f"{letter.account}\n{letter.address}".encode()).hexdigest()[:16]
    return f"<{letter.notice}.{to}@{sender.rpartition('@')[2].rstrip('>')}>"


def _code(error: Exception) -> int:
    """Return the SMTP reply that an error carries; of several refusals the mildest."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return min(refused.code for refused in error.recipients)
    return int(getattr(error, "code", 0))


def _shown(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
