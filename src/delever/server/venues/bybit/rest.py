"""Bybit's V5 API as far as ADL goes: REST here, streams in `bybit_stream`.

Every question is answered with HTTP 200 and a retCode, as Bybit's clients expect; only an address
that asks too often, a path that does not exist and a method that is not GET get another status.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from delever.core.messages import AdlFilled
from delever.server.engine.service import Runner
from delever.server.transport.api_keys import Holder, Keyring
from delever.server.transport.asgi import Headers, Reply, Request
from delever.server.transport.websockets import Socket
from delever.server.venues.account_reader import readable_account, account_query
from delever.server.venues.bybit import account as account
from delever.server.venues.bybit import account_payloads as bybit_account
from delever.server.venues.bybit import payloads as wire
from delever.server.venues.bybit.authentication import Gate, authenticate
from delever.server.venues.bybit.markets import ALERTS, INSURANCE, Kept
from delever.server.venues.bybit.streams import IDLE_S, BybitStream
from delever.server.venues.fill_log import ForcedOrder, FillLog
from delever.server.venues.symbols import SymbolMapCache
from delever.server.venues.symbols import Instrument, SymbolMap

WEEK_MS = 7 * 24 * 3_600_000
MOST_SYMBOLS = 10

Result = bytes | wire.Fault
Params = Mapping[str, str]


class Bybit:
    """The venue behind the front. Made before the runner starts."""

    parts = ("v5",)

    def __init__(
        self, runner: Runner, keyring: Keyring, fills: FillLog, idle_s: float = IDLE_S
    ) -> None:
        self._runner = runner
        self._keyring = keyring
        self._fills = fills
        self._symbol_maps = SymbolMapCache(runner.config.contracts)
        self._kept = Kept(runner.config, self._symbol_maps, runner.board)
        self._gate = Gate(runner.config.bybit, runner.now_ms)
        self._stream = BybitStream(runner, keyring, self._symbol_maps, idle_s)
        runner.board_listeners.append(self._kept.take)
        self._public: dict[str, Callable[[Params], Result]] = {
            ALERTS: self._alert,
            INSURANCE: self._insurance,
            "/v5/market/time": lambda _: wire.server_time(runner.now_ms()),
            "/v5/market/instruments-info": self._contracts,
        }
        self._private: dict[str, Callable[[Holder, Params], Awaitable[Result]]] = {
            "/v5/position/list": self._positions,
            "/v5/execution/list": self._executions,
            "/v5/account/wallet-balance": self._wallet,
            "/v5/user/query-api": self._key_info,
            "/v5/account/info": self._account_info,
            "/v5/asset/coin/query-info": self._no_coins,
        }

    @property
    def _symbols(self) -> SymbolMap:
        return self._symbol_maps.of(self._runner.board)

    # --- what the front asks ---

    def answer_now(self, path: str, query: bytes, address: str) -> Reply | None:
        """Return an adlAlert or an insurance list that is encoded already, or None."""
        result = self._kept.results.get((path, query))
        if result is None:
            return None
        headers, refused = self._gate.admit(address)
        return refused or Reply(wire.answer(result, self._runner.now_ms()), 200, headers)

    async def answer(self, request: Request) -> Reply:
        """Return the answer to any request."""
        headers, refused = self._gate.admit(request.address)
        if refused:
            return refused
        if request.path not in self._public and request.path not in self._private:
            return self._reply(wire.NO_ROUTE, headers, 404)
        if request.method != "GET":
            fault = wire.PARAMETER.saying(why=f"method {request.method} is not allowed")
            return self._reply(fault, headers, 400)
        public = self._public.get(request.path)
        if public is None:
            return await self._answer_private(request, headers)
        return self._reply(public(request.params), headers)

    async def _answer_private(self, request: Request, headers: Headers) -> Reply:
        holder = authenticate(request, self._keyring, self._runner.now_ms())
        if isinstance(holder, wire.Fault):
            return self._reply(holder, headers)
        headers, fault = self._gate.admit_key(holder.id, request.path)
        if fault is not None:
            return self._reply(fault, headers)
        return self._reply(await self._private[request.path](holder, request.params), headers)

    async def converse(self, socket: Socket) -> None:
        """Serve a stream."""
        await self._stream.converse(socket)

    def _reply(self, result: Result, headers: Headers, status: int = 200) -> Reply:
        now_ms = self._runner.now_ms()
        if isinstance(result, wire.Fault):
            return Reply(wire.refusal(result, now_ms), status, headers)
        return Reply(wire.answer(result, now_ms), status, headers)

    # --- public ---

    def _alert(self, params: Params) -> Result:
        return self._kept_of(ALERTS, "symbol", params)

    def _insurance(self, params: Params) -> Result:
        return self._kept_of(INSURANCE, "coin", params)

    def _kept_of(self, path: str, field: str, params: Params) -> Result:
        wanted = params.get(field, "")
        result = self._kept.results.get((path, f"{field}={wanted}".encode() if wanted else b""))
        return result or wire.PARAMETER.saying(why=f"{field} {wanted!r} is unknown")

    def _contracts(self, params: Params) -> Result:
        category = params.get("category", "")
        if category not in {*wire.CATEGORIES, "spot"}:
            return wire.PARAMETER.saying(why=f"category {category!r} is unknown")
        symbol, base = params.get("symbol"), params.get("baseCoin")
        listed = params.get("status", "Trading") == "Trading"
        found = [
            each
            for each in sorted(self._symbols.all, key=lambda each: each.bybit)
            if listed and wire.category_of(each) == category
            if symbol in {None, each.bybit} and base in {None, each.base}
        ]
        if symbol and not found and listed:
            return wire.PARAMETER.saying(why=f"symbol {symbol!r} is unknown")
        shown = self._runner.board.contracts
        rows = [(each.bybit, wire.contract_row(each, shown[each.contract].terms)) for each in found]
        return _paged(rows, category, params, usual=500, most=1000)

    # --- private ---

    async def _positions(self, holder: Holder, params: Params) -> Result:
        name = readable_account(holder)
        if name is None:
            return wire.NOT_PERMITTED
        category = params.get("category", "")
        chosen = _chosen(self._symbols, category, params)
        if isinstance(chosen, wire.Fault):
            return chosen
        seen = await self._runner.read(account_query(name))
        if seen is None:
            return wire.page([], category, "")
        view = account.View(self._runner.board, self._symbols, seen)
        rows: list[tuple[str, dict[str, Any]]] = []
        for instrument in sorted(chosen, key=lambda each: each.bybit):
            found = [*view.rows(instrument.contract)]
            if params.get("symbol"):
                found += view.empty_rows(instrument.contract)
            for place, row in enumerate(found):
                rows.append((f"{instrument.bybit},{place:06}", row))
        return _paged(rows, category, params, usual=20, most=200)

    async def _executions(self, holder: Holder, params: Params) -> Result:
        name = readable_account(holder)
        if name is None:
            return wire.NOT_PERMITTED
        category, symbol = params.get("category", ""), params.get("symbol", "")
        times = _times(params, self._runner.now_ms())
        wanted = _in_category(self._symbols, category, symbol)
        fault = _first_fault(times, wanted)
        if fault or isinstance(times, wire.Fault) or isinstance(wanted, wire.Fault):
            return fault or wire.SERVER_ERROR
        since_ms, until_ms = times
        contracts = {each.contract for each in wanted}
        closings = self._fills.of(name, since_ms=since_ms, until_ms=until_ms)
        kind = params.get("execType", "")
        rows = [
            self._execution(closing)
            for closing in reversed(closings)
            if closing.event.contract in contracts
            if kind in {"", bybit_account.execution_type(closing.event)}
        ]
        return _paged(rows, category, params, usual=50, most=100, descending=True)

    def _execution(self, closing: ForcedOrder) -> tuple[str, dict[str, object]]:
        event = closing.event
        listing = account.listing(self._runner.board, self._symbols, event.contract)
        row = bybit_account.execution_row(listing, event, closing.time_ms, closing.sequence)
        number = event.fill if isinstance(event, AdlFilled) else event.takeover
        return f"{closing.sequence:015},{int(closing.adl)},{number:015}", row

    async def _wallet(self, holder: Holder, _params: Params) -> Result:
        """Return the account's money, as the wallet topic of the stream does."""
        if holder.account is None:
            return wire.NOT_PERMITTED
        seen = await self._runner.read(account_query(holder.account))
        if seen is None:
            return msgspec.json.encode({"list": []})
        assets = {shown.terms.settle for shown in self._runner.board.contracts.values()}
        view = account.View(self._runner.board, self._symbols, seen)
        frame = bybit_account.wallet_frame([*view.coins(assets)])
        return msgspec.json.encode({"list": [frame]})

    async def _key_info(self, holder: Holder, _params: Params) -> Result:
        return bybit_account.key_info(holder.id)

    async def _account_info(self, _holder: Holder, _params: Params) -> Result:
        return bybit_account.account_info(self._runner.now_ms())

    async def _no_coins(self, _holder: Holder, _params: Params) -> Result:
        return bybit_account.NO_COINS


