"""Failures of a source: each is a state with a name, and none ends the watch."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec


class FailureKind(StrEnum):
    """Why a source has no new value."""

    UNREACHABLE = "unreachable"
    RATE_LIMITED = "rate_limited"
    BANNED = "banned"
    CLOCK_SKEWED = "clock_skewed"
    KEY_REFUSED = "key_refused"
    MALFORMED = "malformed"
    REJECTED = "rejected"
    SOCKET_DROPPED = "socket_dropped"
    BUDGET_EXHAUSTED = "budget_exhausted"


class SourceFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A source of a venue that fails: since when, why, and when it is tried again."""

    venue: str
    source: str
    kind: FailureKind
    text: str
    since_ms: int
    retry_ms: int


class MalformedAnswerError(Exception):
    """An answer that differs from the venue's documentation, with the field and its value."""

    def __init__(self, field: str, value: object) -> None:
        found = "nothing" if value is None else repr(value)[:80]
        super().__init__(f"{field}: {found}")


MAX_TEXT_LENGTH = 160
BAN_STATUSES = (418, 403)
"""HTTP statuses of a banned address: Binance's and Bybit's."""

_SECRETS = re.compile(r"(signature|sign|apiKey|api_key|listenKey)=[^&\s\"]+", re.IGNORECASE)
_BANNED = re.compile(rf"\b({'|'.join(map(str, BAN_STATUSES))})\b")


def failure_kind(error: BaseException) -> FailureKind:
    """Return the kind of an error of ccxt or of parsing an answer."""
    import ccxt  # type: ignore[import-untyped] # noqa: PLC0415 - slow to import

    table: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], FailureKind], ...] = (
        (ccxt.InvalidNonce, FailureKind.CLOCK_SKEWED),
        (ccxt.AuthenticationError, FailureKind.KEY_REFUSED),
        ((ccxt.BadResponse, MalformedAnswerError), FailureKind.MALFORMED),
        ((ccxt.DDoSProtection, ccxt.RateLimitExceeded), FailureKind.RATE_LIMITED),
        ((ccxt.OperationFailed, OSError, TimeoutError), FailureKind.UNREACHABLE),
        (ccxt.ExchangeError, FailureKind.REJECTED),
    )
    kind = next((kind for types, kind in table if isinstance(error, types)), FailureKind.MALFORMED)
    if kind is FailureKind.RATE_LIMITED and _BANNED.search(str(error)):
        return FailureKind.BANNED
    return kind


def error_text(error: BaseException) -> str:
    """Return an error's message in one line, without signatures and keys.

    ccxt's errors of the network name the request only: their cause is added.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    cause = error.__cause__
    if cause is not None and str(cause) not in text:
        text += f": {' '.join(str(cause).split())}"
    return _SECRETS.sub(r"\1=...", text)[:MAX_TEXT_LENGTH]


def retry_after_ms(headers: Mapping[str, Any] | None, now_ms: int) -> int | None:
    """Return how long an answer's headers ask to wait, in ms, or None."""
    lowered = {name.lower(): str(value) for name, value in (headers or {}).items()}
    seconds = lowered.get("retry-after", "")
    if seconds.isdigit():
        return int(seconds) * 1_000
    reset = lowered.get("x-bapi-limit-reset-timestamp", "")
    if reset.isdigit() and int(reset) > now_ms:
        return int(reset) - now_ms
    return None
