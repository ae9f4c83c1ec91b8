"""The mechanisms of the property table, on one book of winners, and what each property measures."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from delever.core.rules.policies.allocation import fill_in_order, share_by_weight
from delever.core.rules.policies.min_max_leverage import drain
from delever.core.units import Floats
from delever.lab.policies import (
    CappedProRata,
    HaircutPolicy,
    RiskAwareProRata,
    WealthProRata,
    Winners,
)

FINE = 10**7
"""Lots per unit of notional where lots should not matter."""


@dataclass(frozen=True)
class WinnerBook:
    """Profit, equity and notional of winners, in money; `order` and `scores` where frozen."""

    profit: Floats
    equity: Floats
    notional: Floats
    frozen: Floats | None = None

    def rows(self, rows: Floats) -> "WinnerBook":
        """Return the book with its rows in another order."""
        return WinnerBook(self.profit[rows], self.equity[rows], self.notional[rows])

    def times(self, factor: float) -> "WinnerBook":
        return WinnerBook(self.profit * factor, self.equity * factor, self.notional * factor)

    def split(self, profit: float, equity: float, notional: float) -> "WinnerBook":
        """Return the book with its first account split in two: these parts, and the rest."""
        columns = []
        for column, part in zip(
            (self.profit, self.equity, self.notional), (profit, equity, notional), strict=True
        ):
            columns.append(np.r_[column[0] * part, column[0] * (1 - part), column[1:]])
        return WinnerBook(*columns)


@dataclass(frozen=True)
class Mechanism:
    """What a policy takes of a budget, out of which column, and how exactly in its units."""

    take: Callable[[WinnerBook, float], Floats]
    space: str = "profit"  # the column that is taken from
    lot: float = 0.0  # a unit of rounding
    scores: Callable[[WinnerBook], Floats] | None = None

    def capacity(self, book: WinnerBook) -> Floats:
        column: Floats = getattr(book, self.space)
        return column

    def after(self, book: WinnerBook, taken: Floats, *, frozen: bool) -> WinnerBook:
        """Return the book after a haircut, which equity pays, or a reduction at the mark."""
        scores = self.scores(book) if frozen and self.scores else None
        if self.space == "profit":
            return replace(
                book, profit=book.profit - taken, equity=book.equity - taken, frozen=scores
            )
        return replace(book, notional=book.notional - taken, frozen=scores)


def ratio_score(book: WinnerBook) -> Floats:
    """Return leverage times return, the score of most venues."""
    return book.notional / book.equity * (book.profit / np.maximum(book.notional, 1e-300))


def size_score(book: WinnerBook) -> Floats:
    return book.notional


def queue_by(score: Callable[[WinnerBook], Floats]) -> Mechanism:
    def take(book: WinnerBook, budget: float) -> Floats:
        scores = score(book) if book.frozen is None else book.frozen
        order = np.argsort(-scores, kind="stable")
        taken = np.empty_like(book.profit)
        taken[order] = fill_in_order(budget, book.profit[order])
        return taken

    return Mechanism(take, scores=score)


def by(policy: HaircutPolicy) -> Mechanism:
    def take(book: WinnerBook, budget: float) -> Floats:
        winners = Winners.of(book.profit, book.equity, book.notional)
        return policy.haircuts(winners, budget)

    return Mechanism(take)


def vector_mirror_descent(profit: Floats, budget: float) -> Floats:
    """Return the projection of 0 onto {0 <= h <= 1, w'h = B}: x_i = w_i min(1, k w_i) (M10)."""
    low, high = 0.0, 1 / profit.min()
    for _ in range(200):
        middle = (low + high) / 2
        if (profit * np.minimum(1, middle * profit)).sum() > budget:
            high = middle
        else:
            low = middle
    return profit * np.minimum(1, low * profit)


def in_lots(divide: Callable[[Floats, Floats, int], Floats], lots_per_unit: int) -> Mechanism:
    def take(book: WinnerBook, budget: float) -> Floats:
        lots = np.rint(book.notional * lots_per_unit).astype(np.int64)
        equity = np.maximum(np.rint(book.equity * FINE), 1).astype(np.int64)
        return divide(lots, equity, round(budget * lots_per_unit)) / lots_per_unit

    return Mechanism(take, space="notional", lot=1 / lots_per_unit)


MECHANISMS: dict[str, Mechanism] = {
    "queue_by_ratio": queue_by(ratio_score),
    "queue_by_size": queue_by(size_score),
    "wealth_pro_rata": by(WealthProRata()),
    "capped_equally": by(CappedProRata(max_ratio=0.8, min_equity=-np.inf)),
    "capped_unequally": by(CappedProRata(min_equity=10.0)),
    "risk_aware_pro_rata": by(RiskAwareProRata()),
    "contract_pro_rata": in_lots(lambda lots, _, wanted: share_by_weight(wanted, lots, lots), 1),
    "vector_mirror_descent": Mechanism(
        lambda book, budget: vector_mirror_descent(book.profit, budget)
    ),
    "min_max_leverage": in_lots(
        lambda lots, equity, wanted: drain(lots, np.zeros_like(lots), equity, wanted), FINE
    ),
}


# --- what each property measures: how far it is violated, in parts of the budget ---


def scale(m: Mechanism, book: WinnerBook, budget: float) -> float:
    """f(c w, c B) = c f(w, B)."""
    once, thrice = m.take(book, budget), m.take(book.times(3), 3 * budget)
    return float(np.abs(thrice - 3 * once).max())


def sybil_equal(m: Mechanism, book: WinnerBook, budget: float) -> float:
    """An account split in proportion pays what it paid whole."""
    whole, split = m.take(book, budget), m.take(book.split(0.25, 0.25, 0.25), budget)
    return float(abs(split[:2].sum() - whole[0]))


def sybil_uneven(m: Mechanism, book: WinnerBook, budget: float) -> float:
    """No split, in whatever parts, pays less than the account whole."""
    whole, least = m.take(book, budget)[0], np.inf
    for parts in ((0.5, 0.9, 0.5), (0.5, 0.1, 0.5), (0.9, 0.2, 0.2), (0.2, 0.2, 0.9)):
        if book.split(*parts).equity.min() > 0:
            least = min(least, m.take(book.split(*parts), budget)[:2].sum())
    return float(max(whole - least, 0))


def _path(m: Mechanism, book: WinnerBook, budget: float, *, frozen: bool) -> float:
    first = m.take(book, budget / 2)
    second = m.take(m.after(book, first, frozen=frozen), budget / 2)
    return float(np.abs(first + second - m.take(book, budget)).max())


def path(m: Mechanism, book: WinnerBook, budget: float) -> float:
    """Two halves of a budget give what the whole does, with scores of before the first."""
    return _path(m, book, budget, frozen=True)


def path_rescored(m: Mechanism, book: WinnerBook, budget: float) -> float:
    """Two halves of a budget give what the whole does, with scores of after the first."""
    return _path(m, book, budget, frozen=False)


def survivor_order(m: Mechanism, book: WinnerBook, budget: float) -> float:
    """Who had more still has at least as much (of leverage, under water filling)."""
    unit = book.equity if m is MECHANISMS["min_max_leverage"] else np.ones_like(book.equity)
    before = m.capacity(book) / unit
    left = (m.capacity(book) - m.take(book, budget)) / unit
    inverted = (before[:, None] >= before[None, :]) * (left[None, :] - left[:, None])
    return float(max(inverted.max(), 0))


def monotone_budget(m: Mechanism, book: WinnerBook, budget: float) -> float:
    """A larger budget takes no less from anybody."""
    return float(max((m.take(book, budget * 0.9) - m.take(book, budget)).max(), 0))


def continuous(m: Mechanism, book: WinnerBook, budget: float) -> float:
    """A change of equity by 10^-9 changes little, also between two accounts that are alike."""
    rows = np.r_[0, np.arange(len(book.profit))]
    twins = book.rows(rows)
    results = []
    for sign in (1, -1):
        equity, notional = twins.equity.copy(), twins.notional.copy()
        equity[0] *= 1 + sign * 1e-9
        notional[0] = (
            max(notional[0] - (sign > 0) * m.lot, m.lot)
            if m.lot == 1
            else (notional[0] * (1 + sign * 1e-9))
        )
        results.append(m.take(replace(twins, equity=equity, notional=notional), budget))
    moved = float(np.abs(results[0] - results[1])[1:].max())
    return max(moved - 1e-6, 0)


def wash(m: Mechanism, book: WinnerBook, budget: float) -> float:
    """The entry price, and with it the profit, does not matter, given size and equity."""
    profit = book.profit.copy()
    profit[0] *= 0.5
    other = replace(book, profit=profit)
    return float(np.abs(m.take(book, budget) - m.take(other, budget)).max())


PROPERTIES = {
    function.__name__: function
    for function in (
        scale,
        sybil_equal,
        sybil_uneven,
        path,
        path_rescored,
        survivor_order,
        monotone_budget,
        continuous,
        wash,
    )
}
