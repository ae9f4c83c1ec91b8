"""The stress curve of a contract: how much a move of the mark would leave for ADL.

The mark moves at once and everything else stays: other contracts' marks, and the distance of depth
from this mark. Accounts that are then at or below maintenance margin are liquidated, as the engine
would do it. Their positions in the contract are closed, together with the pool's inventory:

1. depth within the pool's slippage absorbs what it can, each side for itself; of a managed pool as
   far as it can pay;
2. the loss is what closing all of it at the worst price within that slippage costs beyond each
   account's own equity; the equity of one account never pays for another's;
3. the pool pays the loss up to its fund capacity: what it can lose before a trigger starts;
4. if the loss reaches the fund capacity, ADL closes what depth has not absorbed: all of it, or,
   under `residual` sizing, what the pool cannot carry up to the stop; of the losses the pool
   carries the largest a lot, so that as few lots as possible are carried.

Each assumption errs toward more ADL, so the engine itself never leaves more (tested), and each
quantity is monotone: more equity, depth or fund balance never leaves more, and more liquidations
never leave less.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.market.trigger_limits import Limits
from delever.core.messages import Side, StressPoint
from delever.core.rules import rule_set_of
from delever.core.rules.triggers import (
    AccountEquity,
    Backlog,
    BankruptcyBand,
    ContractDailyLoss,
    ContractDrawdown,
    FundDepleted,
    LiquidatorLoss,
    LossCount,
    OpenInventory,
    PnlToPool,
    PoolBelowMean,
    PoolDailyLoss,
    PoolDrawdown,
    PoolEquity,
    TakeoverLoss,
    Trigger,
    limits_of,
)
from delever.core.rules.triggers.sizing import Sizing
from delever.core.rules.triggers.trigger import stop_equity_of
from delever.core.units import (
    PPM,
    Bools,
    Ints,
    Mark,
    clamp_int64,
    div_ceil,
    div_floor,
    div_nearest,
    share_floor,
)
from delever.core.valuation.insurance import usable_depth, worst_ticks
from delever.core.valuation.liquidation import Share, share_of
from delever.core.valuation.multi_asset import trigger_columns

SHOCKS_PPM = (
    *(1_000, 2_000, 3_000, 5_000, 7_000),
    *(10_000, 15_000, 20_000, 30_000, 40_000, 50_000, 70_000),
    *(100_000, 150_000, 200_000, 300_000, 500_000),
)
"""How far the mark is moved, in both directions.

The shocks are the same for every contract and volatility. Volatility decides only how many of them
count for the rating, so that more volatility can add a shock and never remove one.
"""

MIN_VOLATILITY_PPM = 10_000
"""Every contract is assumed to move at least 1 % a day, however quiet or new it is."""

OF_FUND = (
    *(PoolEquity, FundDepleted, PoolDrawdown, PoolBelowMean, ContractDrawdown),
    *(TakeoverLoss, ContractDailyLoss, PoolDailyLoss),
)
"""The triggers that watch the fund's money."""

