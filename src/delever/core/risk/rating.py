"""How likely a liquidation in a contract is to end in ADL: low, medium, high (or extremely high).

Binance publishes the seven inputs and the three words, not how one becomes the other; what follows
is ours (docs/risk.md). Two views of the same seven inputs each say what the rating is at least, and
the rating is the higher of the two, so they cannot contradict each other:

- the scorecard gives each input 0 to 3 points by fixed limits and adds them up;
- the stress estimate (`stress`) asks how many days' volatilities the mark is away from ADL.

Points rise with their input (fall with fund and depth), the sum with the points, the levels with
the sum, and the higher of two with both: the rating is monotone in every input.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.position_table import PositionTable
from delever.core.messages import Rating, RatingInput, RatingMethod, RatingPart, RiskLevel, Side
from delever.core.risk.stress_curve import (
    LEAST_VOLATILITY_PPM,
    Buckets,
    adl_from,
    buckets_of,
    curve_of,
    move,
    room_of,
)
from delever.core.units import PPM, ratio_ppm, told
from delever.core.valuation.insurance import usable_depth
from delever.core.valuation.side_valuation import initial_margin

Numbers = dict[str, int]

LEVELS_FROM_POINTS = (7, 12, 17)
"""Points from which the scorecard says medium, high and extremely high; 21 are all."""

LEVELS_WITHIN_VOLATILITIES = (4, 2, 1)
"""Volatilities within which ADL makes the stress view say medium, high and extremely high."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How one input becomes points."""

    input: RatingInput
    limits_ppm: tuple[int, int, int]
    read: Callable[[Book, ContractState], tuple[int, Numbers]]
    more_is_safer: bool = False

    def part(self, book: Book, state: ContractState) -> RatingPart:
        """Return the input as it stands, with its points."""
        value, numbers = self.read(book, state)
        if self.more_is_safer:
            points = sum(value < limit for limit in self.limits_ppm)
        else:
            points = sum(value >= limit for limit in self.limits_ppm)
        return RatingPart(
            input=self.input,
            value_ppm=value,
            limits_ppm=self.limits_ppm,
            more_is_safer=self.more_is_safer,
            points=points,
            numbers={name: told(number) for name, number in numbers.items()},
        )


def rating_of(book: Book, contract: str) -> Rating | None:
    """Return a contract's rating as the book stands; None where it is unknown or has no mark."""
    state = book.contracts.get(contract)
    return None if state is None or state.mark == 0 else rate(book, state)


def rate(book: Book, state: ContractState) -> Rating:
    """Return the rating of a contract that has a mark."""
    parts = tuple(measure.part(book, state) for measure in SCORECARD)
    points = sum(part.points for part in parts)
    curve = curve_of(book, state)
    nearest = adl_from(curve)
    volatility = max(state.marks.volatility_ppm(book.time_ms), LEAST_VOLATILITY_PPM)
    levels = {
        RatingMethod.SCORECARD: level_of_points(points),
        RatingMethod.STRESS: level_of_distance(nearest, volatility),
    }
    level = max(levels.values(), key=lambda each: each.place)
    return Rating(
        contract=state.name,
        as_of=book.sequence,
        time_ms=book.time_ms,
        level=level,
        decided_by=tuple(view for view in RatingMethod if levels[view] is level),
        points=points,
        scorecard_level=levels[RatingMethod.SCORECARD],
        parts=parts,
        stress_level=levels[RatingMethod.STRESS],
        adl_from_ppm=nearest,
        volatility_ppm=volatility,
        fund_capacity_cash=told(room_of(book, state)),
        curve=curve,
    )


def level_of_points(points: int) -> RiskLevel:
    """Return what the scorecard says the rating is at least."""
    return list(RiskLevel)[sum(points >= limit for limit in LEVELS_FROM_POINTS)]


def level_of_distance(nearest_ppm: int | None, volatility_ppm: int) -> RiskLevel:
    """Return what the stress view says the rating is at least; low where nothing leads to ADL."""
    if nearest_ppm is None:
        return RiskLevel.LOW
    within = (nearest_ppm <= number * volatility_ppm for number in LEVELS_WITHIN_VOLATILITIES)
    return list(RiskLevel)[sum(within)]


# --- the seven inputs, each with the numbers that it is made of ---


def open_interest(state: ContractState) -> tuple[int, int]:
    """Return the lots of the larger side and what they are worth at the mark in Cash."""
    lots = max(table.total_lots for table in state.tables.values())
    return lots, abs(state.terms.value_cash(lots, state.mark)) if state.mark else 0


def _fund_balance(book: Book, state: ContractState) -> tuple[int, Numbers]:
    """Return the pool's balance by the open interest of all contracts that it stands behind."""
    pool = book.pool_of(state)
    notional = sum(open_interest(member)[1] for member in book.members(pool))
    numbers = {"balance_cash": pool.balance, "pool_open_interest_cash": notional}
    return _cover_ppm(pool.balance, notional), numbers


