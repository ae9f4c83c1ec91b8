"""Bybit linear and inverse: ADL alerts, insurance pools, rank indicators, ADL executions."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from delever.watch.budget import Budget
from delever.watch.faults import MalformedError
from delever.watch.reading import (
    Drawdown,
    Fill,
    IndicatorReading,
    Pool,
    Position,
    Reading,
    Side,
    Wallet,
)
from delever.watch.scale import INDICATORS
from delever.watch.settings import Venue
from delever.watch.venues.adapter import Adapter, Deliver, Source, Stream
from delever.watch.venues.client import client, next_push
from delever.watch.venues.fields import Answer, each, joined, number, rows, text, time_ms
from delever.watch.venues.positions import When, Words, position

REQUESTS, WINDOW_MS = 600, 5_000
LISTS = {"/v5/position/list": ("result", "list")}
ADL = "AdlTrade"
STREAM = "wss://stream.bybit.com"
WORDS = Words(
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
"""Bybit lets an address in again that has been quiet for so long."""

ASKED: tuple[Mapping[str, str], ...] = (
    {"category": "linear", "settleCoin": "USDT"},
    {"category": "linear", "settleCoin": "USDC"},
    {"category": "inverse"},
)
"""What positions are asked for: linear ones by settle asset."""

TOPICS = {"linear": ("USDT", "USDC"), "inverse": ("inverse",)}
"""What the topics of alerts and of pools are divided by, by category of socket."""

ALERT = ("symbol", "coin", "balance", "pnlRatio", "insurancePnlRatio", "adlStopRatio")
"""The fields of an alert by REST, and then the threshold."""
THRESHOLD = "adlTriggerThreshold"
PUSHED = ("s", "c", "b", "pr", "i_pr", "adl_sr")
PUSHED_THRESHOLD = "adl_tt"

Pushed = Callable[[Mapping[str, Any]], Answer]
"""What reads the pushes of one topic."""


def bybit(venue: Venue, now_ms: Callable[[], int]) -> Adapter:
    """Return the adapter of Bybit's derivatives."""
    api = client(venue, "bybit", {"fetchMarkets": {"types": list(TOPICS)}}, LISTS)
    api.has["fetchCurrencies"] = False
    held = _Bybit(venue, api, now_ms)
    cadence = venue.cadence
    public = (
        Source("ADL alerts", cadence.alert_ms, 1, held.alerts),
        Source("insurance pools", cadence.alert_ms, 1, held.pools, (Pool,)),
    )
    private = (
        Source(
            "positions and indicators",
            cadence.indicator_ms,
            4,
            held.positions,
            (Position, IndicatorReading),
        ),
        Source("wallet", cadence.indicator_ms, 1, held.wallets, (Wallet,)),
        Source("ADL fills", cadence.fill_ms, 2, held.fills),
    )
    streams = [
        Stream(f"{category} stream", 5 * cadence.stream_ms, held.listener(category))
        for category in TOPICS
    ]
    if venue.keyed:
        streams.append(Stream("account stream", 0, held.listen))
    return Adapter(
        venue="bybit",
        rules="bybit",
        keyed=venue.keyed,
        budget=Budget(REQUESTS, WINDOW_MS),
        sources=(*public, *(private if venue.keyed else ())),
        streams=tuple(streams),
        close=api.close,
        set_clock=held.set_clock,
        headers=lambda: api.last_response_headers or {},
        ban_ms=BAN_MS,
    )


