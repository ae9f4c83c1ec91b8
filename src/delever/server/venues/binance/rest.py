"""The Binance-compatible API: USDⓈ-M (fapi), COIN-M (dapi), portfolio margin (papi).

    binance_limits    weights, 429, 418
    binance_access    keys, signatures, parameters
    binance_markets   public answers, encoded once a board
    binance_account   answers to one account
    binance_stream    listen keys and the user data stream

docs/reference/binance.md lists what is served, and what differs.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from delever.config import Config
from delever.server.engine.market_snapshot import Board
from delever.server.engine.service import Runner, StoppedError
from delever.server.transport.api_keys import Keyring
from delever.server.transport.asgi import Headers, Reply, Request
from delever.server.transport.websockets import Socket
from delever.server.venues.binance import payloads as wire
from delever.server.venues.binance.account import Accounts
from delever.server.venues.binance.authentication import Access, BinanceRequestError, text
from delever.server.venues.binance.markets import DAPI, FAPI, PAGES, Markets
from delever.server.venues.binance.rate_limits import Gate
from delever.server.venues.binance.streams import Streams
from delever.server.venues.fill_log import FillLog

Handler = Callable[[Request], Awaitable[bytes]]
Question = Callable[[str, str, Request], Awaitable[object]]

SYMBOL = b"symbol="

ALL_PREMIUMS = 10
"""Weight of premiumIndex without a symbol."""

TIMES = {"/fapi/v1/time", "/dapi/v1/time"}


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path: what answers it, and its weight with a symbol and without."""

    handler: Handler
    with_symbol: int = 1
    without: int = 1

    def weight(self, query: bytes) -> int:
        """Return the weight of a request."""
        named = query.startswith(SYMBOL) or b"&" + SYMBOL in query
        return self.with_symbol if named else self.without


class Binance:
    """The venue behind the front."""

    parts = ("fapi", "dapi", "papi", "sapi", "ws", "stream", "private", "public", "market", "pm")

    def __init__(self, config: Config, runner: Runner, keyring: Keyring, fills: FillLog) -> None:
        self._now_ms = runner.now_ms
        self._gate = Gate(config.binance, runner.now_ms)
        self._access = Access(keyring, runner.now_ms)
        self._markets = Markets(config, runner.board)
        self._accounts = Accounts(runner, self._markets, fills)
        self._streams = Streams(runner, self._markets)
        self._routes = {**self._public_routes(), **self._account_routes(), **self._key_routes()}
        runner.board_listeners.append(self._take)

    def _take(self, board: Board) -> None:
        self._markets.take(board)
        self._streams.expire()

    def answer_now(self, path: str, query: bytes, address: str) -> Reply | None:
        """Answer a public GET that names no more than a symbol; None leaves it to `answer`."""
        if path in TIMES:
            body: bytes | None = self._time()
        elif path not in PAGES or (query and not query.startswith(SYMBOL)):
            return None
        else:
            symbol = query[len(SYMBOL) :].decode("latin-1") if query else None
            body = None if symbol == "" else self._markets.page(path, symbol)
        if body is None:
            return None
        headers, refusal = self._gate.admit(address, self._routes["GET", path].weight(query))
        return refusal or Reply(body, headers=headers)

    async def answer(self, request: Request) -> Reply:
        """Answer any request."""
        route = self._routes.get((request.method, request.path))
        weight = route.weight(request.query) if route else 1
        headers, refusal = self._gate.admit(request.address, weight)
        if refusal is not None:
            return refusal
        if route is None:
            return _refused(wire.no_such_path(request.path, request.method), headers)
        try:
            return Reply(await route.handler(request), headers=headers)
        except BinanceRequestError as refused:
            return _refused(refused.problem, headers)
        except StoppedError:
            return _refused(wire.BUSY, headers)

    async def converse(self, socket: Socket) -> None:
        """Serve a user data stream."""
        await self._streams.converse(socket)

    # --- routes ---

    def _public_routes(self) -> dict[tuple[str, str], Route]:
        heavy = {path: ALL_PREMIUMS for path in PAGES if path.endswith("/premiumIndex")}
        pages = {("GET", path): Route(self._page, 1, heavy.get(path, 1)) for path in PAGES}
        return pages | {("GET", path): Route(self._server_time) for path in TIMES}

    def _account_routes(self) -> dict[tuple[str, str], Route]:
        accounts = self._accounts
        table: tuple[tuple[str, Question, str, int, int], ...] = (
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
            ("/fapi/v1/forceOrders", accounts.forced, FAPI, 20, 50),
            ("/dapi/v1/forceOrders", accounts.forced, DAPI, 20, 50),
            ("/fapi/v1/leverageBracket", accounts.brackets, FAPI, 1, 1),
            ("/dapi/v1/leverageBracket", accounts.brackets, DAPI, 1, 1),
            ("/dapi/v2/leverageBracket", accounts.brackets, DAPI, 1, 1),
            ("/papi/v1/um/leverageBracket", accounts.brackets, FAPI, 1, 1),
            ("/papi/v1/cm/leverageBracket", accounts.brackets, DAPI, 1, 1),
        )
        routes = {
            ("GET", path): Route(self._signed(question, product), weight, without)
            for path, question, product, weight, without in table
        }
        return routes | {("GET", "/sapi/v1/capital/config/getall"): Route(self._no_coins)}

    def _key_routes(self) -> dict[tuple[str, str], Route]:
        methods = {"POST": self._open, "PUT": self._keep, "DELETE": self._close}
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

    async def _page(self, request: Request) -> bytes:
        body = self._markets.page(request.path, text(request, "symbol"))
        if body is None:
            raise BinanceRequestError(wire.BAD_SYMBOL)
        return body

    def _signed(self, question: Question, product: str) -> Handler:
        async def handler(request: Request) -> bytes:
            holder = self._access.by_signature(request)
            return wire.encode(await question(product, holder.account or "", request))

        return handler

    async def _no_coins(self, request: Request) -> bytes:
        self._access.by_signature(request)
        return b"[]"

    async def _open(self, request: Request) -> bytes:
        holder = self._access.by_key(request)
        key = self._streams.open(_api(request), holder, holder.account or "")
        return wire.encode({"listenKey": key})

    async def _keep(self, request: Request) -> bytes:
        key = self._streams.keep(_api(request), self._access.by_key(request))
        if key is None:
            raise BinanceRequestError(wire.NO_LISTEN_KEY)
        return wire.encode({"listenKey": key})

    async def _close(self, request: Request) -> bytes:
        self._streams.close(_api(request), self._access.by_key(request))
        return b"{}"


def _api(request: Request) -> str:
    return request.path.split("/", 2)[1]


def _refused(problem: payloads.ErrorResponse, headers: Headers) -> Reply:
    return Reply(problem.body, problem.status, headers)
