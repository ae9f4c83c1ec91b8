"""Bybit linear and inverse: ADL alerts, insurance pools, rank indicators, ADL executions."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from websocket import WebSocketException

from delever.watch.market_data.errors import MalformedAnswerError
from delever.watch.market_data.indicator_scale import RANK_INDICATOR
from delever.watch.market_data.observations import (
    CancelledOrderObservation,
    DrawdownObservation,
    FillObservation,
    IndicatorObservation,
    Observation,
    PoolObservation,
    PositionObservation,
    Side,
    WalletObservation,
)
from delever.watch.settings import WatchedVenue
from delever.watch.venues.adapter import Deliver, PolledSource, StreamSource, VenueAdapter
from delever.watch.venues.answers import (
    ParsedAnswer,
    first_time_ms,
    merge,
    number,
    optional,
    optional_limits,
    parse_rows,
    rows,
    text,
    time_ms,
)
from delever.watch.venues.client import client, first_failure, next_push
from delever.watch.venues.exchanges.positions import (
    PositionFields,
    Receipt,
    open_rows,
    parse_indicator,
    parse_position,
)
from delever.watch.venues.request_budget import RequestBudget

REQUESTS, WINDOW_MS = 600, 5_000
LISTS = {"/v5/position/list": ("result", "list")}
ADL = "AdlTrade"
CANCELLED_BY_ADL = ("CancelByPrepareAdl", "CancelAllBeforeAdl")
STREAM = "wss://stream.bybit.com"
FIELDS = PositionFields(
    "symbol",
    "size",
    "avgPrice",
    "markPrice",
    "leverage",
    "positionMM",
    "positionBalance",
    "positionIM",
)
ISOLATED = "ISOLATED_MARGIN"
BAN_MS = 10 * 60_000
"""The pause after which Bybit lifts the ban of an address."""

POSITION_QUERIES: tuple[Mapping[str, str], ...] = (
    {"category": "linear", "settleCoin": "USDT"},
    {"category": "linear", "settleCoin": "USDC"},
    {"category": "inverse"},
)
"""The queries for all positions: linear ones by settle asset."""

TOPICS = {"linear": ("USDT", "USDC"), "inverse": ("inverse",)}
"""The groups of the alert and pool topics, by the socket's category."""

ALERT_FIELDS = (
    "symbol",
    "coin",
    "balance",
    "pnlRatio",
    "insurancePnlRatio",
    "adlStopRatio",
    "adlTriggerThreshold",
)
PUSHED_ALERT_FIELDS = ("s", "c", "b", "pr", "i_pr", "adl_sr", "adl_tt")

ParsePush = Callable[[Mapping[str, Any]], ParsedAnswer]
"""Parses the pushes of one topic."""


def bybit(venue: WatchedVenue, now_ms: Callable[[], int]) -> VenueAdapter:
    """Return the adapter of Bybit's derivatives."""
    exchange = client(venue, "bybit", {"fetchMarkets": {"types": list(TOPICS)}}, LISTS)
    exchange.has["fetchCurrencies"] = False
    api = _Bybit(venue, exchange, now_ms)
    refresh = venue.refresh
    public = (
        PolledSource("ADL alerts", refresh.alert_ms, 1, api.alerts),
        PolledSource("insurance pools", refresh.alert_ms, 1, api.pools, (PoolObservation,)),
    )
    private = (
        PolledSource(
            "positions and indicators",
            refresh.indicator_ms,
            4,
            api.positions,
            (PositionObservation, IndicatorObservation),
        ),
        PolledSource("wallet", refresh.indicator_ms, 1, api.wallets, (WalletObservation,)),
        PolledSource("ADL fills", refresh.fill_ms, 2, api.fills),
    )
    streams = [
        StreamSource(f"{category} stream", 5 * refresh.stream_ms, api.listener(category))
        for category in TOPICS
    ]
    if venue.keyed:
        streams.append(StreamSource("account stream", 0, api.listen, "ADL fills"))
    return VenueAdapter(
        venue="bybit",
        rules=venue.rules or "bybit",
        keyed=venue.keyed,
        budget=RequestBudget(REQUESTS, WINDOW_MS),
        sources=(*public, *(private if venue.keyed else ())),
        streams=tuple(streams),
        close=exchange.close,
        set_clock=api.set_clock,
        headers=lambda: exchange.last_response_headers or {},
        ban_ms=BAN_MS,
    )


