"""Cube: before the fund pays, positions are closed by absolute PnL times account leverage."""

from collections.abc import Sequence

import numpy as np

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.loss_socialization import LossClaim, SocializedLoss, open_notional
from delever.core.rules.policies.allocation import share
from delever.core.rules.ranking import UNPUBLISHED, Ranking, Score, quotient_score
from delever.core.rules.ruleset import Case, Rule, RuleSet
from delever.core.rules.triggers import AccountEquity
from delever.core.rules.triggers.sizing import Sizing
from delever.core.valuation.side_valuation import SideValuation

DOCS = "cubexch/gitbook@62787cd"


def score(valuation: SideValuation) -> Score:
    """Return PnL in whole units x (for losers, divided by) notional / account equity."""
    terms = {
        "unrealized_pnl": valuation.unrealized_pnl,
        "whole_unit": np.full(valuation.size, valuation.terms.cash_unit),
        "notional": valuation.notional,
        "equity": valuation.equity,
    }
    quotients = {
        "pnl": ("unrealized_pnl", "whole_unit"),
        "account_leverage": ("notional", "equity"),
    }
    return quotient_score(terms, quotients, divides_losers=True)


def by_notional(claims: Sequence[LossClaim], loss_cash: int) -> list[int]:
    """Return shares of a loss by notional, which is that of lots in one contract.

    No position pays more than its share of its account's equity.
    """
    payouts = [claim.payout_cash for claim in claims]
    return share(loss_cash, payouts, [claim.lots for claim in claims])


CUBE = RuleSet(
    name="cube",
    venue="Cube",
    cases=(Case(AccountEquity(), AtBankruptcyPrice()),),
    sizing=Sizing.FUND_AFTER,
    ranking=Ranking("PnL x notional / equity, for losers /", score),
    indicator_scale=UNPUBLISHED,
    last_resort=SocializedLoss("by_notional", by_notional, weight=open_notional),
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
            "of all contracts of the pool, once the queue has nobody left and the fund is below 0; "
            "no position pays more than its share of its account's equity",
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
