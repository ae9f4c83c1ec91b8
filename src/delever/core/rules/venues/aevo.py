"""Aevo: at the mark, and never in the majors or in options."""

import re

from delever.core.market.contract_terms import Terms
from delever.core.rules.adl_price import AtMark
from delever.core.rules.ranking import Ranking, Score, wallet_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import AccountEquity
from delever.core.valuation.side_valuation import SideValuation

DOCS = "Aevo docs, auto-deleveraging"

EXEMPT = re.compile(r"(BTC|ETH|SOL)-PERP|.+-[CP]")


def exempt(terms: Terms) -> bool:
    """Whether the name is that of a major's perpetual or of an option."""
    return EXEMPT.fullmatch(terms.name) is not None


def score(view: SideValuation) -> Score:
    """Return the return on the wallet times the margin ratio."""
    return wallet_return(view.profit, view)


AEVO = RuleSet(
    name="aevo",
    venue="Aevo",
    cases=(Case(AccountEquity(), AtMark()),),
    ranking=Ranking(
        "max(0, profit) / max(1, balance) x maintenance margin / equity", score, exempts=exempt
    ),
    cancels=OrderScope.NONE,
    rules=(
        Rule(
            "AEV-01",
            "ADL closes a bankrupt position that cannot be liquidated.",
            DOCS,
            "official",
            "the mark has passed the price of the takeover",
        ),
        Rule(
            "AEV-02",
            "Score = profit / max(1, balance) x maintenance margin / (balance + profit); 0 or less "
            "counts as 0.",
            DOCS,
            "official",
        ),
        Rule("AEV-03", "Both accounts trade at the mark price.", DOCS, "official"),
        Rule(
            "AEV-04",
            "Options and the perpetuals of BTC, ETH and SOL are never deleveraged.",
            DOCS,
            "official",
            "by name: BTC-PERP, ETH-PERP, SOL-PERP, and what ends in -C or -P",
        ),
        Rule(
            "AEV-05",
            "Bars, fee and open orders.",
            DOCS,
            "not documented",
            "five indicators by count; no fee; no orders are cancelled",
        ),
    ),
)
