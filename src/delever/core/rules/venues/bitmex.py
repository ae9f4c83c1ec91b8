"""BitMEX: the design that most venues copied."""

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import Ranking, leveraged_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import FundExhausted

PAGE = "BitMEX, Auto-Deleveraging"

BITMEX = RuleSet(
    name="bitmex",
    venue="BitMEX, and venues with the same text",
    cases=(Case(FundExhausted(), AtBankruptcyPrice()),),
    ranking=Ranking(
        "profit / entry value x leverage, / leverage when losing; leverage = mark value / "
        "(mark value - bankrupt value)",
        leveraged_return,
        weighting="quantity",
    ),
    cancels=OrderScope.CONTRACT,
    rules=(
        Rule(
            "BMX-01",
            "ADL starts when the mark reaches the bankruptcy price of a position not yet closed "
            "and the fund is depleted for the contract.",
            PAGE,
            "official",
            "the mark is beyond the takeover price and pool equity <= 0; it stops when either ends",
        ),
        Rule(
            "BMX-02",
            "Ranking = PNL% x effective leverage for winners, / effective leverage for losers.",
            PAGE,
            "official",
        ),
        Rule(
            "BMX-03",
            "Effective leverage = mark value / (mark value - bankrupt value).",
            PAGE,
            "official",
            "a cross position's bankrupt value takes its share of the equity by maintenance margin",
        ),
        Rule(
            "BMX-04",
            "Indicators show the place in the queue by cumulative quantity, a boundary included in "
            "front.",
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
    ),
)
