"""Statistics over time: exact maximum, exact mean and realized volatility over rolling windows.

The value at the start of a day is not rolling: the day begins at 00:00 UTC.

Maximum and mean are of a step function: a value holds from its sample until the next one, so a
value set before the window counts for as long as it holds inside. A sample takes amortized O(1)
time, and nothing is bucketed. The volatility samples one price a minute, which bounds its memory.
"""

import itertools
from collections import deque
from collections.abc import Iterable
from math import isqrt

from delever.core.units import Mark, Ratio, div_floor, div_nearest, scale_mark

DAY_MS = 86_400_000

_CURRENT = -1
"""End time of the value that still holds."""


class RollingPeak:
    """The maximum over the last `window_ms` of a step function.

    The entries are a monotonic deque of (value, end_ms): values without a later, larger one, and
    the time at which each ceased to hold.

    >>> peak = RollingPeak(window_ms=100)
    >>> peak.observe(0, 7); peak.observe(10, 5)
    >>> peak.peak(110), peak.peak(111)
    (7, 5)
    """

    __slots__ = ("_entries", "window_ms")

    def __init__(self, window_ms: int, entries: Iterable[tuple[int, int]] = ()) -> None:
        self.window_ms = window_ms
        self._entries = deque(entries)

    def __reduce__(self) -> tuple[type["RollingPeak"], tuple[object, ...]]:
        """Return what a copy takes, faster than slots do by themselves."""
        return RollingPeak, (self.window_ms, tuple(self._entries))

    def observe(self, time_ms: int, value: int) -> None:
        """Set the value from this time on."""
        entries = self._entries
        if entries and entries[-1][1] == _CURRENT:
            if entries[-1][0] == value:
                return
            entries[-1] = (entries[-1][0], time_ms)
        while entries and entries[-1][0] <= value:
            entries.pop()
        entries.append((value, _CURRENT))

    def peak(self, time_ms: int, default: int = 0) -> int:
        """Return the maximum over [time_ms - window_ms, time_ms]; the default without a value."""
        entries = self._entries
        start_ms = time_ms - self.window_ms
        while entries and entries[0][1] != _CURRENT and entries[0][1] < start_ms:
            entries.popleft()
        return entries[0][0] if entries else default

    def resize(self, time_ms: int, window_ms: int) -> None:
        """Change the window from this time on; values before the former window are not known."""
        self.peak(time_ms)
        self.window_ms = window_ms

    def shift(self, amount: int) -> None:
        """Add an amount to every past value: a withdrawal, for example, is no drawdown."""
        self._entries = deque((value + amount, end) for value, end in self._entries)

    def clear(self) -> None:
        """Remove all values."""
        self._entries.clear()

    def entries(self) -> list[tuple[int, int]]:
        """Return the entries, for a snapshot."""
        return list(self._entries)


class RollingMean:
    """The time-weighted mean over the last `window_ms` of a step function.

    Entries are (from_ms, value). The mean is an undivided fraction (area, span), so it is compared
    exactly; before a whole window has passed, it is the mean since the first value.
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
        """Set the value from this time on."""
        entries = self._entries
        if entries and entries[-1][0] == time_ms:
            entries[-1] = (time_ms, value)
        elif not entries or entries[-1][1] != value:
            if entries:
                self._closed_area += entries[-1][1] * (time_ms - entries[-1][0])
            entries.append((time_ms, value))
        self._expire(time_ms)

    def area(self, time_ms: int, default: int = 0) -> tuple[int, int]:
        """Return (sum of value * ms, ms) over [time_ms - window_ms, time_ms]; ms is positive.

        Over a span of 0 ms the mean is the current value, without a value it is the default.
        """
        entries = self._entries
        self._expire(time_ms)
        if not entries or entries[0][0] >= time_ms:
            return (entries[-1][1] if entries else default), 1
        first_ms, first = entries[0]
        from_ms, current = entries[-1]
        before_ms = max(time_ms - self.window_ms - first_ms, 0)
        area = self._closed_area + current * (time_ms - from_ms) - first * before_ms
        return area, time_ms - first_ms - before_ms

    def resize(self, time_ms: int, window_ms: int) -> None:
        """Change the window from this time on; values before the former window are not known."""
        if window_ms == self.window_ms:
            return
        self._expire(time_ms)
        if self._entries:
            from_ms, value = self._entries.popleft()
            since_ms = max(from_ms, time_ms - self.window_ms)
            if self._entries:
                self._closed_area -= value * (since_ms - from_ms)
            self._entries.appendleft((since_ms, value))
        self.window_ms = window_ms

    def shift(self, amount: int) -> None:
        """Add an amount to every past value: a withdrawal, for example, is no drawdown."""
        first_ms, last_ms = (self._entries[i][0] if self._entries else 0 for i in (0, -1))
        self._closed_area += amount * (last_ms - first_ms)
        self._entries = deque((from_ms, value + amount) for from_ms, value in self._entries)

    def entries(self) -> list[tuple[int, int]]:
        """Return the entries, for a snapshot."""
        return list(self._entries)

    def _expire(self, time_ms: int) -> None:
        """Remove values that ended before the window."""
        entries = self._entries
        while len(entries) > 1 and entries[1][0] <= time_ms - self.window_ms:
            from_ms, value = entries.popleft()
            self._closed_area -= value * (entries[0][0] - from_ms)


class DailyOpening:
    """The value of a step function at 00:00 UTC of the current day.

    On the first day it is the first value.

    >>> opening = DailyOpening()
    >>> opening.observe(5, 100); opening.observe(9, 70)
    >>> opening.value(10), opening.value(86_400_000)
    (100, 70)
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[tuple[int, int]] = ()) -> None:
        self._entries = list(entries)

    def __reduce__(self) -> tuple[type["DailyOpening"], tuple[object, ...]]:
        """Return what a copy takes, faster than slots do by themselves."""
        return DailyOpening, (tuple(self._entries),)

    def observe(self, time_ms: int, value: int) -> None:
        """Set the value from this time on."""
        opening = self.value(time_ms, value)
        self._entries = [(div_floor(time_ms, DAY_MS), opening), (_CURRENT, value)]

    def value(self, time_ms: int, default: int = 0) -> int:
        """Return the value at the start of the day; the default without one."""
        if not self._entries:
            return default
        (day, opening), (_, current) = self._entries
        return opening if div_floor(time_ms, DAY_MS) <= day else current

    def shift(self, amount: int) -> None:
        """Add an amount to every past value: money that an operator moved is no PnL."""
        self._entries = [(day, value + amount) for day, value in self._entries]

    def entries(self) -> list[tuple[int, int]]:
        """Return the entries, for a snapshot."""
        return list(self._entries)


