"""Bybit's V5 streams: alerts and isolated pools every second, and what ADL does to one account.

Public topics are encoded once a second however many listen. Answers to a subscription wait a
little: pybit looks for what it asked only after it has sent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

import msgspec

from delever.server.engine.service import Runner
from delever.server.transport.api_keys import Keyring
from delever.server.transport.rate_limits import Windows
from delever.server.transport.websockets import POLICY, Hub, Socket
from delever.server.venues.account_reader import readable_account
from delever.server.venues.broadcast_timer import BroadcastTimer
from delever.server.venues.bybit import payloads as wire
from delever.server.venues.bybit.markets import alerts, pools
from delever.server.venues.bybit.private_streams import AccountFeed
from delever.server.venues.symbols import SymbolMapCache

ANSWER_AFTER_S = 0.02
IDLE_S = 600.0
"""A connection of which nothing was heard for so long is cut, as at Bybit."""

MOST_ARGUMENT_CHARACTERS = 21_000
CONNECTIONS_MS = 300_000

PRIVATE = "/v5/private"
PUBLIC = tuple(f"/v5/public/{category}" for category in ("linear", "inverse", "spot", "option"))

ALERT, INSURANCE = "adlAlert", "insurance"
FEEDS = ("position", "execution", "order", "wallet")


class Conversation:
    """One connection: its name, whether it is private, and whose account is shown to it."""

    def __init__(self, socket: Socket, number: int) -> None:
        self.socket = socket
        self.name = f"delever-{number}"
        self.private = socket.path == PRIVATE
        self.account: str | None = None

    def acknowledge(self, op: str, asked: Mapping[str, Any], fault: str = "") -> None:
        """Answer a request; `fault` says why not."""
        self.socket.offer(wire.acknowledgement(op, asked.get("req_id", ""), self.name, fault))


class BybitStream:
    """Everybody who listens."""

    def __init__(self, runner: Runner, keyring: Keyring, symbol_maps: SymbolMapCache, idle_s: float) -> None:
        self._idle_s = idle_s
        self._runner = runner
        self._keyring = keyring
        self._symbol_maps = listings
        self._hub = Hub()
        self._numbers = count(1)
        most = runner.config.bybit.connections_per_5min
        self._connections = Windows(most, CONNECTIONS_MS, runner.now_ms)
        self._timer = BroadcastTimer(self._hub, self.push)
        self._pools: dict[str, dict[str, wire.Pool]] = {}
        self._feed = AccountFeed(runner, symbol_maps)
        self._ops: dict[str, Callable[[Conversation, Mapping[str, Any]], Awaitable[None]]] = {
            "ping": self._ping,
            "auth": self._auth,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
        }

    async def converse(self, socket: Socket) -> None:
        """Serve one connection until it ends, or says nothing for too long."""
        if socket.path not in {PRIVATE, *PUBLIC}:
            socket.close(POLICY, "no such stream")
            return
        if self._connections.use(socket.address).exceeded:
            socket.close(POLICY, "too many new connections from this address")
            return
        talk = Conversation(socket, next(self._numbers))
        try:
            while True:
                text = await asyncio.wait_for(socket.receive(), self._idle_s)
                await self._hear(talk, text)
        except TimeoutError:
            socket.close(POLICY, f"nothing heard for {self._idle_s:g} seconds")
        finally:
            self._hub.forget(socket)
            self._feed.hub.forget(socket)

    async def _hear(self, talk: Conversation, text: str) -> None:
        try:
            asked = msgspec.json.decode(text)
        except msgspec.DecodeError:
            asked = None
        if not isinstance(asked, dict):
            talk.acknowledge("", {}, "error:request is not a JSON object")
            return
        op = asked.get("op")
        hear = self._ops.get(op) if isinstance(op, str) else None
        if hear is None:
            talk.acknowledge(str(op), asked, "error:invalid op")
            return
        await hear(talk, asked)

    # --- what is asked ---

    async def _ping(self, talk: Conversation, asked: Mapping[str, Any]) -> None:
        now_ms = self._runner.now_ms()
        name = asked.get("req_id", "")
        talk.socket.offer(wire.pong(name, talk.name, now_ms, private=talk.private))

    async def _auth(self, talk: Conversation, asked: Mapping[str, Any]) -> None:
        account, fault = self._believed(asked.get("args"))
        self._feed.hub.forget(talk.socket)
        talk.account = account
        talk.acknowledge("auth", asked, fault)

    def _believed(self, args: object) -> tuple[str | None, str]:
        """Return whose account is shown to whoever signed in, or why that is not believed."""
        if not isinstance(args, list) or len(args) != 3:
            return None, "error:args must be key, expires and signature"
        key, expires, signature = map(str, args)
        holder = self._keyring.find(key)
        if holder is None or not (expires.isascii() and expires.isdigit() and len(expires) < 20):
            return None, "error:API key or expires is invalid"
        if int(expires) <= self._runner.now_ms():
            return None, "error:request expired"
        if not holder.signed_hex(f"GET/realtime{expires}".encode(), signature):
            return None, "error:signature is invalid"
        account = readable_account(holder)
        return account, "" if account else "error:the key has no account"

    async def _subscribe(self, talk: Conversation, asked: Mapping[str, Any]) -> None:
        topics = _topics(asked)
        fault = topics if isinstance(topics, str) else self._fault(talk, topics)
        await asyncio.sleep(ANSWER_AFTER_S)
        talk.acknowledge("subscribe", asked, fault)
        if fault or isinstance(topics, str):
            return
        if talk.private and talk.account is not None:
            for topic in topics:
                self._feed.join(topic, talk.account, talk.socket)
            return
        await asyncio.sleep(ANSWER_AFTER_S)
        for topic in topics:
            self._begin(topic, talk.socket)

    async def _unsubscribe(self, talk: Conversation, asked: Mapping[str, Any]) -> None:
        topics = _topics(asked)
        if isinstance(topics, str):
            talk.acknowledge("unsubscribe", asked, topics)
            return
        for topic in topics:
            self._hub.leave(topic, talk.socket)
            if talk.account is not None:
                self._feed.leave(topic, talk.account, talk.socket)
        talk.acknowledge("unsubscribe", asked)

    def _fault(self, talk: Conversation, topics: list[str]) -> str:
        """Return why topics are not served here, or nothing."""
        if talk.private and talk.account is None:
            return "error:request is not authorized"
        for topic in topics:
            head, _, tail = topic.partition(".")
            known = tail in {"", "linear", "inverse"} if talk.private else tail in self._groups()
            if head not in (FEEDS if talk.private else (ALERT, INSURANCE)) or not known:
                return f"error:handler not found,topic:{topic}"
            if head == "wallet" and tail:
                return f"error:handler not found,topic:{topic}"
        return ""

    def _groups(self) -> set[str]:
        names = self._symbol_maps.of(self._runner.board)
        return {*wire.GROUPS, *map(wire.group_of, symbols.all)}

    # --- public topics ---

    def _begin(self, topic: str, socket: Socket) -> None:
        """Let a socket hear a topic; of pools, first all that there are."""
        if topic.startswith(INSURANCE):
            now_ms = self._runner.now_ms()
            if self._hub.count(topic) == 0:
                self._note_pools(topic)
            kept = [pool.frame(now_ms) for pool in self._pools[topic].values()]
            socket.offer(wire.push(topic, "snapshot", now_ms, kept))
        self._hub.join(topic, socket)
        self._timer.start()

    def push(self) -> None:
        """Tell every topic that is listened to how things stand; pools only where they changed."""
        board, now_ms = self._runner.board, self._runner.now_ms()
        names = self._symbol_maps.of(board)
        rows: dict[str, list[dict[str, object]]] = {}
        for instrument, alert in alerts(board, names):
            rows.setdefault(f"{ALERT}.{wire.group_of(instrument)}", []).append(alert.frame())
        for topic in self._hub.topics:
            if topic.startswith(ALERT):
                text = wire.push(topic, "snapshot", now_ms, rows.get(topic, []))
                self._hub.publish(topic, text)
            elif changed := self._note_pools(topic):
                frames = [pool.frame(now_ms) for pool in changed]
                self._hub.publish(topic, wire.push(topic, "delta", now_ms, frames))

    def _note_pools(self, topic: str) -> list[wire.Pool]:
        """Remember the isolated pools of a topic as they are; return those that have changed."""
        board = self._runner.board
        before = self._pools.get(topic, {})
        self._pools[topic] = {
            name: pool
            for name, pool in pools(board, self._symbol_maps.of(board))
            if pool.isolated and topic == f"{INSURANCE}.{pool.group}"
        }
        return [
            pool
            for name, pool in self._pools[topic].items()
            if name not in before or before[name].balance != pool.balance
        ]


def _topics(asked: Mapping[str, Any]) -> list[str] | str:
    """Return the topics asked for, or what is wrong with them."""
    args = asked.get("args")
    if not isinstance(args, list) or not args or not all(isinstance(arg, str) for arg in args):
        return "error:args must be a list of topics"
    if sum(map(len, args)) > MOST_ARGUMENT_CHARACTERS:
        return f"error:args are longer than {MOST_ARGUMENT_CHARACTERS} characters"
    return args
