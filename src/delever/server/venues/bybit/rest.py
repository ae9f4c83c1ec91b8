"""The REST routes of the Bybit-compatible V5 API.

Every request is answered with HTTP 200 and a retCode, as Bybit's clients expect, except a
rate-limited address, an unknown path, and a method other than GET.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from delever.core.messages import AdlFilled
from delever.server.engine.runner import Runner
from delever.server.transport.api_keys import ApiKey, Keyring
from delever.server.transport.asgi import Headers, Reply, Request
from delever.server.transport.websockets import Socket
from delever.server.venues.account_reader import account_query, readable_account
from delever.server.venues.bybit import account_payloads, payloads
from delever.server.venues.bybit.account import BybitAccount, market_of
from delever.server.venues.bybit.authentication import BybitRateLimiter, authenticate
from delever.server.venues.bybit.markets import ALERTS, INSURANCE, MarketDataCache
from delever.server.venues.bybit.streams import IDLE_S, BybitStreams
from delever.server.venues.fill_log import FillLog, ForcedOrder
from delever.server.venues.symbols import Instrument, SymbolMap, SymbolMapCache

WEEK_MS = 7 * 24 * 3_600_000
MAX_SYMBOLS = 10

Result = bytes | payloads.BybitErrorCode
Params = Mapping[str, str]


class BybitApi:
    """The Bybit-compatible venue behind the router. Construct it before the runner starts."""

    parts = ("v5",)

    def __init__(
        self, runner: Runner, keyring: Keyring, fills: FillLog, idle_s: float = IDLE_S
    ) -> None:
        self._runner = runner
        self._keyring = keyring
        self._fills = fills
        self._symbol_maps = SymbolMapCache(runner.config.contracts)
        self._cache = MarketDataCache(runner.config, self._symbol_maps, runner.market_snapshot)
        self._limiter = BybitRateLimiter(runner.config.bybit, runner.now_ms)
        self._streams = BybitStreams(runner, keyring, self._symbol_maps, idle_s)
        runner.snapshot_listeners.append(self._cache.update)
        self._public: dict[str, Callable[[Params], Result]] = {
            ALERTS: self._alert,
            INSURANCE: self._insurance,
            "/v5/market/time": lambda _: payloads.server_time(runner.now_ms()),
            "/v5/market/instruments-info": self._contracts,
        }
        self._private: dict[str, Callable[[ApiKey, Params], Awaitable[Result]]] = {
            "/v5/position/list": self._positions,
            "/v5/execution/list": self._executions,
            "/v5/account/wallet-balance": self._wallet,
            "/v5/user/query-api": self._key_info,
            "/v5/account/info": self._account_info,
            "/v5/asset/coin/query-info": self._no_coins,
        }

    @property
    def _symbols(self) -> SymbolMap:
        return self._symbol_maps.of(self._runner.market_snapshot)

    # --- entry points for the router ---

    def cached_reply(self, path: str, query: bytes, address: str) -> Reply | None:
        """Return the cached reply to an adlAlert or insurance request, or None for others."""
        result = self._cache.results.get((path, query))
        if result is None:
            return None
        headers, rejection = self._limiter.admit(address)
        return rejection or Reply(payloads.answer(result, self._runner.now_ms()), 200, headers)

    async def answer(self, request: Request) -> Reply:
        """Return the reply to any request."""
        headers, rejection = self._limiter.admit(request.address)
        if rejection:
            return rejection
        if request.path not in self._public and request.path not in self._private:
            return self._reply(payloads.NO_ROUTE, headers, 404)
        if request.method != "GET":
            why = f"method {request.method} is not allowed"
            return self._reply(payloads.PARAMETER.with_values(why=why), headers, 400)
        public = self._public.get(request.path)
        if public is None:
            return await self._answer_private(request, headers)
        return self._reply(public(request.params), headers)

    async def _answer_private(self, request: Request, headers: Headers) -> Reply:
        key = authenticate(request, self._keyring, self._runner.now_ms())
        if isinstance(key, payloads.BybitErrorCode):
            return self._reply(key, headers)
        headers, error = self._limiter.admit_key(key.id, request.path)
        if error is not None:
            return self._reply(error, headers)
        return self._reply(await self._private[request.path](key, request.params), headers)

    async def serve_socket(self, socket: Socket) -> None:
        """Serve a stream until its socket closes."""
        await self._streams.serve_socket(socket)

    def _reply(self, result: Result, headers: Headers, status: int = 200) -> Reply:
        now_ms = self._runner.now_ms()
        if isinstance(result, payloads.BybitErrorCode):
            return Reply(payloads.error_answer(result, now_ms), status, headers)
        return Reply(payloads.answer(result, now_ms), status, headers)

    # --- public ---

    def _alert(self, params: Params) -> Result:
        return self._cached(ALERTS, "symbol", params)

    def _insurance(self, params: Params) -> Result:
        return self._cached(INSURANCE, "coin", params)

    def _cached(self, path: str, field: str, params: Params) -> Result:
        wanted = params.get(field, "")
        result = self._cache.results.get((path, f"{field}={wanted}".encode() if wanted else b""))
        return result or payloads.PARAMETER.with_values(why=f"{field} {wanted!r} is unknown")

    def _contracts(self, params: Params) -> Result:
        category = params.get("category", "")
        if category not in {*payloads.CATEGORIES, "spot"}:
            return payloads.PARAMETER.with_values(why=f"category {category!r} is unknown")
        symbol, base = params.get("symbol"), params.get("baseCoin")
        wanted = params.get("status", "" if symbol else "Trading")
        listed = [
            instrument
            for instrument in sorted(self._symbols.all, key=lambda each: each.bybit)
            if payloads.category_of(instrument) == category
            if symbol in {None, instrument.bybit} and base in {None, instrument.base}
        ]
        if symbol and not listed:
            return payloads.PARAMETER.with_values(why=f"symbol {symbol!r} is unknown")
        contracts = self._runner.market_snapshot.contracts
        found = [
            payloads.contract_row(instrument, contract.terms, contract.status)
            for instrument in listed
            for contract in [contracts[instrument.contract]]
        ]
        rows = [(row["symbol"], row) for row in found if wanted in {"", row["status"]}]
        return _page_of(rows, category, params, default_limit=500, max_limit=1000)

    # --- private ---

    async def _positions(self, key: ApiKey, params: Params) -> Result:
        account = readable_account(key)
        if account is None:
            return payloads.NOT_PERMITTED
        category = params.get("category", "")
        chosen = _requested_contracts(self._symbols, category, params)
        if isinstance(chosen, payloads.BybitErrorCode):
            return chosen
        reading = await self._runner.read(account_query(account))
        if reading is None:
            return payloads.page([], category, "")
        owner = BybitAccount(self._runner.market_snapshot, self._symbols, reading)
        rows: list[tuple[str, dict[str, Any]]] = []
        for instrument in sorted(chosen, key=lambda listed: listed.bybit):
            found = [*owner.rows(instrument.contract)]
            if params.get("symbol"):
                found += owner.empty_rows(instrument.contract)
            for place, row in enumerate(found):
                rows.append((f"{instrument.bybit},{place:06}", row))
        return _page_of(rows, category, params, default_limit=20, max_limit=200)

    async def _executions(self, key: ApiKey, params: Params) -> Result:
        account = readable_account(key)
        if account is None:
            return payloads.NOT_PERMITTED
        category, symbol = params.get("category", ""), params.get("symbol", "")
        period = _period(params, self._runner.now_ms())
        if isinstance(period, payloads.BybitErrorCode):
            return period
        listed = _in_category(self._symbols, category, symbol)
        if isinstance(listed, payloads.BybitErrorCode):
            return listed
        since_ms, until_ms = period
        contracts = {instrument.contract for instrument in listed}
        orders = self._fills.of(account, since_ms=since_ms, until_ms=until_ms)
        kind = params.get("execType", "")
        rows = [
            self._execution(order)
            for order in reversed(orders)
            if order.event.contract in contracts
            if kind in {"", account_payloads.execution_type(order.event)}
        ]
        return _page_of(rows, category, params, default_limit=50, max_limit=100, descending=True)

    def _execution(self, order: ForcedOrder) -> tuple[str, dict[str, object]]:
        event = order.event
        market = market_of(self._runner.market_snapshot, self._symbols, event.contract)
        market = market.at(order.sequence)
        row = account_payloads.execution_row(market, order)
        number = event.fill if isinstance(event, AdlFilled) else event.takeover
        return f"{order.sequence:015},{int(order.is_adl)},{number:015}", row

    async def _wallet(self, key: ApiKey, _params: Params) -> Result:
        """Return the account's balances, as in the wallet topic of the stream."""
        if key.account is None:
            return payloads.NOT_PERMITTED
        reading = await self._runner.read(account_query(key.account))
        if reading is None:
            return msgspec.json.encode({"list": []})
        snapshot = self._runner.market_snapshot
        assets = {contract.terms.settle for contract in snapshot.contracts.values()}
        owner = BybitAccount(snapshot, self._symbols, reading)
        frame = account_payloads.wallet_frame([*owner.coins(assets)])
        return msgspec.json.encode({"list": [frame]})

    async def _key_info(self, key: ApiKey, _params: Params) -> Result:
        return account_payloads.key_info(key.id)

    async def _account_info(self, _key: ApiKey, _params: Params) -> Result:
        return account_payloads.account_info(self._runner.now_ms())

    async def _no_coins(self, _key: ApiKey, _params: Params) -> Result:
        return account_payloads.NO_COINS


