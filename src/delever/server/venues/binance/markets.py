"""Public endpoints of the Binance-compatible API, encoded once a market snapshot."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from delever.config import Config
from delever.core.messages import Side
from delever.server.engine.market_snapshot import ContractSnapshot, MarketSnapshot
from delever.server.venues import amounts
from delever.server.venues.binance import payloads
from delever.server.venues.symbols import Instrument, SymbolMapCache, usd_price

FAPI, DAPI = "fapi", "dapi"

BuildAnswer = Callable[["Markets", str | None], object]
"""Builds an answer for one symbol, or for all symbols."""

BuildTicker = Callable[[payloads.Market, int], payloads.Json]
"""Builds one symbol's ticker at a time."""


class Markets:
    """Contracts by Binance symbol: linear contracts belong to fapi, inverse ones to dapi."""

    def __init__(self, config: Config, snapshot: MarketSnapshot) -> None:
        self._config = config
        self._symbol_maps = SymbolMapCache(config.contracts)
        self._answers: dict[tuple[str, str | None], bytes] = {}
        self.update(snapshot)

    def update(self, snapshot: MarketSnapshot) -> None:
        """Replace the market snapshot; its answers are encoded when first requested."""
        self.snapshot = snapshot
        self._answers = {}
        self._symbols = self._symbol_maps.of(snapshot)

    def instrument(self, product: str, symbol: str) -> Instrument | None:
        """Return the contract of a symbol at fapi or dapi, or None."""
        found = self._symbols.by_binance.get(symbol)
        return found if found is not None and found.linear == (product == FAPI) else None

    def of_contract(self, contract: str) -> payloads.Market:
        """Return the market of a contract's own name."""
        return self._market(self._symbols.by_contract[contract])

    def product(self, contract: str) -> str | None:
        """Return fapi or dapi for a contract; None if it was defined after the snapshot."""
        found = self._symbols.by_contract.get(contract)
        if found is None:
            return None
        return FAPI if found.linear else DAPI

    def all(self, product: str) -> list[payloads.Market]:
        """Return the markets of fapi or dapi, sorted by symbol."""
        found = [listed for listed in self._symbols.all if listed.linear == (product == FAPI)]
        return [self._market(listed) for listed in sorted(found, key=lambda x: x.binance)]

    def one(self, product: str, symbol: str) -> payloads.Market | None:
        """Return the market of a symbol, or None if fapi or dapi has no such symbol."""
        found = self.instrument(product, symbol)
        return None if found is None else self._market(found)

    def usd_price(self, asset: str) -> amounts.DollarPrice:
        """Return the price of one unit of an asset in dollars, or None if it is unknown."""
        return usd_price(self.snapshot, self._symbols, asset)

    def _market(self, instrument: Instrument) -> payloads.Market:
        contract = self.snapshot.contracts[instrument.contract]
        return payloads.Market(
            instrument,
            contract.definition,
            contract.terms,
            contract.cash_decimals,
            contract.mark_ticks,
            contract.marked_ms,
            contract.status,
        )

    # --- answers ---

    def answer(self, path: str, symbol: str | None) -> bytes | None:
        """Return the encoded answer of a public path, or None for an unknown symbol."""
        if path not in BY_SYMBOL:
            symbol = None
        body = self._answers.get((path, symbol))
        if body is None:
            if symbol is None and path in SYMBOL_REQUIRED:
                return None
            if symbol is not None and self.instrument(path.split("/", 2)[1], symbol) is None:
                return None
            body = self._answers[path, symbol] = payloads.encode(ANSWERS[path](self, symbol))
        return body

    def adl_risk(self, symbol: str | None) -> object:
        """Return the ADL risk of a symbol, or of all symbols that have a rating."""
        labels = self._config.binance.adl_risk_labels
        if symbol is not None:
            contract = self._symbols.by_binance[symbol].contract
            return payloads.adl_risk(symbol, self.snapshot.contracts[contract].rating, labels)
        return [
            payloads.adl_risk(market.symbol, rating, labels)
            for market in self.all(FAPI)
            if (rating := self.snapshot.contracts[market.instrument.contract].rating)
        ]

    def insurance(self, symbol: str | None) -> object:
        """Return the insurance fund of a symbol, or of all linear contracts."""
        if symbol is not None:
            contract = self._symbols.by_binance[symbol].contract
            return self._pool(self.snapshot.contracts[contract].pool)
        pools = {contract.pool for contract in self._contracts(FAPI)}
        return [self._pool(name) for name in sorted(pools)]

    def _pool(self, name: str) -> payloads.Json:
        pool = self.snapshot.pools[name]
        symbols = [
            self._symbols.by_contract[contract.name].binance
            for contract in self._contracts(FAPI)
            if contract.pool == name
        ]
        return payloads.insurance_balance(
            symbols,
            pool.definition.asset,
            pool.equity_cash,
            pool.cash_decimals,
            self.snapshot.time_ms,
        )

    def _contracts(self, product: str) -> Iterable[ContractSnapshot]:
        contracts = self.snapshot.contracts
        return [contracts[market.instrument.contract] for market in self.all(product)]

    def premium(self, product: str, symbol: str | None) -> object:
        """Return mark prices: one symbol is an object at fapi and a list at dapi."""
        if symbol is None:
            marked = [market for market in self.all(product) if market.mark_ticks]
            return [payloads.premium_index(market) for market in marked]
        index = payloads.premium_index(self._market(self._symbols.by_binance[symbol]))
        return index if product == FAPI else [index]

    def open_interest(self, symbol: str | None) -> object:
        """Return the open interest of a symbol."""
        market = self._market(self._symbols.by_binance[symbol or ""])
        contract = self.snapshot.contracts[market.instrument.contract]
        lots = contract.open_lots[Side.LONG] + contract.inventory_lots[Side.LONG]
        return payloads.open_interest(market, lots, self.snapshot.taken_ms)

    def order_book(self, symbol: str | None) -> object:
        """Return the order book of a symbol, which is empty."""
        return payloads.empty_order_book(symbol or "", self.snapshot.taken_ms)

    def tickers(self, product: str, symbol: str | None, build: BuildTicker) -> object:
        """Return a ticker of every symbol, or of one: an object at fapi, a list at dapi."""
        markets = self.all(product)
        if symbol is not None:
            markets = [self._market(self._symbols.by_binance[symbol])]
        rows = [build(market, self.snapshot.taken_ms) for market in markets]
        return rows[0] if symbol is not None and product == FAPI else rows

    def spot_exchange_info(self) -> object:
        """Return the terms of the spot market, which has no symbols here."""
        weight = self._config.binance.weight_per_minute
        return payloads.spot_exchange_info(self.snapshot.taken_ms, weight)

    def exchange_info(self, product: str) -> object:
        """Return the terms of every contract of a product."""
        weight = self._config.binance.weight_per_minute
        return payloads.exchange_info(self.all(product), self.snapshot.taken_ms, weight)