# --- parameters ---


def _in_category(symbols: SymbolMap, category: str, symbol: str) -> list[Instrument] | wire.Fault:
    """Return the contracts of a category, or those of a comma-separated list of symbols."""
    if category not in wire.CATEGORIES:
        return wire.PARAMETER.saying(why=f"category {category!r} is unknown")
    if not symbol:
        return [each for each in symbols.all if wire.category_of(each) == category]
    wanted = symbol.split(",")
    if len(wanted) > MOST_SYMBOLS:
        return wire.PARAMETER.saying(why=f"symbol names more than {MOST_SYMBOLS} symbols")
    found = []
    for each in dict.fromkeys(wanted):
        instrument = symbols.by_bybit.get(each)
        if instrument is None or wire.category_of(instrument) != category:
            return wire.PARAMETER.saying(why=f"symbol {each!r} is unknown in {category}")
        found.append(instrument)
    return found


def _chosen(symbols: SymbolMap, category: str, params: Params) -> list[Instrument] | wire.Fault:
    """Return the contracts whose positions are asked for."""
    symbol, settle, base = (params.get(name, "") for name in ("symbol", "settleCoin", "baseCoin"))
    found = _in_category(names, category, symbol)
    if isinstance(found, wire.Fault) or symbol:
        return found
    if category == "linear" and not settle and not base:
        return wire.PARAMETER.saying(why="symbol or settleCoin must be given for linear")
    return [each for each in found if settle in {"", each.settle} and base in {"", each.base}]


