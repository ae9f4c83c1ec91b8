"""Contract terms: what a quantity at a price is worth, and which price makes it worth that much.

A value is signed like its position. Linear: lots * ticks * factor, so long is positive. Inverse:
-lots * factor / ticks, floored, so long is negative and rises towards zero with the price. In both,
profit = value(mark) - cost, and a higher value is always better for the holder.
"""

import functools
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from delever.core.kernels import where_of
from delever.core.market.validation import (
    Rejection,
    read_cash,
    read_decimal,
    read_scaled,
    reject_unless,
)
from delever.core.messages import Amount, ContractKind, DefineContract, Reason, Side
from delever.core.units import (
    LIMIT,
    PPM,
    IntLike,
    Ints,
    Lots,
    Ticks,
    div_ceil,
    div_floor,
    div_nearest,
    scale_ppm,
    steps,
)

MAX_TICKS = 10**12
"""No price is beyond this; a bankruptcy price that would be is held here."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A contract's fixed terms, in integers.

    Where it is `linear`, one unit of price is one unit of the settle asset. `factor` is Cash per
    lot and tick (linear) or Cash * ticks per lot (inverse); `cash_unit` is one whole unit of the
    settle asset in Cash. The margin tiers are a table of three rows: the notional from which a rate
    holds (Cash), the rate (ppm), and the amount to deduct so that each rate applies only to its own
    part (Cash); `tier_rows` are the same in plain integers, `tiers_at` is where kernels find it.
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
    tiers: Ints
    tiers_at: bytes
    tier_rows: tuple[list[int], ...]
    adl_exempt: bool

    def value_cash(self, lots: IntLike, ticks: int) -> IntLike:
        """Return what signed lots are worth at a price in Cash; inverse values are floored."""
        if self.linear:
            return lots * (ticks * self.factor)
        return div_floor(-lots * self.factor, ticks)

    def per_lot(self, side: Side, ticks: int) -> tuple[int, int]:
        """Return (factor, ticks) such that lots without sign are worth lots * factor / ticks.

        The quotient is floored; where ticks are 0 there is nothing to divide by.
        """
        if self.linear:
            return side.sign * ticks * self.factor, 0
        return -side.sign * self.factor, ticks

    @property
    def tier_from_cash(self) -> Ints:
        """From which notional each tier's rate holds."""
        column: Ints = self.tiers[0]
        return column

    @property
    def tier_rate_ppm(self) -> Ints:
        """Each tier's maintenance rate."""
        column: Ints = self.tiers[1]
        return column

    @property
    def tier_deduction_cash(self) -> Ints:
        """What to deduct in each tier."""
        column: Ints = self.tiers[2]
        return column

    def trade_cash(self, lots: int, ticks: int) -> int:
        """Return the value that both sides of a trade book, so that nothing is lost between them.

        It is the long side's value (for inverse the floor falls on the long side's cost, which is
        negative, hence in the short's favour by less than one unit).
        """
        value = self.value_cash(abs(lots), ticks)
        return value if lots > 0 else -value

    def price_reaching(self, signed_lots: int, target_cash: int) -> Ticks:
        """Return the least favourable whole price at which the lots are worth at least the target.

        Rounded in the holder's favour: up for a long, down for a short. Held inside 1..MAX_TICKS
        where no such price exists (a margin larger than the position can lose).
        """
        long = signed_lots > 0
        divide = div_ceil if long else div_floor
        if self.linear:
            ticks = divide(target_cash, signed_lots * self.factor)
        elif target_cash == 0 or (target_cash < 0) != long:  # this side is never worth that much
            ticks = MAX_TICKS
        else:
            ticks = divide(-signed_lots * self.factor, target_cash)
        return Ticks(min(max(ticks, 1), MAX_TICKS))

    def maintenance_cash(self, notional_cash: Ints) -> Ints:
        """Return the maintenance margin of each notional by its tier, rounded up."""
        tier = np.searchsorted(self.tier_from_cash, notional_cash, side="right") - 1
        margin = scale_ppm(notional_cash, self.tier_rate_ppm[tier])
        return margin - self.tier_deduction_cash[tier]

    def maintenance_of(self, notional_cash: int) -> int:
        """Return the maintenance margin of one notional, as `maintenance_cash` does."""
        starts, rates, deductions = self.tier_rows
        tier = bisect_right(starts, notional_cash) - 1
        return scale_ppm(notional_cash, rates[tier]) - deductions[tier]

    def cost_cash(self, side: Side, lots: int, entry: tuple[int, int]) -> int:
        """Return the signed cost of lots at an average entry price of any precision, to nearest."""
        mantissa, decimals = entry
        tick_mantissa, tick_decimals = self.tick
        top, bottom = mantissa * 10**tick_decimals, tick_mantissa * 10**decimals
        if self.linear:
            return side.sign * div_nearest(lots * self.factor * top, bottom)
        return -side.sign * div_nearest(lots * self.factor * bottom, top)

    def cost_sign(self, side: Side) -> int:
        """Return the sign that costs and values of this side carry."""
        return side.sign if self.linear else -side.sign

    def read_lots(self, field: str, quantity: Amount) -> Lots:
        """Return a quantity in lots, with its sign, or refuse it."""
        lots = steps(read_decimal(field, quantity), self.lot)
        if lots is None:
            raise Rejection(field, quantity, Reason.INVALID_LOT_MULTIPLE)
        if abs(lots) * self.factor >= LIMIT:
            raise Rejection(field, quantity, Reason.EXCEEDS_NUMERIC_RANGE)
        return Lots(lots)

    def read_ticks(self, field: str, price: Amount) -> Ticks:
        """Return a price in ticks, or refuse it: not positive, or not a whole tick."""
        number = read_decimal(field, price)
        if number[0] <= 0:
            raise Rejection(field, price, Reason.NOT_POSITIVE)
        ticks = steps(number, self.tick)
        if ticks is None:
            raise Rejection(field, price, Reason.INVALID_TICK_MULTIPLE)
        if ticks > MAX_TICKS:
            raise Rejection(field, price, Reason.EXCEEDS_NUMERIC_RANGE)
        return Ticks(ticks)

    def most_ticks(self, lots: int) -> Ticks:
        """Return the highest price at which lots are still worth less than int64 holds."""
        return Ticks(div_floor(LIMIT, lots * self.factor) if self.linear else MAX_TICKS)

    def in_range(self, lots: int, ticks: int) -> bool:
        """Whether lots at this price, and every margin computed from them, stay inside int64."""
        size = abs(lots) * self.factor
        return size < LIMIT and (not self.linear or size * ticks < LIMIT)