CAPACITY_WITHOUT_FUND: dict[type, int] = {
    **dict.fromkeys((AccountEquity, BankruptcyBand, LiquidatorLoss, LossCount), 1),
    **dict.fromkeys((OpenInventory, Backlog), 0),
}
"""The loss at which triggers start that use no fund: the first unit of Cash, or none."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """The margin buckets with positions in a contract: cross accounts, then isolated positions.

    `number` is the bucket of each row of a side; `equity` and `maintenance` are those of a bucket
    without the contract's own unrealized PnL and maintenance margin, in Cash. `cross` is the number
    of cross accounts. `lots` are the net lots of a bucket, and `netted` what it has on both sides:
    those are netted before a takeover, where the rule set does that.
    """

    cross: int
    number: dict[Side, Ints]
    equity: Ints
    maintenance: Ints
    lots: Ints
    netted: Ints


@dataclass(frozen=True, slots=True)
class ValuedBuckets:
    """The buckets at one mark: equity, maintenance margin and the cost of closing, in Cash."""

    cross: int
    equity: Ints
    maintenance: Ints
    closing: Ints

    def below(self, share: Share) -> Bools:
        """Return which buckets are liquidated: equity at or below a share of maintenance margin.

        A cross account without maintenance margin is liquidated below 0.
        """
        below = self.equity <= share_of(self.maintenance, share)
        exposed = (self.maintenance > 0) | (self.equity < 0)
        below[: self.cross] &= exposed[: self.cross]
        return below


def buckets_of(book: Book, state: ContractState) -> Buckets:
    """Return the margin buckets of a contract's positions."""
    tables = state.tables.items()
    cross = [table.account[: table.size][~table.isolated[: table.size]] for _, table in tables]
    accounts = np.unique(np.concatenate(cross)).astype(np.int64)
    cross_equity, cross_maintenance = trigger_columns(book, state.terms.settle, accounts)
    equity, maintenance = [cross_equity], [cross_maintenance]
    number, count = {}, len(accounts)
    for side, table in tables:
        isolated = table.isolated[: table.size]
        own = np.searchsorted(accounts, table.account[: table.size])
        alone = int(np.count_nonzero(isolated))
        own[isolated] = np.arange(count, count + alone)
        count += alone
        np.subtract.at(equity[0], own[~isolated], table.unrealized_pnl[: table.size][~isolated])
        np.subtract.at(maintenance[0], own[~isolated], table.maintenance[: table.size][~isolated])
        equity.append(table.margin[: table.size][isolated])
        maintenance.append(np.zeros(alone, np.int64))
        number[side] = own
    lots = {side: np.zeros(count, np.int64) for side in Side}
    for side, table in tables:
        np.add.at(lots[side], number[side], table.lots[: table.size])
    long, short = lots.values()
    netted = np.minimum(long, short) * rule_set_of(book, state).nets_hedged_legs
    return Buckets(
        cross=len(accounts),
        number=number,
        equity=np.concatenate(equity),
        maintenance=np.concatenate(maintenance),
        lots=long + short - 2 * netted,
        netted=netted,
    )


def value_at(
    state: ContractState, buckets: Buckets, mark_ticks: Mark, slippage_ppm: int
) -> ValuedBuckets:
    """Return the buckets at another mark."""
    equity, maintenance = buckets.equity.copy(), buckets.maintenance.copy()
    closing = np.zeros_like(equity)
    for side, number in buckets.number.items():
        table, n = state.tables[side], len(number)
        signed = side.sign * table.lots[:n]
        value = state.terms.value_cash(signed, mark_ticks)
        worst = _worst_ticks(state, side, mark_ticks, slippage_ppm)
        np.add.at(equity, number, value - table.cost[:n])
        np.add.at(maintenance, number, state.terms.maintenance_cash(abs(value)))
        np.add.at(closing, number, value - state.terms.value_cash(signed, worst))
    return ValuedBuckets(buckets.cross, equity, maintenance, closing)


def fund_capacity(book: Book, state: ContractState) -> int:
    """Return what the pool can lose in the contract before ADL starts, in Cash.

    0 while ADL is on, as the pool pays no more. Otherwise the smallest headroom of any trigger of
    the rule set, without its threshold and waiting time; negative if a start is due.
    """
    if state.active:
        return 0
    money = _money(book, state)
    cases = rule_set_of(book, state).cases
    return min([money, *(_headroom(book, state, case.trigger, money) for case in cases)])


def _money(book: Book, state: ContractState) -> int:
    """Return the pool's balance less what it loses in other contracts, in Cash."""
    pool = book.pool_of(state)
    others = (member for member in book.members(pool) if member is not state)
    return pool.balance + sum(min(o.inventory_pnl(side), 0) for o in others for side in Side)


