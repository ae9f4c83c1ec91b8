"""Policies on one million accounts, beside a sort of their keys.

The peer is what any policy that orders accounts has to do at least: `np.argsort(keys,
kind="stable")`, which decides ties. Quantities and equities are drawn as those of 10 October 2025
(lognormal); a twentieth is closed. Every result is checked to sum to what was wanted.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from measure import Row, in_turns, main, ms

from delever.core.rules.policies.allocation import fill_in_order, share_by_weight
from delever.core.rules.policies.min_max_leverage import drain
from delever.lab.policies import (
    CappedProRata,
    HaircutPolicy,
    MinMaxBurden,
    RiskAwareProRata,
    RiskGreedy,
    WealthProRata,
    Winners,
)

SORT_LIMIT, SHARE_LIMIT = 1.5, 0.5
PART = 0.05


def rows(options: argparse.Namespace) -> Iterator[Row]:
    rng, n = np.random.default_rng(3), options.positions
    lots = np.maximum(rng.lognormal(6.3, 2.6, n) * 1000, 1).astype(np.int64)
    equity = (rng.lognormal(6.96, 2.57, n) * 1e8).astype(np.int64) + 1
    wanted, none = int(PART * int(lots.sum())), np.zeros(n, np.int64)
    profit = lots / 1000
    winners = Winners.of(profit, profit + equity / 1e8, 5 * profit)
    keys = -winners.leverage

    def taken_by(policy: HaircutPolicy) -> Callable[[], float]:
        return lambda: float(policy.haircuts(winners, PART * profit.sum()).sum() * 1000)

    work: dict[str, Callable[[], float]] = {
        "queue": lambda: float(fill_in_order(wanted, lots).sum()),
        "contract_pro_rata": lambda: float(share_by_weight(wanted, lots, lots).sum()),
        "min_max_leverage": lambda: float(drain(lots, none, equity, wanted).sum()),
        "wealth_pro_rata": taken_by(WealthProRata()),
        "capped_pro_rata": taken_by(CappedProRata(max_ratio=0.9)),
        "risk_aware_pro_rata": taken_by(RiskAwareProRata()),
        "risk_greedy": taken_by(RiskGreedy()),
        "min_max_burden": taken_by(MinMaxBurden()),
    }
    for name, function in work.items():
        if abs(function() / wanted - 1) > 1e-9:
            raise SystemExit(f"{name}: does not sum to the lots wanted")
    timed = {name: partial(_ignoring_the_round, function) for name, function in work.items()}
    sort = partial(_ignoring_the_round, lambda: float(np.argsort(keys, kind="stable")[0]))
    loose = partial(_ignoring_the_round, lambda: float(np.argsort(keys)[0]))
    times = in_turns(options.rounds, argsort=sort, unstable=loose, **timed)
    yield Row(f"stable argsort of {n:,} keys", ms(times["argsort"]))
    yield Row("  an unstable one, with vector instructions", ms(times["unstable"]))
    for name in work:
        limit = SHARE_LIMIT if name == "contract_pro_rata" else SORT_LIMIT
        part = float(np.median(times[name]) / np.median(times["argsort"]))
        yield Row(
            f"{name}, {n:,} accounts",
            f"{ms(times[name])}, {part:.2f} x",
            f"<= {limit} x the argsort",
            part <= limit,
        )


def _ignoring_the_round(work: Callable[[], float], _number: int) -> float:
    return work()


if __name__ == "__main__":
    main(rows)
