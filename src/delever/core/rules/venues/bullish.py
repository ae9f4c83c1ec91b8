"""Bullish: a defaulting account's perpetuals are closed at the mark, by margin used."""

from collections.abc import Sequence

import numpy as np

from delever.core.rules.adl_price import AtMark
from delever.core.rules.loss_socialization import LossClaim, SocializedLoss
from delever.core.rules.ranking import UNPUBLISHED, Ranking, Score, quotient_score
from delever.core.rules.ruleset import Case, Rule, RuleSet
from delever.core.rules.triggers import OpenInventory
from delever.core.rules.triggers.sizing import Sizing
from delever.core.units import ratio
from delever.core.valuation.side_valuation import SideValuation

HELP = "Bullish support 24436607098649"


def score(valuation: SideValuation) -> Score:
    """Return initial margin / equity of the margin bucket."""
    terms = {"initial_margin": valuation.initial_margin, "equity": valuation.equity}
    return quotient_score(terms, {"margin_used": ("initial_margin", "equity")})


def by_profit_per_lot(claims: Sequence[LossClaim], loss_cash: int) -> list[int]:
    """Return the loss taken from profits, those with the largest profit per lot first."""
    gain = np.array([claim.gain_cash for claim in claims], np.int64)
    profit_per_lot = ratio(gain, np.array([claim.lots for claim in claims], np.int64))
    shares = [0] * len(claims)
    for number in np.argsort(-profit_per_lot, kind="stable").tolist():
        shares[number] = min(loss_cash, claims[number].gain_cash, claims[number].payout_cash)
        loss_cash -= shares[number]
    return shares


BULLISH = RuleSet(
    name="bullish",
    venue="Bullish",
    cases=(Case(OpenInventory(), AtMark()),),
    sizing=Sizing.WHOLE,
    ranking=Ranking("initial margin / equity", score),
    indicator_scale=UNPUBLISHED,
    last_resort=SocializedLoss("by_profit_per_lot", by_profit_per_lot),
    rules=(
        Rule(
            "BUL-01",
            "All perpetual positions of a defaulting account are closed by ADL.",
            HELP,
            "partly read",
            "at once, with whatever the pool has taken over",
        ),
        Rule(
            "BUL-02",
            "Counterparties are chosen by the highest initial margin / margin.",
            HELP,
            "partly read",
            "the position's initial margin over the equity of its margin bucket",
        ),
        Rule(
            "BUL-03",
            "Positions close at the mark, as if the counterparties had posted maker orders.",
            HELP,
            "partly read",
            "without a fee; the defaulting account pays its own fees at the venue",
        ),
        Rule(
            "BUL-04",
            "The unsettled loss is taken from holders of the opposite side by unsettled profit "
            "per unit, then from flat accounts with unsettled profit, and stays a claim on the "
            "defaulting account.",
            HELP,
            "partly read",
            "the pool pays first the distance to the takeover price; what it lacks is taken from "
            "positions in profit, on either side; the event in the journal is the claim. The "
            "profit of flat accounts is not known, and a repayment is the venue's",
        ),
        Rule(
            "BUL-05",
            "The indicator, and the open orders of a counterparty.",
            HELP,
            "not documented",
            "1-5 by count; open orders in the same contract are cancelled",
        ),
    ),
)
