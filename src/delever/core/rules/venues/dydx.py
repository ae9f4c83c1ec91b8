"""dYdX v4: no ranking; a scan over the other side from a pseudo-random start that replays."""

import hashlib

import numpy as np

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import UNPUBLISHED, Ranking, Score
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import AccountEquity
from delever.core.rules.triggers.sizing import Sizing
from delever.core.valuation.side_valuation import SideValuation

CODE = "dydxprotocol v4-chain @84d4664, x/clob/keeper/deleveraging.go"

SEED = "dydx"


def scan(valuation: SideValuation) -> Score:
    """Return minus the steps from the start, which is drawn from a seed and the engine's time."""
    order = np.lexsort((valuation.position, valuation.account_order))
    place = np.empty(valuation.size, np.int64)
    place[order] = np.arange(valuation.size)
    drawn = hashlib.blake2b(f"{SEED} {valuation.time_ms}".encode(), digest_size=8).digest()
    positions = max(valuation.size, 1)
    start = int.from_bytes(drawn, "big") % positions
    steps = (place - start) % positions
    terms = {
        "place_number": place,
        "start_number": np.full(valuation.size, start),
        "positions_number": np.full(valuation.size, positions),
    }
    parts = {"steps_from_start": steps.astype(np.float64)}
    return Score((-steps).astype(np.float64), parts, terms=terms)


DYDX = RuleSet(
    name="dydx",
    venue="dYdX v4",
    cases=(Case(AccountEquity(), AtBankruptcyPrice()),),
    sizing=Sizing.WHOLE,
    ranking=Ranking(
        "-((place - start) mod positions): a scan over accounts from a pseudo-random start",
        scan,
        timed=True,
    ),
    indicator_scale=UNPUBLISHED,
    cancel_scope=OrderScope.NONE,
    rules=(
        Rule(
            "DYX-01",
            "A position is deleveraged when its account's total net collateral is negative and its "
            "liquidation has filled nothing.",
            CODE,
            "official",
            "the mark has passed the takeover price",
        ),
        Rule(
            "DYX-02",
            "Accounts on the other side are tried in order, from a pseudo-random start.",
            CODE,
            "official",
            "the start is drawn from a seed and the engine's time, so that it replays; all "
            "accounts are tried, not 500; help page 8581982 says that profit and leverage decide, "
            "which the code contradicts",
        ),
        Rule(
            "DYX-03",
            "An account that the fill would leave with negative collateral is skipped; fills made "
            "before stay.",
            CODE,
            "official",
            "the check assumes the largest possible fill",
        ),
        Rule(
            "DYX-04",
            "Bankruptcy price: -(net notional) - net collateral x the position's share of "
            "maintenance margin, rounded in favor of the liquidated account.",
            CODE,
            "official",
            "rounded to a tick in the same direction, and at least one tick",
        ),
        Rule("DYX-05", "Neither side pays a fee; open orders stay.", CODE, "official"),
        Rule(
            "DYX-06",
            "The full size is offset; the fund pays nothing in a deleveraging, and takes no fill "
            "that it cannot cover.",
            CODE,
            "official",
            "sizing `whole`: all underwater inventory",
        ),
        Rule(
            "DYX-07",
            "In final settlement longs and shorts are offset at the oracle price, an account with "
            "negative collateral at its bankruptcy price.",
            "dYdX forum, topic 2751; " + CODE,
            "official",
            "all close at the price given; what accounts lack beyond the fund is shared over the "
            "contract's winners by realized PnL, where dYdX takes it from those offset",
        ),
    ),
    winners_pay_settlement=True,
)
