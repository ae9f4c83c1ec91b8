"""What the Binance-compatible API answers to an account: quantiles, positions, forced orders."""

from collections.abc import Iterator
from dataclasses import replace

from delever.server.engine.account_view import Holdings, Position
from delever.server.engine.market_snapshot import Board
from delever.server.engine.service import Runner
from delever.server.transport.asgi import Request
from delever.server.venues.account_reader import AccountSnapshot, account_query
from delever.server.venues.binance import account_payloads as words
from delever.server.venues.binance import payloads as wire
from delever.server.venues.binance.authentication import BinanceRequestError, text, whole
from delever.server.venues.binance.markets import DAPI, FAPI, Markets
from delever.server.venues.fill_log import ForcedOrder, FillLog
from delever.server.venues.account_reader import liquidation_ticks

DAY_MS = 24 * 3_600_000
FORCED_WINDOW_MS = {FAPI: 7 * DAY_MS, DAPI: 200 * DAY_MS}
"""How far forceOrders looks back from its end where no start is named."""

FORCED_LIMIT, FORCED_MOST = 50, 100
AUTO_CLOSE = {None: None, "ADL": True, "LIQUIDATION": False}


class Accounts:
    """Answers of one account's questions, read from the book when they are asked."""

    def __init__(self, runner: Runner, markets: Markets, fills: FillLog) -> None:
        self._runner = runner
        self._markets = markets
        self._fills = fills
        self._quantiles: dict[tuple[str, str, str | None], object] = {}
        self._quantiles_as_of = -1

    async def quantiles(self, product: str, account: str, request: Request) -> object:
        """Return the quantiles of every symbol in which the account holds anything.

        They change when indicators are published, every 30 s, and are put together once in between.
        """
        indicators = self._markets.board.indicators
        if indicators is None:
            return await self._quantiles_now(product, account, request)
        if indicators.as_of != self._quantiles_as_of:
            self._quantiles, self._quantiles_as_of = {}, indicators.as_of
        key = product, account, text(request, "symbol")
        if key not in self._quantiles:
            self._quantiles[key] = await self._quantiles_now(product, account, request)
        return self._quantiles[key]

    async def _quantiles_now(self, product: str, account: str, request: Request) -> object:
        markets = self._asked(product, request)
        seen, board = await self._seen(account), self._markets.board
        return [
            _quantile(market, seen, held, board)
            for market in markets
            if (held := seen.holdings.of(market.instrument.contract))
        ]

    async def positions_v3(self, product: str, account: str, request: Request) -> object:
        """Return open positions with their quantile."""
        markets = self._asked(product, request)
        seen, board = await self._seen(account), self._markets.board
        return [
            words.position_v3(
                market,
                held,
                hedge_mode=seen.holdings.hedge_mode,
                indicator=seen.indicator(board, held),
                liquidation=liquidation_ticks(held, seen.holdings, market.terms, market.mark_ticks),
                time_ms=seen.holdings.time_ms,
            )
            for market, held in _held(markets, seen)
        ]

    async def positions_v2(self, product: str, account: str, request: Request) -> object:
        """Return open positions in the form without a quantile."""
        markets = self._asked(product, request)
        seen = await self._seen(account)
        return [
            words.position_v2(
                market,
                held,
                hedge_mode=seen.holdings.hedge_mode,
                liquidation=liquidation_ticks(held, seen.holdings, market.terms, market.mark_ticks),
                time_ms=seen.holdings.time_ms,
            )
            for market, held in _held(markets, seen)
        ]

    async def balances(self, product: str, account: str, _request: Request) -> object:
        """Return the account's money in each asset in which the product's contracts settle."""
        settled = {m.terms.settle: m.cash_decimals for m in self._markets.all(product)}
        holdings = (await self._seen(account)).holdings
        rows = []
        for wallet in holdings.wallets:
            if wallet.asset in settled:
                mine = [
                    held
                    for market in self._markets.all(product)
                    if market.terms.settle == wallet.asset
                    for held in holdings.of(market.instrument.contract)
                ]
                decimals = settled[wallet.asset]
                rows.append(words.asset_row(wallet.asset, decimals, wallet.balance_cash, mine))
        return {"assets": rows, "positions": []}

    async def brackets(self, product: str, _account: str, request: Request) -> object:
        """Return margin tiers."""
        return [wire.leverage_bracket(market) for market in self._asked(product, request)]

    async def forced(self, product: str, account: str, request: Request) -> object:
        """Return ADL fills and takeovers of the account, oldest first."""
        symbol = text(request, "symbol")
        contract = self._one(product, symbol).instrument.contract if symbol else None
        kind = text(request, "autoCloseType")
        if kind not in AUTO_CLOSE:
            raise BinanceRequestError(wire.invalid("autoCloseType"))
        limit = FORCED_LIMIT if (asked := whole(request, "limit")) is None else asked
        if not 1 <= limit <= FORCED_MOST:
            raise BinanceRequestError(wire.invalid("limit"))
        since_ms, until_ms = self._period(product, request)
        closings = self._fills.of(
            account, contract, since_ms=since_ms, until_ms=until_ms, adl=AUTO_CLOSE[kind]
        )
        holdings = (await self._seen(account)).holdings
        rows = [self._forced(each, holdings) for each in closings if self._in(product, each)]
        return rows[-limit:]

    def _period(self, product: str, request: Request) -> tuple[int, int]:
        since_ms, until_ms = whole(request, "startTime"), whole(request, "endTime")
        until_ms = self._runner.now_ms() if until_ms is None else until_ms
        if since_ms is None:
            return until_ms - FORCED_WINDOW_MS[product], until_ms
        if since_ms > until_ms:
            raise BinanceRequestError(wire.invalid("startTime"))
        return since_ms, until_ms

    def _in(self, product: str, closing: ForcedOrder) -> bool:
        return self._markets.product(closing.event.contract) == product

    def _forced(self, closing: ForcedOrder, holdings: Holdings) -> wire.Json:
        market = self._markets.of_contract(closing.event.contract)
        mode, time_ms = holdings.hedge_mode, closing.time_ms
        return words.force_order(market, closing.event, hedge_mode=mode, time_ms=time_ms)

    def _asked(self, product: str, request: Request) -> list[wire.Market]:
        """Return the contract that a request names, or all of fapi's or dapi's."""
        symbol = text(request, "symbol")
        return self._markets.all(product) if symbol is None else [self._one(product, symbol)]

    def _one(self, product: str, symbol: str) -> wire.Market:
        market = self._markets.one(product, symbol)
        if market is None:
            raise BinanceRequestError(wire.BAD_SYMBOL)
        return market

    async def _seen(self, account: str) -> AccountSnapshot:
        """Return what the account holds; refused where the venue has not told of it yet."""
        seen = await self._runner.read(account_query(account))
        if seen is None:
            raise BinanceRequestError(wire.UNKNOWN_KEY)
        return seen


def _held(markets: list[wire.Market], seen: AccountSnapshot) -> Iterator[tuple[wire.Market, Position]]:
    """Yield each open position with its contract at the mark that it is valued at."""
    for market in markets:
        for held in seen.holdings.of(market.instrument.contract):
            yield replace(market, mark_ticks=seen.marks[held.contract]), held


def _quantile(
    market: wire.Market, seen: AccountSnapshot, held: tuple[Position, ...], board: Board
) -> wire.Json:
    shown = {position.side: seen.indicator(board, position) for position in held}
    isolated = any(position.isolated for position in held)
    mode = seen.holdings.hedge_mode
    return words.adl_quantile(market.symbol, shown, hedge_mode=mode, isolated=isolated)
