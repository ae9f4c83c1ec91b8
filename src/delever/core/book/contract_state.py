"""The state of one contract: terms, mark, depth, positions, inventory, PnL and ADL."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from operator import attrgetter
from typing import Any

import numpy as np

from delever.core.book.account_tables import Accounts, Wallets
from delever.core.book.pool_state import Inventory, Tranche
from delever.core.book.position_table import (
    PackedTables,
    PositionBlock,
    PositionBounds,
    PositionColumns,
    PositionTable,
    pack_tables,
    unpack_tables,
)
from delever.core.kernels import kernels_for
from delever.core.market.contract_terms import ContractTerms, FormerUnits
from delever.core.market.mark_limits import exact_mark_limits
from delever.core.market.mark_table import NO_MINUTE, MarkTable, band_of
from delever.core.market.rolling_windows import DailyOpening, RollingPeak, RollingVolatility
from delever.core.market.trigger_limits import Limits
from delever.core.messages import (
    AdlFilled,
    DefineContract,
    LossSocialized,
    PositionColumnsSet,
    PositionsClosed,
    PositionsNetted,
    PositionsSet,
    Rating,
    RoundClosed,
    Side,
    TakenOver,
    TradingStatus,
)
from delever.core.messages.fill_batch import FillBatch
from delever.core.units import (
    Ints,
    Mark,
    Ratio,
    div_ceil,
    div_floor,
    pack_mark,
    ratio_of,
    scale_mark,
    share_floor,
)

UNCHANGED: Ratio = (1, 1)
"""The ratio of a unit that stays as it is."""


class ContractState:
    """One contract: terms, mark, depth, positions, inventory, PnL and ADL.

    `marks` has the marks of all contracts; this contract's is in the row `definition_order`.
    `realized_pnl` and `injected` are what the contract's inventory and operators have paid into its
    pool, in Cash. `active` maps each trigger that is on to the time of its start; `warned` are the
    triggers that a warning has announced; `exhausted` is the inventory, in lots, that the last
    round of a side left open. `plan_wait_ms` is how long rounds wait for a plan, `plan_requests`
    maps each side whose round has asked for one to the sequence and the end of the wait. `stale`
    are the positions (side, account, position id) whose newest row was rejected. `is_observed`: an
    observation of the pool has included the contract. `amendments` counts the amendments of the
    terms; `price_unit` is the unit of prices where it is not the tick; `former_units` are those
    before amendments of tick or lot. `fund_pays` is false while the pool takes no part before the
    settlement.
    """

    def __init__(
        self,
        definition: DefineContract,
        terms: ContractTerms,
        limits: Limits,
        window_ms: int,
        positions: PositionBlock,
        marks: MarkTable,
    ) -> None:
        self.definition_order = marks.add(definition.contract)
        self.marks = marks
        self.definition = definition
        self.tables = {side: PositionTable(positions) for side in Side}
        self.set_terms(terms)
        self.price_unit = ""
        self.former_units: list[FormerUnits] = []
        self.amendments = 0
        self.limits = limits
        self.name = definition.contract
        self.key = f"contract {self.name}"
        self.pool = definition.pool
        self.status = TradingStatus.TRADING
        self.update_mark_limits()
        self._volatility = RollingVolatility()
        self.bids: tuple[tuple[int, int], ...] = ()
        self.asks: tuple[tuple[int, int], ...] = ()
        self.depth_known = False
        self.depth_insufficient_since_ms: dict[Side, int | None] = dict.fromkeys(Side)
        self.inventory = {side: Inventory() for side in Side}
        self.realized_pnl = 0
        self.injected = 0
        self.contract_pnl_peak = RollingPeak(window_ms)
        self.contract_pnl_opening = DailyOpening()
        self.active: dict[str, int] = {}
        self.warned: set[str] = set()
        self.paused = False
        self.fund_pays = True
        self.settlement_price = ""
        self.stale: set[tuple[Side, str, int]] = set()
        self.exhausted: dict[Side, int] = {}
        self.plan_wait_ms = 0
        self.plan_requests: dict[Side, tuple[int, int]] = {}
        self.rating: Rating | None = None
        self.is_observed = False
        self.largest_holding = 0, 0
        self.exposure_bound = 0
        self.exposure_at_mark_bound = 0

    def reset_for_pool(self, pool: str, window_ms: int, time_ms: int) -> None:
        """Move to another pool: contract PnL, its peak and the ADL state start again there."""
        self.pool = pool
        self.realized_pnl = 0
        self.injected = 0
        self.contract_pnl_peak = RollingPeak(window_ms)
        self.contract_pnl_opening = DailyOpening()
        # Unrealized PnL moves with the inventory: the peak starts there, a loss is no drawdown.
        self.observe_pnl(time_ms, self.unrealized_pnl)
        self.active.clear()
        self.warned.clear()
        self.exhausted.clear()
        self.plan_requests.clear()
        self.is_observed = False

    def observe_pnl(self, time_ms: int, contract_pnl_cash: int) -> None:
        """Add the contract's PnL in its pool at this moment to its peak and its day's opening."""
        self.contract_pnl_peak.observe(time_ms, contract_pnl_cash)
        self.contract_pnl_opening.observe(time_ms, contract_pnl_cash)

    def inject(self, amount_cash: int) -> None:
        """Add what an operator paid in for the contract; a withdrawal is no drawdown."""
        self.injected += amount_cash
        self.contract_pnl_peak.shift(min(amount_cash, 0))
        self.contract_pnl_opening.shift(amount_cash)

    # --- amendment ---

    def amend(
        self,
        definition: DefineContract,
        price_unit: str,
        terms: ContractTerms,
        limits: Limits,
        wallets: Wallets,
    ) -> tuple[Ratio, Ratio]:
        """Replace the terms; express lots and prices in the new units, with the same money.

        Return by what lots and prices were multiplied. Positions are valued again: their margin
        tiers may be others.
        """
        sides = [(side, np.arange(table.size)) for side, table in self.tables.items()]
        for side, rows in sides:
            self.subtract_from_wallets(side, rows, wallets)
        lots_ratio = ratio_of(self.terms.lot, terms.lot)
        price_ratio = ratio_of(self.terms.tick, terms.tick)
        marks = self.mark, self.previous_mark, self.last_confirmed_mark
        if (lots_ratio, price_ratio) != (UNCHANGED, UNCHANGED):
            self._rescale(lots_ratio, price_ratio)
        self.definition, self.price_unit = definition, price_unit
        self.set_terms(terms)
        self.limits = limits
        scaled = [scale_mark(mark, price_ratio) for mark in marks]
        self.mark, self.previous_mark, self.last_confirmed_mark = scaled
        self.update_mark_limits()
        self.former_units = list(terms.former)
        self.amendments += 1
        self.exhausted.clear()
        for side, rows in sides:
            self.add_to_wallets(side, rows, wallets)
        return lots_ratio, price_ratio

    def follow_amended_pool(self, time_ms: int, window_ms: int, *, new_rules: bool) -> None:
        """Apply the pool's window; what was found under former rules is found again."""
        self.contract_pnl_peak.resize(time_ms, window_ms)
        if new_rules:
            self.exhausted.clear()
            self.warned.clear()

    def _rescale(self, lots_ratio: Ratio, price_ratio: Ratio) -> None:
        for side, table in self.tables.items():
            table.rescale(*lots_ratio)
            self.inventory[side].rescale(lots_ratio, price_ratio)
        self.volatility.rescale(price_ratio)
        self.bids, self.asks = (
            tuple((share_floor(p, *price_ratio), share_floor(n, *lots_ratio)) for p, n in levels)
            for levels in (self.bids, self.asks)
        )

    # --- delisting ---

    @property
    def is_delisted(self) -> bool:
        """Whether no position may open or grow any more."""
        return self.status is not TradingStatus.TRADING

    @property
    def is_settled(self) -> bool:
        """Whether the contract has ended: its marks mean nothing any more."""
        return self.status is TradingStatus.SETTLED

    def set_status(self, status: TradingStatus, *, fund_pays: bool) -> None:
        """Set the status before the settlement, and whether the pool takes part."""
        self.status, self.fund_pays = status, fund_pays
        self.exhausted.clear()
        self.plan_requests.clear()

    def settle(self, price: str) -> None:
        """Settle the contract, whose positions and inventory are closed."""
        self.status, self.settlement_price = TradingStatus.SETTLED, price
        self.bids = self.asks = ()
        self.depth_known = False
        self.depth_insufficient_since_ms = dict.fromkeys(Side)
        self.warned.clear()
        self.exhausted.clear()
        self.plan_requests.clear()
        self.stale.clear()
        self.mark_unconfirmed = self.mark_rejected = False
        self.update_mark_limits()
        self.rating = None

    # --- ADL ---

    def start_adl(self, trigger: str, time_ms: int) -> None:
        """Start the ADL of a trigger, which ends its warning."""
        self.active[trigger] = time_ms
        self.warned.discard(trigger)

    def stop_adl(self, trigger: str) -> None:
        """Stop the ADL of a trigger; after the last one no side is exhausted or awaits a plan."""
        del self.active[trigger]
        if not self.active:
            self.exhausted.clear()
            self.plan_requests.clear()

    def await_plans(self, wait_ms: int) -> None:
        """Set how long rounds wait for a plan; without a wait no round does any more."""
        self.plan_wait_ms = wait_ms
        if not wait_ms:
            self.plan_requests.clear()

    def close_round(self, event: RoundClosed, sequence: int) -> bool:
        """End a side's round; return whether it had a request for a plan.

        The rest of an incomplete round may be in a newer plan, until the wait is over.
        """
        self.exhausted.pop(event.side, None)
        request = self.plan_requests.pop(event.side, None)
        if request is not None and event.filled_lots < event.wanted_lots:
            self.plan_requests[event.side] = sequence, request[1]
        return request is not None

    # --- marks and values ---

    def set_terms(self, terms: ContractTerms) -> None:
        """Set the exact terms; factor and tiers are also columns of the block of positions."""
        self.terms = terms
        for side, table in self.tables.items():
            factor = side.sign * terms.factor if terms.linear else 0
            table.block.set_terms(table.number, factor, terms.tier_bytes)
        self.marks.set_terms(self.definition_order, terms)

    def update_mark_limits(self) -> None:
        """Set the limits of marks to those defined; a settled contract's limit nothing."""
        self.mark_limits = exact_mark_limits(self.definition.mark_limits)
        limits = None if self.is_settled else self.mark_limits
        self.marks.set_limits(self.definition_order, limits)
        if self.is_settled:
            self.marks.end(self.definition_order)

    @property
    def mark(self) -> Mark:
        """The newest mark; 0 before the first."""
        row, marks = self.definition_order, self.marks
        ticks, fraction = marks.ticks.item(row), marks.fractions.item(row)
        return self.terms.join_mark(ticks, fraction) if fraction else ticks

    @mark.setter
    def mark(self, mark: Mark) -> None:
        self._set_columns(mark, self.marks.ticks, self.marks.fractions)

    @property
    def previous_mark(self) -> Mark:
        """The confirmed mark before the newest one; the first mark is its own."""
        return self._joined(self.marks.previous_ticks, self.marks.previous_fractions)

    @previous_mark.setter
    def previous_mark(self, mark: Mark) -> None:
        self._set_columns(mark, self.marks.previous_ticks, self.marks.previous_fractions)

    @property
    def last_confirmed_mark(self) -> Mark:
        """The last mark that was within the limits, or was confirmed, before one that was not."""
        return self._joined(self.marks.confirmed_ticks, self.marks.confirmed_fractions)

    @last_confirmed_mark.setter
    def last_confirmed_mark(self, mark: Mark) -> None:
        self._set_columns(mark, self.marks.confirmed_ticks, self.marks.confirmed_fractions)

    def _joined(self, ticks: Ints, fractions: Ints) -> Mark:
        row = self.definition_order
        return self.terms.join_mark(ticks.item(row), fractions.item(row))

    def _set_columns(self, mark: Mark, ticks: Ints, fractions: Ints) -> None:
        row = self.definition_order
        ticks[row], fractions[row] = self.terms.split_mark(mark)

    @property
    def marked_ms(self) -> int:
        """The time of the newest mark, or of its confirmation."""
        return self.marks.marked_ms.item(self.definition_order)

    @marked_ms.setter
    def marked_ms(self, time_ms: int) -> None:
        self.marks.marked_ms[self.definition_order] = time_ms

    @property
    def mark_unconfirmed(self) -> bool:
        """Whether the mark is beyond the contract's limits and not confirmed."""
        return self.marks.is_unconfirmed.item(self.definition_order) > 0

    @mark_unconfirmed.setter
    def mark_unconfirmed(self, is_unconfirmed: bool) -> None:
        self.marks.is_unconfirmed[self.definition_order] = is_unconfirmed

    @property
    def mark_rejected(self) -> bool:
        """Whether the newest submitted mark was rejected: the mark is older than the market."""
        return self.marks.is_rejected.item(self.definition_order) > 0

    @mark_rejected.setter
    def mark_rejected(self, is_rejected: bool) -> None:
        self.marks.is_rejected[self.definition_order] = is_rejected

    def reject_mark(self) -> bool:
        """Flag that the newest mark was rejected; return whether the open contract had no flag."""
        is_new = not self.is_settled and not self.mark_rejected
        if is_new:
            self.mark_rejected = True
        return is_new

    @property
    def confirmed_mark(self) -> Mark:
        """The newest mark that is within the contract's limits, or was confirmed."""
        return self.last_confirmed_mark if self.mark_unconfirmed else self.mark

    @property
    def volatility(self) -> RollingVolatility:
        """The volatility of the mark, which is also the newest price of its minute."""
        self._volatility.replace_last(self.mark)
        return self._volatility

    @volatility.setter
    def volatility(self, volatility: RollingVolatility) -> None:
        self._volatility = volatility
        minute = volatility.last_minute
        self.marks.minutes[self.definition_order] = NO_MINUTE if minute is None else minute

    def set_mark(self, time_ms: int, ticks: int, fraction: int) -> bool:
        """Set the mark; return whether the bounds of `exposures` have to be updated.

        The book values the positions of all marked contracts together.
        """
        row, marks = self.definition_order, self.marks
        mark = self.terms.join_mark(ticks, fraction)
        if div_floor(time_ms, RollingVolatility.MINUTE_MS) != marks.minutes.item(row):
            self.start_minute(time_ms, mark)
        self.previous_mark = self.confirmed_mark or mark
        marks.ticks[row], marks.fractions[row] = ticks, fraction
        marks.marked_ms[row], marks.is_rejected[row] = time_ms, 0
        return self.leaves_band(ticks)

    def leaves_band(self, mark: Mark) -> bool:
        """Return whether the bounds of `exposures` are of another band than that of a mark."""
        row, marks = self.definition_order, self.marks
        return not marks.lows.item(row) <= mark < marks.highs.item(row)

    def start_minute(self, time_ms: int, mark: Mark) -> None:
        """Add the first mark of a minute to the volatility, before it is set."""
        self.volatility.observe(time_ms, mark)
        self.volatility = self._volatility

    def unconfirm_mark(self, confirmed_ticks: int, confirmed_fraction: int) -> None:
        """Set that the mark is beyond the limits, and the last one that was not."""
        self.mark_unconfirmed = True
        self.last_confirmed_mark = self.terms.join_mark(confirmed_ticks, confirmed_fraction)

    def pnl_and_maintenance(self, side: Side, lots: Ints, cost: Ints) -> tuple[Ints, Ints]:
        """Return unrealized PnL and maintenance margin of rows in Cash; 0 before the first mark."""
        if self.mark == 0:
            return lots * 0, lots * 0
        value = self.terms.value_cash(side.sign * lots, self.mark)
        return value - cost, self.terms.maintenance_cash(abs(value))

    # --- one position ---

    def set_position(
        self,
        side: Side,
        key: tuple[int, int],
        amounts: tuple[int, int, int],
        flags: tuple[bool, int, bool],
        wallets: Wallets,
    ) -> None:
        """Set a position's (lots, cost, margin) and (isolated, leverage, under_liquidation).

        The position is valued at the mark, and its account's cross wallet changes by the
        difference. A position without lots remains until it is removed.
        """
        table, (lots, cost, margin) = self.tables[side], amounts
        table.changed_at = wallets.sequence
        row = table.upsert(*key)
        was_isolated, is_isolated = table.isolated.item(row), flags[0]
        before = (
            (0, 0)
            if was_isolated
            else (table.unrealized_pnl.item(row), table.maintenance.item(row))
        )
        table.set_row(row, lots, cost, margin)
        table.isolated[row], table.leverage[row], table.under_liquidation[row] = flags
        pnl, maintenance, mark, terms = 0, 0, self.mark, self.terms
        if mark:
            value = terms.value_cash(side.sign * lots, mark)
            pnl, maintenance = value - cost, terms.maintenance_of(abs(value))
        table.unrealized_pnl[row], table.maintenance[row] = pnl, maintenance
        if is_isolated:
            pnl = maintenance = 0
        if not (was_isolated and is_isolated):
            wallets.shift(key[0], pnl - before[0], maintenance - before[1])

    def reduce_position(
        self, side: Side, key: tuple[int, int], amounts: tuple[int, int, int], wallets: Wallets
    ) -> None:
        """Subtract (lots, cost, margin) from a position; negative amounts reverse a reduction."""
        table = self.tables[side]
        row = table.upsert(*key)
        lots, cost, margin = table.amounts_at(row)
        rest = lots - amounts[0], cost - amounts[1], margin - amounts[2]
        self.set_position(side, key, rest, table.flags_at(row), wallets)
        if rest[0] == 0:
            table.remove(row)

    def reopen_position(self, key: tuple[int, int], fill: AdlFilled) -> None:
        """Open the position of a cancelled fill where the fill closed all of it."""
        table = self.tables[fill.side]
        if table.find(*key) is None:
            row = table.upsert(*key)
            table.isolated[row], table.leverage[row] = fill.isolated, fill.leverage_hundredths

    def take_over(self, event: TakenOver, account: int, wallets: Wallets) -> None:
        """Move lots of a position into the inventory, and pay the account its part."""
        key, amounts = (account, event.position), (event.lots, event.cost_cash, event.margin_cash)
        with wallets.followed_margins((account,)):
            self.reduce_position(event.side, key, amounts, wallets)
            wallets.add(account, event.to_wallet_cash)
        tranche = Tranche(
            takeover=event.takeover,
            account=event.account,
            lots=event.lots,
            cost=event.value_cash,
            price_ticks=event.price_ticks,
            equity=event.equity_cash,
            maintenance=event.maintenance_cash,
        )
        self.inventory[event.side].add(tranche)

    def net_positions(self, event: PositionsNetted, account: int, wallets: Wallets) -> None:
        """Close the same lots of both sides of an account, and pay it the PnL."""
        with wallets.followed_margins((account,)):
            for side, position, cost in (
                (Side.LONG, event.long_position, event.long_cost_cash),
                (Side.SHORT, event.short_position, event.short_cost_cash),
            ):
                self.reduce_position(side, (account, position), (event.lots, cost, 0), wallets)
            wallets.add(account, event.realized_pnl_cash)

    def execute_fill(self, fill: AdlFilled, direction: int, account: int, wallets: Wallets) -> None:
        """Execute an ADL fill (direction 1) or reverse it (direction -1)."""
        key = (account, fill.position)
        if direction < 0:
            self.reopen_position(key, fill)
        amounts = fill.lots, fill.cost_cash, fill.margin_returned_cash
        lots, cost, margin = (direction * amount for amount in amounts)
        paid = fill.realized_pnl_cash + fill.margin_returned_cash - fill.fee_cash
        with wallets.followed_margins((account,)):
            self.reduce_position(fill.side, key, (lots, cost, margin), wallets)
            wallets.add(account, direction * paid)
        inventory = self.inventory[fill.side.opposite]
        if direction > 0:
            inventory.reduce(fill.takeover, fill.lots, fill.pool_cost_cash)
        else:
            inventory.restore(fill)

    # --- many rows ---

    def set_positions(self, event: PositionsSet, accounts: list[int], wallets: Wallets) -> None:
        """Set the positions of accounts, by index; those without lots are removed at the end."""
        table, keys = self.tables[event.side], list(zip(accounts, event.positions, strict=True))
        all_amounts = zip(event.lots, event.cost_cash, event.margin_cash, strict=True)
        all_flags = zip(
            event.isolated, event.leverage_hundredths, event.under_liquidation, strict=True
        )
        for key, amounts, flags in zip(keys, all_amounts, all_flags, strict=True):
            self.set_position(event.side, key, amounts, flags, wallets)
        for key, lots in zip(keys, event.lots, strict=True):
            if lots == 0:
                table.remove(table.row_of(*key))

    def set_position_columns(
        self, event: PositionColumnsSet, accounts: Ints, positions: Ints, wallets: Wallets
    ) -> None:
        """Set the positions of accounts, by index, as columns; remove those without lots."""
        table = self.tables[event.side]
        size, rows = table.size, table.upsert_all(accounts, positions)
        self.subtract_from_wallets(event.side, rows, wallets)
        table.set_rows(rows, PositionColumns.of_event(event))
        self.add_to_wallets(event.side, rows, wallets)
        closed = rows[table.lots[rows] == 0]
        if len(closed):
            table.remove_all(closed)
        if table.size > 2 * size:
            table.sort()

    def close_positions(
        self, event: PositionsClosed, accounts: list[int], wallets: Wallets
    ) -> None:
        """Close lots that the venue closed, and pay PnL and margin less the pool's part."""
        names = "lots", "cost_cash", "margin_cash", "realized_pnl_cash", "to_pool_cash"
        columns = accounts, event.positions, *(getattr(event, name) for name in names)
        for account, position, *amounts, realized, to_pool in zip(*columns, strict=True):
            lots, cost, margin = amounts
            with wallets.followed_margins((account,)):
                self.reduce_position(event.side, (account, position), (lots, cost, margin), wallets)
                wallets.add(account, realized + margin - to_pool)

    def share_loss(self, event: LossSocialized, accounts: list[int], wallets: Wallets) -> None:
        """Add each position's share of a socialized loss to its cost."""
        columns = accounts, event.sides, event.positions, event.amount_cash
        for account, side, position, amount in zip(*columns, strict=True):
            with wallets.followed_margins((account,)):
                self.reduce_position(side, (account, position), (0, -amount, 0), wallets)

    def execute_fills(self, fills: FillBatch, wallets: Wallets) -> None:
        """Execute a batch of fills, with the result of executing them one by one."""
        side, columns = fills.first.side, fills.columns
        names = "position", "lots", "cost_cash", "margin_returned_cash"
        closed = (np.array(columns[name], np.int64) for name in names)
        paid = [
            fill.realized_pnl_cash + fill.margin_returned_cash - fill.fee_cash
            for fill in fills.events
        ]
        with wallets.followed_margins(fills.accounts):
            self.reduce_positions(side, wallets, np.array(fills.accounts), *closed)
            wallets.add_all(fills.accounts, paid)
        reduced: dict[int, list[int]] = {}
        for takeover, lots, cost in zip(
            columns["takeover"], columns["lots"], columns["pool_cost_cash"], strict=True
        ):
            of_tranche = reduced.setdefault(takeover, [0, 0])
            of_tranche[0] += lots
            of_tranche[1] += cost
        for takeover, (lots, cost) in reduced.items():
            self.inventory[side.opposite].reduce(takeover, lots, cost)

    def subtract_from_wallets(self, side: Side, rows: Ints, wallets: Wallets) -> None:
        """Subtract the rows' unrealized PnL and maintenance margin from their cross wallets."""
        self._shift_wallets(side, rows, wallets, -1)

    def add_to_wallets(self, side: Side, rows: Ints, wallets: Wallets) -> None:
        """Value rows at the mark; add unrealized PnL and maintenance margin to cross wallets."""
        table = self.tables[side]
        table.unrealized_pnl[rows], table.maintenance[rows] = self.pnl_and_maintenance(
            side, table.lots[rows], table.cost[rows]
        )
        self._shift_wallets(side, rows, wallets, 1)

    def reduce_positions(
        self, side: Side, wallets: Wallets, accounts: Ints, positions: Ints, *amounts: Ints
    ) -> None:
        """Subtract (lots, cost, margin) from open positions; a position may occur several times."""
        table = self.tables[side]
        rows = table.find_all(accounts, positions)
        _, from_end = np.unique(rows[::-1], return_index=True)
        unique = rows[np.sort(len(rows) - 1 - from_end)]  # in the order of their last fills
        self.subtract_from_wallets(side, unique, wallets)
        table.subtract(rows, *amounts)
        self.add_to_wallets(side, unique, wallets)
        table.remove_each(unique[table.lots[unique] == 0])

    def _shift_wallets(self, side: Side, rows: Ints, wallets: Wallets, sign: int) -> None:
        table = self.tables[side]
        table.changed_at = wallets.sequence
        kernels_for(wallets.size).shift_wallets(
            rows,
            table.account,
            table.isolated,
            table.unrealized_pnl,
            table.maintenance,
            sign,
            wallets.rows,
            wallets.sequence,
        )

    def mark_stale(self, side: Side, rows: Iterable[tuple[str, int]], sequence: int) -> None:
        """Mark (account, position id) of a side as stale: their newest row was rejected."""
        self.stale |= {(side, name, position) for name, position in rows}
        self.tables[side].changed_at = sequence

    def unmark_stale(self, side: Side, rows: Iterable[tuple[str, int]], accounts: Accounts) -> None:
        """End the staleness of positions that have been set; in one-way mode, of both sides."""
        for name, position in rows:
            hedges = accounts.hedge_mode[accounts.index[name]]
            for each in (side,) if hedges else Side:
                self.stale.discard((each, name, position))

    # --- inventory ---

    def reduce_inventory(self, side: Side, takeover: int, lots: int, cost_cash: int) -> None:
        """Close lots of a tranche, which ends the exhaustion of its side."""
        self.inventory[side].reduce(takeover, lots, cost_cash)
        self.exhausted.pop(side, None)

    def inventory_value(self, side: Side) -> int:
        """Return the value of inventory at the confirmed mark in Cash; its cost without a mark."""
        inventory = self.inventory[side]
        if not inventory.total_lots or (mark := self.confirmed_mark) == 0:
            return inventory.total_cost
        return self.terms.value_cash(side.sign * inventory.total_lots, mark)

    def inventory_pnl(self, side: Side) -> int:
        """Return the unrealized PnL of inventory of one side at the mark, in Cash."""
        return self.inventory_value(side) - self.inventory[side].total_cost

    @property
    def unrealized_pnl(self) -> int:
        """Unrealized PnL of the inventory of both sides, in Cash."""
        if not self.has_inventory:
            return 0
        return self.inventory_pnl(Side.LONG) + self.inventory_pnl(Side.SHORT)

    @property
    def has_inventory(self) -> bool:
        """Whether the contract's pool has open inventory in it."""
        long, short = self.inventory.values()
        return bool(long.tranches or short.tranches)

    @property
    def is_monitored(self) -> bool:
        """Whether each step observes the contract and evaluates its triggers.

        It does while there is inventory, PnL, an active or announced trigger, or insufficient
        depth. An observed contract stays monitored: PnL that returned to 0 still has a peak. A
        settled one is not: it has no PnL to come.
        """
        if self.is_settled:
            return False
        waits = set(self.depth_insufficient_since_ms.values()) != {None}
        pnl = self.realized_pnl or self.injected
        busy = pnl or self.active or self.warned or waits or self.has_inventory
        return bool(self.is_observed or busy)

    # --- bounds ---

    def exposure(
        self, mark: Mark, bounds: Mapping[Side, PositionBounds], *, exact: bool = False
    ) -> int:
        """Return an upper bound, in Cash, on what one account can gain or lose in the contract.

        The bound is the largest position of each side at a mark plus the largest cost, times the
        position ids in use. `bounds` are those of positions about to be set. Bounds grow with the
        book and do not shrink with it; `exact` scans the open positions instead.
        """
        lots, cost = self.largest_holding
        if bounds or exact:
            lots, cost = self.largest_holding_with(bounds, exact=exact)
        return lots * self.terms.max_lot_value(mark) + cost

    def exposures(self, mark: Mark, bounds: Mapping[Side, PositionBounds]) -> tuple[int, int]:
        """Return the bounds of `exposure` and `exposure_at_mark` for the whole band of a mark."""
        low, high = band_of(mark) if mark >= 1 else (mark, mark)
        if self.terms.linear:
            exposure = self.exposure(high, bounds)
            return exposure, exposure
        return self.exposure(mark, bounds), self.exposure_at_mark(low, bounds)

    def reset_bounds(self) -> None:
        """Set the bounds of both sides to those of the open positions."""
        for table in self.tables.values():
            table.reset_bounds()

    def update_exposure(self) -> tuple[int, int]:
        """Set both exposure bounds to what they are now; return by how much each has grown."""
        row, mark = self.definition_order, self.mark
        exposure, at_mark = self.exposures(mark, {})
        self.marks.lows[row], self.marks.highs[row] = band_of(mark)
        grown = exposure - self.exposure_bound, at_mark - self.exposure_at_mark_bound
        self.exposure_bound, self.exposure_at_mark_bound = exposure, at_mark
        return grown

    def exposure_at_mark(
        self, mark: Mark, bounds: Mapping[Side, PositionBounds], *, exact: bool = False
    ) -> int:
        """Return the bound of `exposure`, with lots of inverse contracts valued at the mark."""
        if self.terms.linear:
            return self.exposure(mark, bounds, exact=exact)
        lots, cost = self.largest_holding
        if bounds or exact:
            lots, cost = self.largest_holding_with(bounds, exact=exact)
        value = lots * self.terms.factor * mark.denominator
        return (div_ceil(value, mark.numerator) if mark else 0) + cost

    def largest_holding_with(
        self, bounds: Mapping[Side, PositionBounds], *, exact: bool = False
    ) -> tuple[int, int]:
        """Return lots and cost of an account with the largest position under every position id."""
        total_lots = total_cost = 0
        for side, table in self.tables.items():
            lots, cost, position_ids = table.current_bounds() if exact else table.bounds
            if side in bounds:
                new = bounds[side]
                lots, cost = max(lots, new.lots), max(cost, new.cost)
                position_ids = max(position_ids, new.position_ids)
            total_lots += lots * position_ids
            total_cost += cost * position_ids
        return total_lots, total_cost

    # --- changes ---

    def scalars(self) -> tuple[object, ...]:
        """Return the contract's own numbers, for the hash of changes."""
        return (
            self.pool,
            pack_mark(self.mark),
            pack_mark(self.previous_mark),
            self.realized_pnl,
            self.injected,
            self.bids,
            self.asks,
            sorted(self.active.items()),
            sorted(self.depth_insufficient_since_ms.items()),
            self.rating and (self.rating.level, self.rating.as_of),
            *((self.price_unit, self.definition) if self.amendments else ()),
            *((self.status, self.fund_pays, self.settlement_price) if self.is_delisted else ()),
            *(("paused",) if self.paused else ()),
            *(("plan_wait", self.plan_wait_ms) if self.plan_wait_ms else ()),
            *sorted(self.plan_requests.items()),
            *(("mark_rejected",) if self.mark_rejected else ()),
            *((pack_mark(self.last_confirmed_mark),) if self.mark_unconfirmed else ()),
            *(("stale", *sorted(self.stale)) if self.stale else ()),
        )

    def take_changes(self, side: Side) -> list[tuple[object, ...]]:
        """Return the positions and tranches of one side that changed since the last call."""
        return [*self.tables[side].take_changes(), *self.inventory[side].take_changes()]


