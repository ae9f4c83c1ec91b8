"""The page of rules, the table that compares the venues, and what is generated in docs/venues.

A page of docs/venues is written by hand around blocks: `<!-- example: bybit -->` or
`<!-- table -->`, up to `<!-- end -->`. Only what stands between is replaced.
"""
# ruff: noqa: INP001 - a script's part, not a package

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

DOCS = Path(__file__).parent
VENUES = DOCS / "venues"

Part = Trigger | PriceRule | LastResort

BLOCK = re.compile(r"(<!-- (table|example: (\w+)) -->\n).*?(<!-- end -->)", re.DOTALL)
PLACE = re.compile(r", (case|example)s? ?\d*$")
"""A place within a source, which the table of venues leaves out."""

INTRO = """\
# Rules

Every rule that delever follows has an id, and the tests cite it. Those called CORE are delever's
own, and those called RSK [rate a contract's risk](risk.md); both hold under every rule set. The
others belong to venues, and are told in our words: with the place where the venue says it, how sure
we are of that, and what delever assumes where the venue says nothing. [Venues](venues/README.md)
compares the rule sets in one table and works an example for each. This page is written from the
code by `make docs`.

## How sure we are

"""

TAGS = {
    "official": "read in the venue's own text or code",
    "partly read": "the venue's own text, read in an excerpt or a mirror only",
    "third party": "somebody's paraphrase of the venue's text",
    "not documented": "no text was found; what stands behind *assumed* is our choice",
}
"""What each confidence tag means."""


def rules_page() -> str:
    """Return the page of rules: tags, delever's own, the parts they are made of, each venue's."""
    stated: set[str] = set()
    venues = [_rule_set(rules, stated) for rules in RULE_SETS.values()]
    contents = " · ".join(f"[{name}](#{name})" for name in RULE_SETS)
    parts = [
        INTRO + _tags(),
        f"Rule sets: {contents}.\n",
        "## Everywhere\n",
        *map(_rule, GENERAL),
        "## Triggers\n\nWhen ADL starts, and stops; a trigger stays on until its stop holds.\n",
        _parts(case.trigger for rules in RULE_SETS.values() for case in rules.cases),
        "## Prices\n\nThe price at which counterparties are closed.\n",
        _parts(case.price for rules in RULE_SETS.values() for case in rules.cases),
        "## Last resorts\n\nWhat happens to a deficit where nobody is closed.\n",
        _parts(rules.last_resort for rules in RULE_SETS.values() if rules.last_resort),
        *venues,
    ]
    return "\n".join(parts)


def venues_filled() -> dict[Path, str]:
    """Return every page of docs/venues with its blocks as the code now makes them."""
    pages = sorted(VENUES.glob("*.md"))
    return {page: BLOCK.sub(_block, page.read_text(encoding="utf-8")) for page in pages}


def _block(found: re.Match[str]) -> str:
    text = worked_example(found[3]) if found[3] else _venue_table()
    return f"{found[1]}\n{text}\n{found[4]}"


def _tags() -> str:
    """Return the confidence tags, what each means, and how many rules of venues carry it."""
    rules = {rule.id: rule for rules in RULE_SETS.values() for rule in rules.rules}
    counts = Counter(rule.confidence for rule in rules.values())
    rows = [[f"*{tag}*", TAGS[tag], str(counts[tag])] for tag in get_args(Confidence)]
    return table([["tag", "means", "rules of venues"], *rows])


def _parts(parts: Iterable[Part]) -> str:
    """Return a table of triggers, prices or last resorts, each name once."""
    said = {part.name: _says(part) for part in parts}
    return table([["name", "says"], *([f"`{name}`", says] for name, says in said.items())])


def _says(part: Part) -> str:
    """Return what a part's docstring says; of a shared loss, what its own division says."""
    if isinstance(part, SocializedLoss):
        shares = _flat(part.shares).removeprefix("Return ")
        return f"{_flat(type(part)).partition('.')[0]}: {shares}"
    return _flat(type(part))


def _venue_table() -> str:
    columns = ["rule set", "ADL starts at", "first in line", "price", "fee", "shown as"]
    heading = [*columns, "sources", "confidence"]
    return table([heading, *map(_venue_row, RULE_SETS.values())])


