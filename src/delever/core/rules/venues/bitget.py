"""Bitget: when the coin's insurance fund is depleted; ranked by return and margin ratio."""

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import Ranking, margin_ratio_return
from delever.core.rules.ruleset import Case, Rule, RuleSet
from delever.core.rules.triggers import PoolEquity

HELP = "Bitget support 12560603800805, 2025-09-27"

BITGET = RuleSet(
    name="bitget",
    venue="Bitget",
    cases=(Case(PoolEquity(), AtBankruptcyPrice()),),
    ranking=Ranking(
        "PnL / entry value x maintenance margin / equity, for losers /", margin_ratio_return
    ),
    rules=(
        Rule(
            "BGT-01",
            "ADL starts when the coin's insurance fund is depleted, and stops when it is positive.",
            HELP,
            "official",
            "pool equity <= 0 and > 0; an earlier text (a drawdown of 30 % from the peak, until 90 "
            "% of the threshold) no longer applies",
        ),
        Rule(
            "BGT-02",
            "Winners are ranked by ROI x the account's margin ratio, losers by ROI / margin ratio; "
            "ROI is on the value at average entry price.",
            HELP,
            "official",
        ),
        Rule(
            "BGT-03",
            "Isolated positions are ranked by a margin ratio of their own.",
            HELP,
            "partly read",
            "the position's maintenance margin / (margin + PnL)",
        ),
        Rule(
            "BGT-04",
            "Counterparties close at the bankruptcy price, without a fee.",
            HELP,
            "official",
        ),
        Rule(
            "BGT-05",
            "Winners rank before losers; the score of a position under liquidation is 0.",
            HELP + " and 360059239211",
            "partly read",
            "a position under liquidation is never closed by ADL",
        ),
        Rule(
            "BGT-06",
            "Open orders of a counterparty, and the indicator.",
            HELP,
            "not documented",
            "open orders in the same contract are cancelled; indicator 1-5 by count",
        ),
        Rule(
            "BGT-07",
            "ADL is matched while the fund is used up; the part of a loss that the fund cannot "
            "pay is absorbed by counterparties.",
            HELP + ", and the academy page on the insurance fund",
            "partly read",
            "sizing `residual`; the current article, which matches whole liquidation orders while "
            "ADL is on, can be read as `whole`",
        ),
    ),
)
