"""Score -> queue -> indicator: how a venue orders the positions of one side for deleveraging.

Scores are float64 and computed elementwise; every sum is of integers; ties go by account id, then
by position id. So the queue of a side is the same on any machine and with any number of threads.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from delever.core.kernels import SCORE_COLUMNS, kernels_for
from delever.core.market.contract_terms import ContractTerms
from delever.core.messages import Reason
from delever.core.units import PPM, Bools, Floats, Ints, div_ceil, div_floor, format_scaled, ratio
from delever.core.valuation.side_valuation import SideValuation

# --- scores ---


@dataclass(frozen=True, slots=True)
class Score:
    """The score of each position, and the named parts that it is computed from.

    `tiebreakers` order equal scores: the higher number of the first column goes first, then that of
    the next. `quotients` are the parts that are (numerator, denominator) of `terms`, which are in
    Cash unless their names end in `_lots` or `_number`: an explanation lists them, so that it can
    be checked by hand.
    """

    value: Floats
    parts: dict[str, Floats]
    tiebreakers: tuple[Ints, ...] = ()
    terms: Mapping[str, Ints | Floats] = field(default_factory=dict)
    quotients: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    divides_losers: bool = False


def quotient_score(
    terms: Mapping[str, Ints | Floats],
    quotients: Mapping[str, tuple[str, str]],
    *,
    divides_losers: bool = False,
    tiebreakers: tuple[Ints, ...] = (),
) -> Score:
    """Return the product of one or two quotients of terms; a quotient over 0 is 0.

    Where the first quotient is not positive, `divides_losers` divides it by the second.

    >>> terms = {"pnl": np.array([6, -6]), "cost": np.array([2, 2]), "equity": np.array([4, 4])}
    >>> parts = {"gain": ("pnl", "cost"), "leverage": ("cost", "equity")}
    >>> quotient_score(terms, parts, divides_losers=True).value
    array([ 1.5, -6. ])
    """
    parts = {name: ratio(terms[top], terms[bottom]) for name, (top, bottom) in quotients.items()}
    first, *others = parts.values()
    value = first
    for other in others:
        product = first * other
        value = np.where(first > 0, product, ratio(first, other)) if divides_losers else product
    return Score(value, parts, tiebreakers, terms, quotients, divides_losers)


@dataclass(frozen=True, slots=True)
class ProductScore:
    """The score of most venues: return x leverage for winners, return / leverage for losers.

    Each factor is (name, numerator, denominator), both of them columns of the valuation
    (`SCORE_COLUMNS`); a ratio over 0 is 0. Because the factors are data and not code, a kernel can
    score a whole side in one pass.
    """

    gain: tuple[str, str, str]
    leverage: tuple[str, str, str]

    def __call__(self, valuation: SideValuation) -> Score:
        """Return the scores of a side, with both factors."""
        quotients = {name: (top, bottom) for name, top, bottom in self}
        used = dict.fromkeys(term for quotient in quotients.values() for term in quotient)
        terms = {name: _column(valuation, name) for name in used}
        return quotient_score(terms, quotients, divides_losers=True)

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        """Yield both factors: (name, numerator, denominator)."""
        yield from (self.gain, self.leverage)

    def column_indices(self) -> list[tuple[int, int]]:
        """Return numerator and denominator of both factors as indices into `SCORE_COLUMNS`."""
        return [(SCORE_COLUMNS.index(top), SCORE_COLUMNS.index(bottom)) for _, top, bottom in self]


def _column(valuation: SideValuation, name: str) -> Ints | Floats:
    column: Ints | Floats
    column = equity_share(valuation) if name == "cover" else getattr(valuation, name)
    return column


def equity_share(valuation: SideValuation) -> Floats:
    """Return each position's share of its equity: value at mark less value at bankruptcy.

    For an isolated position this is its own equity; for a cross position the account's equity is
    shared by maintenance margin.
    """
    share = ratio(valuation.maintenance, valuation.shared_maintenance)
    share[valuation.shared_maintenance == 0] = 1
    return valuation.equity.astype(np.float64) * share


def price_move(valuation: SideValuation) -> tuple[str, str]:
    """Return the quotient value at mark / value at entry, inverted where a fall is a gain."""
    rises = valuation.terms.cost_sign(valuation.side) > 0
    return ("notional", "entry_notional") if rises else ("entry_notional", "notional")


leveraged_return = ProductScore(
    ("return_on_entry", "unrealized_pnl", "entry_notional"),
    ("effective_leverage", "notional", "cover"),
)
"""Return on entry value times (for losers, divided by) effective leverage: the BitMEX score."""

account_leveraged_return = ProductScore(
    ("return_on_entry", "unrealized_pnl", "entry_notional"),
    ("account_leverage", "notional", "equity"),
)
"""Return on entry value times (for losers, divided by) notional / equity of the margin bucket."""

margin_ratio_return = ProductScore(
    ("return_on_entry", "unrealized_pnl", "entry_notional"),
    ("margin_ratio", "bucket_maintenance", "equity"),
)
"""Return on entry value times (for losers, divided by) the margin ratio of the margin bucket."""


def wallet_return(unrealized_pnl: Ints, valuation: SideValuation) -> Score:
    """Return max(0, PnL) / max(1, wallet balance) x margin ratio, 1 being a whole unit."""
    terms = {
        "positive_pnl": np.maximum(unrealized_pnl, 0),
        "floored_balance": np.maximum(valuation.balance, valuation.terms.cash_unit),
        "bucket_maintenance": valuation.bucket_maintenance,
        "positive_equity": np.maximum(valuation.equity, 0),
    }
    quotients = {
        "return_on_wallet": ("positive_pnl", "floored_balance"),
        "margin_ratio": ("bucket_maintenance", "positive_equity"),
    }
    return quotient_score(terms, quotients)


def unranked(valuation: SideValuation) -> Score:
    """Return 0 for every position: the venue has no order."""
    return Score(np.zeros(valuation.size), {})


# --- the queue ---


def no_contract(_terms: ContractTerms) -> bool:
    """Return False: the venue exempts no contract from ADL."""
    return False


@dataclass(frozen=True, slots=True)
class Ranking:
    """How a venue orders the positions of one side.

    The position with the highest `score` is closed first. `weighting` spreads the `levels` of the
    indicator over the queue: by count of positions, where rank 1 always shows the highest level, or
    by cumulative quantity, where a position shows the level that contains its last lot. Under
    `joint`, cross positions of both sides in hedge mode share one score and one indicator.
    Under `net_exposure`, of a cross hedge only the lots beyond the other side are closed; under
    `both_legs` so, too, but the hedge is ranked whole, and its legs are closed against each other
    when its turn comes. `cap_ppm` is the part of a position, rounded up, that one round closes at
    most. `exempts` returns whether the venue never deleverages a contract. A `timed` score depends
    on the engine's time as well. Without `closes` nobody is deleveraged: the venue socializes
    losses.
    """

    formula: str
    score: Callable[[SideValuation], Score]
    weighting: Literal["count", "quantity"] = "count"
    profitable_only: bool = False
    joint: bool = False
    timed: bool = False
    levels: int = 5
    exempts: Callable[[ContractTerms], bool] = no_contract
    closes: bool = True
    net_exposure: bool = False
    both_legs: bool = False
    cap_ppm: int = PPM

    @property
    def closes_net_lots(self) -> bool:
        """Whether of a cross hedge only the lots beyond the other side are closed."""
        return self.net_exposure or self.both_legs

    @property
    def closes_whole(self) -> bool:
        """Whether a round may close all of every position that it ranks."""
        return not self.closes_net_lots and self.cap_ppm == PPM


@dataclass(frozen=True, slots=True)
class Queue:
    """The ADL queue of one side of a contract, as of one sequence.

    `order` lists the rows of ranked positions, the next to be deleveraged first. The other columns
    have one entry a row: `rank` from 1, `indicator` from `levels` (front) to 1,
    `quantity_ahead_lots` the quantity that is closed first. They are 0 for positions that are not
    ranked; `ineligible` has the rows of those by reason. `closable_lots` is how much of each
    position ADL may close: all of it, or its net exposure.
    """

    valuation: SideValuation
    score: Score
    order: Ints
    rank: Ints
    indicator: Ints
    quantity_ahead_lots: Ints
    ineligible: dict[Reason, Ints]
    closable_lots: Ints

    def reason(self, row: int) -> Reason | None:
        """Return why the position of a row is not ranked, or None if it is."""
        for reason, rows in self.ineligible.items():
            if row in rows:
                return reason
        return None


def rank_side(valuation: SideValuation, ranking: Ranking) -> Queue:
    """Return the ADL queue of a side under a venue's ranking."""
    size = valuation.size
    score = ranking.score(valuation)
    ineligible = _ineligible(valuation, ranking)
    eligible = np.ones(size, bool)
    for rows in ineligible.values():
        eligible[rows] = False
    order = _order(valuation, score, eligible)
    rank, indicator = np.zeros(size, np.int32), np.zeros(size, np.int8)
    ahead = np.zeros(size, np.int64)
    closable, by_count = _closable(valuation, ranking), ranking.weighting == "count"
    weighed = closable if by_count or closable[order].any() else valuation.lots
    lots = np.ascontiguousarray(weighed)
    place = np.arange(size, dtype=np.int32)
    kernels_for(valuation.book_accounts).fill_ranks(
        order, place, lots, ranking.levels, by_count, rank, indicator, ahead
    )
    columns: list[Ints] = [column.astype(np.int64) for column in (order, rank, indicator)]
    return Queue(valuation, score, columns[0], columns[1], columns[2], ahead, ineligible, closable)


