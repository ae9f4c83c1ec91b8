"""Gate: a scale that runs backwards."""

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import BACKWARDS, Ranking, margin_ratio_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import PoolEquity

HELP = "Gate help, futures logic 22082"

GATE = RuleSet(
    name="gate",
    venue="Gate",
    cases=(Case(PoolEquity(), AtBankruptcyPrice()),),
    ranking=Ranking(
        "profit / entry value x maintenance margin / equity, / when losing", margin_ratio_return
    ),
    indicator_scale=BACKWARDS,
    cancels=OrderScope.ACCOUNT,
    rules=(
        Rule(
            "GAT-01",
            "ADL starts when the fund cannot cover a liquidated position.",
            HELP,
            "partly read",
            "pool equity <= 0; it stops above 0",
        ),
        Rule(
            "GAT-02",
            "The place in line follows from return rate and maintenance margin rate.",
            "Gate announcement, October 2025",
            "not documented",
            "the formula is not published: the product that Bitget publishes; until 2022 profit "
            "against entry, then profit x leverage",
        ),
        Rule(
            "GAT-03",
            "adl_ranking is 1 for who is next to 5, and 6 without a position or in liquidation.",
            "Gate API v4, positions",
            "official",
            "6 - indicator, by count",
        ),
        Rule(
            "GAT-04",
            "Counterparties are matched at the bankruptcy price of the liquidated position.",
            HELP,
            "partly read",
        ),
        Rule(
            "GAT-05",
            "Unfilled orders of a counterparty are cancelled; the fee is not stated.",
            HELP,
            "partly read",
            "all orders of the account; no fee",
        ),
    ),
)
