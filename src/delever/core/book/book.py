"""The book: everything the engine knows, and `apply(event)`, the only way to change it.

Events carry finished numbers, so `apply` only adds and subtracts. It also keeps profit and
maintenance at the current marks up to date, so that equity never has to be summed again.
"""

from collections.abc import Callable, Mapping
from typing import Any, get_args

import msgspec
import numpy as np

from delever.core import messages as m
from delever.core.book.account_tables import Accounts
from delever.core.book.contract_state import ContractState, OutstandingLoss
from delever.core.book.inventory import Tranche
from delever.core.book.pool_state import AssetState, PoolState
from delever.core.book.position_table import Numbers
from delever.core.kernels import ParallelMap, Revalued
from delever.core.market.contract_terms import terms_of
from delever.core.market.trigger_limits import exact_limits, slippage_ppm
from delever.core.market.validation import column_of
from delever.core.messages import Event, Side
from delever.core.messages.fill_batch import Fills
from delever.core.units import LIMIT, Ints

DEFAULT_CASH_DECIMALS = 8

TOGETHER = 8
"""Fills from which moving them together is quicker than one by one."""

_encoder = msgspec.msgpack.Encoder()


class Book:
    """All accounts, contracts and pools of one venue, at one sequence and one time."""

    def __init__(self) -> None:
        self.sequence = 0
        self.time_ms = 0
        self.accounts = Accounts()
        self.assets: dict[str, AssetState] = {}
        self.contracts: dict[str, ContractState] = {}
        self.pools: dict[str, PoolState] = {}
        self.open_orders: dict[tuple[str, str], tuple[str, ...]] = {}
        self.outstanding: dict[int, m.AdlFilled] = {}
        self.losses: dict[str, list[OutstandingLoss]] = {}
        self.last_fill = 0
        self.last_takeover = 0
        self.indicators: m.IndicatorsPublished | None = None
        self.managed = False
        self.unobserved: set[str] = set()
        self.shown: dict[str, Any] = {}
        self._engaged: dict[str, ContractState] = {}
        self._fills_of: dict[str, list[int]] = {}
        self._changed: dict[str, ContractState | PoolState] = {}
        self._changed_lanes: set[tuple[str, Side]] = set()

    def asset(self, name: str) -> AssetState:
        """Return a settle asset that is in use."""
        return self.assets[name]

    def cash_decimals(self, asset: str) -> int:
        """Return the decimals of an asset's smallest unit: 8 where it was never defined."""
        state = self.assets.get(asset)
        return DEFAULT_CASH_DECIMALS if state is None else state.cash_decimals

    def pool_of(self, state: ContractState) -> PoolState:
        """Return the pool that stands behind a contract."""
        return self.pools[state.pool]

    def asset_of(self, state: ContractState) -> AssetState:
        """Return the asset that a contract settles in."""
        return self.asset(state.terms.settle)

    def members(self, pool: PoolState) -> list[ContractState]:
        """Return the contracts behind which a pool stands, in order of definition."""
        return [state for state in self.contracts.values() if state.pool == pool.name]

    def engaged(self) -> list[ContractState]:
        """Return the contracts that keep their pools busy, in order of definition."""
        if not self._engaged:
            return []
        return sorted(self._engaged.values(), key=lambda state: state.number)

    def outstanding_of(self, account: str) -> list[m.AdlFilled]:
        """Return the account's fills that the venue's numbers may not include yet, oldest first."""
        return [self.outstanding[fill] for fill in self._fills_of.get(account, ())]

    def with_outstanding(self) -> set[str]:
        """Return the accounts with fills or losses that the venue's numbers may not include yet."""
        return {name for name, fills in self._fills_of.items() if fills} | self.losses.keys()

    def remember(self, shown: Mapping[str, object]) -> None:
        """Keep what was last shown of contracts, so that what has not changed is not made again.

        It follows from the rest, and is no part of what the book is.
        """
        self.shown.update(shown)

    def take_changes(self) -> bytes:
        """Return all that changed since the last call in one canonical form, and forget it."""
        rows: list[tuple[str, Any]] = [
            (key, self._changed[key].scalars()) for key in sorted(self._changed)
        ]
        rows += [(name, self.assets[name].wallets.take_changes()) for name in sorted(self.assets)]
        for name, side in sorted(self._changed_lanes):
            rows.append((name + " " + side, self.contracts[name].take_changes(side)))
        self._changed.clear()
        self._changed_lanes.clear()
        return _encoder.encode([row for row in rows if row[1]])

    # --- one event ---

    def apply(self, event: Event, parallel_map: ParallelMap = map) -> None:
        """Change the book by one event. `each` runs parts of large work, as of a step."""
        if isinstance(event, m.MarksSet):
            self._marks_set(event, parallel_map)
        else:
            _APPLY[type(event)](self, event)

    def apply_fills(self, fills: Fills) -> None:
        """Change the book by the fills of one round, as `apply` does by one after the other."""
        if len(fills.events) < TOGETHER:
            for fill in fills.events:
                self.apply(fill)
            return
        self._move_fills(fills)
        numbers = fills.columns["fill"]
        self.outstanding.update(zip(numbers, fills.events, strict=True))
        for account, number in zip(fills.columns["account"], numbers, strict=True):
            self._fills_of.setdefault(account, []).append(number)
        self.last_fill = numbers[-1]

    def _row_ignored(self, event: m.RowIgnored | m.RowsIgnored | m.CounterpartySkipped) -> None:
        """Told, but nothing changes."""

    _rows_ignored = _counterparty_skipped = _row_ignored

    def _accepted(self, event: m.Accepted) -> None:
        self.sequence = event.sequence
        self.time_ms = event.time_ms
        for asset in self.assets.values():
            asset.wallets.sequence = event.sequence

    def _rejected(self, _event: m.Rejected) -> None:
        self.sequence += 1

    def _asset_defined(self, event: m.AssetDefined) -> None:
        self._open_asset(event.asset, event.cash_decimals)

    def _pool_defined(self, event: m.PoolDefined) -> None:
        decimals = self.cash_decimals(event.definition.asset)
        self._open_asset(event.definition.asset, decimals)
        pool = PoolState(
            event.definition,
            exact_limits(event.definition.limits, decimals),
            slippage_ppm(event.definition),
        )
        pool.track(self.time_ms, 0, 0)
        self.pools[pool.name] = pool
        self.unobserved.add(pool.name)
        self.managed |= pool.definition.managed

    def _contract_defined(self, event: m.ContractDefined) -> None:
        definition = event.definition
        decimals = self.asset(definition.settle).cash_decimals
        window_ms = self.pools[definition.pool].definition.peak_window_ms
        terms, limits = terms_of(definition, decimals), exact_limits(definition.limits, decimals)
        state = ContractState(definition, terms, limits, window_ms)
        state.contract_pnl_peak.observe(self.time_ms, 0)
        state.number = len(self.contracts)
        self.contracts[definition.contract] = state

    def _account_defined(self, event: m.AccountDefined) -> None:
        hedge_mode, exempt = event.hedge_mode, event.adl_exempt
        row = self.accounts.define(event.account, hedge_mode=hedge_mode, adl_exempt=exempt)
        for asset in self.assets.values():
            asset.wallets.reach(self.accounts.size)
            asset.wallets.changed_at[row] = self.sequence

    def _balances_set(self, event: m.BalancesSet) -> None:
        columns = event.accounts, event.assets, event.balance_cash
        for name, asset, balance in zip(*columns, strict=True):
            account = self.accounts.index[name]
            wallets = self.asset(asset).wallets
            wallets.add(account, balance - wallets.balance.item(account))
            self.accounts.balances_version[account] = event.version
            self._acknowledge(self.accounts.balances_fill, account, name, event.last_fill)

    def _positions_set(self, event: m.PositionsSet) -> None:
        state = self.contracts[event.contract]
        table, wallets = state.tables[event.side], self.asset_of(state).wallets
        most = table.most
        closed: list[tuple[int, int]] = []
        amounts = zip(event.lots, event.cost_cash, event.margin_cash, strict=True)
        flags = event.isolated, event.leverage_hundredths, event.under_liquidation
        keys = event.accounts, event.positions
        columns = zip(*keys, amounts, zip(*flags, strict=True), strict=True)
        for name, position, told, terms in columns:
            account = self.accounts.index[name]
            state.restate(event.side, (account, position), told, terms, wallets)
            if told[0] == 0:
                closed.append((account, position))
            self.accounts.positions_version[account] = event.version
            self._acknowledge(self.accounts.positions_fill, account, name, event.last_fill)
        self._changed_lanes.add((state.name, event.side))
        if table.most != most:
            self._measure(state)
        for key in closed:
            table.remove(table.row_of(*key))

    def _position_columns_set(self, event: m.PositionColumnsSet) -> None:
        state = self.contracts[event.contract]
        table, wallets = state.tables[event.side], self.asset_of(state).wallets
        accounts = column_of(event.account, "<i4", 0)
        rows = table.upsert_all(accounts, column_of(event.position, "<i4", len(accounts)))
        state.withdraw(event.side, rows, wallets)
        table.assign(rows, Numbers.told(event))
        self._changed_lanes.add((state.name, event.side))
        state.contribute(event.side, rows, wallets)
        self._measure(state)
        closed = rows[table.lots[rows] == 0]
        if len(closed):
            table.remove_all(closed)
        self.accounts.positions_version[accounts] = event.version
        self._acknowledge_all(self.accounts.positions_fill, accounts, event.last_fill)

    def _accounts_defined(self, event: m.AccountsDefined) -> None:
        n = len(event.accounts)
        hedge_mode = column_of(event.hedge_mode, "<i1", n).astype(bool)
        exempt = column_of(event.adl_exempt, "<i1", n).astype(bool)
        rows = self.accounts.define_all(event.accounts, hedge_mode, exempt)
        for asset in self.assets.values():
            asset.wallets.reach(self.accounts.size)
            asset.wallets.changed_at[rows] = self.sequence

    def _balance_columns_set(self, event: m.BalanceColumnsSet) -> None:
        accounts = column_of(event.account, "<i4", 0)
        balances = column_of(event.balance_cash, "<i8", len(accounts))
        self.asset(event.asset).wallets.set_all(accounts, balances)
        self.accounts.balances_version[accounts] = event.version
        self._acknowledge_all(self.accounts.balances_fill, accounts, event.last_fill)

    def _open_orders_set(self, event: m.OpenOrdersSet) -> None:
        key = (event.account, event.contract)
        self.open_orders.pop(key, None)
        if event.orders:
            self.open_orders[key] = event.orders

    def _marks_set(self, event: m.MarksSet, parallel_map: ParallelMap = map) -> None:
        moved: dict[str, list[Revalued]] = {}
        for name, mark in zip(event.contracts, event.mark_ticks, strict=True):
            state = self.contracts[name]
            tables = moved.setdefault(state.terms.settle, [])
            tables += state.mark_at(self.time_ms, mark, self.sequence)
            self._changed[state.key] = state  # a mark engages nothing
            self._bound(state)
        for name, tables in moved.items():
            asset = self.asset(name)
            asset.wallets.revalue(tables, parallel_map)
            if asset.bound >= LIMIT:
                self._forget_past(asset)

    def _depth_set(self, event: m.DepthSet) -> None:
        state = self.contracts[event.contract]
        state.bids, state.asks, state.depth_known = event.bids, event.asks, True
        self._touch(state)

    def _depth_watched(self, event: m.DepthWatched) -> None:
        state = self.contracts[event.contract]
        state.depth_missing_since_ms[event.side] = self.time_ms if event.missing else None
        self._touch(state)

    def _pool_funded(self, event: m.PoolFunded) -> None:
        pool = self.pools[event.pool]
        self._pay_pool(pool, event.amount_cash)
        taken_out = min(event.amount_cash, 0)  # which is no drawdown
        pool.shift_past(taken_out)
        if event.contract is not None:
            state = self.contracts[event.contract]
            state.injected += event.amount_cash
            state.contract_pnl_peak.shift(taken_out)
            self._touch(state)

    def _contract_moved(self, event: m.ContractMoved) -> None:
        state = self.contracts[event.contract]
        self.unobserved |= {event.source, event.target}
        window_ms = self.pools[event.target].definition.peak_window_ms
        state.reset_for_pool(event.target, window_ms, self.time_ms)
        self._touch(state)

    def _taken_over(self, event: m.TakenOver) -> None:
        state = self.contracts[event.contract]
        asset, account = self.asset_of(state), self.accounts.index[event.account]
        amounts = event.lots, event.cost_cash, event.margin_cash
        self._reduce(state, event.side, (account, event.position), amounts)
        asset.wallets.add(account, event.to_wallet_cash)
        self._credit_pool(state, event.to_pool_cash)
        tranche = Tranche(
            event.takeover, event.account, event.lots, event.value_cash, event.price_ticks
        )
        state.inventory[event.side].add(tranche)
        self._changed_lanes.add((state.name, event.side))
        asset.inventory_cost += event.value_cash
        self.last_takeover = event.takeover
        self._touch(state)

    def _wallet_settled(self, event: m.WalletSettled) -> None:
        self.asset(event.asset).wallets.add(self.accounts.index[event.account], -event.amount_cash)
        self._credit_pool(self.contracts[event.contract], event.amount_cash)

    def _unwound(self, event: m.Unwound) -> None:
        state = self.contracts[event.contract]
        state.inventory[event.side].take(event.takeover, event.lots, event.cost_cash)
        state.exhausted.pop(event.side, None)
        self._changed_lanes.add((state.name, event.side))
        self.asset_of(state).inventory_cost -= event.cost_cash
        self._credit_pool(state, event.realized_pnl_cash)

    def _adl_filled(self, event: m.AdlFilled) -> None:
        self._move_fill(event, 1)
        self.outstanding[event.fill] = event
        self._fills_of.setdefault(event.account, []).append(event.fill)
        self.last_fill = event.fill

    def _fill_cancelled(self, event: m.FillCancelled) -> None:
        self._move_fill(event.fill, -1)
        self._measure(self.contracts[event.fill.contract])
        self._forget(event.fill)

    def _pool_observed(self, event: m.PoolObserved) -> None:
        pool = self.pools[event.pool]
        pool.observed = event
        self.unobserved.discard(pool.name)
        pool.track(self.time_ms, event.balance_cash, event.equity_cash)
        for name, unrealized_pnl in zip(event.contracts, event.contract_pnl_cash, strict=True):
            self.contracts[name].contract_pnl_peak.observe(self.time_ms, unrealized_pnl)
            self.contracts[name].counted = True

    def _adl_started(self, event: m.AdlStarted) -> None:
        state = self.contracts[event.contract]
        state.active[event.trigger] = self.time_ms
        state.near.discard(event.trigger)
        self._touch(state)

    def _adl_stopped(self, event: m.AdlStopped) -> None:
        state = self.contracts[event.contract]
        del state.active[event.trigger]
        if not state.active:
            state.exhausted.clear()
        self._touch(state)

    _adl_forced = _row_ignored

    def _adl_paused(self, event: m.AdlPaused) -> None:
        self.contracts[event.contract].paused = event.paused
        self._touch(self.contracts[event.contract])

    def _notice(self, event: m.Notice) -> None:
        if event.kind in {m.NoticeKind.ADL_WARNING, m.NoticeKind.ADL_WARNING_CLEARED}:
            state, near = self.contracts[event.contract], event.kind is m.NoticeKind.ADL_WARNING
            (state.near.add if near else state.near.discard)(event.subject)
            self._touch(state)

    def _adl_exhausted(self, event: m.AdlExhausted) -> None:
        self.contracts[event.contract].exhausted[event.side] = event.left_lots

    def _ratings_set(self, event: m.RatingsSet) -> None:
        for rating in event.ratings:
            self.contracts[rating.contract].rating = rating
            self._touch(self.contracts[rating.contract])

    def _indicators_published(self, event: m.IndicatorsPublished) -> None:
        self.indicators = event

    def _round_closed(self, event: m.RoundClosed) -> None:
        self.contracts[event.contract].exhausted.pop(event.side, None)

    def _loss_socialized(self, event: m.LossSocialized) -> None:
        state = self.contracts[event.contract]
        columns = event.accounts, event.sides, event.positions, event.amount_cash
        for account, side, position, amount in zip(*columns, strict=True):
            self._reduce(state, side, (self.accounts.index[account], position), (0, -amount, 0))
            borne = OutstandingLoss(event.fill, state.name, side, position, amount)
            self.losses.setdefault(account, []).append(borne)
        self.last_fill = event.fill
        self._credit_pool(state, sum(event.amount_cash))
        self._measure(state)

    def _withdrawal_cut_set(self, event: m.WithdrawalCutSet) -> None:
        pool = self.pools[event.pool]
        pool.withdrawal_cut_ppm = event.cut_ppm
        self._changed[f"pool {pool.name}"] = pool

    def reindex(self) -> None:
        """Find again what follows from the rest: after a restore, before the next event."""
        self.managed = any(pool.definition.managed for pool in self.pools.values())
        for asset in self.assets.values():
            asset.wallets.sequence = self.sequence
        for number, state in enumerate(self.contracts.values()):
            state.number = number
            if state.engaged:
                self._engaged[state.name] = state
            self._measure(state)
        for fill in self.outstanding.values():
            self._fills_of.setdefault(fill.account, []).append(fill.fill)

    # --- what several events share ---

    def _open_asset(self, name: str, cash_decimals: int) -> None:
        if name not in self.assets:
            self.assets[name] = AssetState(name, cash_decimals)
            self.assets[name].wallets.reach(self.accounts.size)
            self.assets[name].wallets.sequence = self.sequence

    def _move_fill(self, fill: m.AdlFilled, direction: int) -> None:
        """Execute an ADL fill, or take it back with direction -1."""
        state = self.contracts[fill.contract]
        asset = self.asset_of(state)
        key = (self.accounts.index[fill.account], fill.position)
        if direction < 0:
            state.reopen(key, fill)
        amounts = fill.lots, fill.cost_cash, fill.margin_returned_cash
        lots, cost, margin = (direction * amount for amount in amounts)
        self._reduce(state, fill.side, key, (lots, cost, margin))
        paid = fill.realized_pnl_cash + fill.margin_returned_cash - fill.fee_cash
        asset.wallets.add(key[0], direction * paid)
        asset.fees += direction * fill.fee_cash
        inventory = state.inventory[fill.side.opposite]
        self._changed_lanes.add((state.name, fill.side.opposite))
        if direction > 0:
            inventory.take(fill.takeover, fill.lots, fill.pool_cost_cash)
        else:
            inventory.give_back(fill)
        asset.inventory_cost -= direction * fill.pool_cost_cash
        self._credit_pool(state, direction * fill.pool_realized_pnl_cash, fill.pool)

    def _move_fills(self, fills: Fills) -> None:
        """Execute fills together: what each alone would leave, row for row."""
        first, columns = fills.first, fills.columns
        side, state = first.side, self.contracts[first.contract]
        asset, inventory = self.asset_of(state), state.inventory[side.opposite]
        names = "position", "lots", "cost_cash", "margin_returned_cash"
        reduced = (np.array(columns[name], np.int64) for name in names)
        self._reduce_all(state, side, np.array(fills.accounts), *reduced)
        paid = [
            each.realized_pnl_cash + each.margin_returned_cash - each.fee_cash
            for each in fills.events
        ]
        asset.wallets.add_all(fills.accounts, paid)
        asset.fees += sum(columns["fee_cash"])
        closed = (columns[name] for name in ("takeover", "lots", "pool_cost_cash"))
        for tranche in zip(*closed, strict=True):
            inventory.take(*tranche)
        asset.inventory_cost -= sum(columns["pool_cost_cash"])
        self._changed_lanes.add((state.name, side.opposite))
        self._credit_pool(state, sum(columns["pool_realized_pnl_cash"]), first.pool)

    def _reduce_all(
        self, state: ContractState, side: Side, accounts: Ints, positions: Ints, *amounts: Ints
    ) -> None:
        """Take (lots, cost, margin) out of positions that are there; some are named again."""
        table, wallets = state.tables[side], self.asset_of(state).wallets
        rows = table.index.find_all(accounts, positions)
        _, from_end = np.unique(rows[::-1], return_index=True)
        each = rows[np.sort(len(rows) - 1 - from_end)]  # once, in the order of their last fills
        state.withdraw(side, each, wallets)
        table.take_off(rows, *amounts)
        state.contribute(side, each, wallets)
        table.remove_each(each[table.lots[each] == 0])
        self._changed_lanes.add((state.name, side))

    def _reduce(
        self, state: ContractState, side: Side, key: tuple[int, int], amounts: tuple[int, int, int]
    ) -> None:
        state.reduce(side, key, amounts, self.asset_of(state).wallets)
        self._changed_lanes.add((state.name, side))

    def _credit_pool(self, state: ContractState, amount_cash: int, pool: str = "") -> None:
        """Pay what a contract's inventory earned into its pool (or one left since)."""
        if pool in {"", state.pool}:  # else it is no profit in the new one
            state.realized += amount_cash
        self._pay_pool(self.pools[pool or state.pool], amount_cash)
        self._touch(state)

    def _pay_pool(self, pool: PoolState, amount_cash: int) -> None:
        pool.balance += amount_cash
        self.asset(pool.asset).pool_balance += amount_cash
        self._changed[f"pool {pool.name}"] = pool
        self.unobserved.add(pool.name)

    def _touch(self, state: ContractState) -> None:
        """Note that a contract's own numbers have changed, and whether it is engaged now."""
        self._changed[state.key] = state
        if state.engaged:
            self._engaged[state.name] = state
        else:
            self._engaged.pop(state.name, None)

    def _measure(self, state: ContractState) -> None:
        """Keep the asset's bound on any account's worth up to date."""
        state.most_held = state.most({})
        self._bound(state)

    def _bound(self, state: ContractState) -> None:
        exposure = state.exposure(state.mark, {})
        self.asset_of(state).exposure += exposure - state.measured_exposure
        state.measured_exposure = exposure

    def _forget_past(self, asset: AssetState) -> None:
        """Let the bound be that of what is there, once what has gone takes room from it."""
        asset.wallets.largest = asset.wallets.max_balance()
        for state in self.contracts.values():
            if self.asset_of(state) is asset:
                for table in state.tables.values():
                    table.reset_bounds()
                self._measure(state)

    def _acknowledge(self, column: Ints, account: int, name: str, last_fill: int) -> None:
        """Forget fills that positions and balances both include, and losses that positions do."""
        if column.item(account) < last_fill:
            column[account] = last_fill
        if name not in self._fills_of and name not in self.losses:
            return
        included = self.accounts.positions_fill.item(account)
        for fill in self.outstanding_of(name):
            if fill.fill <= min(included, self.accounts.balances_fill.item(account)):
                self._forget(fill)
        borne = [loss for loss in self.losses.pop(name, ()) if loss.fill > included]
        self.losses |= {name: borne} if borne else {}

    def _acknowledge_all(self, column: Ints, accounts: Ints, last_fill: int) -> None:
        """Acknowledge for many accounts; few of them have anything outstanding."""
        column[accounts] = np.maximum(column[accounts], last_fill)
        told = set(accounts.tolist()) if self._fills_of or self.losses else set()
        for name in sorted(self.with_outstanding()) if told else ():
            if self.accounts.index[name] in told:
                self._acknowledge(column, self.accounts.index[name], name, last_fill)

    def _forget(self, fill: m.AdlFilled) -> None:
        del self.outstanding[fill.fill]
        self._fills_of[fill.account].remove(fill.fill)


_APPLY: dict[type[Event], Callable[[Book, Any], None]] = {
    event: getattr(Book, f"_{event.__struct_config__.tag}") for event in get_args(m.AnyEvent)
}
"""Each event is applied by the method named after its tag; one without a method fails here."""
