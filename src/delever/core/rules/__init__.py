"""Every venue's rules by name. A new venue is one file in `venues` and one row here.

A rule set with a queue can be used with another policy and with other eligibilities:
`bybit+pro_rata`, `bybit+net_exposure`, `bybit+both_legs`, `bybit+cap_per_account=0.25`.

1. ranking             score, queue and indicator of the positions of one side
2. eligibility         whether a fill at the round's price leaves the counterparty solvent
3. triggers            when ADL starts and stops
4. adl_price           the price of ADL fills
5. policies            how a quantity is divided over the queue, in exact lots
6. loss_socialization  what happens instead of ADL, or after it
7. ruleset             a venue's rules, composed of the parts above
8. venues              a rule set a venue, and the rules under every venue
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.rules.policies import POLICIES, POLICY_ALIASES, LotPolicy, policy_named
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
from delever.core.rules.venues.xcoin import XCOIN, XCOIN_PORTFOLIO
from delever.core.units import PPM, parse_decimal, scaled

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
    XCOIN_PORTFOLIO,
    CUBE,
    BULLISH,
    EXTENDED,
    BITGET_PEAK,
    BITGET_THRESHOLD,
    ETHEREAL_STEP4,
    PARADEX_EXAMPLE,
)


NET_EXPOSURE, BOTH_LEGS, CAP_PER_ACCOUNT = "net_exposure", "both_legs", "cap_per_account"
"""Eligibilities that any rule set with a queue can carry."""

DEFAULT_CAP_PPM = 500_000
"""The part of a position that one round closes at most, under a cap without a number."""


def _with_option(rules: RuleSet, option: str) -> RuleSet | None:
    """Return a rule set with an option: a policy, or an eligibility; None for an unknown one."""
    name, _, number = option.partition("=")
    if name == CAP_PER_ACCOUNT:
        cap_ppm = _cap_ppm(number) if "=" in option else DEFAULT_CAP_PPM
        return replace(rules, ranking=replace(rules.ranking, cap_ppm=cap_ppm)) if cap_ppm else None
    if option == NET_EXPOSURE:
        return replace(rules, ranking=replace(rules.ranking, net_exposure=True))
    if option == BOTH_LEGS:
        return replace(rules, ranking=replace(rules.ranking, both_legs=True))
    policy = policy_named(option)
    return replace(rules, policy=policy) if policy else None


RULE_OPTIONS = (*POLICIES, *POLICY_ALIASES, NET_EXPOSURE, BOTH_LEGS, f"{CAP_PER_ACCOUNT}=0.25")
"""What may follow the `+` of a rule set's name; the cap is any part above 0, at most 1."""


def _cap_ppm(text: str) -> int:
    """Return a cap such as "0.25" in ppm; 0 for one that is not above 0 and at most 1."""
    number = parse_decimal(text)
    cap_ppm = (number and scaled(number, 6)) or 0
    return cap_ppm if 0 < cap_ppm <= PPM else 0


MAX_COMPOSED = 256
"""Rule sets with options that are composed once; each step looks up those of its pools."""


class _RuleSets(dict[str, RuleSet]):
    """Rule sets by name; `<venue>+<option>` is found although it is not listed.

    An option is a policy, `net_exposure`, `both_legs` or `cap_per_account=<part of a position>`;
    there can be several.
    """

    def __init__(self, listed: Iterable[tuple[str, RuleSet]]) -> None:
        super().__init__(listed)
        self._composed: dict[str, RuleSet] = {}

    def __missing__(self, name: str) -> RuleSet:
        rules = self._composed.get(name) or self._compose(name)
        if rules is None:
            raise KeyError(name)
        if len(self._composed) < MAX_COMPOSED:
            self._composed[name] = rules
        return rules

    def __contains__(self, name: object) -> bool:
        return self._compose(str(name)) is not None

    def _compose(self, name: str) -> RuleSet | None:
        venue, *options = name.split("+")
        rules = self.get(name) or self.get(venue)
        if rules is None or name in self.keys():
            return rules
        if not rules.cases:
            return None
        for option in options:
            rules = rules and _with_option(rules, option)
        return rules and replace(rules, name=name)


RULE_SETS: dict[str, RuleSet] = _RuleSets((rules.name, rules) for rules in _ALL)


def with_policy(rules: RuleSet, policy: str | LotPolicy) -> RuleSet:
    """Return a rule set that divides with another policy: a name, or an object of one's own.

    It is named like `bybit+pro_rata`, or as before if the policy is its own. Raises KeyError for an
    unknown name, ValueError for a rule set without a queue or a policy name with a `+` or `=`.

    >>> with_policy(RULE_SETS["bybit"], "water_filling").name
    'bybit+water_filling'
    >>> from delever.core.rules.policies import ContractProRata
    >>> with_policy(RULE_SETS["bybit"], ContractProRata("everyone")).policy.takes_from
    'everyone'
    """
    if not rules.cases:
        raise ValueError(f"rule set {rules.name} has no queue that a policy could divide")
    name = policy if isinstance(policy, str) else policy.name
    found = policy_named(name)
    if isinstance(policy, str):
        if found is None:
            raise KeyError(policy)
        chosen = found
    else:
        chosen = policy
        if type(found) is not type(policy) and (found or not name or {"+", "="} & {*name}):
            raise ValueError(
                f"policy {name!r}: a name of one's own is not empty, has no '+' and no '=', and is "
                f"none of {', '.join(POLICIES)}"
            )
    if chosen.name == rules.policy.name:
        return rules
    return replace(rules, name=f"{rules.name}+{name}", policy=chosen)


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
    return _RuleSets({**own, **RULE_SETS, **(superseded or {})}.items())


def rule_set_of(book: Book, state: ContractState) -> RuleSet:
    """Return the rule set of the pool behind a contract."""
    return rule_sets_of(book)[book.pool_of(state).definition.rules]


def rules_digest(book: Book, name: str) -> str:
    """Return the digest of a rule set of one's own; a venue's is empty."""
    registered = book.registry.get(name) or book.registry.get(name.partition("+")[0])
    return registered.digest if registered else ""


__all__ = [
    "GENERAL",
    "RULE_OPTIONS",
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
    "with_policy",
]
