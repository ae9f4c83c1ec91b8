"""The realized volatility of marks, against the plain sum that it stands for."""

import itertools
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from delever.core.market.rolling_windows import RollingVolatility
from delever.core.units import root_floor

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


def plain(told: list[tuple[int, int]], time_ms: int) -> int:
    """Return the volatility from all that was ever told."""
    last: dict[int, int] = {}
    for told_ms, price in told:
        last[told_ms // MINUTE_MS] = price
    opens = (time_ms - DAY_MS) // MINUTE_MS
    square = Fraction(0)
    for (_, before), (minute, after) in itertools.pairwise(last.items()):
        if minute > opens:
            billionths = Fraction((after - before) * 10**9, before)
            half = Fraction(1, 2) if billionths >= 0 else -Fraction(1, 2)
            square += int(billionths + half) ** 2
    return root_floor(int(square) // 10**6)


@given(samples, st.sampled_from([0, MINUTE_MS, DAY_MS - MINUTE_MS, DAY_MS]))
def test_volatility_is_the_root_of_the_squares_inside_the_window(
    pauses: list[tuple[int, int]], later_ms: int
) -> None:
    """RSK-06."""
    volatility, time_ms, told = RollingVolatility(), 0, []
    for pause_ms, price in pauses:
        time_ms += pause_ms
        volatility.observe(time_ms, price)
        told.append((time_ms, price))
        assert volatility.volatility_ppm(time_ms) == plain(told, time_ms)
    assert volatility.volatility_ppm(time_ms + later_ms) == plain(told, time_ms + later_ms)


def test_what_is_kept_is_bounded_by_the_window() -> None:
    volatility = RollingVolatility()
    for second in range(0, 3 * 86_400, 20):
        volatility.observe(1000 * second, 100 + second % 7)
    assert len(volatility.entries()) == RollingVolatility.WINDOW_MINUTES + 1


def test_the_last_price_of_a_minute_counts() -> None:
    volatility = RollingVolatility()
    for time_ms, price in ((0, 100), (MINUTE_MS, 150), (MINUTE_MS + 59_999, 101)):
        volatility.observe(time_ms, price)
    assert volatility.volatility_ppm(MINUTE_MS + 59_999) == 10_000


@given(st.integers(0, 10**40))
def test_root_floor_is_the_largest_root(square: int) -> None:
    root = root_floor(square)
    assert root * root <= square < (root + 1) ** 2