def _closable(valuation: SideValuation, ranking: Ranking) -> Ints:
    """Return the lots of each position that one round may close."""
    lots = valuation.net_lots if ranking.closes_net_lots else valuation.lots
    if ranking.cap_ppm == PPM:
        return lots
    whole = div_floor(lots, PPM)  # split, so that no product leaves int64
    return whole * ranking.cap_ppm + div_ceil((lots - whole * PPM) * ranking.cap_ppm, PPM)


def _order(valuation: SideValuation, score: Score, eligible: Bools) -> Ints:
    """Return the eligible rows by score, its tiebreakers, account id and position id."""
    if not score.tiebreakers:
        each_row = np.arange(valuation.size, dtype=np.int32)
        ids = (valuation.account_order, valuation.position)
        ties = (np.ascontiguousarray(column, np.int32) for column in ids)
        value = np.ascontiguousarray(score.value)
        kernels = kernels_for(valuation.book_accounts)
        order: Ints = kernels.sort_queue(value, eligible, each_row, *ties)
        return order
    rows = np.flatnonzero(eligible)
    descending = (-column for column in reversed(score.tiebreakers))
    keys = (valuation.position, valuation.account_order, *descending, -score.value)
    return rows[np.lexsort([column[rows] for column in keys])].astype(np.int32)


