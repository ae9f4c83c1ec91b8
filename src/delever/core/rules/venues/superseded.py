"""Rule sets that a release has replaced, so that its journals verify for ever.

A change of a rule set's numbers copies the rule set of before it here, under the month of the
last release that had it: `"bybit@2026-11": replace(BYBIT, ...)`, with the name of the venue. The
segments of a journal name the digests of its rules; a replay takes the rule set with that digest.
"""

from delever.core.rules.ruleset import RuleSet

SUPERSEDED: dict[str, RuleSet] = {}
"""Superseded rule sets by dated name."""
