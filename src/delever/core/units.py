"""Money, quantity and price as integers, and every division of them.

`Cash` counts the smallest unit of a settle asset (10^-8 unless the asset defines another), `Lots`
the smallest tradable quantity of a contract, `Ticks` the smallest price step. Decimal text becomes
an integer here and nowhere else; a number without an exact integer is rejected, never rounded.
"""

import re
from collections.abc import Iterable
from fractions import Fraction
from math import gcd
from typing import Any, NewType, TypeVar, cast

import numpy as np
import numpy.typing as npt

Cash = NewType("Cash", int)
Lots = NewType("Lots", int)
Ticks = NewType("Ticks", int)

Mark = int | Fraction
"""A mark in ticks: an integer on the tick grid, an exact fraction of a tick between two ticks."""

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

MARK_DECIMALS = 10
"""Decimals that a mark may have, whatever its contract's tick; venues publish up to ten."""

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


MAX_COLUMN_DIGITS = 18
"""Digits up to which decimals are parsed as a column: any number of them fits int64."""


def parse_decimals(texts: Iterable[str | int]) -> tuple[Ints, Ints] | None:
    """Return the mantissas and decimals of plain, unsigned decimals, as `parse_decimal` does.

    None where one of them is signed, no plain decimal, or has more than `MAX_COLUMN_DIGITS`.

    >>> mantissas, decimals = parse_decimals(["10.50", 7])
    >>> mantissas.tolist(), decimals.tolist()
    ([1050, 7], [2, 0])
    >>> parse_decimals(["10.50", "1e3"])
    """
    words = [text if isinstance(text, str) else str(text) for text in texts]
    line = ",".join(words).encode("utf-8", "surrogatepass")
    if line.translate(None, b"0123456789.,"):
        return None
    characters = np.frombuffer(line, np.uint8)
    ends = np.append(np.flatnonzero(characters == ord(",")), len(line))
    if len(ends) != len(words):
        return None
    starts = np.append(0, ends[:-1] + 1)
    points = np.flatnonzero(characters == ord("."))
    pointed = np.searchsorted(ends, points)
    decimals, digits = np.zeros(len(ends), np.int64), ends - starts
    decimals[pointed] = ends[pointed] - points - 1
    digits[pointed] -= 1
    are_alone = (np.diff(pointed) > 0).all() and (points > starts[pointed]).all()
    if not are_alone or not decimals[pointed].all() or not _within(digits, 1, MAX_COLUMN_DIGITS):
        return None
    return np.fromstring(line.replace(b".", b""), np.int64, sep=","), decimals


def _within(column: Ints, least: int, most: int) -> bool:
    return bool(least <= column.min(initial=most) and column.max(initial=least) <= most)


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


