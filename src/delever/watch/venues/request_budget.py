"""When a source may be polled: not before the venue has a new value, and within its rate limit.

Pure: the time is an argument, so that tests turn the clock by hand.
"""

from dataclasses import dataclass, field

MINUTE_MS = 60_000
FIRST_RETRY_MS = 1_000
MAX_RETRY_MS = 15_000
LAG_MS = 500
"""Assumed: how long after its own time a venue's new value can be fetched."""


@dataclass(slots=True)
class RequestBudget:
    """A venue's limit of request weight in a window, and the used part.

    Only `share_percent` is ever used, which leaves the rest to the account's own programs. The
    venue's own count, which includes other programs at this address, takes precedence.
    """

    limit: int
    window_ms: int = MINUTE_MS
    share_percent: int = 25
    _spent: list[tuple[int, int]] = field(default_factory=list)
    _venue_count: tuple[int, int] | None = None

    def spend(self, weight: int, now_ms: int) -> None:
        """Count a request."""
        self._spent = [(at, w) for at, w in self._spent if now_ms - at < self.window_ms]
        self._spent.append((now_ms, weight))

    def set_venue_count(self, used: int, now_ms: int) -> None:
        """Store the venue's own count."""
        self._venue_count = (now_ms, used)

    def used(self, now_ms: int) -> int:
        """Return the weight used in the window that ends now: the higher of both counts."""
        own = sum(weight for at, weight in self._spent if now_ms - at < self.window_ms)
        if self._venue_count is None or now_ms - self._venue_count[0] >= self.window_ms:
            return own
        return max(own, self._venue_count[1])

    def allows(self, weight: int, now_ms: int) -> bool:
        """Return whether a request fits into our share of the limit."""
        own = sum(w for at, w in self._spent if now_ms - at < self.window_ms)
        share = self.limit * self.share_percent // 100
        return own + weight <= share and self.used(now_ms) + weight <= self.limit * 9 // 10


@dataclass(slots=True)
class PollSchedule:
    """When one source is due."""

    interval_ms: int
    due_ms: int = 0
    failures: int = 0

    def answered(self, venue_time_ms: int | None, now_ms: int) -> None:
        """Schedule the next poll for when the venue has replaced the present value.

        `venue_time_ms` is the venue's time of the value, None without one.
        """
        self.failures = 0
        self.due_ms = now_ms + self.interval_ms
        if venue_time_ms is not None and now_ms - venue_time_ms < self.interval_ms:
            self.due_ms = max(venue_time_ms + self.interval_ms + LAG_MS, now_ms + LAG_MS)
            self.due_ms = min(self.due_ms, now_ms + self.interval_ms + LAG_MS)

    def failed(self, now_ms: int, wait_ms: int | None = None) -> None:
        """Schedule a retry: after the venue's wait, else with exponential backoff."""
        backoff_ms = min(FIRST_RETRY_MS * 2 ** min(self.failures, 10), MAX_RETRY_MS)
        self.failures += 1
        self.due_ms = now_ms + (backoff_ms if wait_ms is None else max(wait_ms, FIRST_RETRY_MS))
