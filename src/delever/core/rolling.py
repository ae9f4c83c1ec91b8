"""The exact maximum of a step function over a rolling window.

A value holds from its sample until the next one, so a value set before the window opened still
counts while it held inside it. Kept as a monotonic deque: only values that no later, larger one
hides. Amortised O(1) a sample; nothing is bucketed.
"""

from collections import deque
from collections.abc import Iterable

_HOLDS = -1
"""End of a value that still holds."""


class RollingPeak:
    """The maximum over the last `window_ms` of a value that changes in steps.

    Entries are (value, end_ms): the time at which the value stopped to hold.
    """

    __slots__ = ("_entries", "window_ms")

    def __init__(self, window_ms: int, entries: Iterable[tuple[int, int]] = ()) -> None:
        self.window_ms = window_ms
        self._entries = deque(entries)

    def observe(self, time_ms: int, value: int) -> None:
        """From this time on the value is this one."""
        entries = self._entries
        if entries and entries[-1][1] == _HOLDS:
            if entries[-1][0] == value:
                return
            entries[-1] = (entries[-1][0], time_ms)
        while entries and entries[-1][0] <= value:
            entries.pop()
        entries.append((value, _HOLDS))

    def peak(self, time_ms: int, default: int = 0) -> int:
        """Return the largest value held inside [time_ms - window_ms, time_ms]."""
        entries = self._entries
        opens = time_ms - self.window_ms
        while entries and entries[0][1] != _HOLDS and entries[0][1] < opens:
            entries.popleft()
        return entries[0][0] if entries else default

    def shift(self, amount: int) -> None:
        """Move every value held so far: money that left by decision is not a loss."""
        self._entries = deque((value + amount, end) for value, end in self._entries)

    def clear(self) -> None:
        """Start again without a past."""
        self._entries.clear()

    def entries(self) -> list[tuple[int, int]]:
        """Return what a snapshot keeps."""
        return list(self._entries)
