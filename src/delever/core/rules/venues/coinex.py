"""CoinEx: price ratio times leverage on margin."""

import numpy as np

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import Ranking, Score, price_move, quotient_score
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import Illiquidity, PoolEquity
from delever.core.valuation.side_valuation import SideValuation

HELP = "CoinEx help, auto-deleveraging (Chinese)"

WAIT = Limits(wait_ms=60_000)


def score(valuation: SideValuation) -> Score:
    """Return mark value / open value (inverted for shorts) x open value / margin."""
    terms = {
        "notional": valuation.notional,
        "entry_notional": valuation.entry_notional,
        "margin": np.where(valuation.isolated, valuation.margin, valuation.initial_margin),
    }
    leverage = "entry_notional", "margin"
    return quotient_score(
        terms, {"price_move": price_move(valuation), "leverage_on_margin": leverage}
    )


COINEX = RuleSet(
    name="coinex",
    venue="CoinEx",
    cases=(Case(PoolEquity(), AtBankruptcyPrice()), Case(Illiquidity(WAIT), AtBankruptcyPrice())),
    ranking=Ranking("(mark / open value, open / mark for shorts) x open value / margin", score),
    cancel_scope=OrderScope.ACCOUNT,
    rules=(
        Rule(
            "CEX-01",
            "ADL starts when the insurance fund does not suffice, or there is no liquidity.",
            HELP,
            "official",
            "pool equity <= 0; or depth within the pool's slippage less than inventory for 60 s",
        ),
        Rule(
            "CEX-02",
            "Score = profit ratio x actual leverage; the profit ratio is mark value / open value "
            "for longs and open value / mark value for shorts, without subtracting 1.",
            HELP,
            "official",
            "inverse contracts: the ratio that rises with PnL",
        ),
        Rule(
            "CEX-03",
            "Actual leverage = open value / margin.",
            HELP,
            "official",
            "the margin of a cross position is its initial margin",
        ),
        Rule("CEX-04", "Five indicator levels of 20 % each.", HELP, "official", "by count"),
        Rule("CEX-05", "Open orders of a counterparty are cancelled.", HELP, "official"),
        Rule(
            "CEX-06",
            "Counterparties close at the bankruptcy price.",
            "CoinEx help, 2021 text",
            "third party",
            "the current text is silent; no fee",
        ),
        Rule(
            "CEX-07",
            "How much of the inventory one round closes.",
            HELP,
            "not documented",
            "sizing `residual` for a loss of the fund: the fewest lots that leave pool equity "
            "above `stop_equity` (0 by default); all of it if depth is missing",
        ),
    ),
)