@dataclass(frozen=True, slots=True)
class _Bybit:
    venue: WatchedVenue
    exchange: Any
    now_ms: Callable[[], int]

    async def set_clock(self) -> int:
        return -int(await self.exchange.load_time_difference())

    # --- public ---

    async def alerts(self) -> ParsedAnswer:
        answer = await self.exchange.publicGetV5MarketAdlAlert()
        receipt = Receipt(self.now_ms(), self.venue.refresh.alert_ms)
        updated_ms = _updated_ms(answer)
        return parse_rows(
            rows(answer, "result", "list"),
            lambda row: [parse_alert(row, ALERT_FIELDS, updated_ms, receipt)],
        )

    async def pools(self) -> ParsedAnswer:
        answer = await self.exchange.publicGetV5MarketInsurance()
        updated_ms = _updated_ms(answer)
        received_ms = self.now_ms()
        found = rows(answer, "result", "list")
        parsed = parse_rows(found, lambda row: self._pool(row, updated_ms, received_ms), "symbols")
        return parsed._replace(venue_time_ms=updated_ms)

    def _pool(self, row: Any, updated_ms: int, received_ms: int) -> Iterator[Observation]:
        """Yield a pool: isolated pools are refreshed every minute, shared ones every day.

        The stream sends an isolated pool on changes only, so the minute of REST decides when its
        balance is stale there too.
        """
        members = tuple(sorted(filter(None, text(row, "symbols").split(","))))
        refresh, shared = self.venue.refresh, len(members) != 1
        yield PoolObservation(
            venue="bybit",
            name=members[0] + (f" +{len(members) - 1}" if shared else "") if members else "shared",
            venue_time_ms=updated_ms,
            received_ms=received_ms,
            refresh_ms=refresh.shared_pool_ms if shared else refresh.alert_ms,
            asset=text(row, "coin"),
            balance=number(row, "balance"),
            members=members,
        )

    def listener(self, category: str) -> Callable[[Deliver], Any]:
        """Return the listener to one category's public topics, through pybit."""

        async def listen(deliver: Deliver) -> None:
            await self._listen_public(category, deliver)

        return listen

    async def _listen_public(self, category: str, deliver: Deliver) -> None:
        loop = asyncio.get_running_loop()
        dropped = loop.create_future()

        def on_push(parse: ParsePush, message: Mapping[str, Any]) -> None:
            loop.call_soon_threadsafe(self._handle_push, parse, message, deliver, dropped)

        url = self.venue.ws_url or self.venue.base_url.replace("http", "ws", 1) or STREAM
        socket = await _connect(url.rstrip("/"), category)
        topics = list(TOPICS[category])
        alerts, pools = partial(on_push, self._pushed_alerts), partial(on_push, self._pushed_pools)
        try:
            await asyncio.to_thread(socket.subscribe, "adlAlert.{symbol}", alerts, topics)
            await asyncio.to_thread(socket.insurance_pool_stream, topics, pools)
            while socket.is_connected() and not dropped.done():
                await asyncio.wait([dropped], timeout=0.25)
            if dropped.done():
                dropped.result()
            raise ConnectionError("the socket has closed")
        finally:
            with contextlib.suppress(OSError, WebSocketException):  # it may be closed already
                await asyncio.to_thread(socket.exit)

    def _handle_push(
        self,
        parse: ParsePush,
        message: Mapping[str, Any],
        deliver: Deliver,
        dropped: "asyncio.Future[None]",
    ) -> None:
        """Deliver one push; a malformed one ends the socket with its error."""
        try:
            parsed = parse(message)
        except MalformedAnswerError as error:
            parsed = ParsedAnswer((), malformed=(str(error),))
        deliver(parsed.observations)
        if parsed.malformed and not dropped.done():
            dropped.set_exception(MalformedAnswerError("push", parsed.malformed[0]))

    def _pushed_alerts(self, message: Mapping[str, Any]) -> ParsedAnswer:
        sent_ms = time_ms(message, "ts")
        receipt = Receipt(self.now_ms(), self.venue.refresh.stream_ms)
        return parse_rows(
            rows(message, "data"),
            lambda row: [parse_alert(row, PUSHED_ALERT_FIELDS, sent_ms, receipt)],
            "s",
        )

    def _pushed_pools(self, message: Mapping[str, Any]) -> ParsedAnswer:
        received_ms = self.now_ms()
        return parse_rows(
            rows(message, "data"),
            lambda row: self._pool(row, _pushed_ms(row, message), received_ms),
            "symbols",
        )

    # --- private ---

    async def positions(self) -> ParsedAnswer:
        """Return positions with their indicators; the account's margin mode applies to all."""
        account = await self.exchange.privateGetV5AccountInfo()
        isolated = text(account.get("result"), "marginMode") == ISOLATED
        answers = []
        for query in POSITION_QUERIES:
            listed = await self.exchange.fetch_positions(None, dict(query))
            receipt = Receipt(self.now_ms(), self.venue.refresh.indicator_ms)
            held = open_rows(listed, FIELDS.quantity)
            parse = partial(self._position, isolated=isolated, receipt=receipt)
            answers.append(parse_rows(held, parse))
        return merge(answers).without_time()

    def _position(
        self, row: Mapping[str, Any], *, isolated: bool, receipt: Receipt
    ) -> Iterator[Observation]:
        row = {**row, "marginMode": "isolated"} if isolated else row
        market = self.exchange.market(row["symbol"])
        position = parse_position("bybit", row, market, FIELDS, receipt)
        yield position
        field = "adlRankIndicator"
        raw = text(row["info"], field)
        yield parse_indicator(position, raw, field, RANK_INDICATOR, receipt)

    async def wallets(self) -> ParsedAnswer:
        answer = await self.exchange.fetch_balance()
        received_ms = self.now_ms()
        coins = [
            coin for row in rows(answer["info"], "result", "list") for coin in rows(row, "coin")
        ]
        return parse_rows(coins, lambda row: self._wallet(row, received_ms), "coin").without_time()

    def _wallet(self, row: Any, received_ms: int) -> Iterator[Observation]:
        yield WalletObservation(
            venue="bybit",
            name=text(row, "coin"),
            venue_time_ms=received_ms,
            received_ms=received_ms,
            refresh_ms=self.venue.refresh.indicator_ms,
            balance=number(row, "walletBalance"),
            includes_isolated=True,
        )

    async def fills(self) -> ParsedAnswer:
        answers = []
        for category in TOPICS:
            query = {"category": category, "execType": ADL, "limit": 100}
            answer = await self.exchange.privateGetV5ExecutionList(query)
            answers.append(parse_rows(rows(answer, "result", "list"), self._fill))
        return merge(answers).without_time()

    def _fill(self, row: Any) -> Iterator[Observation]:
        if text(row, "execType") == ADL:
            yield FillObservation(
                venue="bybit",
                name=text(row, "symbol"),
                venue_time_ms=time_ms(row, "execTime"),
                received_ms=self.now_ms(),
                refresh_ms=self.venue.refresh.fill_ms,
                fill=text(row, "execId"),
                side=_closed_side(text(row, "side")),
                quantity=number(row, "execQty"),
                price=number(row, "execPrice"),
                realized_pnl=optional(row, "execPnl"),
            )

    async def listen(self, deliver: Deliver) -> None:
        """Deliver the ADL executions and the orders that ADL cancels, until the stream drops."""
        self.exchange.broken = None
        await first_failure(self._listen_executions(deliver), self._listen_orders(deliver))

    async def _listen_orders(self, deliver: Deliver) -> None:
        while True:
            for order in await next_push(self.exchange, self.exchange.watch_orders()):
                raw = order.get("info") or {}
                if raw.get("cancelType") in CANCELLED_BY_ADL:
                    deliver([self._cancelled(raw)])

    def _cancelled(self, row: Mapping[str, Any]) -> CancelledOrderObservation:
        return CancelledOrderObservation(
            venue="bybit",
            name=text(row, "symbol"),
            venue_time_ms=time_ms(row, "updatedTime"),
            received_ms=self.now_ms(),
            refresh_ms=self.venue.refresh.fill_ms,
            order=text(row, "orderId"),
        )

    async def _listen_executions(self, deliver: Deliver) -> None:
        while True:
            for trade in await next_push(self.exchange, self.exchange.watch_my_trades()):
                if trade["info"].get("execType") == ADL:
                    deliver(tuple(self._fill(trade["info"])))


