"""Rate limits and authentication of the Bybit-compatible API.

An address over its limit is answered HTTP 403 for ten minutes; a key over its limit at one private
endpoint gets code 10006 until its second is over.
"""

from collections.abc import Callable

from delever.config import BybitConfig
from delever.server.transport.api_keys import ApiKey, KeyProblem, Keyring
from delever.server.transport.asgi import Headers, Reply, Request
from delever.server.transport.rate_limits import AddressBans, RateLimiter, Usage
from delever.server.venues.bybit import payloads

ADDRESS_WINDOW_MS = 5_000
KEY_WINDOW_MS = 1_000
BAN_MS = 600_000
DEFAULT_RECV_WINDOW_MS = 5_000
MAX_AHEAD_MS = 1_000
"""A request's timestamp must be less than this ahead of the server's clock."""

RESET_DELAY_MS = 500
"""Added to the reset time: pybit sleeps until then, and fails if it has passed already."""

KEY_PROBLEMS = {
    KeyProblem.EXPIRED: payloads.EXPIRED_KEY,
    KeyProblem.ADDRESS: payloads.WRONG_ADDRESS,
}
"""The error of a key that is refused although its signature is right."""

FAILED_LOGINS = {payloads.UNKNOWN_KEY, payloads.WRONG_SIGNATURE, *KEY_PROBLEMS.values()}

PLAIN = (b"content-type", b"text/plain")


class BybitRateLimiter:
    """Counts requests by address and by key, by the server's clock, and rejects the excess."""

    def __init__(self, settings: BybitConfig, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._addresses = RateLimiter(settings.requests_per_5s, ADDRESS_WINDOW_MS, now_ms)
        self._keys = RateLimiter(settings.private_per_second, KEY_WINDOW_MS, now_ms)
        self._bans = AddressBans(BAN_MS, BAN_MS, now_ms)

    def admit(self, address: str) -> tuple[Headers, Reply | None]:
        """Count an address's request; return the reply's headers, and the reply if rejected."""
        usage = self._addresses.use(address)
        headers = self._headers(usage, self._now_ms())
        until_ms = self._bans.until(address)
        if until_ms is None and usage.exceeded:
            until_ms = self._bans.ban(address)
        if until_ms is None:
            return headers, None
        return headers, Reply(payloads.TOO_FREQUENT, 403, [PLAIN, *self._headers(usage, until_ms)])

    def admit_key(self, key_id: str, path: str) -> tuple[Headers, payloads.BybitErrorCode | None]:
        """Count a key's private request; return the reply's headers, and the error if rejected."""
        usage = self._keys.use(f"{key_id} {path}")
        if usage.exceeded:
            headers = self._headers(usage, usage.resets_ms + RESET_DELAY_MS)
            return headers, payloads.TOO_MANY_VISITS
        return self._headers(usage, self._now_ms()), None

    @staticmethod
    def _headers(usage: Usage, reset_ms: int) -> Headers:
        return [
            (b"x-bapi-limit", b"%d" % usage.limit),
            (b"x-bapi-limit-status", b"%d" % usage.remaining),
            (b"x-bapi-limit-reset-timestamp", b"%d" % reset_ms),
        ]


def authenticate(
    request: Request, keyring: Keyring, now_ms: int
) -> ApiKey | payloads.BybitErrorCode:
    """Return the API key that signed a request, or the error that rejects it.

    The signed text is the timestamp, key and window of the headers, then the query (GET) or the
    body, byte for byte.
    """
    sent = request.headers.get("x-bapi-timestamp", "")
    window = request.headers.get("x-bapi-recv-window", "")
    key = keyring.find(request.headers.get("x-bapi-api-key", ""))
    if key is None:
        return payloads.UNKNOWN_KEY
    error = _timing_error(sent, window or str(DEFAULT_RECV_WINDOW_MS), now_ms)
    if error is not None:
        return error
    content = request.query if request.method == "GET" else request.body
    payload = f"{sent}{key.id}{window}".encode() + content
    if not key.verifies_hex(payload, request.headers.get("x-bapi-sign", "")):
        return payloads.WRONG_SIGNATURE
    problem = key.problem(request.address, now_ms)
    return key if problem is None else KEY_PROBLEMS[problem]


def _timing_error(sent: str, window: str, now_ms: int) -> payloads.BybitErrorCode | None:
    """Return the error of a timestamp that is invalid or outside its window, or None."""
    for name, text in (("X-BAPI-TIMESTAMP", sent), ("X-BAPI-RECV-WINDOW", window)):
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            why = f"{name} {text!r} is not a number of milliseconds"
            return payloads.PARAMETER.with_values(why=why)
    if now_ms - int(window) <= int(sent) < now_ms + MAX_AHEAD_MS:
        return None
    return payloads.OUTSIDE_WINDOW.with_values(sent=sent, now=now_ms, window=window)
