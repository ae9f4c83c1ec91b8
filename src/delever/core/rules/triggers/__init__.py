"""When ADL starts and when it stops, with every number that was compared.

A trigger reads the book and says whether its start and its stop condition hold; the engine keeps
the state between them, so a trigger between its two limits leaves ADL as it is. Ratios are compared
by cross-multiplication, never by division: a limit is met exactly or not at all.
"""

from delever.core.rules.triggers.account import AccountEquity, FundExhausted
from delever.core.rules.triggers.base import WARNING_PPM, Reading, Trigger, limits_of
from delever.core.rules.triggers.contract import ContractDrawdown, Illiquidity, Unplaced
from delever.core.rules.triggers.pool import PoolBelowMean, PoolDrawdown, PoolEquity, ProfitToPool

__all__ = [
    "WARNING_PPM",
    "AccountEquity",
    "ContractDrawdown",
    "FundExhausted",
    "Illiquidity",
    "PoolBelowMean",
    "PoolDrawdown",
    "PoolEquity",
    "ProfitToPool",
    "Reading",
    "Trigger",
    "Unplaced",
    "limits_of",
]
