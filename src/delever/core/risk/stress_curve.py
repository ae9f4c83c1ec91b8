"""What a move of the mark would leave for ADL: the price -> ADL curve of one contract.

The mark is put elsewhere, at once, and everything else stays: other contracts keep their marks and
depth keeps its distance from this one. Who is then at or below maintenance is read from the tables
themselves, as the engine would. All that they hold of the contract is to be closed, with what the
pool holds of it already:

1. depth within the pool's slippage absorbs what it can, each side for itself;
2. what closing everything at the worst price within that slippage costs beyond each account's own
   equity is the loss; one account's equity never pays for another's;
3. the pool bears the loss while it has room: what it can lose before a trigger starts;
4. where the loss reaches the room, all that depth has left goes to ADL.

Each assumption errs on the side of more ADL, so the engine itself never leaves more (a test runs
it); and each quantity moves one way with what it is made of: more equity, depth or money never
leaves more, more liquidations never less.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.market.trigger_limits import Limits
from delever.core.messages import Side, StressPoint
from delever.core.rules import RULE_SETS
from delever.core.rules.triggers import (
    AccountEquity,
    ContractDrawdown,
    PoolBelowMean,
    PoolDrawdown,
    ProfitToPool,
    Trigger,
    Unplaced,
    limits_of,
)
from delever.core.units import PPM, Bools, Ints, div_ceil, div_nearest, share_floor, told
from delever.core.valuation.insurance import usable_depth, worst_ticks
from delever.core.valuation.liquidation import Share, part_of

RUNGS_PPM = (
    *(1_000, 2_000, 3_000, 5_000, 7_000),
    *(10_000, 15_000, 20_000, 30_000, 40_000, 50_000, 70_000),
    *(100_000, 150_000, 200_000, 300_000, 500_000),
)
"""How far the mark is moved, in either direction.

The rungs are the same for every contract and every volatility, which only says how many of them
count: so more volatility can add rungs, and never take one away.
"""

LEAST_VOLATILITY_PPM = 10_000
"""No contract is taken to move less than 1 % a day, however quiet or young it is."""


NO_POOL_PAYS: dict[type, int] = {AccountEquity: 1, Unplaced: 0}
"""The loss from which these triggers start: the first unit, or none."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """The margin buckets that hold a contract: cross accounts first, then isolated positions.

    `number` gives the bucket of each row of a table; `equity` and `maintenance` are what a bucket
    has besides the contract's own profit and maintenance, in Cash. `cross` counts the accounts.
    """

    cross: int
    number: dict[Side, Ints]
    equity: Ints
    maintenance: Ints


@dataclass(frozen=True, slots=True)
class Moved:
    """The buckets at one mark: equity, maintenance and the cost of closing, in Cash."""

    cross: int
    equity: Ints
    maintenance: Ints
    closing: Ints

    def below(self, share: Share) -> Bools:
        """Return which buckets are to be taken over: at or below a share of maintenance.

        An account that needs no maintenance at all is when it is below 0.
        """
        below = self.equity <= part_of(self.maintenance, share)
        exposed = (self.maintenance > 0) | (self.equity < 0)
        below[: self.cross] &= exposed[: self.cross]
        return below


def buckets_of(book: Book, state: ContractState) -> Buckets:
    """Return the margin buckets of a contract's positions."""
    wallets = book.asset_of(state).wallets
    tables = state.tables.items()
    cross = [table.account[: table.size][~table.isolated[: table.size]] for _, table in tables]
    accounts = np.unique(np.concatenate(cross)).astype(np.int64)
    equity = [wallets.balance[accounts] + wallets.profit[accounts]]
    maintenance = [wallets.maintenance[accounts]]
    number, count = {}, len(accounts)
    for side, table in tables:
        isolated = table.isolated[: table.size]
        own = np.searchsorted(accounts, table.account[: table.size])
        alone = int(np.count_nonzero(isolated))
        own[isolated] = np.arange(count, count + alone)
        count += alone
        np.subtract.at(equity[0], own[~isolated], table.profit[: table.size][~isolated])
        np.subtract.at(maintenance[0], own[~isolated], table.maintenance[: table.size][~isolated])
        equity.append(table.margin[: table.size][isolated])
        maintenance.append(np.zeros(alone, np.int64))
        number[side] = own
    return Buckets(len(accounts), number, np.concatenate(equity), np.concatenate(maintenance))


def move(state: ContractState, buckets: Buckets, mark_ticks: int, slippage_ppm: int) -> Moved:
    """Return the buckets at another mark."""
    equity, maintenance = buckets.equity.copy(), buckets.maintenance.copy()
    closing = np.zeros_like(equity)
    for side, number in buckets.number.items():
        table, n = state.tables[side], len(number)
        signed = side.sign * table.lots[:n]
        value = state.terms.value_cash(signed, mark_ticks)
        worst = _worst(state, side, mark_ticks, slippage_ppm)
        np.add.at(equity, number, value - table.cost[:n])
        np.add.at(maintenance, number, state.terms.maintenance_cash(abs(value)))
        np.add.at(closing, number, value - state.terms.value_cash(signed, worst))
    return Moved(buckets.cross, equity, maintenance, closing)


def room_of(book: Book, state: ContractState) -> int:
    """Return what the pool can lose on the contract before ADL starts, in Cash.

    0 where ADL is on: the pool pays no more. Otherwise the least that any trigger of the rule set
    leaves, its minimum balance and its waiting time left aside. Less than 0 where a start is due.
    """
    if state.active:
        return 0
    pool = book.pool_of(state)
    others = (member for member in book.members(pool) if member is not state)
    losses = sum(min(each.inventory_pnl(side), 0) for each in others for side in Side)
    money = pool.balance + losses
    cases = RULE_SETS[pool.definition.rules].cases
    return min([money, *(_room(book, state, case.trigger, money) for case in cases)])