PackedContracts = tuple[tuple[str, ...], tuple[tuple[Any, ...], ...], PackedTables]
"""Names of attributes, a column of each with an entry a contract, and the tables of positions."""


def pack_contracts(states: Sequence[ContractState]) -> PackedContracts:
    """Return what a copy of all contracts of a book takes, which pickle copies by column."""
    names = tuple(vars(states[0]).keys() - {"tables", "marks"}) if states else ()
    columns = tuple(zip(*map(attrgetter(*names), states), strict=True)) if states else ()
    tables = [table for state in states for table in state.tables.values()]
    return names, columns, pack_tables(tables)


def unpack_contracts(
    packed: PackedContracts, positions: PositionBlock, marks: MarkTable
) -> dict[str, ContractState]:
    """Return the contracts by name that `pack_contracts` packed, with their block and marks."""
    names, columns, packed_tables = packed
    tables, states = iter(unpack_tables(packed_tables, positions)), {}
    for numbers in zip(*columns, strict=True):
        state = ContractState.__new__(ContractState)
        of_sides = dict(zip(Side, tables, strict=False))
        vars(state).update(zip(names, numbers, strict=True), marks=marks, tables=of_sides)
        states[state.name] = state
    return states


def contracts_html(title: str, states: Iterable[ContractState]) -> str:
    """Return contracts as an HTML table, with the number of positions of each side."""
    heading = "contract", "pool", "long positions", "short positions"
    sizes = ((s.name, s.pool, *(str(t.size) for t in s.tables.values())) for s in states)
    rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in (heading, *sizes))
    return f"<p>{escape(title)}</p><table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
