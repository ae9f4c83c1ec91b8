"""The parts that venues make their scores of; float64, elementwise."""

import numpy as np

from delever.core.ranking import Score
from delever.core.units import Floats, Ints, ratio
from delever.core.valuation import LaneView


def return_on_entry(view: LaneView) -> Floats:
    """Return unrealised profit / value at entry."""
    return ratio(view.profit, view.entry_notional)


def cover(view: LaneView) -> Floats:
    """Return what stands between the mark and the bankruptcy price: mark value - bankrupt value.

    Isolated: the position's equity. Cross: its share of the account's, by maintenance margin.
    """
    share = ratio(view.maintenance, view.bucket_maintenance)
    share[view.bucket_maintenance == 0] = 1
    return view.equity.astype(np.float64) * share


def effective_leverage(view: LaneView) -> Floats:
    """Return value at mark / (mark value - bankrupt value)."""
    return ratio(view.notional, cover(view))


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


def signed_product(gain: Floats, leverage: Floats) -> Floats:
    """Return gain * leverage for winners and gain / leverage for losers."""
    return np.where(gain > 0, gain * leverage, ratio(gain, leverage))


def leveraged_return(view: LaneView) -> Score:
    """Return the classic score: return on entry times (or, losing, divided by) leverage."""
    gain, leverage = return_on_entry(view), effective_leverage(view)
    return Score(
        signed_product(gain, leverage), {"return_on_entry": gain, "effective_leverage": leverage}
    )


def account_leveraged_return(view: LaneView) -> Score:
    """Return the return on entry times (or, losing, divided by) notional / equity of the bucket."""
    gain, leverage = return_on_entry(view), account_leverage(view.notional, view)
    parts = {"return_on_entry": gain, "account_leverage": leverage}
    return Score(signed_product(gain, leverage), parts)


def margin_rate_return(view: LaneView) -> Score:
    """Return the return on entry times (or, losing, divided by) the bucket's margin rate."""
    gain, rate = return_on_entry(view), margin_rate(view)
    return Score(signed_product(gain, rate), {"return_on_entry": gain, "margin_rate": rate})


def wallet_return(profit: Ints, view: LaneView) -> Score:
    """Return max(0, profit) / max(1, wallet balance) x margin rate, one unit of asset being 1."""
    gain = ratio(np.maximum(profit, 0), np.maximum(view.balance, view.terms.cash_unit))
    rate = margin_rate(view)
    rate[view.equity <= 0] = 0
    return Score(gain * rate, {"return_on_wallet": gain, "margin_rate": rate})


def unranked(view: LaneView) -> Score:
    """Return 0 for everybody: the venue has no order."""
    return Score(np.zeros(view.size), {})
