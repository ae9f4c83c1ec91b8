"""GMX v2: when one side has won too much of the pool that stands against it."""

import numpy as np

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtMark
from delever.core.rules.ranking import UNPUBLISHED, Ranking, Score
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import ProfitToPool
from delever.core.valuation.side_valuation import SideValuation

CODE = "gmx-synthetics @a5c0c88, adl/AdlUtils.sol, exchange/AdlHandler.sol"

FACTORS = Limits(start_ppm=850_000, stop_ppm=770_000)


def score(view: SideValuation) -> Score:
    """Return unrealized profit in Cash."""
    profit = view.profit.astype(np.float64)
    return Score(profit, {"profit_cash": profit})


GMX = RuleSet(
    name="gmx",
    venue="GMX v2",
    cases=(Case(ProfitToPool(FACTORS), AtMark()),),
    ranking=Ranking("unrealized profit (assumed)", score, profitable_only=True),
    indicator_scale=UNPUBLISHED,
    cancels=OrderScope.NONE,
    rules=(
        Rule(
            "GMX-01",
            "ADL of a side is allowed while its profit / pool value is strictly above a factor set "
            "by market.",
            CODE,
            "official",
            "0.85 where no limits are given; the pool's balance is its value, for either side",
        ),
        Rule(
            "GMX-02",
            "An execution must lower that ratio, and not below a second factor.",
            CODE,
            "official",
            "0.77 where no limits are given; a round closes as many lots as go without passing it",
        ),
        Rule(
            "GMX-03",
            "The pool of liquidity providers is the other side of every position.",
            CODE,
            "official",
            "its position is told as the takeover, at its entry price, of an account that holds it",
        ),
        Rule(
            "GMX-04",
            "The order of positions is not checked; a keeper chooses.",
            CODE,
            "official",
            "largest profit first, winners only",
        ),
        Rule(
            "GMX-05",
            "Positions are decreased at the oracle price with price impact and normal fees.",
            CODE,
            "official",
            "the mark, without impact and fee; open orders stay",
        ),
    ),
)