def parse_alert(
    row: Any, fields: Sequence[str], venue_time_ms: int, receipt: Receipt
) -> DrawdownObservation:
    """Return an alert of REST (text) or of the stream (numbers), by its field names.

    A contract whose three limits are empty has no drawdown rule.
    """
    name, coin, balance, ratio, *limits = fields
    start, stop, threshold = optional_limits(row, limits)
    return DrawdownObservation(
        venue="bybit",
        name=text(row, name),
        venue_time_ms=venue_time_ms,
        received_ms=receipt.received_ms,
        refresh_ms=receipt.refresh_ms,
        asset=text(row, coin),
        balance=number(row, balance),
        pnl_ratio=number(row, ratio),
        start_ratio=start,
        stop_ratio=stop,
        trigger_threshold=threshold,
    )


def _updated_ms(answer: Mapping[str, Any]) -> int:
    """Return the time of a list's values: Bybit documents it as updatedTime and as updateTime."""
    result = answer.get("result")
    return first_time_ms((result, "updatedTime"), (result, "updateTime"), (answer, "time"))


def _pushed_ms(row: Any, message: Mapping[str, Any]) -> int:
    return first_time_ms((row, "updateTime"), (row, "updatedTime"), (message, "ts"))


def _closed_side(order_side: str) -> Side:
    match order_side:
        case "Sell":
            return "long"
        case "Buy":
            return "short"
    raise MalformedAnswerError("side", order_side)


