"""Who asks the Binance-compatible API, and what of: keys, signatures, times, parameters."""

import re
from collections.abc import Callable

from delever.config import Role
from delever.server.transport.api_keys import Holder, Keyring
from delever.server.transport.asgi import Request
from delever.server.venues.binance import payloads as wire

_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)


class BinanceRequestError(Exception):
    """A request that Binance would refuse, with its answer."""

    def __init__(self, problem: payloads.ErrorResponse) -> None:
        super().__init__(problem.msg)
        self.problem = problem


class Access:
    """Lets requests of accounts in by their key and signature."""

    def __init__(self, keyring: Keyring, now_ms: Callable[[], int]) -> None:
        self._keyring = keyring
        self._now_ms = now_ms

    def by_key(self, request: Request) -> Holder:
        """Return who sends this API key; refused unless it belongs to an account."""
        key_id = request.headers.get("x-mbx-apikey", "")
        if not _KEY.fullmatch(key_id):
            raise BinanceRequestError(wire.BAD_KEY)
        holder = self._keyring.find(key_id)
        if holder is None or not holder.may(Role.TRADE_ACCOUNT) or holder.account is None:
            raise BinanceRequestError(wire.UNKNOWN_KEY)
        return holder

    def by_signature(self, request: Request) -> Holder:
        """Return who signed this request, just now."""
        holder = self.by_key(request)
        timestamp_ms = whole(request, "timestamp")
        if timestamp_ms is None:
            raise BinanceRequestError(wire.missing("timestamp"))
        window_ms = whole(request, "recvWindow")
        window_ms = wire.RECV_WINDOW_MS if window_ms is None else window_ms
        payload, signature = wire.split_signature(request.query, request.body)
        if not signature:
            raise BinanceRequestError(wire.missing("signature"))
        problem = wire.timing_problem(timestamp_ms, window_ms, self._now_ms())
        if problem is None and not holder.signed_hex(payload, signature):
            problem = wire.BAD_SIGNATURE
        if problem is not None:
            raise BinanceRequestError(problem)
        return holder


def text(request: Request, parameter: str) -> str | None:
    """Return a parameter, None where it was not sent; refused where it is empty."""
    value = request.params.get(parameter)
    if value == "":
        raise BinanceRequestError(wire.empty(parameter))
    return value


def whole(request: Request, parameter: str) -> int | None:
    """Return a whole number, None where it was not sent; refused where it is none."""
    value = request.params.get(parameter)
    if value is not None and not _WHOLE.fullmatch(value):
        raise BinanceRequestError(wire.missing(parameter))
    return None if value is None else int(value)
