"""The ADL risk rating of a contract: low, medium, high or extremely high.

Binance publishes the seven inputs and the levels, not how one becomes the other; what follows is
delever's own (docs/risk.md). Two methods each give the lowest level that the rating can have, and
the rating is the higher of the two, so that they cannot contradict each other, and extremely high
while ADL is on:

- the scorecard gives each input 0 to 3 points by fixed limits, and adds them up;
- the stress estimate (`stress_curve`) measures in daily volatilities how far the mark is from ADL.

Points rise with each input (with fund balance and depth they fall), levels rise with points, and
the higher of two levels with both: the rating is monotone in every input.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.position_table import PositionTable
from delever.core.messages import (
    Rating,
    RatingInput,
    RatingMethod,
    RatingPart,
    RiskLevel,
    Side,
    TradingStatus,
)
from delever.core.risk.stress_curve import (
    MIN_VOLATILITY_PPM,
    adl_from,
    buckets_of,
    curve_of,
    fund_capacity,
    value_at,
)
from delever.core.rules import rule_set_of
from delever.core.units import PPM, clamp_int64, floor_ticks, ratio_ppm
from delever.core.valuation.insurance import usable_depth
from delever.core.valuation.side_valuation import initial_margin

Numbers = dict[str, int]

LEVEL_POINTS = (7, 12, 17)
"""Points, of at most 21, from which the scorecard's level is medium, high and extremely high."""

LEVEL_VOLATILITIES = (4, 2, 1)
"""Daily volatilities to ADL up to which the stress level is medium, high and extremely high."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How one input is read, and the limits at which it gets a point each."""

    input: RatingInput
    limits_ppm: tuple[int, int, int]
    read: Callable[[Book, ContractState], tuple[int, Numbers]]
    more_is_safer: bool = False

    def part(self, book: Book, state: ContractState) -> RatingPart:
        """Return the input's current value with its points."""
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
            numbers={name: clamp_int64(number) for name, number in numbers.items()},
        )


def rating_of(book: Book, contract: str) -> Rating | None:
    """Return a contract's current rating; None if it is unknown, settled or has no mark."""
    state = book.contracts.get(contract)
    if state is None or state.mark == 0 or state.status is TradingStatus.SETTLED:
        return None
    return rate(book, state)


def rate(book: Book, state: ContractState) -> Rating:
    """Return the rating of a contract that has a mark."""
    parts = tuple(measure.part(book, state) for measure in SCORECARD)
    points = sum(part.points for part in parts)
    curve = curve_of(book, state)
    nearest = adl_from(curve)
    volatility = max(state.volatility.volatility_ppm(book.time_ms), MIN_VOLATILITY_PPM)
    levels = {
        RatingMethod.SCORECARD: level_of_points(points),
        RatingMethod.STRESS: level_of_distance(nearest, volatility),
    }
    if state.active:
        levels[RatingMethod.STATE] = RiskLevel.EXTREMELY_HIGH
    level = max(levels.values(), key=lambda level: level.ordinal)
    return Rating(
        contract=state.name,
        as_of=book.sequence,
        time_ms=book.time_ms,
        level=level,
        decided_by=tuple(method for method in RatingMethod if levels.get(method) is level),
        points=points,
        scorecard_level=levels[RatingMethod.SCORECARD],
        parts=parts,
        stress_level=levels[RatingMethod.STRESS],
        adl_from_ppm=nearest,
        volatility_ppm=volatility,
        fund_capacity_cash=clamp_int64(fund_capacity(book, state)),
        curve=curve,
        trigger_used_ppm=trigger_used_ppm(book, state),
    )


def trigger_used_ppm(book: Book, state: ContractState) -> int:
    """Return how much of the way to the nearest trigger is used, from 0 to 100 %."""
    evaluations = (case.trigger.evaluate(book, state) for case in rule_set_of(book, state).cases)
    return min(max((0, *(each.trigger_used_ppm for each in evaluations))), PPM)


def level_of_points(points: int) -> RiskLevel:
    """Return the level of the scorecard."""
    return list(RiskLevel)[sum(points >= limit for limit in LEVEL_POINTS)]


def level_of_distance(nearest_ppm: int | None, volatility_ppm: int) -> RiskLevel:
    """Return the level of the stress estimate; low if no move of the mark leads to ADL."""
    if nearest_ppm is None:
        return RiskLevel.LOW
    within = (nearest_ppm <= number * volatility_ppm for number in LEVEL_VOLATILITIES)
    return list(RiskLevel)[sum(within)]


# --- the seven inputs, each with the numbers that it is computed from ---


def open_interest(state: ContractState) -> tuple[int, int]:
    """Return the lots of the larger side, and their value at the mark in Cash."""
    lots = max(table.total_lots for table in state.tables.values())
    return lots, abs(state.terms.value_cash(lots, state.mark)) if state.mark else 0