def _headroom(
    book: Book, state: ContractState, trigger: Trigger, money: int, *, at_stop: bool = False
) -> int:
    """Return the loss at which a trigger starts, without losses of the contract's inventory.

    `at_stop`: the loss below which it stops.
    """
    pool = book.pool_of(state)
    match trigger:
        case ContractDrawdown(limits=own):
            settled = state.realized_pnl + state.injected
            fall = state.contract_pnl_peak.peak(book.time_ms, settled) - settled
            peak = pool.balance_peak.peak(book.time_ms, pool.balance)
            return _part_of_limit(book, state, own, peak, at_stop) - fall
        case PoolDrawdown(limits=general, by_contract=by_contract):
            own = by_contract.get(state.name, general)
            peak = pool.equity_peak.peak(book.time_ms, money)
            return _part_of_limit(book, state, own, peak, at_stop) - (peak - money)
        case PoolBelowMean(limits=own, min_units=units):
            area, span_ms = pool.equity_mean.area(book.time_ms, money)
            mean = div_ceil(area, span_ms)
            least = units * state.terms.cash_unit
            return max(_part_of_limit(book, state, own, mean, at_stop), least) - (mean - money)
        case PnlToPool(limits=own):
            return _part_of_limit(book, state, own, pool.balance, at_stop)
        case AccountEquity() | BankruptcyBand() | LossCount() | OpenInventory() | Backlog():
            money = CAPACITY_WITHOUT_FUND[type(trigger)]
        case TakeoverLoss() | ContractDailyLoss() | PoolDailyLoss() | LiquidatorLoss():
            money = _headroom_to_cap(book, state, trigger, money)
    return money


def _headroom_to_cap(
    book: Book,
    state: ContractState,
    trigger: TakeoverLoss | ContractDailyLoss | PoolDailyLoss | LiquidatorLoss,
    money: int,
) -> int:
    """Return the first loss beyond a cap, less what has been lost of it today already."""
    pool = book.pool_of(state)
    if isinstance(trigger, LiquidatorLoss) and not pool.definition.managed:
        return CAPACITY_WITHOUT_FUND[LiquidatorLoss]
    lost = pool.equity_opening.value(book.time_ms, money) - money
    if isinstance(trigger, ContractDailyLoss):
        settled = state.realized_pnl + state.injected
        lost = state.contract_pnl_opening.value(book.time_ms, settled) - settled
    elif isinstance(trigger, TakeoverLoss):
        lost = 0
    return trigger.cap_cash(book, state) - lost + 1


def _part_of_limit(
    book: Book, state: ContractState, own: Limits, amount: int, at_stop: bool
) -> int:
    """Return the part of an amount at which a trigger starts, or stops, rounded down."""
    limits = limits_of(book, state, own)
    return share_floor(amount, limits.stop_ppm if at_stop else limits.start_ppm, PPM)


def carried_cash(book: Book, state: ContractState) -> int | None:
    """Return what the pool can lose in the contract with ADL stopping all the same, in Cash.

    None where a round closes all inventory whatever the pool has: without `residual` sizing, or
    under a trigger that watches no money of the fund.
    """
    rules = rule_set_of(book, state)
    triggers = [case.trigger for case in rules.cases]
    if rules.sizing is not Sizing.RESIDUAL or not all(isinstance(t, OF_FUND) for t in triggers):
        return None
    if state.active:
        return 0
    money = _money(book, state)
    room = [_headroom(book, state, trigger, money, at_stop=True) for trigger in triggers]
    return min([money - stop_equity_of(book, state), *room]) - 1


@dataclass(frozen=True, slots=True)
class LotLosses:
    """The losing lots of several accounts, and the loss a lot in Cash, rounded up."""

    lots: Ints
    loss_per_lot: Ints

    @property
    def total_lots(self) -> int:
        """All lots."""
        return int(self.lots.sum())

    @classmethod
    def of(cls, lots: Ints, loss: Ints) -> "LotLosses":
        """Return the losing ones of accounts with these lots and losses in Cash."""
        losing = (loss > 0) & (lots > 0)
        return cls(lots[losing], div_ceil(loss[losing], lots[losing]))


