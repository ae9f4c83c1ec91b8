"""KuCoin Futures: return on entry value times account leverage."""

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
        "PnL / entry value x notional / equity, for losers /", account_leveraged_return
    ),
    indicator_scale=PERCENTILE,
    rules=(
        Rule(
            "KUC-01",
            "ADL starts when the insurance fund cannot pay the loss beyond bankruptcy.",
            HELP,
            "official",
            "pool equity <= 0; ADL stops above 0",
        ),
        Rule(
            "KUC-02",
            "Position return rate = PnL / value at average entry price, for linear and inverse.",
            HELP + " and 35084312224281",
            "official",
        ),
        Rule(
            "KUC-03",
            "Winners are ranked by return rate x effective leverage, losers by return rate / "
            "leverage; leverage = value at mark / (margin + PnL), in cross / margin balance.",
            HELP,
            "official",
            "the cross margin balance is the account's equity",
        ),
        Rule("KUC-04", "Counterparties close at the bankruptcy price.", HELP, "official", "no fee"),
        Rule(
            "KUC-05",
            "Five indicator levels of 20 % each; delevPercentage is the percentile, 0-1.",
            HELP + "; KuCoin futures API, positions",
            "official",
            "indicator / 5, by count",
        ),
        Rule(
            "KUC-06",
            "Open orders of a deleveraged account.",
            HELP,
            "not documented",
            "open orders in the same contract are cancelled",
        ),
        Rule(
            "KUC-07",
            "The fund settles the unfilled part at the bankruptcy price; ADL closes what it "
            "cannot.",
            "KuCoin support 26686139092889",
            "partly read",
            "sizing `residual`: the fewest lots that leave pool equity above `stop_equity` (0 by "
            "default)",
        ),
    ),
)
