"""Bybit's V5 streams: connections, subscriptions, and the public topics, pushed every second.

A public topic is encoded once a second for all its subscribers. Acknowledgements of a subscription
are delayed a little: pybit registers a subscription only after it has sent the request.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

import msgspec

from delever.server.engine.runner import Runner
from delever.server.transport.api_keys import Keyring
from delever.server.transport.rate_limits import RateLimiter
from delever.server.transport.websockets import POLICY, Hub, Socket
from delever.server.venues.account_reader import readable_account
from delever.server.venues.broadcast_timer import BroadcastTimer
from delever.server.venues.bybit import payloads
from delever.server.venues.bybit.authentication import KEY_PROBLEMS
from delever.server.venues.bybit.markets import alerts, pools
from delever.server.venues.bybit.private_streams import PrivateTopics
from delever.server.venues.symbols import SymbolMapCache

ACKNOWLEDGE_AFTER_S = 0.02
IDLE_S = 600.0
"""A connection that sends nothing for this long is closed, as at Bybit."""

MAX_ARGUMENT_CHARACTERS = 21_000
CONNECTIONS_MS = 300_000

PRIVATE = "/v5/private"
PUBLIC = tuple(
    f"/v5/public/{category}"
    for category in ("linear", "inverse", "spot", "option", "spread", "misc/status")
)

ALERT, INSURANCE = "adlAlert", "insurance"
PRIVATE_TOPICS = ("position", "execution", "order", "wallet")
SILENT_TOPICS = {
    *("orderbook", "publicTrade", "tickers", "kline", "allLiquidation", "liquidation"),
    *("priceLimit", "kline_lt", "tickers_lt", "lt", "system", "rpi"),
}
"""Public topics of Bybit that are acknowledged and stay silent: a client's socket ends with one
topic that is refused."""

SILENT_PRIVATE_TOPICS = {"greeks", "dcp", "spread", "rfq", "fast"}
PRIVATE_TAILS = {"", "linear", "inverse", "spot", "option", "fast"}


class BybitConnection:
    """One connection: its id, whether it is private, and the account that it may read."""

    def __init__(self, socket: Socket, number: int) -> None:
        self.socket = socket
        self.id = f"delever-{number}"
        self.private = socket.path == PRIVATE
        self.account: str | None = None

    def acknowledge(self, op: str, request: Mapping[str, Any], error: str = "") -> None:
        """Answer a request; a failed one with `error`."""
        request_id = request.get("req_id", "")
        self.socket.offer(payloads.acknowledgement(op, request_id, self.id, error))


class BybitStreams:
    """All connections and their subscriptions."""

    def __init__(
        self, runner: Runner, keyring: Keyring, symbol_maps: SymbolMapCache, idle_s: float
    ) -> None:
        self._idle_s = idle_s
        self._runner = runner
        self._keyring = keyring
        self._symbol_maps = symbol_maps
        self._hub = Hub()
        self._connection_numbers = count(1)
        max_connections = runner.config.bybit.connections_per_5min
        self._connections = RateLimiter(max_connections, CONNECTIONS_MS, runner.now_ms)
        self._timer = BroadcastTimer(self._hub, self.push)
        self._pools: dict[str, dict[str, payloads.InsurancePool]] = {}
        self._private = PrivateTopics(runner, symbol_maps)
        self._ops: dict[str, Callable[[BybitConnection, Mapping[str, Any]], Awaitable[None]]] = {
            "ping": self._ping,
            "auth": self._auth,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
        }

    async def serve_socket(self, socket: Socket) -> None:
        """Serve one connection until it closes or is idle for too long."""
        if socket.path not in {PRIVATE, *PUBLIC}:
            socket.close(POLICY, "no such stream")
            return
        if self._connections.use(socket.address).exceeded:
            socket.close(POLICY, "too many new connections from this address")
            return
        connection = BybitConnection(socket, next(self._connection_numbers))
        try:
            while True:
                text = await asyncio.wait_for(socket.receive(), self._idle_s)
                await self._handle(connection, text)
        except TimeoutError:
            socket.close(POLICY, f"idle for {self._idle_s:g} seconds")
        finally:
            self._hub.unsubscribe_all(socket)
            self._private.hub.unsubscribe_all(socket)

    async def _handle(self, connection: BybitConnection, text: str) -> None:
        try:
            request = msgspec.json.decode(text)
        except msgspec.DecodeError:
            request = None
        if not isinstance(request, dict):
            connection.acknowledge("", {}, "error:request is not a JSON object")
            return
        op = request.get("op")
        handler = self._ops.get(op) if isinstance(op, str) else None
        if handler is None:
            connection.acknowledge(str(op), request, "error:invalid op")
            return
        await handler(connection, request)

    # --- requests ---

    async def _ping(self, connection: BybitConnection, request: Mapping[str, Any]) -> None:
        now_ms = self._runner.now_ms()
        request_id = request.get("req_id", "")
        pong = payloads.pong(request_id, connection.id, now_ms, private=connection.private)
        connection.socket.offer(pong)

    async def _auth(self, connection: BybitConnection, request: Mapping[str, Any]) -> None:
        socket = connection.socket
        account, error = self._authenticate(request.get("args"), socket.address)
        if account is None:
            await self._keyring.failed_logins.report("bybit", socket.address, error)
        self._private.hub.unsubscribe_all(connection.socket)
        connection.account = account
        connection.acknowledge("auth", request, error)

    def _authenticate(self, args: object, address: str) -> tuple[str | None, str]:
        """Return the account that a signed auth request may read, or None and the error."""
        if not isinstance(args, list) or len(args) != 3:
            return None, "error:args must be key, expires and signature"
        key_id, expires, signature = map(str, args)
        key = self._keyring.find(key_id)
        if key is None or not (expires.isascii() and expires.isdigit() and len(expires) < 20):
            return None, "error:API key or expires is invalid"
        if int(expires) <= self._runner.now_ms():
            return None, "error:request expired"
        if not key.verifies_hex(f"GET/realtime{expires}".encode(), signature):
            return None, "error:signature is invalid"
        if problem := key.problem(address, self._runner.now_ms()):
            return None, f"error:{KEY_PROBLEMS[problem].message}"
        account = readable_account(key)
        return account, "" if account else "error:the key has no account"

    async def _subscribe(self, connection: BybitConnection, request: Mapping[str, Any]) -> None:
        topics = _topics(request)
        error = topics if isinstance(topics, str) else self._topics_error(connection, topics)
        await asyncio.sleep(ACKNOWLEDGE_AFTER_S)
        connection.acknowledge("subscribe", request, error)
        if error or isinstance(topics, str):
            return
        if connection.private and connection.account is not None:
            for topic in topics:
                self._private.subscribe(topic, connection.account, connection.socket)
            return
        await asyncio.sleep(ACKNOWLEDGE_AFTER_S)
        for topic in topics:
            self._join(topic, connection.socket)

    async def _unsubscribe(self, connection: BybitConnection, request: Mapping[str, Any]) -> None:
        topics = _topics(request)
        if isinstance(topics, str):
            connection.acknowledge("unsubscribe", request, topics)
            return
        for topic in topics:
            self._hub.unsubscribe(topic, connection.socket)
            if connection.account is not None:
                self._private.unsubscribe(topic, connection.account, connection.socket)
        connection.acknowledge("unsubscribe", request)

    def _topics_error(self, connection: BybitConnection, topics: list[str]) -> str:
        """Return the error of topics that this connection cannot subscribe to, or ""."""
        private = connection.private
        if private and connection.account is None:
            return "error:request is not authorized"
        for topic in topics:
            if not (_is_private_topic(topic) if private else self._is_public_topic(topic)):
                return f"error:handler not found,topic:{topic}"
        return ""

    def _is_public_topic(self, topic: str) -> bool:
        head, _, tail = topic.partition(".")
        if head in {ALERT, INSURANCE}:
            return tail in self._groups()
        return head in SILENT_TOPICS and bool(tail)

    def _groups(self) -> set[str]:
        symbols = self._symbol_maps.of(self._runner.market_snapshot)
        return {*payloads.GROUPS, *map(payloads.group_of, symbols.all)}

    # --- public topics ---

    def _join(self, topic: str, socket: Socket) -> None:
        """Subscribe a socket to a public topic; a topic of pools begins with all its pools."""
        if topic.startswith(INSURANCE):
            now_ms = self._runner.now_ms()
            if self._hub.count(topic) == 0:
                self._update_pools(topic)
            frames = [pool.frame(now_ms) for pool in self._pools[topic].values()]
            socket.offer(payloads.push(topic, "snapshot", now_ms, frames))
        self._hub.subscribe(topic, socket)
        self._timer.start()

    def push(self) -> None:
        """Publish all alerts, and the pools that have changed, to every subscribed topic."""
        snapshot, now_ms = self._runner.market_snapshot, self._runner.now_ms()
        symbols = self._symbol_maps.of(snapshot)
        rows: dict[str, list[dict[str, object]]] = {}
        for instrument, alert in alerts(snapshot, symbols):
            rows.setdefault(f"{ALERT}.{payloads.group_of(instrument)}", []).append(alert.frame())
        for topic in self._hub.topics:
            if topic.startswith(ALERT):
                text = payloads.push(topic, "snapshot", now_ms, rows.get(topic, []))
                self._hub.publish(topic, text)
            elif topic.startswith(INSURANCE) and (changed := self._update_pools(topic)):
                frames = [pool.frame(now_ms) for pool in changed]
                self._hub.publish(topic, payloads.push(topic, "delta", now_ms, frames))

    def _update_pools(self, topic: str) -> list[payloads.InsurancePool]:
        """Store the isolated pools of a topic as they are now; return those that have changed."""
        snapshot = self._runner.market_snapshot
        before = self._pools.get(topic, {})
        self._pools[topic] = {
            name: pool
            for name, pool in pools(snapshot, self._symbol_maps.of(snapshot))
            if pool.isolated and topic == f"{INSURANCE}.{pool.group}"
        }
        return [
            pool
            for name, pool in self._pools[topic].items()
            if name not in before or before[name].balance != pool.balance
        ]


def _is_private_topic(topic: str) -> bool:
    head, _, tail = topic.partition(".")
    if head in PRIVATE_TOPICS:
        parts = tail.split(".")
        return len(parts) <= 2 and all(part in PRIVATE_TAILS for part in parts)
    return head in SILENT_PRIVATE_TOPICS


def _topics(request: Mapping[str, Any]) -> list[str] | str:
    """Return the topics of a request, or the error of its arguments."""
    args = request.get("args")
    if not isinstance(args, list) or not args or not all(isinstance(arg, str) for arg in args):
        return "error:args must be a list of topics"
    if sum(map(len, args)) > MAX_ARGUMENT_CHARACTERS:
        return f"error:args are longer than {MAX_ARGUMENT_CHARACTERS} characters"
    return args
