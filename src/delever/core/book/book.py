"""The book: the whole state of the engine, and `Book.apply(event)`, the only way to change it.

Events carry finished numbers, so `apply` only adds, subtracts and sets. Unrealized PnL and
maintenance margin at the current marks are updated along with it, so equity is never summed again.
"""

import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

import numpy as np

from delever.core import messages as m
from delever.core.book.account_tables import Accounts
from delever.core.book.changes import REPORTS, Changes, MonitoredContracts
from delever.core.book.contract_state import (
    ContractState,
    contracts_html,
    pack_contracts,
    unpack_contracts,
)
from delever.core.book.new_marks import new_marks
from delever.core.book.outstanding import Outstanding
from delever.core.book.pool_state import AssetState, PoolState
from delever.core.book.position_table import PositionBlock
from delever.core.kernels import ParallelMap
from delever.core.market.collateral import read_index_price, unit_collateral
from delever.core.market.contract_terms import terms_of
from delever.core.market.mark_table import MarkTable
from delever.core.market.trigger_limits import exact_limits, slippage_ppm
from delever.core.market.validation import unpack_column
from delever.core.messages import Event, NoticeKind, Side
from delever.core.messages.fill_batch import FillBatch
from delever.core.units import COLUMN_LIMIT, Ints

DEFAULT_CASH_DECIMALS = 8

BATCH_THRESHOLD = 8
"""Size of a fill batch from which applying it as columns is faster than fill by fill."""


