"""Set up ccxt.pro's objects: keys, another address where one is given, quick time-outs.

ccxt takes an answer that it cannot read, or that lacks its list, for an empty one, and stops
listening without a word where a push cannot be read. An account whose positions are not told must
not look like one without positions: so answers and sockets are watched over.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from delever.watch.faults import MalformedError
from delever.watch.settings import Credentials, Venue, credentials
from delever.watch.venues.fields import rows

Lists = Mapping[str, tuple[str, ...]]
"""Where answers have their list: the steps to it, by a part of the path that was asked."""

TIMEOUT_MS = 10_000
PONG = "pong"
REFUSED, BANNED, LIMITED, FAILED = 400, 418, 429, 500


def client(venue: Venue, name: str, options: Mapping[str, Any], lists: Lists) -> Any:
    """Return ccxt.pro's object of an exchange; ConfigError where the key cannot be used."""
    import ccxt.pro  # type: ignore[import-untyped] # noqa: PLC0415 - heavy

    return set_up(getattr(ccxt.pro, name), venue, options, lists)


def set_up(kind: Any, venue: Venue, options: Mapping[str, Any], lists: Lists) -> Any:
    """Return an exchange of ccxt.pro, made from its class or from one of ours that extends it."""
    made = _watched_over(kind, lists)(
        {
            "enableRateLimit": True,
            "timeout": TIMEOUT_MS,
            "options": {"fetchCurrencies": False, "fetchMargins": False, **options},
            **_keys(credentials(venue)),
        }
    )
    if venue.base_url:
        ws = venue.ws_url or venue.base_url.replace("http", "ws", 1)
        made.urls["api"] = _moved(made.urls["api"], venue.base_url.rstrip("/"), ws.rstrip("/"))
    return made


async def next_push(api: Any, coming: Awaitable[Any]) -> Any:
    """Return what a socket tells next; raises for a push since the last that could not be read."""
    told = await coming
    if api.broken is not None:
        raise api.broken
    return told


def _watched_over(kind: Any, lists: Lists) -> Any:
    """Return a class of exchange that says of every answer and push that it cannot be read."""

    class WatchedOver(kind):  # type: ignore[misc]
        """An exchange of ccxt.pro; `broken` is why a socket has ended."""

        broken: Exception | None = None

        def handle_errors(
            self, status: int, reason: str, url: str, method: str, headers: Any, body: str,
            response: Any, *sent: Any,
        ) -> Any:  # fmt: skip
            """Raise for an answer that is none, by its status first, then as ccxt does."""
            _check_status(status, reason, body)
            known = super().handle_errors(
                status, reason, url, method, headers, body, response, *sent
            )
            if status < REFUSED:
                _check_lists(url, body, response, lists)
            return known

        def client(self, url: str) -> Any:
            """Return the socket of an address, watched over from the first."""
            is_new = url not in (self.clients or {})
            socket = super().client(url)
            if is_new:
                socket.handle_message = _ending(self, socket)
            return socket

        def handle_message(self, client: Any, message: Any) -> None:
            """Take a push; text that is no JSON is one that cannot be read."""
            if isinstance(message, str) and message != PONG:
                raise MalformedError("push", message)
            super().handle_message(client, message)

    return WatchedOver


def _ending(exchange: Any, socket: Any) -> Callable[[Any], None]:
    """Return what handles a socket's messages, and ends it where one cannot be read."""
    handle = socket.handle_message

    def handle_or_end(message: Any) -> None:
        try:
            handle(message)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody else hears of it
            exchange.broken = _readable(error)
            socket.on_error(exchange.broken)

    return handle_or_end


def _check_lists(url: str, body: str, response: Any, lists: Lists) -> None:
    """Raise for an answer that is no JSON, or lacks the list that was asked for."""
    if response is None:
        raise MalformedError("answer", body)
    for part, steps in lists.items():
        if part in url:
            rows(response, *steps)


def _check_status(status: int, reason: str, body: str) -> None:
    """Raise for a status that says all, whatever stands in the answer."""
    import ccxt  # noqa: PLC0415 - heavy

    if status in {LIMITED, BANNED}:
        raise ccxt.DDoSProtection(f"{status} {reason} {body}")
    if status >= FAILED:
        raise ccxt.ExchangeNotAvailable(f"{status} {reason} {body}")


def _readable(error: Exception) -> Exception:
    """Return an error of reading a push as what it is to the watch."""
    import ccxt  # noqa: PLC0415 - heavy

    told = isinstance(error, ccxt.BaseError | MalformedError)
    return error if told else MalformedError("push", f"{type(error).__name__}: {error}")


def _keys(held: Credentials | None) -> dict[str, str]:
    if held is None:
        return {}
    return {"apiKey": held.key, "secret": held.secret, "password": held.passphrase}


def _moved(urls: Any, base: str, ws: str) -> Any:
    """Return addresses with their paths, at another host."""
    if isinstance(urls, Mapping):
        return {name: _moved(url, base, ws) for name, url in urls.items()}
    scheme, _, rest = str(urls).partition("://")
    _, slash, path = rest.partition("/")
    return f"{ws if scheme.startswith('ws') else base}{slash}{path}"