def _concentration(_book: Book, state: ContractState) -> tuple[int, Numbers]:
    """Return the Herfindahl index of the more concentrated side: 1 by the accounts it amounts to.

    The sum over accounts of (their lots / the side's lots) squared, in ppm.
    """
    by_side = {side: _herfindahl_ppm(table) for side, table in state.tables.items()}
    numbers = {f"{side}_ppm": value for side, value in by_side.items()}
    return max(by_side.values()), numbers


def _herfindahl_ppm(table: PositionTable) -> int:
    accounts, number = np.unique(table.account[: table.size], return_inverse=True)
    lots = np.zeros(len(accounts), np.int64)
    np.add.at(lots, number, table.lots[: table.size])
    return ratio_ppm(sum(held * held for held in lots.tolist()), table.total_lots**2)


def _depth(book: Book, state: ContractState) -> tuple[int, Numbers]:
    """Return usable depth of the thinner side by open interest; depth never told is none."""
    slippage_ppm = book.pool_of(state).max_slippage_ppm
    lots = {side: sum(lots for _, lots in usable_depth(state, side, slippage_ppm)) for side in Side}
    held, _ = open_interest(state)
    numbers = {
        "bid_lots": lots[Side.LONG],
        "ask_lots": lots[Side.SHORT],
        "open_interest_lots": held,
    }
    return _cover_ppm(min(lots.values()), held), numbers


def _volatility(book: Book, state: ContractState) -> tuple[int, Numbers]:
    """Return the realized volatility of the mark over a day."""
    return state.marks.volatility_ppm(book.time_ms), {"mark_ticks": state.mark}


def _leverage(_book: Book, state: ContractState) -> tuple[int, Numbers]:
    """Return the leverage that holders have chosen: value at entry by initial margin."""
    notional = margin = 0
    for table in state.tables.values():
        entry = abs(table.cost[: table.size])
        notional += sum(entry.tolist())
        margin += sum(initial_margin(entry, table.leverage[: table.size]).tolist())
    numbers = {"entry_notional_cash": notional, "initial_margin_cash": margin}
    return ratio_ppm(notional, margin), numbers


def _profit(_book: Book, state: ContractState) -> tuple[int, Numbers]:
    """Return the unrealized profit of all who are in profit, by open interest."""
    profit = sum(
        sum(np.maximum(table.profit[: table.size], 0).tolist()) for table in state.tables.values()
    )
    _, notional = open_interest(state)
    numbers = {"profit_cash": profit, "open_interest_cash": notional}
    return ratio_ppm(profit, notional), numbers


def _utilization(book: Book, state: ContractState) -> tuple[int, Numbers]:
    """Return maintenance margin by equity over the margin buckets that hold the contract.

    At most 100 %, which is also what it is where maintenance is all that is left, or more.
    """
    buckets: Buckets = buckets_of(book, state)
    moved = move(state, buckets, state.mark, 0)
    equity, maintenance = sum(moved.equity.tolist()), sum(moved.maintenance.tolist())
    used_up = maintenance > 0 and equity <= maintenance
    numbers = {"maintenance_cash": maintenance, "equity_cash": equity}
    return PPM if used_up else ratio_ppm(maintenance, equity), numbers


def _cover_ppm(cover: int, exposed: int) -> int:
    """Return cover / exposed in ppm; 100 % where nothing is exposed."""
    return ratio_ppm(cover, exposed) if exposed else PPM


SCORECARD = (
    Measure(RatingInput.FUND_BALANCE, (20_000, 5_000, 1_000), _fund_balance, more_is_safer=True),
    Measure(RatingInput.POSITION_CONCENTRATION, (10_000, 50_000, 200_000), _concentration),
    Measure(RatingInput.DEPTH, (50_000, 20_000, 5_000), _depth, more_is_safer=True),
    Measure(RatingInput.PRICE_VOLATILITY, (30_000, 60_000, 120_000), _volatility),
    Measure(RatingInput.AVERAGE_LEVERAGE, (10 * PPM, 20 * PPM, 40 * PPM), _leverage),
    Measure(RatingInput.UNREALIZED_PNL, (50_000, 150_000, 400_000), _profit),
    Measure(RatingInput.MARGIN_UTILIZATION, (100_000, 250_000, 500_000), _utilization),
)
"""The limits of each input, mildest first; how they were chosen stands in docs/risk.md."""


def rate_all(book: Book, contracts: Iterable[str] = ()) -> tuple[Rating, ...]:
    """Return the ratings of the contracts named, or of all; those without a mark are left out."""
    names = tuple(contracts) or tuple(book.contracts)
    return tuple(rating for name in names if (rating := rating_of(book, name)) is not None)
