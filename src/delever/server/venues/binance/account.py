"""Private endpoints of the Binance-compatible API: quantiles, positions, balances, orders."""

from collections.abc import Iterator
from dataclasses import replace

from delever.server.engine.account_snapshot import AccountSnapshot, PositionSnapshot
from delever.server.engine.market_snapshot import MarketSnapshot
from delever.server.engine.runner import Runner
from delever.server.transport.asgi import Request
from delever.server.venues.account_reader import AccountReading, account_query, liquidation_ticks
from delever.server.venues.binance import account_payloads, payloads
from delever.server.venues.binance.authentication import BinanceRequestError, text, whole
from delever.server.venues.binance.markets import DAPI, FAPI, Markets
from delever.server.venues.fill_log import FillLog, ForcedOrder

DAY_MS = 24 * 3_600_000
FORCED_WINDOW_MS = {FAPI: 7 * DAY_MS, DAPI: 200 * DAY_MS}
"""The period of forceOrders before its end, without a start time."""

DEFAULT_FORCED_ORDERS, MAX_FORCED_ORDERS = 50, 100
AUTO_CLOSE = {None: None, "ADL": True, "LIQUIDATION": False}


class AccountEndpoints:
    """Answers private requests; each reads the account from the book when it is called."""

    def __init__(self, runner: Runner, markets: Markets, fills: FillLog) -> None:
        self._runner = runner
        self._markets = markets
        self._fills = fills
        self._quantiles: dict[tuple[str, str, str | None], object] = {}
        self._quantiles_as_of = -1

    async def quantiles(self, product: str, account: str, request: Request) -> object:
        """Return the ADL quantiles of every symbol in which the account has a position.

        Indicators are published every 30 s; answers are cached in between.
        """
        indicators = self._markets.snapshot.indicators
        if indicators is None:
            return await self._current_quantiles(product, account, request)
        if indicators.as_of != self._quantiles_as_of:
            self._quantiles, self._quantiles_as_of = {}, indicators.as_of
        key = product, account, text(request, "symbol")
        if key not in self._quantiles:
            self._quantiles[key] = await self._current_quantiles(product, account, request)
        return self._quantiles[key]

    async def _current_quantiles(self, product: str, account: str, request: Request) -> object:
        markets = self._requested(product, request)
        reading, snapshot = await self._read(account), self._markets.snapshot
        return [
            _quantile(market, reading, positions, snapshot)
            for market in markets
            if (positions := reading.account.positions_in(market.instrument.contract))
        ]

    async def positions_v3(self, product: str, account: str, request: Request) -> object:
        """Return open positions with their ADL quantile."""
        reading = await self._read(account)
        markets, snapshot = self._requested(product, request), self._markets.snapshot
        owner = reading.account
        return [
            account_payloads.position_v3(
                market,
                position,
                hedge_mode=owner.hedge_mode,
                indicator=reading.indicator(snapshot, position),
                liquidation=liquidation_ticks(position, owner, market.terms, market.mark_ticks),
                time_ms=owner.time_ms,
            )
            for market, position in _open_positions(markets, reading)
        ]

    async def positions_v2(self, product: str, account: str, request: Request) -> object:
        """Return open positions in the older form, without a quantile."""
        reading = await self._read(account)
        markets = self._requested(product, request)
        owner = reading.account
        return [
            account_payloads.position_v2(
                market,
                position,
                hedge_mode=owner.hedge_mode,
                liquidation=liquidation_ticks(position, owner, market.terms, market.mark_ticks),
                time_ms=owner.time_ms,
            )
            for market, position in _open_positions(markets, reading)
        ]

    async def balances(self, product: str, account: str, _request: Request) -> object:
        """Return the account's balance in each settle asset of the product's contracts."""
        settled = {m.terms.settle: m.cash_decimals for m in self._markets.all(product)}
        owner = (await self._read(account)).account
        rows = []
        for wallet in owner.wallets:
            if wallet.asset in settled:
                own = [
                    position
                    for market in self._markets.all(product)
                    if market.terms.settle == wallet.asset
                    for position in owner.positions_in(market.instrument.contract)
                ]
                row = account_payloads.asset_row(
                    wallet.asset, settled[wallet.asset], wallet.balance_cash, own
                )
                rows.append(row)
        return {"assets": rows, "positions": []}

    async def brackets(self, product: str, _account: str, request: Request) -> object:
        """Return margin tiers."""
        return [payloads.leverage_bracket(market) for market in self._requested(product, request)]

    async def forced_orders(self, product: str, account: str, request: Request) -> object:
        """Return the account's ADL fills and takeovers, oldest first."""
        symbol = text(request, "symbol")
        contract = self._one(product, symbol).instrument.contract if symbol else None
        kind = text(request, "autoCloseType")
        if kind not in AUTO_CLOSE:
            raise BinanceRequestError(payloads.invalid_parameter("autoCloseType"))
        requested = whole(request, "limit")
        limit = DEFAULT_FORCED_ORDERS if requested is None else requested
        if not 1 <= limit <= MAX_FORCED_ORDERS:
            raise BinanceRequestError(payloads.invalid_parameter("limit"))
        since_ms, until_ms = self._period(product, request)
        orders = self._fills.of(
            account, contract, since_ms=since_ms, until_ms=until_ms, adl=AUTO_CLOSE[kind]
        )
        owner = (await self._read(account)).account
        rows = [
            self._forced_order(order, owner)
            for order in orders
            if self._markets.product(order.event.contract) == product
        ]
        return rows[-limit:]

    def _period(self, product: str, request: Request) -> tuple[int, int]:
        since_ms, until_ms = whole(request, "startTime"), whole(request, "endTime")
        until_ms = self._runner.now_ms() if until_ms is None else until_ms
        if since_ms is None:
            return until_ms - FORCED_WINDOW_MS[product], until_ms
        if since_ms > until_ms:
            raise BinanceRequestError(payloads.invalid_parameter("startTime"))
        return since_ms, until_ms

    def _forced_order(self, order: ForcedOrder, owner: AccountSnapshot) -> payloads.Json:
        market = self._markets.of_contract(order.event.contract).at(order.sequence)
        return account_payloads.force_order(
            market, order.event, hedge_mode=owner.hedge_mode, time_ms=order.time_ms
        )

    def _requested(self, product: str, request: Request) -> list[payloads.Market]:
        """Return the market of a request's symbol, or all of fapi's or dapi's without one."""
        symbol = text(request, "symbol")
        return self._markets.all(product) if symbol is None else [self._one(product, symbol)]

    def _one(self, product: str, symbol: str) -> payloads.Market:
        market = self._markets.one(product, symbol)
        if market is None:
            raise BinanceRequestError(payloads.BAD_SYMBOL)
        return market

    async def _read(self, account: str) -> AccountReading:
        """Read the account; BinanceRequestError if the venue has not submitted it yet."""
        reading = await self._runner.read(account_query(account))
        if reading is None:
            raise BinanceRequestError(payloads.UNKNOWN_KEY)
        return reading


def _open_positions(
    markets: list[payloads.Market], reading: AccountReading
) -> Iterator[tuple[payloads.Market, PositionSnapshot]]:
    """Yield each open position with its market at the mark of the account reading."""
    for market in markets:
        for position in reading.account.positions_in(market.instrument.contract):
            as_of = market.at(reading.account.as_of)
            yield replace(as_of, mark_ticks=reading.marks[position.contract]), position


def _quantile(
    market: payloads.Market,
    reading: AccountReading,
    positions: tuple[PositionSnapshot, ...],
    snapshot: MarketSnapshot,
) -> payloads.Json:
    indicators = {position.side: reading.indicator(snapshot, position) for position in positions}
    return account_payloads.adl_quantile(
        market.symbol,
        indicators,
        hedge_mode=reading.account.hedge_mode,
        isolated=any(position.isolated for position in positions),
    )