async def _connect(url: str, category: str) -> Any:
    """Return a connected socket; if the caller is cancelled meanwhile, close it again."""
    opened: list[Any] = []
    cancelled = threading.Event()

    def open_socket() -> None:
        opened.append(_open(url, category))
        if cancelled.is_set():
            opened[0].exit()

    try:
        await asyncio.to_thread(open_socket)
    except asyncio.CancelledError:
        cancelled.set()
        for socket in opened:
            socket.exit()
        raise
    return opened[0]


def _open(url: str, category: str) -> Any:
    """Return pybit's socket, connected; its URL is a constant of pybit's module.

    pybit raises in a thread of its own, where no caller sees it, and waits for ever to subscribe on
    a socket that has closed. This subclass stores the error and raises it in `is_connected`. With
    `retries` at 1 pybit gives up even after it has connected.
    """
    import pybit.unified_trading as pybit  # type: ignore[import-untyped] # noqa: PLC0415 - slow

    class Socket(pybit.WebSocket):  # type: ignore[misc]
        """pybit's socket; `ended` is the error that ended it, `connection` the raw socket.

        websocket-client does not close the raw socket after the other side has closed.
        """

        ended: Exception | None = None
        connection: Any = None

        def is_connected(self) -> bool:
            """Return whether the socket is connected; raise the error that has ended it."""
            if self.ended is not None:
                raise self.ended
            return bool(super().is_connected())

        def _on_open(self) -> None:
            self.connection = self.ws.sock.sock

        def _on_close(self) -> None:
            self.ended = self.ended or ConnectionError("the socket was closed")
            if self.connection is not None:
                self.connection.close()

        def _on_error(self, error: Exception) -> None:
            lost = isinstance(error, OSError) or "WebSocket" in type(error).__name__
            why = f"{type(error).__name__}: {error}"
            self.ended = ConnectionError(why) if lost else MalformedAnswerError("push", why)
            self.exit()

    pybit.PUBLIC_WSS = url + "/v5/public/{CHANNEL_TYPE}"
    return Socket(category, testnet=False, retries=2, restart_on_error=False)
