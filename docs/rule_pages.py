"""The page of rules, the table that compares the venues, and the generated blocks of docs/venues.

A page of docs/venues is written by hand around blocks: `<!-- example: bybit -->` or
`<!-- table -->`, up to `<!-- end -->`. The generator replaces only the text between the two marks.
"""
# ruff: noqa: INP001 - part of a script, not a package

import inspect
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

from worked import table, worked_example

from delever.core.rules import GENERAL, RULE_SETS, Rule, RuleSet
from delever.core.rules.adl_price import PriceRule
from delever.core.rules.loss_socialization import LastResort, SocializedLoss
from delever.core.rules.ruleset import Confidence
from delever.core.rules.triggers import Trigger
from delever.core.rules.triggers.sizing import Sizing

DOCS = Path(__file__).parent
VENUES = DOCS / "venues"

Part = Trigger | PriceRule | LastResort

BLOCK = re.compile(r"(<!-- (table|example: (\w+)) -->\n).*?(<!-- end -->)", re.DOTALL)
PLACE = re.compile(r", (case|example)s? ?\d*$")
"""A location within a source, which the table of venues leaves out."""

INTRO = """\
# Rules

Every rule that delever implements has an id that tests cite. Rules with CORE are delever's own,
and rules with RSK [rate a contract's risk](risk.md); both apply under every rule set. The others
belong to venues. Each is a paraphrase, with its source, a confidence, and delever's assumption
where the venue publishes nothing. [Venues](venues/README.md) compares the rule sets in one table,
with a worked example of each. `make docs` generates this page from the code.

## Confidence

"""

TAGS = {
    "official": "read in the venue's own text or code",
    "partly read": "read in an excerpt or a mirror of the venue's own text",
    "third party": "read in a third party's paraphrase of the venue's text",
    "not documented": "no text was found; the text after *Assumed* is our choice",
}
"""What each confidence tag means."""


def anchor(name: str) -> str:
    """Return the anchor of a rule set's heading: GitHub leaves out the `@`."""
    return name.replace("@", "")


def rules_page() -> str:
    """Return the page of rules: confidence tags, general rules, triggers and prices, each venue."""
    stated: set[str] = set()
    venues = [_rule_set(rules, stated) for rules in RULE_SETS.values()]
    contents = " · ".join(f"[{name}](#{anchor(name)})" for name in RULE_SETS)
    parts = [
        INTRO + _tags(),
        f"Rule sets: {contents}.\n",
        "## General rules\n",
        *map(_rule, GENERAL),
        "## Triggers\n\nWhen ADL starts, and stops: a trigger is active until its stop holds.\n",
        _parts(case.trigger for rules in RULE_SETS.values() for case in rules.cases),
        "## Prices\n\nThe price of ADL fills.\n",
        _parts(case.price for rules in RULE_SETS.values() for case in rules.cases),
        f"## Sizings\n\n{_flat(Sizing)}\n",
        "## Last resorts\n\nHow a deficit is paid without ADL, or after it.\n",
        _parts(rules.last_resort for rules in RULE_SETS.values() if rules.last_resort),
        *venues,
    ]
    return "\n".join(parts)


def venues_filled() -> dict[Path, str]:
    """Return every page of docs/venues with its blocks generated again."""
    pages = sorted(VENUES.glob("*.md"))
    return {page: BLOCK.sub(_block, page.read_text(encoding="utf-8")) for page in pages}


def _block(found: re.Match[str]) -> str:
    text = worked_example(found[3]) if found[3] else _venue_table()
    return f"{found[1]}\n{text}\n{found[4]}"


def _tags() -> str:
    """Return a table of the confidence tags, with the number of venue rules that have each."""
    rules = {rule.id: rule for rules in RULE_SETS.values() for rule in rules.rules}
    counts = Counter(rule.confidence for rule in rules.values())
    rows = [[f"*{tag}*", TAGS[tag], str(counts[tag])] for tag in get_args(Confidence)]
    return table([["tag", "means", "rules of venues"], *rows])


def _parts(parts: Iterable[Part]) -> str:
    """Return a table of triggers, prices or last resorts without repetitions."""
    descriptions = {part.name: _docstring_of(part) for part in parts}
    return table(
        [["name", "description"], *([f"`{name}`", text] for name, text in descriptions.items())]
    )


def _docstring_of(part: Part) -> str:
    """Return a part's docstring; for a socialized loss, with that of its own division."""
    if isinstance(part, SocializedLoss):
        shares = _flat(part.shares).removeprefix("Return ")
        return f"{_flat(type(part)).partition('.')[0]}: {shares}"
    return _flat(type(part))


def _venue_table() -> str:
    columns = ["rule set", "trigger", "ranked by", "ADL price", "sizing", "fee", "published as"]
    heading = [*columns, "sources", "confidence"]
    return table([heading, *map(_venue_row, RULE_SETS.values())])


