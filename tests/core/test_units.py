"""Decimal text and integers; divisions and their rounding."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.core import units
from table import Row, cases

integers = st.integers(-(10**30) + 1, 10**30 - 1)  # submitted numbers have up to 30 digits
nonzero = integers.filter(bool)
int64s = st.integers(-(2**62) + 1, 2**62 - 1)


@pytest.mark.parametrize("row", cases("numbers.txt"))
def test_decimal_text_is_parsed_exactly_or_not_at_all(row: Row) -> None:
    number = units.parse_decimal(row["text"])
    if number is None:
        assert row.expected == {"scaled": "none", "steps": "none"}
        return
    whole, count = units.scaled(number, 2), units.steps(number, (25, 2))
    results = {"scaled": whole, "steps": count}
    assert {k: "" if v is None else str(v) for k, v in results.items()} == row.expected


@given(integers, st.integers(0, 20))
def test_a_formatted_number_parses_to_the_same_number(amount: int, decimals: int) -> None:
    number = units.parse_decimal(units.format_scaled(amount, decimals))
    assert number is not None
    assert units.scaled(number, decimals) == amount
    assert Fraction(units.format_scaled(amount, decimals)) == Fraction(amount, 10**decimals)


@given(st.text(max_size=8) | st.from_regex(r"[+-]?\d{1,30}(\.\d{1,30})?", fullmatch=True))
def test_a_parsed_number_equals_its_fraction(text: str) -> None:
    number = units.parse_decimal(text)
    if number is not None:
        assert Fraction(number[0], 10 ** number[1]) == Fraction(text)
        assert text.isascii()


@given(integers, nonzero)
def test_divisions_round_in_the_direction_of_their_name(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    low, high = (units.div_floor(numerator, denominator), units.div_ceil(numerator, denominator))
    assert low <= exact <= high
    assert high - low == (0 if exact.denominator == 1 else 1)
    nearest = units.div_nearest(numerator, denominator)
    assert abs(nearest - exact) <= Fraction(1, 2)
    if abs(nearest - exact) == Fraction(1, 2):
        assert abs(nearest) > abs(exact)


@given(st.lists(int64s, min_size=1, max_size=9), st.integers(1, 2**40))
def test_divisions_of_arrays_are_elementwise(numerators: list[int], denominator: int) -> None:
    column = np.array(numerators)
    for divide in (units.div_floor, units.div_ceil):
        scalars = [divide(numerator, denominator) for numerator in numerators]
        assert divide(column, denominator).tolist() == scalars


@given(st.integers(0, 2**62 - 1), st.integers(0, units.PPM))
def test_a_rate_is_applied_rounded_up_inside_int64(amount: int, rate_ppm: int) -> None:
    exact = -(-amount * rate_ppm // units.PPM)
    assert units.scale_ppm(amount, rate_ppm) == exact
    assert units.scale_ppm(np.array([amount]), np.array([rate_ppm])).tolist() == [exact]


@given(integers, st.integers(0, 10**12), st.integers(1, 10**12))
def test_a_share_is_floored_and_the_whole_is_exact(amount: int, part: int, whole: int) -> None:
    part = min(part, whole)
    share = units.share_floor(amount, part, whole)
    assert share <= Fraction(amount * part, whole) < share + 1
    assert units.share_floor(amount, whole, whole) == amount


def test_ratios_are_rounded_to_nearest_and_0_over_0_is_0() -> None:
    assert [units.ratio_ppm(1, 3), units.ratio_ppm(-2, 3), units.ratio_ppm(5, 0)] == [
        333_333,
        -666_667,
        0,
    ]
    assert units.ratio(np.array([1, -1, 0]), np.array([4, 0, 0])).tolist() == [0.25, 0.0, 0.0]


def test_reported_ratios_and_amounts_are_clamped() -> None:
    assert units.ratio_ppm(10**30, 1) == units.MAX_RATIO_PPM
    assert units.ratio_ppm(-(10**30), 1) == -units.MAX_RATIO_PPM
    assert [units.clamp_int64(amount) for amount in (2**63, -(2**63) - 1, 7)] == [
        2**63 - 1,
        -(2**63),
        7,
    ]


@given(st.lists(int64s, max_size=9))
def test_a_sum_of_int64_is_exact(column: list[int]) -> None:
    assert units.exact_sum(np.array(column, np.int64)) == sum(column)
    small = [number % 1000 for number in column]
    assert units.exact_sum(np.array(small, np.int64), 1000) == sum(small)
