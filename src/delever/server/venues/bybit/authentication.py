"""Who may ask Bybit's API, and how often.

An address that asks too often is turned away with HTTP 403 for ten minutes; a key that asks one
private endpoint too often gets code 10006 until its second is over.
"""

from collections.abc import Callable

from delever.config import Bybit as Settings
from delever.server.transport.api_keys import Holder, Keyring
from delever.server.transport.asgi import Headers, Reply, Request
from delever.server.transport.rate_limits import Bans, Usage, Windows
from delever.server.venues.bybit import payloads as wire

ADDRESS_WINDOW_MS = 5_000
KEY_WINDOW_MS = 1_000
BAN_MS = 600_000
DEFAULT_WINDOW_MS = 5_000
EARLY_MS = 1_000
"""A request's time may be so far ahead of the server's."""

LATER_MS = 500
"""pybit sleeps until the reset it is told, and fails where that has passed when it is read."""

PLAIN = (b"content-type", b"text/plain")


class Gate:
    """Lets requests in by address and by key, by the server's clock."""

    def __init__(self, settings: Settings, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._addresses = Windows(settings.requests_per_5s, ADDRESS_WINDOW_MS, now_ms)
        self._keys = Windows(settings.private_per_second, KEY_WINDOW_MS, now_ms)
        self._bans = Bans(BAN_MS, BAN_MS, now_ms)

    def admit(self, address: str) -> tuple[Headers, Reply | None]:
        """Count a request of an address; return its headers, and the answer if it is refused."""
        usage = self._addresses.use(address)
        headers = self._headers(usage, self._now_ms())
        until_ms = self._bans.until(address)
        if until_ms is None and usage.exceeded:
            until_ms = self._bans.ban(address)
        if until_ms is None:
            return headers, None
        return headers, Reply(wire.TOO_FREQUENT, 403, [PLAIN, *self._headers(usage, until_ms)])

    def admit_key(self, key_id: str, path: str) -> tuple[Headers, wire.Fault | None]:
        """Count a key's request to a private path; return its headers, and the fault if refused."""
        usage = self._keys.use(f"{key_id} {path}")
        if usage.exceeded:
            return self._headers(usage, usage.resets_ms + LATER_MS), wire.TOO_MANY_VISITS
        return self._headers(usage, self._now_ms()), None

    @staticmethod
    def _headers(usage: Usage, reset_ms: int) -> Headers:
        return [
            (b"x-bapi-limit", b"%d" % usage.limit),
            (b"x-bapi-limit-status", b"%d" % usage.left),
            (b"x-bapi-limit-reset-timestamp", b"%d" % reset_ms),
        ]


def authenticate(request: Request, keyring: Keyring, now_ms: int) -> Holder | wire.Fault:
    """Return who sends a signed request, or why that is not believed.

    Signed are time, key and window as their headers say them, and the query (GET) or the body as
    it came.
    """
    sent = request.headers.get("x-bapi-timestamp", "")
    window = request.headers.get("x-bapi-recv-window", "")
    holder = keyring.find(request.headers.get("x-bapi-api-key", ""))
    if holder is None:
        return wire.UNKNOWN_KEY
    fault = _outside(sent, window or str(DEFAULT_WINDOW_MS), now_ms)
    if fault is not None:
        return fault
    content = request.query if request.method == "GET" else request.body
    payload = f"{sent}{holder.id}{window}".encode() + content
    if not holder.signed_hex(payload, request.headers.get("x-bapi-sign", "")):
        return wire.WRONG_SIGNATURE
    return holder


def _outside(sent: str, window: str, now_ms: int) -> wire.Fault | None:
    """Return the fault of a time outside its window."""
    for name, text in (("X-BAPI-TIMESTAMP", sent), ("X-BAPI-RECV-WINDOW", window)):
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            return wire.PARAMETER.saying(why=f"{name} {text!r} is not a number of milliseconds")
    if now_ms - int(window) <= int(sent) < now_ms + EARLY_MS:
        return None
    return wire.OUTSIDE_WINDOW.saying(sent=sent, now=now_ms, window=window)
