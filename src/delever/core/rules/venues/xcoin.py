"""XCoin: when the fund is empty or has fallen from its peak; ranked by return and margin ratio."""

from dataclasses import replace

import numpy as np

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import UNPUBLISHED, Ranking, Score, margin_ratio_return
from delever.core.rules.ruleset import Case, Rule, RuleSet
from delever.core.rules.triggers import Backlog, LossCount, PoolDrawdown, PoolEquity
from delever.core.units import ratio
from delever.core.valuation.side_valuation import SideValuation

HELP = "XCoin support 14577196478351"

THIRD = Limits(start_ppm=300_000, stop_ppm=300_000)


def delta_return(valuation: SideValuation) -> Score:
    """Return return on entry x (for losers, /) the net quantity of the account in the contract."""
    gain = ratio(valuation.unrealized_pnl, valuation.entry_notional)
    mantissa, decimals = valuation.terms.lot
    quantity = valuation.net_lots.astype(np.float64) * mantissa
    delta = ratio(quantity, np.full(valuation.size, 10**decimals))
    value = np.where(gain > 0, gain * delta, ratio(gain, delta))
    return Score(
        value,
        {"return_on_entry": gain, "net_delta": delta},
        terms={
            "unrealized_pnl": valuation.unrealized_pnl,
            "entry_notional": valuation.entry_notional,
            "net_delta_lots": valuation.net_lots,
        },
        quotients={"return_on_entry": ("unrealized_pnl", "entry_notional")},
        divides_losers=True,
    )


XCOIN = RuleSet(
    name="xcoin",
    venue="XCoin",
    cases=(
        Case(PoolEquity(), AtBankruptcyPrice()),
        Case(PoolDrawdown(THIRD), AtBankruptcyPrice()),
        Case(LossCount(units=5_000_000, times=3), AtBankruptcyPrice()),
        Case(Backlog(), AtBankruptcyPrice()),
    ),
    ranking=Ranking(
        "PnL / entry value x maintenance margin / equity, for losers /", margin_ratio_return
    ),
    indicator_scale=UNPUBLISHED,
    rules=(
        Rule(
            "XCN-01",
            "ADL starts when the fund is 0, or has fallen by a part from its peak, or has lost "
            "an amount too often, or when liquidations wait; it stops when none of these holds.",
            HELP,
            "partly read",
            "no limit is published, only an example: 5 M lost more than 3 times in 4 hours, which "
            "counts minutes, and ends below 3; 30 % below the peak; the backlog has no number, and "
            "starts ADL only where `backlog` is set. Triggers stop one by one, and ADL with the "
            "last of them",
        ),
        Rule(
            "XCN-02",
            "Cross accounts are ranked by return x the account's maintenance margin ratio, "
            "losers by return / ratio.",
            HELP,
            "partly read",
            "return on entry value",
        ),
        Rule(
            "XCN-03",
            "Under portfolio margin the factor is the absolute net delta of the currency; a net "
            "delta of 0 is not ranked.",
            HELP,
            "partly read",
            "`xcoin_portfolio`, in which every account is under portfolio margin; the currency's "
            "net delta is that of the contract, in units of its lots",
        ),
        Rule(
            "XCN-04",
            "The price, the indicator and the open orders of a counterparty.",
            HELP,
            "not documented",
            "the bankruptcy price; indicator 1-5 by count; open orders in the same contract are "
            "cancelled",
        ),
    ),
)

XCOIN_PORTFOLIO = replace(
    XCOIN,
    name="xcoin_portfolio",
    venue="XCoin under portfolio margin",
    ranking=Ranking(
        "PnL / entry value x net quantity, for losers /", delta_return, net_exposure=True
    ),
)
