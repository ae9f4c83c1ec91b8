"""Set up ccxt.pro's objects: keys, another base URL, short time-outs.

ccxt treats an unreadable answer, or one without its list, as empty, and stops listening silently
after an unreadable push. An account whose positions cannot be read must not look like one without
positions: so all answers and pushes are checked.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from delever.watch.market_data.errors import MalformedAnswerError
from delever.watch.settings import VenueCredentials, WatchedVenue, credentials
from delever.watch.venues.answers import rows

Lists = Mapping[str, tuple[str, ...]]
"""The path of the list in an answer, by a part of the request's URL."""

TIMEOUT_MS = 10_000
MAX_PUSHES = 10_000
PONG = "pong"
BAD_REQUEST, BANNED, RATE_LIMITED, SERVER_ERROR = 400, 418, 429, 500


def client(venue: WatchedVenue, name: str, options: Mapping[str, Any], lists: Lists) -> Any:
    """Return ccxt.pro's object of an exchange; ConfigError if the key cannot be used."""
    import ccxt.pro  # type: ignore[import-untyped] # noqa: PLC0415 - slow to import

    return set_up(getattr(ccxt.pro, name), venue, options, lists)


def set_up(kind: Any, venue: WatchedVenue, options: Mapping[str, Any], lists: Lists) -> Any:
    """Return an object of a ccxt.pro class, or of a subclass of one, with checks."""
    exchange = _checked(kind, lists)(
        {
            "enableRateLimit": True,
            "timeout": TIMEOUT_MS,
            "options": {"fetchCurrencies": False, "fetchMargins": False, **options},
            **_keys(credentials(venue)),
        }
    )
    if venue.base_url:
        ws = venue.ws_url or venue.base_url.replace("http", "ws", 1)
        urls = exchange.urls["api"]
        exchange.urls["api"] = _at_host(urls, venue.base_url.rstrip("/"), ws.rstrip("/"))
    return exchange


def with_channels(kind: Any, channels: Sequence[str], channel_of: Callable[[Any], object]) -> Any:
    """Return a subclass of a ccxt.pro class that queues the pushes of channels that ccxt lacks.

    `pushed` has the messages of each channel, in order; ccxt handles all others. `channel_of`
    returns the channel of a message, which is a dict.
    """

    class ExchangeWithChannels(kind):  # type: ignore[misc]
        """An exchange of ccxt.pro with the pushes of more channels."""

        def __init__(self, config: Any) -> None:
            self.pushed: dict[str, deque[Any]] = {
                name: deque(maxlen=MAX_PUSHES) for name in channels
            }
            super().__init__(config)

        def handle_message(self, client: Any, message: Any) -> None:
            """Queue a push of the channels; ccxt handles all other messages."""
            channel = str(channel_of(message)) if isinstance(message, dict) else ""
            if channel in self.pushed:
                self.pushed[channel].append(message)
                client.resolve(message, channel)
            else:
                super().handle_message(client, message)

    return ExchangeWithChannels


async def next_push(exchange: Any, coming: Awaitable[Any]) -> Any:
    """Return the next push of a socket; raise the error of an unreadable one before it."""
    push = await coming
    if exchange.broken is not None:
        raise exchange.broken
    return push


async def first_failure(*listeners: Coroutine[Any, Any, None]) -> None:
    """Run endless listeners until one of them fails; cancel the others and raise its error."""
    tasks = [asyncio.ensure_future(listener) for listener in listeners]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _checked(kind: Any, lists: Lists) -> Any:
    """Return a subclass of an exchange that raises for unreadable answers and pushes."""

    class CheckedExchange(kind):  # type: ignore[misc]
        """An exchange of ccxt.pro; `broken` is the error that ended its socket."""

        broken: Exception | None = None

        def handle_errors(
            self, status: int, reason: str, url: str, method: str, headers: Any, body: str,
            response: Any, *sent: Any,
        ) -> Any:  # fmt: skip
            """Raise for a failed answer: by its status first, then as ccxt does."""
            _check_status(status, reason, body)
            known = super().handle_errors(
                status, reason, url, method, headers, body, response, *sent
            )
            if status < BAD_REQUEST:
                _check_lists(url, body, response, lists)
            return known

        def client(self, url: str) -> Any:
            """Return the socket of a URL, with checks from its first message."""
            is_new = url not in (self.clients or {})
            socket = super().client(url)
            if is_new:
                socket.handle_message = _ending_on_error(self, socket)
            return socket

        def handle_message(self, client: Any, message: Any) -> None:
            """Handle a push; MalformedAnswerError for text that is no JSON."""
            if isinstance(message, str) and message != PONG:
                raise MalformedAnswerError("push", message)
            super().handle_message(client, message)

    return CheckedExchange


def _ending_on_error(exchange: Any, socket: Any) -> Callable[[Any], None]:
    """Return a socket's message handler that ends the socket after an unreadable message."""
    handle = socket.handle_message

    def handle_or_end(message: Any) -> None:
        try:
            handle(message)
        except Exception as error:  # noqa: BLE001 - ccxt reports it nowhere else
            exchange.broken = _push_error(error)
            socket.on_error(exchange.broken)

    return handle_or_end


def _check_lists(url: str, body: str, response: Any, lists: Lists) -> None:
    """Raise for an answer that is no JSON or lacks its list."""
    if response is None:
        raise MalformedAnswerError("answer", body)
    for part, steps in lists.items():
        if part in url:
            rows(response, *steps)


def _check_status(status: int, reason: str, body: str) -> None:
    """Raise for a status that decides, whatever the body."""
    import ccxt  # noqa: PLC0415 - slow to import

    if status in {RATE_LIMITED, BANNED}:
        raise ccxt.DDoSProtection(f"{status} {reason} {body}")
    if status >= SERVER_ERROR:
        raise ccxt.ExchangeNotAvailable(f"{status} {reason} {body}")


def _push_error(error: Exception) -> Exception:
    """Return an error of handling a push: ccxt's own, or else MalformedAnswerError."""
    import ccxt  # noqa: PLC0415 - slow to import

    known = isinstance(error, ccxt.BaseError | MalformedAnswerError)
    return error if known else MalformedAnswerError("push", f"{type(error).__name__}: {error}")


def _keys(key: VenueCredentials | None) -> dict[str, str]:
    if key is None:
        return {}
    return {"apiKey": key.key, "secret": key.secret, "password": key.passphrase}


def _at_host(urls: Any, base: str, ws: str) -> Any:
    """Return URLs with the same paths at another host."""
    if isinstance(urls, Mapping):
        return {name: _at_host(url, base, ws) for name, url in urls.items()}
    scheme, _, rest = str(urls).partition("://")
    _, slash, path = rest.partition("/")
    return f"{ws if scheme.startswith('ws') else base}{slash}{path}"
