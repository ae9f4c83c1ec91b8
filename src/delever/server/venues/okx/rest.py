"""The REST routes of the OKX-compatible V5 API: fund, contracts, positions, balance, orders.

What the engine does not know is answered as for a contract that has not traded, or as a list
without rows.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from delever.core.messages import Side
from delever.server.engine.market_snapshot import ContractSnapshot, PoolSnapshot
from delever.server.engine.runner import Runner
from delever.server.transport.api_keys import ApiKey, Keyring
from delever.server.transport.asgi import Reply, Request
from delever.server.transport.websockets import Socket
from delever.server.venues import amounts
from delever.server.venues.account_reader import account_query, readable_account
from delever.server.venues.fill_log import FillLog
from delever.server.venues.okx import payloads
from delever.server.venues.okx.account import OkxAccount
from delever.server.venues.okx.authentication import (
    BILLS,
    FUND,
    OkxRateLimiter,
    authenticate,
    is_failed_login,
)
from delever.server.venues.okx.bills import Bill, BillQuery, BuildRow
from delever.server.venues.okx.insurance_fund import FundLog
from delever.server.venues.okx.streams import IDLE_S, OkxStreams
from delever.server.venues.symbols import Instrument, SymbolMap, SymbolMapCache, usd_price

SET_POSITION_MODE = "/api/v5/account/set-position-mode"
MAX_FUND_ENTRIES = 100
MAX_CONTRACTS = 20

NO_PUBLIC_DATA = tuple(
    f"/api/v5/{name}"
    for name in (
        *("market/candles", "market/history-candles", "market/mark-price-candles"),
        *("market/index-candles", "market/trades", "market/history-trades"),
        *("market/index-tickers", "public/funding-rate-history", "public/price-limit"),
        *("public/liquidation-orders", "public/underlying", "system/status"),
    )
)
NO_PRIVATE_DATA = tuple(
    f"/api/v5/{name}"
    for name in (
        *("trade/orders-pending", "trade/orders-algo-pending", "trade/orders-algo-history"),
        *("account/positions-history", "account/interest-accrued", "asset/balances"),
        *("asset/currencies", "asset/bills", "account/max-size", "account/max-avail-size"),
        *("account/account-position-risk", "account/risk-state", "account/greeks"),
    )
)
"""Paths whose lists are empty here."""

Data = Sequence[object] | payloads.OkxErrorCode
Params = Mapping[str, str]


class OkxApi:
    """The OKX-compatible venue behind the router. Construct it before the runner starts."""

    parts = ("api", "ws/v5")

    def __init__(
        self, runner: Runner, keyring: Keyring, fills: FillLog, idle_s: float = IDLE_S
    ) -> None:
        self._runner = runner
        self._keyring = keyring
        self._symbol_maps = SymbolMapCache(runner.config.contracts)
        self._funds = FundLog(runner)
        self._bills = BillQuery(runner, self._symbol_maps, fills)
        self._limiter = OkxRateLimiter(runner.config.okx, runner.now_ms)
        self._streams = OkxStreams(runner, keyring, self._symbol_maps, self._bills, idle_s)
        self._public: dict[str, Callable[[Params], Data]] = {
            FUND: self._fund,
            "/api/v5/public/instruments": self._contracts,
            "/api/v5/public/time": self._time,
            "/api/v5/public/mark-price": self._mark_prices,
            "/api/v5/public/position-tiers": self._position_tiers,
            "/api/v5/public/open-interest": self._open_interest,
            "/api/v5/public/funding-rate": self._funding_rates,
            "/api/v5/market/tickers": self._tickers,
            "/api/v5/market/ticker": self._tickers,
            "/api/v5/market/books": self._books,
            **dict.fromkeys(NO_PUBLIC_DATA, lambda _params: []),
        }
        self._private: dict[str, Callable[[ApiKey, Params], Awaitable[Data]]] = {
            "/api/v5/account/positions": self._positions,
            "/api/v5/account/balance": self._balance,
            "/api/v5/account/config": self._config,
            "/api/v5/account/leverage-info": self._leverages,
            "/api/v5/account/trade-fee": self._trade_fee,
            "/api/v5/account/instruments": self._account_contracts,
            BILLS: self._lists(Bill.row),
            f"{BILLS}-archive": self._lists(Bill.row, archive=True),
            "/api/v5/trade/fills": self._lists(Bill.fill_row),
            "/api/v5/trade/fills-history": self._lists(Bill.fill_row, archive=True),
            "/api/v5/trade/orders-history": self._lists(Bill.order_row),
            "/api/v5/trade/orders-history-archive": self._lists(Bill.order_row, archive=True),
            "/api/v5/trade/order": self._order,
            **dict.fromkeys(NO_PRIVATE_DATA, self._nothing),
        }

    @property
    def _symbols(self) -> SymbolMap:
        return self._symbol_maps.of(self._runner.market_snapshot)

    # --- entry points for the router ---

    def cached_reply(self, path: str, query: bytes, address: str) -> Reply | None:  # noqa: ARG002
        """Return None: no OKX reply is cached."""
        return None

    async def answer(self, request: Request) -> Reply:
        """Return the reply to any request."""
        sets_mode = request.path == SET_POSITION_MODE and request.method == "POST"
        data = await (self._set_position_mode(request) if sets_mode else self._data(request))
        if isinstance(data, payloads.OkxErrorCode):
            return Reply(payloads.error_answer(data), data.status)
        return Reply(payloads.answer(data))

    async def serve_socket(self, socket: Socket) -> None:
        """Serve a stream until its socket closes."""
        await self._streams.serve_socket(socket)

    async def _data(self, request: Request) -> Data:
        public, private = self._public.get(request.path), self._private.get(request.path)
        if public is None and private is None:
            return payloads.NO_ROUTE
        if request.method != "GET":
            return payloads.WRONG_METHOD
        if public is not None:
            kind = request.params.get("instType", "")
            admitted = self._limiter.admit(request.address, request.path, kind)
            return public(request.params) if admitted else payloads.TOO_MANY_REQUESTS
        key = await self._key_of(request)
        if isinstance(key, payloads.OkxErrorCode) or private is None:
            return key if isinstance(key, payloads.OkxErrorCode) else payloads.NO_ROUTE
        if not self._limiter.admit(key.id, request.path, ""):
            return payloads.TOO_MANY_REQUESTS
        return await private(key, request.params)

    async def _key_of(self, request: Request) -> ApiKey | payloads.OkxErrorCode:
        """Return the key that signed a request, or the error that rejects it."""
        key = authenticate(request, self._keyring, self._runner.now_ms())
        if isinstance(key, payloads.OkxErrorCode) and is_failed_login(key):
            await self._keyring.failed_logins.report("okx", request.address, key.message)
        return key

    # --- public ---

    def _time(self, _params: Params) -> Data:
        return [{"ts": str(self._runner.now_ms())}]

    def _contracts(self, params: Params) -> Data:
        kind, family = params.get("instType", ""), params.get("instFamily", params.get("uly", ""))
        error = _type_error(kind, payloads.INSTRUMENT_TYPES)
        if error is not None:
            return error
        name = params.get("instId", "")
        found = [
            listed
            for listed in sorted(self._symbols.all, key=lambda listed: listed.okx)
            if kind == payloads.SWAP
            if family in {"", listed.okx_family} and name in {"", listed.okx}
        ]
        if name and not found:
            return payloads.UNKNOWN_CONTRACT
        contracts = self._runner.market_snapshot.contracts
        of_found = [contracts[each.contract] for each in found]
        return [
            payloads.contract_row(each, contract.terms, contract.status)
            for each, contract in zip(found, of_found, strict=True)
        ]

    def _chosen(self, params: Params) -> list[Instrument] | payloads.OkxErrorCode:
        """Return the contracts of a request's type, id, underlying and family, by id."""
        kind = params.get("instType", payloads.SWAP)
        error = _type_error(kind, payloads.INSTRUMENT_TYPES)
        if error is not None:
            return error
        name, family = params.get("instId", ""), params.get("instFamily") or params.get("uly", "")
        if name and name != "ANY" and name not in self._symbols.by_okx:
            return payloads.UNKNOWN_CONTRACT
        return [
            listed
            for listed in sorted(self._symbols.all, key=lambda listed: listed.okx)
            if kind == payloads.SWAP
            if name in {"", "ANY", listed.okx} and family in {"", listed.okx_family}
        ]

    def _rows(
        self, params: Params, build: Callable[[Instrument, ContractSnapshot], object]
    ) -> Data:
        """Return a row of each contract that a request names."""
        chosen = self._chosen(params)
        if isinstance(chosen, payloads.OkxErrorCode):
            return chosen
        contracts = self._runner.market_snapshot.contracts
        return [build(listed, contracts[listed.contract]) for listed in chosen]

    def _mark_prices(self, params: Params) -> Data:
        return self._rows(
            params,
            lambda listed, found: payloads.mark_price_row(
                listed, found.terms, found.mark_ticks, found.marked_ms
            ),
        )

    def _tickers(self, params: Params) -> Data:
        now_ms = self._runner.now_ms()
        return self._rows(params, lambda listed, _: payloads.ticker_row(listed, now_ms))

    def _funding_rates(self, params: Params) -> Data:
        now_ms = self._runner.now_ms()
        return self._rows(params, lambda listed, _: payloads.funding_row(listed, now_ms))

    def _books(self, params: Params) -> Data:
        """Return an empty order book: the venue's books are not published here."""
        now_ms = self._runner.now_ms()
        book: dict[str, object] = {"asks": [], "bids": [], "ts": str(now_ms), "seqId": 0}
        return self._rows(params, lambda _listed, _found: book)

    def _open_interest(self, params: Params) -> Data:
        snapshot, symbols = self._runner.market_snapshot, self._symbols

        def row(listed: Instrument, found: ContractSnapshot) -> payloads.Row:
            lots = found.open_lots[Side.LONG] + found.inventory_lots[Side.LONG]
            value_cash = abs(int(found.terms.value_cash(lots, found.mark_ticks or 1)))
            value_cash = value_cash if found.mark_ticks else 0
            usd = usd_price(snapshot, symbols, listed.settle)
            dollars = amounts.value_at(value_cash, found.cash_decimals, usd)
            return payloads.open_interest_row(listed, found.terms, lots, dollars, snapshot.taken_ms)

        return self._rows(params, row)

    def _position_tiers(self, params: Params) -> Data:
        """Return the margin tiers of each family that a request names."""
        if params.get("tdMode", "") not in {"cross", "isolated"}:
            return payloads.WRONG.with_values(name="tdMode")
        families = params.get("instFamily") or params.get("uly", "")
        found = self._chosen({**params, "instFamily": "", "uly": ""})
        if isinstance(found, payloads.OkxErrorCode):
            return found
        contracts = self._runner.market_snapshot.contracts
        return [
            row
            for listed in found
            if not families or listed.okx_family in families.split(",")
            for row in payloads.tier_rows(
                listed, contracts[listed.contract].terms, contracts[listed.contract].mark_ticks
            )
        ]

    def _fund(self, params: Params) -> Data:
        kind, family = params.get("instType", ""), params.get("instFamily", params.get("uly", ""))
        error = _type_error(kind, payloads.FUND_TYPES) or _fund_params_error(params)
        if error is not None:
            return error
        if kind == "MARGIN":
            return []
        if not family:
            return payloads.EMPTY.with_values(name="instFamily")
        members = [listed for listed in self._symbols.all if listed.okx_family == family]
        if not members:
            return payloads.WRONG.with_values(name="instFamily")
        return [self._fund_of(family, members, params)] if kind == payloads.SWAP else []

    def _fund_of(self, family: str, members: list[Instrument], params: Params) -> object:
        snapshot = self._runner.market_snapshot
        pool = snapshot.pools[snapshot.contracts[members[0].contract].pool]
        asset, decimals = pool.definition.asset, pool.cash_decimals
        entries = [
            payloads.FundEntry(payloads.FundType.REGULAR, snapshot.taken_ms, pool.equity_cash),
            *self._funds.of(member.contract for member in members),
        ]
        details = [entry.row(asset, decimals) for entry in _matching(entries, params)]
        return payloads.fund(family, self._total(pool), details)

    def _total(self, pool: PoolSnapshot) -> str:
        price = usd_price(self._runner.market_snapshot, self._symbols, pool.definition.asset)
        return amounts.value_at(pool.equity_cash, pool.cash_decimals, price)

    # --- private ---

    async def _positions(self, key: ApiKey, params: Params) -> Data:
        account = readable_account(key)
        if account is None:
            return payloads.NOT_PERMITTED
        kind = params.get("instType", payloads.SWAP)
        error = _type_error(kind, payloads.INSTRUMENT_TYPES)
        if error is not None:
            return error
        wanted = [name for name in params.get("instId", "").split(",") if name]
        if len(wanted) > MAX_CONTRACTS:
            return payloads.WRONG.with_values(name="instId")
        if any(name not in self._symbols.by_okx for name in wanted):
            return payloads.UNKNOWN_CONTRACT
        owner = await self._owner(account)
        return [] if owner is None or kind != payloads.SWAP else owner.positions(wanted)

    async def _owner(self, account: str) -> OkxAccount | None:
        """Read an account; None if the venue has not submitted it yet."""
        reading = await self._runner.read(account_query(account))
        if reading is None:
            return None
        return OkxAccount(self._runner.market_snapshot, self._symbols, reading)

    async def _balance(self, key: ApiKey, params: Params) -> Data:
        if key.account is None:
            return payloads.NOT_PERMITTED
        owner = await self._owner(key.account)
        wanted = [name for name in params.get("ccy", "").split(",") if name]
        if owner is None:
            return [payloads.account_balance((), (), self._runner.now_ms())]
        return [owner.balance(wanted)]

    async def _config(self, key: ApiKey, _params: Params) -> Data:
        if key.account is None:
            return payloads.NOT_PERMITTED
        owner = await self._owner(key.account)
        config = payloads.account_config(
            key.account,
            hedge_mode=owner is not None and owner.hedge_mode,
            multi_asset=owner is not None and owner.multi_asset,
        )
        return [config]

    async def _set_position_mode(self, request: Request) -> Data:
        """Accept the position mode that the account is in, as bots set it at their start."""
        key = await self._key_of(request)
        if isinstance(key, payloads.OkxErrorCode):
            return key
        try:
            wanted = msgspec.json.decode(request.body, type=dict[str, str]).get("posMode", "")
        except msgspec.DecodeError:
            return payloads.WRONG.with_values(name="posMode")
        account = readable_account(key)
        owner = None if account is None else await self._owner(account)
        if owner is None or wanted != payloads.position_mode(hedge_mode=owner.hedge_mode):
            return payloads.NOT_PERMITTED
        return [{"posMode": wanted}]

    async def _leverages(self, key: ApiKey, params: Params) -> Data:
        """Return the leverage of each instrument that a request names."""
        account, mode = readable_account(key), params.get("mgnMode", "")
        if account is None:
            return payloads.NOT_PERMITTED
        if mode not in {"cross", "isolated"}:
            return payloads.WRONG.with_values(name="mgnMode")
        named = [name for name in params.get("instId", "").split(",") if name]
        if any(name not in self._symbols.by_okx for name in named):
            return payloads.UNKNOWN_CONTRACT
        owner = await self._owner(account)
        if owner is None:
            return []
        return [row for name in named for row in owner.leverages(self._symbols.by_okx[name], mode)]

    async def _trade_fee(self, _key: ApiKey, params: Params) -> Data:
        kind = params.get("instType", "")
        error = _type_error(kind, payloads.INSTRUMENT_TYPES)
        return error or [payloads.trade_fee(kind, self._runner.now_ms())]

    async def _account_contracts(self, _key: ApiKey, params: Params) -> Data:
        return self._contracts(params)

    def _lists(
        self, build: BuildRow, *, archive: bool = False
    ) -> Callable[[ApiKey, Params], Awaitable[Data]]:
        """Return an endpoint that lists the account's ADL fills and takeovers."""

        async def endpoint(key: ApiKey, params: Params) -> Data:
            account = readable_account(key)
            if account is None:
                return payloads.NOT_PERMITTED
            owner = await self._owner(account)
            if owner is None:
                return []
            return self._bills.of(
                account, params, build, hedge_mode=owner.hedge_mode, archive=archive
            )

        return endpoint

    async def _order(self, key: ApiKey, params: Params) -> Data:
        """Return one forced order by its id."""
        if not params.get("ordId"):
            return payloads.NO_ORDER
        found = await self._lists(Bill.order_row, archive=True)(key, params)
        return found or payloads.NO_ORDER

    async def _nothing(self, key: ApiKey, _params: Params) -> Data:
        """Return an empty list: the engine has neither open orders nor deposits nor loans."""
        return [] if readable_account(key) else payloads.NOT_PERMITTED


