"""The page of ADL-Bench: its rules, the instances, the measures, and the table of results."""
# ruff: noqa: INP001, E501 - part of a script with prose, not a package

from pathlib import Path

import polars as pl

from delever.lab.studies.bench.instances import BUILDERS, DIGESTS
from delever.lab.studies.bench.scores import COMPARISONS, MEASURES
from delever.lab.studies.bench.submission import ALL

RESULTS = Path(__file__).parent / "results" / "adl-bench.csv"

HEAD = """\
# ADL-Bench

Twelve frozen instances on which any ADL policy can be scored, on a dozen measures, by anybody. Each is a book, a quantity
to be closed, a price, and moves of the market that are feared. The tests of delever compute the table again.

```sh
delever lab bench my_policy.py                     # a row for each instance, and the mean
delever lab bench my_policy.py --policy queue      # beside a shipped policy
delever lab bench --shipped examples/bench/*.py -o docs/results/adl-bench.csv   # the table below
```

## Rules of a submission

1. One Python file with an object `policy`. It has a `name` that no other policy has, and one of
   `allocate(queue, wanted_lots, quote)` (whole lots of each counterparty, in order of rank),
   `haircuts(winners, budget, context)` (money of each winner's profit), or `plan(reduction)` (money of each account and
   contract, or a `Certificate`). The directory `examples/bench` has one.
2. It is a function of its arguments: no clock, no network, no state, no random numbers without a fixed seed, nothing that
   depends on the name of an instance. The same call gives the same answer.
3. An answer that takes more than there is, or a plan that does not meet the quantity, ends the run with an error.
4. A certificate is checked with NumPy alone (`lab.check`); the row says what it proves. A plan without one is scored, too.
5. To enter the table: add the file to `examples/bench`, run the third command above, and open a pull request with both.
   `make slow` recomputes every row; a row that differs is not merged.

The queue is in the order of Bybit's ranking, leverage times return. A haircut policy acts by the lots that its haircuts stand
for ([policies](../policies.md)). No eligibility filter is applied: the bench scores the division alone. A `plan` sees the
reduction at the mark; the ADL price of five instances is away from it, so that the best plan there need not be the best
outcome.
"""

TABLE_NOTE = """
The mean over the instances on which a measure is defined. Lower is better, but `accounts touched` and `full closes` are a matter of taste.
No column decides alone, and the mean is of unlike instances: [adl-bench.csv](adl-bench.csv) has every row.
"""


def bench_page() -> str:
    """Return the page, from the stored rows."""
    rows = pl.read_csv(RESULTS)
    parts = [HEAD, "## Instances\n", "| instance | what it is | digest |", "|---|---|---|"]
    for name, builder in BUILDERS.items():
        parts.append(f"| {name} | {builder().about} | `{DIGESTS[name][:12]}` |")
    parts += ["\n## Measures\n", "| measure | what it is |", "|---|---|"]
    for name, function in MEASURES.items():
        parts.append(f"| {name} | {_about(function.__doc__)} |")
    parts += [f"| {name} | {about} |" for name, about in COMPARISONS.items()]
    parts += ["\n## Results\n", *_table(rows), TABLE_NOTE, "## Expected loss by instance\n"]
    parts += _by_instance(rows)
    parts.append("")
    return "\n".join(parts)


def _about(docstring: str | None) -> str:
    """Return what a measure is, from the first line of its docstring."""
    text = (docstring or "").splitlines()[0].removeprefix("Return the ")
    return text[:1].upper() + text[1:]


def _table(rows: pl.DataFrame) -> list[str]:
    """Return the means, the smallest expected loss first."""
    names = [*MEASURES, *COMPARISONS]
    lines = ["| policy | " + " | ".join(name.replace("_", " ") for name in names) + " |"]
    lines.append("|---|" + "---|" * len(names))
    ordered = rows.filter(instance=ALL).sort("expected_loss", "policy")
    return lines + [
        f"| {row['policy']} | " + " | ".join(_cell(row[name]) for name in names) + " |"
        for row in ordered.iter_rows(named=True)
    ]


def _by_instance(rows: pl.DataFrame) -> list[str]:
    """Return the expected loss of each policy on each instance."""
    policies = rows.filter(instance=ALL).sort("expected_loss", "policy")["policy"].to_list()
    loss = {
        (row[0], row[1]): row[2]
        for row in rows.select("policy", "instance", "expected_loss").rows()
    }
    lines = ["| policy | " + " | ".join(name.replace("_", " ") for name in BUILDERS) + " |"]
    lines.append("|---|" + "---|" * len(BUILDERS))
    for policy in policies:
        cells = " | ".join(_cell(loss[policy, name]) for name in BUILDERS)
        lines.append(f"| {policy} | {cells} |")
    return lines


def _cell(number: float | None) -> str:
    return "" if number is None else f"{number:.3f}"
