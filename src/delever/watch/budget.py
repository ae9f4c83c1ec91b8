"""When a source may be asked again: never before the venue has a new number, nor beyond its limits.

Pure: time comes in as an argument, so that a test turns the clock by hand.
"""

from dataclasses import dataclass, field

MINUTE_MS = 60_000
FIRST_RETRY_MS = 1_000
LONGEST_RETRY_MS = 15_000
LAG_MS = 500
"""Assumed: how long after its time a venue's new number can be fetched."""


@dataclass(slots=True)
class Budget:
    """A venue's limit of request weight in a window, and what has been used of it.

    Only `share_percent` is ever used, so that the account's own programs keep the rest. Where the
    venue says what it has counted, for this address and whoever else calls from it, that holds.
    """

    limit: int
    window_ms: int = MINUTE_MS
    share_percent: int = 25
    _spent: list[tuple[int, int]] = field(default_factory=list)
    _counted: tuple[int, int] | None = None

    def spend(self, weight: int, now_ms: int) -> None:
        """Note a request."""
        self._spent = [(at, w) for at, w in self._spent if now_ms - at < self.window_ms]
        self._spent.append((now_ms, weight))

    def told(self, used: int, now_ms: int) -> None:
        """Note what the venue has counted."""
        self._counted = (now_ms, used)

    def used(self, now_ms: int) -> int:
        """Return the weight used in the window that ends now, by the higher of both counts."""
        own = sum(weight for at, weight in self._spent if now_ms - at < self.window_ms)
        if self._counted is None or now_ms - self._counted[0] >= self.window_ms:
            return own
        return max(own, self._counted[1])

    def allows(self, weight: int, now_ms: int) -> bool:
        """Return whether a request fits into the share of the limit that is ours."""
        own = sum(w for at, w in self._spent if now_ms - at < self.window_ms)
        ours = self.limit * self.share_percent // 100
        return own + weight <= ours and self.used(now_ms) + weight <= self.limit * 9 // 10


@dataclass(slots=True)
class Schedule:
    """When one source is due."""

    every_ms: int
    due_ms: int = 0
    failures: int = 0

    def answered(self, of_ms: int | None, now_ms: int) -> None:
        """Plan the next request: when the number read now has been replaced.

        `of_ms` is the time that the venue gives its number, or None where it gives none.
        """
        self.failures = 0
        self.due_ms = now_ms + self.every_ms
        if of_ms is not None and now_ms - of_ms < self.every_ms:
            self.due_ms = max(of_ms + self.every_ms + LAG_MS, now_ms + LAG_MS)
            self.due_ms = min(self.due_ms, now_ms + self.every_ms + LAG_MS)

    def failed(self, now_ms: int, wait_ms: int | None = None) -> None:
        """Plan the next try: after what the venue asks for, else later after each failure."""
        backing_off = min(FIRST_RETRY_MS * 2 ** min(self.failures, 10), LONGEST_RETRY_MS)
        self.failures += 1
        self.due_ms = now_ms + (backing_off if wait_ms is None else max(wait_ms, FIRST_RETRY_MS))
