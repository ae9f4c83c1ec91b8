"""The REST routes of the OKX-compatible V5 API: fund, contracts, positions, balance, bills."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from delever.server.engine.market_snapshot import PoolSnapshot
from delever.server.engine.runner import Runner
from delever.server.transport.api_keys import ApiKey, Keyring
from delever.server.transport.asgi import Reply, Request
from delever.server.transport.websockets import Socket
from delever.server.venues import amounts
from delever.server.venues.account_reader import AccountReading, account_query, readable_account
from delever.server.venues.fill_log import FillLog
from delever.server.venues.okx import payloads
from delever.server.venues.okx.authentication import BILLS, FUND, OkxRateLimiter, authenticate
from delever.server.venues.okx.bills import BillQuery
from delever.server.venues.okx.insurance_fund import FundLog
from delever.server.venues.okx.streams import IDLE_S, OkxStreams
from delever.server.venues.symbols import Instrument, SymbolMap, SymbolMapCache, usd_price

MAX_FUND_ENTRIES = 100
MAX_CONTRACTS = 20

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
        self._streams = OkxStreams(runner, self._symbol_maps, idle_s)
        self._public: dict[str, Callable[[Params], Data]] = {
            FUND: self._fund,
            "/api/v5/public/instruments": self._contracts,
            "/api/v5/public/time": self._time,
        }
        self._private: dict[str, Callable[[ApiKey, Params], Awaitable[Data]]] = {
            "/api/v5/account/positions": self._positions,
            "/api/v5/account/balance": self._balance,
            BILLS: self._account_bills,
            "/api/v5/asset/currencies": self._currencies,
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
        data = await self._data(request)
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
        key = authenticate(request, self._keyring, self._runner.now_ms())
        if isinstance(key, payloads.OkxErrorCode) or private is None:
            return key if isinstance(key, payloads.OkxErrorCode) else payloads.NO_ROUTE
        if not self._limiter.admit(key.id, request.path, ""):
            return payloads.TOO_MANY_REQUESTS
        return await private(key, request.params)

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
        reading = await self._runner.read(account_query(account))
        if reading is None or kind != payloads.SWAP:
            return []
        return self._rows(reading, wanted)

    def _rows(self, reading: AccountReading, wanted: list[str]) -> list[dict[str, str]]:
        snapshot, symbols = self._runner.market_snapshot, self._symbols
        rows = []
        for position in reading.account.positions:
            instrument = symbols.by_contract.get(position.contract)
            if instrument is None or (wanted and instrument.okx not in wanted):
                continue
            contract = snapshot.contracts[position.contract]
            terms = contract.terms.at(reading.account.as_of)
            context = payloads.OkxPositionContext(
                account=reading.account.account,
                mark_ticks=reading.marks[position.contract],
                indicator=reading.indicator(snapshot, position),
                liquidation_ticks=reading.liquidation(position, terms),
                usd_price=usd_price(snapshot, symbols, instrument.settle),
                time_ms=reading.account.time_ms,
            )
            row = payloads.position_row(
                instrument,
                terms,
                contract.cash_decimals,
                position,
                context,
                hedge_mode=reading.account.hedge_mode,
            )
            rows.append(row)
        return rows

    async def _balance(self, key: ApiKey, _params: Params) -> Data:
        if key.account is None:
            return payloads.NOT_PERMITTED
        reading = await self._runner.read(account_query(key.account))
        contracts = self._runner.market_snapshot.contracts.values()
        decimals = {contract.terms.settle: contract.cash_decimals for contract in contracts}
        wallets = () if reading is None else reading.account.wallets
        details = [
            payloads.balance_row(
                wallet.asset, decimals[wallet.asset], wallet.balance_cash, wallet.equity_cash
            )
            for wallet in wallets
            if wallet.asset in decimals
        ]
        return [{"details": details, "uTime": str(self._runner.now_ms())}]

    async def _account_bills(self, key: ApiKey, params: Params) -> Data:
        """Return the account's ADL fills and takeovers."""
        account = readable_account(key)
        if account is None:
            return payloads.NOT_PERMITTED
        reading = await self._runner.read(account_query(account))
        return [] if reading is None else self._bills.of(reading, params)

    async def _currencies(self, _key: ApiKey, _params: Params) -> Data:
        """Return nothing: delever has no deposits."""
        return []


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
