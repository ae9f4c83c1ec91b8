"""Authentication of the Binance-compatible API: keys, signatures, timestamps and parameters."""

import re
from collections.abc import Callable

from delever.config import Role
from delever.server.transport.api_keys import ApiKey, Keyring
from delever.server.transport.asgi import Request
from delever.server.venues.binance import payloads

_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)


class BinanceRequestError(Exception):
    """A request that Binance would reject, with the error code to answer."""

    def __init__(self, code: payloads.BinanceErrorCode) -> None:
        super().__init__(code.msg)
        self.code = code


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
