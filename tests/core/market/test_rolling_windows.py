"""Rolling maximum, mean and volatility, against direct computation from all samples."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.core.market.rolling_windows import RollingMean, RollingPeak, RollingVolatility
from table import Row, cases


@pytest.mark.parametrize("row", cases("peaks.txt"))
def test_a_peak_is_the_maximum_inside_the_window(row: Row) -> None:
    rolling = RollingPeak(100)
    for text in row["values"].split(","):
        value, _, from_ms = text.partition("@")
        rolling.observe(int(from_ms), int(value))
    assert str(rolling.peak(int(row["now"]))) == row["peak"]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 30),
            st.integers(-4, 4),
            st.sampled_from(["set", "set", "shift", "restore"]),
        ),
        min_size=12,
        max_size=40,
    ),
    st.integers(1, 60),
)
def test_a_peak_is_the_maximum_of_all_intervals_that_overlap_the_window(
    steps: list[tuple[int, int, str]], window_ms: int
) -> None:
    """CORE-10: against a list of all intervals."""
    rolling, now = RollingPeak(window_ms), 0
    intervals: list[list[float]] = []
    for pause, value, action in steps:
        now += pause
        if action == "set":
            rolling.observe(now, value)
            if intervals:
                intervals[-1][2] = now
            intervals.append([value, now, float("inf")])
        elif action == "shift":
            rolling.shift(value)
            intervals = [[old + value, start, end] for old, start, end in intervals]
        else:
            rolling = RollingPeak(window_ms, rolling.entries())
        inside = [old for old, _, end in intervals if end >= now - window_ms]
        assert rolling.peak(now, -99) == (max(inside) if inside else -99)
    assert len(rolling.entries()) <= len(intervals)


def test_a_cleared_peak_returns_the_default() -> None:
    rolling = RollingPeak(100, [(7, -1)])
    rolling.clear()
    assert rolling.peak(0, default=3) == 3


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(-9, 9)), min_size=1, max_size=30),
    st.integers(1, 60),
)
def test_a_mean_weighs_values_by_their_time_inside_the_window(
    samples: list[tuple[int, int]], window_ms: int
) -> None:
    rolling, now = RollingMean(window_ms), 0
    values: list[int] = []  # one entry a millisecond since the first sample
    current: int | None = None
    for pause, value in samples:
        now += pause
        rolling.observe(now, value)
        values += [] if current is None else [current] * pause
        current = value
        area, span = rolling.area(now)
        inside = values[-window_ms:] or [value]
        assert Fraction(area, span) == Fraction(sum(inside), len(inside))


MINUTE_MS = RollingVolatility.MINUTE_MS
DAY_MS = 24 * 60 * MINUTE_MS

samples = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 30_000, MINUTE_MS, 7 * MINUTE_MS, DAY_MS // 2, DAY_MS]),
        st.integers(1, 10**6),
    ),
    min_size=1,
    max_size=30,
)


def volatility_of(prices: list[tuple[int, int]], time_ms: int) -> int:
    """Compute the volatility from all (time, price) samples."""
    last: dict[int, int] = {}
    for sample_ms, price in prices:
        last[sample_ms // MINUTE_MS] = price
    start = (time_ms - DAY_MS) // MINUTE_MS
    square = Fraction(0)
    for (_, before), (minute, after) in itertools.pairwise(last.items()):
        if minute > start:
            billionths = Fraction((after - before) * 10**9, before)
            half = Fraction(1, 2) if billionths >= 0 else -Fraction(1, 2)
            square += int(billionths + half) ** 2
    return math.isqrt(int(square) // 10**6)


@given(samples, st.sampled_from([0, MINUTE_MS, DAY_MS - MINUTE_MS, DAY_MS]))
def test_volatility_is_the_root_of_squared_changes_inside_the_window(
    pauses: list[tuple[int, int]], later_ms: int
) -> None:
    """RSK-06."""
    volatility, time_ms, prices = RollingVolatility(), 0, []
    for pause_ms, price in pauses:
        time_ms += pause_ms
        volatility.observe(time_ms, price)
        prices.append((time_ms, price))
        assert volatility.volatility_ppm(time_ms) == volatility_of(prices, time_ms)
    assert volatility.volatility_ppm(time_ms + later_ms) == volatility_of(
        prices, time_ms + later_ms
    )


def test_volatility_stores_one_price_a_minute_of_the_window() -> None:
    volatility = RollingVolatility()
    for second in range(0, 3 * 86_400, 20):
        volatility.observe(1000 * second, 100 + second % 7)
    assert len(volatility.entries()) == RollingVolatility.WINDOW_MINUTES + 1


def test_volatility_uses_the_last_price_of_a_minute() -> None:
    volatility = RollingVolatility()
    for time_ms, price in ((0, 100), (MINUTE_MS, 150), (MINUTE_MS + 59_999, 101)):
        volatility.observe(time_ms, price)
    assert volatility.volatility_ppm(MINUTE_MS + 59_999) == 10_000
