"""Gate: a rank of 1 is next to be deleveraged."""

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import REVERSED, Ranking, margin_ratio_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import PoolEquity

HELP = "Gate help, futures logic 22082"

GATE = RuleSet(
    name="gate",
    venue="Gate",
    cases=(Case(PoolEquity(), AtBankruptcyPrice()),),
    ranking=Ranking(
        "PnL / entry value x maintenance margin / equity, for losers /", margin_ratio_return
    ),
    indicator_scale=REVERSED,
    cancel_scope=OrderScope.ACCOUNT,
    rules=(
        Rule(
            "GAT-01",
            "ADL starts when the insurance fund cannot cover a liquidated position.",
            HELP,
            "partly read",
            "pool equity <= 0; ADL stops above 0",
        ),
        Rule(
            "GAT-02",
            "The rank follows from the return rate and the maintenance margin rate.",
            "Gate announcement, October 2025",
            "not documented",
            "the formula is not published; Bitget's is used (until 2022 Gate's was PnL on entry "
            "value, later PnL x leverage)",
        ),
        Rule(
            "GAT-03",
            "adl_ranking runs from 1 (next) to 5; it is 6 without a position or under liquidation.",
            "Gate API v4, positions",
            "official",
            "6 - indicator, by count",
        ),
        Rule(
            "GAT-04",
            "Counterparties are closed at the bankruptcy price of the liquidated position.",
            HELP,
            "partly read",
            "cross, long: mark x (1 - (maintenance rate + taker fee) x margin ratio) / (1 - taker "
            "fee); a takeover price that the venue sets is used as it is, and the engine's own has "
            "no fee",
        ),
        Rule(
            "GAT-05",
            "Open orders of a counterparty are cancelled; the fee is not stated.",
            HELP,
            "partly read",
            "all open orders of the account; no fee",
        ),
        Rule(
            "GAT-06",
            "The fund takes the unfilled remainder at the bankruptcy price; what it cannot take "
            "goes to counterparties until the liquidation is completed.",
            "Gate help 22081, 22082",
            "partly read",
            "sizing `residual`: the fewest lots that leave pool equity above `stop_equity` (0 by "
            "default)",
        ),
    ),
)