class Book:
    """All accounts, contracts and pools of one venue, at one sequence and one time.

    `registry` has the rule sets of one's own that pools may name, as `delever.registry` returns it.
    `max_time_jump_ms` (0: no limit) and `superseded` are those of the journal's segment: the
    furthest that a command may move the time without an operator's confirmation, and the rule sets
    by name that its engine had in place of today's.

    >>> import delever
    >>> book = delever.Book()
    >>> book
    <Book: 0 contracts, 0 accounts, 0 pools>
    """

    def __init__(self, registry: Mapping[str, Any] | None = None) -> None:
        self.registry = dict(registry or {})
        self.sequence = 0
        self.time_ms = 0
        self.max_time_jump_ms = 0
        self.superseded: dict[str, Any] = {}
        self.accounts = Accounts()
        self.assets: dict[str, AssetState] = {}
        self.contracts: dict[str, ContractState] = {}
        self.positions = PositionBlock()
        self.marks = MarkTable()
        self.pools: dict[str, PoolState] = {}
        self.margin_currency = ""
        self.open_orders: dict[tuple[str, str], tuple[str, ...]] = {}
        self.outstanding = Outstanding()
        self.last_fill = 0
        self.last_takeover = 0
        self.indicators: m.IndicatorsPublished | None = None
        self.has_managed_pools = False
        self.unobserved_pools: set[str] = set()
        self.publication_cache: Any = None
        self.assumptions: tuple[str, ...] = ()
        self.idle_rounds: dict[tuple[str, Side], tuple[object, ...]] = {}
        self.revision = 0
        self._stale: set[str] = set()
        self._monitored = MonitoredContracts()
        self._changes = Changes()

    def __repr__(self) -> str:
        counts = len(self.contracts), self.accounts.size, len(self.pools)
        counted = zip(counts, ("contract", "account", "pool"), strict=True)
        parts = (f"{count} {noun}{'s' if count != 1 else ''}" for count, noun in counted)
        listed = [*self.assumptions[:3], "..."][: len(self.assumptions)]
        return f"<Book: {'; '.join([', '.join(parts), *listed])}>"

    def _repr_html_(self) -> str:
        return contracts_html(repr(self), [*self.contracts.values()][:20])

    # --- queries ---

    def asset(self, name: str) -> AssetState:
        """Return a settle asset in use; raises KeyError where there is none."""
        return self.assets[name]

    def cash_decimals(self, asset: str) -> int:
        """Return the decimals of an asset's smallest unit: 8 unless it is defined otherwise."""
        state = self.assets.get(asset)
        return DEFAULT_CASH_DECIMALS if state is None else state.cash_decimals

    def pooled_assets(self) -> list[AssetState]:
        """Return the assets that margin the positions of multi-asset accounts together."""
        known = self.assets.values() if self.margin_currency else ()
        return [asset for asset in known if asset.collateral is not None]

    def pool_of(self, state: ContractState) -> PoolState:
        """Return the insurance pool of a contract."""
        return self.pools[state.pool]

    def asset_of(self, state: ContractState) -> AssetState:
        """Return the settle asset of a contract."""
        return self.asset(state.terms.settle)

    def members(self, pool: PoolState) -> list[ContractState]:
        """Return the contracts of a pool, in order of definition."""
        return [state for state in self.contracts.values() if state.pool == pool.name]

    def monitored(self) -> list[ContractState]:
        """Return the contracts that each step observes, in order of definition."""
        return self._monitored.in_order(self.contracts)

    @property
    def has_stale_rows(self) -> bool:
        """Whether the newest row of any position or balance was rejected."""
        return bool(self._stale)

    def cache_publication(self, cache: object) -> None:
        """Cache the published ranks of contracts, so that unchanged ones are not computed again.

        The cache follows from the rest of the book: snapshots and the hash of changes omit it.
        """
        self.publication_cache = cache

    def cache_idle_round(self, contract: str, side: Side, key: tuple[object, ...]) -> None:
        """Cache that an ADL round with these inputs closes nothing, so that it is not run again.

        `revision` is one of the inputs; snapshots and the hash of changes omit both.
        """
        self.idle_rounds[contract, side] = key

    def use_registry(self, registry: Mapping[str, Any]) -> None:
        """Replace the rule sets of one's own; snapshots and the hash of changes omit them."""
        self.registry = dict(registry)

    def use_segment(self, max_time_jump_ms: int, superseded: Mapping[str, Any]) -> None:
        """Apply the terms of a journal's segment; snapshots and the hash of changes omit them."""
        self.max_time_jump_ms, self.superseded = max_time_jump_ms, dict(superseded)

    def use_assumptions(self, assumptions: Iterable[str]) -> None:
        """Record what a reader of tables inferred; snapshots and the hash of changes omit it."""
        self.assumptions = tuple(assumptions)

    def take_changes(self) -> bytes:
        """Return all changes since the last call, in one canonical encoding."""
        return self._changes.take(self.assets, self.contracts)

    # --- copies ---

    def copy(self) -> "Book":
        """Return an equal, independent book; `pickle` and `copy.deepcopy` do the same.

        >>> from delever.core.engine import step
        >>> from delever.core.messages import SetTime
        >>> book = Book()
        >>> copied = book.copy()
        >>> _ = step(copied, SetTime(time_ms=5))
        >>> copied.time_ms, book.time_ms
        (5, 0)
        """
        buffers: list[pickle.PickleBuffer] = []
        shared: dict[str, Any] = {"registry": {}, "superseded": {}}  # rule sets are values
        state = self.__getstate__() | shared
        rest = pickle.dumps(state, protocol=5, buffer_callback=buffers.append)
        copied = Book(self.registry)
        own = pickle.loads(rest, buffers=[np.array(buffer.raw()) for buffer in buffers])  # noqa: S301 - this book's own bytes
        copied.__setstate__(own | {"registry": copied.registry, "superseded": self.superseded})
        return copied

    def restore(self, earlier: "Book") -> None:
        """Become a copy of an earlier book, after a step that raised; the registry stays.

        >>> from delever.core.engine import step
        >>> from delever.core.messages import SetTime
        >>> book = Book()
        >>> earlier = book.copy()
        >>> _ = step(book, SetTime(time_ms=5))
        >>> book.restore(earlier)
        >>> book.time_ms
        0
        """
        vars(self).update(vars(earlier.copy()), registry=self.registry)

    __copy__ = copy

    def __deepcopy__(self, _memo: dict[int, Any]) -> "Book":
        return self.copy()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy takes: all but the caches, which follow from the rest."""
        contracts = pack_contracts([*self.contracts.values()])
        return vars(self) | {"publication_cache": None, "idle_rounds": {}, "contracts": contracts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.contracts = unpack_contracts(state["contracts"], self.positions, self.marks)

    # --- apply ---

    def apply(self, event: Event, parallel_map: ParallelMap = map) -> None:
        """Change the book by one event; `parallel_map` runs the parts of large work.

        `revision` counts the events that can change the outcome of an ADL round.
        """
        self.revision += type(event) not in REPORTS
        if type(event) is m.MarksSet:
            self._marks_set(event, parallel_map)
        else:
            _HANDLERS[type(event)](self, event)

    def apply_fills(self, fills: FillBatch) -> None:
        """Change the book by the fills of one round, as `apply` does fill by fill."""
        if len(fills.events) < BATCH_THRESHOLD:
            for fill in fills.events:
                self.apply(fill)
            return
        self.revision += 1
        self._execute_fills(fills)
        self.outstanding.add_fills(fills.events)
        self.last_fill = fills.events[-1].fill

    def reindex(self) -> None:
        """Compute what follows from the rest of the book, after a snapshot was restored."""
        self.has_managed_pools = any(pool.definition.managed for pool in self.pools.values())
        for asset in self.assets.values():
            asset.wallets.sequence = self.sequence
            self._stale |= {asset.name} if asset.wallets.stale else set()
        for state in self.contracts.values():
            state.update_mark_limits()
            self._monitored.update(state)
            self._stale |= {state.key} if state.stale else set()
            self._update_bounds(state)
        self.outstanding.reindex()

    # --- events: commands ---

    def _accepted(self, event: m.Accepted) -> None:
        self.sequence = event.sequence
        self.time_ms = event.time_ms
        for asset in self.assets.values():
            asset.wallets.sequence = event.sequence

    def _rejected(self, _event: m.Rejected) -> None:
        self.sequence += 1

    def _no_change(self, event: Event) -> None:
        """Leave the book as it is: the event only reports."""

    _row_ignored = _rows_ignored = _counterparty_skipped = _adl_forced = _plan_accepted = _no_change

    # --- events: definitions ---

    def _asset_defined(self, event: m.AssetDefined) -> None:
        self._add_asset(event.asset, event.cash_decimals)

    def _pool_defined(self, event: m.PoolDefined) -> None:
        definition = event.definition
        decimals = self.cash_decimals(definition.asset)
        self._add_asset(definition.asset, decimals)
        limits = exact_limits(definition.limits, decimals)
        pool = PoolState(definition, limits, slippage_ppm(definition))
        pool.rules_digest = event.rules_digest
        pool.track(self.time_ms, 0, 0)
        self.pools[pool.name] = pool
        self.unobserved_pools.add(pool.name)
        self.has_managed_pools |= definition.managed

    def _contract_defined(self, event: m.ContractDefined) -> None:
        definition = event.definition
        decimals = self.asset(definition.settle).cash_decimals
        window_ms = self.pools[definition.pool].definition.peak_window_ms
        terms, limits = terms_of(definition, decimals), exact_limits(definition.limits, decimals)
        state = ContractState(definition, terms, limits, window_ms, self.positions, self.marks)
        state.observe_pnl(self.time_ms, 0)
        self.contracts[definition.contract] = state
        self.marks.redefined_at[state.definition_order] = self.sequence

    def _collateral_defined(self, event: m.CollateralDefined) -> None:
        definition = event.definition
        if not self.margin_currency:
            self.margin_currency = name = definition.margin_currency
            self._add_asset(name, self.cash_decimals(name))
            self._set_collateral(name, unit_collateral(name), read_index_price("index_price", 1))
        self._add_asset(definition.asset, self.cash_decimals(definition.asset))
        index_price = read_index_price("index_price", definition.index_price)
        self._set_collateral(definition.asset, definition, index_price)

    def _index_prices_set(self, event: m.IndexPricesSet) -> None:
        for name, index_price in zip(event.assets, event.index_prices, strict=True):
            definition = self.assets[name].definition
            if definition is not None:
                self._set_collateral(name, definition, index_price)

    def _index_price_rejected(self, event: m.IndexPriceRejected) -> None:
        asset = self.assets.get(event.asset)
        if asset is not None and asset.reject_index_price():
            self._changes.record(asset)

    def _set_collateral(self, name: str, definition: m.DefineCollateral, index_price: int) -> None:
        asset = self.assets[name]
        margin_decimals = self.assets[self.margin_currency].cash_decimals
        asset.set_collateral(definition, index_price, margin_decimals, self.sequence)
        asset.index_price_rejected = False
        self._changes.record(asset)
        self.unobserved_pools.update(name for name, pool in self.pools.items() if pool.collateral)

    def _account_defined(self, event: m.AccountDefined) -> None:
        hedge_mode, exempt = event.hedge_mode, event.adl_exempt
        row = self.accounts.define(
            event.account, hedge_mode=hedge_mode, adl_exempt=exempt, multi_asset=event.multi_asset
        )
        self.accounts.set_owner(row, event.owner)
        self._open_wallets(row)

    def _accounts_defined(self, event: m.AccountsDefined) -> None:
        n = len(event.accounts)
        hedge_mode = unpack_column(event.hedge_mode, "<i1", n).astype(bool)
        exempt = unpack_column(event.adl_exempt, "<i1", n).astype(bool)
        multi_asset = unpack_column(event.multi_asset, "<i1", n).astype(bool)
        rows = self.accounts.define_all(event.accounts, hedge_mode, exempt, multi_asset)
        self.accounts.set_owners(rows, event.owners)
        self._open_wallets(rows)

    def _open_wallets(self, rows: int | Ints) -> None:
        for asset in self.assets.values():
            asset.wallets.resize(self.accounts.size)
            asset.wallets.changed_at[rows] = self.sequence

    def _add_asset(self, name: str, cash_decimals: int) -> None:
        if name not in self.assets:
            self.assets[name] = AssetState(name, cash_decimals)
            self.assets[name].wallets.resize(self.accounts.size)
            self.assets[name].wallets.sequence = self.sequence

    # --- events: snapshots of accounts ---

    def _balances_set(self, event: m.BalancesSet) -> None:
        columns = event.accounts, event.assets, event.balance_cash
        for name, asset, balance in zip(*columns, strict=True):
            account = self.accounts.index[name]
            wallets = self.asset(asset).wallets
            wallets.add(account, balance - wallets.balance.item(account))
            self.accounts.balances_version[account] = event.version
            self._acknowledge(self.accounts.balances_fill, account, name, event.last_fill)
            if wallets.stale:
                self._unmark_stale_balances(asset, (name,))

    def _balance_columns_set(self, event: m.BalanceColumnsSet) -> None:
        accounts = unpack_column(event.account, "<i4", 0)
        balances = unpack_column(event.balance_cash, "<i8", len(accounts))
        wallets = self.asset(event.asset).wallets
        wallets.set_all(accounts, balances)
        if wallets.stale:
            names = map(self.accounts.names.__getitem__, accounts.tolist())
            self._unmark_stale_balances(event.asset, names)
        self.accounts.balances_version[accounts] = event.version
        self._acknowledge_all(self.accounts.balances_fill, accounts, event.last_fill)

    def _positions_set(self, event: m.PositionsSet) -> None:
        state = self.contracts[event.contract]
        table, accounts = state.tables[event.side], self._indices(event.accounts)
        bounds = table.bounds
        state.set_positions(event, accounts, self.asset_of(state).wallets)
        self._changes.record_side(state, event.side)
        if table.bounds != bounds:
            self._update_bounds(state)
        for account, name in zip(accounts, event.accounts, strict=True):
            self.accounts.positions_version[account] = event.version
            self._acknowledge(self.accounts.positions_fill, account, name, event.last_fill)
        if state.stale:
            self._unmark_stale(state, event.side, zip(event.accounts, event.positions, strict=True))

    def _position_columns_set(self, event: m.PositionColumnsSet) -> None:
        state = self.contracts[event.contract]
        accounts = unpack_column(event.account, "<i4", 0)
        positions = unpack_column(event.position, "<i4", len(accounts))
        state.set_position_columns(event, accounts, positions, self.asset_of(state).wallets)
        self._changes.record_side(state, event.side)
        self._update_bounds(state)
        self.accounts.positions_version[accounts] = event.version
        self._acknowledge_all(self.accounts.positions_fill, accounts, event.last_fill)
        if state.stale:
            names = map(self.accounts.names.__getitem__, accounts.tolist())
            self._unmark_stale(state, event.side, zip(names, positions.tolist(), strict=True))

    def _row_rejected(self, event: m.RowRejected) -> None:
        self._mark_stale(event, ((event.account, event.position),))

    def _rows_rejected(self, event: m.RowsRejected) -> None:
        positions = unpack_column(event.positions, "<i4", len(event.accounts)).tolist()
        self._mark_stale(event, zip(event.accounts, positions, strict=True))

    def _mark_stale(
        self, event: m.RowRejected | m.RowsRejected, rows: Iterable[tuple[str, int]]
    ) -> None:
        """Mark rejected rows as stale, as far as they name an asset or a side of a contract."""
        if event.asset in self.assets:
            wallets = self.asset(event.asset).wallets
            for name, _ in rows:
                wallets.mark_stale(name, self.accounts.index.get(name))
            self._stale.add(event.asset)
        state = self.contracts.get(event.contract)
        if state is not None and event.side is not None:
            state.mark_stale(event.side, rows, self.sequence)
            self._stale.add(state.key)
            self._changes.record(state)

    def _unmark_stale(
        self, state: ContractState, side: Side, rows: Iterable[tuple[str, int]]
    ) -> None:
        state.unmark_stale(side, rows, self.accounts)
        self._changes.record(state)
        if not state.stale:
            self._stale.discard(state.key)

    def _unmark_stale_balances(self, asset: str, names: Iterable[str]) -> None:
        wallets = self.asset(asset).wallets
        wallets.unmark_stale(names)
        if not wallets.stale:
            self._stale.discard(asset)

    def _account_margin_set(self, event: m.AccountMarginSet) -> None:
        wallets, account = self.asset(event.asset).wallets, self.accounts.index[event.account]
        wallets.set_margin(account, event.version, event.equity_cash, event.maintenance_cash)

    def _open_orders_set(self, event: m.OpenOrdersSet) -> None:
        key = (event.account, event.contract)
        self.open_orders.pop(key, None)
        if event.orders:
            self.open_orders[key] = event.orders

    def _acknowledge(self, column: Ints, account: int, name: str, last_fill: int) -> None:
        """Record the last fill that a snapshot of an account includes."""
        if column.item(account) < last_fill:
            column[account] = last_fill
        self.outstanding.acknowledge(self.accounts, name)

    def _acknowledge_all(self, column: Ints, accounts: Ints, last_fill: int) -> None:
        if last_fill:  # memory of a column of zeros is not in use before it is written to
            column[accounts] = np.maximum(column[accounts], last_fill)
        self.outstanding.acknowledge_all(self.accounts, accounts)

    # --- events: market data ---

    def _marks_set(self, event: m.MarksSet, parallel_map: ParallelMap = map) -> None:
        self._changes.record_marks(event.contracts)  # they make no contract monitored
        new = new_marks(self.contracts, self.marks, event)
        for state in new.set(self.time_ms):
            self.asset_of(state).grow_exposure(state.update_exposure())
        block = self.positions
        for name, sides in new.sides(block, self.sequence).items():
            asset = self.asset(name)
            asset.wallets.revalue(block.kernel_columns, sides, block.tiers, parallel_map)
            if asset.equity_bound >= COLUMN_LIMIT:
                self._reset_bounds(asset)

    def _mark_rejected(self, event: m.MarkRejected) -> None:
        state = self.contracts.get(event.contract)
        if state is not None and state.reject_mark():
            self._changes.record(state)

    def _mark_unconfirmed(self, event: m.MarkUnconfirmed) -> None:
        state = self.contracts[event.contract]
        state.unconfirm_mark(event.confirmed_ticks, event.confirmed_fraction)
        self._record_change(state)

    def _mark_confirmed(self, event: m.MarkConfirmed) -> None:
        state = self.contracts[event.contract]
        state.mark_unconfirmed, state.marked_ms = False, self.time_ms
        self._record_change(state)

    def _depth_set(self, event: m.DepthSet) -> None:
        state = self.contracts[event.contract]
        state.bids, state.asks, state.depth_known = event.bids, event.asks, True
        self._record_change(state)

    def _depth_sufficiency_set(self, event: m.DepthSufficiencySet) -> None:
        state = self.contracts[event.contract]
        since_ms = None if event.sufficient else self.time_ms
        state.depth_insufficient_since_ms[event.side] = since_ms
        self._record_change(state)

    # --- events: pools ---

    def _pool_funded(self, event: m.PoolFunded) -> None:
        pool = self.pools[event.pool]
        self._add_to_pool(pool, event.amount_cash)
        pool.shift_funding(event.amount_cash)
        if event.contract is not None:
            state = self.contracts[event.contract]
            state.inject(event.amount_cash)
            self._record_change(state)

    def _pool_observed(self, event: m.PoolObserved) -> None:
        pool = self.pools[event.pool]
        pool.observed = event
        self.unobserved_pools.discard(pool.name)
        pool.track(self.time_ms, event.balance_cash, event.equity_cash)
        for name, contract_pnl in zip(event.contracts, event.contract_pnl_cash, strict=True):
            self.contracts[name].observe_pnl(self.time_ms, contract_pnl)
            self.contracts[name].is_observed = True

    def _contract_moved(self, event: m.ContractMoved) -> None:
        state = self.contracts[event.contract]
        self.unobserved_pools |= {event.source, event.target}
        window_ms = self.pools[event.target].definition.peak_window_ms
        state.reset_for_pool(event.target, window_ms, self.time_ms)
        self.marks.redefined_at[state.definition_order] = self.sequence
        self._record_change(state)

    # --- events: amendments ---

    def _contract_amended(self, event: m.ContractAmended) -> None:
        state = self.contracts[event.contract]
        asset, definition = self.asset_of(state), event.definition
        terms = terms_of(definition, asset.cash_decimals, event.price_unit)
        terms = state.terms.amended_to(terms, self.sequence)
        limits = exact_limits(definition.limits, asset.cash_decimals)
        ratios = state.amend(definition, event.price_unit, terms, limits, asset.wallets)
        self.marks.redefined_at[state.definition_order] = self.sequence
        self.outstanding.rescale(state.name, *ratios)
        self._changes.record_sides(state)
        self._update_bounds(state)
        self._record_change(state)

    def _pool_amended(self, event: m.PoolAmended) -> None:
        pool, definition = self.pools[event.pool], event.definition
        limits = exact_limits(definition.limits, self.asset(pool.asset).cash_decimals)
        new_rules = definition.rules != pool.definition.rules
        self.has_managed_pools |= definition.managed
        pool.amend(self.time_ms, definition, limits, slippage_ppm(definition), event.rules_digest)
        for state in self.members(pool):
            window_ms = definition.peak_window_ms
            state.follow_amended_pool(self.time_ms, window_ms, new_rules=new_rules)
            self.marks.redefined_at[state.definition_order] = self.sequence
            self._record_change(state)
        self._changes.record(pool)
        self.unobserved_pools.add(pool.name)

    def _positions_closed(self, event: m.PositionsClosed) -> None:
        state = self.contracts[event.contract]
        accounts = self._indices(event.accounts)
        state.close_positions(event, accounts, self.asset_of(state).wallets)
        self._changes.record_side(state, event.side)
        self._credit_pool(state, sum(event.to_pool_cash))

    def _inventory_closed(self, event: m.InventoryClosed) -> None:
        state = self.contracts[event.contract]
        for takeover, lots, cost in zip(event.takeovers, event.lots, event.cost_cash, strict=True):
            self._reduce_inventory(state, event.side, takeover, lots, cost)
        self._credit_pool(state, sum(event.realized_pnl_cash))

    def _contract_status_set(self, event: m.ContractStatusSet) -> None:
        state = self.contracts[event.contract]
        state.set_status(event.status, fund_pays=event.fund_pays)
        self._record_change(state)

    def _contract_settled(self, event: m.ContractSettled) -> None:
        state = self.contracts[event.contract]
        for key in [key for key in self.open_orders if key[1] == state.name]:
            del self.open_orders[key]
        self._credit_pool(state, event.rounding_cash)
        state.settle(event.price)
        self._stale.discard(state.key)
        self._update_bounds(state)
        self._record_change(state)

    def _settlement_loss_shared(self, event: m.SettlementLossShared) -> None:
        state = self.contracts[event.contract]
        wallets = self.asset_of(state).wallets
        for name, amount in zip(event.accounts, event.amount_cash, strict=True):
            wallets.add_followed(self.accounts.index[name], -amount)
        self._credit_pool(state, sum(event.amount_cash))

    def _withdrawal_haircut_set(self, event: m.WithdrawalHaircutSet) -> None:
        pool = self.pools[event.pool]
        pool.withdrawal_haircut_ppm = event.haircut_ppm
        self._changes.record(pool)

    # --- events: takeover and unwinding ---

    def _taken_over(self, event: m.TakenOver) -> None:
        state = self.contracts[event.contract]
        asset, account = self.asset_of(state), self.accounts.index[event.account]
        state.take_over(event, account, asset.wallets)
        self._changes.record_side(state, event.side)
        self._credit_pool(state, event.to_pool_cash)
        asset.inventory_cost += event.value_cash
        self.last_takeover = event.takeover

    def _positions_netted(self, event: m.PositionsNetted) -> None:
        state, account = self.contracts[event.contract], self.accounts.index[event.account]
        state.net_positions(event, account, self.asset_of(state).wallets)
        self._changes.record_sides(state)
        self._record_change(state)

    def _inventory_netted(self, event: m.InventoryNetted) -> None:
        state = self.contracts[event.contract]
        for side, takeover, cost in (
            (Side.LONG, event.long_takeover, event.long_cost_cash),
            (Side.SHORT, event.short_takeover, event.short_cost_cash),
        ):
            self._reduce_inventory(state, side, takeover, event.lots, cost)
        self._credit_pool(state, event.realized_pnl_cash)

    def _wallet_settled(self, event: m.WalletSettled) -> None:
        wallets, account = self.asset(event.asset).wallets, self.accounts.index[event.account]
        wallets.add_followed(account, -event.amount_cash)
        self._credit_pool(self.contracts[event.contract], event.amount_cash)

    def _collateral_taken_over(self, event: m.CollateralTakenOver) -> None:
        account, pool = self.accounts.index[event.account], self.pools[event.pool]
        self.asset(event.asset).wallets.add(account, -event.amount_cash)
        self.asset(pool.asset).wallets.add(account, event.value_cash)
        self._move_collateral(pool, event.asset, event.amount_cash, event.value_cash)

    def _collateral_converted(self, event: m.CollateralConverted) -> None:
        pool = self.pools[event.pool]
        self._move_collateral(pool, event.asset, -event.amount_cash, -event.cost_cash)
        self._add_to_pool(pool, event.realized_pnl_cash)

    def _move_collateral(self, pool: PoolState, asset: str, amount: int, cost: int) -> None:
        pool.add_collateral(asset, amount, cost)
        self._changes.record(pool)
        self.unobserved_pools.add(pool.name)

    def _unwound(self, event: m.Unwound) -> None:
        state, closed = self.contracts[event.contract], (event.takeover, event.lots)
        self._reduce_inventory(state, event.side, *closed, event.cost_cash)
        self._credit_pool(state, event.realized_pnl_cash)

    # --- events: ADL ---

    def _adl_started(self, event: m.AdlStarted) -> None:
        state = self.contracts[event.contract]
        state.start_adl(event.trigger, self.time_ms)
        self._record_change(state)

    def _adl_stopped(self, event: m.AdlStopped) -> None:
        state = self.contracts[event.contract]
        state.stop_adl(event.trigger)
        self._record_change(state)

    def _adl_paused(self, event: m.AdlPaused) -> None:
        self.contracts[event.contract].paused = event.paused
        self._record_change(self.contracts[event.contract])

    def _notice(self, event: m.Notice) -> None:
        if event.kind is NoticeKind.ADL_WARNING:
            self.contracts[event.contract].warned.add(event.subject)
        elif event.kind is NoticeKind.ADL_WARNING_CLEARED:
            self.contracts[event.contract].warned.discard(event.subject)
        else:
            return
        self._record_change(self.contracts[event.contract])

    def _adl_filled(self, event: m.AdlFilled) -> None:
        self._execute_fill(event, 1)
        self.outstanding.add_fills((event,))
        self.last_fill = event.fill

    def _fill_cancelled(self, event: m.FillCancelled) -> None:
        self._execute_fill(event.fill, -1)
        self._update_bounds(self.contracts[event.fill.contract])
        self.outstanding.drop_fill(event.fill)

    def _compensated(self, event: m.Compensated) -> None:
        pool = self.pools[event.pool]
        self.asset(event.asset).wallets.add(self.accounts.index[event.account], event.amount_cash)
        self._add_to_pool(pool, -event.amount_cash)
        pool.shift_past(-event.amount_cash)  # as a withdrawal, it is no drawdown
        self.outstanding.add_compensation(event)
        self.last_fill = event.compensation

    def _plan_wait_set(self, event: m.PlanWaitSet) -> None:
        state = self.contracts[event.contract]
        state.await_plans(event.wait_ms)
        self._record_change(state)

    def _plan_requested(self, event: m.PlanRequested) -> None:
        state = self.contracts[event.contract]
        state.plan_requests[event.side] = self.sequence, event.until_ms
        self._record_change(state)

    def _round_closed(self, event: m.RoundClosed) -> None:
        state = self.contracts[event.contract]
        if state.close_round(event, self.sequence):
            self._record_change(state)

    def _adl_exhausted(self, event: m.AdlExhausted) -> None:
        self.contracts[event.contract].exhausted[event.side] = event.remaining_lots

    def _loss_socialized(self, event: m.LossSocialized) -> None:
        state = self.contracts[event.contract]
        state.share_loss(event, self._indices(event.accounts), self.asset_of(state).wallets)
        for side in event.sides:
            self._changes.record_side(state, side)
        self.outstanding.add_losses(event)
        self.last_fill = event.fill
        self._credit_pool(state, sum(event.amount_cash))
        self._update_bounds(state)

    def _execute_fill(self, fill: m.AdlFilled, direction: int) -> None:
        """Execute an ADL fill (direction 1) or reverse it (direction -1)."""
        state = self.contracts[fill.contract]
        asset, account = self.asset_of(state), self.accounts.index[fill.account]
        state.execute_fill(fill, direction, account, asset.wallets)
        self._changes.record_sides(state)
        asset.fees += direction * fill.fee_cash
        asset.inventory_cost -= direction * fill.pool_cost_cash
        self._credit_pool(state, direction * fill.pool_realized_pnl_cash, fill.pool)

    def _execute_fills(self, fills: FillBatch) -> None:
        """Execute a batch of fills, with the result of executing them one by one."""
        first, columns = fills.first, fills.columns
        state = self.contracts[first.contract]
        asset = self.asset_of(state)
        state.execute_fills(fills, asset.wallets)
        self._changes.record_sides(state)
        asset.fees += sum(columns["fee_cash"])
        asset.inventory_cost -= sum(columns["pool_cost_cash"])
        self._credit_pool(state, sum(columns["pool_realized_pnl_cash"]), first.pool)

    # --- events: publication ---

    def _ratings_set(self, event: m.RatingsSet) -> None:
        for rating in event.ratings:
            self.contracts[rating.contract].rating = rating
            self._record_change(self.contracts[rating.contract])

    def _indicators_published(self, event: m.IndicatorsPublished) -> None:
        self.indicators = event

    # --- shared by several events ---

    def _indices(self, names: Iterable[str]) -> list[int]:
        """Return the account indices of names."""
        return [self.accounts.index[name] for name in names]

    def _reduce_inventory(
        self, state: ContractState, side: Side, takeover: int, lots: int, cost_cash: int
    ) -> None:
        state.reduce_inventory(side, takeover, lots, cost_cash)
        self._changes.record_side(state, side)
        self.asset_of(state).inventory_cost -= cost_cash

    def _credit_pool(self, state: ContractState, amount_cash: int, pool: str = "") -> None:
        """Pay PnL of a contract's inventory into its pool, or into the named pool of a fill.

        The amount counts towards the contract's PnL unless the contract has left that pool.
        """
        if pool in {"", state.pool}:
            state.realized_pnl += amount_cash
        self._add_to_pool(self.pools[pool or state.pool], amount_cash)
        self._record_change(state)

    def _add_to_pool(self, pool: PoolState, amount_cash: int) -> None:
        pool.balance += amount_cash
        self.asset(pool.asset).pool_balance += amount_cash
        self._changes.record(pool)
        self.unobserved_pools.add(pool.name)

    def _record_change(self, state: ContractState) -> None:
        """Record that a contract's own numbers changed, and whether it is monitored now."""
        self._changes.record(state)
        self._monitored.update(state)

    # --- bounds on equity (delever.core.valuation.numeric_range) ---

    def _update_bounds(self, state: ContractState) -> None:
        """Update the bounds of a contract after its positions changed, and its asset's exposure."""
        state.largest_holding = state.largest_holding_with({})
        self.asset_of(state).grow_exposure(state.update_exposure())

    def _reset_bounds(self, asset: AssetState) -> None:
        """Reset an asset's bounds to the open positions, once past positions leave no room."""
        asset.wallets.largest = asset.wallets.max_balance()
        for state in self.contracts.values():
            if self.asset_of(state) is asset:
                state.reset_bounds()
                self._update_bounds(state)


_HANDLERS: dict[type[Event], Callable[[Book, Any], None]] = {
    event: getattr(Book, f"_{event.__struct_config__.tag}") for event in get_args(m.AnyEvent)
}
"""An event is applied by the method named after its tag; an event without one fails at import."""
