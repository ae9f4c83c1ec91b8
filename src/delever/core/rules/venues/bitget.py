"""Bitget: when the coin's insurance fund is depleted; ranked by return and margin ratio."""

from dataclasses import replace

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import Ranking, margin_ratio_return
from delever.core.rules.ruleset import Case, Rule, RuleSet
from delever.core.rules.triggers import PoolDrawdown, PoolEquity

HELP = "Bitget support 12560603800805, 2025-09-27"

BITGET = RuleSet(
    name="bitget",
    venue="Bitget",
    cases=(Case(PoolEquity(), AtBankruptcyPrice()),),
    ranking=Ranking(
        "PnL / entry value x maintenance margin / equity, for losers /", margin_ratio_return
    ),
    rules=(
        Rule(
            "BGT-01",
            "ADL starts when the coin's insurance fund is depleted, and stops when it is positive.",
            HELP,
            "official",
            "pool equity <= 0 and > 0; an earlier text also started 30 % below the peak, and "
            "stopped at 90 % of the threshold (`bitget_threshold`) or, in an older official copy, "
            "at 90 % of the peak (`bitget_peak`)",
        ),
        Rule(
            "BGT-02",
            "Winners are ranked by ROI x the account's margin ratio, losers by ROI / margin ratio; "
            "ROI is on the value at average entry price.",
            HELP,
            "official",
            "an older text had leverage for the margin ratio: in cross, value of all positions / "
            "equity",
        ),
        Rule(
            "BGT-03",
            "Isolated positions are ranked by a margin ratio of their own.",
            HELP,
            "partly read",
            "the position's maintenance margin / (margin + PnL)",
        ),
        Rule(
            "BGT-04",
            "Counterparties close at the bankruptcy price, without a fee.",
            HELP,
            "official",
        ),
        Rule(
            "BGT-05",
            "Winners rank before losers; the score of a position under liquidation is 0.",
            HELP + " and 360059239211",
            "partly read",
            "a position under liquidation is never closed by ADL",
        ),
        Rule(
            "BGT-06",
            "Open orders of a counterparty, and the indicator.",
            HELP,
            "not documented",
            "open orders in the same contract are cancelled; indicator 1-5 by count",
        ),
        Rule(
            "BGT-07",
            "ADL is matched while the fund is used up; the part of a loss that the fund cannot "
            "pay is absorbed by counterparties.",
            HELP + ", and the academy page on the insurance fund",
            "partly read",
            "sizing `residual`; the current article, which matches whole liquidation orders while "
            "ADL is on, can be read as `whole`",
        ),
    ),
)

BITGET_PEAK = replace(
    BITGET,
    name="bitget_peak",
    venue="Bitget, before 2025: until 90 % of the peak",
    cases=(
        *BITGET.cases,
        Case(PoolDrawdown(Limits(start_ppm=300_000, stop_ppm=100_000)), AtBankruptcyPrice()),
    ),
)
"""The older copy of BGT-01: ADL stops when the fund has recovered to more than 90 % of its peak."""

BITGET_THRESHOLD = replace(
    BITGET,
    name="bitget_threshold",
    venue="Bitget, before 2025: until 90 % of the threshold",
    cases=(
        *BITGET.cases,
        Case(PoolDrawdown(Limits(start_ppm=300_000, stop_ppm=300_000)), AtBankruptcyPrice()),
    ),
)
"""The newer copy of BGT-01: 90 % of the threshold is below it, so ADL stops above it."""
