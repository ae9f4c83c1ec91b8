"""Log lines in JSON without secrets, for structlog and the standard library's loggers.

Every line passes `Redactor` last. It hides the values of secret names wherever they are (a key, a
header, a query, a line of text), text in the shape of a secret, and the server's own secrets. API
keys are hidden, too: no reader of a log needs them.
"""

import contextlib
import logging
import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, TextIO, cast

import msgspec
import structlog

from delever.config import Config, ConfigError, secret
from delever.server.transport.asgi import Asgi, Message, Receive, Scope, Send, address_of

HIDDEN = "[hidden]"

SECRET_NAMES = frozenset(
    {
        "access_key",
        "access_passphrase",
        "access_sign",
        "api_key",
        "apikey",
        "auth",
        "authorization",
        "bapi_api_key",
        "bapi_sign",
        "cookie",
        "listenkey",
        "mbx_apikey",
        "ok_access_key",
        "ok_access_passphrase",
        "ok_access_sign",
        "passphrase",
        "password",
        "proxy_authorization",
        "secret",
        "set_cookie",
        "sign",
        "signature",
        "token",
        "webhook_signature",
        "x_bapi_api_key",
        "x_bapi_sign",
        "x_mbx_apikey",
    }
)
"""Names of secrets, in lower case and with underscores."""

MIN_SECRET_LENGTH = 6
"""Shorter secrets of the server are not searched for in every text."""

_NAMES = "|".join(sorted((n.replace("_", "[-_]") for n in SECRET_NAMES), key=len, reverse=True))
_VALUE = (
    r"""(?:b(?=['"]))?(?:\\?"[^"]*"|'[^']*'|\[[^\]]*\]"""
    r"""|(?:(?:Bearer|Basic)\s+)?(?:[^\s&,;'"}\])]|,(?=[^\s'"]))+)"""
)
_LABEL = rf"""(?<![A-Za-z0-9])(?:{_NAMES})\b\\?['"]?"""
_NAMED = re.compile(rf"({_LABEL}\s*(?:[:=]|%3D)\s*){_VALUE}", re.IGNORECASE)
"""A name and its value as in headers, queries and JSON."""

_BESIDE = re.compile(rf"({_LABEL}\s*,\s*){_VALUE}", re.IGNORECASE)
"""A name and its value side by side, as in a list of headers."""

_SHAPES = re.compile(
    r"(?i)\bBearer\s+[^\s'\"]+|\bwhsec_[A-Za-z0-9+/=]+|(?<=//)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?<=[/=])[A-Za-z0-9]{40,}"
)
"""Bearer tokens, webhook secrets, credentials in addresses, and listen keys in paths."""


class Redactor:
    """A structlog processor that hides secrets in all values of a line, nested ones included."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted(
            {text for text in secrets if len(text) >= MIN_SECRET_LENGTH}, key=len, reverse=True
        )
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(
        self, _logger: Any, _method: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Return the line without secrets."""
        return {self.text(name): self._value(name, value) for name, value in line.items()}

    def _value(self, name: str, value: Any) -> Any:
        if is_secret(name):
            return HIDDEN
        return self.redact(value)

    def redact(self, value: Any) -> Any:
        """Return a value without secrets; objects other than numbers and containers become text."""
        match value:
            case None | bool() | int() | float():
                return value
            case Mapping():
                return {self.text(str(n)): self._value(str(n), item) for n, item in value.items()}
            case (str() | bytes() as name, item) if is_secret(_decoded(name)):  # a header
                return [self.text(_decoded(name)), HIDDEN if item else item]
            case list() | tuple() | set() | frozenset():
                return [self.redact(item) for item in value]
        return self.text(_decoded(value))

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for shape, replacement in (
            (_SHAPES, HIDDEN),
            (_NAMED, rf"\1{HIDDEN}"),
            (_BESIDE, rf"\1{HIDDEN}"),
        ):
            text = shape.sub(replacement, text)
        return text


def _decoded(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def is_secret(name: str) -> bool:
    """Whether the value of this name is secret."""
    plain = name.lower().replace("-", "_")
    return plain in SECRET_NAMES or plain.endswith(("_secret", "_password", "_token"))


def secrets_of(config: Config) -> set[str]:
    """Return the secrets of a configuration, as far as they can be read."""
    wanted = [(key.secret_env, key.secret_file) for key in config.keys]
    wanted += [(key.passphrase_env, "") for key in config.keys]
    wanted += [(config.notices.mail.password_env, "")]
    wanted += [(recipient.webhook_secret_env, "") for recipient in config.notices.recipients]
    found = {recipient.webhook for recipient in config.notices.recipients}
    for env, file in wanted:
        if env or file:
            with contextlib.suppress(ConfigError):  # reported where the secret is used
                found.add(secret("logs", env=env, file=file))
    return found


class LogStream:
    """A text stream whose errors are counted, not raised: a log never stops what it reports on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost_lines = 0

    def write(self, text: str) -> int:
        """Write text; return its length even where it is lost."""
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            self.lost_lines += 1
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def configure_logging(level: str, stream: TextIO, secrets: Iterable[str] = ()) -> None:
    """Configure structlog and the standard library to write JSON lines to a stream from a level on.

    Lines of the HTTP client, which have whole URLs, and lines of the HTTP server about each socket
    are dropped: RequestLog and the metrics report connections. Lines that the stream does not take
    are dropped, too.
    """
    redactor = Redactor(secrets)
    safe = cast("TextIO", LogStream(stream))
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    number = getattr(logging, level.upper())
    structlog.configure(
        processors=[*shared, redactor, structlog.processors.JSONRenderer(_encoded)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(safe),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(safe)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redactor,
                structlog.processors.JSONRenderer(_encoded),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for verbose in ("alembic", "httpx2", "httpcore2", "aiosqlite", "uvicorn.error"):
        logging.getLogger(verbose).setLevel(logging.WARNING)


def _encoded(line: Any, **_: Any) -> str:
    return msgspec.json.encode(line).decode()


class RequestLog:
    """An ASGI app that logs requests: server errors as error, all others as debug.

    Of the query only the names are logged; the redactor hides a listen key in the path.
    """

    def __init__(self, app: Asgi, *, trust_forwarded: bool) -> None:
        self._app = app
        self._trust_forwarded = trust_forwarded
        self._log = structlog.get_logger().bind()  # bound once: a lazy logger is bound at each call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, and log it after the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, observe)
        finally:
            self.log(scope, status)

    def log(self, scope: Scope, status: int) -> None:
        """Log a request that has been responded to."""
        level = logging.ERROR if status >= 500 else logging.DEBUG
        if not self._log.is_enabled_for(level):
            return
        self._log.log(
            level,
            "request",
            method=scope["method"],
            path=scope["path"],
            parameters=_names(scope["query_string"]),
            status=status,
            address=address_of(scope, trust_forwarded=self._trust_forwarded),
        )


def _names(query: bytes) -> list[str]:
    """Return the names of a query's parameters, without values."""
    parts = query.decode("latin-1").split("&")
    return [part.partition("=")[0] for part in parts if "=" in part]
