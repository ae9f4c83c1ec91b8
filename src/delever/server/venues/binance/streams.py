"""Binance's user data stream: listen keys, both socket layouts, and the events of an ADL fill.

    /ws/KEY  /private/ws?listenKey=KEY            bare events
    /stream?streams=KEY  /private/stream, SUBSCRIBE   wrapped events: {"stream": KEY, "data": EVENT}

Public and market sockets are accepted, because clients open all three together; they receive only
the answers to their own requests. A listen key is derived from the API key's secret, so that it is
valid after a restart of the server, too, without having been stored.
"""

import asyncio
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qs

import msgspec

from delever.core.book import Book
from delever.core.messages import (
    AdlFilled,
    Event,
    FillCancelled,
    LossSocialized,
    PositionsClosed,
    PositionsNetted,
    SettlementLossShared,
    TakenOver,
)
from delever.server.engine.account_snapshot import AccountSnapshot, account_snapshot_of
from delever.server.engine.runner import Committed, Runner, StoppedError
from delever.server.transport.api_keys import ApiKey, Keyring
from delever.server.transport.websockets import POLICY, Hub, Socket
from delever.server.venues.binance import account_payloads, payloads
from delever.server.venues.binance.markets import DAPI, FAPI, Markets
from delever.server.venues.fill_log import ForcedEvent

VALID_MS = 60 * 60_000
"""How long a listen key is valid after it was opened or extended."""

SPOT = "api"
PRODUCTS: Mapping[str, tuple[tuple[str, str | None], ...]] = {
    SPOT: (),
    FAPI: ((FAPI, None),),
    DAPI: ((DAPI, None),),
    "papi": ((FAPI, "UM"), (DAPI, "CM")),
}
"""The products in each API's stream, and each product's `fs` field there. Spot has none."""

SHARDS = {"private", "public", "market", "pm"}

MAX_STREAMS = 1_024
"""Streams that one connection may subscribe to, as at Binance."""

INVALID = 2
"""Error code of an invalid request on a socket."""


@dataclass(slots=True)
class UserDataStream:
    """One listen key with its account, its API and its expiry."""

    key: str
    account: str
    api: str
    expires_ms: int


