"""Collateral terms: what a balance of an asset is worth in the margin currency, exactly.

A value is a piecewise linear function of the balance: it has the price of the bid for a positive
balance and of the ask for a negative one, and less of it counts in each further tier. All prices
and rates are rationals, so that a value is floored once, to the smallest unit of the margin
currency.
"""

from bisect import bisect_right
from dataclasses import dataclass
from math import gcd
from typing import NamedTuple

import numpy as np

from delever.core.market.validation import Rejection, read_cash, read_scaled, reject_unless
from delever.core.messages import Amount, CollateralTier, DefineCollateral, Reason
from delever.core.units import INT64_LIMIT, PPM, Ints, div_ceil, div_floor, linear_floor

VALUE_LIMIT = 2**61
"""Values of a column are cut off here, so that those of three assets still have an int64 sum.

Commands after which an account could have such a value are rejected; only a takeover or an ADL fill
at an absurd price can still lead there.
"""

INDEX_PRICE_DECIMALS = 10
"""Decimals of an index price: one unit of an asset in units of the margin currency."""


class Price(NamedTuple):
    """A price as a rational: Cash of the margin currency for one Cash of an asset."""

    numerator: int
    denominator: int

    @classmethod
    def reduced(cls, numerator: int, denominator: int) -> "Price":
        """Return a price in lowest terms."""
        divisor = gcd(numerator, denominator)
        return cls(div_floor(numerator, divisor), div_floor(denominator, divisor))

    def times(self, ppm: int) -> "Price":
        """Return a part of the price, in lowest terms."""
        return Price.reduced(self.numerator * ppm, self.denominator * PPM)

    def value_of(self, amount_cash: int) -> int:
        """Return the value of an amount of the asset in Cash of the margin currency, floored."""
        return linear_floor(amount_cash, self.numerator, 0, self.denominator)

    def values(self) -> "PiecewiseValue":
        """Return the value of any amount, as a function of one piece."""
        piece = self.numerator, 0, self.denominator
        return PiecewiseValue((-INT64_LIMIT,), (piece,), (-self.limit, self.limit))

    @property
    def limit(self) -> int:
        """The amount, in int64, whose value is below `VALUE_LIMIT`."""
        return min(self.amount_of(VALUE_LIMIT), INT64_LIMIT - 1)

    def amount_of(self, value_cash: int) -> int:
        """Return the amount of the asset with a value, floored."""
        return linear_floor(value_cash, self.denominator, 0, self.numerator)

    def amount_for(self, value_cash: int) -> int:
        """Return the least amount of the asset with at least a value."""
        return div_ceil(value_cash * self.denominator, self.numerator)


@dataclass(frozen=True, slots=True)
class PiecewiseValue:
    """The value of each balance: (balance * numerator + constant) / denominator, floored.

    A piece applies from its start, in Cash of the asset, to the next one. Beyond the limits a
    balance of a column has the value at the limit.
    """

    starts: tuple[int, ...]
    pieces: tuple[tuple[int, int, int], ...]
    limits: tuple[int, int]

    def of(self, balance_cash: int) -> int:
        """Return the value of one balance in Cash of the margin currency."""
        return linear_floor(balance_cash, *self.pieces[bisect_right(self.starts, balance_cash) - 1])

    def of_all(self, balances_cash: Ints) -> Ints:
        """Return the value of each balance in Cash of the margin currency."""
        if not len(balances_cash):
            return balances_cash
        least, most = int(balances_cash.min()), int(balances_cash.max())
        if least < self.limits[0] or most > self.limits[1]:
            balances_cash = np.clip(balances_cash, *self.limits)
            least, most = max(least, self.limits[0]), min(most, self.limits[1])
        first, last = (bisect_right(self.starts, bound) - 1 for bound in (least, most))
        if len(set(self.pieces[first : last + 1])) == 1:
            values: Ints = linear_floor(balances_cash, *self.pieces[first])
            return values
        piece = np.searchsorted(np.array(self.starts), balances_cash, side="right") - 1
        values = np.zeros(len(balances_cash), np.int64)
        for number, linear in enumerate(self.pieces):
            rows = np.flatnonzero(piece == number)
            if len(rows):
                values[rows] = linear_floor(balances_cash[rows], *linear)
        return values


@dataclass(frozen=True, slots=True)
class CollateralTerms:
    """The terms of an asset as collateral, at one index price.

    `equity` is the value of a balance without collateral haircut, `after_haircut` with it. A
    conversion sells at `conversion` and buys at `ask`.
    """

    index: Price
    bid: Price
    ask: Price
    conversion: Price
    equity: PiecewiseValue
    after_haircut: PiecewiseValue

    @property
    def at_index(self) -> PiecewiseValue:
        """The value of amounts of either sign at the index price."""
        return self.index.values()

    @property
    def in_asset(self) -> PiecewiseValue:
        """The amount of the asset, at its index price, for each value in the margin currency."""
        return Price(self.index.denominator, self.index.numerator).values()