@dataclass(frozen=True, slots=True)
class _Bybit:
    venue: Venue
    api: Any
    now_ms: Callable[[], int]

    async def set_clock(self) -> int:
        return -int(await self.api.load_time_difference())

    # --- public ---

    async def alerts(self) -> Answer:
        answer = await self.api.publicGetV5MarketAdlAlert()
        when = When(self.now_ms(), self.venue.cadence.alert_ms)
        of_ms = time_ms(answer.get("result"), "updatedTime")
        found = rows(answer, "result", "list")
        return each(found, lambda row: [alert(row, ALERT, THRESHOLD, of_ms, when)])

    async def pools(self) -> Answer:
        answer = await self.api.publicGetV5MarketInsurance()
        of_ms = time_ms(answer.get("result"), "updatedTime")
        came = self.now_ms()
        found = rows(answer, "result", "list")
        read = each(found, lambda row: self._pool(row, of_ms, came), "symbols")
        return read._replace(of_ms=of_ms)

    def _pool(self, row: Any, of_ms: int, came: int) -> Iterator[Reading]:
        """Yield a pool: one contract's own each minute, a shared one once a day.

        The stream tells of a contract's own when it changes and is silent otherwise, so there too
        the minute of REST says when it is late.
        """
        members = tuple(sorted(filter(None, text(row, "symbols").split(","))))
        cadence, shared = self.venue.cadence, len(members) != 1
        yield Pool(
            venue="bybit",
            name=members[0] + (f" +{len(members) - 1}" if shared else "") if members else "shared",
            of_ms=of_ms,
            came_ms=came,
            cadence_ms=cadence.shared_pool_ms if shared else cadence.alert_ms,
            asset=text(row, "coin"),
            balance=number(row, "balance"),
            members=members,
        )

    def listener(self, category: str) -> Callable[[Deliver], Any]:
        """Return what listens to the alerts of one category through pybit."""

        async def listen(deliver: Deliver) -> None:
            await self._listen_public(category, deliver)

        return listen

    async def _listen_public(self, category: str, deliver: Deliver) -> None:
        loop = asyncio.get_running_loop()
        dropped = loop.create_future()

        def hand(read: Pushed, message: Mapping[str, Any]) -> None:
            loop.call_soon_threadsafe(self._take, read, message, deliver, dropped)

        url = self.venue.ws_url or self.venue.base_url.replace("http", "ws", 1) or STREAM
        socket = await _opened(url.rstrip("/"), category)
        topics = list(TOPICS[category])
        alerts, pools = partial(hand, self._pushed_alerts), partial(hand, self._pushed_pools)
        try:
            await asyncio.to_thread(socket.subscribe, "adlAlert.{symbol}", alerts, topics)
            await asyncio.to_thread(socket.insurance_pool_stream, topics, pools)
            while socket.is_connected() and not dropped.done():
                await asyncio.wait([dropped], timeout=0.25)
            if dropped.done():
                dropped.result()
            raise ConnectionError("the socket has closed")
        finally:
            with contextlib.suppress(Exception):  # it is closed already, as like as not
                await asyncio.to_thread(socket.exit)

    def _take(
        self,
        read: Pushed,
        message: Mapping[str, Any],
        deliver: Deliver,
        dropped: "asyncio.Future[None]",
    ) -> None:
        """Hand on one push; one that cannot be read ends the socket, with the reason."""
        try:
            found = read(message)
        except MalformedError as error:
            found = Answer((), malformed=(str(error),))
        deliver(found.readings)
        if found.malformed and not dropped.done():
            dropped.set_exception(MalformedError("push", found.malformed[0]))

    def _pushed_alerts(self, message: Mapping[str, Any]) -> Answer:
        of_ms = time_ms(message, "ts")
        when = When(self.now_ms(), self.venue.cadence.stream_ms)
        return each(
            rows(message, "data"),
            lambda row: [alert(row, PUSHED, PUSHED_THRESHOLD, of_ms, when)],
            "s",
        )

    def _pushed_pools(self, message: Mapping[str, Any]) -> Answer:
        came = self.now_ms()
        return each(
            rows(message, "data"),
            lambda row: self._pool(row, time_ms(row, "updateTime"), came),
            "symbols",
        )

    # --- the account's ---

    async def positions(self) -> Answer:
        """Return positions with their indicators; whether they are isolated is the account's mode."""
        account = await self.api.privateGetV5AccountInfo()
        isolated = text(account.get("result"), "marginMode") == ISOLATED
        answers = []
        for asked in ASKED:
            listed = await self.api.fetch_positions(None, dict(asked))
            when = When(self.now_ms(), self.venue.cadence.indicator_ms)
            open_ = [row for row in listed if row.get("contracts")]
            read = partial(self._position, isolated=isolated, when=when)
            answers.append(each(open_, read))
        return joined(answers)._replace(of_ms=None)

    def _position(self, row: Mapping[str, Any], *, isolated: bool, when: When) -> Iterator[Reading]:
        row = {**row, "marginMode": "isolated"} if isolated else row
        held = position("bybit", row, self.api.market(row["symbol"]), WORDS, when)
        yield held
        yield indicator(held, row["info"], "adlRankIndicator", when)

    async def wallets(self) -> Answer:
        answer = await self.api.fetch_balance()
        came = self.now_ms()
        coins = [
            coin for row in rows(answer["info"], "result", "list") for coin in rows(row, "coin")
        ]
        return each(coins, lambda row: self._wallet(row, came), "coin")._replace(of_ms=None)

    def _wallet(self, row: Any, came: int) -> Iterator[Reading]:
        yield Wallet(
            venue="bybit",
            name=text(row, "coin"),
            of_ms=came,
            came_ms=came,
            cadence_ms=self.venue.cadence.indicator_ms,
            balance=number(row, "walletBalance"),
            with_isolated=True,
        )

    async def fills(self) -> Answer:
        answers = []
        for category in TOPICS:
            asked = {"category": category, "execType": ADL, "limit": 100}
            answer = await self.api.privateGetV5ExecutionList(asked)
            answers.append(each(rows(answer, "result", "list"), self._fill))
        return joined(answers)._replace(of_ms=None)

    def _fill(self, row: Any) -> Iterator[Reading]:
        if text(row, "execType") == ADL:
            yield Fill(
                venue="bybit",
                name=text(row, "symbol"),
                of_ms=time_ms(row, "execTime"),
                came_ms=self.now_ms(),
                cadence_ms=self.venue.cadence.fill_ms,
                fill=text(row, "execId"),
                side=_closed_side(text(row, "side")),
                quantity=number(row, "execQty"),
                price=number(row, "execPrice"),
            )

    async def listen(self, deliver: Deliver) -> None:
        """Hand on the ADL executions that the account stream tells, until it drops."""
        self.api.broken = None
        while True:
            for trade in await next_push(self.api, self.api.watch_my_trades()):
                if trade["info"].get("execType") == ADL:
                    deliver(tuple(self._fill(trade["info"])))