def _fund_balance(book: Book, state: ContractState) -> tuple[int, Numbers]:
    """Return the pool's balance / the open interest of all its contracts."""
    pool = book.pool_of(state)
    notional = sum(open_interest(member)[1] for member in book.members(pool))
    numbers = {"balance_cash": pool.balance, "pool_open_interest_cash": notional}
    return _cover_ppm(pool.balance, notional), numbers


def _concentration(_book: Book, state: ContractState) -> tuple[int, Numbers]:
    """Return the Herfindahl index of the more concentrated side, in ppm.

    That is the sum over accounts of (the account's lots / the side's lots) squared.
    """
    by_side = {side: _herfindahl_ppm(table) for side, table in state.tables.items()}
    numbers = {f"{side}_ppm": value for side, value in by_side.items()}
    return max(by_side.values()), numbers


def _herfindahl_ppm(table: PositionTable) -> int:
    accounts, number = np.unique(table.account[: table.size], return_inverse=True)
    lots = np.zeros(len(accounts), np.int64)
    np.add.at(lots, number, table.lots[: table.size])
    return ratio_ppm(sum(size * size for size in lots.tolist()), table.total_lots**2)


def _depth(book: Book, state: ContractState) -> tuple[int, Numbers]:
    """Return usable depth of the thinner side / open interest; 0 if depth was never submitted."""
    slippage_ppm = book.pool_of(state).max_slippage_ppm
    lots = {side: sum(lots for _, lots in usable_depth(state, side, slippage_ppm)) for side in Side}
    interest, _ = open_interest(state)
    numbers = {
        "bid_lots": lots[Side.LONG],
        "ask_lots": lots[Side.SHORT],
        "open_interest_lots": interest,
    }
    return _cover_ppm(min(lots.values()), interest), numbers


def _volatility(book: Book, state: ContractState) -> tuple[int, Numbers]:
    """Return the realized volatility of the mark over a day."""
    return state.volatility.volatility_ppm(book.time_ms), {"mark_ticks": floor_ticks(state.mark)}


def _leverage(_book: Book, state: ContractState) -> tuple[int, Numbers]:
    """Return the average leverage set by accounts: value at entry / initial margin."""
    notional = margin = 0
    for table in state.tables.values():
        entry = abs(table.cost[: table.size])
        notional += sum(entry.tolist())
        margin += sum(initial_margin(entry, table.leverage[: table.size]).tolist())
    numbers = {"entry_notional_cash": notional, "initial_margin_cash": margin}
    return ratio_ppm(notional, margin), numbers


def _unrealized_pnl(_book: Book, state: ContractState) -> tuple[int, Numbers]:
    """Return the unrealized PnL of all positions in profit / open interest."""
    unrealized_pnl = sum(
        sum(np.maximum(table.unrealized_pnl[: table.size], 0).tolist())
        for table in state.tables.values()
    )
    _, notional = open_interest(state)
    numbers = {"unrealized_pnl_cash": unrealized_pnl, "open_interest_cash": notional}
    return ratio_ppm(unrealized_pnl, notional), numbers


def _utilization(book: Book, state: ContractState) -> tuple[int, Numbers]:
    """Return maintenance margin / equity of the margin buckets with a position in the contract.

    At most 100 %, and 100 % if equity does not exceed maintenance margin.
    """
    buckets = value_at(state, buckets_of(book, state), state.mark, 0)
    equity, maintenance = sum(buckets.equity.tolist()), sum(buckets.maintenance.tolist())
    is_used_up = maintenance > 0 and equity <= maintenance
    numbers = {"maintenance_cash": maintenance, "equity_cash": equity}
    return PPM if is_used_up else ratio_ppm(maintenance, equity), numbers


def _cover_ppm(cover: int, exposed: int) -> int:
    """Return cover / exposed in ppm; 100 % if nothing is exposed."""
    return ratio_ppm(cover, exposed) if exposed else PPM


SCORECARD = (
    Measure(RatingInput.FUND_BALANCE, (20_000, 5_000, 1_000), _fund_balance, more_is_safer=True),
    Measure(RatingInput.POSITION_CONCENTRATION, (10_000, 50_000, 200_000), _concentration),
    Measure(RatingInput.DEPTH, (50_000, 20_000, 5_000), _depth, more_is_safer=True),
    Measure(RatingInput.PRICE_VOLATILITY, (30_000, 60_000, 120_000), _volatility),
    Measure(RatingInput.AVERAGE_LEVERAGE, (10 * PPM, 20 * PPM, 40 * PPM), _leverage),
    Measure(RatingInput.UNREALIZED_PNL, (50_000, 150_000, 400_000), _unrealized_pnl),
    Measure(RatingInput.MARGIN_UTILIZATION, (100_000, 250_000, 500_000), _utilization),
)
"""The limits of each input, mildest first; docs/risk.md says how they were chosen."""


def rate_all(book: Book, contracts: Iterable[str] = ()) -> tuple[Rating, ...]:
    """Return the ratings of the contracts named, or of all; contracts without a mark have none."""
    names = tuple(contracts) or tuple(book.contracts)
    return tuple(rating for name in names if (rating := rating_of(book, name)) is not None)
