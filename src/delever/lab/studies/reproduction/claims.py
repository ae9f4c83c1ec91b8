"""Claims of the papers that worked examples decide, without data (F1-F5, F8)."""

from collections.abc import Iterator

import numpy as np

from delever.core.rules.policies.allocation import fill_in_order
from delever.lab.policies.haircuts.levels import capped_shares
from delever.lab.policies.haircuts.ordered import fill_by_value
from delever.lab.policies.haircuts.pro_rata import CappedProRata, RiskAwareProRata, WealthProRata
from delever.lab.policies.haircuts.winners import Winners
from delever.lab.studies.reproduction.figure import P1, P2, SAR, PublishedFigure, figure


def largest_survivor() -> Iterator[PublishedFigure]:
    """Yield F1: profits 10 and 9, 10 to be paid; the largest profit left."""
    profit = np.array([10.0, 9.0])
    queue = float((profit - fill_in_order(10, profit)).max())
    shared = profit - WealthProRata().haircuts(Winners.of(profit, profit), 10.0)
    yield figure(
        "F1",
        P1,
        "largest survivor under a queue, claimed to be the smallest, example",
        float(shared.max()),
        queue,
        why="pro rata leaves 4.74: the claim is true of the first winner's own survivor only",
    )


def next_deficit() -> Iterator[PublishedFigure]:
    """Yield F2: risk 2 and 1, equity 10 and 100, profit 10 and 1, budget 1.1."""
    risk, equity, profit = np.array([2.0, 1.0]), np.array([10.0, 100.0]), np.array([10.0, 1.0])
    winners = Winners.of(profit, equity, risk * equity)

    def left(haircuts: np.ndarray) -> float:
        return float(((1 - haircuts / profit) * risk * equity).sum())

    smallest = left(fill_by_value(risk * equity, profit, 1.1))
    aware = left(RiskAwareProRata(exponent=1.0).haircuts(winners, 1.1))
    plain = left(WealthProRata().haircuts(winners, 1.1))
    yield figure(
        "F2",
        P1,
        "next deficit under risk-aware pro rata, claimed to be the smallest, example",
        smallest,
        aware,
        why=f"{aware:.2f} against {plain:.1f} under pro rata and {smallest:.1f} in greedy order",
    )


def survivor_order() -> Iterator[PublishedFigure]:
    """Yield F3: caps of 1 and 0.1 on profits 10 and 9, 5 to be paid."""
    profit = np.array([10.0, 9.0])
    left = profit - CappedProRata(min_equity=9.0).haircuts(Winners.of(profit, [19.0, 9.9]), 5.0)
    yield figure(
        "F3",
        P1,
        "pairs that capped pro rata reverses, example",
        0,
        float((np.diff(left) > 0).sum()),
        why=f"survivors {left[0]:.1f} and {left[1]:.1f}: monotone with equal caps only",
    )


def splitting() -> Iterator[PublishedFigure]:
    """Yield F4: profits 100, 50, 50, 40 to be paid; the first account splits in two."""

    def projected(profit: np.ndarray) -> np.ndarray:
        return capped_shares(profit * profit, 1 / profit, 40.0)

    whole = float(projected(np.array([100.0, 50.0, 50.0]))[0])
    split = float(projected(np.array([50.0, 50.0, 50.0, 50.0]))[:2].sum())
    yield figure(
        "F4",
        P2,
        "payment under vector mirror descent after a split, example",
        whole,
        split,
        why=f"the account pays {whole:.2f} whole and {split:.2f} in halves",
    )


def survivor_ratio() -> Iterator[PublishedFigure]:
    """Yield F5: PTSR of pro rata less PTSR of a queue, in P1's own example."""
    profit, severity, deficit = np.array([8.0, 4.0, 0.5]), 0.5, 15.0
    haircut = severity * deficit
    shared = WealthProRata().haircuts(Winners.of(profit, profit), haircut)[0]
    gap = float(fill_by_value(profit, profit, haircut)[0] - shared) / haircut
    yield figure(
        "F5",
        P1,
        "PTSR of pro rata less that of a queue, example",
        severity * (1 - 8 / 12.5),
        gap,
        why="with a haircut of theta D it is 1 - w1 / U, without the factor theta",
    )


def slippage_at_risk() -> Iterator[PublishedFigure]:
    """Yield F8: 10 % of the open interest of the tail, at its expected slippage."""
    open_interest, slippage, stress = 196.0, 0.0892, 0.10
    yield figure(
        "F8",
        SAR,
        "TSaR of table 3, million USD",
        127.4,
        stress * open_interest * slippage,
        why="by its own definitions; 127.4 would need a slippage of 650 %",
    )
