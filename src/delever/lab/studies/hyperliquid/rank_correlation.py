"""How similar two orders are, and how well ranking formulas explain an order that happened."""

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from delever.core.messages import Side
from delever.core.units import div_nearest


def average_ranks(scores: Sequence[float]) -> list[int]:
    """Return twice the rank of each score, highest first; equal scores share their average rank.

    Doubled, so that averages of neighboring ranks are integers.
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
    """Return Spearman's rank correlation of descending scores with the order of the sequence.

    +1 if the scores fall from first to last; None if all are equal, or there are fewer than two.
    """
    ours, theirs = average_ranks(scores), [2 * place for place in range(1, len(scores) + 1)]
    mean = len(scores) + 1
    ours, theirs = [r - mean for r in ours], [r - mean for r in theirs]
    top = sum(a * b for a, b in zip(ours, theirs, strict=True))
    bottom = sum(a * a for a in ours) * sum(b * b for b in theirs)
    return top / math.sqrt(bottom) if bottom else None


def longest_nonincreasing_subsequence(scores: Sequence[float]) -> int:
    """Return the length of the longest subsequence of scores that never rises.

    A score far out of place costs one here, while it can reverse the sign of a correlation.
    """
    ends: list[float] = []
    for score in scores:
        place = bisect.bisect_right(ends, -score)
        ends[place : place + 1] = [-score]
    return len(ends)


@dataclass(frozen=True, slots=True)
class ClosedPosition:
    """One position that was really closed, in units of the quote asset, valued at the ADL price.

    `equity` and `cash` are the account's, with and without unrealized PnL.
    """

    side: Side

    price: float
    entry: float
    notional: float
    unrealized_pnl: float
    equity: float
    cash: float


MIN_ACCOUNT_VALUE = 1e-9
"""Lower bound on equity and cash in a formula: an account with less is ranked first."""


def _ratio(numerator: float, account_value: float) -> float:
    return numerator / max(account_value, MIN_ACCOUNT_VALUE)


def _move_by_side(row: ClosedPosition) -> float:
    """Return mark / entry of a long, entry / mark of a short."""
    return row.price / row.entry if row.side is Side.LONG else row.entry / row.price


def _return_rate(row: ClosedPosition) -> float:
    return row.unrealized_pnl * row.price / (row.notional * row.entry)


PUBLISHED = "(mark / entry) x (notional / equity): as published"

FORMULAS: dict[str, Callable[[ClosedPosition], float]] = {
    PUBLISHED: lambda row: row.price / row.entry * _ratio(row.notional, row.equity),
    "(entry / mark) x (notional / equity): by side": lambda row: (
        _move_by_side(row) * _ratio(row.notional, row.equity)
    ),
    "(PnL / entry notional) x (notional / equity)": lambda row: (
        _return_rate(row) * _ratio(row.notional, row.equity)
    ),
    "(mark / entry) x (notional / cash)": lambda row: (
        row.price / row.entry * _ratio(row.notional, row.cash)
    ),
    "(entry / mark) x (notional / cash)": lambda row: (
        _move_by_side(row) * _ratio(row.notional, row.cash)
    ),
    "(PnL / entry notional) x (notional / cash)": lambda row: (
        _return_rate(row) * _ratio(row.notional, row.cash)
    ),
    "notional / equity: leverage alone": lambda row: _ratio(row.notional, row.equity),
    "PnL / equity": lambda row: _ratio(row.unrealized_pnl, row.equity),
    "PnL / entry notional: return alone": _return_rate,
    "PnL alone": lambda row: row.unrealized_pnl,
    "notional alone": lambda row: row.notional,
    "smallest equity first": lambda row: -row.equity,
}
"""Scores, the highest first. The mark is the price at which the venue closed.

Entry / mark is written as for a short; for a long it is mark / entry.
"""


@dataclass(frozen=True, slots=True)
class FormulaFit:
    """How well one formula explains several queues.

    `correlation` is the mean of the queues' rank correlations, weighted by their positions;
    `ordered_share` is the share of positions in the longest subsequence of each queue that the
    formula orders as the venue did; `above_published` counts the queues of at least
    MIN_QUEUE_LENGTH positions with a better correlation than that of the published formula.
    """

    formula: str
    correlation: float
    ordered_share: float
    above_published: int


MIN_QUEUE_LENGTH = 10
"""Shorter queues are not compared one by one."""


def fit_formula(
    formula: str, queues: Sequence[Sequence[float]], published: Sequence[Sequence[float]]
) -> FormulaFit:
    """Return how well scores, queue by queue in the real order, explain that order."""
    defined = [(len(q), rho) for q in queues if (rho := spearman(q)) is not None]
    correlation = sum(n * rho for n, rho in defined) / max(sum(n for n, _ in defined), 1)
    size = sum(map(len, queues))
    above = sum(
        len(own) >= MIN_QUEUE_LENGTH and (spearman(own) or 0.0) > (spearman(other) or 0.0)
        for own, other in zip(queues, published, strict=True)
    )
    ordered = sum(map(longest_nonincreasing_subsequence, queues))
    return FormulaFit(formula, correlation, ordered / max(size, 1), above)


def fit_formulas(
    queues: Sequence[Sequence[ClosedPosition]], *, shuffles: int = 100, seed: int = 0
) -> list[FormulaFit]:
    """Return the fit of every formula, best first, then the mean fit of random shuffles."""
    scores = {
        name: [[score(row) for row in queue] for queue in queues]
        for name, score in FORMULAS.items()
    }
    published = scores[PUBLISHED]
    fits = [fit_formula(name, own, published) for name, own in scores.items()]
    generator = np.random.default_rng(seed)
    chance = [
        fit_formula("", [generator.permutation(len(q)).tolist() for q in queues], published)
        for _ in range(shuffles)
    ]
    mean = FormulaFit(
        "chance",
        fmean(fit.correlation for fit in chance),
        fmean(fit.ordered_share for fit in chance),
        div_nearest(sum(fit.above_published for fit in chance), shuffles),
    )
    return [*sorted(fits, key=lambda fit: -fit.correlation), mean]
