"""Mails of notices: templates around the notice's text, replaceable by a directory.

`notice.txt` (its first line is `Subject: ...`, then a blank line) and `notice.html` serve every
kind of notice; `KIND.txt` and `KIND.html`, such as `position_deleveraged.txt`, replace them for one
kind. The variables of a template are `title`, `lines`, `notice`, `kind`, `account`, `contract`,
`sequence`, `time`, `time_ms` and `numbers`, which are also the `data` of a webhook.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import msgspec

from delever.config import ConfigError
from delever.server.notifications.outbox import Notification

SUBJECT = "Subject: "


class MailTemplateError(ValueError):
    """A template cannot render a notice."""


class MailContent(NamedTuple):
    """The content of a notice's mail."""

    subject: str
    text: str
    html: str


class Templates:
    """The built-in templates, overridden by those of a directory if one is given.

    Raises ConfigError where the directory does not exist, or a template has a syntax error.
    """

    def __init__(self, directory: str = "") -> None:
        loaders: list[jinja2.BaseLoader] = [jinja2.PackageLoader("delever.server.notifications")]
        if directory:
            if not Path(directory).is_dir():
                raise ConfigError(f"notices.templates = {directory!r}: is not a directory")
            loaders.insert(0, jinja2.FileSystemLoader(directory))
        self._environment = jinja2.Environment(
            loader=jinja2.ChoiceLoader(loaders),
            autoescape=jinja2.select_autoescape(["html"]),
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
        )
        self._compile_all()

    def _compile_all(self) -> None:
        for name in self._environment.list_templates(["txt", "html"]):
            try:
                self._environment.get_template(name)
            except (jinja2.TemplateSyntaxError, UnicodeDecodeError) as error:
                raise ConfigError(f"notices.templates: {name}: {error}") from error

    def render(self, data: Mapping[str, Any]) -> MailContent:
        """Return the content of a notice's mail; raise MailTemplateError where a template fails."""
        text = self._render(data, "txt")
        first, _, rest = text.partition("\n")
        if not first.startswith(SUBJECT):
            raise MailTemplateError(f"the first line is not {SUBJECT!r}: {first!r}")
        subject = " ".join(first.removeprefix(SUBJECT).split())
        return MailContent(subject, rest.removeprefix("\n"), self._render(data, "html"))

    def _render(self, data: Mapping[str, Any], suffix: str) -> str:
        names = [f"{data['kind']}.{suffix}", f"notice.{suffix}"]
        template = self._environment.select_template(names)
        try:
            return template.render(data)
        except Exception as error:  # a template may raise anything
            raise MailTemplateError(f"{template.name}: {type(error).__name__}: {error}") from error


class MailComposer:
    """Composes the mail of a notification; raises MailTemplateError where a template fails."""

    def __init__(self, sender: str, templates: Templates, now_ms: Callable[[], int]) -> None:
        self._sender = sender
        self._templates = templates
        self._now_ms = now_ms

    def __call__(self, notification: Notification) -> EmailMessage:
        """Return the mail, as text and HTML."""
        content = self._templates.render(msgspec.json.decode(notification.body)["data"])
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = notification.address
        message["Subject"] = content.subject
        message["Date"] = datetime.fromtimestamp(self._now_ms() // 1_000, UTC)
        message["Message-ID"] = message_id(notification, self._sender)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(content.text)
        message.add_alternative(content.html, subtype="html")
        return message


def message_id(notification: Notification, sender: str) -> str:
    """Return the Message-ID of a notice to an address: the same for every attempt."""
    recipient = f"{notification.account}\n{notification.address}".encode()
    digest = hashlib.sha256(recipient).hexdigest()[:16]
    return f"<{notification.notice}.{digest}@{sender.rpartition('@')[2].rstrip('>')}>"
