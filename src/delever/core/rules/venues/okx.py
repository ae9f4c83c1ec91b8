"""OKX: drawdown of the insurance fund from its peak (to 2025) or its mean, closed at the mark."""

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtMarkUnlessDepleted
from delever.core.rules.ranking import Ranking, margin_ratio_return
from delever.core.rules.ruleset import Case, Rule, RuleSet
from delever.core.rules.triggers import Illiquidity, PoolBelowMean, PoolDrawdown, PoolEquity
from delever.core.rules.triggers.sizing import Sizing

HELP = "OKX help, Introduction to auto-deleveraging"
STAGE = "OKX help, early liquidation; docs-v5 adl-warning channel"

THIRD = Limits(start_ppm=300_000, stop_ppm=300_000)
WAIT = Limits(wait_ms=60_000)
PRICE = AtMarkUnlessDepleted(depleted_ppm=100_000)

RANKING = Ranking(
    "PnL / entry value / (equity / maintenance margin), for losers x", margin_ratio_return
)

_SHARED = (
    Rule(
        "OKX-01",
        "ADL starts when the insurance fund is depleted.",
        STAGE,
        "official",
        "pool equity <= 0; ADL stops above 0",
    ),
    Rule(
        "OKX-02",
        "ADL starts when unmatched liquidation orders exceed a threshold (pre-market contracts).",
        STAGE,
        "official",
        "the threshold is not published: depth within the pool's slippage has been less than "
        "inventory for 60 s, in any contract with known depth",
    ),
    Rule(
        "OKX-03",
        "Winners are ranked by return / margin ratio, losers by return x margin ratio; the margin "
        "ratio is the account's equity / maintenance margin, with liquidation at 1.",
        HELP,
        "third party",
        "return on entry value; an isolated position has its own margin ratio",
    ),
    Rule(
        "OKX-04",
        "Counterparties are closed at the current mark price, outside the order book.",
        HELP,
        "third party",
        "sizing `whole`: all underwater inventory",
    ),
    Rule(
        "OKX-05",
        "The bankruptcy price is used instead if the fund is nearly depleted.",
        HELP,
        "third party",
        "nearly depleted: pool equity at or below 10 % of its 8 h peak",
    ),
    Rule("OKX-06", "Field adl of a position: 0 to 5, 5 is next.", "OKX docs-v5", "official"),
    Rule(
        "OKX-07",
        "Fee and open orders of a counterparty.",
        HELP,
        "not documented",
        "no fee; open orders in the same contract are cancelled",
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
    sizing=Sizing.WHOLE,
    winners_pay_settlement=True,
    ranking=RANKING,
    rules=(
        *_SHARED,
        Rule(
            "OKX-08",
            "ADL starts when the fund has fallen 30 % from its 8 h peak.",
            STAGE,
            "official",
            "inclusive; the stop level is set by contract and not published: ADL stops as soon as "
            "the drawdown is below 30 %",
        ),
    ),
)

OKX_2025 = RuleSet(
    name="okx_2025",
    venue="OKX since 2025: distance from the mean",
    cases=(
        Case(PoolEquity(), PRICE),
        Case(PoolBelowMean(THIRD, min_units=50_000), PRICE),
        Case(Illiquidity(WAIT), PRICE),
    ),
    sizing=Sizing.WHOLE,
    winners_pay_settlement=True,
    ranking=RANKING,
    rules=(
        *_SHARED,
        Rule(
            "OKX-09",
            "ADL starts when the fund is below its 8 h mean by more than 30 % of the mean and by "
            "more than 50,000 USD.",
            "OKX article of March 2025, quoted by ukcamo",
            "third party",
            "time-weighted mean; 50,000 units of the settle asset; ADL stops at the same level",
        ),
    ),
)
