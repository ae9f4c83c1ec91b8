"""Score -> queue: who would be next, how much stands ahead, and which light shows.

Scores are float64 and computed elementwise; everything summed is an integer; ties go by account
name, then by position number. So the queue of a lane is the same on any machine and thread count.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from delever.core.contracts import Terms
from delever.core.messages import Reason
from delever.core.units import Bools, Floats, Ints, div_ceil
from delever.core.valuation import LaneView

Weighting = Literal["count", "quantity"]


@dataclass(frozen=True, slots=True)
class Score:
    """A score by position, and the named parts it is made of, for explanations.

    `then` orders equal scores, the higher number of each further column first.
    """

    value: Floats
    parts: dict[str, Floats]
    then: tuple[Ints, ...] = ()


def no_contract(_terms: Terms) -> bool:
    """Return False: no contract is exempt under the rules."""
    return False


@dataclass(frozen=True, slots=True)
class Ranking:
    """A venue's order of deleveraging.

    `score` gives the higher number to who is closed first. `levels` lights are spread over the
    queue by count of positions, where the first in line shows them all however short the line, or
    by cumulative quantity, where a position shows the level in which its last lot stands. Under
    `joint`, cross positions of both sides in hedge mode share one score, and show one light.
    `exempts` names contracts that the venue never deleverages; without `closes` nobody is closed.
    """

    formula: str
    score: Callable[[LaneView], Score]
    weighting: Weighting = "count"
    profitable_only: bool = False
    joint: bool = False
    levels: int = 5
    exempts: Callable[[Terms], bool] = no_contract
    closes: bool = True


@dataclass(frozen=True, slots=True)
class Queue:
    """A lane in line, as of one sequence.

    `order` lists the rows of eligible positions, next first. The other columns are by row: `rank`
    from 1, `light` from `levels` (front) to 1, `ahead_lots` the quantity closed before its turn;
    all are 0 for positions that do not stand in line; `ineligible` says why not, by row.
    """

    view: LaneView
    score: Score
    order: Ints
    rank: Ints
    light: Ints
    ahead_lots: Ints
    ineligible: dict[Reason, Ints]

    def reason(self, row: int) -> Reason | None:
        """Return why a position does not stand in line, or None where it does."""
        for reason, rows in self.ineligible.items():
            if row in rows:
                return reason
        return None


def rank_lane(view: LaneView, ranking: Ranking) -> Queue:
    """Return the lane in line under a venue's ranking."""
    score = ranking.score(view)
    ineligible = _ineligible(view, ranking)
    eligible = np.ones(view.size, bool)
    for rows in ineligible.values():
        eligible[rows] = False
    standing = np.flatnonzero(eligible)
    ties = (view.position, view.account_order, *(-column for column in reversed(score.then)))
    in_line = np.lexsort([column[standing] for column in (*ties, -score.value)])
    order = standing[in_line]
    rank, light, ahead = (np.zeros(view.size, np.int64) for _ in range(3))
    places = np.arange(1, len(order) + 1)
    cumulative = np.cumsum(view.lots[order])
    rank[order] = places
    ahead[order] = cumulative - view.lots[order]
    if ranking.weighting == "count":
        light[order] = lights(places, ranking.levels)
        light[order[:1]] = ranking.levels
    else:
        light[order] = lights(cumulative, ranking.levels)
    return Queue(view, score, order, rank, light, ahead, ineligible)


def lights(through: Ints, levels: int) -> Ints:
    """Return the lights from the front: levels + 1 - ceil(levels * through / all of it).

    `through` is the running total including each position, so a position that ends exactly on a
    boundary still belongs to the level in front of it.
    """
    if len(through) == 0:
        return through
    return levels + 1 - div_ceil(levels * through, through[-1])


def _ineligible(view: LaneView, ranking: Ranking) -> dict[Reason, Ints]:
    """Return the rows that do not stand in line under the first reason that holds for each."""
    exempt = view.terms.adl_exempt or ranking.exempts(view.terms)
    reasons: list[tuple[Reason, Bools]] = [
        (Reason.NOBODY_IS_CLOSED, np.full(view.size, not ranking.closes)),
        (Reason.CONTRACT_IS_EXEMPT, np.full(view.size, exempt)),
        (Reason.ACCOUNT_IS_EXEMPT, view.account_exempt),
        (Reason.POSITION_IS_UNDER_LIQUIDATION, view.under_liquidation),
        (Reason.EQUITY_IS_NOT_POSITIVE, view.equity <= 0),
    ]
    if ranking.profitable_only:
        reasons.append((Reason.PROFIT_IS_NOT_POSITIVE, view.profit <= 0))
    found: dict[Reason, Ints] = {}
    seen = np.zeros(view.size, bool)
    for reason, holds in reasons:
        rows = np.flatnonzero(holds & ~seen)
        seen |= holds
        if len(rows):
            found[reason] = rows
    return found
