"""OKX's V5 API as far as ADL goes: security fund, contracts, positions, bills; the stream."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from delever.server.engine.market_snapshot import PoolShown
from delever.server.engine.service import Runner
from delever.server.transport.api_keys import Holder, Keyring
from delever.server.transport.asgi import Reply, Request
from delever.server.transport.websockets import Socket
from delever.server.venues import amounts
from delever.server.venues.account_reader import AccountSnapshot, readable_account, account_query
from delever.server.venues.fill_log import FillLog
from delever.server.venues.okx import payloads as wire
from delever.server.venues.okx.authentication import BILLS, FUND, Gate, authenticate
from delever.server.venues.okx.bills import Bills
from delever.server.venues.okx.insurance_fund import FundLog
from delever.server.venues.okx.streams import IDLE_S, OkxStream
from delever.server.venues.symbols import SymbolMapCache, usd_price
from delever.server.venues.symbols import Instrument, SymbolMap

MOST_ENTRIES = 100
MOST_CONTRACTS = 20

Data = Sequence[object] | wire.Fault
Params = Mapping[str, str]


class Okx:
    """The venue behind the front. Made before the runner starts."""

    parts = ("api", "ws/v5")

    def __init__(
        self, runner: Runner, keyring: Keyring, fills: FillLog, idle_s: float = IDLE_S
    ) -> None:
        self._runner = runner
        self._keyring = keyring
        self._symbol_maps = SymbolMapCache(runner.config.contracts)
        self._funds = FundLog(runner)
        self._bills = Bills(runner, self._symbol_maps, fills)
        self._gate = Gate(runner.config.okx, runner.now_ms)
        self._stream = OkxStream(runner, self._symbol_maps, idle_s)
        self._public: dict[str, Callable[[Params], Data]] = {
            FUND: self._fund,
            "/api/v5/public/instruments": self._contracts,
            "/api/v5/public/time": self._time,
        }
        self._private: dict[str, Callable[[Holder, Params], Awaitable[Data]]] = {
            "/api/v5/account/positions": self._positions,
            "/api/v5/account/balance": self._balance,
            BILLS: self._past,
            "/api/v5/asset/currencies": self._currencies,
        }

    @property
    def _symbols(self) -> SymbolMap:
        return self._symbol_maps.of(self._runner.board)

    # --- what the front asks ---

    def answer_now(self, path: str, query: bytes, address: str) -> Reply | None:  # noqa: ARG002
        """Return nothing: no answer of OKX is kept encoded."""
        return None

    async def answer(self, request: Request) -> Reply:
        """Return the answer to any request."""
        data = await self._data(request)
        if isinstance(data, wire.Fault):
            return Reply(wire.refusal(data), data.status)
        return Reply(wire.answer(data))

    async def converse(self, socket: Socket) -> None:
        """Serve a stream."""
        await self._stream.converse(socket)

    async def _data(self, request: Request) -> Data:
        public, private = self._public.get(request.path), self._private.get(request.path)
        if public is None and private is None:
            return wire.NO_ROUTE
        if request.method != "GET":
            return wire.WRONG_METHOD
        if public is not None:
            kind = request.params.get("instType", "")
            admitted = self._gate.admit(request.address, request.path, kind)
            return public(request.params) if admitted else wire.TOO_MANY_REQUESTS
        holder = authenticate(request, self._keyring, self._runner.now_ms())
        if isinstance(holder, wire.Fault) or private is None:
            return holder if isinstance(holder, wire.Fault) else wire.NO_ROUTE
        if not self._gate.admit(holder.id, request.path, ""):
            return wire.TOO_MANY_REQUESTS
        return await private(holder, request.params)

    # --- public ---

    def _time(self, _params: Params) -> Data:
        return [{"ts": str(self._runner.now_ms())}]

    def _contracts(self, params: Params) -> Data:
        kind, family = params.get("instType", ""), params.get("instFamily", params.get("uly", ""))
        fault = _kind_fault(kind, wire.INSTRUMENT_TYPES)
        if fault is not None:
            return fault
        name = params.get("instId", "")
        found = [
            each
            for each in sorted(self._symbols.all, key=lambda each: each.okx)
            if kind == wire.SWAP and family in {"", each.okx_family} and name in {"", each.okx}
        ]
        if name and not found:
            return wire.UNKNOWN_CONTRACT
        shown = self._runner.board.contracts
        return [wire.contract_row(each, shown[each.contract].terms) for each in found]

    def _fund(self, params: Params) -> Data:
        kind, family = params.get("instType", ""), params.get("instFamily", params.get("uly", ""))
        fault = _kind_fault(kind, wire.FUND_TYPES) or _fund_fault(params)
        if fault is not None:
            return fault
        if kind == "MARGIN":
            return []
        if not family:
            return wire.EMPTY.saying(name="instFamily")
        members = [each for each in self._symbols.all if each.okx_family == family]
        if not members:
            return wire.WRONG.saying(name="instFamily")
        return [self._fund_of(family, members, params)] if kind == wire.SWAP else []

    def _fund_of(self, family: str, members: list[Instrument], params: Params) -> object:
        board = self._runner.board
        pool = board.pools[board.contracts[members[0].contract].pool]
        asset, decimals = pool.definition.asset, pool.cash_decimals
        entries = [
            wire.FundEntry(wire.FundType.REGULAR, board.made_ms, pool.equity_cash),
            *self._funds.of(each.contract for each in members),
        ]
        details = [entry.row(asset, decimals) for entry in _picked(entries, params)]
        return wire.fund(family, self._total(pool), details)

    def _total(self, pool: PoolShown) -> str:
        price = usd_price(self._runner.board, self._symbols, pool.definition.asset)
        return amounts.worth(pool.equity_cash, pool.cash_decimals, price)

    # --- private ---

    async def _positions(self, holder: Holder, params: Params) -> Data:
        name = readable_account(holder)
        if name is None:
            return wire.NOT_PERMITTED
        kind = params.get("instType", wire.SWAP)
        fault = _kind_fault(kind, wire.INSTRUMENT_TYPES)
        if fault is not None:
            return fault
        wanted = [each for each in params.get("instId", "").split(",") if each]
        if len(wanted) > MOST_CONTRACTS:
            return wire.WRONG.saying(name="instId")
        if any(each not in self._symbols.by_okx for each in wanted):
            return wire.UNKNOWN_CONTRACT
        seen = await self._runner.read(account_query(name))
        if seen is None or kind != wire.SWAP:
            return []
        return self._rows(seen, wanted)

    def _rows(self, seen: AccountSnapshot, wanted: list[str]) -> list[dict[str, str]]:
        board, names = self._runner.board, self._symbols
        rows = []
        for held in seen.holdings.positions:
            instrument = symbols.by_contract.get(held.contract)
            if instrument is None or (wanted and instrument.okx not in wanted):
                continue
            shown = board.contracts[held.contract]
            standing = wire.Standing(
                account=seen.holdings.account,
                mark_ticks=seen.marks[held.contract],
                indicator=seen.indicator(board, held),
                liquidation_ticks=seen.liquidation(held, shown.terms),
                usd_price=usd_price(board, names, instrument.settle),
                number=held.number,
                time_ms=seen.holdings.time_ms,
            )
            row = wire.position_row(
                instrument,
                shown.terms,
                shown.cash_decimals,
                held,
                standing,
                hedge_mode=seen.holdings.hedge_mode,
            )
            rows.append(row)
        return rows

    async def _balance(self, holder: Holder, _params: Params) -> Data:
        if holder.account is None:
            return wire.NOT_PERMITTED
        seen = await self._runner.read(account_query(holder.account))
        shown = self._runner.board.contracts.values()
        decimals = {each.terms.settle: each.cash_decimals for each in shown}
        wallets = () if seen is None else seen.holdings.wallets
        details = [
            wire.balance_row(
                wallet.asset, decimals[wallet.asset], wallet.balance_cash, wallet.equity_cash
            )
            for wallet in wallets
            if wallet.asset in decimals
        ]
        return [{"details": details, "uTime": str(self._runner.now_ms())}]

    async def _past(self, holder: Holder, params: Params) -> Data:
        """Return the account's ADL fills and takeovers."""
        name = readable_account(holder)
        if name is None:
            return wire.NOT_PERMITTED
        seen = await self._runner.read(account_query(name))
        return [] if seen is None else self._bills.of(seen, params)

    async def _currencies(self, _holder: Holder, _params: Params) -> Data:
        """Return nothing: delever knows of no deposits."""
        return []


# --- parameters ---


def _kind_fault(kind: str, known: Sequence[str]) -> wire.Fault | None:
    if not kind:
        return wire.EMPTY.saying(name="instType")
    return None if kind in known else wire.WRONG.saying(name="instType")


def _fund_fault(params: Params) -> wire.Fault | None:
    """Return the fault of a type, a time or a limit that cannot be used."""
    kind = params.get("type", "")
    if kind and kind not in {*wire.FundType}:
        return wire.WRONG.saying(name="type")
    for name in ("before", "after", "limit"):
        text = params.get(name, "")
        if text and not (text.isascii() and text.isdigit() and len(text) < 17):
            return wire.WRONG.saying(name=name)
    return None


def _picked(entries: list[wire.FundEntry], params: Params) -> list[wire.FundEntry]:
    """Return the lines asked for, newest first: `before` and `after` are times, excluded."""
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
    return found[: min(numbers.get("limit", MOST_ENTRIES), MOST_ENTRIES)]
