"""Every venue's rules by name. A new venue is one file and one row here."""

from delever.core.rules.binance import BINANCE, BINANCE_LEGACY
from delever.core.rules.bitmart import BITMART
from delever.core.rules.bitmex import BITMEX
from delever.core.rules.bybit import BYBIT
from delever.core.rules.general import GENERAL
from delever.core.rules.hyperliquid import HYPERLIQUID
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet

RULE_SETS: dict[str, RuleSet] = {
    rules.name: rules for rules in (BINANCE, BINANCE_LEGACY, BITMART, BITMEX, BYBIT, HYPERLIQUID)
}

__all__ = ["GENERAL", "RULE_SETS", "Case", "OrderScope", "Rule", "RuleSet"]
