"""Contract terms: value of a quantity at a price, price at a value, margin tiers.

A value is signed like its position. Linear: lots * ticks * factor, positive for a long. Inverse:
-lots * factor / ticks, floored, negative for a long and rising towards zero with the price. In both
kinds PnL is value(mark) - cost, and a higher value is better for the account. A mark may lie
between two ticks: a value at it is computed exactly and floored once, against the account.
"""

from bisect import bisect_right
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from itertools import accumulate
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from delever.core.market.validation import (
    Rejection,
    read_cash,
    read_decimal,
    read_scaled,
    reject_unless,
)
from delever.core.messages import Amount, ContractKind, DefineContract, Reason, Side
from delever.core.units import (
    COLUMN_LIMIT,
    MARK_DECIMALS,
    PPM,
    IntLike,
    Ints,
    Lots,
    Mark,
    Ratio,
    Ticks,
    div_ceil,
    div_floor,
    div_nearest,
    floor_ticks,
    mixed_fraction,
    mul_div_floor,
    parse_decimal,
    ratio_of,
    scale_ppm,
    scaled,
    steps,
)

MAX_TICKS = 10**12
"""Upper bound on prices, in ticks; bankruptcy prices are clamped to it."""


MAX_MARGIN_TIERS = 1_000
"""Upper bound on a contract's margin tiers; venues publish up to about a hundred."""


class FormerUnits(NamedTuple):
    """The units of a contract's integers in events up to a sequence, before an amendment."""

    until_sequence: int
    tick: tuple[int, int]
    lot: tuple[int, int]
    factor: int
    price_step: int

    def fields(self) -> dict[str, Any]:
        """Return the fields of terms that the units replace."""
        return {name: value for name, value in self._asdict().items() if name != "until_sequence"}


