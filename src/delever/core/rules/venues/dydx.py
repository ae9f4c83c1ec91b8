"""dYdX v4: no ranking, but a scan over the other side from a start that replays the same."""

import hashlib

import numpy as np

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import UNPUBLISHED, Ranking, Score
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import AccountEquity
from delever.core.valuation.side_valuation import SideValuation

CODE = "dydxprotocol v4-chain @84d4664, x/clob/keeper/deleveraging.go"

SEED = "dydx"


def scan(view: SideValuation) -> Score:
    """Return minus the steps from the start; it is drawn from a seed and the engine's time."""
    order = np.lexsort((view.position, view.account_order))
    place = np.empty(view.size, np.int64)
    place[order] = np.arange(view.size)
    drawn = hashlib.blake2b(f"{SEED} {view.time_ms}".encode(), digest_size=8).digest()
    start = int.from_bytes(drawn, "big") % max(view.size, 1)
    steps = (place - start) % max(view.size, 1)
    return Score((-steps).astype(np.float64), {"steps_from_start": steps.astype(np.float64)})


DYDX = RuleSet(
    name="dydx",
    venue="dYdX v4",
    cases=(Case(AccountEquity(), AtBankruptcyPrice()),),
    ranking=Ranking("none: a scan over accounts from a pseudo-random start", scan, timed=True),
    indicator_scale=UNPUBLISHED,
    cancels=OrderScope.NONE,
    rules=(
        Rule(
            "DYX-01",
            "A position is deleveraged when its account's net collateral is below 0 and its "
            "liquidation has filled nothing.",
            CODE,
            "official",
            "the mark has passed the price of the takeover; final settlement is not covered",
        ),
        Rule(
            "DYX-02",
            "Accounts on the other side are tried from a pseudo-random start, then in order.",
            CODE,
            "official",
            "the start follows from a seed and the engine's time, so that it replays; all are "
            "tried, not 500",
        ),
        Rule(
            "DYX-03",
            "An account that the fill would leave without collateral is passed over; what is "
            "filled stays filled.",
            CODE,
            "official",
            "the test takes the fill as large as it can become",
        ),
        Rule(
            "DYX-04",
            "Bankruptcy price: minus net notional minus net collateral x its part of maintenance, "
            "rounded in favour of the liquidated account.",
            CODE,
            "official",
            "rounded to a tick in the same direction, and never below one tick",
        ),
        Rule("DYX-05", "Neither side pays a fee; open orders stay.", CODE, "official"),
    ),
)
