"""Who may ask OKX's API, and how often."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from delever.config import Okx as Settings
from delever.server.transport.api_keys import Holder, Keyring
from delever.server.transport.asgi import Request
from delever.server.transport.rate_limits import Windows
from delever.server.venues.okx import payloads as wire

WINDOW_MS = 2_000
OTHERS_PER_WINDOW = 20
BILLS_PER_WINDOW = 10
EXPIRES_MS = 30_000
"""A request's time may be so far from the server's, either way."""

FUND = "/api/v5/public/insurance-fund"
BILLS = "/api/v5/account/bills"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HEADERS = {
    "ok-access-key": wire.NO_KEY,
    "ok-access-sign": wire.NO_SIGN,
    "ok-access-timestamp": wire.NO_TIMESTAMP,
    "ok-access-passphrase": wire.NO_PASSPHRASE,
}


class Gate:
    """Lets requests in by address and by key, by the server's clock."""

    def __init__(self, settings: Settings, now_ms: Callable[[], int]) -> None:
        self._few = {
            FUND: Windows(settings.insurance_per_2s, WINDOW_MS, now_ms),
            BILLS: Windows(BILLS_PER_WINDOW, WINDOW_MS, now_ms),
        }
        self._others = Windows(OTHERS_PER_WINDOW, WINDOW_MS, now_ms)

    def admit(self, who: str, path: str, kind: str) -> bool:
        """Count a request of an address or key; return whether it is let in."""
        windows = self._few.get(path, self._others)
        return not windows.use(f"{who} {path} {kind}").exceeded


def authenticate(request: Request, keyring: Keyring, now_ms: int) -> Holder | wire.Fault:
    """Return who sends a signed request, or why that is not believed.

    Signed are time, method, path with its raw query, and body, in base64; the passphrase comes
    along in plain text.
    """
    for name, fault in HEADERS.items():
        if not request.headers.get(name):
            return fault
    key, sign, sent, passphrase = (request.headers[name] for name in HEADERS)
    late = _late(sent, now_ms)
    if late is not None:
        return late
    holder = keyring.find(key)
    if holder is None:
        return wire.UNKNOWN_KEY
    if not holder.passes(passphrase):
        return wire.WRONG_PASSPHRASE
    query = b"?" + request.query if request.query else b""
    payload = f"{sent}{request.method}{request.path}".encode() + query + request.body
    return holder if holder.signed_base64(payload, sign) else wire.WRONG_SIGN


def _late(sent: str, now_ms: int) -> wire.Fault | None:
    """Return the fault of a time that is no time, or too far from the server's."""
    try:
        then_ms = (datetime.fromisoformat(sent) - EPOCH) // timedelta(milliseconds=1)
    except (ValueError, TypeError):
        return wire.WRONG_TIMESTAMP
    return wire.EXPIRED if abs(now_ms - then_ms) > EXPIRES_MS else None
