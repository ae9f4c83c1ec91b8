"""One account's positions and wallets, read from the book on the engine's thread.

A question per account costs a look-up per contract and side; nothing of the book is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.position_table import PositionTable
from delever.core.messages import Side


@dataclass(frozen=True, slots=True)
class Position:
    """One open position; lots without sign, cost and profit in Cash, signed as values are."""

    contract: str
    side: Side
    number: int
    lots: int
    cost_cash: int
    profit_cash: int
    margin_cash: int
    isolated: bool
    leverage_hundredths: int
    maintenance_cash: int
    under_liquidation: bool


@dataclass(frozen=True, slots=True)
class Wallet:
    """One account's money in one settle asset; profit and maintenance of cross positions."""

    asset: str
    balance_cash: int
    profit_cash: int
    maintenance_cash: int

    @property
    def equity_cash(self) -> int:
        """Cross equity."""
        return self.balance_cash + self.profit_cash


@dataclass(frozen=True, slots=True)
class Holdings:
    """Everything that one account holds, as of a sequence."""

    as_of: int
    time_ms: int
    account: str
    index: int
    hedge_mode: bool
    adl_exempt: bool
    wallets: tuple[Wallet, ...]
    positions: tuple[Position, ...]

    def of(self, contract: str) -> tuple[Position, ...]:
        """Return the positions in one contract."""
        return tuple(held for held in self.positions if held.contract == contract)


def holdings_of(book: Book, account: str) -> Holdings | None:
    """Return what an account holds, or None where it is unknown."""
    index = book.accounts.index.get(account)
    if index is None:
        return None
    return Holdings(
        as_of=book.sequence,
        time_ms=book.time_ms,
        account=account,
        index=index,
        hedge_mode=bool(book.accounts.hedge_mode[index]),
        adl_exempt=bool(book.accounts.adl_exempt[index]),
        wallets=tuple(_wallets(book, index)),
        positions=tuple(
            position for state in book.contracts.values() for position in _held(state, index)
        ),
    )


def _wallets(book: Book, index: int) -> Iterator[Wallet]:
    for asset in book.assets.values():
        wallets = asset.wallets
        yield Wallet(
            asset=asset.name,
            balance_cash=int(wallets.balance[index]),
            profit_cash=int(wallets.unrealized_pnl[index]),
            maintenance_cash=int(wallets.maintenance[index]),
        )


def _held(state: ContractState, index: int) -> Iterator[Position]:
    for side, table in state.tables.items():
        for number in table.positions_of(index):
            row = table.find(index, number)
            if row is not None:
                yield _position(state.name, side, table, row)


def _position(contract: str, side: Side, table: PositionTable, row: int) -> Position:
    return Position(
        contract=contract,
        side=side,
        number=int(table.position[row]),
        lots=int(table.lots[row]),
        cost_cash=int(table.cost[row]),
        profit_cash=int(table.unrealized_pnl[row]),
        margin_cash=int(table.margin[row]),
        isolated=bool(table.isolated[row]),
        leverage_hundredths=int(table.leverage[row]),
        maintenance_cash=int(table.maintenance[row]),
        under_liquidation=bool(table.under_liquidation[row]),
    )
