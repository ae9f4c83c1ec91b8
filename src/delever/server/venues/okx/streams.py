"""OKX's adl-warning channel: families in warning or ADL every second, others every minute.

Since 2026 OKX sends nothing about families in the state normal; sending it once a minute, as OKX
did before, serves clients of both kinds.
"""

import asyncio
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

import msgspec

from delever.api_types.market import MarketState
from delever.server.engine.runner import Runner
from delever.server.transport.websockets import POLICY, Hub, Socket
from delever.server.venues import amounts
from delever.server.venues.broadcast_timer import BroadcastTimer
from delever.server.venues.okx import payloads
from delever.server.venues.symbols import SymbolMapCache

PATH = "/ws/v5/public"
IDLE_S = 30.0
"""A connection without subscriptions that sends nothing for this long is closed."""

MINUTE_MS = 60_000

STATES = {
    MarketState.CALM: payloads.WarningState.NORMAL,
    MarketState.WATCH: payloads.WarningState.WARNING,
    MarketState.ADL: payloads.WarningState.ADL,
    MarketState.EXHAUSTED: payloads.WarningState.ADL,
}
SEVERITY = (payloads.WarningState.NORMAL, payloads.WarningState.WARNING, payloads.WarningState.ADL)


class OkxStreams:
    """All connections and their subscriptions; a topic is a subscribed argument, encoded."""

    def __init__(self, runner: Runner, symbol_maps: SymbolMapCache, idle_s: float) -> None:
        self._idle_s = idle_s
        self._runner = runner
        self._symbol_maps = symbol_maps
        self._hub = Hub()
        self._timer = BroadcastTimer(self._hub, self.push)
        self._connection_numbers = count(1)
        self._minute = runner.now_ms() // MINUTE_MS

    async def serve_socket(self, socket: Socket) -> None:
        """Serve one connection until it closes or is idle for too long."""
        if socket.path != PATH:
            socket.close(POLICY, "no such stream")
            return
        connection_id = f"{next(self._connection_numbers):08x}"
        try:
            while True:
                text = await _next_text(socket, self._idle_s)
                if text == "ping":
                    socket.offer("pong")
                else:
                    self._handle(socket, connection_id, text)
        except TimeoutError:
            socket.close(POLICY, f"idle for {self._idle_s:g} seconds")
        finally:
            self._hub.unsubscribe_all(socket)

    def _handle(self, socket: Socket, connection_id: str, text: str) -> None:
        try:
            request = msgspec.json.decode(text)
        except msgspec.DecodeError:
            request = None
        fields = request if isinstance(request, dict) else {}
        op, arguments, request_id = fields.get("op"), fields.get("args"), fields.get("id")
        if op not in {"subscribe", "unsubscribe"} or not isinstance(arguments, list):
            error = payloads.ILLEGAL.with_values(text=text)
            socket.offer(payloads.error(error, request_id, connection_id))
            return
        for argument in arguments:
            invalid = self._argument_error(argument)
            if invalid is not None:
                socket.offer(payloads.error(invalid, request_id, connection_id))
            else:
                socket.offer(payloads.event(op, request_id, argument, connection_id))
                self._apply(op, socket, argument)

    def _argument_error(self, argument: object) -> payloads.OkxErrorCode | None:
        """Return the error of an argument that cannot be subscribed to, or None."""
        if not isinstance(argument, dict) or not all(isinstance(v, str) for v in argument.values()):
            return payloads.ILLEGAL.with_values(text=msgspec.json.encode(argument).decode())
        kind, family = argument.get("instType"), argument.get("instFamily")
        symbols = self._symbol_maps.of(self._runner.market_snapshot)
        families = {listed.okx_family for listed in symbols.all}
        known = kind in payloads.WARNING_TYPES and (family is None or family in families)
        if argument.get("channel") != payloads.CHANNEL or not known:
            fields = ",".join(f"{key}:{value}" for key, value in argument.items())
            return payloads.NO_CHANNEL.with_values(text=fields)
        return None

    def _apply(self, op: str, socket: Socket, argument: Mapping[str, str]) -> None:
        """Subscribe a socket to a topic, beginning with its present state, or unsubscribe it."""
        topic = msgspec.json.encode(argument, order="sorted").decode()
        if op == "unsubscribe":
            self._hub.unsubscribe(topic, socket)
            return
        rows = [row for _, row in self._warnings(argument)]
        if rows:
            socket.offer(payloads.push(argument, rows))
        self._hub.subscribe(topic, socket)
        self._timer.start()

    def push(self) -> None:
        """Publish to every subscribed topic; families in the state normal once a minute."""
        minute = self._runner.now_ms() // MINUTE_MS
        with_normal, self._minute = minute != self._minute, minute
        for topic in self._hub.topics:
            argument = msgspec.json.decode(topic)
            rows = [
                row
                for state, row in self._warnings(argument)
                if with_normal or state is not payloads.WarningState.NORMAL
            ]
            if rows:
                self._hub.publish(topic, payloads.push(argument, rows))

    def _warnings(
        self, argument: Mapping[str, Any]
    ) -> Iterable[tuple[payloads.WarningState, dict[str, str]]]:
        """Yield the state and row of each family that an argument names."""
        if argument["instType"] != payloads.SWAP:
            return
        snapshot, now_ms = self._runner.market_snapshot, self._runner.now_ms()
        families: dict[str, list[str]] = {}
        for listed in self._symbol_maps.of(snapshot).all:
            if argument.get("instFamily") in {None, listed.okx_family}:
                families.setdefault(listed.okx_family, []).append(listed.contract)
        for family, names in sorted(families.items()):
            contracts = [snapshot.contracts[name] for name in names]
            state = max((STATES[contract.state] for contract in contracts), key=SEVERITY.index)
            pool = snapshot.pools[contracts[0].pool]
            balance = amounts.cash(pool.equity_cash, pool.cash_decimals)
            yield state, payloads.warning_row(family, state, balance, now_ms)


async def _next_text(socket: Socket, idle_s: float) -> str:
    """Return the next text; TimeoutError if an unsubscribed socket sends nothing in time."""
    while True:
        try:
            return await asyncio.wait_for(socket.receive(), idle_s)
        except TimeoutError:
            if not socket.topics:
                raise
