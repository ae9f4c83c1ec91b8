"""One account's wallets and positions, read from the book on the engine's thread.

A snapshot costs one look-up per contract and side, and holds no reference to the book.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.position_table import PositionTable
from delever.core.messages import Side


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
class WalletSnapshot:
    """One account's wallet in one settle asset; PnL and margin are of cross positions.

    `equity_cash` and `maintenance_cash` are the venue's own where it submits them
    (`venue_margin`), else balance plus unrealized PnL, and the sum by margin tiers.
    """

    asset: str
    balance_cash: int
    unrealized_pnl_cash: int
    equity_cash: int
    maintenance_cash: int
    venue_margin: bool


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """Wallets and open positions of one account as of a sequence."""

    as_of: int
    time_ms: int
    account: str
    index: int
    hedge_mode: bool
    adl_exempt: bool
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
        wallets=tuple(_wallets(book, index)),
        positions=tuple(
            position for state in book.contracts.values() for position in _positions(state, index)
        ),
    )


def _wallets(book: Book, index: int) -> Iterator[WalletSnapshot]:
    for asset in book.assets.values():
        wallets = asset.wallets
        equity, maintenance = wallets.margin_of(index)
        yield WalletSnapshot(
            asset=asset.name,
            balance_cash=int(wallets.balance[index]),
            unrealized_pnl_cash=int(wallets.unrealized_pnl[index]),
            equity_cash=equity,
            maintenance_cash=maintenance,
            venue_margin=wallets.margins.margin_of(index) is not None,
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
