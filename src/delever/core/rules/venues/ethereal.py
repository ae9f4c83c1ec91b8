"""Ethereal: one criterion after the other, until the fund is solvent and empty."""

from delever.core.rules.adl_price import AtCappedMark
from delever.core.rules.ranking import UNPUBLISHED, Ranking, Score, account_leverage
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import PoolEquity
from delever.core.valuation.side_valuation import SideValuation

DOCS = "Ethereal docs, auto-deleveraging"


def score(view: SideValuation) -> Score:
    """Return effective leverage; ties: more profit, less balance, the higher account name."""
    leverage = account_leverage(view.notional, view)
    ties = (view.profit, -view.balance, view.account_order)
    return Score(leverage, {"effective_leverage": leverage}, ties)


ETHEREAL = RuleSet(
    name="ethereal",
    venue="Ethereal",
    cases=(Case(PoolEquity(until_empty=True), AtCappedMark()),),
    ranking=Ranking(
        "notional / equity; then more profit, less balance, the higher account name", score
    ),
    indicator_scale=UNPUBLISHED,
    cancels=OrderScope.NONE,
    rules=(
        Rule(
            "ETR-01",
            "ADL starts when a liquidation would leave the fund insolvent.",
            DOCS,
            "official",
            "pool equity <= 0",
        ),
        Rule(
            "ETR-02",
            "It runs, without checks in between, until the fund is solvent and holds no position.",
            DOCS,
            "official",
        ),
        Rule(
            "ETR-03",
            "Ranked by effective leverage, then unrealized profit, both highest first, then lowest "
            "balance, then highest account id.",
            DOCS,
            "official",
            "leverage = notional / equity; the account's name is its id",
        ),
        Rule(
            "ETR-04",
            "The price is the oracle mark, capped at the bankruptcy price.",
            DOCS,
            "official",
            "never worse for the fund than the price of the takeover",
        ),
        Rule(
            "ETR-05",
            "Fee and open orders of counterparties.",
            DOCS,
            "not documented",
            "no fee; none are cancelled",
        ),
    ),
)
