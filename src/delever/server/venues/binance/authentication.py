"""Admission to the Binance-compatible API: rate limits, keys, signatures, and parameters.

Limits are by address: request weights, 429, and bans with 418. Every request counts, rejected ones
too; requests beyond the weight limit count towards a ban.
"""

import re
from collections.abc import Callable

from delever.config import BinanceConfig, Role
from delever.core.units import div_ceil
from delever.server.transport.api_keys import ApiKey, Keyring
from delever.server.transport.asgi import Headers, Reply, Request
from delever.server.transport.rate_limits import AddressBans, RateLimiter
from delever.server.venues.binance import payloads

_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
MINUTE_MS = 60_000
MAX_BAN_MS = 3 * 24 * 3_600_000

USED = b"x-mbx-used-weight-1m"
RETRY = b"retry-after"


FAILED_LOGINS = {payloads.BAD_KEY, payloads.UNKNOWN_KEY, payloads.BAD_SIGNATURE}
"""Errors of wrong and refused keys, not of wrong requests."""


class BinanceRequestError(Exception):
    """A request that Binance would reject, with the error code to answer."""

    def __init__(self, code: payloads.BinanceErrorCode) -> None:
        super().__init__(code.msg)
        self.code = code


class BinanceRateLimiter:
    """Counts each address's request weight by the server's clock and rejects the excess."""

    def __init__(self, settings: BinanceConfig, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._weights = RateLimiter(settings.weight_per_minute, MINUTE_MS, now_ms)
        self._excess = RateLimiter(settings.ban_after, MINUTE_MS, now_ms)
        self._bans = AddressBans(settings.ban_ms, MAX_BAN_MS, now_ms)

    def admit(self, address: str, weight: int) -> tuple[Headers, Reply | None]:
        """Count a request; return its reply's headers, and the reply itself if it is rejected."""
        usage = self._weights.use(address, weight)
        headers = [(USED, b"%d" % usage.used)]
        until_ms = self._bans.until(address)
        if until_ms is None and not usage.exceeded:
            return headers, None
        if until_ms is None and self._excess.use(address).exceeded:
            until_ms = self._bans.ban(address)
        if until_ms is not None:
            return headers, self._rejection(payloads.banned(until_ms), until_ms, headers)
        error = payloads.too_many_requests(usage.limit)
        return headers, self._rejection(error, usage.resets_ms, headers)

    def _rejection(
        self, error: payloads.BinanceErrorCode, until_ms: int, headers: Headers
    ) -> Reply:
        wait = (RETRY, b"%d" % div_ceil(until_ms - self._now_ms(), 1_000))
        return Reply(error.body, error.status, [*headers, wait])


class RequestAuthenticator:
    """Authenticates private requests by API key and signature."""

    def __init__(self, keyring: Keyring, now_ms: Callable[[], int]) -> None:
        self._keyring = keyring
        self._now_ms = now_ms

    def by_key(self, request: Request) -> ApiKey:
        """Return a request's API key; BinanceRequestError without an account."""
        key_id = request.headers.get("x-mbx-apikey", "")
        if not _KEY.fullmatch(key_id):
            raise BinanceRequestError(payloads.BAD_KEY)
        api_key = self._keyring.find(key_id)
        if api_key is None or not api_key.has_role(Role.TRADE_ACCOUNT) or api_key.account is None:
            raise BinanceRequestError(payloads.UNKNOWN_KEY)
        if api_key.problem(request.address, self._now_ms()) is not None:
            raise BinanceRequestError(payloads.UNKNOWN_KEY)  # the same code, as at Binance
        return api_key

    def by_signature(self, request: Request) -> ApiKey:
        """Return the API key that signed a request within its time window."""
        api_key = self.by_key(request)
        timestamp_ms = whole(request, "timestamp")
        if timestamp_ms is None:
            raise BinanceRequestError(payloads.missing_parameter("timestamp"))
        window_ms = whole(request, "recvWindow")
        window_ms = payloads.RECV_WINDOW_MS if window_ms is None else window_ms
        payload, signature = payloads.split_signature(request.query, request.body)
        if not signature:
            raise BinanceRequestError(payloads.missing_parameter("signature"))
        error = payloads.timing_error(timestamp_ms, window_ms, self._now_ms())
        if error is None and not api_key.verifies_hex(payload, signature):
            error = payloads.BAD_SIGNATURE
        if error is not None:
            raise BinanceRequestError(error)
        return api_key


def text(request: Request, parameter: str) -> str | None:
    """Return a parameter, or None if it was not sent; BinanceRequestError if it is empty."""
    value = request.params.get(parameter)
    if value == "":
        raise BinanceRequestError(payloads.empty_parameter(parameter))
    return value


def whole(request: Request, parameter: str) -> int | None:
    """Return a whole number, or None if it was not sent; BinanceRequestError for other text."""
    value = request.params.get(parameter)
    if value is not None and not _WHOLE.fullmatch(value):
        raise BinanceRequestError(payloads.missing_parameter(parameter))
    return None if value is None else int(value)
