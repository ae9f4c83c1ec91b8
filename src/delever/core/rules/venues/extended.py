"""Extended: after the fund, at a bankruptcy price that leaves the margin ratio as it is."""

import numpy as np

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import UNPUBLISHED, Ranking, Score, quotient_score
from delever.core.rules.ruleset import Case, Rule, RuleSet
from delever.core.rules.triggers import ContractDailyLoss, FundDepleted, PoolDailyLoss, TakeoverLoss
from delever.core.valuation.side_valuation import SideValuation

DOCS = "Extended docs, liquidation logic, 2026-04-06"
CODE = "x10xchange/starknet-perpetual@b132070"


def score(valuation: SideValuation) -> Score:
    """Return return on entry x (for losers, /) own maintenance / equity of at least 1 unit."""
    terms = {
        "unrealized_pnl": valuation.unrealized_pnl,
        "entry_notional": valuation.entry_notional,
        "maintenance": valuation.maintenance,
        "floored_equity": np.maximum(valuation.equity, valuation.terms.cash_unit),
    }
    quotients = {
        "return_on_entry": ("unrealized_pnl", "entry_notional"),
        "position_margin_ratio": ("maintenance", "floored_equity"),
    }
    return quotient_score(terms, quotients, divides_losers=True)


EXTENDED = RuleSet(
    name="extended",
    venue="Extended",
    cases=(
        Case(ContractDailyLoss(Limits(contract_daily_loss_ppm=25_000)), AtBankruptcyPrice()),
        Case(TakeoverLoss(units=100_000), AtBankruptcyPrice()),
        Case(PoolDailyLoss(Limits(pool_daily_loss_ppm=50_000)), AtBankruptcyPrice()),
        Case(FundDepleted(), AtBankruptcyPrice()),
    ),
    ranking=Ranking("PnL / entry value x maintenance margin / equity, for losers /", score),
    indicator_scale=UNPUBLISHED,
    rules=(
        Rule(
            "EXT-01",
            "ADL starts when a liquidation cannot be filled within 5 % of the bankruptcy price, "
            "or the fund cannot pay; only accounts with negative equity are closed.",
            DOCS,
            "official",
            "pool equity <= 0, and the mark has passed the takeover price",
        ),
        Rule(
            "EXT-02",
            "Winners are ranked by return x the position's margin ratio, losers by return / "
            "ratio; the ratio is the position's maintenance margin / equity of at least 1 USD.",
            DOCS,
            "official",
        ),
        Rule(
            "EXT-03",
            "The price is the bankruptcy price, which leaves the account's margin ratio as it "
            "is: the equity is shared by maintenance margin.",
            DOCS,
            "official",
        ),
        Rule(
            "EXT-04",
            "Both accounts must be healthy or healthier after the trade, and the price fair.",
            CODE,
            "official",
            "a counterparty's equity must not become negative; the fair price follows from EXT-03",
        ),
        Rule(
            "EXT-05",
            "The fund's loss is limited by trade and by market and day: 100 K and 2.5 % of the "
            "fund in group 1, 50 K and 1.25 % in groups 2-4, 25 K and 15 K and 1.25 % in 5 and 6, "
            "5 K and 0.25 % in 7; and to 5 % of the fund a day. Days begin at 00:00 UTC.",
            DOCS,
            "official",
            "a contract is in group 1 unless its limits set `takeover_loss` and "
            "`contract_daily_loss`; a trade closes the whole position taken over",
        ),
        Rule(
            "EXT-06",
            "The counterparty's orders in that market only are cancelled; no fee.",
            DOCS,
            "official",
        ),
        Rule("EXT-07", "The indicator.", DOCS, "not documented", "1-5 by count"),
    ),
)
