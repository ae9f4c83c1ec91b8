"""Delta Exchange: the BitMEX formula, with indicators by count."""

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import Ranking, leveraged_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import AccountEquity

DOCS = "Delta Exchange docs, trading-guide/ADL"

DELTA = RuleSet(
    name="delta",
    venue="Delta Exchange",
    cases=(Case(AccountEquity(), AtBankruptcyPrice()),),
    ranking=Ranking(
        "profit / entry value x leverage, / leverage when losing; leverage = mark value / "
        "(mark value - bankrupt value)",
        leveraged_return,
    ),
    cancels=OrderScope.CONTRACT,
    rules=(
        Rule(
            "DEL-01",
            "ADL starts when the engine cannot close at the bankruptcy price or better.",
            DOCS,
            "official",
            "the mark has passed the price of the takeover, whatever the pool holds",
        ),
        Rule(
            "DEL-02",
            "Rank = PnL% x position leverage for winners, / leverage for losers.",
            DOCS,
            "official",
            "the ordinals printed for losers contradict the formula, which is followed; ties go by "
            "account name",
        ),
        Rule(
            "DEL-03",
            "The quintile of the position among all of its side.",
            DOCS,
            "official",
            "by count of positions",
        ),
        Rule("DEL-04", "Counterparties close at the bankruptcy price.", DOCS, "official", "no fee"),
        Rule("DEL-05", "Open orders in the same contract are cancelled.", DOCS, "official"),
    ),
)
