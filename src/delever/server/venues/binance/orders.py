"""Where clients look for an ADL at Binance: forced orders, trades, orders and income of an account.

ADL fills and takeovers are the only orders that the engine has: open orders are none.
"""

from collections.abc import Callable

from delever.server.engine.account_snapshot import AccountSnapshot
from delever.server.engine.runner import Runner
from delever.server.transport.asgi import Request
from delever.server.venues.account_reader import account_query
from delever.server.venues.binance import account_payloads, payloads
from delever.server.venues.binance.authentication import BinanceRequestError, text, whole
from delever.server.venues.binance.markets import DAPI, FAPI, Markets
from delever.server.venues.fill_log import FillLog, ForcedOrder

DAY_MS = 24 * 3_600_000
FORCED_WINDOW_MS = {FAPI: 7 * DAY_MS, DAPI: 200 * DAY_MS}
"""The period of forceOrders before its end, without a start time."""

ALL_MS = 10**15
"""A period longer than any journal's."""

DEFAULT_FORCED_ORDERS, MAX_FORCED_ORDERS = 50, 100
DEFAULT_ROWS, MAX_ROWS = 500, 1_000
DEFAULT_INCOME = 100
AUTO_CLOSE = {None: None, "ADL": True, "LIQUIDATION": False}


class OrderEndpoints:
    """Answers private requests for orders and trades, from the fill log."""

    def __init__(self, runner: Runner, markets: Markets, fills: FillLog) -> None:
        self._runner = runner
        self._markets = markets
        self._fills = fills

    async def forced_orders(self, product: str, account: str, request: Request) -> object:
        """Return the account's ADL fills and takeovers, oldest first."""
        kind = text(request, "autoCloseType")
        if kind not in AUTO_CLOSE:
            raise BinanceRequestError(payloads.invalid_parameter("autoCloseType"))
        limit = _limit(request, DEFAULT_FORCED_ORDERS, MAX_FORCED_ORDERS)
        orders = self._orders(product, account, request, adl=AUTO_CLOSE[kind])
        return await self._rows(account, orders[-limit:], account_payloads.force_order)

    async def trades(self, product: str, account: str, request: Request) -> object:
        """Return the account's trades, oldest first: `fromId` and `orderId` select."""
        first, order = whole(request, "fromId"), whole(request, "orderId")
        limit = _limit(request, DEFAULT_ROWS, MAX_ROWS)
        found = [
            each
            for each in self._orders(product, account, request)
            if first is None or account_payloads.trade_id(each.event) >= first
            if order in {None, account_payloads.order_id(each.event)}
        ]
        chosen = found[-limit:] if first is None else found[:limit]
        return await self._rows(account, chosen, account_payloads.trade_row)

    async def orders(self, product: str, account: str, request: Request) -> object:
        """Return the account's orders, oldest first: all are filled."""
        first = whole(request, "orderId")
        limit = _limit(request, DEFAULT_ROWS, MAX_ROWS)
        found = [
            each
            for each in self._orders(product, account, request)
            if first is None or account_payloads.order_id(each.event) >= first
        ]
        return await self._rows(account, found[-limit:], account_payloads.order_row)

    async def order(self, product: str, account: str, request: Request) -> object:
        """Return one order, by `orderId` or, the newest of that name, `origClientOrderId`."""
        number, name = whole(request, "orderId"), text(request, "origClientOrderId")
        if number is None and name is None:
            raise BinanceRequestError(payloads.missing_parameter("orderId"))
        found = [
            each
            for each in self._orders(product, account, request, window_ms=ALL_MS)
            if number in {None, account_payloads.order_id(each.event)}
            if name in {None, account_payloads.client_order_id(each.event)}
        ]
        if not found:
            raise BinanceRequestError(payloads.NO_ORDER)
        return (await self._rows(account, found[-1:], account_payloads.order_row))[0]

    async def income(self, product: str, account: str, request: Request) -> object:
        """Return what forced orders have brought, oldest first; USDⓈ-M has ids as numbers."""
        as_text = not request.path.startswith(f"/{FAPI}/")
        kind = text(request, "incomeType")
        limit = _limit(request, DEFAULT_INCOME, MAX_ROWS)
        rows = [
            row | ({"tranId": str(row["tranId"])} if as_text else {})
            for order in self._orders(product, account, request)
            for row in account_payloads.income_rows(
                self._market(order), order.event, time_ms=order.time_ms
            )
            if kind in {None, row["incomeType"]}
        ]
        return rows[-limit:]

    async def no_orders(self, product: str, _account: str, request: Request) -> object:
        """Return no open orders: the engine has their ids only."""
        self._contract(product, request)
        return []

    async def no_order(self, _product: str, _account: str, _request: Request) -> object:
        """Reject a request for an open order."""
        raise BinanceRequestError(payloads.NO_ORDER)

    # --- selection ---

    def _contract(self, product: str, request: Request) -> str | None:
        """Return the contract of a request's symbol, or None without one."""
        symbol = text(request, "symbol")
        if symbol is None:
            return None
        found = self._markets.instrument(product, symbol)
        if found is None:
            raise BinanceRequestError(payloads.BAD_SYMBOL)
        return found.contract

    def _orders(
        self,
        product: str,
        account: str,
        request: Request,
        *,
        adl: bool | None = None,
        window_ms: int | None = None,
    ) -> list[ForcedOrder]:
        """Return the forced orders of a request's symbol, pair and period, oldest first."""
        contract, pair = self._contract(product, request), text(request, "pair")
        since_ms, until_ms = self._period(request, window_ms or FORCED_WINDOW_MS[product])
        found = self._fills.of(account, contract, since_ms=since_ms, until_ms=until_ms, adl=adl)
        return [
            order
            for order in found
            if self._markets.product(order.event.contract) == product
            if pair in {None, self._pair(order)}
        ]

    def _pair(self, order: ForcedOrder) -> str:
        return payloads.pair_of(self._markets.of_contract(order.event.contract).instrument)

    def _period(self, request: Request, window_ms: int) -> tuple[int, int]:
        """Return the first and last millisecond of a request, by default the last `window_ms`."""
        since_ms, until_ms = whole(request, "startTime"), whole(request, "endTime")
        until_ms = self._runner.now_ms() if until_ms is None else until_ms
        if since_ms is None:
            return until_ms - window_ms, until_ms
        if since_ms > until_ms:
            raise BinanceRequestError(payloads.invalid_parameter("startTime"))
        return since_ms, until_ms

    async def _rows(
        self, account: str, orders: list[ForcedOrder], row: Callable[..., payloads.Json]
    ) -> list[payloads.Json]:
        hedge_mode = (await self._read(account)).hedge_mode
        return [
            row(self._market(order), order.event, hedge_mode=hedge_mode, time_ms=order.time_ms)
            for order in orders
        ]

    def _market(self, order: ForcedOrder) -> payloads.Market:
        """Return the market of an order, with the units of its time."""
        return self._markets.of_contract(order.event.contract).at(order.sequence)

    async def _read(self, account: str) -> AccountSnapshot:
        """Read the account; BinanceRequestError if the venue has not submitted it yet."""
        reading = await self._runner.read(account_query(account))
        if reading is None:
            raise BinanceRequestError(payloads.UNKNOWN_KEY)
        return reading.account


def _limit(request: Request, default: int, largest: int) -> int:
    """Return the number of rows that a request asks for; BinanceRequestError if out of range."""
    requested = whole(request, "limit")
    limit = default if requested is None else requested
    if not 1 <= limit <= largest:
        raise BinanceRequestError(payloads.invalid_parameter("limit"))
    return limit
