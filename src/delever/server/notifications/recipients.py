"""Notifications of a record: the text of each notice, for each recipient and channel."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from delever.config import NoticesConfig, RecipientConfig
from delever.server.notifications.message_text import NoticeText, notice_text
from delever.server.notifications.outbox import NoticeChannel, Notification
from delever.server.notifications.selection import (
    OPERATOR,
    NoticeContext,
    NoticeSubject,
    RecordNotices,
    fills_of,
    subjects_of,
)

EVERY_ACCOUNT = "*"

MAX_DATE_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""


class Recipients:
    """The recipients of a configuration, by account."""

    def __init__(self, notices: NoticesConfig) -> None:
        self._of: dict[str, list[RecipientConfig]] = {}
        for recipient in notices.recipients:
            self._of.setdefault(recipient.account, []).append(recipient)

    def notifications(
        self, notices: RecordNotices, context: NoticeContext
    ) -> Iterator[Notification]:
        """Yield one notification for each notice of a record, recipient and channel."""
        fills, context = fills_of(notices), context.at(notices.sequence)
        for subject in subjects_of(notices):
            addresses = dict.fromkeys(self._addresses(subject.account))
            if addresses:
                body = _body(notices, subject, notice_text(subject, fills, context))
                for channel, address in addresses:
                    yield _notification(notices, subject, channel, address, body)

    def _addresses(self, account: str) -> Iterator[tuple[NoticeChannel, str]]:
        """Yield the addresses for an account's notices; an address may be yielded twice."""
        recipients = list(self._of.get(account, ()))
        if account != OPERATOR:
            recipients += self._of.get(EVERY_ACCOUNT, ())
        for recipient in recipients:
            if recipient.mail:
                yield NoticeChannel.MAIL, recipient.mail
            if recipient.webhook:
                yield NoticeChannel.WEBHOOK, recipient.webhook


def _notification(
    notices: RecordNotices, subject: NoticeSubject, channel: NoticeChannel, address: str, body: str
) -> Notification:
    return Notification(
        notice=subject.id,
        sequence=notices.sequence,
        kind=subject.kind,
        account=subject.account,
        contract=subject.contract,
        channel=channel,
        address=address,
        body=body,
    )


def _body(notices: RecordNotices, subject: NoticeSubject, text: NoticeText) -> str:
    """Return the payload of Standard Webhooks: type, timestamp and data."""
    data: dict[str, Any] = {
        "notice": subject.id,
        "kind": subject.kind,
        "account": subject.account,
        "contract": subject.contract,
        "sequence": notices.sequence,
        "time_ms": notices.time_ms,
        "time": date_text(notices.time_ms),
        "title": text.title,
        "lines": text.lines,
        "numbers": text.numbers,
    }
    body = {"type": subject.kind, "timestamp": data["time"], "data": data}
    return msgspec.json.encode(body).decode()


def date_text(time_ms: int) -> str:
    """Return a time of the engine as an ISO 8601 date in UTC, with milliseconds."""
    seconds, ms = divmod(min(max(time_ms, 0), MAX_DATE_MS), 1_000)
    date = datetime.fromtimestamp(seconds, UTC).replace(microsecond=ms * 1_000)
    return date.isoformat(timespec="milliseconds").replace("+00:00", "Z")
