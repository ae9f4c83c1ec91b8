"""How much one address or key may ask: fixed windows and bans, by the server's own clock."""

from collections.abc import Callable
from typing import NamedTuple

FORGIVEN_MS = 24 * 3_600_000
"""After so long without a ban an address starts again with the first."""


class Usage(NamedTuple):
    """What was used in the current window, with this request, and when the window ends."""

    used: int
    limit: int
    resets_ms: int

    @property
    def exceeded(self) -> bool:
        """Whether this request was one too many."""
        return self.used > self.limit

    @property
    def left(self) -> int:
        """What may still be used."""
        return max(self.limit - self.used, 0)


class Windows:
    """Counts by subject in windows of fixed length, aligned to the clock as venues' are."""

    def __init__(self, limit: int, window_ms: int, now_ms: Callable[[], int]) -> None:
        self.limit = limit
        self.window_ms = window_ms
        self._now_ms = now_ms
        self._window = -1
        self._used: dict[str, int] = {}

    def use(self, subject: str, weight: int = 1) -> Usage:
        """Count a request, and return what its subject has used with it."""
        window = self._now_ms() // self.window_ms
        if window != self._window:
            self._window = window
            self._used = {}
        used = self._used.get(subject, 0) + weight
        self._used[subject] = used
        return Usage(used, self.limit, (window + 1) * self.window_ms)


class Bans:
    """Addresses that asked on after being told to stop.

    Each ban is twice as long as the one before, until an address has kept quiet for a day.
    """

    def __init__(self, first_ms: int, longest_ms: int, now_ms: Callable[[], int]) -> None:
        self._first_ms = first_ms
        self._longest_ms = longest_ms
        self._now_ms = now_ms
        self._until: dict[str, int] = {}
        self._times: dict[str, tuple[int, int]] = {}

    def until(self, address: str) -> int | None:
        """Return when the ban of an address ends, or None where it is not banned."""
        until = self._until.get(address)
        if until is not None and until <= self._now_ms():
            del self._until[address]
            return None
        return until

    def ban(self, address: str) -> int:
        """Ban an address; return when that ends."""
        now_ms = self._now_ms()
        recent = {who: ban for who, ban in self._times.items() if now_ms - ban[1] < FORGIVEN_MS}
        times, _ = recent.get(address, (0, 0))
        until_ms: int = now_ms + min(self._first_ms * 2**times, self._longest_ms)
        self._until = {who: end for who, end in self._until.items() if end > now_ms}
        self._until[address] = until_ms
        self._times = recent | {address: (times + 1, until_ms)}
        return until_ms
