"""The page of published figures: what holds, what holds after a correction, what does not stand."""
# ruff: noqa: INP001, E501 - part of a script with prose, not a package

from pathlib import Path

import polars as pl

FIGURES = Path(__file__).parent / "results" / "reproduction.csv"

HEAD = """\
# Published figures, computed again

The papers on auto-deleveraging published their code and tables, which is rare and made this page possible. It computes
their figures again, with code of our own, and says of each whether it **holds**, **holds after correction**, or
**does not stand** as it is published. A correction is no judgement of a paper: most figures hold to the cent, and the
mechanisms and proofs that delever builds on are theirs. Errors on this page are ours; please report them.

```sh
delever lab reproduce                          # figures of examples, without data
delever lab reproduce DIRECTORY                # with the tables of 10 October 2025
delever lab reproduce DIRECTORY -o docs/results/reproduction.csv
```

The directory has copies of the public result tables: `plu_*.csv` of pluriholonomic/autodeleveraging-analysis (MIT),
`hr_adl_by_user_REALTIME.csv` and `hr_adl_by_coin_REALTIME.csv` of HyperReplay (**Powered by HyperReplay — © ConejoCapital**,
non-commercial), `viz_adl_flow_data.json` of ADLVisualizer. None is part of delever. Where a table is derived, the figure is
checked against it and not against raw fills. *computed by* is the function under `src/delever/lab/studies/reproduction`.

"""

TAIL = """
## What the corrections change

- **The deficit of the event.** 100.06 M USD counts one backstop vault in nine of sixteen waves; counted once, the waves have 12.66 M.
  Severities, PTSR, PMR and the regret bound use the published sum.
- **The event is larger than its waves.** They leave out the fills of waves without a loser of negative equity, a third of the notional.
- **Fairness.** Measured against continuous pro rata, the order of the policies reverses.
- **653 M USD of overshoot**: more than half is of clusters without any deficit, where the budget is realized PnL: it is no excess over a need.
- **Four accounts under geometric Brownian motion.** The points that the companion code flags as solved are up to 1.8 % above
  the certified optimum of its own quadrature.

## Not reproduced

- PTSR, PMR and over-collateralization from primitives (6.66 trimmed, 4.41 median), rank stability of haircuts (0.34, 0.72, 0.86): the
  inputs are not public in full.
- The sweep of fairness weights ("40 to 46 times worse"): the published tables give 43.4 at a weight of 0.5 and 13.9 at 2.
- Figures as pictures: the authors' own scripts draw them.
- "302 negative accounts" counts events of 165 accounts in one build of HyperReplay and other numbers in an older one; the two
  builds agree on notional, PnL and counts, which are the figures above.

The page of [604 real positions](hyperliquid-2025-10-10.md) states its own choice about accounts with non-positive equity.
"""

ORDER = ("does not stand", "holds after correction", "holds")


def reproduction_page() -> str:
    """Return the page, from the stored rows."""
    rows = pl.read_csv(FIGURES)
    parts = [HEAD]
    for verdict in ORDER:
        chosen = rows.filter(verdict=verdict)
        parts.append(f"## {verdict.capitalize()}: {chosen.height} figures\n\n")
        reason = verdict != "holds"
        parts.append(
            "| id | source | figure | published | computed |" + (" why |" if reason else "")
        )
        parts.append(
            " computed by |\n|---|---|---|---|---|---|" + ("---|" if reason else "") + "\n"
        )
        for row in chosen.iter_rows(named=True):
            cells = [row["id"], row["source"], row["quantity"]]
            cells += [_number(row["published"]), _number(row["computed"])]
            cells += [row["why"] or ""] if reason else []
            parts.append("| " + " | ".join([*cells, f"`{row['computed_by']}`"]) + " |\n")
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n" + TAIL


def _number(value: float) -> str:
    return (
        f"{value:,.0f}"
        if value == int(value)
        else f"{value:,.2f}"
        if abs(value) > 1e4
        else f"{value:,.4f}"
    )