def _times(params: Params, now_ms: int) -> tuple[int, int] | wire.Fault:
    """Return the first and last millisecond asked for: seven days at most, the last by default."""
    texts = [params.get(name, "") for name in ("startTime", "endTime")]
    for name, text in zip(("startTime", "endTime"), texts, strict=True):
        if text and not (text.isascii() and text.isdigit() and len(text) < 17):
            return wire.PARAMETER.saying(why=f"{name} {text!r} is not a number of milliseconds")
    since, until = (int(text) if text else None for text in texts)
    if until is None:
        until = now_ms if since is None else since + WEEK_MS
    if since is None:
        since = until - WEEK_MS
    if not since <= until <= since + WEEK_MS:
        return wire.PARAMETER.saying(why="endTime must lie in the seven days after startTime")
    return since, until


def _first_fault(*values: object) -> wire.Fault | None:
    return next((value for value in values if isinstance(value, wire.Fault)), None)


def _paged(
    rows: Sequence[tuple[str, Mapping[str, Any]]],
    category: str,
    params: Params,
    *,
    usual: int,
    most: int,
    descending: bool = False,
) -> Result:
    """Return one page of rows sorted by their keys; the cursor is the key of the last one."""
    limit = params.get("limit", "") or str(usual)
    if not (limit.isascii() and limit.isdigit() and len(limit) < 5 and 1 <= int(limit) <= most):
        return wire.PARAMETER.saying(why=f"limit {limit!r} must be between 1 and {most}")
    cursor = params.get("cursor", "")
    if cursor:
        rows = [row for row in rows if (row[0] < cursor if descending else row[0] > cursor)]
    page = rows[: int(limit)]
    more = len(rows) > len(page)
    return wire.page([row for _, row in page], category, page[-1][0] if more else "")
