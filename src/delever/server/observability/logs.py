"""JSON lines without secrets: what structlog and the standard library's loggers write.

Every line passes `Redactor` last. It knows three things: names whose values are secret, wherever
they stand (a key, a header, a query, a line of text); shapes that are secret by themselves; and the
server's own secrets, letter by letter. API keys are hidden, too: no reader of a log needs them.
"""

import contextlib
import logging
import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, TextIO

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

SHORTEST = 6
"""Characters that a secret of the server has at least to be looked for in every text."""

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
    """A structlog processor that hides secrets in every value of a line, however deep."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({each for each in secrets if len(each) >= SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(
        self, _logger: Any, _method: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Return the line without secrets."""
        return {self.text(name): self._value(name, value) for name, value in line.items()}

    def _value(self, name: str, value: Any) -> Any:
        if is_secret(name):
            return HIDDEN
        return self.hidden(value)

    def hidden(self, value: Any) -> Any:
        """Return a value without secrets; what is no text, number or container becomes text."""
        match value:
            case None | bool() | int() | float():
                return value
            case Mapping():
                return {self.text(str(n)): self._value(str(n), each) for n, each in value.items()}
            case (str() | bytes() as name, each) if is_secret(_decoded(name)):  # a header
                return [self.text(_decoded(name)), HIDDEN if each else each]
            case list() | tuple() | set() | frozenset():
                return [self.hidden(each) for each in value]
        return self.text(_decoded(value))

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for shape, shown in (
            (_SHAPES, HIDDEN),
            (_NAMED, rf"\1{HIDDEN}"),
            (_BESIDE, rf"\1{HIDDEN}"),
        ):
            text = shape.sub(shown, text)
        return text


def _decoded(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def is_secret(name: str) -> bool:
    """Whether what has this name is a secret."""
    plain = name.lower().replace("-", "_")
    return plain in SECRET_NAMES or plain.endswith(("_secret", "_password", "_token"))


def secrets_of(config: Config) -> set[str]:
    """Return the secrets of a configuration, as far as they can be had."""
    wanted = [(key.secret_env, key.secret_file) for key in config.keys]
    wanted += [(key.passphrase_env, "") for key in config.keys]
    wanted += [(config.notices.mail.password_env, "")]
    wanted += [(recipient.webhook_secret_env, "") for recipient in config.notices.recipients]
    found = {recipient.webhook for recipient in config.notices.recipients}
    for env, file in wanted:
        if env or file:
            with contextlib.suppress(ConfigError):  # who needs it says that it is missing
                found.add(secret("logs", env=env, file=file))
    return found


def set_up(level: str, stream: TextIO, secrets: Iterable[str] = ()) -> None:
    """Let structlog and the standard library write JSON lines to a stream, from a level on.

    The HTTP client's own lines are left out: they show whole addresses at every request. So are the
    HTTP server's of every socket: what is told of connections is told by RequestLog and metrics.
    """
    redactor = Redactor(secrets)
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
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
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
    for chatty in ("alembic", "httpx2", "httpcore2", "aiosqlite", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _encoded(line: Any, **_: Any) -> str:
    return msgspec.json.encode(line).decode()


class RequestLog:
    """An ASGI app that tells of requests: what failed here as error, all others as debug.

    Of the query only the names are told; a listen key in the path is hidden by the redactor.
    """

    def __init__(self, app: Asgi, *, trust_forwarded: bool) -> None:
        self._app = app
        self._trust_forwarded = trust_forwarded
        self._log = structlog.get_logger().bind()  # made once: a lazy one is made at each call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, and tell of it when it has been answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self.tell(scope, status)

    def tell(self, scope: Scope, status: int) -> None:
        """Tell of a request that has been answered."""
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
