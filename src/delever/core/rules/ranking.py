"""Score -> queue: who would be next, how much stands ahead, and which indicator shows.

Scores are float64 and computed elementwise; everything summed is an integer; ties go by account
name, then by position number. So the queue of a table is the same on any machine and thread count.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from delever.core.kernels import PARTS, kernels_for
from delever.core.market.contract_terms import Terms
from delever.core.messages import Reason
from delever.core.units import Bools, Floats, Ints, format_scaled, ratio
from delever.core.valuation.side_valuation import SideValuation

Weighting = Literal["count", "quantity"]


@dataclass(frozen=True, slots=True)
class Score:
    """A score by position, and the named parts it is made of, for explanations.

    `then` orders equal scores, the higher number of each further column first.
    """

    value: Floats
    parts: dict[str, Floats]
    then: tuple[Ints, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """The score of most venues: gain x leverage, and gain / leverage when losing.

    Each factor has a name and is one column of the view over another (`kernels.PARTS`), 0 where
    that is 0. As it is told rather than programmed, a whole table is scored in one pass.
    """

    gain: tuple[str, str, str]
    leverage: tuple[str, str, str]

    def __call__(self, view: SideValuation) -> Score:
        """Return the score, and its two factors."""
        parts = {name: ratio(_part(view, top), _part(view, bottom)) for name, top, bottom in self}
        gain, leverage = parts.values()
        return Score(np.where(gain > 0, gain * leverage, ratio(gain, leverage)), parts)

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        """Yield both factors: (name, numerator, denominator)."""
        yield from (self.gain, self.leverage)

    def places(self) -> list[tuple[int, int]]:
        """Return both factors as places in `kernels.PARTS`."""
        return [(PARTS.index(top), PARTS.index(bottom)) for _, top, bottom in self]


def _part(view: SideValuation, name: str) -> Ints | Floats:
    column: Ints | Floats = cover(view) if name == "cover" else getattr(view, name)
    return column


def cover(view: SideValuation) -> Floats:
    """Return what stands between the mark and the bankruptcy price: mark value - bankrupt value.

    Isolated: the position's equity. Cross: its share of the account's, by maintenance margin.
    """
    share = ratio(view.maintenance, view.bucket_maintenance)
    share[view.bucket_maintenance == 0] = 1
    return view.equity.astype(np.float64) * share


def no_contract(_terms: Terms) -> bool:
    """Return False: no contract is exempt under the rules."""
    return False


@dataclass(frozen=True, slots=True)
class Ranking:
    """A venue's order of deleveraging.

    `score` gives the higher number to who is closed first. `levels` indicators are spread over the
    queue by count of positions, where the first in line shows them all however short the line, or
    by cumulative quantity, where a position shows the level in which its last lot stands. Under
    `joint`, cross positions of both sides in hedge mode share one score, and show one indicator.
    `exempts` names contracts that the venue never deleverages; without `closes` nobody is closed.
    A score that depends on the time itself says so by `timed`.
    """

    formula: str
    score: Callable[[SideValuation], Score]
    weighting: Weighting = "count"
    profitable_only: bool = False
    joint: bool = False
    timed: bool = False
    levels: int = 5
    exempts: Callable[[Terms], bool] = no_contract
    closes: bool = True


@dataclass(frozen=True, slots=True)
class Queue:
    """A table in line, as of one sequence.

    `order` lists the rows of eligible positions, next first. The other columns are by row: `rank`
    from 1, `indicator` from `levels` (front) to 1, `ahead_lots` the quantity closed before its turn;
    all are 0 for positions that do not stand in line; `ineligible` says why not, by row.
    """

    view: SideValuation
    score: Score
    order: Ints
    rank: Ints
    indicator: Ints
    ahead_lots: Ints
    ineligible: dict[Reason, Ints]

    def reason(self, row: int) -> Reason | None:
        """Return why a position does not stand in line, or None where it does."""
        for reason, rows in self.ineligible.items():
            if row in rows:
                return reason
        return None


def rank_side(view: SideValuation, ranking: Ranking) -> Queue:
    """Return the table in line under a venue's ranking."""
    score = ranking.score(view)
    ineligible = _ineligible(view, ranking)
    eligible = np.ones(view.size, bool)
    for rows in ineligible.values():
        eligible[rows] = False
    order = _line_up(view, score, eligible)
    rank, indicator = np.zeros(view.size, np.int32), np.zeros(view.size, np.int8)
    ahead = np.zeros(view.size, np.int64)
    in_place, by_count = np.arange(view.size, dtype=np.int32), ranking.weighting == "count"
    kernels_for(view.size).spread(
        order,
        in_place,
        np.ascontiguousarray(view.lots),
        ranking.levels,
        by_count,
        rank,
        indicator,
        ahead,
    )
    columns: list[Ints] = [column.astype(np.int64) for column in (order, rank, indicator)]
    return Queue(view, score, columns[0], columns[1], columns[2], ahead, ineligible)


