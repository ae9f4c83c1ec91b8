"""What the Binance-compatible API shows of markets: from the newest board, encoded once a board."""

from collections.abc import Callable, Iterable, Mapping

from delever.config import Config
from delever.server.engine.market_snapshot import Board, ContractShown
from delever.server.venues.binance import payloads as wire
from delever.server.venues.symbols import SymbolMapCache
from delever.server.venues.symbols import Instrument

FAPI, DAPI = "fapi", "dapi"

Make = Callable[["Markets", str | None], object]
"""Makes an answer for one symbol, or for all of them."""


class Markets:
    """Contracts by Binance symbol: linear ones are fapi's, inverse ones dapi's."""

    def __init__(self, config: Config, board: Board) -> None:
        self._config = config
        self._symbol_maps = SymbolMapCache(config.contracts)
        self._pages: dict[tuple[str, str | None], bytes] = {}
        self.take(board)

    def take(self, board: Board) -> None:
        """Show another board from now on."""
        self.board = board
        self._pages = {}
        self._symbols = self._symbol_maps.of(board)

    def instrument(self, product: str, symbol: str) -> Instrument | None:
        """Return the contract of a symbol at fapi or dapi, or None."""
        found = self._symbols.by_binance.get(symbol)
        return found if found is not None and found.linear == (product == FAPI) else None

    def of_contract(self, contract: str) -> wire.Market:
        """Return a contract of the board by its own name."""
        return self._market(self._symbols.by_contract[contract])

    def product(self, contract: str) -> str | None:
        """Return whose a contract is; None where it was defined after the board was made."""
        found = self._symbols.by_contract.get(contract)
        if found is None:
            return None
        return FAPI if found.linear else DAPI

    def all(self, product: str) -> list[wire.Market]:
        """Return the contracts of fapi or dapi by symbol."""
        found = [each for each in self._symbols.all if each.linear == (product == FAPI)]
        return [self._market(each) for each in sorted(found, key=lambda each: each.binance)]

    def one(self, product: str, symbol: str) -> wire.Market | None:
        """Return the contract of a symbol, or None where fapi or dapi has no such symbol."""
        found = self.instrument(product, symbol)
        return None if found is None else self._market(found)

    def _market(self, instrument: Instrument) -> wire.Market:
        shown = self.board.contracts[instrument.contract]
        return wire.Market(
            instrument,
            shown.definition,
            shown.terms,
            shown.cash_decimals,
            shown.mark_ticks,
            shown.marked_ms,
        )

    # --- answers ---

    def page(self, path: str, symbol: str | None) -> bytes | None:
        """Return the encoded answer of a public path; None for a symbol that it does not have."""
        if path not in BY_SYMBOL:
            symbol = None
        body = self._pages.get((path, symbol))
        if body is None:
            if symbol is not None and self.instrument(path.split("/", 2)[1], symbol) is None:
                return None
            body = self._pages[path, symbol] = wire.encode(PAGES[path](self, symbol))
        return body

    def adl_risk(self, symbol: str | None) -> object:
        """Return a symbol's ADL risk; of all symbols, those that were rated."""
        words = self._config.binance.adl_risk_labels
        if symbol is not None:
            contract = self._symbols.by_binance[symbol].contract
            return wire.adl_risk(symbol, self.board.contracts[contract].rating, words)
        return [
            wire.adl_risk(market.symbol, rating, words)
            for market in self.all(FAPI)
            if (rating := self.board.contracts[market.instrument.contract].rating)
        ]

    def insurance(self, symbol: str | None) -> object:
        """Return a symbol's insurance pool, or every pool behind a linear contract."""
        if symbol is not None:
            contract = self._symbols.by_binance[symbol].contract
            return self._pool(self.board.contracts[contract].pool)
        pools = {shown.pool for shown in self._shown(FAPI)}
        return [self._pool(name) for name in sorted(pools)]

    def _pool(self, name: str) -> wire.Json:
        pool = self.board.pools[name]
        symbols = [
            self._symbols.by_contract[shown.name].binance
            for shown in self._shown(FAPI)
            if shown.pool == name
        ]
        return wire.insurance_balance(
            symbols, pool.definition.asset, pool.equity_cash, pool.cash_decimals, self.board.time_ms
        )

    def _shown(self, product: str) -> Iterable[ContractShown]:
        shown = self.board.contracts
        return [shown[market.instrument.contract] for market in self.all(product)]

    def premium(self, product: str, symbol: str | None) -> object:
        """Return marks: fapi answers one symbol with an object, dapi always with a list."""
        if symbol is None:
            return [wire.premium_index(market) for market in self.all(product) if market.mark_ticks]
        marked = wire.premium_index(self._market(self._symbols.by_binance[symbol]))
        return marked if product == FAPI else [marked]

    def exchange_info(self, product: str) -> object:
        """Return the terms of every contract, whatever symbol was asked for."""
        weight = self._config.binance.weight_per_minute
        return wire.exchange_info(self.all(product), self.board.made_ms, weight)


PAGES: Mapping[str, Make] = {
    "/fapi/v1/ping": lambda _markets, _symbol: {},
    "/fapi/v1/exchangeInfo": lambda markets, _symbol: markets.exchange_info(FAPI),
    "/fapi/v1/premiumIndex": lambda markets, symbol: markets.premium(FAPI, symbol),
    "/fapi/v1/symbolAdlRisk": Markets.adl_risk,
    "/fapi/v1/insuranceBalance": Markets.insurance,
    "/dapi/v1/ping": lambda _markets, _symbol: {},
    "/dapi/v1/exchangeInfo": lambda markets, _symbol: markets.exchange_info(DAPI),
    "/dapi/v1/premiumIndex": lambda markets, symbol: markets.premium(DAPI, symbol),
    "/papi/v1/ping": lambda _markets, _symbol: {},
    "/sapi/v1/margin/allPairs": lambda _markets, _symbol: [],
    "/sapi/v1/margin/isolated/allPairs": lambda _markets, _symbol: [],
}
"""Public paths whose answers change with the board only."""

BY_SYMBOL = {
    "/fapi/v1/premiumIndex",
    "/fapi/v1/symbolAdlRisk",
    "/fapi/v1/insuranceBalance",
    "/dapi/v1/premiumIndex",
}
"""Those that can be asked for one symbol; the others take no notice of it."""