# --- parameters ---


def _type_error(kind: str, known: Sequence[str]) -> payloads.OkxErrorCode | None:
    if not kind:
        return payloads.EMPTY.with_values(name="instType")
    return None if kind in known else payloads.WRONG.with_values(name="instType")


def _fund_params_error(params: Params) -> payloads.OkxErrorCode | None:
    """Return the error of an invalid type, time or limit, or None."""
    kind = params.get("type", "")
    if kind and kind not in {*payloads.FundType}:
        return payloads.WRONG.with_values(name="type")
    for name in ("before", "after", "limit"):
        text = params.get(name, "")
        if text and not (text.isascii() and text.isdigit() and len(text) < 17):
            return payloads.WRONG.with_values(name=name)
    return None


def _matching(entries: list[payloads.FundEntry], params: Params) -> list[payloads.FundEntry]:
    """Return the matching entries, newest first; the times `before` and `after` are excluded."""
    numbers = {
        name: int(text) for name in ("before", "after", "limit") if (text := params.get(name))
    }
    kind = params.get("type", "")
    found = [
        entry
        for entry in sorted(entries, key=lambda entry: -entry.time_ms)
        if kind in {"", entry.kind}
        if entry.time_ms > numbers.get("before", -1)
        if "after" not in numbers or entry.time_ms < numbers["after"]
    ]
    return found[: min(numbers.get("limit", MAX_FUND_ENTRIES), MAX_FUND_ENTRIES)]
