"""One account at OKX: positions and balances from the book, ADL indicators as last published."""

from collections.abc import Collection, Iterator, Mapping

from delever.core.messages import Side
from delever.server.engine.account_snapshot import PositionSnapshot
from delever.server.engine.market_snapshot import MarketSnapshot
from delever.server.venues import amounts
from delever.server.venues.account_reader import AccountReading
from delever.server.venues.okx import payloads
from delever.server.venues.symbols import Instrument, SymbolMap, usd_price

DEFAULT_LEVERAGE = 300
"""The leverage that OKX sets for a contract at first, in hundredths."""


class OkxAccount:
    """One account's positions and balances, beside a market snapshot."""

    def __init__(
        self, snapshot: MarketSnapshot, symbols: SymbolMap, reading: AccountReading
    ) -> None:
        self._snapshot = snapshot
        self._symbols = symbols
        self._reading = reading
        self.hedge_mode = reading.account.hedge_mode
        self.multi_asset = reading.account.multi_asset
        self.time_ms = reading.account.time_ms

    @property
    def name(self) -> str:
        """The account's name."""
        return self._reading.account.account

    @property
    def orders(self) -> Mapping[str, str]:
        """The contract of each open order."""
        return self._reading.orders

    def positions(self, wanted: Collection[str] = ()) -> list[payloads.Row]:
        """Return the open positions, in all contracts or in those of some instrument ids."""
        rows = []
        for position in self._reading.account.positions:
            instrument = self._symbols.by_contract.get(position.contract)
            if instrument is not None and (not wanted or instrument.okx in wanted):
                rows.append(self._position(instrument, position))
        return rows

    def _position(self, instrument: Instrument, position: PositionSnapshot) -> payloads.Row:
        contract = self._snapshot.contracts[position.contract]
        terms = contract.terms.at(self._reading.account.as_of)
        context = payloads.OkxPositionContext(
            account=self.name,
            mark_ticks=self._reading.marks[position.contract],
            indicator=self._reading.indicator(self._snapshot, position),
            liquidation_ticks=self._reading.liquidation(position, terms),
            usd_price=usd_price(self._snapshot, self._symbols, instrument.settle),
            time_ms=self.time_ms,
        )
        return payloads.position_row(
            instrument, terms, contract.cash_decimals, position, context, hedge_mode=self.hedge_mode
        )

    def closed_positions(self, contract: str) -> Iterator[payloads.Row]:
        """Yield a row of size 0 for each side of a contract in which nothing is open."""
        instrument = self._symbols.by_contract[contract]
        open_sides = {held.side for held in self._reading.account.positions_in(contract)}
        sides = [str(side) for side in Side if side not in open_sides]
        if not self.hedge_mode:
            sides = [] if open_sides else ["net"]
        terms = self._snapshot.contracts[contract].terms.at(self._reading.account.as_of)
        mark = amounts.price(terms, self._reading.marks[contract])
        for side in sides:
            row = payloads.closed_position_row
            yield row(instrument, side, self.name, self.time_ms, mark)

    def balances(self) -> list[payloads.CurrencyBalance]:
        """Return the account's settle assets and collateral, with its positions in each."""
        contracts = self._snapshot.contracts
        settle = {name: contract.terms.settle for name, contract in contracts.items()}
        return [
            payloads.CurrencyBalance(
                currency=wallet.asset,
                decimals=wallet.decimals,
                balance_cash=wallet.balance_cash,
                positions=tuple(
                    position
                    for position in self._reading.account.positions
                    if settle.get(position.contract) == wallet.asset
                ),
                usd_price=usd_price(self._snapshot, self._symbols, wallet.asset),
                collateral=wallet.collateral,
            )
            for wallet in self._reading.account.wallets
            if wallet.asset in settle.values() or wallet.collateral
        ]

    def balance(self, wanted: Collection[str] = ()) -> dict[str, object]:
        """Return the account's balance with the details of some currencies, or of all."""
        held = self.balances()
        listed = [each for each in held if not wanted or each.currency in wanted]
        margin = self._reading.account.margin
        return payloads.account_balance(held, listed, self.time_ms, margin)

    def leverages(self, instrument: Instrument, margin_mode: str) -> Iterator[payloads.Row]:
        """Yield the leverage of each side of a contract; without a position OKX's default."""
        held = self._reading.account.positions_in(instrument.contract)
        for side in [str(side) for side in Side] if self.hedge_mode else ["net"]:
            chosen = [
                position.leverage_hundredths
                for position in held
                if side in {"net", str(position.side)}
            ]
            leverage = max(chosen, default=DEFAULT_LEVERAGE)
            yield payloads.leverage_row(instrument, margin_mode, side, leverage)
