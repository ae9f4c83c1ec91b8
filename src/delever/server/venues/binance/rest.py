"""The routes of the Binance-compatible API, with their weights."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

from delever.config import Config
from delever.server.engine.market_snapshot import MarketSnapshot
from delever.server.engine.runner import Runner, StoppedError
from delever.server.transport.api_keys import Keyring
from delever.server.transport.asgi import Headers, Reply, Request
from delever.server.transport.websockets import Socket
from delever.server.venues.binance import payloads
from delever.server.venues.binance.account import AccountEndpoints
from delever.server.venues.binance.authentication import (
    FAILED_LOGINS,
    BinanceRateLimiter,
    BinanceRequestError,
    RequestAuthenticator,
    text,
)
from delever.server.venues.binance.markets import ANSWERS, DAPI, FAPI, Markets
from delever.server.venues.binance.orders import OrderEndpoints
from delever.server.venues.binance.streams import UserDataStreams
from delever.server.venues.fill_log import FillLog

Handler = Callable[[Request], Awaitable[bytes]]
Endpoint = Callable[[str, str, Request], Awaitable[object]]
"""A private endpoint: product, account and request to the answer's data."""

EndpointRow = tuple[str, Endpoint, int, int]
"""A path, its endpoint, and its weight with a symbol and without."""

_CONDITIONAL_LISTS = (
    *("openAlgoOrders", "allAlgoOrders", "conditional/openOrders", "conditional/allOrders"),
    "conditional/orderHistory",
)
_MARGIN_LISTS = ("openOrders", "allOrders", "myTrades")
"""Lists of conditional and of margin orders, which are empty here."""

_SPOT_LISTS = (
    *("/sapi/v1/capital/config/getall", "/sapi/v1/asset/tradeFee", "/api/v3/openOrders"),
    *("/api/v3/allOrders", "/api/v3/myTrades"),
)
"""Private lists of the spot market, which are empty here."""

_LINEAR = ("/fapi/v1", "/papi/v1/um")
_INVERSE = ("/dapi/v1", "/papi/v1/cm")

SYMBOL = b"symbol="

ALL_PREMIUMS = 10
"""Weight of premiumIndex without a symbol."""

TIMES = {"/api/v3/time", "/fapi/v1/time", "/dapi/v1/time"}


@dataclass(frozen=True, slots=True)
class Route:
    """The handler of one method and path, and its weight with a symbol and without."""

    handler: Handler
    with_symbol: int = 1
    without: int = 1

    def weight(self, query: bytes) -> int:
        """Return the weight of a request."""
        named = query.startswith(SYMBOL) or b"&" + SYMBOL in query
        return self.with_symbol if named else self.without


