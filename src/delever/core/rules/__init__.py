"""Every venue's rules by name. A new venue is one file in `venues` and one row here.

A rule set with a queue can be used with another policy, and with the eligibility of hedged accounts
by their net exposure: `bybit+pro_rata`, `bybit+net_exposure`.

1. ranking             score, queue and indicator of the positions of one side
2. eligibility         whether a fill at the round's price leaves the counterparty solvent
3. policies            how a quantity is divided over the queue, in exact lots
4. triggers            when ADL starts and stops
5. adl_price           the price of ADL fills
6. loss_socialization  what happens instead of ADL, or after it
7. ruleset             a venue's rules, composed of the parts above
8. venues              a rule set a venue, and the rules under every venue
"""

from collections.abc import Mapping
from dataclasses import replace

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.rules.policies import POLICIES
from delever.core.rules.ranking import IndicatorScale
from delever.core.rules.ruleset import Case, OrderScope, RegisteredRules, Rule, RuleSet
from delever.core.rules.venues.aevo import AEVO
from delever.core.rules.venues.binance import BINANCE, BINANCE_LEGACY
from delever.core.rules.venues.bitget import BITGET, BITGET_PEAK, BITGET_THRESHOLD
from delever.core.rules.venues.bitmart import BITMART
from delever.core.rules.venues.bitmex import BITMEX
from delever.core.rules.venues.bullish import BULLISH
from delever.core.rules.venues.bybit import BYBIT
from delever.core.rules.venues.coinex import COINEX
from delever.core.rules.venues.cube import CUBE
from delever.core.rules.venues.delta import DELTA
from delever.core.rules.venues.deribit import DERIBIT
from delever.core.rules.venues.drift import DRIFT
from delever.core.rules.venues.dydx import DYDX
from delever.core.rules.venues.ethereal import ETHEREAL, ETHEREAL_STEP4
from delever.core.rules.venues.every_venue import GENERAL
from delever.core.rules.venues.extended import EXTENDED
from delever.core.rules.venues.gate import GATE
from delever.core.rules.venues.gmx import GMX
from delever.core.rules.venues.htx import HTX, HTX_MAINTENANCE
from delever.core.rules.venues.hyperliquid import HYPERLIQUID, HYPERLIQUID_2025_03
from delever.core.rules.venues.injective import INJECTIVE
from delever.core.rules.venues.kucoin import KUCOIN
from delever.core.rules.venues.lighter import LIGHTER
from delever.core.rules.venues.okx import OKX, OKX_2025
from delever.core.rules.venues.paradex import PARADEX, PARADEX_EXAMPLE
from delever.core.rules.venues.vega import VEGA
from delever.core.rules.venues.whitebit import WHITEBIT
from delever.core.rules.venues.xcoin import XCOIN

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
    HYPERLIQUID_2025_03,
    LIGHTER,
    AEVO,
    ETHEREAL,
    DYDX,
    GMX,
    DRIFT,
    VEGA,
    INJECTIVE,
    PARADEX,
    HTX,
    HTX_MAINTENANCE,
    WHITEBIT,
    XCOIN,
    CUBE,
    BULLISH,
    EXTENDED,
    BITGET_PEAK,
    BITGET_THRESHOLD,
    ETHEREAL_STEP4,
    PARADEX_EXAMPLE,
)


NET_EXPOSURE = "net_exposure"
"""Option of any rule set with a queue: of a hedged account only the net exposure is ranked."""


class _RuleSets(dict[str, RuleSet]):
    """Rule sets by name; `<venue>+<option>` is found although it is not listed.

    An option is a policy, or `net_exposure`; there can be several.
    """

    def __missing__(self, name: str) -> RuleSet:
        if name not in self:
            raise KeyError(name)
        venue, *options = name.split("+")
        rules = self[venue]
        for option in options:
            if option == NET_EXPOSURE:
                rules = replace(rules, ranking=replace(rules.ranking, net_exposure=True))
            else:
                rules = replace(rules, policy=POLICIES[option])
        return replace(rules, name=name)

    def __contains__(self, name: object) -> bool:
        venue, *options = str(name).split("+")
        rules = self.get(venue)
        known = all(option == NET_EXPOSURE or option in POLICIES for option in options)
        return rules is not None and known and (not options or bool(rules.cases))


RULE_SETS: dict[str, RuleSet] = _RuleSets((rules.name, rules) for rules in _ALL)


def rule_sets_of(book: Book) -> Mapping[str, RuleSet]:
    """Return the rule sets that the pools of a book may name: every venue's and the registry's."""
    return rule_sets_with(book.registry, book.superseded)


def rule_sets_with(
    registry: Mapping[str, RegisteredRules], superseded: Mapping[str, RuleSet] | None = None
) -> Mapping[str, RuleSet]:
    """Return every venue's rule sets and those of a registry, by name.

    `superseded` ones stand in for today's, as in the records of an earlier release.
    """
    if not registry and not superseded:
        return RULE_SETS
    own = {name: registered.rules for name, registered in registry.items()}
    return _RuleSets({**own, **RULE_SETS, **(superseded or {})})


def rule_set_of(book: Book, state: ContractState) -> RuleSet:
    """Return the rule set of the pool behind a contract."""
    return rule_sets_of(book)[book.pool_of(state).definition.rules]


def rules_digest(book: Book, name: str) -> str:
    """Return the digest of a rule set of one's own; a venue's is empty."""
    registered = book.registry.get(name.partition("+")[0])
    return registered.digest if registered else ""


__all__ = [
    "GENERAL",
    "RULE_SETS",
    "Case",
    "IndicatorScale",
    "OrderScope",
    "RegisteredRules",
    "Rule",
    "RuleSet",
    "rule_set_of",
    "rule_sets_of",
    "rule_sets_with",
    "rules_digest",
]
