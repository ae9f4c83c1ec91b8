"""Every venue's rules by name. A new venue is one file and one row here."""

from delever.core.rules.aevo import AEVO
from delever.core.rules.binance import BINANCE, BINANCE_LEGACY
from delever.core.rules.bitget import BITGET
from delever.core.rules.bitmart import BITMART
from delever.core.rules.bitmex import BITMEX
from delever.core.rules.bybit import BYBIT
from delever.core.rules.coinex import COINEX
from delever.core.rules.delta import DELTA
from delever.core.rules.deribit import DERIBIT
from delever.core.rules.drift import DRIFT
from delever.core.rules.dydx import DYDX
from delever.core.rules.ethereal import ETHEREAL
from delever.core.rules.gate import GATE
from delever.core.rules.general import GENERAL
from delever.core.rules.gmx import GMX
from delever.core.rules.hyperliquid import HYPERLIQUID
from delever.core.rules.indicators import Indicator
from delever.core.rules.injective import INJECTIVE
from delever.core.rules.kucoin import KUCOIN
from delever.core.rules.lighter import LIGHTER
from delever.core.rules.okx import OKX, OKX_2025
from delever.core.rules.paradex import PARADEX
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.vega import VEGA

_ALL = (
    BINANCE,
    BINANCE_LEGACY,
    BYBIT,
    BITMART,
    OKX,
    OKX_2025,
    BITMEX,
    BITGET,
    GATE,
    KUCOIN,
    COINEX,
    DELTA,
    DERIBIT,
    HYPERLIQUID,
    LIGHTER,
    AEVO,
    ETHEREAL,
    DYDX,
    GMX,
    DRIFT,
    VEGA,
    INJECTIVE,
    PARADEX,
)

RULE_SETS: dict[str, RuleSet] = {rules.name: rules for rules in _ALL}

__all__ = ["GENERAL", "RULE_SETS", "Case", "Indicator", "OrderScope", "Rule", "RuleSet"]
