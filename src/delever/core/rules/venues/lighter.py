"""Lighter: ADL only where zero prices cross, so that no account's health gets worse."""

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.eligibility import FillSolvencyFilter, ZeroPriceFilter
from delever.core.rules.ranking import UNPUBLISHED, Ranking, account_leveraged_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import FundDepleted
from delever.core.rules.triggers.sizing import Sizing

DOCS = "Lighter docs, liquidations"

LIGHTER = RuleSet(
    name="lighter",
    venue="Lighter",
    cases=(Case(FundDepleted(), AtBankruptcyPrice()),),
    sizing=Sizing.WHOLE,
    ranking=Ranking(
        "PnL / entry value x notional / equity, for losers / (assumed)", account_leveraged_return
    ),
    indicator_scale=UNPUBLISHED,
    filters=(FillSolvencyFilter(), ZeroPriceFilter()),
    cancel_scope=OrderScope.NONE,
    rules=(
        Rule(
            "LIT-01",
            "ADL closes accounts with negative value that the liquidity pool cannot take over.",
            DOCS,
            "official",
            "the mark has passed the takeover price and pool equity <= 0",
        ),
        Rule(
            "LIT-02",
            "Zero price = mark x (1 - account value x margin fraction / margin requirement) for "
            "longs, + for shorts: a trade at that price leaves the account's health unchanged.",
            DOCS,
            "official",
            "equal to the bankruptcy price with equity shared by maintenance margin",
        ),
        Rule(
            "LIT-03",
            "Two accounts are matched only if their zero prices cross.",
            DOCS,
            "official",
            "at the zero price of the position that was taken over",
        ),
        Rule(
            "LIT-04",
            "Counterparties are ranked by leverage and unrealized profit.",
            DOCS,
            "not documented",
            "the weights are not published: return on entry value x account leverage",
        ),
        Rule("LIT-05", "Neither side pays a fee.", "re-implementations", "third party"),
        Rule(
            "LIT-06", "Open orders of counterparties.", DOCS, "not documented", "none are cancelled"
        ),
        Rule(
            "LIT-07",
            "The position that the liquidity pool cannot take over is deleveraged.",
            DOCS,
            "partly read",
            "sizing `whole`: all underwater inventory, whatever the pool could still pay",
        ),
    ),
)
