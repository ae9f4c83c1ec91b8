"""Cube: before the fund pays, positions are closed by absolute PnL times account leverage."""

import numpy as np

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import UNPUBLISHED, Ranking, Score, account_leverage
from delever.core.rules.ruleset import Case, Rule, RuleSet
from delever.core.rules.triggers import AccountEquity
from delever.core.rules.triggers.sizing import Sizing
from delever.core.units import ratio
from delever.core.valuation.side_valuation import SideValuation

DOCS = "cubexch/gitbook@62787cd"


def score(valuation: SideValuation) -> Score:
    """Return PnL in whole units x (for losers, divided by) notional / account equity."""
    unit = np.full(valuation.size, valuation.terms.cash_unit)
    pnl = ratio(valuation.unrealized_pnl, unit)
    leverage = account_leverage(valuation.notional, valuation)
    value = np.where(pnl > 0, pnl * leverage, ratio(pnl, leverage))
    return Score(value, {"pnl": pnl, "account_leverage": leverage})


CUBE = RuleSet(
    name="cube",
    venue="Cube",
    cases=(Case(AccountEquity(), AtBankruptcyPrice()),),
    sizing=Sizing.FUND_AFTER,
    ranking=Ranking("PnL x notional / equity, for losers /", score),
    indicator_scale=UNPUBLISHED,
    rules=(
        Rule(
            "CUB-01",
            "A liquidation goes to the market, then to backstop providers or ADL, then to the "
            "fund: the fund pays after ADL.",
            DOCS,
            "official",
            "ADL starts when the mark has passed the takeover price",
        ),
        Rule(
            "CUB-02",
            "Winners are ranked by PnL x effective leverage, losers by PnL / leverage; PnL is "
            "an amount, not a percentage, and leverage is notional / account equity.",
            DOCS,
            "official",
        ),
        Rule("CUB-03", "The price of ADL.", DOCS, "not documented", "the takeover price"),
        Rule(
            "CUB-04",
            "What the fund cannot pay is shared by current notional over all traders.",
            DOCS,
            "official",
            "not modeled: a deficit stays with the pool",
        ),
        Rule(
            "CUB-05",
            "The indicator, and the open orders of a counterparty.",
            DOCS,
            "not documented",
            "1-5 by count; open orders in the same contract are cancelled",
        ),
    ),
)