class BinanceApi:
    """The Binance-compatible venue behind the router."""

    parts = (
        *("api/v3", "fapi", "dapi", "papi", "sapi"),
        *("ws", "stream", "private", "public", "market", "pm"),
    )

    def __init__(self, config: Config, runner: Runner, keyring: Keyring, fills: FillLog) -> None:
        self._now_ms = runner.now_ms
        self._limiter = BinanceRateLimiter(config.binance, runner.now_ms)
        self._keyring = keyring
        self._authenticator = RequestAuthenticator(keyring, runner.now_ms)
        self._markets = Markets(config, runner.market_snapshot)
        self._accounts = AccountEndpoints(runner, self._markets)
        self._orders = OrderEndpoints(runner, self._markets, fills)
        self._streams = UserDataStreams(runner, self._markets, keyring)
        self._routes = {**self._public_routes(), **self._account_routes(), **self._key_routes()}
        runner.snapshot_listeners.append(self._update)

    def _update(self, snapshot: MarketSnapshot) -> None:
        self._markets.update(snapshot)
        self._streams.expire()

    def cached_reply(self, path: str, query: bytes, address: str) -> Reply | None:
        """Return the reply to a public GET with at most a symbol, or None for other requests."""
        if path in TIMES:
            body: bytes | None = self._time()
        elif path not in ANSWERS or (query and not query.startswith(SYMBOL)):
            return None
        else:
            symbol = query[len(SYMBOL) :].decode("latin-1") if query else None
            body = None if symbol == "" else self._markets.answer(path, symbol)
        if body is None:
            return None
        headers, rejection = self._limiter.admit(address, self._routes["GET", path].weight(query))
        return rejection or Reply(body, headers=headers)

    async def answer(self, request: Request) -> Reply:
        """Return the reply to any request."""
        route = self._routes.get((request.method, request.path))
        weight = route.weight(request.query) if route else 1
        headers, rejection = self._limiter.admit(request.address, weight)
        if rejection is not None:
            return rejection
        if route is None:
            return _error_reply(payloads.unknown_path(request.path, request.method), headers)
        try:
            return Reply(await route.handler(request), headers=headers)
        except BinanceRequestError as error:
            if error.code in FAILED_LOGINS:
                await self._keyring.failed_logins.report("binance", request.address, error.code.msg)
            return _error_reply(error.code, headers)
        except StoppedError:
            return _error_reply(payloads.BUSY, headers)

    async def serve_socket(self, socket: Socket) -> None:
        """Serve a user data stream until its socket closes."""
        await self._streams.serve_socket(socket)

    # --- routes ---

    def _public_routes(self) -> dict[tuple[str, str], Route]:
        heavy = {path: ALL_PREMIUMS for path in ANSWERS if path.endswith("/premiumIndex")}
        routes = {
            ("GET", path): Route(self._public_answer, 1, heavy.get(path, 1)) for path in ANSWERS
        }
        return routes | {("GET", path): Route(self._server_time) for path in TIMES}

    def _account_routes(self) -> dict[tuple[str, str], Route]:
        accounts = self._accounts
        linear: tuple[EndpointRow, ...] = (
            ("/fapi/v3/positionRisk", accounts.positions_v3, 5, 5),
            ("/fapi/v2/positionRisk", accounts.positions_v2, 5, 5),
            ("/papi/v1/um/positionRisk", accounts.positions_v2, 5, 5),
            ("/fapi/v3/account", accounts.account, 5, 5),
            ("/fapi/v2/account", accounts.account, 5, 5),
            ("/papi/v1/um/account", accounts.account, 5, 5),
            ("/papi/v2/um/account", accounts.account, 5, 5),
            ("/fapi/v3/balance", accounts.balances, 5, 5),
            ("/fapi/v2/balance", accounts.balances, 5, 5),
            ("/fapi/v1/multiAssetsMargin", accounts.assets_mode, 30, 30),
            *((f"{base}/accountConfig", accounts.account_config, 5, 5) for base in _LINEAR),
            *((f"{base}/symbolConfig", accounts.symbol_config, 5, 5) for base in _LINEAR),
            *((f"{base}/feeBurn", accounts.fee_burn, 30, 30) for base in _LINEAR),
            ("/api/v3/account", accounts.spot_account, 20, 20),
            ("/papi/v1/account", accounts.unified_account, 20, 20),
            ("/papi/v1/balance", accounts.unified_balances, 20, 20),
            ("/fapi/v1/apiTradingStatus", accounts.trading_status, 1, 10),
            ("/papi/v1/um/apiTradingStatus", accounts.trading_status, 1, 10),
            *((f"/papi/v1/margin/{name}", self._orders.no_orders, 5, 5) for name in _MARGIN_LISTS),
            ("/papi/v1/rateLimit/order", accounts.order_limits, 1, 1),
            ("/fapi/v1/rateLimit/order", accounts.order_limits, 1, 1),
            *self._shared_endpoints(_LINEAR),
        )
        inverse: tuple[EndpointRow, ...] = (
            ("/dapi/v1/positionRisk", accounts.positions_v2, 1, 1),
            ("/papi/v1/cm/positionRisk", accounts.positions_v2, 1, 1),
            ("/dapi/v1/account", accounts.account, 5, 5),
            ("/papi/v1/cm/account", accounts.account, 5, 5),
            ("/dapi/v1/balance", accounts.balances, 1, 1),
            *self._shared_endpoints(_INVERSE),
            ("/dapi/v1/leverageBracket", accounts.pair_brackets, 1, 1),
            ("/dapi/v2/leverageBracket", accounts.brackets, 1, 1),
        )
        routes = {
            ("GET", path): Route(self._signed(endpoint, product), weight, without)
            for product, table in ((FAPI, linear), (DAPI, inverse))
            for path, endpoint, weight, without in table
        }
        none, modes = Route(self._nothing), self._mode_routes()
        return routes | modes | {("GET", path): none for path in _SPOT_LISTS}

    def _mode_routes(self) -> dict[tuple[str, str], Route]:
        """Return the routes on which bots set modes at their start: they are as they are."""
        accounts = self._accounts
        products = {**dict.fromkeys(_LINEAR, FAPI), **dict.fromkeys(_INVERSE, DAPI)}
        routes = {
            ("POST", f"{base}/positionSide/dual"): Route(
                self._signed(accounts.change_position_mode, product)
            )
            for base, product in products.items()
        }
        assets = Route(self._signed(accounts.change_assets_mode, FAPI))
        return routes | {("POST", "/fapi/v1/multiAssetsMargin"): assets}

    def _shared_endpoints(self, bases: Iterable[str]) -> Iterator[EndpointRow]:
        """Yield the endpoints that USDⓈ-M, COIN-M and both parts of portfolio margin have."""
        accounts, orders = self._accounts, self._orders
        for base in bases:
            yield f"{base}/adlQuantile", accounts.quantiles, 5, 5
            yield f"{base}/leverageBracket", accounts.brackets, 1, 1
            yield f"{base}/positionSide/dual", accounts.position_mode, 30, 30
            yield f"{base}/commissionRate", accounts.commission_rate, 20, 20
            yield f"{base}/userTrades", orders.trades, 5, 40
            yield f"{base}/allOrders", orders.orders, 5, 40
            yield f"{base}/order", orders.order, 1, 1
            yield f"{base}/openOrders", orders.no_orders, 1, 40
            yield f"{base}/openOrder", orders.no_order, 1, 1
            for name in _CONDITIONAL_LISTS:
                yield f"{base}/{name}", orders.no_orders, 1, 40
            yield f"{base}/forceOrders", orders.forced_orders, 20, 50
            yield f"{base}/income", orders.income, 30, 30

    def _key_routes(self) -> dict[tuple[str, str], Route]:
        methods = {"POST": self._open, "PUT": self._extend, "DELETE": self._close}
        paths = [f"/{api}/v1/listenKey" for api in (FAPI, DAPI, "papi")]
        return {
            (method, path): Route(handler)
            for path in (*paths, "/api/v3/userDataStream")
            for method, handler in methods.items()
        }

    # --- handlers ---

    def _time(self) -> bytes:
        return b'{"serverTime":%d}' % self._now_ms()

    async def _server_time(self, _request: Request) -> bytes:
        return self._time()

    async def _public_answer(self, request: Request) -> bytes:
        body = self._markets.answer(request.path, text(request, "symbol"))
        if body is None:
            raise BinanceRequestError(payloads.BAD_SYMBOL)
        return body

    def _signed(self, endpoint: Endpoint, product: str) -> Handler:
        async def handler(request: Request) -> bytes:
            api_key = self._authenticator.by_signature(request)
            return payloads.encode(await endpoint(product, api_key.account or "", request))

        return handler

    async def _nothing(self, request: Request) -> bytes:
        self._authenticator.by_signature(request)
        return b"[]"

    async def _open(self, request: Request) -> bytes:
        api_key = self._authenticator.by_key(request)
        key = self._streams.open(_api(request), api_key, api_key.account or "")
        return payloads.encode({"listenKey": key})

    async def _extend(self, request: Request) -> bytes:
        key = self._streams.extend(_api(request), self._authenticator.by_key(request))
        if key is None:
            raise BinanceRequestError(payloads.NO_LISTEN_KEY)
        return payloads.encode({"listenKey": key})

    async def _close(self, request: Request) -> bytes:
        self._streams.close(_api(request), self._authenticator.by_key(request))
        return b"{}"


def _api(request: Request) -> str:
    return request.path.split("/", 2)[1]


def _error_reply(code: payloads.BinanceErrorCode, headers: Headers) -> Reply:
    return Reply(code.body, code.status, headers)