@dataclass(frozen=True, slots=True)
class ContractTerms:
    """A contract's terms in exact integers.

    `tick`, `lot` and `multiplier` are decimals as (mantissa, decimals). `tick` is the unit of
    prices; trades and ADL fills are on every `price_step`-th: 1, or more where a coarser tick was
    amended and the book has prices between ticks. `factor` is Cash per lot
    and tick (linear) or Cash * ticks per lot (inverse); `cash_unit` is one whole unit of the settle
    asset in Cash. `tier_rows` has three rows: the notional from which a tier applies (Cash), its
    maintenance rate (ppm), and the deduction that confines the rate to the notional above (Cash).
    `tier_bytes` are the same as int64 bytes, for kernels. `former` are the units before each
    amendment of tick or lot, oldest first.
    """

    name: str
    kind: ContractKind
    linear: bool
    settle: str
    tick: tuple[int, int]
    lot: tuple[int, int]
    multiplier: tuple[int, int]
    factor: int
    cash_unit: int
    tier_bytes: bytes
    tier_rows: tuple[tuple[int, ...], ...]
    adl_exempt: bool
    price_step: int = 1
    former: tuple[FormerUnits, ...] = ()

    def at(self, sequence: int) -> "ContractTerms":
        """Return the terms with the units of the events of a sequence: those may be former ones."""
        for units in self.former:
            if sequence <= units.until_sequence:
                return replace(self, former=(), **units.fields())
        return self

    def amended_to(self, after: "ContractTerms", sequence: int) -> "ContractTerms":
        """Return new terms that also know the units of the events before a sequence."""
        if (self.tick, self.lot) == (after.tick, after.lot):
            return replace(after, former=self.former)
        units = FormerUnits(sequence - 1, self.tick, self.lot, self.factor, self.price_step)
        return replace(after, former=(*self.former, units))

    def __reduce__(self) -> tuple[type["ContractTerms"], tuple[object, ...]]:
        """Return what a copy takes, faster than a dataclass does by itself."""
        return ContractTerms, _fields_of(self)

    def value_cash(self, lots: IntLike, ticks: Mark) -> IntLike:
        """Return the value of signed lots at a price in Cash, floored where it is no integer."""
        if not isinstance(ticks, int):  # ten times faster than a test for Fraction
            return self._value_between_ticks(lots, ticks)
        if self.linear:
            return lots * (ticks * self.factor)
        return div_floor(-lots * self.factor, ticks)

    def value_factor(self, side: Side, ticks: Mark) -> tuple[int, int, int]:
        """Return (whole, rest, divisor) for kernels: a lot's value in Cash as a mixed fraction.

        The value of unsigned lots is lots * whole, plus lots * rest / divisor floored; divisor 0
        stands for no division.
        """
        signed, units, units_per_tick = side.sign * self.factor, ticks.numerator, ticks.denominator
        if self.linear and units_per_tick == 1:
            return signed * units, 0, 0
        if self.linear:
            return mixed_fraction(signed * units, units_per_tick)
        return mixed_fraction(-signed * units_per_tick, units)

    def _value_between_ticks(self, lots: IntLike, mark: Fraction) -> IntLike:
        whole, rest, divisor = self.value_factor(Side.LONG, mark)
        if not divisor:
            return lots * whole
        if isinstance(lots, np.ndarray):
            return lots * whole + mul_div_floor(lots, rest, divisor)
        return lots * whole + div_floor(lots * rest, divisor)

    @property
    def tiers(self) -> Ints:
        """The rows of `tier_rows` as a matrix."""
        numbers: Ints = np.frombuffer(self.tier_bytes, np.int64)
        return numbers.reshape(3, -1)

    @property
    def tier_from_cash(self) -> Ints:
        """The notional from which each tier applies, in Cash."""
        column: Ints = self.tiers[0]
        return column

    @property
    def tier_rate_ppm(self) -> Ints:
        """The maintenance margin rate of each tier in ppm."""
        column: Ints = self.tiers[1]
        return column

    @property
    def tier_deduction_cash(self) -> Ints:
        """The deduction of each tier in Cash."""
        column: Ints = self.tiers[2]
        return column

    def trade_cash(self, lots: int, ticks: Mark) -> int:
        """Return the value of a trade in Cash, equal for both sides except for the sign.

        It is the long side's value: the floor of an inverse contract is in favor of the short, by
        less than one unit.
        """
        value = self.value_cash(abs(lots), ticks)
        return value if lots > 0 else -value

    def price_at_value(self, signed_lots: int, target_cash: int) -> Ticks:
        """Return the least favorable price, on the tick, at which lots have at least a value.

        Rounded in favor of the account: up for a long, down for a short. Clamped to 1..MAX_TICKS
        where no such price exists (a margin larger than the position can lose).
        """
        long, step = signed_lots > 0, self.price_step
        divide = div_ceil if long else div_floor
        last = MAX_TICKS - MAX_TICKS % step
        if self.linear:
            ticks = divide(target_cash, signed_lots * self.factor * step) * step
        elif target_cash == 0 or (target_cash < 0) != long:  # never reached
            ticks = last
        else:
            ticks = divide(-signed_lots * self.factor, target_cash * step) * step
        return Ticks(min(max(ticks, step), last))

    def on_tick(self, ticks: int, *, up: bool) -> Ticks:
        """Return a price rounded up or down to the tick, and positive."""
        step = self.price_step
        divide = div_ceil if up else div_floor
        return Ticks(max(divide(ticks, step) * step, step))

    def maintenance_cash(self, notional_cash: Ints) -> Ints:
        """Return the maintenance margin of each notional by its tier, rounded up, in Cash."""
        tier = np.searchsorted(self.tier_from_cash, notional_cash, side="right") - 1
        margin = scale_ppm(notional_cash, self.tier_rate_ppm[tier])
        return margin - self.tier_deduction_cash[tier]

    def maintenance_of(self, notional_cash: int) -> int:
        """Return the maintenance margin of one notional in Cash, as `maintenance_cash` does."""
        starts, rates, deductions = self.tier_rows
        tier = bisect_right(starts, notional_cash) - 1
        return scale_ppm(notional_cash, rates[tier]) - deductions[tier]

    def value_at(self, signed_lots: int, price: tuple[int, int]) -> int:
        """Return the value of signed lots at a price of any precision in Cash, rounded down."""
        mantissa, decimals = price
        tick_mantissa, tick_decimals = self.tick
        top, bottom = mantissa * 10**tick_decimals, tick_mantissa * 10**decimals
        if self.linear:
            return int(div_floor(signed_lots * self.factor * top, bottom))
        return int(div_floor(-signed_lots * self.factor * bottom, top))

    def cost_cash(self, side: Side, lots: int, entry: tuple[int, int]) -> int:
        """Return the signed cost of lots at an entry price of any precision, rounded to nearest."""
        mantissa, decimals = entry
        tick_mantissa, tick_decimals = self.tick
        top, bottom = mantissa * 10**tick_decimals, tick_mantissa * 10**decimals
        if self.linear:
            return side.sign * div_nearest(lots * self.factor * top, bottom)
        return -side.sign * div_nearest(lots * self.factor * bottom, top)

    def cost_sign(self, side: Side) -> int:
        """Return the sign of costs and values of a side."""
        return side.sign if self.linear else -side.sign

    def read_lots(self, field: str, quantity: Amount) -> Lots:
        """Return a signed quantity in lots; reject one that is no multiple of the lot."""
        lots = steps(read_decimal(field, quantity), self.lot)
        if lots is None:
            raise Rejection(field, quantity, Reason.INVALID_LOT_MULTIPLE)
        if abs(lots) * self.factor >= COLUMN_LIMIT:
            raise Rejection(field, quantity, Reason.EXCEEDS_NUMERIC_RANGE)
        return Lots(lots)

    def read_ticks(self, field: str, price: Amount) -> Ticks:
        """Return a price in ticks; reject one that is not positive or no multiple of the tick."""
        number = read_decimal(field, price)
        if number[0] <= 0:
            raise Rejection(field, price, Reason.NOT_POSITIVE)
        ticks = steps(number, self.tick)
        if ticks is None or ticks % self.price_step:
            raise Rejection(field, price, Reason.INVALID_TICK_MULTIPLE)
        if ticks > MAX_TICKS:
            raise Rejection(field, price, Reason.EXCEEDS_NUMERIC_RANGE)
        return Ticks(ticks)

    def read_mark(self, field: str, price: Amount) -> Mark:
        """Return a mark in ticks; it may lie between two ticks, with up to `mark_decimals`."""
        number = read_decimal(field, price)
        if number[0] <= 0:
            raise Rejection(field, price, Reason.NOT_POSITIVE)
        mark: Mark | None = steps(number, self.tick)
        if mark is None:
            units = scaled(number, self.mark_decimals)
            if units is None:
                raise Rejection(field, price, Reason.TOO_MANY_DECIMALS)
            mark = Fraction(units, self._tick_units)
        if mark > MAX_TICKS or not (type(mark) is int or self.divides_exactly(mark)):
            raise Rejection(field, price, Reason.EXCEEDS_NUMERIC_RANGE)
        return mark

    def whole_ticks(self, price: Amount) -> int:
        """Return a mark on the tick grid in ticks; 0 for any other, which `read_mark` reads."""
        number = parse_decimal(price)
        ticks = None if number is None else steps(number, self.tick)
        if ticks is None or not 0 < ticks <= MAX_TICKS or not self.fits_int64(1, ticks):
            return 0
        return ticks

    def divides_exactly(self, mark: Mark) -> bool:
        """Return whether `mul_div_floor` is exact at a mark, for any lots in range."""
        if isinstance(mark, int):
            return True
        return self.value_factor(Side.LONG, mark)[2] * self._max_error < COLUMN_LIMIT

    @property
    def _max_error(self) -> int:
        """Upper bound on the error of the estimate in `mul_div_floor`, for any lots in range."""
        return 2 + (div_floor(COLUMN_LIMIT, self.factor) >> 51)

    @property
    def column_units(self) -> int:
        """One tick in units of a mark's last decimal, if products with it fit int64; otherwise 0.

        Marks of inverse contracts between ticks are never valued in columns of marks.
        """
        units = self._tick_units
        largest = max(self.factor, self._max_error) if self.linear else 1
        return units if units * largest < COLUMN_LIMIT else 0

    @property
    def mark_decimals(self) -> int:
        """The decimals that a mark may have: ten, or those of the tick where it has more."""
        return max(MARK_DECIMALS, self.tick[1])

    @property
    def _tick_units(self) -> int:
        """One tick in units of the last decimal that a mark may have."""
        return int(self.tick[0] * 10 ** (self.mark_decimals - self.tick[1]))

    def decimal_of(self, ticks: Mark) -> tuple[int, int]:
        """Return a price or a mark as (mantissa, decimals), exactly."""
        if isinstance(ticks, Fraction):
            return int(ticks * self._tick_units), self.mark_decimals
        return ticks * self.tick[0], self.tick[1]

    def split_mark(self, mark: Mark) -> tuple[int, int]:
        """Return a mark as whole ticks, rounded down, and what it is above them.

        The second number is in units of the last of the mark's decimals (10^-`mark_decimals`).
        """
        if isinstance(mark, int):
            return mark, 0
        ticks = floor_ticks(mark)
        return ticks, int((mark - ticks) * self._tick_units)

    def join_mark(self, ticks: int, fraction: int) -> Mark:
        """Return the mark that `split_mark` splits."""
        return ticks + Fraction(fraction, self._tick_units) if fraction else ticks

    def max_lot_value(self, mark: Mark) -> int:
        """Return an upper bound, in Cash, on a lot's value at a mark; for inverse at 1 tick."""
        if self.linear:
            value = self.factor * mark
            return value if isinstance(value, int) else div_ceil(value.numerator, value.denominator)
        if mark >= 1 or mark == 0:
            return self.factor
        return div_ceil(self.factor * mark.denominator, mark.numerator)

    def max_ticks(self, lots: int) -> Ticks:
        """Return the highest price, in ticks, at which the value of lots fits the numeric range."""
        return Ticks(div_floor(COLUMN_LIMIT, lots * self.factor) if self.linear else MAX_TICKS)

    def fits_int64(self, lots: int, ticks: Mark) -> bool:
        """Return whether the value of lots at a price, and any margin of it, stay inside int64."""
        size = abs(lots) * self.factor
        return size < COLUMN_LIMIT and (not self.linear or size * ticks < COLUMN_LIMIT)