def _venue_row(rules: RuleSet) -> list[str]:
    starts = _linked((case.trigger.name for case in rules.cases), "../rules.md#triggers")
    prices = _linked((case.price.name for case in rules.cases), "../rules.md#prices")
    if rules.last_resort:
        prices = _linked([rules.last_resort.name], "../rules.md#last-resorts")
    return [
        f"[{rules.name}](../rules.md#{anchor(rules.name)})",
        starts or "never",
        _score(rules),
        prices,
        f"[`{rules.sizing}`](../rules.md#sizings)",
        _fee(rules),
        rules.indicator_scale.description if rules.cases else "-",
        "<br>".join(_sources(rules)),
        "<br>".join(_confidence(rules)),
    ]


def _fee(rules: RuleSet) -> str:
    return f"{rules.fee_ppm} ppm of notional" if rules.fee_ppm else "none"


def _linked(names: Iterable[str], target: str) -> str:
    return ", ".join(f"[`{name}`]({target})" for name in dict.fromkeys(names))


def _score(rules: RuleSet) -> str:
    formula = rules.ranking.formula
    return f"{formula}; indicators by {rules.ranking.weighting}" if rules.cases else formula


def _sources(rules: RuleSet) -> Iterator[str]:
    """Yield the sources of the rules, without the location within a source."""
    sources = sorted({PLACE.sub("", rule.source) for rule in rules.rules})
    for source in sources:
        if not any(source.startswith(other) for other in sources if other != source):
            yield source


def _confidence(rules: RuleSet) -> list[str]:
    counts = Counter(rule.confidence for rule in rules.rules)
    return [f"{counts[tag]} {tag}" for tag in get_args(Confidence) if counts[tag]]


def _rule_set(rules: RuleSet, stated: set[str]) -> str:
    """Return a rule set as a section: its parts, and its rules that are not stated yet."""
    parts = [f"## `{rules.name}`\n\n{rules.venue}; [worked example]({_page_of(rules.name)}).\n"]
    parts += [
        f"- trigger [`{case.trigger.name}`](#triggers), ADL price [`{case.price.name}`](#prices)"
        for case in rules.cases
    ]
    parts += ["- no ADL"] if not rules.cases else [f"- sizing: [`{rules.sizing}`](#sizings)"]
    limits = ", ".join(f"`{name}`" for name in sorted(rules.limit_fields))
    parts += [f"- limits that a fund or contract may override: {limits or 'none'}"]
    parts += [f"- ranked by: {_score(rules)}"] if rules.cases else []
    parts += [f"- ineligible: `{rule.reason}`" for rule in rules.filters if rules.cases]
    if rules.last_resort:
        parts.append(f"- last resort: [`{rules.last_resort.name}`](#last-resorts)")
    else:
        parts.append(f"- published as: {rules.indicator_scale.description}")
        parts.append(f"- open orders cancelled: {_cancelled(rules)}; fee: {_fee(rules)}")
    parts.append("")
    if shared := [rule.id for rule in rules.rules if rule.id in stated]:
        links = ", ".join(f"[{each}](#{each.lower()})" for each in shared)
        parts.append(f"Also {links}, stated above.\n")
    parts += [_rule(rule) for rule in rules.rules if rule.id not in stated]
    stated.update(rule.id for rule in rules.rules)
    return "\n".join(parts)


def _cancelled(rules: RuleSet) -> str:
    scopes = {"none": "none", "contract": "those in the contract", "account": "all of the account"}
    return scopes[rules.cancel_scope]


def _page_of(name: str) -> str:
    """Return the link to the worked example of a rule set."""
    pages = sorted(VENUES.glob("*.md"))
    mark = f"<!-- example: {name} -->"
    for page in pages:
        if mark in page.read_text(encoding="utf-8"):
            return f"venues/{page.name}#{anchor(name)}"
    raise SystemExit(
        f"docs/venues has no worked example of rule set {name!r}: add a heading '## `{name}`' and "
        f"the lines '{mark}' and '<!-- end -->' to a page (docs/contributing/add-a-venue.md)"
    )


def _rule(rule: Rule) -> str:
    """Return a rule with a heading, so that other pages can link it."""
    lines = [f"### {rule.id}\n", rule.text]
    if rule.assumption:
        lines.append(f"Assumed: {rule.assumption}.")
    if rule.source:
        lines.append(f"*{rule.confidence.capitalize()}: {rule.source}.*")
    return "\n".join([lines[0], "\\\n".join(lines[1:]), ""])


def _flat(documented: object) -> str:
    """Return a docstring as one line."""
    return " ".join((inspect.getdoc(documented) or "").split())
