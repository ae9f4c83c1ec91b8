"""Rule sets that a release has replaced, so that its journals verify for ever.

A change of a rule set's numbers copies the rule set of before it here, under the month of the
last release that had it: `"bybit@2026-11": replace(BYBIT, ...)`, with the name of the venue. The
segments of a journal name the digests of its rules; a replay takes the rule set with that digest,
also with options (`bybit+pro_rata`).
"""

from dataclasses import replace

from delever.core.rules import RULE_SETS, RuleSet, rule_sets_with
from delever.core.rules.eligibility import FillSolvencyFilter, SolvencyFilter
from delever.core.rules.policies.pro_rata import ProRataPolicy

MONTH_OF_LARGEST_FILL = "2026-11"
"""The last release that tested solvency after the largest fill, and shared over losers alike."""


def _tested_on_largest_fill(rules: RuleSet) -> RuleSet:
    filters = (
        SolvencyFilter() if isinstance(own, FillSolvencyFilter) else own for own in rules.filters
    )
    policy = ProRataPolicy() if rules.policy.name == "pro_rata" else rules.policy
    return replace(rules, filters=tuple(filters), policy=policy)


def with_options(superseded: RuleSet, name: str) -> RuleSet | None:
    """Return a superseded rule set with the options of a name, as its release composed them.

    >>> bybit = SUPERSEDED["bybit@2026-11"]
    >>> type(with_options(bybit, "bybit+pro_rata").policy).__name__
    'ProRataPolicy'
    """
    base = name.partition("+")[0]
    known = rule_sets_with({}, {base: superseded})
    return _tested_on_largest_fill(known[name]) if name in known else None


SUPERSEDED: dict[str, RuleSet] = {
    f"{name}@{MONTH_OF_LARGEST_FILL}": _tested_on_largest_fill(rules)
    for name, rules in RULE_SETS.items()
}
"""Superseded rule sets by dated name."""
