"""Rate limits in fixed windows, and bans of addresses, by the server's clock."""

from collections.abc import Callable
from typing import NamedTuple

BAN_HISTORY_MS = 24 * 3_600_000
"""After this time without a ban, the next ban of an address is as short as the first."""


class Usage(NamedTuple):
    """The weight used in the current window, this request included, and the window's end."""

    used: int
    limit: int
    resets_ms: int

    @property
    def exceeded(self) -> bool:
        """Whether this request exceeds the limit."""
        return self.used > self.limit

    @property
    def remaining(self) -> int:
        """Weight that is left in this window."""
        return max(self.limit - self.used, 0)


class RateLimiter:
    """Counts weights by subject in windows of fixed length, aligned to the clock."""

    def __init__(self, limit: int, window_ms: int, now_ms: Callable[[], int]) -> None:
        self.limit = limit
        self.window_ms = window_ms
        self._now_ms = now_ms
        self._window = -1
        self._used: dict[str, int] = {}

    def use(self, subject: str, weight: int = 1) -> Usage:
        """Count a request, and return the usage of its subject."""
        window = self._now_ms() // self.window_ms
        if window != self._window:
            self._window = window
            self._used = {}
        used = self._used.get(subject, 0) + weight
        self._used[subject] = used
        return Usage(used, self.limit, (window + 1) * self.window_ms)


class AddressBans:
    """Temporary bans of addresses that keep exceeding their rate limit.

    Each ban is twice as long as the one before, until an address had none for a day.
    """

    def __init__(self, first_ms: int, max_ms: int, now_ms: Callable[[], int]) -> None:
        self._first_ms = first_ms
        self._max_ms = max_ms
        self._now_ms = now_ms
        self._until: dict[str, int] = {}
        self._history: dict[str, tuple[int, int]] = {}

    def until(self, address: str) -> int | None:
        """Return when the ban of an address ends, or None without a ban."""
        until = self._until.get(address)
        if until is not None and until <= self._now_ms():
            del self._until[address]
            return None
        return until

    def ban(self, address: str) -> int:
        """Ban an address; return when the ban ends."""
        now_ms = self._now_ms()
        recent = {
            banned: (count, end_ms)
            for banned, (count, end_ms) in self._history.items()
            if now_ms - end_ms < BAN_HISTORY_MS
        }
        count, _ = recent.get(address, (0, 0))
        until_ms: int = now_ms + min(self._first_ms * 2**count, self._max_ms)
        self._until = {banned: end_ms for banned, end_ms in self._until.items() if end_ms > now_ms}
        self._until[address] = until_ms
        self._history = recent | {address: (count + 1, until_ms)}
        return until_ms