def collateral_terms(
    definition: DefineCollateral, index_price: int, asset_decimals: int, margin_decimals: int
) -> CollateralTerms:
    """Return the exact terms of a definition at an index price in 10^-10, or reject it.

    >>> tiers = CollateralTier(rate=1, quantity_from=0), CollateralTier(rate="0.9", quantity_from=2)
    >>> bitcoin = DefineCollateral(time_ms=0, asset="BTC", index_price="60000", tiers=tiers)
    >>> terms = collateral_terms(bitcoin, 60_000 * 10**10, 8, 8)
    >>> terms.equity.of(3 * 10**8), terms.after_haircut.of(3 * 10**8)
    (18000000000000, 17400000000000)
    """
    scale = 10 ** (INDEX_PRICE_DECIMALS + asset_decimals)
    index = Price.reduced(index_price * 10**margin_decimals, scale)
    buffers = {
        name: _read_ratio(name, getattr(definition, name))
        for name in ("bid_buffer", "ask_buffer", "conversion_haircut")
    }
    for name in ("bid_buffer", "conversion_haircut"):
        reject_unless(buffers[name] < PPM, name, getattr(definition, name), Reason.OUT_OF_RANGE)
    bid = index.times(PPM - buffers["bid_buffer"])
    ask = index.times(PPM + buffers["ask_buffer"])
    limits = _limits(definition, bid, asset_decimals, margin_decimals)
    return CollateralTerms(
        index=index,
        bid=bid,
        ask=ask,
        conversion=bid.times(PPM - buffers["conversion_haircut"]),
        equity=_piecewise(bid, ask, [(0, PPM)]),
        after_haircut=_piecewise(bid, ask, limits),
    )


def unit_collateral(asset: str) -> DefineCollateral:
    """Return the terms of a margin currency that has none of its own: one unit counts as one."""
    return DefineCollateral(time_ms=0, asset=asset, index_price=1)


def read_index_price(field: str, price: Amount) -> int:
    """Return an index price in 10^-10 of the margin currency; it is positive."""
    exact = read_scaled(field, price, INDEX_PRICE_DECIMALS)
    reject_unless(exact > 0, field, price, Reason.NOT_POSITIVE)
    reject_unless(exact < INT64_LIMIT, field, price, Reason.EXCEEDS_NUMERIC_RANGE)
    return exact


def _read_ratio(field: str, ratio: Amount) -> int:
    ppm = read_scaled(field, ratio, 6)
    reject_unless(0 <= ppm <= PPM, field, ratio, Reason.OUT_OF_RANGE)
    return ppm


def _limits(
    definition: DefineCollateral, bid: Price, asset_decimals: int, margin_decimals: int
) -> list[tuple[int, int]]:
    """Return the tiers as (value from which the rate applies, rate in ppm), with the cap last.

    The values are in units of 1 / bid.denominator of the margin currency's Cash.
    """
    limits: list[tuple[int, int]] = []
    for number, tier in enumerate(definition.tiers):
        path = f"tiers[{number}]"
        rate = _read_ratio(f"{path}.rate", tier.rate)
        start = _start(path, tier, bid, asset_decimals, margin_decimals)
        ascends = start > limits[-1][0] and rate <= limits[-1][1] if limits else start == 0
        reject_unless(ascends, path, _written_start(tier), Reason.INVALID_COLLATERAL_TIERS)
        limits.append((start, rate))
    reject_unless(bool(limits), "tiers", "", Reason.INVALID_COLLATERAL_TIERS)
    if definition.cap is not None:
        cap = read_cash("cap", definition.cap, asset_decimals)
        reject_unless(cap >= 0, "cap", definition.cap, Reason.NEGATIVE_NOT_ALLOWED)
        end = cap * bid.numerator
        limits = [*(limit for limit in limits if limit[0] < end), (end, 0)]
    return limits


def _start(
    path: str, tier: CollateralTier, bid: Price, asset_decimals: int, margin_decimals: int
) -> int:
    """Return the start of a tier, given in one of two units."""
    if (tier.quantity_from is None) == (tier.value_from is None):
        raise Rejection(path, _written_start(tier), Reason.INVALID_COLLATERAL_TIERS)
    if tier.quantity_from is not None:
        quantity = read_cash(f"{path}.quantity_from", tier.quantity_from, asset_decimals)
        return quantity * bid.numerator
    value = read_cash(f"{path}.value_from", tier.value_from or 0, margin_decimals)
    return value * bid.denominator


def _written_start(tier: CollateralTier) -> str:
    starts = tier.quantity_from, tier.value_from
    return " ".join(str(start) for start in starts if start is not None)


def _piecewise(bid: Price, ask: Price, limits: list[tuple[int, int]]) -> PiecewiseValue:
    """Return the value of a balance: at the ask below 0, then at the bid and each tier's rate."""
    starts, pieces = [-INT64_LIMIT], [(ask.numerator, 0, ask.denominator)]
    constant, rate_before = 0, 0
    for start, rate in limits:
        constant += start * (rate_before - rate)
        rate_before = rate
        starts.append(min(div_ceil(start, bid.numerator), INT64_LIMIT - 1))
        pieces.append(_reduced(bid.numerator * rate, constant, bid.denominator * PPM))
    return PiecewiseValue(tuple(starts), tuple(pieces), (-ask.limit, bid.limit))


def _reduced(*numbers: int) -> tuple[int, int, int]:
    """Return three integers divided by their greatest common divisor."""
    divisor = gcd(*numbers)
    numerator, constant, denominator = (div_floor(number, divisor) for number in numbers)
    return numerator, constant, denominator
