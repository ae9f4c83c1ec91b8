"""BitMart: three triggers, ranked by return on initial margin."""

import numpy as np

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import Ranking, Score, quotient_score
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import Illiquidity, PoolDrawdown, PoolEquity
from delever.core.valuation.side_valuation import SideValuation

HELP = "BitMart help center, What is ADL"

MAJORS = Limits(start_ppm=500_000, stop_ppm=500_000, wait_ms=0)
OTHERS = Limits(start_ppm=200_000, stop_ppm=200_000, wait_ms=0)
WAIT = Limits(wait_ms=60_000)


def score(valuation: SideValuation) -> Score:
    """Return PnL / initial margin; 0 for losers and for positions under liquidation."""
    gain = np.maximum(valuation.unrealized_pnl, 0)
    gain[valuation.under_liquidation] = 0
    terms = {"positive_pnl": gain, "initial_margin": valuation.initial_margin}
    return quotient_score(terms, {"return_on_initial_margin": ("positive_pnl", "initial_margin")})


BITMART = RuleSet(
    name="bitmart",
    venue="BitMart",
    cases=(
        Case(PoolEquity(), AtBankruptcyPrice()),
        Case(PoolDrawdown(OTHERS, {"BTCUSDT": MAJORS, "ETHUSDT": MAJORS}), AtBankruptcyPrice()),
        Case(Illiquidity(WAIT), AtBankruptcyPrice()),
    ),
    ranking=Ranking("PnL / initial margin; 0 for losers or under liquidation", score),
    cancel_scope=OrderScope.ACCOUNT,
    rules=(
        Rule(
            "BMT-01",
            "ADL starts when the insurance fund is completely depleted.",
            HELP,
            "official",
            "pool equity <= 0; ADL stops above 0",
        ),
        Rule(
            "BMT-02",
            "ADL starts when the available insurance fund has fallen 50 % from its peak for "
            "BTCUSDT and ETHUSDT, 20 % for other contracts.",
            HELP,
            "official",
            "available = balance + unrealized PnL of inventory; peak over 8 h; ADL stops as soon "
            "as the drawdown is smaller",
        ),
        Rule(
            "BMT-03",
            "ADL starts when liquidity is too low to reduce liquidated positions in the market.",
            HELP,
            "official",
            "depth within the pool's slippage has been less than inventory for 60 s",
        ),
        Rule(
            "BMT-04",
            "Return rate = unrealized PnL / initial margin, highest first, winners before losers.",
            HELP,
            "official",
            "initial margin = entry value / leverage; ties go by account id",
        ),
        Rule(
            "BMT-05",
            "The return rate of losers, and of positions under liquidation or reduction, is 0.",
            HELP,
            "official",
            "a position under liquidation is never closed by ADL",
        ),
        Rule(
            "BMT-06",
            "Counterparties are closed at the bankruptcy price; their open orders are cancelled.",
            "BitMart help center, article 360043020334",
            "official",
            "from an older article; the current one gives no price",
        ),
        Rule(
            "BMT-07",
            "How much of the inventory one round closes.",
            HELP,
            "not documented",
            "sizing `residual`: the fewest lots that end the trigger of the fund's equity or "
            "drawdown; all of it if depth is missing",
        ),
    ),
)