def _ineligible(valuation: SideValuation, ranking: Ranking) -> dict[Reason, Ints]:
    """Return the rows that are not ranked, each under the first reason that applies."""
    size = valuation.size
    whole = _exemption(valuation.terms, ranking)
    if whole is not None:
        return {whole: np.arange(size)} if size else {}
    reasons: list[tuple[Reason, Bools]] = [
        (Reason.EXEMPT_ACCOUNT, valuation.account_exempt),
        (Reason.STALE_ROW, valuation.stale),
        (Reason.POSITION_UNDER_LIQUIDATION, valuation.under_liquidation),
        (Reason.EQUITY_NOT_POSITIVE, valuation.equity <= 0),
    ]
    if ranking.profitable_only:
        reasons.append((Reason.UNREALIZED_PNL_NOT_POSITIVE, valuation.unrealized_pnl <= 0))
    if ranking.net_exposure:
        reasons.append((Reason.NO_NET_EXPOSURE, valuation.net_lots == 0))
    found: dict[Reason, Ints] = {}
    excluded = np.zeros(size, bool)
    for reason, applies in reasons:
        if applies.any():
            rows = np.flatnonzero(applies & ~excluded)
            excluded |= applies
            if len(rows):
                found[reason] = rows
    return found


def _exemption(terms: ContractTerms, ranking: Ranking) -> Reason | None:
    """Return why no position of a contract is ranked, or None where they may be."""
    if not ranking.closes:
        return Reason.ADL_NOT_USED
    exempt = terms.adl_exempt or ranking.exempts(terms)
    return Reason.EXEMPT_CONTRACT if exempt else None


# --- indicators as venues publish them ---


@dataclass(frozen=True, slots=True)
class IndicatorScale:
    """The scale on which a venue publishes the indicator: `to_venue` converts the internal 0-5."""

    kind: Literal["indicator", "quantile", "reversed", "percentile", "none"]
    description: str
    to_venue: Callable[[int], int | str]


def unchanged(indicator: int) -> int:
    """Return the indicator itself, 0-5."""
    return indicator


def to_quantile(indicator: int) -> int:
    """Return 0-4, 4 for the front of the queue; 0 also for positions that are not ranked."""
    return max(indicator - 1, 0)


def to_reversed(indicator: int) -> int:
    """Return 1-5, 1 for the front of the queue; 6 for positions that are not ranked."""
    return 6 - indicator


def to_percentile(indicator: int) -> str:
    """Return "0.2" to "1", 1 for the front of the queue; "0" for positions that are not ranked."""
    return format_scaled(2 * indicator, 1)


INDICATORS = IndicatorScale("indicator", "indicator 0-5, 5 next, 0 not ranked", unchanged)
QUANTILE = IndicatorScale("quantile", "quantile 0-4, 4 next", to_quantile)
REVERSED = IndicatorScale("reversed", "indicator 1-5, 1 next, 6 not ranked", to_reversed)
PERCENTILE = IndicatorScale("percentile", "percentile 0.2-1, 1 next, 0 not ranked", to_percentile)
UNPUBLISHED = IndicatorScale("none", "none published; delever shows 0-5, 5 next", unchanged)