class UserDataStreams:
    """Listen keys and their subscribers; used on the event loop only."""

    def __init__(self, runner: Runner, markets: Markets, keyring: Keyring) -> None:
        self._runner = runner
        self._markets = markets
        self._keyring = keyring
        self._hub = Hub()
        self._streams: dict[tuple[str, str], UserDataStream] = {}
        self._keys: dict[str, UserDataStream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._started_ms = runner.now_ms()
        self._ended: set[str] = set()
        runner.listeners.append(self._on_commits)

    # --- listen keys ---

    def open(self, api: str, api_key: ApiKey, account: str) -> str:
        """Return the API key's listen key, valid for VALID_MS from now."""
        stream = self._streams.get((api, api_key.id))
        now_ms = self._runner.now_ms()
        if stream is None:
            stream = UserDataStream(listen_key(api_key, api, now_ms), account, api, 0)
            self._streams[api, api_key.id] = self._keys[stream.key] = stream
            self._ended.discard(stream.key)
        stream.expires_ms = now_ms + VALID_MS
        return stream.key

    def _is_known(self, name: str) -> bool:
        """Whether a name is a listen key, of this run of the server or of one before.

        A key of a run before is valid for VALID_MS from its first use: nothing about it was stored.
        """
        if name in self._keys or name in self._ended:
            return name in self._keys
        owner = self._owner(name)
        if owner is None:
            return False
        api, api_key = owner
        expires_ms = self._runner.now_ms() + VALID_MS
        stream = UserDataStream(name, api_key.account or "", api, expires_ms)
        self._streams[api, api_key.id] = self._keys[name] = stream
        return True

    def _is_allowed(self, name: str, address: str) -> bool:
        """Whether a name is a listen key whose API key is accepted from an address now."""
        if not self._is_known(name):
            return False
        stream = self._keys[name]
        (key_id,) = [key_id for (_, key_id), each in self._streams.items() if each is stream]
        api_key = self._keyring.find(key_id)
        return api_key is not None and not api_key.problem(address, self._runner.now_ms())

    def _owner(self, name: str) -> tuple[str, ApiKey] | None:
        """Return the API and API key of a listen key that was opened before this run, or None."""
        if len(name) != LISTEN_KEY_LENGTH or opened_ms(name) > self._started_ms:
            return None
        for api_key in self._keyring.all():
            for api in PRODUCTS:
                free = (api, api_key.id) not in self._streams
                if free and api_key.account and is_listen_key(name, api_key, api):
                    return api, api_key
        return None

    def extend(self, api: str, api_key: ApiKey) -> str | None:
        """Extend the validity of the API key's listen key; return it, or None without one."""
        stream = self._streams.get((api, api_key.id))
        if stream is None:
            return None
        stream.expires_ms = self._runner.now_ms() + VALID_MS
        return stream.key

    def close(self, api: str, api_key: ApiKey) -> None:
        """Close the API key's stream."""
        stream = self._streams.pop((api, api_key.id), None)
        if stream is not None:
            self._end(stream)

    def _end(self, stream: UserDataStream) -> None:
        del self._keys[stream.key]
        if opened_ms(stream.key) <= self._started_ms:
            self._ended.add(stream.key)

    def expire(self) -> None:
        """Close the expired streams and notify their subscribers."""
        now_ms = self._runner.now_ms()
        over = {name: s for name, s in self._streams.items() if s.expires_ms <= now_ms}
        for name, stream in over.items():
            self._send(stream, account_payloads.listen_key_expired(stream.key, now_ms))
            del self._streams[name]
            self._end(stream)

    # --- sockets ---

    async def serve_socket(self, socket: Socket) -> None:
        """Serve one socket until it closes."""
        requested = _requested_streams(socket)
        if requested is None:
            socket.close(POLICY, f"no stream at {socket.path}")
            return
        layout, names = requested
        error = self._subscribe(socket, layout, names)
        if error is not None:
            socket.close(POLICY, error[1])
            return
        try:
            while True:
                socket.offer(self._answer(socket, layout, await socket.receive()))
        finally:
            self._hub.unsubscribe_all(socket)

    def _subscribe(self, socket: Socket, layout: str, names: list[str]) -> tuple[int, str] | None:
        """Subscribe a socket to all of the streams; return an error's code and text, or None.

        Names of market streams contain an @ or begin with a !, and ccxt numbers its connections
        (`/ws/1`); other names must be listen keys.
        """
        is_allowed = partial(self._is_allowed, address=socket.address)
        if not all(_is_market_stream(name) or is_allowed(name) for name in names):
            return payloads.NO_LISTEN_KEY.code, payloads.NO_LISTEN_KEY.msg
        if len(socket.topics) + len(names) > MAX_STREAMS:
            return INVALID, f"Invalid request: more than {MAX_STREAMS} streams"
        for name in names:
            self._hub.subscribe(_topic(layout, name), socket)
        return None

    def _answer(self, socket: Socket, layout: str, text: str) -> str:
        try:
            request = msgspec.json.decode(text, type=_SocketRequest)
        except msgspec.DecodeError as invalid:
            return _error(None, INVALID, f"Invalid request: {invalid}")
        result: list[str] | None = None
        error: tuple[int, str] | None = None
        match request.method:
            case "SUBSCRIBE":
                error = self._subscribe(socket, layout, request.params)
            case "UNSUBSCRIBE":
                for name in request.params:
                    self._hub.unsubscribe(_topic(layout, name), socket)
            case "LIST_SUBSCRIPTIONS":
                result = sorted(topic.partition(":")[2] for topic in socket.topics)
            case _:
                error = INVALID, f"Invalid request: unknown method {request.method!r}"
        if error is not None:
            return _error(request.id, *error)
        return _json({"result": result, "id": request.id})

    # --- events ---

    def _send(self, stream: UserDataStream, event: payloads.Json) -> None:
        """Send an event to a stream's subscribers, encoded once a layout."""
        bare, wrapped = _topic("ws", stream.key), _topic("stream", stream.key)
        if self._hub.count(bare) or self._hub.count(wrapped):
            text = _json(event)
            self._hub.publish(bare, text)
            self._hub.publish(wrapped, f'{{"stream":"{stream.key}","data":{text}}}')

    def _on_commits(self, commits: Sequence[Committed]) -> None:
        accounts = {s.account for s in self._streams.values() if self._has_subscribers(s)}
        if not accounts:
            return
        for committed in commits:
            events = [event for event in committed.events if _affected(event) & accounts]
            if events:
                time_ms = committed.command.time_ms
                publish = self._publish(committed.sequence, time_ms, events, accounts)
                task = asyncio.create_task(publish)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _has_subscribers(self, stream: UserDataStream) -> bool:
        return any(self._hub.count(_topic(layout, stream.key)) for layout in ("ws", "stream"))

    async def _publish(
        self, sequence: int, time_ms: int, events: Sequence[Event], accounts: set[str]
    ) -> None:
        """Publish each subscribed account's events with its balances and positions after them."""
        affected = sorted(accounts & set().union(*map(_affected, events)))

        def read(book: Book) -> list[AccountSnapshot | None]:
            return [account_snapshot_of(book, name) for name in affected]

        try:
            found = await self._runner.read(read)
        except StoppedError:
            return
        for account in found:
            if account is not None:
                own = [event for event in events if account.account in _affected(event)]
                self._publish_account(sequence, time_ms, own, account)

    def _publish_account(
        self, sequence: int, time_ms: int, events: Sequence[Event], account: AccountSnapshot
    ) -> None:
        for stream in list(self._streams.values()):
            if stream.account != account.account or not self._has_subscribers(stream):
                continue
            for product, fs in PRODUCTS[stream.api]:
                own = [e for e in events if self._markets.product(_contract(e)) == product]
                for event in self._messages(sequence, time_ms, own, account):
                    self._send(stream, event | ({"fs": fs} if fs else {}))

    def _messages(
        self, sequence: int, time_ms: int, events: Sequence[Event], account: AccountSnapshot
    ) -> Iterable[payloads.Json]:
        """Yield each order as new and as filled, then the account's balances and positions."""
        if not events:
            return
        mode, sent_ms = account.hedge_mode, self._runner.now_ms()
        forced = [event for event in events if isinstance(event, ForcedEvent)]
        for event in forced:
            market = self._markets.of_contract(event.contract).at(sequence)
            for status in (account_payloads.NEW, account_payloads.FILLED):
                yield account_payloads.order_update(
                    market, event, status, hedge_mode=mode, time_ms=time_ms, sent_ms=sent_ms
                )
        yield account_payloads.account_update(
            "ORDER" if forced else "ADJUSTMENT",
            self._balances(events, account),
            self._positions(events, account),
            time_ms=time_ms,
            sent_ms=sent_ms,
        )

    def _balances(
        self, events: Sequence[Event], account: AccountSnapshot
    ) -> Iterable[payloads.Json]:
        markets = [self._markets.of_contract(_contract(event)) for event in events]
        decimals = {market.terms.settle: market.cash_decimals for market in markets}
        isolated = dict.fromkeys(decimals, 0)
        for held in account.positions:
            if held.isolated and self._markets.product(held.contract):
                settle = self._markets.of_contract(held.contract).terms.settle
                isolated[settle] = isolated.get(settle, 0) + held.margin_cash
        for wallet in account.wallets:
            asset = wallet.asset
            if asset in decimals:
                yield account_payloads.balance_row(
                    asset, wallet.balance_cash, isolated[asset], decimals[asset]
                )

    def _positions(
        self, events: Sequence[Event], account: AccountSnapshot
    ) -> Iterable[payloads.Json]:
        """Yield the open and the closed positions of each contract in the events."""
        mode = account.hedge_mode
        for contract in dict.fromkeys(map(_contract, events)):
            market = self._markets.of_contract(contract).at(account.as_of)
            held = account.positions_in(contract)
            for position in held:
                yield account_payloads.position_row(market, position, hedge_mode=mode)
            closed = {
                event.side: _is_isolated(event, account.account)
                for event in events
                if isinstance(event, ForcedEvent | PositionsClosed) and event.contract == contract
            }
            for side, isolated in closed.items():
                if not held or (mode and side not in {p.side for p in held}):
                    yield account_payloads.closed_row(
                        market, side, hedge_mode=mode, isolated=isolated
                    )


class _SocketRequest(msgspec.Struct):
    method: str = ""
    params: list[str] = []
    id: int | str | None = None


def _requested_streams(socket: Socket) -> tuple[str, list[str]] | None:
    """Return the layout and stream names in a socket's address, or None for another path."""
    parts = socket.path.strip("/").split("/")
    if parts[0] in SHARDS:
        parts = parts[1:]
    if not parts or parts[0] not in {"ws", "stream"}:
        return None
    query = parse_qs(socket.query.decode("latin-1"))
    named = [name for text in query.get("streams", ()) for name in text.split("/")]
    return parts[0], [*parts[1:], *query.get("listenKey", ()), *named]


def _is_market_stream(name: str) -> bool:
    return "@" in name or name.startswith("!") or (name.isascii() and name.isdigit())


# --- listen keys ---

_TIME_BYTES, _KEY_BYTES = 6, 48
LISTEN_KEY_LENGTH = 64


def listen_key(api_key: ApiKey, api: str, opened_ms: int) -> str:
    """Return a listen key of 64 characters: the time, and a digest by the API key's secret."""
    time_bytes = opened_ms.to_bytes(_TIME_BYTES, "big")
    digest = api_key.derive(b"listenKey" + api.encode() + time_bytes)
    return urlsafe_b64encode(time_bytes + digest[: _KEY_BYTES - _TIME_BYTES]).decode()


def opened_ms(key: str) -> int:
    """Return the time in a listen key; 0 of a text that is none."""
    try:
        return int.from_bytes(urlsafe_b64decode(key)[:_TIME_BYTES], "big")
    except ValueError:
        return 0


def is_listen_key(name: str, api_key: ApiKey, api: str) -> bool:
    """Whether a name is a listen key of an API key."""
    return hmac.compare_digest(name.encode(), listen_key(api_key, api, opened_ms(name)).encode())


def _topic(layout: str, name: str) -> str:
    return f"{layout}:{name}"


def _json(message: object) -> str:
    return payloads.encode(message).decode()


def _error(request_id: int | str | None, code: int, msg: str) -> str:
    return _json({"error": {"code": code, "msg": msg}, "id": request_id})


def _affected(event: Event) -> set[str]:
    """Return the accounts whose positions an event closes or changes."""
    match event:
        case AdlFilled() | TakenOver() | PositionsNetted():
            return {event.account}
        case FillCancelled():
            return {event.fill.account}
        case LossSocialized() | PositionsClosed() | SettlementLossShared():
            return set(event.accounts)
        case _:
            return set()


def _contract(event: Event) -> str:
    match event:
        case AdlFilled() | TakenOver() | PositionsNetted() | LossSocialized():
            return event.contract
        case PositionsClosed() | SettlementLossShared():
            return event.contract
        case FillCancelled():
            return event.fill.contract
        case _:
            return ""


def _is_isolated(event: ForcedEvent | PositionsClosed, account: str) -> bool:
    match event:
        case AdlFilled():
            return event.isolated
        case TakenOver():
            return event.margin_cash > 0
        case PositionsClosed():
            margins = zip(event.accounts, event.margin_cash, strict=True)
            return any(margin for name, margin in margins if name == account)
