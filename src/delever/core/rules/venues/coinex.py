"""CoinEx: price ratio times leverage of the margin."""

import numpy as np

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import Ranking, Score, price_move
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import Illiquidity, PoolEquity
from delever.core.units import ratio
from delever.core.valuation.side_valuation import SideValuation

HELP = "CoinEx help, auto-deleveraging (Chinese)"

WAIT = Limits(wait_ms=60_000)


def score(view: SideValuation) -> Score:
    """Return mark value / open value (turned over for shorts) x open value / margin."""
    margin = np.where(view.isolated, view.margin, view.initial_margin)
    move, leverage = price_move(view), ratio(view.entry_notional, margin)
    return Score(move * leverage, {"price_move": move, "leverage_on_margin": leverage})


COINEX = RuleSet(
    name="coinex",
    venue="CoinEx",
    cases=(Case(PoolEquity(), AtBankruptcyPrice()), Case(Illiquidity(WAIT), AtBankruptcyPrice())),
    ranking=Ranking("(mark / open value, open / mark for shorts) x open value / margin", score),
    cancels=OrderScope.ACCOUNT,
    rules=(
        Rule(
            "CEX-01",
            "ADL starts when the fund does not suffice, or there is no liquidity.",
            HELP,
            "official",
            "pool equity <= 0; or depth within slippage less than inventory for 60 s",
        ),
        Rule(
            "CEX-02",
            "Score = profit ratio x actual leverage; the ratio is mark value / open value for "
            "longs, open / mark value for shorts, without minus 1.",
            HELP,
            "official",
            "inverse: the ratio that rises with profit",
        ),
        Rule(
            "CEX-03",
            "Actual leverage = open value / margin.",
            HELP,
            "official",
            "a cross position's margin is its initial margin",
        ),
        Rule("CEX-04", "Five indicators of 20 % each.", HELP, "official", "by count"),
        Rule("CEX-05", "The orders of a counterparty are cancelled.", HELP, "official"),
        Rule(
            "CEX-06", "Closing price and fee.", HELP, "not documented", "bankruptcy price, no fee"
        ),
    ),
)
