"""Money, quantity and price as integers, and the only places where they are divided.

`Cash` counts the smallest unit of a settle asset (10^-8 unless the asset says otherwise), `Lots`
the smallest tradable quantity of a contract, `Ticks` the smallest step of its price. Text becomes
an integer here and nowhere else; what is not exactly representable is rejected, never rounded.
"""

import re
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

PPM = 1_000_000
"""Ratios are integers in parts per million: 0.30 is 300,000."""

MOST_PPM = 10**15
"""No ratio is told beyond a thousand million times: any number is exact in any JSON reader."""

LIMIT = 2**62
"""Every product and every sum of int64 columns stays inside (-LIMIT, LIMIT)."""

INT64 = 2**63
"""What an event tells is at least -INT64 and below INT64."""

_DECIMAL = re.compile(r"([+-]?\d{1,30})(?:\.(\d{1,30}))?", re.ASCII)


def parse_decimal(text: str | int) -> tuple[int, int] | None:
    """Return (mantissa, decimals) such that the number is mantissa * 10^-decimals, or None.

    Plain decimals only: no exponent, NaN, infinity, spaces, underscores or bare point.
    """
    match = _DECIMAL.fullmatch(str(text))
    if match is None:
        return None
    whole, fraction = match.groups("")
    return int(whole + fraction), len(fraction)


def scaled(number: tuple[int, int], decimals: int) -> int | None:
    """Return the number in units of 10^-decimals, or None where it is not a whole number."""
    mantissa, own_decimals = number
    if own_decimals <= decimals:
        return int(mantissa * 10 ** (decimals - own_decimals))
    quotient, remainder = divmod(mantissa, 10 ** (own_decimals - decimals))
    return None if remainder else quotient


def steps(number: tuple[int, int], step: tuple[int, int]) -> int | None:
    """Return how many steps make the number, or None where it is not a multiple of the step."""
    amount, unit = number[0] * int(10 ** step[1]), step[0] * int(10 ** number[1])
    if unit == 0 or amount % unit:
        return None
    return amount // unit


def format_scaled(amount: int, decimals: int) -> str:
    """Return amount * 10^-decimals as plain text, without trailing zeros: (1050, 2) -> '10.5'."""
    sign = "-" if amount < 0 else ""
    whole, fraction = divmod(abs(amount), 10**decimals)
    digits = f"{fraction:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def exact_sum(column: Ints, largest: int = LIMIT) -> int:
    """Return the sum of a column of int64, exact at any size; none of it is beyond `largest`."""
    if largest * len(column) < LIMIT:
        return int(column.sum())
    return (int((column >> 32).sum()) << 32) + int((column & 0xFFFFFFFF).sum())


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


def root_floor(square: int) -> int:
    """Return the square root of a non-negative integer rounded down, exact at any size."""
    if square == 0:
        return 0
    root = 1 << (square.bit_length() + 1 >> 1)
    while (nearer := (root + square // root) >> 1) < root:
        root = nearer
    return root


def share_floor(amount: int, part: int, whole: int) -> int:
    """Return amount * part / whole rounded towards minus infinity, exact in between."""
    return amount * part // whole


def ratio_ppm(numerator: int, denominator: int) -> int:
    """Return numerator / denominator in parts per million, to nearest; 0 where undefined.

    Beyond MOST_PPM it stands there: a denominator may be the last unit of a pool.
    """
    if denominator == 0:
        return 0
    return min(max(div_nearest(numerator * PPM, denominator), -MOST_PPM), MOST_PPM)


def scale_ppm(amount: IntLike, rate_ppm: Any) -> IntLike:
    """Return ceil(amount * rate) for a non-negative amount, without leaving int64 on the way."""
    millions = amount // PPM
    return cast(
        "IntLike", millions * rate_ppm + div_ceil((amount - millions * PPM) * rate_ppm, PPM)
    )


def told(amount: int) -> int:
    """Return an amount as an event tells it: what many accounts add up to may be beyond int64."""
    return min(max(amount, -INT64), INT64 - 1)


def ratio(numerator: Ints | Floats, denominator: Ints | Floats) -> Floats:
    """Return numerator / denominator as float64, elementwise; 0 where the denominator is 0."""
    top = numerator.astype(np.float64)
    bottom = denominator.astype(np.float64)
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom != 0)
