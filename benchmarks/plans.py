"""Plans over five contracts and 1,000 scenarios: solved by HiGHS, proved, and checked with NumPy.

The book is the synthetic one of the tests, with a quarter of every contract's shorts to be reduced.
The table has simpler policies beside it: expected shortfall after, and who is touched.
"""

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from measure import Row, in_turns, main, ms

sys.path.append(str(Path(__file__).parent.parent / "tests" / "lab" / "policies" / "plans"))
from reductions import four_accounts, synthetic

from delever.core.units import Floats
from delever.lab.policies.plans.check import check
from delever.lab.policies.plans.reduction import Reduction
from delever.lab.policies.plans.shadow_prices import shadow_prices

ACCOUNTS, CONTRACTS, SCENARIOS = 10_000, 5, 1_000


def rows(options: argparse.Namespace) -> Iterator[Row]:
    reduction, four = synthetic(ACCOUNTS, CONTRACTS, SCENARIOS, 1), four_accounts((10, 0))
    solved = {name: shadow_prices(each) for name, each in (("book", reduction), ("four", four))}
    times = in_turns(
        min(options.rounds, 3),
        solve=partial(_ignoring_the_round, partial(shadow_prices, reduction)),
        check=partial(_ignoring_the_round, partial(check, solved["book"], reduction)),
        four=partial(_ignoring_the_round, partial(shadow_prices, four)),
    )
    solve, checked, small = (float(np.median(times[name])) for name in ("solve", "check", "four"))
    best = solved["book"]
    book = f"{ACCOUNTS:,} accounts x {CONTRACTS} contracts x {SCENARIOS:,} scenarios"
    yield Row(f"plan, {book}", ms(times["solve"]), "<= 5 s", solve <= 5)
    yield Row("  gap that its certificate proves", f"{best.gap:.1e}", "< 1e-9", best.gap < 1e-9)
    yield Row("  certificate checked with NumPy", ms(times["check"]), "<= 1 s", checked <= 1)
    yield Row("plan, 4 accounts, 400 nodes of GBM", ms(times["four"]), "<= 0.1 s", small <= 0.1)
    for name, plan in _plans(reduction, best.plan).items():
        touched = float((plan > 1e-6 * np.maximum(reduction.limits, 1)).any(axis=1).mean())
        loss = reduction.expected_loss(plan)
        yield Row(f"  shortfall after {name}", f"{loss:,.1f}; {touched:.1%} touched")


def _ignoring_the_round(work: partial[object], _number: int) -> object:
    return work()


def _plans(reduction: Reduction, best: Floats) -> dict[str, Floats]:
    """Return the plans of simpler policies, contract by contract."""
    limits, quantity, equity = reduction.limits, reduction.quantity, reduction.equity
    leverage = np.abs(reduction.exposure).sum(axis=1) / equity
    queue, levels = np.zeros_like(limits), np.zeros_like(limits)
    order = np.argsort(-leverage, kind="stable")
    for k in range(len(quantity)):
        ahead = np.cumsum(limits[order, k]) - limits[order, k]
        queue[order, k] = np.clip(quantity[k] - ahead, 0, limits[order, k])
        low, high = 0.0, float((limits[:, k] / equity).max())
        for _ in range(200):
            middle = (low + high) / 2
            if np.maximum(limits[:, k] - middle * equity, 0).sum() > quantity[k]:
                low = middle
            else:
                high = middle
        levels[:, k] = np.maximum(limits[:, k] - high * equity, 0)
    return {
        "contract pro rata": limits * (quantity / limits.sum(axis=0)),
        "a queue by leverage": queue,
        "min-max leverage by contract": levels,
        "the plan": best,
    }


if __name__ == "__main__":
    main(rows)
