"""Bitget: when the coin's fund is used up, by return and margin ratio."""

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
        "profit / entry value x maintenance margin / equity, / when losing", margin_ratio_return
    ),
    rules=(
        Rule(
            "BGT-01",
            "ADL starts when the fund of the coin is fully used up and stops when it is positive.",
            HELP,
            "official",
            "pool equity <= 0 and > 0; an earlier text (a fall of 30 % from the peak, until 90 % "
            "of the threshold) no longer holds",
        ),
        Rule(
            "BGT-02",
            "ROI x the account's maintenance margin rate ranks winners, ROI / the rate losers; ROI "
            "is on the value at average entry.",
            HELP,
            "official",
        ),
        Rule(
            "BGT-03",
            "Isolated positions are ranked by another rate.",
            HELP,
            "partly read",
            "the position's own maintenance margin / (margin + profit)",
        ),
        Rule(
            "BGT-04", "Counterparties close at the bankruptcy price without fee.", HELP, "official"
        ),
        Rule(
            "BGT-05",
            "Winners go before losers; a position under liquidation counts as 0.",
            HELP + " and 360059239211",
            "partly read",
            "a position under liquidation is never closed by ADL",
        ),
        Rule(
            "BGT-06",
            "Open orders of a counterparty, and the indicator.",
            HELP,
            "not documented",
            "orders in the same contract are cancelled; five indicators by count",
        ),
    ),
)
