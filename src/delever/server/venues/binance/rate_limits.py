"""How much one address may ask of the Binance-compatible API: weights, 429, and bans with 418.

Every request counts, refused ones too; what comes after the weight is used up counts towards a ban.
"""

from collections.abc import Callable

from delever.config import Binance as Settings
from delever.core.units import div_ceil
from delever.server.transport.asgi import Headers, Reply
from delever.server.transport.rate_limits import Bans, Windows
from delever.server.venues.binance import payloads as wire

MINUTE_MS = 60_000
LONGEST_BAN_MS = 3 * 24 * 3_600_000

USED = b"x-mbx-used-weight-1m"
RETRY = b"retry-after"


class Gate:
    """Lets requests in by address, by the server's clock."""

    def __init__(self, settings: Settings, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._weights = Windows(settings.weight_per_minute, MINUTE_MS, now_ms)
        self._excess = Windows(settings.ban_after, MINUTE_MS, now_ms)
        self._bans = Bans(settings.ban_ms, LONGEST_BAN_MS, now_ms)

    def admit(self, address: str, weight: int) -> tuple[Headers, Reply | None]:
        """Count a request; return the headers of its answer, and the answer if it is refused."""
        usage = self._weights.use(address, weight)
        headers = [(USED, b"%d" % usage.used)]
        until_ms = self._bans.until(address)
        if until_ms is None and not usage.exceeded:
            return headers, None
        if until_ms is None and self._excess.use(address).exceeded:
            until_ms = self._bans.ban(address)
        if until_ms is not None:
            return headers, self._refusal(wire.banned(until_ms), until_ms, headers)
        return headers, self._refusal(wire.too_many(usage.limit), usage.resets_ms, headers)

    def _refusal(self, problem: payloads.ErrorResponse, until_ms: int, headers: Headers) -> Reply:
        wait = (RETRY, b"%d" % div_ceil(until_ms - self._now_ms(), 1_000))
        return Reply(problem.body, problem.status, [*headers, wait])
