"""OKX: the adl-warning channel, security funds, the position field adl, ADL fills."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from delever.watch.market_data.errors import MalformedAnswerError
from delever.watch.market_data.indicator_scale import RANK_INDICATOR
from delever.watch.market_data.observations import (
    CancelledOrderObservation,
    FillObservation,
    IndicatorObservation,
    Observation,
    PoolObservation,
    PositionObservation,
    Side,
    WalletObservation,
    WarningObservation,
)
from delever.watch.settings import WatchedVenue
from delever.watch.venues.adapter import Deliver, PolledSource, StreamSource, VenueAdapter
from delever.watch.venues.answers import (
    ParsedAnswer,
    merge,
    number,
    optional,
    parse_rows,
    rows,
    text,
    time_ms,
)
from delever.watch.venues.client import next_push, set_up, with_channels
from delever.watch.venues.exchanges.positions import (
    PositionFields,
    Receipt,
    open_rows,
    parse_indicator,
    parse_position,
)
from delever.watch.venues.request_budget import RequestBudget

REQUESTS, WINDOW_MS = 10, 2_000
LISTS = {"/account/positions": ("data",)}
CHANNEL, ORDERS = "adl-warning", "orders"
INSTRUMENT_TYPES = ("SWAP", "FUTURES")
FIELDS = PositionFields("instId", "pos", "avgPx", "markPx", "lever", "mmr", "margin")
STATES = {"normal", "warning", "adl"}
NORMAL_REFRESH_MS = 60_000
NORMAL_AFTER = 5
"""A family without a warning for this many pushes is normal, which OKX need not send."""

ADL = "adl"
"""The category of an order of ADL."""

CANCELLED_BY_ADL = "6"
"""The `cancelSource` of an order that ADL has cancelled."""

ADL_SUBTYPES = {"125": "long", "126": "short", "127": "short", "128": "long"}
"""The closed side by the bill's subtype: close long, close short, buy, sell."""


def _channel(message: Mapping[str, Any]) -> object:
    """Return the channel of a message with data, which an answer to a subscription has not."""
    arg = message.get("arg")
    return arg.get("channel") if isinstance(arg, Mapping) and "data" in message else None


def okx(venue: WatchedVenue, now_ms: Callable[[], int]) -> VenueAdapter:
    """Return the adapter of OKX's swaps and futures."""
    import ccxt.pro  # type: ignore[import-untyped] # noqa: PLC0415 - slow to import

    options = {"fetchMarkets": {"types": ["swap", "future"]}}
    kind = with_channels(ccxt.pro.okx, (CHANNEL, ORDERS), _channel)
    exchange = set_up(kind, venue, options, LISTS)
    exchange.has["fetchCurrencies"] = False
    api = _Okx(venue, exchange, now_ms)
    refresh = venue.refresh
    private = (
        PolledSource(
            "positions and indicators",
            refresh.indicator_ms,
            1,
            api.positions,
            (PositionObservation, IndicatorObservation),
        ),
        PolledSource("wallet", refresh.indicator_ms, 1, api.wallets, (WalletObservation,)),
        PolledSource("ADL fills", refresh.fill_ms, 1, api.fills),
    )
    account = (StreamSource("account stream", 0, api.listen_orders, "ADL fills"),)
    return VenueAdapter(
        venue="okx",
        rules=venue.rules or "okx_2025",
        keyed=venue.keyed,
        budget=RequestBudget(REQUESTS, WINDOW_MS, share_percent=50),
        sources=(
            PolledSource("security fund", refresh.alert_ms, 1, api.funds, (PoolObservation,)),
            *(private if venue.keyed else ()),
        ),
        streams=(StreamSource("ADL warnings", 0, api.listen), *(account if venue.keyed else ())),
        close=exchange.close,
        set_clock=api.set_clock,
        headers=lambda: exchange.last_response_headers or {},
    )