@dataclass(frozen=True, slots=True)
class LotsToClose:
    """The lots of one side to close, how many of them lose, and the depth for them in lots."""

    lots: int
    losing_lots: int
    depth_lots: int

    def absorbed(self, paid_lots: int) -> int:
        """Return the lots that depth absorbs if the pool pays for so many losing ones."""
        return min(self.lots - self.losing_lots + paid_lots, self.depth_lots)


def _inventory_losses(state: ContractState, side: Side, worst: int) -> LotLosses:
    """Return the losing tranches of one side at a price."""
    tranches = state.inventory[side].tranches.values()
    lots = np.array([tranche.lots for tranche in tranches], np.int64)
    loss = np.array([tranche.cost for tranche in tranches], np.int64)
    loss -= state.terms.value_cash(side.sign * lots, worst)
    return LotLosses.of(lots, loss)


@dataclass(frozen=True, slots=True)
class StressTest:
    """The inputs that are the same at every shock."""

    state: ContractState
    buckets: Buckets
    fund_capacity_cash: int
    carried_cash: int | None
    balance_cash: int | None
    depth_lots: dict[Side, int]
    slippage_ppm: int
    share: Share

    def point(self, shock_ppm: int) -> StressPoint:
        """Return the outcome of one move of the mark."""
        state = self.state
        mark = _in_range(state, div_nearest(state.mark * (PPM + shock_ppm), PPM))
        buckets = value_at(state, self.buckets, mark, self.slippage_ppm)
        below = buckets.below(self.share)
        netted = int(self.buckets.netted[below].sum())
        liquidated = {
            side: int(state.tables[side].lots[: len(number)][below[number]].sum()) - netted
            for side, number in self.buckets.number.items()
        }
        bucket_loss = np.maximum(buckets.closing - buckets.equity, 0)
        losing = below & (bucket_loss > 0)
        loss = sum(bucket_loss[below].tolist())
        losses = [LotLosses.of(self.buckets.lots[below], bucket_loss[below])]
        sides = []
        for side, inventory in state.inventory.items():
            worst = _worst_ticks(state, side, mark, self.slippage_ppm)
            value = state.terms.value_cash(side.sign * inventory.total_lots, worst)
            loss += max(inventory.total_cost - value, 0)
            losses.append(_inventory_losses(state, side, worst))
            lots = state.tables[side].lots[: len(self.buckets.number[side])]
            own = int(lots[losing[self.buckets.number[side]]].sum())
            own -= int(self.buckets.netted[losing].sum())
            to_close = inventory.total_lots + liquidated[side]
            sides.append(LotsToClose(to_close, own + losses[-1].total_lots, self.depth_lots[side]))
        absorbed = self._absorbed_lots(sides, loss, losses)
        left = sum(side.lots for side in sides) - absorbed
        return StressPoint(
            shock_ppm=shock_ppm,
            mark_ticks=mark,
            liquidated_long_lots=liquidated[Side.LONG],
            liquidated_short_lots=liquidated[Side.SHORT],
            absorbed_lots=absorbed,
            loss_cash=clamp_int64(loss),
            fund_pays_cash=clamp_int64(max(min(loss, self.fund_capacity_cash), 0)),
            adl_lots=self._adl_lots(left, losses) if loss >= self.fund_capacity_cash else 0,
        )

    def _absorbed_lots(
        self, sides: Sequence[LotsToClose], loss_cash: int, losses: Sequence[LotLosses]
    ) -> int:
        """Return how many lots depth absorbs at least, of those that the pool can pay for.

        Without the money for all losses it pays for the largest a lot, on one side first; the side
        is the one by which less is absorbed.
        """
        if self.balance_cash is None or loss_cash <= self.balance_cash:
            return sum(side.absorbed(side.losing_lots) for side in sides)
        payable = _carried_lots(losses, max(self.balance_cash, 0))
        either = []
        for first, second in (sides, reversed(sides)):
            paid = min(payable, first.losing_lots)
            either.append(first.absorbed(paid) + second.absorbed(payable - paid))
        return min(either)

    def _adl_lots(self, left: int, losses: Sequence[LotLosses]) -> int:
        """Return how many of the lots left ADL closes, once the loss reaches the fund capacity.

        The pool carries the largest losses a lot, as many lots as it can pay for.
        """
        if self.carried_cash is None:
            return left
        rest = sum(part.total_lots for part in losses)
        return min(left, rest - _carried_lots(losses, max(self.carried_cash, 0)))


