"""The moves that several events share: fills, what a pool earns, what a venue acknowledges."""

import numpy as np

from delever.core import messages as m
from delever.core.book_state import BookState
from delever.core.filling import Fills
from delever.core.holdings import AssetState, ContractState, PoolState
from delever.core.messages import Side
from delever.core.units import Ints


class BookMoves(BookState):
    """A book with the moves of which its changes are made."""

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
        amounts = fill.lots, fill.cost_cash, fill.released_cash
        lots, cost, margin = (direction * amount for amount in amounts)
        self._reduce(state, fill.side, key, (lots, cost, margin))
        paid = fill.realised_cash + fill.released_cash - fill.fee_cash
        asset.wallets.add(key[0], direction * paid)
        asset.fees += direction * fill.fee_cash
        inventory = state.inventory[fill.side.opposite]
        self._changed_lanes.add((state.name, fill.side.opposite))
        if direction > 0:
            inventory.take(fill.takeover, fill.lots, fill.pool_cost_cash)
        else:
            inventory.give_back(fill)
        asset.inventory_cost -= direction * fill.pool_cost_cash
        self._book_profit(state, direction * fill.pool_realised_cash, fill.pool)

    def _move_fills(self, fills: Fills) -> None:
        """Execute fills together: what each alone would leave, row for row."""
        first, columns = fills.first, fills.columns
        side, state = first.side, self.contracts[first.contract]
        asset, inventory = self.asset_of(state), state.inventory[side.opposite]
        names = "position", "lots", "cost_cash", "released_cash"
        reduced = (np.array(columns[name], np.int64) for name in names)
        self._reduce_all(state, side, np.array(fills.accounts), *reduced)
        paid = [each.realised_cash + each.released_cash - each.fee_cash for each in fills.events]
        asset.wallets.add_all(fills.accounts, paid)
        asset.fees += sum(columns["fee_cash"])
        closed = (columns[name] for name in ("takeover", "lots", "pool_cost_cash"))
        for parcel in zip(*closed, strict=True):
            inventory.take(*parcel)
        asset.inventory_cost -= sum(columns["pool_cost_cash"])
        self._changed_lanes.add((state.name, side.opposite))
        self._book_profit(state, sum(columns["pool_realised_cash"]), first.pool)

    def _reduce_all(
        self, state: ContractState, side: Side, accounts: Ints, positions: Ints, *amounts: Ints
    ) -> None:
        """Take (lots, cost, margin) out of positions that are there; some are named again."""
        lane, wallets = state.lanes[side], self.asset_of(state).wallets
        rows = lane.index.find_all(accounts, positions)
        _, from_end = np.unique(rows[::-1], return_index=True)
        each = rows[np.sort(len(rows) - 1 - from_end)]  # once, in the order of their last fills
        state.withdraw(side, each, wallets)
        lane.take_off(rows, *amounts)
        state.contribute(side, each, wallets)
        lane.remove_each(each[lane.lots[each] == 0])
        self._changed_lanes.add((state.name, side))

    def _reduce(
        self, state: ContractState, side: Side, key: tuple[int, int], amounts: tuple[int, int, int]
    ) -> None:
        state.reduce(side, key, amounts, self.asset_of(state).wallets)
        self._changed_lanes.add((state.name, side))

    def _book_profit(self, state: ContractState, amount_cash: int, pool: str = "") -> None:
        """Pay what a contract's inventory earned into its pool (or one left since)."""
        if pool in {"", state.pool}:  # else it is no profit in the new one
            state.realised += amount_cash
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
        asset.wallets.largest = asset.wallets.largest_now()
        for state in self.contracts.values():
            if self.asset_of(state) is asset:
                for lane in state.lanes.values():
                    lane.forget_past()
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
