"""Rate limits and authentication of the OKX-compatible API."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from delever.config import OkxConfig
from delever.server.transport.api_keys import ApiKey, KeyProblem, Keyring
from delever.server.transport.asgi import Request
from delever.server.transport.rate_limits import RateLimiter
from delever.server.venues.okx import payloads

WINDOW_MS = 2_000
DEFAULT_REQUESTS = 20
BILLS_REQUESTS = 10
EXPIRES_MS = 30_000
"""The largest difference between a request's timestamp and the server's clock."""

FUND = "/api/v5/public/insurance-fund"
BILLS = "/api/v5/account/bills"

FAILED_LOGINS = {"50105", "50110", "50111", "50113", "50119"}
"""Codes of wrong and refused keys."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HEADERS = {
    "ok-access-key": payloads.NO_KEY,
    "ok-access-sign": payloads.NO_SIGN,
    "ok-access-timestamp": payloads.NO_TIMESTAMP,
    "ok-access-passphrase": payloads.NO_PASSPHRASE,
}


class OkxRateLimiter:
    """Counts requests by address or key and by path, by the server's clock."""

    def __init__(self, settings: OkxConfig, now_ms: Callable[[], int]) -> None:
        self._by_path = {
            FUND: RateLimiter(settings.insurance_per_2s, WINDOW_MS, now_ms),
            BILLS: RateLimiter(BILLS_REQUESTS, WINDOW_MS, now_ms),
        }
        self._default = RateLimiter(DEFAULT_REQUESTS, WINDOW_MS, now_ms)

    def admit(self, subject: str, path: str, kind: str) -> bool:
        """Count a request of an address or key; return whether it is within the limit."""
        limiter = self._by_path.get(path, self._default)
        return not limiter.use(f"{subject} {path} {kind}").exceeded


def authenticate(request: Request, keyring: Keyring, now_ms: int) -> ApiKey | payloads.OkxErrorCode:
    """Return the API key that signed a request, or the error that rejects it.

    The signed text is timestamp, method, path with its raw query, and body; the signature is in
    base64. The passphrase is sent as plain text.
    """
    for name, error in HEADERS.items():
        if not request.headers.get(name):
            return error
    key_id, sign, sent, passphrase = (request.headers[name] for name in HEADERS)
    expired = _timing_error(sent, now_ms)
    if expired is not None:
        return expired
    key = keyring.find(key_id)
    if key is None:
        return payloads.UNKNOWN_KEY
    if not key.matches_passphrase(passphrase):
        return payloads.WRONG_PASSPHRASE
    query = b"?" + request.query if request.query else b""
    payload = f"{sent}{request.method}{request.path}".encode() + query + request.body
    if not key.verifies_base64(payload, sign):
        return payloads.WRONG_SIGN
    return key_error(key, request.address, now_ms) or key


def key_error(key: ApiKey, address: str, now_ms: int) -> payloads.OkxErrorCode | None:
    """Return the error of a key that is refused although its signature is right, or None.

    OKX deletes keys that have expired.
    """
    match key.problem(address, now_ms):
        case KeyProblem.EXPIRED:
            return payloads.NO_SUCH_KEY
        case KeyProblem.ADDRESS:
            return payloads.WRONG_ADDRESS.with_values(ip=address)
    return None


def is_failed_login(error: payloads.OkxErrorCode) -> bool:
    """Return whether an error is that of a wrong or refused key, not of a wrong request."""
    return error.code in FAILED_LOGINS


def _timing_error(sent: str, now_ms: int) -> payloads.OkxErrorCode | None:
    """Return the error of a timestamp that is invalid or expired, or None."""
    try:
        then_ms = (datetime.fromisoformat(sent) - EPOCH) // timedelta(milliseconds=1)
    except (ValueError, TypeError):
        return payloads.WRONG_TIMESTAMP
    return payloads.EXPIRED if abs(now_ms - then_ms) > EXPIRES_MS else None
