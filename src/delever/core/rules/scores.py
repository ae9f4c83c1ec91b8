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


def signed_product(gain: Floats, leverage: Floats) -> Floats:
    """Return gain * leverage for winners and gain / leverage for losers."""
    return np.where(gain > 0, gain * leverage, ratio(gain, leverage))


def leveraged_return(view: LaneView) -> Score:
    """Return the classic score: return on entry times (or, losing, divided by) leverage."""
    gain, leverage = return_on_entry(view), effective_leverage(view)
    return Score(
        signed_product(gain, leverage), {"return_on_entry": gain, "effective_leverage": leverage}
    )