_fields_of = attrgetter(*(field.name for field in fields(ContractTerms)))


def terms_of(definition: DefineContract, cash_decimals: int, price_unit: str = "") -> ContractTerms:
    """Return the exact terms of a contract definition, or reject it.

    `price_unit` is a divisor of the tick as the unit of prices; without it the tick is.
    """
    numbers = {}
    for field in ("tick_size", "lot_size", "multiplier"):
        number = read_decimal(field, getattr(definition, field))
        positive = number[0] > 0
        reject_unless(positive, field, getattr(definition, field), Reason.NOT_POSITIVE)
        numbers[field] = number
    unit = read_decimal("tick_size", price_unit) if price_unit else numbers["tick_size"]
    price_step = steps(numbers["tick_size"], unit) or 1
    numbers["tick_size"] = unit
    factor = _factor(definition.kind, cash_decimals, **numbers)
    if factor is None:
        raise Rejection("tick_size", definition.tick_size, Reason.FRACTIONAL_LOT_VALUE)
    tiers = _tiers(definition, cash_decimals)
    return ContractTerms(
        name=definition.contract,
        kind=definition.kind,
        linear=definition.kind is ContractKind.LINEAR,
        settle=definition.settle,
        tick=numbers["tick_size"],
        lot=numbers["lot_size"],
        multiplier=numbers["multiplier"],
        factor=factor,
        cash_unit=10**cash_decimals,
        tier_bytes=tiers.tobytes(),
        tier_rows=tuple(map(tuple, tiers.tolist())),
        adl_exempt=definition.adl_exempt,
        price_step=price_step,
    )


