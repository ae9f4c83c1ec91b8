"""Text and integers, divisions, and the rolling peak."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.core import units
from delever.core.market.rolling_windows import RollingPeak
from table import Row, cases

integers = st.integers(-(10**30) + 1, 10**30 - 1)  # what is told has up to 30 digits
nonzero = integers.filter(bool)
int64s = st.integers(-(2**62) + 1, 2**62 - 1)


@pytest.mark.parametrize("row", cases("numbers.txt"))
def test_number(row: Row) -> None:
    number = units.parse_decimal(row["text"])
    if number is None:
        assert row.expected == {"scaled": "none", "steps": "none"}
        return
    whole, count = units.scaled(number, 2), units.steps(number, (25, 2))
    shown = {"scaled": whole, "steps": count}
    assert {k: "" if v is None else str(v) for k, v in shown.items()} == row.expected


@given(integers, st.integers(0, 20))
def test_formatted_is_parsed_to_the_same(amount: int, decimals: int) -> None:
    number = units.parse_decimal(units.format_scaled(amount, decimals))
    assert number is not None
    assert units.scaled(number, decimals) == amount
    assert Fraction(units.format_scaled(amount, decimals)) == Fraction(amount, 10**decimals)


@given(st.text(max_size=8) | st.from_regex(r"[+-]?\d{1,30}(\.\d{1,30})?", fullmatch=True))
def test_parsed_is_what_a_fraction_says(text: str) -> None:
    number = units.parse_decimal(text)
    if number is not None:
        assert Fraction(number[0], 10 ** number[1]) == Fraction(text)
        assert text.isascii()


@given(integers, nonzero)
def test_divisions_round_as_they_are_named(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    low, high = (units.div_floor(numerator, denominator), units.div_ceil(numerator, denominator))
    assert low <= exact <= high
    assert high - low == (0 if exact.denominator == 1 else 1)
    nearest = units.div_nearest(numerator, denominator)
    assert abs(nearest - exact) <= Fraction(1, 2)
    if abs(nearest - exact) == Fraction(1, 2):
        assert abs(nearest) > abs(exact)


@given(st.lists(int64s, min_size=1, max_size=9), st.integers(1, 2**40))
def test_divisions_of_arrays_are_those_of_their_elements(
    numerators: list[int], denominator: int
) -> None:
    column = np.array(numerators)
    for divide in (units.div_floor, units.div_ceil):
        alone = [divide(numerator, denominator) for numerator in numerators]
        assert divide(column, denominator).tolist() == alone


@given(st.integers(0, 2**62 - 1), st.integers(0, units.PPM))
def test_a_rate_is_applied_rounded_up_without_leaving_int64(amount: int, rate_ppm: int) -> None:
    exact = -(-amount * rate_ppm // units.PPM)
    assert units.scale_ppm(amount, rate_ppm) == exact
    assert units.scale_ppm(np.array([amount]), np.array([rate_ppm])).tolist() == [exact]


@given(integers, st.integers(0, 10**12), st.integers(1, 10**12))
def test_a_share_is_floored_and_all_parts_are_the_whole(amount: int, part: int, whole: int) -> None:
    part = min(part, whole)
    share = units.share_floor(amount, part, whole)
    assert share <= Fraction(amount * part, whole) < share + 1
    assert units.share_floor(amount, whole, whole) == amount


def test_ratios_are_to_nearest_and_0_where_undefined() -> None:
    assert [units.ratio_ppm(1, 3), units.ratio_ppm(-2, 3), units.ratio_ppm(5, 0)] == [
        333_333,
        -666_667,
        0,
    ]
    assert units.ratio(np.array([1, -1, 0]), np.array([4, 0, 0])).tolist() == [0.25, 0.0, 0.0]


@pytest.mark.parametrize("row", cases("peaks.txt"))
def test_peak(row: Row) -> None:
    rolling = RollingPeak(100)
    for text in row["values"].split(","):
        value, _, from_ms = text.partition("@")
        rolling.observe(int(from_ms), int(value))
    assert str(rolling.peak(int(row["now"]))) == row["peak"]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 30), st.integers(-4, 4), st.sampled_from(["set", "set", "shift", "ask"])
        ),
        min_size=12,
        max_size=40,
    ),
    st.integers(1, 60),
)
def test_a_peak_is_the_largest_value_that_any_interval_of_the_window_held(
    steps: list[tuple[int, int, str]], window_ms: int
) -> None:
    """CORE-10: against all intervals ever, kept in a list."""
    rolling, now = RollingPeak(window_ms), 0
    held: list[list[float]] = []
    for pause, value, what in steps:
        now += pause
        if what == "set":
            rolling.observe(now, value)
            if held:
                held[-1][2] = now
            held.append([value, now, float("inf")])
        elif what == "shift":
            rolling.shift(value)
            held = [[old + value, start, end] for old, start, end in held]
        else:
            rolling = RollingPeak(window_ms, rolling.entries())
        inside = [old for old, _, end in held if end >= now - window_ms]
        assert rolling.peak(now, -99) == (max(inside) if inside else -99)
    assert len(rolling.entries()) <= len(held)


def test_a_peak_started_again_has_no_past() -> None:
    rolling = RollingPeak(100, [(7, -1)])
    rolling.clear()
    assert rolling.peak(0, default=3) == 3
