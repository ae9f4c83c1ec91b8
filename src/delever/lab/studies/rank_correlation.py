"""How alike two orders are, and which formula would have given an order that really happened."""

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from delever.core.units import div_nearest


def average_ranks(scores: Sequence[float]) -> list[int]:
    """Return twice the rank of each score, highest first; equal scores share their average rank.

    Doubled, so that the average of neighbouring ranks stays an integer.
    """
    in_order = sorted(range(len(scores)), key=lambda i: -scores[i])
    ranks = [0] * len(scores)
    begin = 0
    for end in range(1, len(scores) + 1):
        if end == len(scores) or scores[in_order[end]] != scores[in_order[begin]]:
            for i in in_order[begin:end]:
                ranks[i] = begin + 1 + end
            begin = end
    return ranks


def spearman(scores: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation between the scores' order and the order they stand in.

    +1 where the scores fall from first to last; None where all are equal, or there are not two.
    """
    ours, theirs = average_ranks(scores), [2 * place for place in range(1, len(scores) + 1)]
    mean = len(scores) + 1
    ours, theirs = [r - mean for r in ours], [r - mean for r in theirs]
    top = sum(a * b for a, b in zip(ours, theirs, strict=True))
    bottom = sum(a * a for a in ours) * sum(b * b for b in theirs)
    return top / math.sqrt(bottom) if bottom else None


def in_step(scores: Sequence[float]) -> int:
    """Return the length of the longest run of rows, not all adjacent, whose scores never rise.

    Rows that are far out of place cost one each here, while they may turn a correlation.
    """
    ends: list[float] = []
    for score in scores:
        place = bisect.bisect_right(ends, -score)
        ends[place : place + 1] = [-score]
    return len(ends)


@dataclass(frozen=True, slots=True)
class Closed:
    """One position that really was closed, in whole units of price and quote; `profit` at price.

    `equity` and `cash` are the account's, the first with unrealized profit and the second without.
    """

    price: float
    entry: float
    value: float
    profit: float
    equity: float
    cash: float


LEAST = 1e-9
"""What stands for an account value that is not positive: such an account would be first."""


def _over(part: float, whole: float) -> float:
    return part / max(whole, LEAST)


def _return(row: Closed) -> float:
    return row.profit * row.price / (row.value * row.entry)


LETTER = "(mark / entry) x (value / equity): the letter"

FORMULAS: dict[str, Callable[[Closed], float]] = {
    LETTER: lambda row: row.price / row.entry * _over(row.value, row.equity),
    "(entry / mark) x (value / equity): by side": lambda row: (
        row.entry / row.price * _over(row.value, row.equity)
    ),
    "(profit / entry value) x (value / equity)": lambda row: (
        _return(row) * _over(row.value, row.equity)
    ),
    "(mark / entry) x (value / cash)": lambda row: (
        row.price / row.entry * _over(row.value, row.cash)
    ),
    "(entry / mark) x (value / cash)": lambda row: (
        row.entry / row.price * _over(row.value, row.cash)
    ),
    "(profit / entry value) x (value / cash)": lambda row: (
        _return(row) * _over(row.value, row.cash)
    ),
    "value / equity: leverage alone": lambda row: _over(row.value, row.equity),
    "profit / equity": lambda row: _over(row.profit, row.equity),
    "profit / entry value: return alone": _return,
    "profit alone": lambda row: row.profit,
    "value alone": lambda row: row.value,
    "least equity first": lambda row: -row.equity,
}
"""Scores for shorts, the higher the earlier. Mark is the price at which the venue closed."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How well one formula explains several queues.

    `correlation` is the mean of the queues' rank correlations, weighted by their positions;
    `in_step` the share of positions in the longest run of each queue that the formula orders as
    the venue did; `above_letter` counts the queues of LONG positions or more in which the formula
    correlates better than the venue's published one, read to the letter.
    """

    formula: str
    correlation: float
    in_step: float
    above_letter: int


LONG = 10
"""A queue shorter than this says little by itself."""


def fit(formula: str, queues: Sequence[Sequence[float]], letter: Sequence[Sequence[float]]) -> Fit:
    """Return how well scores, given queue by queue in the real order, explain that order."""
    told = [(len(q), rho) for q in queues if (rho := spearman(q)) is not None]
    correlation = sum(n * rho for n, rho in told) / max(sum(n for n, _ in told), 1)
    size = sum(map(len, queues))
    above = sum(
        len(own) >= LONG and (spearman(own) or 0.0) > (spearman(other) or 0.0)
        for own, other in zip(queues, letter, strict=True)
    )
    return Fit(formula, correlation, sum(map(in_step, queues)) / max(size, 1), above)


def fits(queues: Sequence[Sequence[Closed]], *, shuffles: int = 100, seed: int = 0) -> list[Fit]:
    """Return every formula's fit, best first, then what chance gives: the mean of some shuffles."""
    scores = {
        name: [[score(row) for row in queue] for queue in queues]
        for name, score in FORMULAS.items()
    }
    letter = scores[LETTER]
    found = [fit(name, own, letter) for name, own in scores.items()]
    generator = np.random.default_rng(seed)
    chance = [
        fit("", [generator.permutation(len(queue)).tolist() for queue in queues], letter)
        for _ in range(shuffles)
    ]
    mean = Fit(
        "chance",
        fmean(each.correlation for each in chance),
        fmean(each.in_step for each in chance),
        div_nearest(sum(each.above_letter for each in chance), shuffles),
    )
    return [*sorted(found, key=lambda each: -each.correlation), mean]
