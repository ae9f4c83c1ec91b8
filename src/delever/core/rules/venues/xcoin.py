"""XCoin: when the fund is empty or has fallen from its peak; ranked by return and margin ratio."""

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import UNPUBLISHED, Ranking, margin_ratio_return
from delever.core.rules.ruleset import Case, Rule, RuleSet
from delever.core.rules.triggers import PoolDrawdown, PoolEquity

HELP = "XCoin support 14577196478351"

THIRD = Limits(start_ppm=300_000, stop_ppm=300_000)

XCOIN = RuleSet(
    name="xcoin",
    venue="XCoin",
    cases=(Case(PoolEquity(), AtBankruptcyPrice()), Case(PoolDrawdown(THIRD), AtBankruptcyPrice())),
    ranking=Ranking(
        "PnL / entry value x maintenance margin / equity, for losers /", margin_ratio_return
    ),
    indicator_scale=UNPUBLISHED,
    rules=(
        Rule(
            "XCN-01",
            "ADL starts when the fund is 0, or has fallen by a part from its peak, or has lost "
            "an amount too often, or when liquidations wait; it stops when none of these holds.",
            HELP,
            "partly read",
            "the numbers are not published: 30 % below the peak; the count of losses and the "
            "backlog are not modeled",
        ),
        Rule(
            "XCN-02",
            "Cross accounts are ranked by return x the account's maintenance margin ratio, "
            "losers by return / ratio.",
            HELP,
            "partly read",
            "return on entry value",
        ),
        Rule(
            "XCN-03",
            "Under portfolio margin the factor is the absolute net delta of the currency; a net "
            "delta of 0 is not ranked.",
            HELP,
            "partly read",
            "portfolio margin is not modeled; `xcoin+net_exposure` does not rank hedged cross legs",
        ),
        Rule(
            "XCN-04",
            "The price, the indicator and the open orders of a counterparty.",
            HELP,
            "not documented",
            "the bankruptcy price; indicator 1-5 by count; open orders in the same contract are "
            "cancelled",
        ),
    ),
)