@functools.cache
def terms_of(definition: DefineContract, cash_decimals: int) -> Terms:
    """Return the exact terms of a definition, or refuse it."""
    numbers = {}
    for field in ("tick_size", "lot_size", "multiplier"):
        number = read_decimal(field, getattr(definition, field))
        positive = number[0] > 0
        reject_unless(positive, field, getattr(definition, field), Reason.NOT_POSITIVE)
        numbers[field] = number
    factor = _factor(definition.kind, cash_decimals, **numbers)
    if factor is None:
        raise Rejection("tick_size", definition.tick_size, Reason.VALUE_OF_LOT_MUST_BE_WHOLE_CASH)
    tiers = _tiers(definition, cash_decimals)
    return Terms(
        name=definition.contract,
        kind=definition.kind,
        linear=definition.kind is ContractKind.LINEAR,
        settle=definition.settle,
        tick=numbers["tick_size"],
        lot=numbers["lot_size"],
        multiplier=numbers["multiplier"],
        factor=factor,
        cash_unit=10**cash_decimals,
        tiers=tiers,
        tiers_at=where_of(*tiers),
        tier_rows=tuple(tiers.tolist()),
        adl_exempt=definition.adl_exempt,
    )


def _factor(
    kind: ContractKind,
    cash_decimals: int,
    tick_size: tuple[int, int],
    lot_size: tuple[int, int],
    multiplier: tuple[int, int],
) -> int | None:
    """Return Cash per lot and tick, or Cash * ticks per lot; None where it is not whole."""
    top = lot_size[0] * multiplier[0] * 10**cash_decimals
    bottom = 10 ** (lot_size[1] + multiplier[1])
    tick, tick_scale = tick_size[0], 10 ** tick_size[1]
    if kind is ContractKind.LINEAR:
        top, bottom = top * tick, bottom * tick_scale
    else:
        top, bottom = top * tick_scale, bottom * tick
    factor = div_floor(top, bottom)
    return factor if factor * bottom == top and 0 < factor < LIMIT else None


def _tiers(definition: DefineContract, cash_decimals: int) -> Ints:
    """Return the tier table; the deduction makes the margin continuous where tiers meet."""
    starts: list[int] = []
    rates: list[int] = []
    for number, tier in enumerate(definition.margin_tiers):
        field = f"margin_tiers[{number}]"
        starts.append(read_cash(f"{field}.notional_from", tier.notional_from, cash_decimals))
        rates.append(read_scaled(f"{field}.maintenance_rate", tier.maintenance_rate, 6))
        inside = 0 <= rates[-1] <= PPM
        reject_unless(
            inside, f"{field}.maintenance_rate", tier.maintenance_rate, Reason.OUT_OF_RANGE
        )
        ascends = starts[-1] == 0 if number == 0 else starts[-1] > starts[-2]
        ascends &= rates == sorted(rates)
        reject_unless(ascends, field, tier.notional_from, Reason.INVALID_MARGIN_TIERS)
    reject_unless(bool(starts), "margin_tiers", "", Reason.INVALID_MARGIN_TIERS)
    jumps = [
        div_floor(start * (rate - below), PPM)
        for start, rate, below in zip(starts[1:], rates[1:], rates, strict=False)
    ]
    deductions = [sum(jumps[:tier]) for tier in range(len(starts))]
    return np.array([starts, rates, deductions], np.int64)
