"""Set up ccxt.pro's objects: keys, another address where one is given, quick time-outs."""

from collections.abc import Mapping
from typing import Any

from delever.watch.settings import Credentials, Venue, credentials

TIMEOUT_MS = 10_000


def client(venue: Venue, name: str, options: Mapping[str, Any]) -> Any:
    """Return ccxt.pro's object of an exchange; ConfigError where the key cannot be used."""
    import ccxt.pro  # type: ignore[import-untyped] # noqa: PLC0415 - heavy

    return set_up(getattr(ccxt.pro, name), venue, options)


def set_up(kind: Any, venue: Venue, options: Mapping[str, Any]) -> Any:
    """Return an exchange of ccxt.pro, made from its class or from one of ours that extends it."""
    made = kind(
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
