"""What can go wrong between a venue and here: each a state with a name, none of them the end."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec


class FaultKind(StrEnum):
    """Why a number could not be read."""

    UNREACHABLE = "unreachable"
    RATE_LIMITED = "rate_limited"
    BANNED = "banned"
    CLOCK_IS_SKEWED = "clock_is_skewed"
    KEY_IS_REFUSED = "key_is_refused"
    MALFORMED = "malformed"
    REFUSED = "refused"
    SOCKET_DROPPED = "socket_dropped"
    BUDGET_IS_SPENT = "budget_is_spent"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One source of one venue does not give its numbers, since when, and when it is tried again."""

    venue: str
    source: str
    kind: FaultKind
    text: str
    since_ms: int
    retry_ms: int


class MalformedError(Exception):
    """An answer that is not as the venue documents it: which field, and what stood there."""

    def __init__(self, field: str, value: object) -> None:
        shown = "nothing" if value is None else repr(value)[:80]
        super().__init__(f"{field}: {shown}")


TEXT_LENGTH = 160
CLOSED = (418, 403)
"""Statuses of an address that is shut out: Binance's and Bybit's."""

_SECRETIVE = re.compile(r"(signature|sign|apiKey|api_key|listenKey)=[^&\s\"]+", re.IGNORECASE)


def kind_of(error: BaseException) -> FaultKind:
    """Return what an error of ccxt (or of reading an answer) is to the watch."""
    import ccxt  # type: ignore[import-untyped] # noqa: PLC0415 - heavy

    table: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], FaultKind], ...] = (
        (ccxt.InvalidNonce, FaultKind.CLOCK_IS_SKEWED),
        (ccxt.AuthenticationError, FaultKind.KEY_IS_REFUSED),
        ((ccxt.BadResponse, MalformedError), FaultKind.MALFORMED),
        ((ccxt.DDoSProtection, ccxt.RateLimitExceeded), FaultKind.RATE_LIMITED),
        ((ccxt.OperationFailed, OSError, TimeoutError), FaultKind.UNREACHABLE),
        (ccxt.ExchangeError, FaultKind.REFUSED),
    )
    kind = next((kind for types, kind in table if isinstance(error, types)), FaultKind.MALFORMED)
    if kind is FaultKind.RATE_LIMITED and re.search(rf"\b({CLOSED[0]}|{CLOSED[1]})\b", str(error)):
        return FaultKind.BANNED
    return kind


def text_of(error: BaseException) -> str:
    """Return what an error says in one line, without signatures and keys."""
    text = " ".join(str(error).split()) or type(error).__name__
    return _SECRETIVE.sub(r"\1=...", text)[:TEXT_LENGTH]


def wait_of(headers: Mapping[str, Any] | None, now_ms: int) -> int | None:
    """Return how long the venue asks to wait, in ms, out of an answer's headers; None if not."""
    lowered = {name.lower(): str(value) for name, value in (headers or {}).items()}
    seconds = lowered.get("retry-after", "")
    if seconds.isdigit():
        return int(seconds) * 1_000
    reset = lowered.get("x-bapi-limit-reset-timestamp", "")
    if reset.isdigit() and int(reset) > now_ms:
        return int(reset) - now_ms
    return None