def _venue_row(rules: RuleSet) -> list[str]:
    starts = _linked((case.trigger.name for case in rules.cases), "../rules.md#triggers")
    prices = _linked((case.price.name for case in rules.cases), "../rules.md#prices")
    if rules.last_resort:
        prices = _linked([rules.last_resort.name], "../rules.md#last-resorts")
    return [
        f"[{rules.name}](../rules.md#{rules.name})",
        starts or "never",
        _score(rules),
        prices,
        _fee(rules),
        rules.indicator_scale.says if rules.cases else "-",
        "<br>".join(_sources(rules)),
        "<br>".join(_confidence(rules)),
    ]


def _fee(rules: RuleSet) -> str:
    return f"{rules.fee_ppm} ppm of value" if rules.fee_ppm else "none"


def _linked(names: Iterable[str], target: str) -> str:
    return ", ".join(f"[`{name}`]({target})" for name in dict.fromkeys(names))


def _score(rules: RuleSet) -> str:
    formula = rules.ranking.formula
    return f"{formula}; indicators by {rules.ranking.weighting}" if rules.cases else formula


def _sources(rules: RuleSet) -> Iterator[str]:
    """Yield what the rules cite; a place within a source that is there already is left out."""
    sources = sorted({PLACE.sub("", rule.source) for rule in rules.rules})
    for source in sources:
        if not any(source.startswith(other) for other in sources if other != source):
            yield source


def _confidence(rules: RuleSet) -> list[str]:
    counts = Counter(rule.confidence for rule in rules.rules)
    return [f"{counts[tag]} {tag}" for tag in get_args(Confidence) if counts[tag]]


def _rule_set(rules: RuleSet, stated: set[str]) -> str:
    """Return a rule set as a section: how it is composed, and those rules not stated yet."""
    parts = [f"## `{rules.name}`\n\n{rules.venue}; [worked example]({_page_of(rules.name)}).\n"]
    parts += [
        f"- ADL starts at [`{case.trigger.name}`](#triggers) and closes at "
        f"[`{case.price.name}`](#prices)"
        for case in rules.cases
    ]
    parts += ["- nobody is closed"] if not rules.cases else []
    parts += [f"- first in line: {_score(rules)}"] if rules.cases else []
    parts += [f"- passed over: `{skip.reason}`" for skip in rules.skips if rules.cases]
    if rules.last_resort:
        parts.append(f"- last resort: [`{rules.last_resort.name}`](#last-resorts)")
    else:
        parts.append(f"- shown as: {rules.indicator_scale.says}")
        parts.append(f"- open orders cancelled: {_cancelled(rules)}; fee: {_fee(rules)}")
    parts.append("")
    if shared := [rule.id for rule in rules.rules if rule.id in stated]:
        links = ", ".join(f"[{each}](#{each.lower()})" for each in shared)
        parts.append(f"Also {links}, stated above.\n")
    parts += [_rule(rule) for rule in rules.rules if rule.id not in stated]
    stated.update(rule.id for rule in rules.rules)
    return "\n".join(parts)


def _cancelled(rules: RuleSet) -> str:
    words = {"none": "none", "contract": "those in the contract", "account": "all of the account"}
    return words[rules.cancels]


def _page_of(name: str) -> str:
    """Return the link to the worked example of a rule set."""
    pages = sorted(VENUES.glob("*.md"))
    mark = f"<!-- example: {name} -->"
    page = next(page for page in pages if mark in page.read_text(encoding="utf-8"))
    return f"venues/{page.name}#{name}"


def _rule(rule: Rule) -> str:
    """Return a rule under a heading of its own, so that it can be linked."""
    lines = [f"### {rule.id}\n", rule.says]
    if rule.assumes:
        lines.append(f"Assumed: {rule.assumes}.")
    if rule.source:
        lines.append(f"*{rule.confidence.capitalize()}: {rule.source}.*")
    return "\n".join([lines[0], "\\\n".join(lines[1:]), ""])


def _flat(documented: object) -> str:
    """Return a docstring as one line."""
    return " ".join((inspect.getdoc(documented) or "").split())
