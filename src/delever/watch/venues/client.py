"""Set up ccxt.pro's objects: keys, another address where one is given, quick time-outs.

ccxt stops listening without a word where a push cannot be read: the exception ends in a callback.
So each of its sockets is watched over, and such a push ends it, with the reason.
"""

from collections.abc import Awaitable, Mapping
from typing import Any

from delever.watch.faults import MalformedError
from delever.watch.settings import Credentials, Venue, credentials

TIMEOUT_MS = 10_000
PONG = "pong"


def client(venue: Venue, name: str, options: Mapping[str, Any]) -> Any:
    """Return ccxt.pro's object of an exchange; ConfigError where the key cannot be used."""
    import ccxt.pro  # type: ignore[import-untyped] # noqa: PLC0415 - heavy

    return set_up(getattr(ccxt.pro, name), venue, options)


def set_up(kind: Any, venue: Venue, options: Mapping[str, Any]) -> Any:
    """Return an exchange of ccxt.pro, made from its class or from one of ours that extends it."""
    made = _watched_over(kind)(
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


def _watched_over(kind: Any) -> Any:
    """Return a class of exchange whose sockets end with the reason when a push cannot be read."""

    class WatchedOver(kind):  # type: ignore[misc]
        """An exchange of ccxt.pro; `broken` is why a socket has ended."""

        broken: Exception | None = None

        def client(self, url: str) -> Any:
            """Return the socket of an address, watched over from the first."""
            is_new = url not in (self.clients or {})
            socket = super().client(url)
            if is_new:
                self._watch_over(socket)
            return socket

        def _watch_over(self, socket: Any) -> None:
            handle = socket.handle_message

            def handle_or_end(message: Any) -> None:
                try:
                    handle(message)
                except Exception as error:  # noqa: BLE001 - whatever it is, nobody else hears of it
                    self.broken = _readable(error)
                    socket.on_error(self.broken)

            socket.handle_message = handle_or_end

        def handle_message(self, client: Any, message: Any) -> None:
            """Take a push; text that is no JSON is one that cannot be read."""
            if isinstance(message, str) and message != PONG:
                raise MalformedError("push", message)
            super().handle_message(client, message)

    return WatchedOver


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
