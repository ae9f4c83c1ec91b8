"""The parts that venues make their scores of; float64, elementwise."""

import numpy as np

from delever.core.ranking import Product, Score
from delever.core.units import Floats, Ints, ratio
from delever.core.valuation import LaneView


def account_leverage(notional: Ints, view: LaneView) -> Floats:
    """Return notional / equity of the margin bucket."""
    return ratio(notional, view.equity)


def margin_rate(view: LaneView) -> Floats:
    """Return maintenance margin / equity of the margin bucket; 1 is where liquidation begins."""
    return ratio(view.bucket_maintenance, view.equity)


def price_move(view: LaneView) -> Floats:
    """Return value at mark / value at entry, turned over where the holder gains as it falls."""
    now, then = view.notional, view.entry_notional
    return ratio(now, then) if view.terms.cost_sign(view.side) > 0 else ratio(then, now)


leveraged_return = Product(
    ("return_on_entry", "profit", "entry_notional"), ("effective_leverage", "notional", "cover")
)
"""The classic score: return on entry times (or, losing, divided by) leverage."""

account_leveraged_return = Product(
    ("return_on_entry", "profit", "entry_notional"), ("account_leverage", "notional", "equity")
)
"""The return on entry times (or, losing, divided by) notional / equity of the margin bucket."""

margin_rate_return = Product(
    ("return_on_entry", "profit", "entry_notional"), ("margin_rate", "bucket_maintenance", "equity")
)
"""The return on entry times (or, losing, divided by) the bucket's margin rate."""


def wallet_return(profit: Ints, view: LaneView) -> Score:
    """Return max(0, profit) / max(1, wallet balance) x margin rate, one unit of asset being 1."""
    gain = ratio(np.maximum(profit, 0), np.maximum(view.balance, view.terms.cash_unit))
    rate = margin_rate(view)
    rate[view.equity <= 0] = 0
    return Score(gain * rate, {"return_on_wallet": gain, "margin_rate": rate})


def unranked(view: LaneView) -> Score:
    """Return 0 for everybody: the venue has no order."""
    return Score(np.zeros(view.size), {})
