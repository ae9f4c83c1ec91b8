"""OKX: a reserve that fell too fast, then one measured by its mean; closed at the mark."""

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtMarkUnlessSpent
from delever.core.rules.ranking import Ranking, margin_ratio_return
from delever.core.rules.ruleset import Case, Rule, RuleSet
from delever.core.rules.triggers import Illiquidity, PoolBelowMean, PoolDrawdown, PoolEquity

HELP = "OKX help, Introduction to auto-deleveraging"
STAGE = "OKX help, early liquidation; docs-v5 adl-warning channel"

THIRD = Limits(start_ppm=300_000, stop_ppm=300_000)
WAIT = Limits(wait_ms=60_000)
PRICE = AtMarkUnlessSpent(spent_ppm=100_000)

RANKING = Ranking(
    "profit / entry value / (equity / maintenance margin), x when losing", margin_ratio_return
)

_SHARED = (
    Rule(
        "OKX-01",
        "ADL starts when the fund is used up.",
        STAGE,
        "official",
        "pool equity <= 0; it stops above 0",
    ),
    Rule(
        "OKX-02",
        "ADL starts when unmatched liquidation orders exceed a threshold (pre-market contracts).",
        STAGE,
        "official",
        "the threshold is not published: depth within the pool's slippage has been less than "
        "inventory for 60 s, in any contract whose depth is told",
    ),
    Rule(
        "OKX-03",
        "Return divided by the account's margin ratio ranks winners, multiplied by it losers; the "
        "ratio is equity / maintenance margin, so that 1 is liquidation from above.",
        HELP,
        "third party",
        "return on entry value; an isolated position's own ratio",
    ),
    Rule(
        "OKX-04",
        "Counterparties are matched at the current mark price, outside the order book.",
        HELP,
        "third party",
    ),
    Rule(
        "OKX-05",
        "The bankruptcy price is used instead where the fund is nearly spent.",
        HELP,
        "third party",
        "nearly spent: pool equity at or below 10 % of its 8 h peak",
    ),
    Rule("OKX-06", "The position field adl shows 0-5, 5 first in line.", "OKX docs-v5", "official"),
    Rule(
        "OKX-07",
        "Fee and open orders of a counterparty.",
        HELP,
        "not documented",
        "no fee; the open orders in the same contract are cancelled",
    ),
)

OKX = RuleSet(
    name="okx",
    venue="OKX, 2020 to 2025: drawdown from the peak",
    cases=(
        Case(PoolEquity(), PRICE),
        Case(PoolDrawdown(THIRD), PRICE),
        Case(Illiquidity(WAIT), PRICE),
    ),
    ranking=RANKING,
    rules=(
        *_SHARED,
        Rule(
            "OKX-08",
            "ADL starts when the fund has fallen 30 % from its peak of 8 h.",
            STAGE,
            "official",
            "inclusive; the level at which it stops is set by contract and not published: below "
            "30 % again",
        ),
    ),
)

OKX_2025 = RuleSet(
    name="okx_2025",
    venue="OKX since 2025: distance from the mean",
    cases=(
        Case(PoolEquity(), PRICE),
        Case(PoolBelowMean(THIRD, least_units=50_000), PRICE),
        Case(Illiquidity(WAIT), PRICE),
    ),
    ranking=RANKING,
    rules=(
        *_SHARED,
        Rule(
            "OKX-09",
            "ADL starts when the fund is below its 8 h mean less the larger of 30 % of it and "
            "50,000 USD.",
            "OKX article of March 2025, as told by ukcamo",
            "third party",
            "time-weighted mean; 50,000 units of the settle asset; it stops at that level again",
        ),
    ),
)
