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
        "PnL / entry value x leverage, for losers / leverage; leverage = mark value / (mark value "
        "- bankruptcy value)",
        leveraged_return,
    ),
    cancel_scope=OrderScope.CONTRACT,
    rules=(
        Rule(
            "DEL-01",
            "ADL starts when the engine cannot close at the bankruptcy price or better.",
            DOCS,
            "official",
            "the mark has passed the takeover price, whatever the pool equity is; the fund first "
            "pays up to 5 % (BTC, ETH) or 2 % beyond it, in a help article 5 % everywhere: not "
            "modeled",
        ),
        Rule(
            "DEL-02",
            "Rank = PnL % x position leverage for winners, PnL % / leverage for losers.",
            DOCS,
            "official",
            "the formula; the example's ranks of losers contradict it; ties go by account id",
        ),
        Rule(
            "DEL-03",
            "The indicator is the quintile of the position among all positions of its side.",
            DOCS,
            "official",
            "by count of positions",
        ),
        Rule("DEL-04", "Counterparties close at the bankruptcy price.", DOCS, "official", "no fee"),
        Rule("DEL-05", "Open orders in the same contract are cancelled.", DOCS, "official"),
        Rule(
            "DEL-06",
            "ADL closes only what cannot be closed within the band that the insurance fund pays "
            "for; positions are reduced in part or in full.",
            "Delta Exchange, insurance fund",
            "official",
            "sizing `residual`; the band is not modeled: all inventory beyond its takeover price "
            "is what the band has not closed",
        ),
    ),
)
