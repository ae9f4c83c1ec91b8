"""Rate limits of the Binance-compatible API by address: request weights, 429, and bans with 418.

Every request counts, rejected ones too; requests beyond the weight limit count towards a ban.
"""

from collections.abc import Callable

from delever.config import BinanceConfig
from delever.core.units import div_ceil
from delever.server.transport.asgi import Headers, Reply
from delever.server.transport.rate_limits import AddressBans, RateLimiter
from delever.server.venues.binance import payloads

MINUTE_MS = 60_000
MAX_BAN_MS = 3 * 24 * 3_600_000

USED = b"x-mbx-used-weight-1m"
RETRY = b"retry-after"


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