# --- parameters ---


def _in_category(
    symbols: SymbolMap, category: str, symbol: str
) -> list[Instrument] | payloads.BybitErrorCode:
    """Return the contracts of a category, or those of a comma-separated list of symbols."""
    if category not in payloads.CATEGORIES:
        return payloads.PARAMETER.with_values(why=f"category {category!r} is unknown")
    if not symbol:
        return [listed for listed in symbols.all if payloads.category_of(listed) == category]
    wanted = symbol.split(",")
    if len(wanted) > MAX_SYMBOLS:
        why = f"symbol names more than {MAX_SYMBOLS} symbols"
        return payloads.PARAMETER.with_values(why=why)
    found = []
    for name in dict.fromkeys(wanted):
        instrument = symbols.by_bybit.get(name)
        if instrument is None or payloads.category_of(instrument) != category:
            why = f"symbol {name!r} is unknown in {category}"
            return payloads.PARAMETER.with_values(why=why)
        found.append(instrument)
    return found


def _requested_contracts(
    symbols: SymbolMap, category: str, params: Params
) -> list[Instrument] | payloads.BybitErrorCode:
    """Return the contracts whose positions are requested."""
    symbol, settle, base = (params.get(name, "") for name in ("symbol", "settleCoin", "baseCoin"))
    found = _in_category(symbols, category, symbol)
    if isinstance(found, payloads.BybitErrorCode) or symbol:
        return found
    if category == "linear" and not settle and not base:
        why = "symbol or settleCoin must be given for linear"
        return payloads.PARAMETER.with_values(why=why)
    return [
        listed for listed in found if settle in {"", listed.settle} and base in {"", listed.base}
    ]


