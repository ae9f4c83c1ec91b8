"""HTX: when the fund is depleted or has fallen from its peak; ranked by return and margin ratio."""

from dataclasses import replace

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import UNPUBLISHED, ProductScore, Ranking, margin_ratio_return
from delever.core.rules.ruleset import Case, Rule, RuleSet
from delever.core.rules.triggers import PoolDrawdown, PoolEquity

HELP = "HTX support 64914554002695"

THIRD = Limits(start_ppm=300_000, stop_ppm=300_000)

HTX = RuleSet(
    name="htx",
    venue="HTX",
    cases=(Case(PoolEquity(), AtBankruptcyPrice()), Case(PoolDrawdown(THIRD), AtBankruptcyPrice())),
    ranking=Ranking(
        "PnL / entry value / (equity / maintenance margin), for losers x", margin_ratio_return
    ),
    indicator_scale=UNPUBLISHED,
    rules=(
        Rule(
            "HTX-01",
            "ADL starts when the insurance fund is depleted, or has fallen from its 8 h peak to "
            "a threshold of the pair.",
            HELP,
            "partly read",
            "the threshold is not published: 30 % below the peak, and ADL stops below that",
        ),
        Rule(
            "HTX-02",
            "Winners are ranked by PnL % / margin ratio, losers by PnL % x margin ratio; "
            "isolated positions by their own ratio, cross positions by that of the account.",
            HELP,
            "partly read",
            "the ratio is equity / maintenance margin, as this page says that a lower ratio is "
            "nearer to ADL; HTX's liquidation page counts it the other way round, which is "
            "`htx_maintenance`",
        ),
        Rule(
            "HTX-03",
            "The liquidation is matched with the queue directly; no loss is shared afterwards.",
            HELP,
            "partly read",
            "the price is not published: the bankruptcy price, without a fee",
        ),
        Rule("HTX-04", "The indicator.", HELP, "not documented", "1-5 by count"),
        Rule(
            "HTX-05",
            "Open orders of a counterparty.",
            HELP,
            "not documented",
            "open orders in the same contract are cancelled",
        ),
    ),
)

HTX_MAINTENANCE = replace(
    HTX,
    name="htx_maintenance",
    venue="HTX, margin ratio read as maintenance margin / equity",
    ranking=Ranking(
        "PnL / entry value / (maintenance margin / equity), for losers x",
        ProductScore(
            ("return_on_entry", "unrealized_pnl", "entry_notional"),
            ("equity_to_maintenance", "equity", "bucket_maintenance"),
        ),
    ),
)
"""The other reading of HTX-02: HTX's liquidation page liquidates at a margin ratio above 100 %."""
