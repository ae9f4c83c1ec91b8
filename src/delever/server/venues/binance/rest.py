"""The routes of the Binance-compatible API, with their weights."""

from collections.abc import Awaitable, Callable
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
    BinanceRequestError,
    RequestAuthenticator,
    text,
)
from delever.server.venues.binance.markets import ANSWERS, DAPI, FAPI, Markets
from delever.server.venues.binance.rate_limits import BinanceRateLimiter
from delever.server.venues.binance.streams import UserDataStreams
from delever.server.venues.fill_log import FillLog

Handler = Callable[[Request], Awaitable[bytes]]
Endpoint = Callable[[str, str, Request], Awaitable[object]]
"""A private endpoint: product, account and request to the answer's data."""

SYMBOL = b"symbol="

ALL_PREMIUMS = 10
"""Weight of premiumIndex without a symbol."""

TIMES = {"/fapi/v1/time", "/dapi/v1/time"}


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

    parts = ("fapi", "dapi", "papi", "sapi", "ws", "stream", "private", "public", "market", "pm")

    def __init__(self, config: Config, runner: Runner, keyring: Keyring, fills: FillLog) -> None:
        self._now_ms = runner.now_ms
        self._limiter = BinanceRateLimiter(config.binance, runner.now_ms)
        self._authenticator = RequestAuthenticator(keyring, runner.now_ms)
        self._markets = Markets(config, runner.market_snapshot)
        self._accounts = AccountEndpoints(runner, self._markets, fills)
        self._streams = UserDataStreams(runner, self._markets)
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
        table: tuple[tuple[str, Endpoint, str, int, int], ...] = (
            ("/fapi/v1/adlQuantile", accounts.quantiles, FAPI, 5, 5),
            ("/dapi/v1/adlQuantile", accounts.quantiles, DAPI, 5, 5),
            ("/papi/v1/um/adlQuantile", accounts.quantiles, FAPI, 5, 5),
            ("/papi/v1/cm/adlQuantile", accounts.quantiles, DAPI, 5, 5),
            ("/fapi/v3/positionRisk", accounts.positions_v3, FAPI, 5, 5),
            ("/fapi/v2/positionRisk", accounts.positions_v2, FAPI, 5, 5),
            ("/dapi/v1/positionRisk", accounts.positions_v2, DAPI, 1, 1),
            ("/papi/v1/um/positionRisk", accounts.positions_v2, FAPI, 5, 5),
            ("/papi/v1/cm/positionRisk", accounts.positions_v2, DAPI, 1, 1),
            ("/fapi/v3/account", accounts.balances, FAPI, 5, 5),
            ("/fapi/v2/account", accounts.balances, FAPI, 5, 5),
            ("/dapi/v1/account", accounts.balances, DAPI, 5, 5),
            ("/fapi/v1/forceOrders", accounts.forced_orders, FAPI, 20, 50),
            ("/dapi/v1/forceOrders", accounts.forced_orders, DAPI, 20, 50),
            ("/fapi/v1/leverageBracket", accounts.brackets, FAPI, 1, 1),
            ("/dapi/v1/leverageBracket", accounts.brackets, DAPI, 1, 1),
            ("/dapi/v2/leverageBracket", accounts.brackets, DAPI, 1, 1),
            ("/papi/v1/um/leverageBracket", accounts.brackets, FAPI, 1, 1),
            ("/papi/v1/cm/leverageBracket", accounts.brackets, DAPI, 1, 1),
        )
        routes = {
            ("GET", path): Route(self._signed(endpoint, product), weight, without)
            for path, endpoint, product, weight, without in table
        }
        return routes | {("GET", "/sapi/v1/capital/config/getall"): Route(self._no_coins)}

    def _key_routes(self) -> dict[tuple[str, str], Route]:
        methods = {"POST": self._open, "PUT": self._extend, "DELETE": self._close}
        return {
            (method, f"/{api}/v1/listenKey"): Route(handler)
            for api in (FAPI, DAPI, "papi")
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

    async def _no_coins(self, request: Request) -> bytes:
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