_NO_DATA = (
    *("aggTrades", "continuousKlines", "fundingInfo", "fundingRate", "historicalTrades"),
    *("indexPriceKlines", "klines", "markPriceKlines", "premiumIndexKlines", "trades"),
)
"""Market data that the engine does not have: an empty list."""


def _market_data(product: str) -> dict[str, BuildAnswer]:
    """Return the paths of a product's market data: as of symbols that have not traded."""
    empty: dict[str, BuildAnswer] = {
        f"/{product}/v1/{name}": lambda _markets, _symbol: [] for name in _NO_DATA
    }
    tickers: dict[str, BuildAnswer] = {
        f"/{product}/v1/ticker/{name}": partial(_tickers, product=product, build=build)
        for name, build in _TICKERS.items()
    }
    one: dict[str, BuildAnswer] = {
        f"/{product}/v1/depth": Markets.order_book,
        f"/{product}/v1/openInterest": Markets.open_interest,
    }
    newer = tickers[f"/{product}/v1/ticker/price"]
    return empty | tickers | one | {f"/{product}/v2/ticker/price": newer}


_TICKERS: Mapping[str, BuildTicker] = {
    "24hr": payloads.ticker,
    "bookTicker": payloads.book_ticker,
    "price": payloads.price_ticker,
}


def _tickers(markets: Markets, symbol: str | None, *, product: str, build: BuildTicker) -> object:
    return markets.tickers(product, symbol, build)


ANSWERS: Mapping[str, BuildAnswer] = {
    "/fapi/v1/ping": lambda _markets, _symbol: {},
    "/fapi/v1/exchangeInfo": lambda markets, _symbol: markets.exchange_info(FAPI),
    "/fapi/v1/premiumIndex": lambda markets, symbol: markets.premium(FAPI, symbol),
    "/fapi/v1/symbolAdlRisk": Markets.adl_risk,
    "/fapi/v1/insuranceBalance": Markets.insurance,
    "/dapi/v1/ping": lambda _markets, _symbol: {},
    "/dapi/v1/exchangeInfo": lambda markets, _symbol: markets.exchange_info(DAPI),
    "/dapi/v1/premiumIndex": lambda markets, symbol: markets.premium(DAPI, symbol),
    "/papi/v1/ping": lambda _markets, _symbol: {},
    "/api/v3/ping": lambda _markets, _symbol: {},
    "/api/v3/exchangeInfo": lambda markets, _symbol: markets.spot_exchange_info(),
    "/sapi/v1/system/status": lambda _markets, _symbol: {"status": 0, "msg": "normal"},
    "/sapi/v1/margin/allPairs": lambda _markets, _symbol: [],
    "/sapi/v1/margin/isolated/allPairs": lambda _markets, _symbol: [],
    **_market_data(FAPI),
    **_market_data(DAPI),
}
"""Public paths whose answers change with the market snapshot only."""

BY_SYMBOL = {
    path
    for path in ANSWERS
    if path.startswith((f"/{FAPI}/", f"/{DAPI}/"))
    if not path.endswith(("/ping", "/exchangeInfo"))
}
"""Public paths that accept a symbol; the others ignore it."""

SYMBOL_REQUIRED = {path for path in BY_SYMBOL if path.endswith(("/openInterest", "/depth"))}
"""Public paths that are about one symbol."""
