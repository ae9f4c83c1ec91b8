"""Binance's user data stream: listen keys, both layouts of sockets, and what an ADL fill sends.

    /ws/KEY  /private/ws?listenKey=KEY            events as they are
    /stream?streams=KEY  /private/stream, SUBSCRIBE   events wrapped: {"stream": KEY, "data": EVENT}

Public and market sockets are let in, because clients open all three together; nothing is sent there
but the answers to what they subscribe.
"""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

import msgspec

from delever.core.book import Book
from delever.core.messages import AdlFilled, Event, FillCancelled, LossSocialized, TakenOver
from delever.server.engine.account_view import Holdings, holdings_of
from delever.server.engine.service import Committed, Runner, StoppedError
from delever.server.transport.api_keys import Holder
from delever.server.transport.websockets import POLICY, Hub, Socket
from delever.server.venues.binance import account_payloads as words
from delever.server.venues.binance import payloads as wire
from delever.server.venues.binance.markets import DAPI, FAPI, Markets

VALID_MS = 60 * 60_000
"""How long a listen key lives without being kept alive."""

PRODUCTS = {FAPI: ((FAPI, None),), DAPI: ((DAPI, None),), "papi": ((FAPI, "UM"), (DAPI, "CM"))}
"""What each API's stream tells of, and how it says which (`fs`)."""

SHARDS = {"private", "public", "market", "pm"}

MOST_STREAMS = 1_024
"""Streams that one connection may subscribe, as at Binance."""

INVALID = 2
"""Code of a request on a socket that cannot be understood."""

Closed = AdlFilled | TakenOver


@dataclass(slots=True)
class Stream:
    """One listen key: whose it is, what it tells, and until when."""

    key: str
    account: str
    api: str
    expires_ms: int


