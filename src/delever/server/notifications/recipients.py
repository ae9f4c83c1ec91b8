"""Who gets a notice, by which channel, with which facts inside."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from delever.config import NoticesConfig, RecipientConfig
from delever.server.notifications.message_text import Worded, worded
from delever.server.notifications.outbox import Channel, Letter
from delever.server.notifications.selection import (
    OPERATOR,
    Lexicon,
    Subject,
    Told,
    fills_of,
    subjects_of,
)

EVERY_ACCOUNT = "*"

LATEST_MS = 253_402_300_799_999
"""The last millisecond that a date of four digits can say."""


class Recipients:
    """The recipients of a configuration, by account."""

    def __init__(self, notices: NoticesConfig) -> None:
        self._of: dict[str, list[RecipientConfig]] = {}
        for recipient in notices.recipients:
            self._of.setdefault(recipient.account, []).append(recipient)

    def letters(self, told: Told, lexicon: Lexicon) -> Iterator[Letter]:
        """Yield a letter for each notice of a record, recipient and channel."""
        fills = fills_of(told)
        for subject in subjects_of(told):
            addresses = dict.fromkeys(self._addresses(subject.account))
            if addresses:
                body = _body(told, subject, worded(subject, fills, lexicon))
                for channel, address in addresses:
                    yield _letter(told, subject, channel, address, body)

    def _addresses(self, account: str) -> Iterator[tuple[Channel, str]]:
        """Yield where an account's notices go; the same address may come twice."""
        found = list(self._of.get(account, ()))
        if account != OPERATOR:
            found += self._of.get(EVERY_ACCOUNT, ())
        for recipient in found:
            if recipient.mail:
                yield Channel.MAIL, recipient.mail
            if recipient.webhook:
                yield Channel.WEBHOOK, recipient.webhook


def _letter(told: Told, subject: Subject, channel: Channel, address: str, body: str) -> Letter:
    return Letter(
        notice=subject.id,
        sequence=told.sequence,
        kind=subject.kind,
        account=subject.account,
        contract=subject.contract,
        channel=channel,
        address=address,
        body=body,
    )


def _body(told: Told, subject: Subject, words: Worded) -> str:
    """Return the payload that Standard Webhooks asks for: type, timestamp, data."""
    data: dict[str, Any] = {
        "notice": subject.id,
        "kind": subject.kind,
        "account": subject.account,
        "contract": subject.contract,
        "sequence": told.sequence,
        "time_ms": told.time_ms,
        "time": date_text(told.time_ms),
        "title": words.title,
        "lines": words.lines,
        "numbers": words.numbers,
    }
    body = {"type": subject.kind, "timestamp": data["time"], "data": data}
    return msgspec.json.encode(body).decode()


def date_text(time_ms: int) -> str:
    """Return a time of the engine as a date, in UTC to the millisecond."""
    seconds, ms = divmod(min(max(time_ms, 0), LATEST_MS), 1_000)
    date = datetime.fromtimestamp(seconds, UTC).replace(microsecond=ms * 1_000)
    return date.isoformat(timespec="milliseconds").replace("+00:00", "Z")