def _room(book: Book, state: ContractState, trigger: Trigger, money: int) -> int:
    """Return what is left until a trigger starts, losses of the contract's inventory left out."""
    pool = book.pool_of(state)
    match trigger:
        case ContractDrawdown(limits=own):
            settled = state.realized + state.injected
            fall = state.contract_pnl_peak.peak(book.time_ms, settled) - settled
            peak = pool.balance_peak.peak(book.time_ms, pool.balance)
            return _part_of_limit(book, state, own, peak) - fall
        case PoolDrawdown(limits=general, by_contract=by_contract):
            own = by_contract.get(state.name, general)
            peak = pool.equity_peak.peak(book.time_ms, money)
            return _part_of_limit(book, state, own, peak) - (peak - money)
        case PoolBelowMean(limits=own, least_units=units):
            area, span_ms = pool.equity_mean.area(book.time_ms, money)
            mean = div_ceil(area, span_ms)
            least = units * state.terms.cash_unit
            return max(_part_of_limit(book, state, own, mean), least) - (mean - money)
        case ProfitToPool(limits=own):
            return _part_of_limit(book, state, own, pool.balance)
        case AccountEquity() | Unplaced():
            return NO_POOL_PAYS[type(trigger)]
        case _:
            return money


def _part_of_limit(book: Book, state: ContractState, own: Limits, amount: int) -> int:
    """Return the part of an amount that may be lost before the start, rounded down."""
    return share_floor(amount, limits_of(book, state, own).start_ppm, PPM)


@dataclass(frozen=True, slots=True)
class Stress:
    """All that is the same at every rung."""

    state: ContractState
    buckets: Buckets
    fund_capacity_cash: int
    depth_lots: dict[Side, int]
    slippage_ppm: int
    share: Share

    def point(self, shock_ppm: int) -> StressPoint:
        """Return what would follow from one move of the mark."""
        state = self.state
        mark = _held(state, div_nearest(state.mark * (PPM + shock_ppm), PPM))
        moved = move(state, self.buckets, mark, self.slippage_ppm)
        below = moved.below(self.share)
        liquidated = {
            side: int(state.tables[side].lots[: len(number)][below[number]].sum())
            for side, number in self.buckets.number.items()
        }
        loss = sum(np.maximum(moved.closing - moved.equity, 0)[below].tolist())
        absorbed = left = 0
        for side, inventory in state.inventory.items():
            worst = _worst(state, side, mark, self.slippage_ppm)
            worth = state.terms.value_cash(side.sign * inventory.total_lots, worst)
            loss += max(inventory.total_cost - worth, 0)
            to_close, depth = inventory.total_lots + liquidated[side], self.depth_lots[side]
            absorbed += min(to_close, depth)
            left += max(to_close - depth, 0)
        return StressPoint(
            shock_ppm=shock_ppm,
            mark_ticks=mark,
            liquidated_long_lots=liquidated[Side.LONG],
            liquidated_short_lots=liquidated[Side.SHORT],
            absorbed_lots=absorbed,
            loss_cash=told(loss),
            fund_pays_cash=told(max(min(loss, self.fund_capacity_cash), 0)),
            adl_lots=left if loss >= self.fund_capacity_cash else 0,
        )


def stress_of(book: Book, state: ContractState) -> Stress:
    """Return a contract as its stress estimate begins; in ADL, depth is left to others."""
    pool = book.pool_of(state)
    depth = {side: usable_depth(state, side, pool.max_slippage_ppm) for side in Side}
    return Stress(
        state,
        buckets_of(book, state),
        room_of(book, state),
        {
            side: 0 if state.active else sum(lots for _, lots in levels)
            for side, levels in depth.items()
        },
        pool.max_slippage_ppm,
        RULE_SETS[pool.definition.rules].takeover_share,
    )


def curve_of(book: Book, state: ContractState) -> tuple[StressPoint, ...]:
    """Return the price -> ADL curve, from the lowest mark to the highest; the mark must be known.

    ADL lots do not fall away from the mark: a move that reaches a rung has passed all before it.
    """
    stress = stress_of(book, state)
    here = stress.point(0)
    halves = []
    for sign in (-1, 1):
        half = [here]
        for rung in RUNGS_PPM:
            half.append(_at_least(stress.point(sign * rung), half[-1].adl_lots))
        halves.append(half[1:])
    return (*reversed(halves[0]), here, *halves[1])


def adl_from(curve: Iterable[StressPoint]) -> int | None:
    """Return the smallest move, in ppm without sign, that leaves anything for ADL, or None."""
    return min((abs(point.shock_ppm) for point in curve if point.adl_lots), default=None)


def _at_least(point: StressPoint, lots: int) -> StressPoint:
    if point.adl_lots >= lots:
        return point
    fields = {name: getattr(point, name) for name in StressPoint.__struct_fields__}
    return StressPoint(**{**fields, "adl_lots": lots})


def _worst(state: ContractState, side: Side, mark_ticks: int, slippage_ppm: int) -> int:
    """Return the worst price at which the pool closes at a mark, a price that exists."""
    return _held(state, worst_ticks(mark_ticks, side, slippage_ppm))


def _held(state: ContractState, ticks: int) -> int:
    """Return the price, held where the largest position is still worth less than int64 holds."""
    largest = max(table.largest_lots for table in state.tables.values())
    return max(min(ticks, state.terms.most_ticks(max(largest, 1))), 1)