def lots_ratio_of(before: DefineContract, after: DefineContract) -> Ratio:
    """Return the former lot over the new one: what lots of before are multiplied by."""
    numbers = [read_decimal("lot_size", definition.lot_size) for definition in (before, after)]
    return ratio_of(*numbers)


def _factor(
    kind: ContractKind,
    cash_decimals: int,
    tick_size: tuple[int, int],
    lot_size: tuple[int, int],
    multiplier: tuple[int, int],
) -> int | None:
    """Return Cash per lot and tick, or Cash * ticks per lot; None where it is no integer."""
    top = lot_size[0] * multiplier[0] * 10**cash_decimals
    bottom = 10 ** (lot_size[1] + multiplier[1])
    tick, tick_scale = tick_size[0], 10 ** tick_size[1]
    if kind is ContractKind.LINEAR:
        top, bottom = top * tick, bottom * tick_scale
    else:
        top, bottom = top * tick_scale, bottom * tick
    factor = div_floor(top, bottom)
    return factor if factor * bottom == top and 0 < factor < COLUMN_LIMIT else None


def _tiers(definition: DefineContract, cash_decimals: int) -> Ints:
    """Return the tier table; deductions make the margin continuous between tiers."""
    starts: list[int] = []
    rates: list[int] = []
    tiers = len(definition.margin_tiers)
    reject_unless(tiers <= MAX_MARGIN_TIERS, "margin_tiers", tiers, Reason.OUT_OF_RANGE)
    for number, tier in enumerate(definition.margin_tiers):
        field = f"margin_tiers[{number}]"
        starts.append(read_cash(f"{field}.notional_from", tier.notional_from, cash_decimals))
        rates.append(read_scaled(f"{field}.maintenance_rate", tier.maintenance_rate, 6))
        inside = 0 <= rates[-1] <= PPM
        reject_unless(
            inside, f"{field}.maintenance_rate", tier.maintenance_rate, Reason.OUT_OF_RANGE
        )
        ascends = starts[-1] == 0 if number == 0 else starts[-1] > starts[-2]
        ascends &= rates[-1] >= rates[max(number - 1, 0)]
        reject_unless(ascends, field, tier.notional_from, Reason.INVALID_MARGIN_TIERS)
    reject_unless(bool(starts), "margin_tiers", "", Reason.INVALID_MARGIN_TIERS)
    jumps = [
        div_floor(start * (rate - below), PPM)
        for start, rate, below in zip(starts[1:], rates[1:], rates, strict=False)
    ]
    deductions = list(accumulate(jumps, initial=0))
    return np.array([starts, rates, deductions], np.int64)