def alert(row: Any, names: Sequence[str], threshold: str, of_ms: int, when: When) -> Drawdown:
    """Return an alert, by REST (text) or pushed (numbers); MalformedError names the field."""
    name, coin, balance, ratio, start, stop = names
    return Drawdown(
        venue="bybit",
        name=text(row, name),
        of_ms=of_ms,
        came_ms=when.came_ms,
        cadence_ms=when.cadence_ms,
        asset=text(row, coin),
        balance=number(row, balance),
        pnl_ratio=number(row, ratio),
        start_ratio=number(row, start),
        stop_ratio=number(row, stop),
        threshold=number(row, threshold),
    )


def indicator(held: Position, raw: Mapping[str, Any], field: str, when: When) -> IndicatorReading:
    """Return a position's indicator out of the field of its own row; MalformedError without one."""
    shown = text(raw, field)
    found = INDICATORS.indicator(shown)
    if found is None:
        raise MalformedError(field, shown)
    return IndicatorReading(
        venue=held.venue,
        name=held.name,
        of_ms=when.came_ms,
        came_ms=when.came_ms,
        cadence_ms=when.cadence_ms,
        side=held.side,
        indicator=found,
        raw=shown,
        scale=INDICATORS.says,
    )


def _closed_side(order: str) -> Side:
    match order:
        case "Sell":
            return "long"
        case "Buy":
            return "short"
    raise MalformedError("side", order)


async def _opened(url: str, category: str) -> Any:
    """Return a socket, connected; where nobody waits for it any more it is closed again."""
    made: list[Any] = []
    given_up = threading.Event()

    def open_it() -> None:
        made.append(_open(url, category))
        if given_up.is_set():
            made[0].exit()

    try:
        await asyncio.to_thread(open_it)
    except asyncio.CancelledError:
        given_up.set()
        for socket in made:
            socket.exit()
        raise
    return made[0]


def _open(url: str, category: str) -> Any:
    """Return pybit's socket, connected; it takes another address by its module's constant alone.

    pybit raises in a thread of its own, where nobody hears it, and waits for ever to subscribe on a
    socket that has closed. This one keeps what has ended it, and tells whoever asks. With `retries`
    at 1 pybit gives up even when it has connected.
    """
    import pybit.unified_trading as pybit  # type: ignore[import-untyped] # noqa: PLC0415 - heavy

    class Socket(pybit.WebSocket):  # type: ignore[misc]
        """pybit's socket; `ended` is why it can be used no more, `line` what is to be closed then.

        websocket-client leaves that to the collector where the other side has closed first.
        """

        ended: Exception | None = None
        line: Any = None

        def is_connected(self) -> bool:
            """Return whether it is; raises for why it is not and never will be."""
            if self.ended is not None:
                raise self.ended
            return bool(super().is_connected())

        def _on_open(self) -> None:
            self.line = self.ws.sock.sock

        def _on_close(self) -> None:
            self.ended = self.ended or ConnectionError("the socket was closed")
            if self.line is not None:
                self.line.close()

        def _on_error(self, error: Exception) -> None:
            lost = isinstance(error, OSError) or "WebSocket" in type(error).__name__
            why = f"{type(error).__name__}: {error}"
            self.ended = ConnectionError(why) if lost else MalformedError("push", why)
            self.exit()

    pybit.PUBLIC_WSS = url + "/v5/public/{CHANNEL_TYPE}"
    return Socket(category, testnet=False, retries=2, restart_on_error=False)
