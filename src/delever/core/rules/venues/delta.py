"""Delta Exchange: the BitMEX formula, with indicators by count."""

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import Ranking, leveraged_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import BankruptcyBand, FundDepleted

DOCS = "Delta Exchange docs, trading-guide/ADL"

INSURANCE = "Delta Exchange, insurance fund"

MAJORS = dict.fromkeys(("BTCUSD", "BTCUSDT", "ETHUSD", "ETHUSDT"), Limits(start_ppm=50_000))

DELTA = RuleSet(
    name="delta",
    venue="Delta Exchange",
    cases=(
        Case(BankruptcyBand(Limits(start_ppm=20_000), MAJORS), AtBankruptcyPrice()),
        Case(FundDepleted(), AtBankruptcyPrice()),
    ),
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
            "the mark is beyond the band of DEL-07, whatever the pool equity is, or beyond the "
            "takeover price with a depleted fund",
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
            INSURANCE,
            "official",
            "sizing `residual`: the inventory beyond its band is what the band has not closed",
        ),
        Rule(
            "DEL-07",
            "The fund first pays a loss of up to 5 % (BTC, ETH) or 2 % (others) beyond the "
            "bankruptcy price.",
            INSURANCE,
            "official",
            "the fund page; a help article says 5 % for any contract: `start` sets the band. BTC "
            "and ETH are the contracts BTCUSD, BTCUSDT, ETHUSD and ETHUSDT",
        ),
    ),
)
