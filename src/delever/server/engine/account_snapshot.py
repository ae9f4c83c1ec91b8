"""One account's wallets and positions, read from the book on the engine's thread.

A snapshot costs one look-up per contract and side, and holds no reference to the book.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import AssetState
from delever.core.book.position_table import PositionTable
from delever.core.messages import Side
from delever.core.units import ratio_ppm
from delever.core.valuation.multi_asset import equity_in, is_pooled, pooled_margin, trigger_columns


@dataclass(frozen=True, slots=True)
class PositionSnapshot:
    """One open position: unsigned lots; cost and unrealized PnL in Cash with the book's signs."""

    contract: str
    side: Side
    position_id: int
    lots: int
    cost_cash: int
    unrealized_pnl_cash: int
    margin_cash: int
    isolated: bool
    leverage_hundredths: int
    maintenance_cash: int
    under_liquidation: bool


@dataclass(frozen=True, slots=True)
class CollateralSnapshot:
    """What a wallet counts as collateral; the index price is in 10^-10 of the margin currency.

    Values are in Cash of the margin currency, without and after collateral haircut.
    """

    index_price: int
    value_cash: int
    value_after_haircut_cash: int


@dataclass(frozen=True, slots=True)
class WalletSnapshot:
    """One account's wallet in one asset; PnL and maintenance are of cross positions.

    `equity_cash` and `maintenance_cash` are the venue's own where it submits them (`venue_margin`).
    `margin_equity_cash` and `margin_maintenance_cash` are what a takeover reads: of a multi-asset
    account, those of all its assets, in this one. `collateral` is None where the wallet has a
    margin of its own.
    """

    asset: str
    decimals: int
    balance_cash: int
    unrealized_pnl_cash: int
    equity_cash: int
    maintenance_cash: int
    margin_equity_cash: int
    margin_maintenance_cash: int
    venue_margin: bool
    collateral: CollateralSnapshot | None


@dataclass(frozen=True, slots=True)
class MarginSnapshot:
    """The margin of a multi-asset account over all its assets, in Cash of the margin currency."""

    currency: str
    decimals: int
    equity_cash: int
    equity_after_haircut_cash: int
    unrealized_pnl_cash: int
    maintenance_cash: int

    @property
    def margin_ratio_ppm(self) -> int:
        """Maintenance margin / equity after haircut."""
        return ratio_ppm(self.maintenance_cash, self.equity_after_haircut_cash)


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """Wallets and open positions of one account as of a sequence."""

    as_of: int
    time_ms: int
    account: str
    index: int
    hedge_mode: bool
    adl_exempt: bool
    multi_asset: bool
    margin: MarginSnapshot | None
    wallets: tuple[WalletSnapshot, ...]
    positions: tuple[PositionSnapshot, ...]

    def positions_in(self, contract: str) -> tuple[PositionSnapshot, ...]:
        """Return the positions in one contract."""
        return tuple(position for position in self.positions if position.contract == contract)


def account_snapshot_of(book: Book, account: str) -> AccountSnapshot | None:
    """Return the snapshot of an account, or None where the account is unknown."""
    index = book.accounts.index.get(account)
    if index is None:
        return None
    return AccountSnapshot(
        as_of=book.sequence,
        time_ms=book.time_ms,
        account=account,
        index=index,
        hedge_mode=bool(book.accounts.hedge_mode[index]),
        adl_exempt=bool(book.accounts.adl_exempt[index]),
        multi_asset=bool(book.accounts.multi_asset[index]),
        margin=_margin(book, index),
        wallets=tuple(_wallets(book, index)),
        positions=tuple(
            position for state in book.contracts.values() for position in _positions(state, index)
        ),
    )


def _margin(book: Book, index: int) -> MarginSnapshot | None:
    """Return the margin over all assets, or None for an account without it."""
    currency = book.margin_currency
    if not currency or not is_pooled(book, index, currency):
        return None
    account = np.array([index])
    margin = pooled_margin(book, account)
    counted = pooled_margin(book, account, haircut=True)
    columns = margin.equity, counted.equity, margin.unrealized_pnl, margin.maintenance
    numbers = (int(column[0]) for column in columns)
    return MarginSnapshot(currency, book.asset(currency).cash_decimals, *numbers)


def _wallets(book: Book, index: int) -> Iterator[WalletSnapshot]:
    for asset in book.assets.values():
        wallets = asset.wallets
        equity, maintenance = trigger_columns(book, asset.name, np.array([index]))
        own_equity, own_maintenance = wallets.margin_of(index)
        yield WalletSnapshot(
            asset=asset.name,
            decimals=asset.cash_decimals,
            balance_cash=int(wallets.balance[index]),
            unrealized_pnl_cash=int(wallets.unrealized_pnl[index]),
            equity_cash=own_equity,
            maintenance_cash=own_maintenance,
            margin_equity_cash=int(equity[0]),
            margin_maintenance_cash=int(maintenance[0]),
            venue_margin=wallets.margins.margin_of(index) is not None,
            collateral=_collateral(book, asset, index),
        )


def _collateral(book: Book, asset: AssetState, index: int) -> CollateralSnapshot | None:
    if asset.collateral is None or not is_pooled(book, index, asset.name):
        return None
    equity = equity_in(asset, index)
    return CollateralSnapshot(
        asset.index_price,
        asset.collateral.equity.of(equity),
        asset.collateral.after_haircut.of(equity),
    )


def _positions(state: ContractState, index: int) -> Iterator[PositionSnapshot]:
    for side, table in state.tables.items():
        for position_id in table.positions_of(index):
            row = table.find(index, position_id)
            if row is not None:
                yield _position(state.name, side, table, row)


def _position(contract: str, side: Side, table: PositionTable, row: int) -> PositionSnapshot:
    return PositionSnapshot(
        contract=contract,
        side=side,
        position_id=int(table.position[row]),
        lots=int(table.lots[row]),
        cost_cash=int(table.cost[row]),
        unrealized_pnl_cash=int(table.unrealized_pnl[row]),
        margin_cash=int(table.margin[row]),
        isolated=bool(table.isolated[row]),
        leverage_hundredths=int(table.leverage[row]),
        maintenance_cash=int(table.maintenance[row]),
        under_liquidation=bool(table.under_liquidation[row]),
    )
