"""The mark at which an account's margin bucket would be liquidated, all else as it stands."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from delever.core.market.contract_terms import Terms
from delever.core.units import PPM
from delever.server.engine.account_view import Holdings, Position


def liquidation_ticks(
    held: Position, holdings: Holdings, terms: Terms, mark_ticks: int
) -> Fraction | None:
    """Return where equity meets maintenance margin as this contract's mark moves, or None.

    Both sides of a hedge move together; an isolated position moves alone. Maintenance follows the
    tier that the present notional is in, as venues' own calculators do. None: no positive price
    does it, or there is no mark.
    """
    moving: Sequence[Position] = (held,)
    equity, maintenance = held.margin_cash + held.profit_cash, held.maintenance_cash
    if not held.isolated:
        moving = [p for p in holdings.of(held.contract) if not p.isolated]
        wallet = next(each for each in holdings.wallets if each.asset == terms.settle)
        equity, maintenance = wallet.equity_cash, wallet.maintenance_cash
    if not mark_ticks:
        return None
    return _meeting(moving, terms, mark_ticks, equity, maintenance)


def _meeting(
    moving: Sequence[Position], terms: Terms, mark_ticks: int, equity: int, maintenance: int
) -> Fraction | None:
    """Solve equity(price) = maintenance(price), both affine in the price or in its inverse."""
    signed = sum(p.side.sign * p.lots for p in moving) * terms.factor
    rated, fixed_part = Fraction(), maintenance - sum(p.maintenance_cash for p in moving)
    for position in moving:
        notional = abs(position.cost_cash + position.profit_cash)
        tier = int(np.searchsorted(terms.tier_from_cash, notional, side="right")) - 1
        rated += Fraction(position.lots * terms.factor * int(terms.tier_rate_ppm[tier]), PPM)
        fixed_part -= int(terms.tier_deduction_cash[tier])
    room = Fraction(equity - fixed_part)
    if terms.linear:
        top, bottom = room - signed * mark_ticks, rated - signed
    else:
        top, bottom = signed + rated, room + Fraction(signed, mark_ticks)
    if not bottom:
        return None
    price = top / bottom
    return price if price > 0 else None