class Streams:
    """Listen keys and their subscribers. Lives on the event loop."""

    def __init__(self, runner: Runner, markets: Markets) -> None:
        self._runner = runner
        self._markets = markets
        self._hub = Hub()
        self._streams: dict[tuple[str, str], Stream] = {}
        self._keys: dict[str, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        runner.listeners.append(self._hear)

    # --- listen keys ---

    def open(self, api: str, holder: Holder, account: str) -> str:
        """Return the API key's listen key, valid from now on for VALID_MS."""
        stream = self._streams.get((api, holder.id))
        if stream is None:
            stream = Stream(secrets.token_urlsafe(48), account, api, 0)
            self._streams[api, holder.id] = self._keys[stream.key] = stream
        stream.expires_ms = self._runner.now_ms() + VALID_MS
        return stream.key

    def keep(self, api: str, holder: Holder) -> str | None:
        """Keep the API key's listen key alive; None where there is none."""
        stream = self._streams.get((api, holder.id))
        if stream is None:
            return None
        stream.expires_ms = self._runner.now_ms() + VALID_MS
        return stream.key

    def close(self, api: str, holder: Holder) -> None:
        """End the API key's stream."""
        stream = self._streams.pop((api, holder.id), None)
        if stream is not None:
            del self._keys[stream.key]

    def expire(self) -> None:
        """End the streams whose time is over, and tell their subscribers."""
        now_ms = self._runner.now_ms()
        over = {name: s for name, s in self._streams.items() if s.expires_ms <= now_ms}
        for name, stream in over.items():
            self._send(stream, words.listen_key_expired(stream.key, now_ms))
            del self._streams[name], self._keys[stream.key]

    # --- sockets ---

    async def converse(self, socket: Socket) -> None:
        """Serve one socket until it ends."""
        asked = _asked(socket)
        if asked is None:
            socket.close(POLICY, f"no stream at {socket.path}")
            return
        layout, names = asked
        refused = self._subscribe(socket, layout, names)
        if refused is not None:
            socket.close(POLICY, refused[1])
            return
        try:
            while True:
                socket.offer(self._answer(socket, layout, await socket.receive()))
        finally:
            self._hub.forget(socket)

    def _subscribe(self, socket: Socket, layout: str, names: list[str]) -> tuple[int, str] | None:
        """Let a socket hear streams: all of them, or none, and the code and text that say why.

        SymbolMap of market streams have an @; others can only be listen keys.
        """
        if any("@" not in name and name not in self._keys for name in names):
            return wire.NO_LISTEN_KEY.code, wire.NO_LISTEN_KEY.msg
        if len(socket.topics) + len(names) > MOST_STREAMS:
            return INVALID, f"Invalid request: more than {MOST_STREAMS} streams"
        for name in names:
            self._hub.join(_topic(layout, name), socket)
        return None

    def _answer(self, socket: Socket, layout: str, text: str) -> str:
        try:
            asked = msgspec.json.decode(text, type=_Asked)
        except msgspec.DecodeError as error:
            return _error(None, INVALID, f"Invalid request: {error}")
        result: list[str] | None = None
        refused: tuple[int, str] | None = None
        match asked.method:
            case "SUBSCRIBE":
                refused = self._subscribe(socket, layout, asked.params)
            case "UNSUBSCRIBE":
                for name in asked.params:
                    self._hub.leave(_topic(layout, name), socket)
            case "LIST_SUBSCRIPTIONS":
                result = sorted(topic.partition(":")[2] for topic in socket.topics)
            case _:
                refused = INVALID, f"Invalid request: unknown method {asked.method!r}"
        if refused is not None:
            return _error(asked.id, *refused)
        return _json({"result": result, "id": asked.id})

    # --- events ---

    def _send(self, stream: Stream, event: wire.Json) -> None:
        """Send an event to a stream's subscribers, encoded once for each layout."""
        bare, wrapped = _topic("ws", stream.key), _topic("stream", stream.key)
        if self._hub.count(bare) or self._hub.count(wrapped):
            text = _json(event)
            self._hub.publish(bare, text)
            self._hub.publish(wrapped, f'{{"stream":"{stream.key}","data":{text}}}')

    def _hear(self, fresh: Sequence[Committed]) -> None:
        listening = {stream.account for stream in self._streams.values() if self._heard(stream)}
        if not listening:
            return
        for committed in fresh:
            events = [event for event in committed.events if _touched(event) & listening]
            if events:
                task = asyncio.create_task(self._tell(committed.command.time_ms, events, listening))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _heard(self, stream: Stream) -> bool:
        return any(self._hub.count(_topic(layout, stream.key)) for layout in ("ws", "stream"))

    async def _tell(self, time_ms: int, events: Sequence[Event], listening: set[str]) -> None:
        """Tell every account that listens what has happened to it, and what it holds now."""
        touched = sorted(listening & set().union(*map(_touched, events)))

        def read(book: Book) -> list[Holdings | None]:
            return [holdings_of(book, account) for account in touched]

        try:
            found = await self._runner.read(read)
        except StoppedError:
            return
        for holdings in found:
            if holdings is not None:
                own = [event for event in events if holdings.account in _touched(event)]
                self._tell_account(time_ms, own, holdings)

    def _tell_account(self, time_ms: int, events: Sequence[Event], holdings: Holdings) -> None:
        for stream in list(self._streams.values()):
            if stream.account != holdings.account or not self._heard(stream):
                continue
            for product, mark in PRODUCTS[stream.api]:
                own = [e for e in events if self._markets.product(_contract(e)) == product]
                for event in self._messages(time_ms, own, holdings):
                    self._send(stream, event | ({"fs": mark} if mark else {}))

    def _messages(
        self, time_ms: int, events: Sequence[Event], holdings: Holdings
    ) -> Iterable[wire.Json]:
        """Yield each order as new and as filled, then what the account is left with."""
        if not events:
            return
        mode, sent_ms = holdings.hedge_mode, self._runner.now_ms()
        closed = [event for event in events if isinstance(event, Closed)]
        for event in closed:
            market = self._markets.of_contract(event.contract)
            for status in (words.NEW, words.FILLED):
                yield words.order_update(
                    market, event, status, hedge_mode=mode, time_ms=time_ms, sent_ms=sent_ms
                )
        yield words.account_update(
            "ORDER" if closed else "ADJUSTMENT",
            self._balances(events, holdings),
            self._positions(events, holdings),
            time_ms=time_ms,
            sent_ms=sent_ms,
        )

    def _balances(self, events: Sequence[Event], holdings: Holdings) -> Iterable[wire.Json]:
        markets = [self._markets.of_contract(_contract(event)) for event in events]
        decimals = {market.terms.settle: market.cash_decimals for market in markets}
        isolated = dict.fromkeys(decimals, 0)
        for held in holdings.positions:
            if held.isolated and self._markets.product(held.contract):
                settle = self._markets.of_contract(held.contract).terms.settle
                isolated[settle] = isolated.get(settle, 0) + held.margin_cash
        for wallet in holdings.wallets:
            asset = wallet.asset
            if asset in decimals:
                yield words.balance_row(
                    asset, wallet.balance_cash, isolated[asset], decimals[asset]
                )

    def _positions(self, events: Sequence[Event], holdings: Holdings) -> Iterable[wire.Json]:
        """Yield what is open in each contract that the events touched, and what they closed."""
        mode = holdings.hedge_mode
        for contract in dict.fromkeys(map(_contract, events)):
            market = self._markets.of_contract(contract)
            held = holdings.of(contract)
            for position in held:
                yield words.position_row(market, position, hedge_mode=mode)
            gone = {
                event.side: event
                for event in events
                if isinstance(event, Closed) and event.contract == contract
            }
            for side, event in gone.items():
                if not held or (mode and side not in {p.side for p in held}):
                    yield words.closed_row(market, side, hedge_mode=mode, isolated=_isolated(event))


class _Asked(msgspec.Struct):
    method: str = ""
    params: list[str] = []
    id: int | str | None = None


def _asked(socket: Socket) -> tuple[str, list[str]] | None:
    """Return layout and stream names that a socket's address asks for; None if it is no stream."""
    parts = socket.path.strip("/").split("/")
    if parts[0] in SHARDS:
        parts = parts[1:]
    if not parts or parts[0] not in {"ws", "stream"}:
        return None
    query = parse_qs(socket.query.decode("latin-1"))
    named = [name for text in query.get("streams", ()) for name in text.split("/")]
    return parts[0], [*parts[1:], *query.get("listenKey", ()), *named]


def _topic(layout: str, name: str) -> str:
    return f"{layout}:{name}"


def _json(message: object) -> str:
    return wire.encode(message).decode()


def _error(request_id: int | str | None, code: int, msg: str) -> str:
    return _json({"error": {"code": code, "msg": msg}, "id": request_id})


def _touched(event: Event) -> set[str]:
    """Return the accounts whose positions an event closes or changes."""
    match event:
        case AdlFilled() | TakenOver():
            return {event.account}
        case FillCancelled():
            return {event.fill.account}
        case LossSocialized():
            return set(event.accounts)
        case _:
            return set()


def _contract(event: Event) -> str:
    match event:
        case AdlFilled() | TakenOver() | LossSocialized():
            return event.contract
        case FillCancelled():
            return event.fill.contract
        case _:
            return ""


def _isolated(event: Closed) -> bool:
    return event.isolated if isinstance(event, AdlFilled) else event.margin_cash > 0