def _carried_lots(losses: Sequence[LotLosses], budget_cash: int) -> int:
    """Return the largest number of lots whose losses, the largest a lot first, fit a budget."""
    per_lot = np.concatenate([part.loss_per_lot for part in losses])
    lots = np.concatenate([part.lots for part in losses])
    carried = 0
    for row in np.argsort(-per_lot, kind="stable").tolist():
        fits = min(lots.item(row), div_floor(budget_cash, per_lot.item(row)))
        carried += fits
        budget_cash -= fits * per_lot.item(row)
        if fits < lots.item(row):
            break
    return carried


def stress_test_of(book: Book, state: ContractState) -> StressTest:
    """Return the stress test of a contract; while ADL is on, no depth counts."""
    pool, rules = book.pool_of(state), rule_set_of(book, state)
    depth = {side: usable_depth(state, side, pool.max_slippage_ppm) for side in Side}
    depth_lots = {
        side: 0 if state.active else sum(lots for _, lots in levels)
        for side, levels in depth.items()
    }
    pays_for_depth = pool.definition.managed and not rules.unwinds_beyond_balance
    return StressTest(
        state,
        buckets_of(book, state),
        fund_capacity(book, state),
        carried_cash(book, state),
        _money(book, state) if pays_for_depth else None,
        depth_lots,
        pool.max_slippage_ppm,
        rules.takeover_share,
    )


def curve_of(book: Book, state: ContractState) -> tuple[StressPoint, ...]:
    """Return the stress curve, from the lowest mark to the highest; the contract needs a mark.

    ADL lots never decrease away from the mark: a move to one shock passes all smaller ones.
    """
    test = stress_test_of(book, state)
    unmoved = test.point(0)
    halves = []
    for sign in (-1, 1):
        half = [unmoved]
        for shock in SHOCKS_PPM:
            half.append(_at_least(test.point(sign * shock), half[-1].adl_lots))
        halves.append(half[1:])
    return (*reversed(halves[0]), unmoved, *halves[1])


def adl_from(curve: Iterable[StressPoint]) -> int | None:
    """Return the smallest move, in ppm without sign, that leaves lots for ADL, or None."""
    return min((abs(point.shock_ppm) for point in curve if point.adl_lots), default=None)


def _at_least(point: StressPoint, lots: int) -> StressPoint:
    if point.adl_lots >= lots:
        return point
    fields = {name: getattr(point, name) for name in StressPoint.__struct_fields__}
    return StressPoint(**{**fields, "adl_lots": lots})


def _worst_ticks(state: ContractState, side: Side, mark_ticks: Mark, slippage_ppm: int) -> int:
    """Return the worst price at which the pool closes at a mark."""
    return _in_range(state, worst_ticks(mark_ticks, side, slippage_ppm))


def _in_range(state: ContractState, ticks: int) -> int:
    """Return the price, at least 1 tick and so low that the largest position's value fits int64."""
    largest = max(table.max_lots for table in state.tables.values())
    return max(min(ticks, state.terms.max_ticks(max(largest, 1))), 1)
