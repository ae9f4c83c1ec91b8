"""What a rolling window of time says of a value: exact maximum, exact mean, realized volatility.

For maximum and mean a value holds from its sample until the next one, so a value set before the
window opened still counts while it held inside it. Amortised O(1) a sample; nothing is bucketed.

For the volatility one price a minute is enough, and bounds what is kept.
"""

import itertools
from collections import deque
from collections.abc import Iterable

from delever.core.units import div_floor, div_nearest, root_floor

_HOLDS = -1
"""End of a value that still holds."""


class RollingPeak:
    """The maximum over the last `window_ms` of a value that changes in steps.

    Kept as a monotonic deque: only values that no later, larger one hides. Entries are (value,
    end_ms): the time at which the value stopped to hold.
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


class RollingMean:
    """The time-weighted mean over the last `window_ms` of a value that changes in steps.

    Entries are (from_ms, value). The mean is a fraction, area / span, and is never divided here, so
    that it can be compared exactly; before a window has passed it is the mean of what is known.
    """

    __slots__ = ("_closed_area", "_entries", "window_ms")

    def __init__(self, window_ms: int, entries: Iterable[tuple[int, int]] = ()) -> None:
        self.window_ms = window_ms
        self._entries = deque(entries)
        self._closed_area = sum(
            value * (end_ms - from_ms)
            for (from_ms, value), (end_ms, _) in itertools.pairwise(self._entries)
        )

    def observe(self, time_ms: int, value: int) -> None:
        """From this time on the value is this one."""
        entries = self._entries
        if entries and entries[-1][0] == time_ms:
            entries[-1] = (time_ms, value)
        elif not entries or entries[-1][1] != value:
            if entries:
                self._closed_area += entries[-1][1] * (time_ms - entries[-1][0])
            entries.append((time_ms, value))
        self._forget(time_ms)

    def area(self, time_ms: int, default: int = 0) -> tuple[int, int]:
        """Return (sum of value * ms, ms) over [time_ms - window_ms, time_ms]; the ms are above 0.

        The value held now stands for all of a span of no length, and the default for no value.
        """
        entries = self._entries
        self._forget(time_ms)
        if not entries or entries[0][0] >= time_ms:
            return (entries[-1][1] if entries else default), 1
        first_ms, first = entries[0]
        from_ms, now = entries[-1]
        before_ms = max(time_ms - self.window_ms - first_ms, 0)
        area = self._closed_area + now * (time_ms - from_ms) - first * before_ms
        return area, time_ms - first_ms - before_ms

    def _forget(self, time_ms: int) -> None:
        """Drop what ended before the window opened."""
        entries = self._entries
        while len(entries) > 1 and entries[1][0] <= time_ms - self.window_ms:
            from_ms, value = entries.popleft()
            self._closed_area -= value * (entries[0][0] - from_ms)

    def shift(self, amount: int) -> None:
        """Move every value held so far: money that left by decision is not a loss."""
        first_ms, last_ms = (self._entries[i][0] if self._entries else 0 for i in (0, -1))
        self._closed_area += amount * (last_ms - first_ms)
        self._entries = deque((from_ms, value + amount) for from_ms, value in self._entries)

    def entries(self) -> list[tuple[int, int]]:
        """Return what a snapshot keeps."""
        return list(self._entries)


class RollingVolatility:
    """The realized volatility of a price over the last day.

    Of each minute the last price told is kept, with the minute's number; a minute in which none was
    told has none. The square of the volatility is the sum of the squared relative changes from one
    kept price to the next, over the changes that end inside the window. Each change is rounded to
    nearest in parts per billion, the root is rounded down; all in integers. A price younger than a
    day has the volatility seen so far.
    """

    MINUTE_MS = 60_000
    WINDOW_MINUTES = 24 * 60

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[tuple[int, int]] = ()) -> None:
        self._entries = deque(entries)

    def observe(self, time_ms: int, price: int) -> None:
        """From this time on the price is this one; it is positive."""
        entries, minute = self._entries, div_floor(time_ms, self.MINUTE_MS)
        if entries and entries[-1][0] == minute:
            entries.pop()
        entries.append((minute, price))
        # The newest price from before the window stays: the first change inside begins at it.
        while len(entries) > 1 and entries[1][0] <= minute - self.WINDOW_MINUTES:
            entries.popleft()

    def volatility_ppm(self, time_ms: int) -> int:
        """Return the volatility over the window that ends at this time; 0 without two prices."""
        opens = div_floor(time_ms, self.MINUTE_MS) - self.WINDOW_MINUTES
        squares = 0
        for (_, before), (minute, after) in itertools.pairwise(self._entries):
            if minute > opens:
                squares += div_nearest((after - before) * 10**9, before) ** 2
        return root_floor(div_floor(squares, 10**6))

    def entries(self) -> list[tuple[int, int]]:
        """Return what a snapshot keeps."""
        return list(self._entries)
