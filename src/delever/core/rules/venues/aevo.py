"""Aevo: closed at the mark; never in options, nor in the perpetuals of BTC, ETH and SOL."""

import re

from delever.core.market.contract_terms import ContractTerms
from delever.core.rules.adl_price import AtMark
from delever.core.rules.ranking import Ranking, Score, wallet_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import AccountEquity
from delever.core.rules.triggers.sizing import Sizing
from delever.core.valuation.side_valuation import SideValuation

DOCS = "Aevo docs, auto-deleveraging"

EXEMPT = re.compile(r"(BTC|ETH|SOL)-PERP|.+-[CP]")


def exempt(terms: ContractTerms) -> bool:
    """Return whether the contract's name is that of an option or a major perpetual."""
    return EXEMPT.fullmatch(terms.name) is not None


def score(valuation: SideValuation) -> Score:
    """Return the return on the wallet times the margin ratio."""
    return wallet_return(valuation.unrealized_pnl, valuation)


AEVO = RuleSet(
    name="aevo",
    venue="Aevo",
    cases=(Case(AccountEquity(), AtMark()),),
    sizing=Sizing.WHOLE,
    ranking=Ranking(
        "max(0, PnL) / max(1, balance) x maintenance margin / equity", score, exempts=exempt
    ),
    cancel_scope=OrderScope.NONE,
    rules=(
        Rule(
            "AEV-01",
            "ADL closes a bankrupt position that cannot be liquidated.",
            DOCS,
            "official",
            "the mark has passed the takeover price",
        ),
        Rule(
            "AEV-02",
            "Score = PnL / max(1, balance) x maintenance margin / (balance + PnL); negative scores "
            "count as 0.",
            DOCS,
            "official",
        ),
        Rule("AEV-03", "Both accounts trade at the mark price.", DOCS, "official"),
        Rule(
            "AEV-04",
            "Options and the perpetuals of BTC, ETH and SOL are never deleveraged.",
            DOCS,
            "official",
            "by name: BTC-PERP, ETH-PERP, SOL-PERP, and names that end in -C or -P",
        ),
        Rule(
            "AEV-05",
            "Indicator, fee and open orders.",
            DOCS,
            "not documented",
            "indicator 1-5 by count; no fee; no open orders are cancelled",
        ),
        Rule(
            "AEV-06",
            "How much of the position is closed.",
            DOCS,
            "not documented",
            "sizing `whole`: at the mark a part relieves the pool no more than all of it",
        ),
    ),
)
