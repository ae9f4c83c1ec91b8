"""Bybit linear and inverse: contract drawdown, pool equity, ejected contracts."""

from delever.core.market.trigger_limits import Limits
from delever.core.rules.adl_price import AtDeficitShare, AtDrawdownLimit
from delever.core.rules.ranking import Ranking, leveraged_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import ContractDrawdown, PoolEquity

API = "Bybit API v5, /v5/market/adlAlert"

DRAWDOWN = Limits(
    start_ppm=300_000, stop_ppm=250_000, trigger_threshold_cash=100_000_000, wait_ms=0
)
"""pnlRatio -0.30 and -0.25; a balance above 1 of the settle asset (at 8 decimals), as in the
examples of the documentation. Its response samples show 10,000: a pool sets its own in `limits`."""

BYBIT = RuleSet(
    name="bybit",
    venue="Bybit linear (USDT, USDC) and inverse",
    cases=(
        Case(PoolEquity(), AtDeficitShare()),
        Case(ContractDrawdown(DRAWDOWN), AtDrawdownLimit(DRAWDOWN)),
    ),
    ranking=Ranking(
        "profit / entry value x leverage, / leverage when losing; leverage = mark value / "
        "(mark value - bankrupt value)",
        leveraged_return,
    ),
    cancels=OrderScope.ACCOUNT,
    rules=(
        Rule(
            "BYB-01",
            "Contract drawdown: with a balance above the threshold, ADL starts when (profit - 8 h "
            "peak profit) / 8 h peak pool balance reaches -0.30.",
            API + ", case 1",
            "official",
            "inclusive: the formula prints <, the second example starts at exactly -0.30",
        ),
        Rule(
            "BYB-02",
            "Contract drawdown stops when that ratio is above -0.25; in between the state stays.",
            API + ", case 1",
            "official",
        ),
        Rule(
            "BYB-03",
            "In a contract drawdown the price is taken at the -0.30 point of the pool, so the "
            "counterparties bear what lies beyond it.",
            API + ", example 1",
            "official",
            "counterparties are never given better than the mark, nor the pool more than its cost",
        ),
        Rule(
            "BYB-04",
            "Pool equity: ADL starts when the pool's balance is at or below 0 and stops above 0.",
            API + ", case 2",
            "official",
            "balance with the unrealized profit of inventory, as the help centre reads it",
        ),
        Rule(
            "BYB-05",
            "At pool equity the loss is shared over the contracts by their losses, at equity 0.",
            API + ", example 3",
            "official",
            "losses of the inventory now held, at the mark",
        ),
        Rule(
            "BYB-06",
            "A contract may be put into a temporary pool of its own; the same equity rule holds.",
            API + ", case 3",
            "official",
            "profit and peaks of the contract start again with that pool",
        ),
        Rule(
            "BYB-07",
            "Counterparties are ranked by leveraged return.",
            "Bybit help centre, Auto-Deleveraging",
            "not documented",
            "the current formula was not found: the classic one of 2020 (the BitMEX form) is used",
        ),
        Rule(
            "BYB-10",
            "adlRankIndicator runs from 0 (no position) to 5 (next to be deleveraged).",
            "Bybit API v5, position list",
            "official",
            "five equal parts of the queue by count; the parts are not published",
        ),
        Rule(
            "BYB-08",
            "All active orders of a deleveraged account are cancelled.",
            "Bybit help centre, 2020",
            "partly read",
        ),
        Rule(
            "BYB-09",
            "A counterparty pays no fee.",
            "Bybit help centre",
            "not documented",
            "the article of 2020 charged the maker fee; nothing current says so",
        ),
    ),
)