@dataclass(frozen=True, slots=True)
class _Okx:
    venue: WatchedVenue
    exchange: Any
    now_ms: Callable[[], int]
    families: set[str] = field(default_factory=set)
    warnings: dict[str, WarningObservation] = field(default_factory=dict)

    async def set_clock(self) -> int:
        return -int(await self.exchange.load_time_difference())

    async def funds(self) -> ParsedAnswer:
        """Return the security funds of held and configured families, one request each."""
        answers = []
        for family in sorted({*self.venue.families, *self.families}):
            query = {"instType": "SWAP", "instFamily": family, "limit": "1"}
            answer = await self.exchange.publicGetPublicInsuranceFund(query)
            parse = partial(self._fund, family=family, received_ms=self.now_ms())
            answers += [
                parse_rows(rows(data, "details"), parse, "ccy") for data in rows(answer, "data")
            ]
        return merge(answers).without_time()

    def _fund(self, row: Any, family: str, received_ms: int) -> Iterator[Observation]:
        yield PoolObservation(
            venue="okx",
            name=family,
            venue_time_ms=time_ms(row, "ts"),
            received_ms=received_ms,
            refresh_ms=self.venue.refresh.shared_pool_ms,
            asset=text(row, "ccy"),
            balance=number(row, "balance"),
        )

    async def listen(self, deliver: Deliver) -> None:
        """Deliver warnings, and the state normal of families whose warnings have ceased."""
        await self.exchange.load_markets()
        url = self.exchange.get_url(CHANNEL, "public")
        args = [{"channel": CHANNEL, "instType": kind} for kind in INSTRUMENT_TYPES]
        request = {"op": "subscribe", "args": args}
        self.exchange.broken = None
        while True:
            pushed = self.exchange.watch(url, CHANNEL, request, CHANNEL)
            try:
                await asyncio.wait_for(
                    next_push(self.exchange, pushed), self.venue.refresh.stream_ms / 1000
                )
            except TimeoutError:
                self._check_connected(url)
            while self.exchange.pushed[CHANNEL]:
                data = rows(self.exchange.pushed[CHANNEL].popleft(), "data")
                parsed = parse_rows(data, self._warning, "instFamily")
                deliver(parsed.observations)
                if parsed.malformed:
                    raise MalformedAnswerError(CHANNEL, parsed.malformed[0])
            deliver(self._ceased())

    def _check_connected(self, url: str) -> None:
        """Raise if ccxt's socket has failed: ccxt opens a new one only on request."""
        socket = self.exchange.clients.get(url)
        if socket is not None and socket.error is not None:
            raise ConnectionError(str(socket.error))

    def _warning(self, row: Any) -> Iterator[Observation]:
        state, kind = text(row, "state"), text(row, "instType")
        if state not in STATES:
            raise MalformedAnswerError("state", state)
        warning = WarningObservation(
            venue="okx",
            name=f"{text(row, 'instFamily')}-{kind}",
            venue_time_ms=time_ms(row, "ts"),
            received_ms=self.now_ms(),
            refresh_ms=NORMAL_REFRESH_MS if state == "normal" else self.venue.refresh.stream_ms,
            state=state,  # type: ignore[arg-type]
            balance=optional(row, "bal"),
        )
        self.warnings[warning.name] = warning
        yield warning

    def _ceased(self) -> list[Observation]:
        """Return the state normal of each family without a warning for a while."""
        now, silence_ms = self.now_ms(), NORMAL_AFTER * self.venue.refresh.stream_ms
        for name in {f"{family}-SWAP" for family in {*self.families, *self.venue.families}}:
            self.warnings.setdefault(name, _normal(name, now - silence_ms - 1, None))
        ceased: list[Observation] = []
        for name, warning in self.warnings.items():
            if now - warning.received_ms > silence_ms:
                self.warnings[name] = _normal(name, now, warning.balance)
                ceased.append(self.warnings[name])
        return ceased

    # --- private ---

    async def positions(self) -> ParsedAnswer:
        listed = await self.exchange.fetch_positions()
        receipt = Receipt(self.now_ms(), self.venue.refresh.indicator_ms)
        held = open_rows(listed, FIELDS.quantity)
        answer = parse_rows(held, lambda row: self._position(row, receipt))
        names = [r.name for r in answer.observations if isinstance(r, PositionObservation)]
        self.families.clear()
        self.families.update("-".join(name.split("-")[:2]) for name in names)
        return answer.without_time()

    def _position(self, row: Mapping[str, Any], receipt: Receipt) -> Iterator[Observation]:
        market = self.exchange.market(row["symbol"])
        position = parse_position("okx", row, market, FIELDS, receipt)
        yield position
        raw = text(row["info"], "adl")
        yield parse_indicator(position, raw, "adl", RANK_INDICATOR, receipt)

    async def wallets(self) -> ParsedAnswer:
        answer = await self.exchange.fetch_balance()
        received_ms = self.now_ms()
        coins = [coin for row in rows(answer["info"], "data") for coin in rows(row, "details")]
        return parse_rows(coins, lambda row: self._wallet(row, received_ms), "ccy").without_time()

    def _wallet(self, row: Any, received_ms: int) -> Iterator[Observation]:
        yield WalletObservation(
            venue="okx",
            name=text(row, "ccy"),
            venue_time_ms=received_ms,
            received_ms=received_ms,
            refresh_ms=self.venue.refresh.indicator_ms,
            balance=number(row, "cashBal"),
        )

    async def listen_orders(self, deliver: Deliver) -> None:
        """Deliver the ADL fills and the cancelled orders of the account until the stream drops."""
        url = self.exchange.get_url(ORDERS, "private")
        await self.exchange.authenticate({"access": "private"})
        request = {"op": "subscribe", "args": [{"channel": ORDERS, "instType": "ANY"}]}
        self.exchange.broken = None
        while True:
            await next_push(self.exchange, self.exchange.watch(url, ORDERS, request, ORDERS))
            while self.exchange.pushed[ORDERS]:
                data = rows(self.exchange.pushed[ORDERS].popleft(), "data")
                parsed = parse_rows(data, self._order, "instId")
                deliver(parsed.observations)
                if parsed.malformed:
                    raise MalformedAnswerError(ORDERS, parsed.malformed[0])

    def _order(self, row: Any) -> Iterator[Observation]:
        """Yield an order's ADL fill, or that ADL has cancelled it."""
        if text(row, "category") == ADL and optional(row, "fillSz"):
            yield self._pushed_fill(row)
        elif row.get("cancelSource") == CANCELLED_BY_ADL:
            yield self._cancelled(row)

    def _pushed_fill(self, row: Mapping[str, Any]) -> FillObservation:
        return FillObservation(
            venue="okx",
            name=text(row, "instId"),
            venue_time_ms=time_ms(row, "fillTime"),
            received_ms=self.now_ms(),
            refresh_ms=self.venue.refresh.fill_ms,
            fill=text(row, "tradeId"),
            side=_closed_side(row),
            quantity=number(row, "fillSz"),
            price=number(row, "fillPx"),
            realized_pnl=optional(row, "fillPnl"),
        )

    def _cancelled(self, row: Mapping[str, Any]) -> CancelledOrderObservation:
        return CancelledOrderObservation(
            venue="okx",
            name=text(row, "instId"),
            venue_time_ms=time_ms(row, "uTime"),
            received_ms=self.now_ms(),
            refresh_ms=self.venue.refresh.fill_ms,
            order=text(row, "ordId"),
        )

    async def fills(self) -> ParsedAnswer:
        answer = await self.exchange.privateGetAccountBills({"type": "9"})
        return parse_rows(rows(answer, "data"), self._fill, "instId").without_time()

    def _fill(self, row: Any) -> Iterator[Observation]:
        side = ADL_SUBTYPES.get(text(row, "subType"))
        if side is not None:
            yield FillObservation(
                venue="okx",
                name=text(row, "instId"),
                venue_time_ms=time_ms(row, "ts"),
                received_ms=self.now_ms(),
                refresh_ms=self.venue.refresh.fill_ms,
                fill=str(row.get("tradeId") or text(row, "billId")),
                side="long" if side == "long" else "short",
                quantity=abs(number(row, "sz")),
                price=optional(row, "px"),
                realized_pnl=optional(row, "pnl"),
                settle=str(row.get("ccy") or ""),
            )


def _closed_side(row: Mapping[str, Any]) -> Side:
    """Return the side of the position that an order closed: in one-way mode the opposite one."""
    match row.get("posSide"), text(row, "side"):
        case ("long", _) | ("net" | "" | None, "sell"):
            return "long"
        case ("short", _) | ("net" | "" | None, "buy"):
            return "short"
    raise MalformedAnswerError("posSide", row.get("posSide"))


def _normal(name: str, now_ms: int, balance: Any) -> WarningObservation:
    return WarningObservation(
        venue="okx",
        name=name,
        venue_time_ms=now_ms,
        received_ms=now_ms,
        refresh_ms=NORMAL_REFRESH_MS,
        state="normal",
        balance=balance,
    )
