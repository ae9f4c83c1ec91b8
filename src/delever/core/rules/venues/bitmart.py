"""BitMart: three triggers, return on initial margin."""

import numpy as np

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import Ranking, Score
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import Illiquidity, PoolDrawdown, PoolEquity
from delever.core.units import ratio
from delever.core.valuation.side_valuation import SideValuation

HELP = "BitMart help centre, What is ADL"

MAJORS = Limits(start_ppm=500_000, stop_ppm=500_000, wait_ms=0)
OTHERS = Limits(start_ppm=200_000, stop_ppm=200_000, wait_ms=0)
WAIT = Limits(wait_ms=60_000)


def score(view: SideValuation) -> Score:
    """Return profit / initial margin; 0 for losers and for positions under liquidation."""
    gain = ratio(view.profit, view.initial_margin)
    gain = np.where(view.under_liquidation | (gain < 0), 0.0, gain)
    return Score(gain, {"return_on_initial_margin": gain})


BITMART = RuleSet(
    name="bitmart",
    venue="BitMart",
    cases=(
        Case(PoolEquity(), AtBankruptcyPrice()),
        Case(PoolDrawdown(OTHERS, {"BTCUSDT": MAJORS, "ETHUSDT": MAJORS}), AtBankruptcyPrice()),
        Case(Illiquidity(WAIT), AtBankruptcyPrice()),
    ),
    ranking=Ranking("profit / initial margin; 0 when losing or under liquidation", score),
    cancels=OrderScope.ACCOUNT,
    rules=(
        Rule(
            "BMT-01",
            "ADL starts when the reserve is completely used up.",
            HELP,
            "official",
            "pool equity <= 0; it stops above 0",
        ),
        Rule(
            "BMT-02",
            "ADL starts when the available reserve has fallen 50 % from its peak for BTCUSDT and "
            "ETHUSDT, 20 % for others.",
            HELP,
            "official",
            "available = balance with unrealized profit of inventory; peak over 8 h; it stops as "
            "soon as the fall is smaller again",
        ),
        Rule(
            "BMT-03",
            "ADL starts when liquidity is too thin to reduce liquidated positions in the market.",
            HELP,
            "official",
            "depth within the pool's slippage has been less than inventory for 60 s",
        ),
        Rule(
            "BMT-04",
            "Return rate = unrealized profit / initial margin, highest first, winners in front.",
            HELP,
            "official",
            "initial margin = entry value / leverage; ties go by account name",
        ),
        Rule(
            "BMT-05",
            "A negative return, or a position under liquidation or reduction, counts as 0.",
            HELP,
            "official",
            "a position under liquidation is never closed by ADL",
        ),
        Rule(
            "BMT-06",
            "Counterparties are closed at the bankruptcy price; their orders are cancelled.",
            "BitMart help centre, article 360043020334",
            "official",
            "an older article; the current one names no price",
        ),
    ),
)