def _line_up(view: SideValuation, score: Score, standing: Bools) -> Ints:
    """Return the rows in line: by score, by its ties, by account name, by position number."""
    if not score.then:
        each = np.arange(view.size, dtype=np.int32)
        ties = (np.ascontiguousarray(c, np.int32) for c in (view.account_order, view.position))
        value = np.ascontiguousarray(score.value)
        line: Ints = kernels_for(view.size).line_up(value, standing, each, *ties)
        return line
    rows = np.flatnonzero(standing)
    keys = (view.position, view.account_order, *(-column for column in reversed(score.then)))
    ranked = np.lexsort([column[rows] for column in (*keys, -score.value)])
    return rows[ranked].astype(np.int32)


def _ineligible(view: SideValuation, ranking: Ranking) -> dict[Reason, Ints]:
    """Return the rows that do not stand in line under the first reason that holds for each."""
    exempt = view.terms.adl_exempt or ranking.exempts(view.terms)
    reasons: list[tuple[Reason, Bools]] = [
        (Reason.ADL_NOT_USED, np.full(view.size, not ranking.closes)),
        (Reason.EXEMPT_CONTRACT, np.full(view.size, exempt)),
        (Reason.EXEMPT_ACCOUNT, view.account_exempt),
        (Reason.POSITION_UNDER_LIQUIDATION, view.under_liquidation),
        (Reason.EQUITY_NOT_POSITIVE, view.equity <= 0),
    ]
    if ranking.profitable_only:
        reasons.append((Reason.UNREALIZED_PNL_NOT_POSITIVE, view.profit <= 0))
    found: dict[Reason, Ints] = {}
    seen = np.zeros(view.size, bool)
    for reason, holds in reasons:
        rows = np.flatnonzero(holds & ~seen)
        seen |= holds
        if len(rows):
            found[reason] = rows
    return found


def account_leverage(notional: Ints, view: SideValuation) -> Floats:
    """Return notional / equity of the margin bucket."""
    return ratio(notional, view.equity)


def margin_ratio(view: SideValuation) -> Floats:
    """Return maintenance margin / equity of the margin bucket; 1 is where liquidation begins."""
    return ratio(view.bucket_maintenance, view.equity)


def price_move(view: SideValuation) -> Floats:
    """Return value at mark / value at entry, turned over where the holder gains as it falls."""
    now, then = view.notional, view.entry_notional
    return ratio(now, then) if view.terms.cost_sign(view.side) > 0 else ratio(then, now)


leveraged_return = Product(
    ("return_on_entry", "profit", "entry_notional"), ("effective_leverage", "notional", "cover")
)
"""The classic score: return on entry times (or, losing, divided by) leverage."""

account_leveraged_return = Product(
    ("return_on_entry", "profit", "entry_notional"), ("account_leverage", "notional", "equity")
)
"""The return on entry times (or, losing, divided by) notional / equity of the margin bucket."""

margin_ratio_return = Product(
    ("return_on_entry", "profit", "entry_notional"),
    ("margin_ratio", "bucket_maintenance", "equity"),
)
"""The return on entry times (or, losing, divided by) the bucket's margin ratio."""


def wallet_return(profit: Ints, view: SideValuation) -> Score:
    """Return max(0, profit) / max(1, wallet balance) x margin ratio, one unit of asset being 1."""
    gain = ratio(np.maximum(profit, 0), np.maximum(view.balance, view.terms.cash_unit))
    rate = margin_ratio(view)
    rate[view.equity <= 0] = 0
    return Score(gain * rate, {"return_on_wallet": gain, "margin_ratio": rate})


def unranked(view: SideValuation) -> Score:
    """Return 0 for everybody: the venue has no order."""
    return Score(np.zeros(view.size), {})


Kind = Literal["indicators", "quantile", "backwards", "percentile", "none"]


@dataclass(frozen=True, slots=True)
class IndicatorScale:
    """How a venue shows a place in line; `to_venue` takes the internal indicator."""

    kind: Kind
    says: str
    to_venue: Callable[[int], int | str]


def same(indicator: int) -> int:
    """Return the indicator itself, 0-5."""
    return indicator


def quantile(indicator: int) -> int:
    """Return 0-4, 4 next in line; 0 without a place."""
    return max(indicator - 1, 0)


def backwards(indicator: int) -> int:
    """Return 1-5, 1 next in line; 6 without a place."""
    return 6 - indicator


def percentile(indicator: int) -> str:
    """Return "0.2" to "1", 1 next in line; "0" without a place."""
    return format_scaled(2 * indicator, 1)


INDICATORS = IndicatorScale("indicators", "0-5 indicators, 5 next in line, 0 without a place", same)
QUANTILE = IndicatorScale("quantile", "quantile 0-4, 4 next in line", quantile)
BACKWARDS = IndicatorScale("backwards", "1-5, 1 next in line, 6 without a place", backwards)
PERCENTILE = IndicatorScale("percentile", "0.2-1, 1 next in line, 0 without a place", percentile)
UNPUBLISHED = IndicatorScale(
    "none", "none published; delever shows 0-5 indicators, 5 next in line", same
)
