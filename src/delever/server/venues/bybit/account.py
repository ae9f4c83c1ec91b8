"""One account at Bybit: positions from the book, ADL indicators as last published."""

from collections.abc import Iterable, Iterator
from typing import Any

from delever.api_types.market import MarketState
from delever.core.messages import Side
from delever.server.engine.account_snapshot import MarginSnapshot, PositionSnapshot
from delever.server.engine.market_snapshot import ContractSnapshot, MarketSnapshot
from delever.server.venues import amounts
from delever.server.venues.account_reader import AccountReading
from delever.server.venues.bybit import account_payloads
from delever.server.venues.symbols import SymbolMap, usd_price

IN_ADL = (MarketState.ADL, MarketState.EXHAUSTED)


class BybitAccount:
    """One account's positions and wallet coins, beside a market snapshot."""

    def __init__(
        self, snapshot: MarketSnapshot, symbols: SymbolMap, reading: AccountReading
    ) -> None:
        self._snapshot = snapshot
        self._symbols = symbols
        self._reading = reading
        self.hedge_mode = reading.account.hedge_mode

    def market(self, contract: str, sequence: int | None = None) -> account_payloads.BybitMarket:
        """Return the market of a contract, with the units of a sequence or of the reading."""
        market = market_of(self._snapshot, self._symbols, contract)
        return market.at(self._reading.account.as_of if sequence is None else sequence)

    def rows(self, contract: str) -> Iterator[dict[str, Any]]:
        """Yield the account's position rows in one contract, the long side first."""
        for position in self._reading.account.positions_in(contract):
            yield account_payloads.position_row(
                self.market(contract), position, self._context(position), hedge_mode=self.hedge_mode
            )

    def empty_rows(self, contract: str) -> Iterator[dict[str, Any]]:
        """Yield a row for each side of a contract in which the account has no position."""
        account = self._reading.account
        open_sides = {position.side for position in account.positions_in(contract)}
        missing = [side for side in Side if side not in open_sides]
        indexes = [
            account_payloads.position_index(side, hedge_mode=self.hedge_mode) for side in missing
        ]
        if not self.hedge_mode:
            indexes = indexes[:1] if not open_sides else []
        context = account_payloads.BybitPositionContext(
            mark_ticks=self._reading.marks[contract],
            indicator=0,
            status="Normal",
            liquidation_ticks=None,
            sequence=account.as_of,
            time_ms=account.time_ms,
        )
        for index in indexes:
            yield account_payloads.empty_position_row(self.market(contract), context, index)

    @property
    def assets(self) -> set[str]:
        """The settle assets of all contracts."""
        return {contract.terms.settle for contract in self._snapshot.contracts.values()}

    def coins(self, assets: Iterable[str]) -> Iterator[account_payloads.WalletCoin]:
        """Yield the account's settle assets and collateral, with isolated margins and positions."""
        contracts = self._snapshot.contracts
        settle = {name: contract.terms.settle for name, contract in contracts.items()}
        for wallet in self._reading.account.wallets:
            if wallet.asset in assets or wallet.collateral:
                own = [
                    position
                    for position in self._reading.account.positions
                    if settle.get(position.contract) == wallet.asset
                ]
                isolated_cash = sum(p.margin_cash for p in own if p.isolated)
                initial_cash = sum(amounts.initial_margin_cash(p) for p in own if not p.isolated)
                yield account_payloads.WalletCoin(
                    name=wallet.asset,
                    decimals=wallet.decimals,
                    balance_cash=wallet.balance_cash + isolated_cash,
                    unrealized_pnl_cash=sum(p.unrealized_pnl_cash for p in own),
                    initial_cash=sum(amounts.initial_margin_cash(p) for p in own),
                    maintenance_cash=sum(p.maintenance_cash for p in own),
                    available_cash=max(0, wallet.equity_cash - initial_cash),
                    usd_price=usd_price(self._snapshot, self._symbols, wallet.asset),
                )

    @property
    def margin(self) -> MarginSnapshot | None:
        """The account's margin over all its assets in multi-asset mode."""
        return self._reading.account.margin

    def _context(self, position: PositionSnapshot) -> account_payloads.BybitPositionContext:
        contract = self._snapshot.contracts[position.contract]
        indicator = self._reading.indicator(self._snapshot, position)
        return account_payloads.BybitPositionContext(
            mark_ticks=self._reading.marks[position.contract],
            indicator=indicator,
            status=_status(contract, position, indicator),
            liquidation_ticks=self._reading.liquidation(
                position, contract.terms.at(self._reading.account.as_of)
            ),
            sequence=self._reading.account.as_of,
            time_ms=self._reading.account.time_ms,
        )


def market_of(
    snapshot: MarketSnapshot, symbols: SymbolMap, contract: str
) -> account_payloads.BybitMarket:
    """Return the market of a contract."""
    found = snapshot.contracts[contract]
    return account_payloads.BybitMarket(
        symbols.by_contract[contract], found.terms, found.cash_decimals
    )


def _status(contract: ContractSnapshot, position: PositionSnapshot, indicator: int) -> str:
    """Return Liq under liquidation, Adl if ranked while ADL is on against its side, else Normal."""
    if position.under_liquidation:
        return "Liq"
    closing = contract.state in IN_ADL and contract.inventory_lots[position.side.opposite] > 0
    return "Adl" if closing and indicator else "Normal"
