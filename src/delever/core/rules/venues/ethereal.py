"""Ethereal: ranked by several criteria, until the fund is solvent and has no inventory."""

from dataclasses import replace

from delever.core.rules.adl_price import AtCappedMark
from delever.core.rules.ranking import UNPUBLISHED, Ranking, Score, quotient_score
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import PoolEquity
from delever.core.rules.triggers.sizing import Sizing
from delever.core.valuation.side_valuation import SideValuation

DOCS = "Ethereal docs, auto-deleveraging"


def score(valuation: SideValuation) -> Score:
    """Return effective leverage; ties: higher PnL, lower balance, higher account id."""
    terms = {"notional": valuation.notional, "equity": valuation.equity}
    ties = (valuation.unrealized_pnl, -valuation.balance, valuation.account_order)
    return quotient_score(terms, {"effective_leverage": ("notional", "equity")}, tiebreakers=ties)


ETHEREAL = RuleSet(
    name="ethereal",
    venue="Ethereal",
    cases=(Case(PoolEquity(until_empty=True), AtCappedMark()),),
    sizing=Sizing.WHOLE,
    ranking=Ranking("notional / equity; then higher PnL, lower balance, higher account id", score),
    indicator_scale=UNPUBLISHED,
    cancel_scope=OrderScope.NONE,
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
            "ADL runs, without checks in between, until the fund is solvent and has no position.",
            DOCS,
            "official",
            "contested: this is step 5 of the page; its step 4 closes just enough to offset the "
            "shortfall, which is `ethereal_step4`",
        ),
        Rule(
            "ETR-03",
            "Ranked by effective leverage, then unrealized PnL, both highest first, then lowest "
            "balance, then highest account id.",
            DOCS,
            "official",
            "leverage = notional / equity",
        ),
        Rule(
            "ETR-04",
            "The price is the oracle mark, capped at the bankruptcy price.",
            DOCS,
            "official",
            "never worse for the fund than the takeover price",
        ),
        Rule(
            "ETR-05",
            "Fee and open orders of counterparties.",
            DOCS,
            "not documented",
            "no fee; no open orders are cancelled",
        ),
        Rule(
            "ETR-06",
            "Just enough is closed to offset the shortfall (step 4); ADL runs to completion even "
            "if the fund becomes solvent on the way (step 5).",
            DOCS,
            "official",
            "the steps disagree. Sizing `whole`, by step 5: all inventory, in profit or not, "
            "until the fund has none",
        ),
    ),
)

ETHEREAL_STEP4 = replace(
    ETHEREAL,
    name="ethereal_step4",
    sizing=Sizing.RESIDUAL,
    venue="Ethereal, by step 4 of its page",
    cases=(Case(PoolEquity(), AtCappedMark()),),
)
"""The other reading of ETR-02: ADL stops as soon as the fund is solvent."""
