"""Money, quantity and price as integers, and every division of them.

`Cash` counts the smallest unit of a settle asset (10^-8 unless the asset defines another), `Lots`
the smallest tradable quantity of a contract, `Ticks` the smallest price step. Decimal text becomes
an integer here and nowhere else; a number without an exact integer is rejected, never rounded.
"""

import re
from math import gcd
from typing import Any, NewType, TypeVar, cast

import numpy as np
import numpy.typing as npt

Cash = NewType("Cash", int)
Lots = NewType("Lots", int)
Ticks = NewType("Ticks", int)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
IntLike = TypeVar("IntLike", int, Ints)

Ratio = tuple[int, int]
"""Numerator and denominator, without a common divisor."""

PPM = 1_000_000
"""Ratios are integers in parts per million: 0.30 is 300,000."""

MAX_RATIO_PPM = 10**15
"""Upper bound, in ppm, on the absolute value of a reported ratio: exact in any JSON reader."""

COLUMN_LIMIT = 2**62
"""Every product and every sum of int64 columns stays inside (-COLUMN_LIMIT, COLUMN_LIMIT)."""

INT64_LIMIT = 2**63
"""Every integer of an event is inside [-INT64_LIMIT, INT64_LIMIT)."""

_DECIMAL = re.compile(r"([+-]?\d{1,30})(?:\.(\d{1,30}))?", re.ASCII)


# --- decimal text ---


def parse_decimal(text: str | int) -> tuple[int, int] | None:
    """Return (mantissa, decimals) of a plain decimal, or None where the text is not one.

    The number is mantissa * 10^-decimals. Exponents, NaN, infinity, spaces, underscores and a bare
    point are not plain decimals.

    >>> parse_decimal("-10.50")
    (-1050, 2)
    """
    match = _DECIMAL.fullmatch(str(text))
    if match is None:
        return None
    whole, fraction = match.groups("")
    return int(whole + fraction), len(fraction)


def scaled(number: tuple[int, int], decimals: int) -> int | None:
    """Return a decimal in units of 10^-decimals, or None where the result is not whole.

    >>> scaled((1050, 2), 8)
    1050000000
    """
    mantissa, own_decimals = number
    if own_decimals <= decimals:
        return int(mantissa * 10 ** (decimals - own_decimals))
    quotient, remainder = divmod(mantissa, 10 ** (own_decimals - decimals))
    return None if remainder else quotient


def steps(number: tuple[int, int], step: tuple[int, int]) -> int | None:
    """Return a decimal divided by a step (a tick or a lot), or None where it is no multiple."""
    amount, unit = number[0] * int(10 ** step[1]), step[0] * int(10 ** number[1])
    if unit == 0 or amount % unit:
        return None
    return amount // unit


def format_scaled(amount: int, decimals: int) -> str:
    """Return amount * 10^-decimals as plain text without trailing zeros.

    >>> format_scaled(1050, 2)
    '10.5'
    """
    sign = "-" if amount < 0 else ""
    whole, fraction = divmod(abs(amount), 10**decimals)
    digits = f"{fraction:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def ratio_of(number: tuple[int, int], unit: tuple[int, int]) -> Ratio:
    """Return a decimal divided by another, in lowest terms.

    >>> ratio_of((10, 2), (25, 3))
    (4, 1)
    """
    top, bottom = number[0] * int(10 ** unit[1]), unit[0] * int(10 ** number[1])
    divisor = gcd(top, bottom)
    return top // divisor, bottom // divisor


# --- sums ---


def exact_sum(column: Ints, max_abs: int = COLUMN_LIMIT) -> int:
    """Return the exact sum of an int64 column, of any size.

    `max_abs` is an upper bound on the absolute value of each entry: a small one makes it faster.
    """
    if max_abs * len(column) < COLUMN_LIMIT:
        return int(column.sum())
    return (int((column >> 32).sum()) << 32) + int((column & 0xFFFFFFFF).sum())


def clamp_int64(amount: int) -> int:
    """Return an amount clamped to int64, for an event: sums over accounts may exceed it."""
    return min(max(amount, -INT64_LIMIT), INT64_LIMIT - 1)


# --- divisions ---


def div_floor(numerator: IntLike, denominator: Any) -> IntLike:
    """Return the quotient rounded towards minus infinity; elementwise on arrays."""
    return cast("IntLike", numerator // denominator)


def div_ceil(numerator: IntLike, denominator: Any) -> IntLike:
    """Return the quotient rounded towards plus infinity; elementwise on arrays."""
    return cast("IntLike", -(-numerator // denominator))


def div_nearest(numerator: int, denominator: int) -> int:
    """Return the quotient rounded to the nearest integer, halves away from zero."""
    sign = -1 if (numerator < 0) != (denominator < 0) else 1
    numerator, denominator = abs(numerator), abs(denominator)
    return sign * ((2 * numerator + denominator) // (2 * denominator))


def share_floor(amount: int, part: int, whole: int) -> int:
    """Return amount * part / whole rounded towards minus infinity; the product is exact."""
    return amount * part // whole


def ratio_ppm(numerator: int, denominator: int) -> int:
    """Return numerator / denominator in ppm, rounded to nearest; 0 where the denominator is 0.

    The result is clamped to +-MAX_RATIO_PPM, because a denominator may be a pool's last unit.
    """
    if denominator == 0:
        return 0
    ppm = div_nearest(numerator * PPM, denominator)
    return min(max(ppm, -MAX_RATIO_PPM), MAX_RATIO_PPM)


def scale_ppm(amount: IntLike, rate_ppm: Any) -> IntLike:
    """Return amount * rate rounded up; the amount is not negative.

    The amount is split so that no intermediate product leaves int64.
    """
    millions = amount // PPM
    return cast(
        "IntLike", millions * rate_ppm + div_ceil((amount - millions * PPM) * rate_ppm, PPM)
    )


def ratio(numerator: Ints | Floats, denominator: Ints | Floats) -> Floats:
    """Return numerator / denominator as float64, elementwise; 0 where the denominator is 0."""
    top = numerator.astype(np.float64)
    bottom = denominator.astype(np.float64)
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom != 0)
