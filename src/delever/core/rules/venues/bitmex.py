"""BitMEX: the design that most venues have copied."""

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import Ranking, leveraged_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import FundDepleted

PAGE = "BitMEX, Auto-Deleveraging"

BITMEX = RuleSet(
    name="bitmex",
    venue="BitMEX, and venues with the same text",
    cases=(Case(FundDepleted(), AtBankruptcyPrice()),),
    ranking=Ranking(
        "PnL / entry value x leverage, for losers / leverage; leverage = mark value / (mark value "
        "- bankruptcy value)",
        leveraged_return,
        weighting="quantity",
    ),
    cancel_scope=OrderScope.CONTRACT,
    rules=(
        Rule(
            "BMX-01",
            "ADL starts when the mark reaches the bankruptcy price of a position not yet closed "
            "and the insurance fund is depleted.",
            PAGE,
            "official",
            "the mark is beyond the takeover price and pool equity <= 0; ADL stops when either "
            "ends",
        ),
        Rule(
            "BMX-02",
            "Ranking = PnL % x effective leverage for winners, PnL % / leverage for losers.",
            PAGE,
            "official",
        ),
        Rule(
            "BMX-03",
            "Effective leverage = mark value / (mark value - bankruptcy value).",
            PAGE,
            "official",
            "a cross position has its share of the account's equity, by maintenance margin",
        ),
        Rule(
            "BMX-04",
            "Indicators show the place in the queue by cumulative quantity; a boundary belongs to "
            "the level in front.",
            PAGE + ", examples",
            "official",
        ),
        Rule(
            "BMX-05",
            "Counterparties are closed at the bankruptcy price of the initial liquidated order.",
            PAGE,
            "official",
        ),
        Rule(
            "BMX-06", "Open orders are cancelled.", PAGE, "official", "those in the same contract"
        ),
        Rule(
            "BMX-07",
            "The unfilled size of the liquidation walks down the queue; the fund has paid what it "
            "can.",
            PAGE,
            "official",
            "sizing `residual`: the fewest lots that leave pool equity above `stop_equity` (0 by "
            "default)",
        ),
    ),
)
