"""The page of the policies: each with its docstring, the table of properties, and speeds."""
# ruff: noqa: INP001, E501 - part of a script with a table, not a package

import inspect
import re
from pathlib import Path

from delever.core.rules.policies import POLICIES, POLICY_ALIASES
from delever.lab.policies import LAB_POLICIES

PROPERTIES = Path(__file__).parent.parent / "tests" / "tables" / "policy_properties.txt"

HEAD = """\
# Policies

A policy divides what a round must close. The engine divides **lots**; the literature also divides
**money of profit**. The two are never mixed: a haircut policy takes part in a run of the lab as the
lots that its haircuts stand for.

```python
import delever
from delever import lab
from delever.lab.policies import CappedProRata, WealthProRata, Winners

book = delever.read_book("examples/book")
table = lab.compare(
    book,
    delever.Shock({"BTCUSDT": "-0.15"}),
    rules="bybit",
    policies=["queue", "contract_pro_rata", "min_max_leverage", CappedProRata(max_ratio=0.5)],
    pool={"main": "1000"},
)
assert table["rules"].unique().len() == 4

winners = Winners.of(profit=[8, 4, 0.5], equity=[10, 5, 1])
assert WealthProRata().haircuts(winners, 7.5).round(6).tolist() == [4.8, 2.4, 0.3]
```

A name or an object is accepted alike. Live, a rule set carries a policy by name
(`bybit+min_max_leverage`) or as an object ([own rules](contributing/own-rules.md)). A policy that
needs a view of the future gets it as `policy.in_context(PolicyContext.of(book, shocks))`. A
counterparty that what is taken from it would bankrupt is left out, and the rest is divided again
([CORE-07](rules.md#core-07)).

"""

LIVE = "lots; live and in the lab"
SPEEDS = {
    "queue": "0.05",
    "pro_rata": "0.3",
    "min_max_leverage": "0.3",
    "wealth_pro_rata": "0.15",
    "capped_pro_rata": "0.15",
    "risk_aware_pro_rata": "0.5",
    "risk_greedy": "1.25",
    "min_max_burden": "0.3",
}
"""Medians of benchmarks/policies.py at 10^6 accounts, in times of a stable argsort."""

MEANINGS = """\
A `y` is a property that holds, an `n` one with a counterexample; the tests check every cell
(`tests/lab/policies`). *scale*: in other units of money, the same. *sybil_equal*: an account that
is split in proportion pays the same; *sybil_uneven*: no split at all pays less. *path*: two halves
of a budget do what the whole does, with scores of before (*path*) or between (*path_rescored*).
*survivor_order*: who had more profit (size, leverage) still has at least as much.
*monotone_budget*: a larger budget takes no less from anybody. *continuous*: small changes have
small effects. *wash*: the entry price does not matter, given size and equity. `contract_pro_rata`
holds up to single lots; `capped_equally` has one cap for all, as part of profit, `capped_unequally`
a least equity; `vector_mirror_descent` is the projection published under that name, for comparison.
"""


def policies_page() -> str:
    """Return the page: a section for each policy, then properties and speeds."""
    names = {policy: name for name, policy in POLICY_ALIASES.items()}
    parts = [HEAD, "| policy | divides | also called | x an argsort |", "|---|---|---|---|"]
    policies = POLICIES | LAB_POLICIES
    for name, policy in policies.items():
        speed = SPEEDS.get(name, "")
        also = f"`{names[name]}`" if name in names else ""
        parts.append(f"| [{name}](#{name}) | {_divides(name, policy)} | {also} | {speed} |")
    parts.append(
        "\nSpeeds are those of `benchmarks/policies.py` at a million accounts, in times of "
        '`np.argsort(keys, kind="stable")` in the same run.\n'
    )
    for name, policy in policies.items():
        parts += [f"## {name}\n", f"{_prose(type(policy))}\n"]
    parts += ["## Properties\n", MEANINGS, *_table()]
    parts.append("\n## Published claims that do not stand\n")
    parts.append(CLAIMS)
    return "\n".join(parts)


CLAIMS = """\
Each is a test with its counterexample (`tests/lab/policies/test_published_claims.py`).

| claim | what is true |
|---|---|
| a queue leaves the smallest largest survivor | profits 10 and 9, budget 10: a queue leaves 9, pro rata 4.74 |
| risk-aware pro rata minimizes the next deficit | 112.67 against 108.0 under pro rata and 19.8 under `risk_greedy`, which does |
| capped pro rata preserves order | only with equal caps: profits 10 and 9 become 5.9 and 8.1 |
| the vector mirror descent is proof against splitting | an account that pays 26.67 whole pays 20.00 in halves |
| PTSR of pro rata and queue differ by theta (1 - w1 / U) | by 1 - w1 / U where the haircut is theta D |
| fairness regret is the distance to the reference | it penalizes what is fairer; (m - m_ref)+ does not |
| slippage at risk sizes the fund at 127.4 M | its own definitions give 1.7 M |
"""


def _divides(name: str, policy: object) -> str:
    if name in POLICIES:
        return LIVE
    return "lots; in the lab" if hasattr(policy, "allocate") else "money of profit; in the lab"


def _prose(policy: type) -> str:
    """Return a docstring without its example, as paragraphs of one line."""
    text = inspect.getdoc(policy) or ""
    paragraphs = re.split(r"\n\s*\n", text.split("\n>>>")[0].split(">>>")[0])
    lines = (" ".join(paragraph.split()) for paragraph in paragraphs)
    return "\n\n".join(line.replace("*", "\\*") for line in lines if line)


def _table() -> list[str]:
    rows = [
        line.replace("|", " ").split()
        for line in PROPERTIES.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    table = ["| " + " | ".join(row) + " |" for row in rows]
    return [table[0], "|" + "---|" * len(rows[0]), *table[1:]]
