"""The engine's integers as venues print them: plain decimal text without trailing zeros.

A quantity is printed in whole units of the underlying (`units`, Bybit) or in contracts
(`contracts`, OKX); the two differ by the contract's multiplier.
"""

from collections.abc import Iterable
from fractions import Fraction

from delever.core.market.contract_terms import ContractTerms
from delever.core.units import (
    COLUMN_LIMIT,
    PPM,
    Mark,
    div_ceil,
    div_floor,
    div_nearest,
    format_scaled,
)
from delever.server.engine.account_snapshot import PositionSnapshot

ENTRY_DECIMALS = 8
"""Decimals of an average entry price at least; it is rounded to nearest."""


def cash(amount: int, decimals: int) -> str:
    """Return money as text."""
    return format_scaled(amount, decimals)


def ratio(ppm: int) -> str:
    """Return a ratio in parts per million as text: -250,000 is -0.25."""
    return format_scaled(ppm, 6)


def leverage(hundredths: int) -> str:
    """Return a leverage as text."""
    return format_scaled(hundredths, 2)


def number(decimal: tuple[int, int]) -> str:
    """Return an exact decimal, given as (mantissa, decimals), as text."""
    return format_scaled(*decimal)


def units(terms: ContractTerms, lots: int) -> str:
    """Return lots in units of the underlying (linear) or in money of the quote (inverse)."""
    decimals = terms.lot[1] + terms.multiplier[1]
    return format_scaled(lots * terms.lot[0] * terms.multiplier[0], decimals)


def contracts(terms: ContractTerms, lots: int) -> str:
    """Return lots in contracts."""
    return format_scaled(lots * terms.lot[0], terms.lot[1])


def price(terms: ContractTerms, ticks: Mark) -> str:
    """Return a price as text."""
    return format_scaled(*terms.decimal_of(ticks))


def entry_price(terms: ContractTerms, lots: int, cost_cash: int) -> str:
    """Return the average price of lots from their cost, to nearest; "0" without lots or cost."""
    cost, size = abs(cost_cash), lots * terms.factor
    if not cost or not size:
        return "0"
    top, bottom = (cost, size) if terms.linear else (size, cost)
    decimals = max(ENTRY_DECIMALS, terms.tick[1])
    scaled = top * terms.tick[0] * 10 ** (decimals - terms.tick[1])
    return format_scaled(div_nearest(scaled, bottom), decimals)


def notional_cash(position: PositionSnapshot) -> int:
    """Return a position's unsigned notional at the mark."""
    return abs(position.cost_cash + position.unrealized_pnl_cash)


def initial_margin_cash(position: PositionSnapshot) -> int:
    """Return the initial margin at the mark by the chosen leverage, rounded up."""
    return div_ceil(notional_cash(position) * 100, max(position.leverage_hundredths, 1))


def part(amount: int, whole: int) -> str:
    """Return amount / whole to a millionth, to nearest; "" if `whole` is 0."""
    return ratio(div_nearest(amount * PPM, whole)) if whole else ""


def value_at(amount: int, decimals: int, price_of_one: tuple[int, int] | None) -> str:
    """Return money at a price, to 8 decimals and to nearest; "0" if the price is unknown."""
    if price_of_one is None:
        return "0"
    mantissa, places = price_of_one
    scale = decimals + places
    product = amount * mantissa
    if scale <= ENTRY_DECIMALS:
        return format_scaled(product, scale)
    return format_scaled(div_nearest(product, 10 ** (scale - ENTRY_DECIMALS)), ENTRY_DECIMALS)


DollarPrice = tuple[int, int] | None
"""The price of one unit of an asset in dollars as (mantissa, decimals), or None if unknown."""


def total_value(parts: Iterable[tuple[int, int, DollarPrice]]) -> str:
    """Return the dollar value of (amount, decimals, price of one), to 8 decimals and to nearest.

    An asset without a known price is left out.
    """
    total = Fraction()
    for amount, decimals, price_of_one in parts:
        if price_of_one is not None:
            mantissa, places = price_of_one
            total += Fraction(amount * mantissa, 10 ** (decimals + places))
    scaled = total * 10**ENTRY_DECIMALS
    return format_scaled(div_nearest(scaled.numerator, scaled.denominator), ENTRY_DECIMALS)


def quotient(part_text: str, whole_text: str) -> str:
    """Return the quotient of two amounts in dollars to 8 decimals, to nearest; "0" of nothing."""
    whole = Fraction(whole_text)
    if whole <= 0:
        return "0"
    scaled = Fraction(part_text) / whole * 10**ENTRY_DECIMALS
    return format_scaled(div_nearest(scaled.numerator, scaled.denominator), ENTRY_DECIMALS)


MAX_NOTIONAL_CASH = COLUMN_LIMIT
"""The largest notional that the engine stores."""


def max_leverage(rate_ppm: int) -> int:
    """Return the leverage of a margin tier: the inverse of its maintenance rate.

    The engine does not know the venue's own leverage limits.
    """
    return div_floor(PPM, max(rate_ppm, 1))


def tier_ends_cash(terms: ContractTerms) -> list[int]:
    """Return the notional at which each margin tier ends; the last one ends nowhere."""
    return [*map(int, terms.tier_from_cash[1:]), MAX_NOTIONAL_CASH]


def max_notional_cash(terms: ContractTerms, leverage_hundredths: int) -> int:
    """Return the largest notional that the margin tiers allow at a leverage."""
    rates = terms.tier_rate_ppm
    allowed = [
        end
        for rate, end in zip(rates.tolist(), tier_ends_cash(terms), strict=True)
        if 100 * max_leverage(rate) >= leverage_hundredths
    ]
    return max(allowed, default=tier_ends_cash(terms)[0])
