"""Bybit linear and inverse: contract drawdown, pool equity, contracts in isolated pools."""

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtDeficitShare, AtDrawdownLimit
from delever.core.rules.ranking import Ranking, leveraged_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import ContractDrawdown, PoolEquity
from delever.core.rules.triggers.sizing import Sizing

API = "Bybit API v5, /v5/market/adlAlert"

DRAWDOWN = Limits(
    start_ppm=300_000, stop_ppm=250_000, trigger_threshold_cash=100_000_000, wait_ms=0
)
"""pnlRatio -0.30 and -0.25, and a balance above 1 unit of the settle asset (8 decimals), as in the
examples of the documentation. Its sample responses have 10,000: a pool sets its own in `limits`."""

BYBIT = RuleSet(
    name="bybit",
    venue="Bybit linear (USDT, USDC) and inverse",
    cases=(
        Case(PoolEquity(), AtDeficitShare()),
        Case(ContractDrawdown(DRAWDOWN), AtDrawdownLimit(DRAWDOWN)),
    ),
    sizing=Sizing.LEAST_TO_STOP,
    ranking=Ranking(
        "PnL / entry value x leverage, for losers / leverage; leverage = mark value / (mark value "
        "- bankruptcy value)",
        leveraged_return,
    ),
    cancel_scope=OrderScope.ACCOUNT,
    rules=(
        Rule(
            "BYB-01",
            "Contract drawdown: if the pool balance is above adlTriggerThreshold, ADL starts when "
            "(contract PnL - its 8 h peak) / 8 h peak pool balance reaches -0.30.",
            API + ", case 1",
            "official",
            "inclusive: the printed formula has <, but the second example starts at exactly -0.30",
        ),
        Rule(
            "BYB-02",
            "ADL by contract drawdown stops when that ratio is above -0.25.",
            API + ", case 1",
            "official",
        ),
        Rule(
            "BYB-03",
            "In a contract drawdown the ADL price is the one at which the ratio is -0.30, so that "
            "counterparties take the loss beyond it as a haircut.",
            API + ", example 1",
            "official",
            "the price is never better than the mark for counterparties, nor above cost for the "
            "pool",
        ),
        Rule(
            "BYB-04",
            "Pool equity: ADL starts when the pool balance is at or below 0, and stops above 0.",
            API + ", case 2",
            "official",
            "balance + unrealized PnL of inventory, as the help center describes it",
        ),
        Rule(
            "BYB-05",
            "Under pool equity the deficit is shared pro rata over the contracts by their losses.",
            API + ", example 3",
            "official",
            "losses of the current inventory at the mark; after ADL the pool equity is 0",
        ),
        Rule(
            "BYB-06",
            "A contract can be moved to a temporary isolated pool, under the same equity rule.",
            API + ", case 3",
            "official",
            "the contract's PnL and peaks start again in that pool",
        ),
        Rule(
            "BYB-07",
            "Counterparties are ranked by leveraged return.",
            "Bybit help center, Auto-Deleveraging",
            "not documented",
            "the current formula was not found; that of 2020 (the BitMEX formula) is used",
        ),
        Rule(
            "BYB-10",
            "adlRankIndicator runs from 0 (no position) to 5 (next to be deleveraged).",
            "Bybit API v5, position list",
            "official",
            "five equal parts of the queue by count; Bybit does not publish its parts",
        ),
        Rule(
            "BYB-08",
            "All active orders of a deleveraged account are cancelled.",
            "Bybit help center, 2020",
            "partly read",
        ),
        Rule(
            "BYB-09",
            "A counterparty pays no fee.",
            "Bybit help center",
            "not documented",
            "the article of 2020 charges the maker fee; no current text does",
        ),
        Rule(
            "BYB-11",
            "Only the loss beyond the limit is passed on: 50,000 of 350,000 in the example.",
            API + ", example 1",
            "official",
            "sizing `least_to_stop`: all underwater inventory is closed, at a price that ends "
            "exactly at the limit; inventory in profit stays",
        ),
    ),
)
