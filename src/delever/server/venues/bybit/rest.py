"""The REST routes of the Bybit-compatible V5 API.

Every request is answered with HTTP 200 and a retCode, as Bybit's clients expect, except a
rate-limited address, an unknown path, and a method other than GET.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from delever.core.messages import AdlFilled, Side
from delever.server.engine.runner import Runner
from delever.server.transport.api_keys import ApiKey, Keyring
from delever.server.transport.asgi import Headers, Reply, Request
from delever.server.transport.websockets import Socket
from delever.server.venues import amounts
from delever.server.venues.account_reader import account_query, readable_account
from delever.server.venues.bybit import account_payloads, payloads
from delever.server.venues.bybit.account import BybitAccount, market_of
from delever.server.venues.bybit.authentication import FAILED_LOGINS, BybitRateLimiter, authenticate
from delever.server.venues.bybit.markets import ALERTS, INSURANCE, MarketDataCache
from delever.server.venues.bybit.streams import IDLE_S, BybitStreams
from delever.server.venues.fill_log import FillLog, ForcedOrder
from delever.server.venues.symbols import Instrument, SymbolMap, SymbolMapCache

SWITCH_MODE = "/v5/position/switch-mode"
ONE_WAY, BOTH_SIDES = 0, 3

WEEK_MS = 7 * 24 * 3_600_000
MAX_SYMBOLS = 10

NO_MARKET_DATA = tuple(
    f"/v5/market/{name}"
    for name in (
        *("kline", "mark-price-kline", "index-price-kline", "premium-index-price-kline"),
        *("recent-trade", "account-ratio", "funding/history", "delivery-price"),
    )
)
"""Market data that the engine does not have."""

Result = bytes | payloads.BybitErrorCode
Params = Mapping[str, str]
HistoryRow = Callable[[account_payloads.BybitMarket, ForcedOrder], Mapping[str, Any]]
"""Builds one row of a history."""


class SwitchModeRequest(msgspec.Struct):
    """The position mode in the body of a request: ONE_WAY or BOTH_SIDES."""

    mode: int


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
            "/v5/market/tickers": self._tickers,
            "/v5/market/risk-limit": self._risk_limits,
            "/v5/market/orderbook": self._order_book,
            "/v5/market/open-interest": self._open_interest,
            "/v5/system/status": lambda _: b'{"list":[]}',
            **dict.fromkeys(NO_MARKET_DATA, self._no_market_data),
        }
        self._private: dict[str, Callable[[ApiKey, Params], Awaitable[Result]]] = {
            "/v5/position/list": self._positions,
            "/v5/execution/list": self._executions,
            "/v5/order/history": self._order_history,
            "/v5/order/realtime": self._open_orders,
            "/v5/position/closed-pnl": self._closed_pnl,
            "/v5/account/transaction-log": self._transactions,
            "/v5/account/fee-rate": self._fee_rates,
            "/v5/account/collateral-info": self._nothing_listed,
            "/v5/account/borrow-history": self._nothing_listed,
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
        if request.path == SWITCH_MODE and request.method == "POST":
            return await self._answer_private(request, headers)
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
            if key in FAILED_LOGINS:
                await self._keyring.failed_logins.report("bybit", request.address, key.message)
            return self._reply(key, headers)
        headers, error = self._limiter.admit_key(key.id, request.path)
        if error is not None:
            return self._reply(error, headers)
        if request.path == SWITCH_MODE:
            return self._reply(await self._switch_mode(key, request.body), headers)
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
        """Return the pools of a coin, in capitals; a coin without a pool has an empty list."""
        found = self._cached(INSURANCE, "coin", params)
        known = isinstance(found, bytes) or not params["coin"].isupper()
        return found if known else payloads.listed([], self._runner.now_ms())

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

    def _listed(self, params: Params) -> list[Instrument] | payloads.BybitErrorCode:
        """Return the contracts of a request's category, symbol and base coin, by symbol."""
        category, base = params.get("category", ""), params.get("baseCoin", "")
        if category == "spot":
            return []
        found = _in_category(self._symbols, category, params.get("symbol", ""))
        if isinstance(found, payloads.BybitErrorCode):
            return found
        chosen = [listed for listed in found if base in {"", listed.base}]
        return sorted(chosen, key=lambda listed: listed.bybit)

    def _tickers(self, params: Params) -> Result:
        listed = self._listed(params)
        if isinstance(listed, payloads.BybitErrorCode):
            return listed
        contracts = self._runner.market_snapshot.contracts
        rows = []
        for instrument in listed:
            found = contracts[instrument.contract]
            lots = found.open_lots[Side.LONG] + found.inventory_lots[Side.LONG]
            rows.append(payloads.ticker_row(instrument, found.terms, found.mark_ticks, lots))
        return payloads.page(rows, params.get("category", ""), "")

    def _risk_limits(self, params: Params) -> Result:
        listed = self._listed(params)
        if isinstance(listed, payloads.BybitErrorCode):
            return listed
        contracts = self._runner.market_snapshot.contracts
        rows = [
            row
            for instrument in listed
            for row in payloads.risk_limit_rows(
                instrument,
                contracts[instrument.contract].terms,
                contracts[instrument.contract].cash_decimals,
            )
        ]
        return payloads.page(rows, params.get("category", ""), "")

    def _order_book(self, params: Params) -> Result:
        listed = self._listed(params)
        if isinstance(listed, payloads.BybitErrorCode):
            return listed
        return payloads.order_book(params.get("symbol", ""), self._runner.now_ms())

    def _open_interest(self, params: Params) -> Result:
        """Return the open interest of one contract now: past values are not stored."""
        symbol, category = params.get("symbol", ""), params.get("category", "")
        listed = self._listed(params)
        if isinstance(listed, payloads.BybitErrorCode):
            return listed
        if len(listed) != 1:
            return payloads.PARAMETER.with_values(why="symbol must be given")
        snapshot = self._runner.market_snapshot
        found = snapshot.contracts[listed[0].contract]
        lots = found.open_lots[Side.LONG] + found.inventory_lots[Side.LONG]
        quantity = amounts.units(found.terms, lots)
        row = {"openInterest": quantity, "timestamp": str(snapshot.taken_ms)}
        named = {"symbol": symbol, "category": category}
        return msgspec.json.encode({**named, "list": [row], "nextPageCursor": ""})

    def _no_market_data(self, params: Params) -> Result:
        """Return an empty list: the engine has neither trades nor candles nor funding."""
        listed = self._listed(params)
        if isinstance(listed, payloads.BybitErrorCode):
            return listed
        named = {name: params.get(name, "") for name in ("category", "symbol")}
        return msgspec.json.encode({**named, "list": [], "nextPageCursor": ""})

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
        return self._history(key, params, account_payloads.execution_row, max_limit=100)

    async def _closed_pnl(self, key: ApiKey, params: Params) -> Result:
        return self._history(key, params, account_payloads.closed_pnl_row, max_limit=100)

    async def _transactions(self, key: ApiKey, params: Params) -> Result:
        """Return forced orders as bills; `category` and `type` are optional here."""
        kinds = {"ADL": account_payloads.ADL_TRADE, "LIQUIDATION": account_payloads.TAKEOVER_TRADE}
        kind = params.get("type", "")
        chosen = {"execType": kinds.get(kind, kind), "category": params.get("category") or "linear"}
        return self._history(key, {**params, **chosen}, account_payloads.transaction_row, 50)

    async def _order_history(self, key: ApiKey, params: Params) -> Result:
        """Return forced orders: the engine has no others."""
        account = readable_account(key)
        reading = None if account is None else await self._runner.read(account_query(account))
        hedge_mode = reading is not None and reading.account.hedge_mode

        def row(market: account_payloads.BybitMarket, order: ForcedOrder) -> dict[str, Any]:
            return account_payloads.order_frame(
                market, order.event, order.time_ms, hedge_mode=hedge_mode
            )

        return self._history(key, params, row, max_limit=50)

    async def _open_orders(self, key: ApiKey, params: Params) -> Result:
        """Return no open orders, but a forced order that is named: it was filled recently."""
        if params.get("orderId"):
            return await self._order_history(key, params)
        listed = self._listed(params)
        if isinstance(listed, payloads.BybitErrorCode):
            return listed
        return payloads.page([], params.get("category", ""), "")

    def _history(self, key: ApiKey, params: Params, row: HistoryRow, max_limit: int) -> Result:
        """Return one page of an account's forced orders as rows, newest first."""
        account = readable_account(key)
        if account is None:
            return payloads.NOT_PERMITTED
        category = params.get("category", "")
        period = _period(params, self._runner.now_ms())
        if isinstance(period, payloads.BybitErrorCode):
            return period
        listed = self._listed(params)
        if isinstance(listed, payloads.BybitErrorCode):
            return listed
        since_ms, until_ms = period
        contracts = {instrument.contract for instrument in listed}
        orders = self._fills.of(account, since_ms=since_ms, until_ms=until_ms)
        kind, order_id = params.get("execType", ""), params.get("orderId", "")
        rows = [
            (_history_key(order), row(self._market(order), order))
            for order in reversed(orders)
            if order.event.contract in contracts
            if kind in {"", account_payloads.execution_type(order.event)}
            if order_id in {"", account_payloads.order_id(order.event)}
        ]
        default = min(50, max_limit)
        return _page_of(
            rows, category, params, default_limit=default, max_limit=max_limit, descending=True
        )

    def _market(self, order: ForcedOrder) -> account_payloads.BybitMarket:
        snapshot = self._runner.market_snapshot
        return market_of(snapshot, self._symbols, order.event.contract).at(order.sequence)

    async def _wallet(self, key: ApiKey, params: Params) -> Result:
        """Return the account's balances, as in the wallet topic of the stream."""
        if key.account is None:
            return payloads.NOT_PERMITTED
        reading = await self._runner.read(account_query(key.account))
        if reading is None:
            return msgspec.json.encode({"list": []})
        snapshot = self._runner.market_snapshot
        owner = BybitAccount(snapshot, self._symbols, reading)
        coins = [*owner.coins(owner.assets)]
        wanted = {name for name in params.get("coin", "").split(",") if name}
        chosen = [coin for coin in coins if not wanted or coin.name in wanted]
        frame = account_payloads.wallet_frame(chosen, coins, owner.margin)
        return msgspec.json.encode({"list": [frame]})

    async def _switch_mode(self, key: ApiKey, body: bytes) -> Result:
        """Accept the position mode that the account is in, as bots set it at their start."""
        try:
            wanted = msgspec.json.decode(body, type=SwitchModeRequest).mode
        except msgspec.DecodeError as invalid:
            return payloads.PARAMETER.with_values(why=str(invalid))
        account = readable_account(key)
        reading = None if account is None else await self._runner.read(account_query(account))
        if reading is None or wanted != (BOTH_SIDES if reading.account.hedge_mode else ONE_WAY):
            return payloads.NOT_PERMITTED
        return b"{}"

    async def _fee_rates(self, _key: ApiKey, params: Params) -> Result:
        """Return the fees of contracts, by default of the linear ones."""
        params = {"category": "linear", **params}
        listed = self._listed(params)
        if isinstance(listed, payloads.BybitErrorCode):
            return listed
        snapshot, symbols = self._runner.market_snapshot, self._symbols
        rows = [
            account_payloads.fee_rate_row(market_of(snapshot, symbols, each.contract))
            for each in listed
        ]
        return payloads.page(rows, params.get("category", ""), "")

    async def _nothing_listed(self, _key: ApiKey, _params: Params) -> Result:
        """Return an empty list: the engine has neither loans nor collateral settings."""
        return b'{"list":[],"nextPageCursor":""}'

    async def _key_info(self, key: ApiKey, _params: Params) -> Result:
        return account_payloads.key_info(key.id)

    async def _account_info(self, _key: ApiKey, _params: Params) -> Result:
        return account_payloads.account_info(self._runner.now_ms())

    async def _no_coins(self, _key: ApiKey, _params: Params) -> Result:
        return account_payloads.NO_COINS


def _history_key(order: ForcedOrder) -> str:
    """Return a forced order's place in the history, which is also a page's cursor."""
    event = order.event
    number = event.fill if isinstance(event, AdlFilled) else event.takeover
    return f"{order.sequence:015},{int(order.is_adl)},{number:015}"


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
