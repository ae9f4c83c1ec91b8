"""Lighter: only where zero prices cross, so that no account stands worse."""

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.eligibility import WouldBankrupt, ZeroPricesApart
from delever.core.rules.ranking import UNPUBLISHED, Ranking, account_leveraged_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import FundExhausted

DOCS = "Lighter docs, liquidations"

LIGHTER = RuleSet(
    name="lighter",
    venue="Lighter",
    cases=(Case(FundExhausted(), AtBankruptcyPrice()),),
    ranking=Ranking(
        "profit / entry value x notional / equity, / when losing (assumed)",
        account_leveraged_return,
    ),
    indicator_scale=UNPUBLISHED,
    skips=(WouldBankrupt(), ZeroPricesApart()),
    cancels=OrderScope.NONE,
    rules=(
        Rule(
            "LIT-01",
            "ADL takes what is worth less than nothing and the liquidity pool cannot take over.",
            DOCS,
            "official",
            "the mark has passed the price of the takeover and pool equity <= 0",
        ),
        Rule(
            "LIT-02",
            "Zero price = mark x (1 - account value x margin fraction / margin requirement) for "
            "longs, + for shorts: a trade there leaves the account's health as it is.",
            DOCS,
            "official",
            "the bankruptcy price with its share of equity by maintenance margin is the same",
        ),
        Rule(
            "LIT-03",
            "Two accounts are matched only if their zero prices cross.",
            DOCS,
            "official",
            "at the zero price of the position taken over",
        ),
        Rule(
            "LIT-04",
            "Counterparties are ranked by leverage and unrealized profit.",
            DOCS,
            "not documented",
            "weights are not published: return on entry x account leverage",
        ),
        Rule("LIT-05", "Neither side pays a fee.", "re-implementations", "third party"),
        Rule(
            "LIT-06", "Open orders of counterparties.", DOCS, "not documented", "none are cancelled"
        ),
    ),
)
