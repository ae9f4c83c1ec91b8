"""Start the rule set of a new venue: `make venue NAME=acme`.

Creates the rule file and the scenario, and adds the registry entry, the rows of the test tables and
the block of the worked example. Every place that the author has to fill in has a mark, and
tests/test_tidy.py fails with the list of them. docs/contributing/add-a-venue.md describes the rest.
"""
# ruff: noqa: INP001, T201 - a script, not a package

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
RULES = Path("src/delever/core/rules")
MODEL = "kucoin"
"""The rule set whose scenario the new one starts from."""

MARK = "TO" + "DO"
UNKNOWN = "?"
"""A cell of a table that the author computes by hand."""

RULE_FILE = '''\
"""{title}: {mark} how it deleverages, in one line."""

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import Ranking, account_leveraged_return
from delever.core.rules.ruleset import Case, Rule, RuleSet
from delever.core.rules.triggers import PoolEquity

PAGE = "{mark} title of the page of {title} that describes ADL"

{constant} = RuleSet(
    name="{name}",
    venue="{title}",
    # {mark}: the trigger and the ADL price; docs/rules.md lists those that exist.
    cases=(Case(PoolEquity(), AtBankruptcyPrice()),),
    # {mark}: the score; core/rules/ranking.py has those that exist.
    ranking=Ranking(
        "PnL / entry value x notional / equity, for losers /", account_leveraged_return
    ),
    rules=(
        Rule("{prefix}-01", "{mark}: when ADL starts and stops.", PAGE, "not documented"),
        Rule("{prefix}-02", "{mark}: how counterparties are ranked.", PAGE, "not documented"),
        Rule("{prefix}-03", "{mark}: the price of an ADL fill.", PAGE, "not documented"),
        Rule("{prefix}-04", "{mark}: the indicator's scale.", PAGE, "not documented"),
        Rule("{prefix}-05", "{mark}: which open orders are cancelled.", PAGE, "not documented"),
    ),
)
'''

EXAMPLE = """\

## `{name}`

{mark}: what the example demonstrates ([{prefix}-02](../rules.md#{anchor}-02)).

<!-- example: {name} -->
<!-- end -->
"""


class VenueError(ValueError):
    """A name that is invalid or taken."""


def new_venue(name: str, root: Path = ROOT) -> dict[Path, str]:
    """Return the files of a new venue by path relative to `root`, created or changed."""
    if not re.fullmatch(r"[a-z][a-z0-9]{2,19}", name):
        raise VenueError(f"NAME={name}: must be 3 to 20 lowercase letters and digits, as in acme")
    rule_file = RULES / "venues" / f"{name}.py"
    if (root / rule_file).exists():
        raise VenueError(f"NAME={name}: {rule_file} exists")
    prefix = _free_prefix(name, (root / "docs/rules.md").read_text(encoding="utf-8"))
    words = {
        "name": name,
        "title": name.capitalize(),
        "constant": name.upper(),
        "prefix": prefix,
        "anchor": prefix.lower(),
        "mark": MARK,
    }
    scenario = (root / f"examples/venues/{MODEL}.ndjson").read_text(encoding="utf-8")
    return {
        rule_file: RULE_FILE.format(**words),
        Path(f"examples/venues/{name}.ndjson"): scenario.replace(f'"{MODEL}"', f'"{name}"'),
        RULES / "__init__.py": _registered(
            (root / RULES / "__init__.py").read_text(encoding="utf-8"), name
        ),
        **_tables(root, name, prefix),
        **_pages(root, words),
    }


def _free_prefix(name: str, rules_page: str) -> str:
    """Return the prefix of the rule ids: the first letters of the name that no venue uses."""
    used = set(re.findall(r"^### ([A-Z]+)-\d\d", rules_page, re.MULTILINE))
    candidates = [name[:length].upper() for length in range(3, 9)]
    free = [prefix for prefix in candidates if prefix.isalpha() and prefix not in used]
    if not free:
        raise VenueError(f"NAME={name}: every prefix of it names rules already")
    return free[0]


def _registered(text: str, name: str) -> str:
    """Return core/rules/__init__.py with the import, in alphabetical order, and the entry."""
    lines = text.splitlines(keepends=True)
    venue_import = "from delever.core.rules.venues."
    places = [i for i, line in enumerate(lines) if line.startswith(venue_import)]
    later = [i for i in places if lines[i].removeprefix(venue_import).partition(" ")[0] > name]
    at = later[0] if later else places[-1] + 1
    lines.insert(at, f"{venue_import}{name} import {name.upper()}\n")
    return re.sub(
        r"(\n_ALL = \(\n.*?)(\n\)\n)",
        rf"\1\n    {name.upper()},\2",
        "".join(lines),
        flags=re.DOTALL,
    )


def _tables(root: Path, name: str, prefix: str) -> dict[Path, str]:
    """Return the tables of tests/tables with rows of the venue; unknown outcomes are `?`."""
    score = ["linear", "long", "10", "100", "110", "-", "50", "1", "0.01", "-", "-"]
    rows = {
        "venue_scores.txt": ([f"{prefix}-02"], [name, *score]),
        "venue_indicators.txt": ([f"{prefix}-04"], [name]),
        "venue_scenarios.txt": ([f"{prefix}-01", f"{prefix}-03", f"{prefix}-05"], [name]),
    }
    tables = {}
    for file, (rules, cells) in rows.items():
        path = Path("tests/tables") / file
        comment = f"# rule: {' '.join(rules)}  source: {MARK} page; how the row follows"
        tables[path] = append_row((root / path).read_text(encoding="utf-8"), comment, cells)
    return tables


def append_row(text: str, comment: str, cells: list[str]) -> str:
    """Return a table with a row whose other columns are unknown, aligned as before."""
    lines = text.splitlines()
    header = next(line for line in lines if line.strip() and not line.startswith("#")).split()
    given = [*cells, *[UNKNOWN] * (len(header) - len(cells))]
    given[header.index("|")] = "|"
    lines += [comment, " ".join(given)]
    rows = {i: line.split() for i, line in enumerate(lines) if line and not line.startswith("#")}
    widths = [max(len(row[column]) for row in rows.values()) for column in range(len(header))]
    for index, row in rows.items():
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines[index] = "  ".join(padded).replace("  |  ", " | ").rstrip()
    return "\n".join(lines) + "\n"


def _pages(root: Path, words: dict[str, str]) -> dict[Path, str]:
    """Return the pages of docs/venues with the venue in the family of level-and-rank exchanges."""
    overview, family = Path("docs/venues/README.md"), Path("docs/venues/exchanges.md")
    row = re.compile(r"(\]\(exchanges\.md\).*\| [\w, ]+\w)( \|)")
    return {
        overview: row.sub(rf"\1, {words['name']}\2", (root / overview).read_text(encoding="utf-8")),
        family: (root / family).read_text(encoding="utf-8") + EXAMPLE.format(**words),
    }


def main() -> None:
    """Write the files of the venue named on the command line, and list them."""
    if len(sys.argv) != 2 or not sys.argv[1]:
        sys.exit("usage: make venue NAME=acme")
    try:
        files = new_venue(sys.argv[1])
    except VenueError as error:
        sys.exit(str(error))
    for path, text in files.items():
        print(f"{'changed' if (ROOT / path).exists() else 'created'}  {path}")
        (ROOT / path).write_text(text, encoding="utf-8")
    print("Next: docs/contributing/add-a-venue.md")


if __name__ == "__main__":
    main()
