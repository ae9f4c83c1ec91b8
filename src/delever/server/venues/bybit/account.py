"""What one account sees at Bybit: its positions as the book has them, indicators as last published."""

from collections.abc import Iterable, Iterator
from typing import Any

from delever.api_types.market import MarketState
from delever.core.messages import Side
from delever.server.engine.account_view import Position
from delever.server.engine.market_snapshot import Board, ContractShown
from delever.server.venues import amounts
from delever.server.venues.account_reader import AccountSnapshot
from delever.server.venues.bybit import account_payloads as wire
from delever.server.venues.symbols import usd_price
from delever.server.venues.symbols import SymbolMap

IN_ADL = (MarketState.ADL, MarketState.EXHAUSTED)


class View:
    """One account, as seen at one moment, beside a board."""

    def __init__(self, board: Board, symbols: SymbolMap, seen: AccountSnapshot) -> None:
        self._board = board
        self._symbols = names
        self._seen = seen
        self.hedge_mode = seen.holdings.hedge_mode

    def listing(self, contract: str) -> wire.Listing:
        """Return a contract as the payloads need it."""
        return listing(self._board, self._symbols, contract)

    def rows(self, contract: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of what the account holds in one contract, the long side first."""
        for held in self._seen.holdings.of(contract):
            standing = self._standing(held)
            terms = self.listing(contract)
            yield wire.position_row(terms, held, standing, hedge_mode=self.hedge_mode)

    def empty_rows(self, contract: str) -> Iterator[dict[str, Any]]:
        """Yield a row for each side that the account could hold of a contract and does not."""
        held = {position.side for position in self._seen.holdings.of(contract)}
        missing = [side for side in Side if side not in held]
        indexes = [wire.position_index(side, hedge_mode=self.hedge_mode) for side in missing]
        if not self.hedge_mode:
            indexes = indexes[:1] if not held else []
        mark, holdings = self._seen.marks[contract], self._seen.holdings
        nothing = wire.Standing(mark, 0, "Normal", None, holdings.as_of, holdings.time_ms)
        for index in indexes:
            yield wire.empty_position_row(self.listing(contract), nothing, index)

    def coins(self, assets: Iterable[str]) -> Iterator[wire.Coin]:
        """Yield the account's settle assets, isolated margins and positions included."""
        settled = {name: shown.terms.settle for name, shown in self._board.contracts.items()}
        decimals = {
            shown.terms.settle: shown.cash_decimals for shown in self._board.contracts.values()
        }
        for wallet in self._seen.holdings.wallets:
            if wallet.asset in assets:
                mine = [
                    held
                    for held in self._seen.holdings.positions
                    if settled.get(held.contract) == wallet.asset
                ]
                alone = sum(held.margin_cash for held in mine if held.isolated)
                yield wire.Coin(
                    name=wallet.asset,
                    decimals=decimals[wallet.asset],
                    balance_cash=wallet.balance_cash + alone,
                    profit_cash=sum(held.profit_cash for held in mine),
                    initial_cash=sum(amounts.initial_margin_cash(held) for held in mine),
                    maintenance_cash=sum(held.maintenance_cash for held in mine),
                    usd_price=usd_price(self._board, self._symbols, wallet.asset),
                )

    def _standing(self, held: Position) -> wire.Standing:
        shown = self._board.contracts[held.contract]
        indicator = self._seen.indicator(self._board, held)
        return wire.Standing(
            mark_ticks=self._seen.marks[held.contract],
            indicator=indicator,
            status=_status(shown, held, indicator),
            liquidation_ticks=self._seen.liquidation(held, shown.terms),
            sequence=self._seen.holdings.as_of,
            time_ms=self._seen.holdings.time_ms,
        )


def listing(board: Board, symbols: SymbolMap, contract: str) -> wire.Listing:
    """Return a contract as the payloads need it."""
    shown = board.contracts[contract]
    return wire.Listing(symbols.by_contract[contract], shown.terms, shown.cash_decimals)


def _status(shown: ContractShown, held: Position, indicator: int) -> str:
    """Return Liq under liquidation, Adl in line while ADL is on against its side, else Normal."""
    if held.under_liquidation:
        return "Liq"
    closing = shown.state in IN_ADL and shown.inventory_lots[held.side.opposite] > 0
    return "Adl" if closing and indicator else "Normal"
