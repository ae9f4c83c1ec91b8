"""Triggers: when ADL starts and when it stops, with every number that was compared.

A trigger evaluates its start and its stop condition in the book; the engine stores which triggers
are on, so that between the two limits ADL stays as it is. Ratios are compared by
cross-multiplication, never by division, so that a limit is compared exactly.

1. trigger   the protocol, limits by level, inventory
2. pool      the pool's equity, drawdown, distance from its mean, PnL owed to traders
3. contract  drawdown of contract PnL, illiquidity, open inventory, backlog
4. account   negative account equity, mark beyond a band, depleted fund
5. loss_caps losses on a takeover, of a contract's or a pool's day, of a vault's liquidator
6. sizing    how much of the inventory one round closes
"""

from delever.core.rules.triggers.account import AccountEquity, BankruptcyBand, FundDepleted
from delever.core.rules.triggers.contract import (
    Backlog,
    ContractDrawdown,
    Illiquidity,
    OpenInventory,
)
from delever.core.rules.triggers.loss_caps import (
    ContractDailyLoss,
    LiquidatorLoss,
    LossCount,
    PoolDailyLoss,
    TakeoverLoss,
)
from delever.core.rules.triggers.pool import PnlToPool, PoolBelowMean, PoolDrawdown, PoolEquity
from delever.core.rules.triggers.trigger import WARNING_PPM, Trigger, TriggerEvaluation, limits_of

__all__ = [
    "WARNING_PPM",
    "AccountEquity",
    "Backlog",
    "BankruptcyBand",
    "ContractDailyLoss",
    "ContractDrawdown",
    "FundDepleted",
    "Illiquidity",
    "LiquidatorLoss",
    "LossCount",
    "OpenInventory",
    "PnlToPool",
    "PoolBelowMean",
    "PoolDailyLoss",
    "PoolDrawdown",
    "PoolEquity",
    "TakeoverLoss",
    "Trigger",
    "TriggerEvaluation",
    "limits_of",
]