def long_integers_as_text(value: Any) -> Any:
    """Return a value of mappings, sequences and scalars with integers beyond 64 bits as text.

    MessagePack has no such integers; totals and funds have no bound.

    >>> long_integers_as_text({"total": 2**64, "size": 1})
    {'total': '18446744073709551616', 'size': 1}
    """
    if isinstance(value, dict):
        return {key: long_integers_as_text(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [long_integers_as_text(inner) for inner in value]
    if isinstance(value, int) and not -INT64_LIMIT <= value < 2 * INT64_LIMIT:
        return str(value)
    return value


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


def floor_ticks(mark: Mark, part_ppm: int = PPM) -> Ticks:
    """Return a mark, or a part of it, in whole ticks, rounded down.

    >>> floor_ticks(Fraction(41047590, 10000)), floor_ticks(4105, 990_000)
    (4104, 4063)
    """
    return Ticks(mark * part_ppm // PPM)


def ceil_ticks(mark: Mark, part_ppm: int = PPM) -> Ticks:
    """Return a mark, or a part of it, in whole ticks, rounded up."""
    return Ticks(-(-mark * part_ppm // PPM))


def pack_mark(mark: Mark) -> int | str:
    """Return a mark as stored: an integer, or the text of a fraction."""
    return mark if isinstance(mark, int) else str(mark)


def unpack_mark(stored: int | str) -> Mark:
    """Return a mark that `pack_mark` has packed."""
    return Fraction(stored) if isinstance(stored, str) else stored


def scale_mark(mark: Mark, ratio: Ratio) -> Mark:
    """Return a mark times a ratio, as an integer where it is whole.

    >>> scale_mark(3, (5, 2)), scale_mark(Fraction(15, 2), (2, 5))
    (Fraction(15, 2), 3)
    """
    scaled_mark = Fraction(mark * ratio[0], ratio[1])
    return int(scaled_mark) if scaled_mark.denominator == 1 else scaled_mark


def exact_ratio(numerator: Mark, denominator: Mark) -> Fraction:
    """Return numerator / denominator, exactly; the denominator is not 0.

    >>> exact_ratio(900, 1000), exact_ratio(3, Fraction(3, 2))
    (Fraction(9, 10), Fraction(2, 1))
    """
    return Fraction(numerator) / denominator


def mixed_fraction(numerator: int, denominator: int) -> tuple[int, int, int]:
    """Return (whole, rest, divisor) with numerator / denominator = whole + rest / divisor.

    The rest is not negative and the divisor is the smallest; both are 0 for an integer.

    >>> mixed_fraction(-7, 4), mixed_fraction(8, 4)
    ((-2, 1, 4), (2, 0, 0))
    """
    whole, rest = divmod(numerator, denominator)
    if not rest:
        return whole, 0, 0
    common = gcd(rest, denominator)
    return whole, rest // common, denominator // common


def divmod_floor(numerator: Ints, denominator: Ints) -> tuple[Ints, Ints]:
    """Return quotients rounded towards minus infinity, and what is left, elementwise."""
    return np.divmod(numerator, denominator)


def mixed_fractions(numerator: Ints, denominator: Ints) -> Ints:
    """Return (whole, rest, divisor) of each quotient as `mixed_fraction` does, a row each.

    >>> mixed_fractions(np.array([-7, 8]), np.array([4, 4])).tolist()
    [[-2, 1, 4], [2, 0, 0]]
    """
    whole, rest = np.divmod(numerator, denominator)
    common = np.gcd(rest, denominator)
    return np.stack([whole, rest // common, denominator // common * (rest > 0)], axis=1)


def mul_div_floor(column: Ints, factor: int, divisor: int) -> Ints:
    """Return column * factor / divisor rounded towards minus infinity; the product is exact.

    The product may leave int64: it is compared with an estimate of the quotient modulo 2^64. The
    divisor is positive, and below 2^50 wherever a quotient may exceed 2^51.

    >>> mul_div_floor(np.array([3 * 2**50, -1]), 2**40 - 1, 2**40).tolist()
    [3377699720524800, -1]
    """
    estimate: Ints = (column.astype(np.float64) * (factor / divisor)).astype(np.int64)
    rest = column * np.int64(factor) - estimate * np.int64(divisor)
    return estimate + div_floor(rest, divisor)


def div_nearest(numerator: Mark, denominator: Mark) -> int:
    """Return the quotient rounded to the nearest integer, halves away from zero."""
    sign = -1 if (numerator < 0) != (denominator < 0) else 1
    top = -numerator if numerator < 0 else numerator
    bottom = -denominator if denominator < 0 else denominator
    return sign * int((2 * top + bottom) // (2 * bottom))


def share_floor(amount: int, part: int, whole: int) -> int:
    """Return amount * part / whole rounded towards minus infinity; the product is exact."""
    return amount * part // whole


SHARED_AMOUNT_LIMIT, SHARED_WHOLE_LIMIT = 2**50, 2**61
"""Amounts and wholes below these are shared in int64: an estimated quotient is at most 2 off."""


def share_floors(amount: int, parts: Ints, whole: int) -> tuple[Ints, Ints]:
    """Return amount * part / whole rounded towards minus infinity, and the remainders, exactly.

    Parts are at least 0 and at most the whole. Products may leave int64: quotients are estimated
    and corrected modulo 2^64, as in `mul_div_floor`.

    >>> floors, remainders = share_floors(10, np.array([1, 2, 4]), 7)
    >>> floors.tolist(), remainders.tolist()
    ([1, 2, 5], [3, 6, 5])
    """
    quotient: Ints = (parts.astype(np.float64) * (amount / whole)).astype(np.int64)
    remainder = parts * np.int64(amount) - quotient * np.int64(whole)
    correction = div_floor(remainder, whole)
    return quotient + correction, remainder - correction * np.int64(whole)


def mul_shift_floor(column: Ints, factor: int, shift: int) -> Ints:
    """Return column * factor / 2^shift rounded down, at most 2^62; the product is exact.

    Column and factor are at least 0 and below 2^63; the shift is from 0 to 126.

    >>> mul_shift_floor(np.array([3 * 2**50, 5]), 2**62 + 1, 62).tolist()
    [3377699720527872, 5]
    """
    low_bits = np.uint64(0xFFFFFFFF)
    left, right = column.astype(np.uint64), (np.uint64(factor >> 32), np.uint64(factor) & low_bits)
    high, low = left >> np.uint64(32), left & low_bits
    bottom, cross = low * right[1], high * right[1]
    middle = low * right[0] + (bottom >> np.uint64(32)) + (cross & low_bits)
    top = high * right[0] + (middle >> np.uint64(32)) + (cross >> np.uint64(32))
    bottom = (middle << np.uint64(32)) | (bottom & low_bits)
    if shift >= 64:
        shifted = top >> np.uint64(shift - 64)
    else:
        upper = top << np.uint64(64 - shift) if shift else np.zeros_like(top)
        fits = top >> np.uint64(shift) == 0
        shifted = np.where(fits, upper | (bottom >> np.uint64(shift)), COLUMN_LIMIT)
    floored: Ints = np.minimum(shifted, np.uint64(COLUMN_LIMIT)).astype(np.int64)
    return floored


SPLIT_LIMIT = 2**31
"""Denominators below this are divided in int64: products of two remainders fit."""


def linear_floor(amount: IntLike, numerator: int, constant: int, denominator: int) -> IntLike:
    """Return (amount * numerator + constant) / denominator, floored once; elementwise on arrays.

    Only the result must fit int64: products are split, or computed without bound where a split
    does not fit.

    >>> linear_floor(200, 9_801, 0, 10_000)
    196
    """
    if isinstance(amount, int):
        return div_floor(amount * numerator + constant, denominator)
    if (numerator, constant, denominator) == (1, 0, 1):
        return amount
    largest = max(abs(int(amount.max(initial=0))), abs(int(amount.min(initial=0))))
    fits = max(numerator, denominator) < COLUMN_LIMIT
    if fits and largest * numerator + abs(constant) < COLUMN_LIMIT:
        return (amount * numerator + constant) // denominator
    if not fits or denominator >= SPLIT_LIMIT:
        exact = (amount.astype(object) * numerator + constant) // denominator
        return cast("IntLike", exact.astype(np.int64))
    quotient = amount // denominator
    remainder = amount - quotient * denominator
    (whole, part), (base, rest) = divmod(numerator, denominator), divmod(constant, denominator)
    fraction = (remainder * part + rest) // denominator
    return cast("IntLike", quotient * numerator + remainder * whole + base + fraction)


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