class MinuteFalls:
    """By how much a step function has fallen in each minute of the last four hours.

    The last value of each minute is stored with the minute's number; a minute without a value has
    no entry. A fall is that from one entry to the next, and belongs to the minute in which it ends.

    >>> falls = MinuteFalls()
    >>> falls.observe(0, 100); falls.observe(60_000, 90); falls.observe(90_000, 70)
    >>> falls.falls(90_000)
    [30]
    """

    MINUTE_MS = 60_000
    WINDOW_MINUTES = 4 * 60

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[tuple[int, int]] = ()) -> None:
        self._entries = deque(entries)

    def observe(self, time_ms: int, value: int) -> None:
        """Set the value from this time on."""
        entries, minute = self._entries, div_floor(time_ms, self.MINUTE_MS)
        if entries and entries[-1][0] == minute:
            entries.pop()
        entries.append((minute, value))
        while len(entries) > 1 and entries[1][0] <= minute - self.WINDOW_MINUTES:
            entries.popleft()

    def falls(self, time_ms: int) -> list[int]:
        """Return the falls inside the window that ends at this time, oldest first."""
        start = div_floor(time_ms, self.MINUTE_MS) - self.WINDOW_MINUTES
        pairs = itertools.pairwise(self._entries)
        return [a - b for (_, a), (minute, b) in pairs if minute > start and a > b]

    def shift(self, amount: int) -> None:
        """Add an amount to every past value: money that an operator moved is no loss."""
        self._entries = deque((minute, value + amount) for minute, value in self._entries)

    def entries(self) -> list[tuple[int, int]]:
        """Return the entries, for a snapshot."""
        return list(self._entries)


class RollingVolatility:
    """The realized volatility of a price over the last day.

    The last price of each minute is stored with the minute's number; a minute without a price has
    no entry. The volatility is the root of the sum of squared relative changes between successive
    entries, over the changes that end inside the window. A change is rounded to nearest in parts
    per billion, the root is rounded down, all in integers. Before a day has passed, the window
    starts with the first price.
    """

    MINUTE_MS = 60_000
    WINDOW_MINUTES = 24 * 60

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[tuple[int, Mark]] = ()) -> None:
        self._entries = deque(entries)

    def __reduce__(self) -> tuple[type["RollingVolatility"], tuple[object, ...]]:
        """Return what a copy takes, faster than slots do by themselves."""
        return RollingVolatility, (tuple(self._entries),)

    def observe(self, time_ms: int, price: Mark) -> None:
        """Set the price from this time on; the price is positive."""
        entries, minute = self._entries, div_floor(time_ms, self.MINUTE_MS)
        if entries and entries[-1][0] == minute:
            entries[-1] = minute, price
            return
        entries.append((minute, price))
        # The newest price before the window is retained: the first change inside starts from it.
        while len(entries) > 1 and entries[1][0] <= minute - self.WINDOW_MINUTES:
            entries.popleft()

    def replace_last(self, price: Mark) -> None:
        """Replace the newest price, if there is one: its minute has not ended."""
        if self._entries:
            self._entries[-1] = self._entries[-1][0], price

    @property
    def last_minute(self) -> int | None:
        """The number of the newest price's minute, or None without a price."""
        return self._entries[-1][0] if self._entries else None

    def rescale(self, ratio: Ratio) -> None:
        """Multiply every price by a ratio: relative changes stay what they are."""
        self._entries = deque((minute, scale_mark(mark, ratio)) for minute, mark in self._entries)

    def volatility_ppm(self, time_ms: int) -> int:
        """Return the volatility of the window that ends at this time; 0 without two prices."""
        start = div_floor(time_ms, self.MINUTE_MS) - self.WINDOW_MINUTES
        squares = 0
        for (_, before), (minute, after) in itertools.pairwise(self._entries):
            if minute > start:
                squares += div_nearest((after - before) * 10**9, before) ** 2
        return isqrt(div_floor(squares, 10**6))

    def entries(self) -> list[tuple[int, Mark]]:
        """Return the entries, for a snapshot."""
        return list(self._entries)
