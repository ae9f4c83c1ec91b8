"""GMX v2: ADL when the PnL of one side's traders is too large a part of the pool."""

import numpy as np

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtMark
from delever.core.rules.ranking import UNPUBLISHED, Ranking, Score
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import PnlToPool
from delever.core.rules.triggers.sizing import Sizing
from delever.core.valuation.side_valuation import SideValuation

CODE = "gmx-synthetics @a5c0c88, adl/AdlUtils.sol, exchange/AdlHandler.sol"

FACTORS = Limits(start_ppm=850_000, stop_ppm=770_000)


def score(valuation: SideValuation) -> Score:
    """Return unrealized PnL in Cash."""
    unrealized_pnl = valuation.unrealized_pnl.astype(np.float64)
    return Score(unrealized_pnl, {"unrealized_pnl_cash": unrealized_pnl})


GMX = RuleSet(
    name="gmx",
    venue="GMX v2",
    cases=(Case(PnlToPool(FACTORS), AtMark()),),
    sizing=Sizing.LEAST_TO_STOP,
    nets_inventory=False,
    unwinds_beyond_balance=True,
    ranking=Ranking("unrealized PnL (assumed)", score, profitable_only=True),
    indicator_scale=UNPUBLISHED,
    cancel_scope=OrderScope.NONE,
    rules=(
        Rule(
            "GMX-01",
            "ADL of a side is allowed while its traders' PnL / pool value is strictly above a "
            "factor that is set for each market.",
            CODE,
            "official",
            "0.85 by default; the pool value is the pool balance, for either side",
        ),
        Rule(
            "GMX-02",
            "An execution must lower that ratio, but not below a second factor.",
            CODE,
            "official",
            "0.77 by default; a round closes as many lots as possible without passing it",
        ),
        Rule(
            "GMX-03",
            "The pool of liquidity providers is the counterparty of every position.",
            CODE,
            "official",
            "its position is submitted as a takeover, at its entry price, of an account that has "
            "it",
        ),
        Rule(
            "GMX-04",
            "The order of positions is not enforced; a keeper chooses.",
            CODE,
            "official",
            "largest unrealized PnL first, winners only",
        ),
        Rule(
            "GMX-05",
            "Positions are decreased at the oracle price, with price impact and regular fees.",
            CODE,
            "official",
            "the mark, without price impact or fee; open orders stay",
        ),
        Rule(
            "GMX-06",
            "A keeper picks position and size; the result must lower the factor and not fall "
            "below the minimum.",
            CODE,
            "official",
            "sizing `least_to_stop`: in the general order of inventory, as much as brings the "
            "factor down to the minimum",
        ),
    ),
)
