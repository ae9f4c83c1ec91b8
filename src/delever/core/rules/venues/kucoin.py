"""KuCoin Futures: return on entry times account leverage."""

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import PERCENTILE, Ranking, account_leveraged_return
from delever.core.rules.ruleset import Case, Rule, RuleSet
from delever.core.rules.triggers import PoolEquity

HELP = "KuCoin support 26686471898009"

KUCOIN = RuleSet(
    name="kucoin",
    venue="KuCoin Futures",
    cases=(Case(PoolEquity(), AtBankruptcyPrice()),),
    ranking=Ranking(
        "profit / entry value x notional / equity, / when losing", account_leveraged_return
    ),
    indicator_scale=PERCENTILE,
    rules=(
        Rule(
            "KUC-01",
            "ADL starts when the fund does not suffice for what closed beyond bankruptcy.",
            HELP,
            "official",
            "pool equity <= 0; it stops above 0",
        ),
        Rule(
            "KUC-02",
            "Position return rate = profit / value at average entry, linear and inverse.",
            HELP + " and 35084312224281",
            "official",
        ),
        Rule(
            "KUC-03",
            "The return rate is multiplied by effective leverage for winners, divided for losers; "
            "leverage = value at mark / (margin + profit), in cross / the margin balance.",
            HELP,
            "official",
            "the cross margin balance is the account's equity",
        ),
        Rule("KUC-04", "Counterparties close at the bankruptcy price.", HELP, "official", "no fee"),
        Rule(
            "KUC-05",
            "Five indicators of 20 % each; delevPercentage is the percentile, 0-1.",
            HELP + "; KuCoin futures API, positions",
            "official",
            "indicator / 5, by count",
        ),
        Rule(
            "KUC-06",
            "Open orders of a deleveraged account.",
            HELP,
            "not documented",
            "those in the same contract are cancelled",
        ),
    ),
)