def _period(params: Params, now_ms: int) -> tuple[int, int] | payloads.BybitErrorCode:
    """Return the first and last millisecond of a request: at most, and by default, seven days."""
    texts = [params.get(name, "") for name in ("startTime", "endTime")]
    for name, text in zip(("startTime", "endTime"), texts, strict=True):
        if text and not (text.isascii() and text.isdigit() and len(text) < 17):
            why = f"{name} {text!r} is not a number of milliseconds"
            return payloads.PARAMETER.with_values(why=why)
    since, until = (int(text) if text else None for text in texts)
    if until is None:
        until = now_ms if since is None else since + WEEK_MS
    if since is None:
        since = until - WEEK_MS
    if not since <= until <= since + WEEK_MS:
        why = "endTime must be within the seven days after startTime"
        return payloads.PARAMETER.with_values(why=why)
    return since, until


def _page_of(
    rows: Sequence[tuple[str, Mapping[str, Any]]],
    category: str,
    params: Params,
    *,
    default_limit: int,
    max_limit: int,
    descending: bool = False,
) -> Result:
    """Return one page of rows sorted by their keys; the cursor is the last row's key."""
    limit = params.get("limit", "") or str(default_limit)
    is_number = limit.isascii() and limit.isdigit() and len(limit) < 5
    if not (is_number and 1 <= int(limit) <= max_limit):
        why = f"limit {limit!r} must be between 1 and {max_limit}"
        return payloads.PARAMETER.with_values(why=why)
    cursor = params.get("cursor", "")
    if cursor:
        rows = [row for row in rows if (row[0] < cursor if descending else row[0] > cursor)]
    page = rows[: int(limit)]
    more = len(rows) > len(page)
    return payloads.page([row for _, row in page], category, page[-1][0] if more else "")
