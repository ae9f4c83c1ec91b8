"""OKX's adl-warning channel: families near ADL or in it every second, the others every minute.

OKX itself is silent about families in the state normal since 2026; a client of either year is
served by telling it once a minute, as OKX did before.
"""

import asyncio
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

import msgspec

from delever.api_types.market import MarketState
from delever.server.engine.service import Runner
from delever.server.transport.websockets import POLICY, Hub, Socket
from delever.server.venues import amounts
from delever.server.venues.broadcast_timer import BroadcastTimer
from delever.server.venues.okx import payloads as wire
from delever.server.venues.symbols import SymbolMapCache

PATH = "/ws/v5/public"
IDLE_S = 30.0
"""A connection that has subscribed to nothing is cut when nothing was heard of it for so long."""

MINUTE_MS = 60_000

STATES = {
    MarketState.CALM: wire.State.NORMAL,
    MarketState.WATCH: wire.State.WARNING,
    MarketState.ADL: wire.State.ADL,
    MarketState.EXHAUSTED: wire.State.ADL,
}
SEVERITY = (wire.State.NORMAL, wire.State.WARNING, wire.State.ADL)


class OkxStream:
    """Everybody who listens. A topic is the argument that was subscribed, encoded."""

    def __init__(self, runner: Runner, symbol_maps: SymbolMapCache, idle_s: float) -> None:
        self._idle_s = idle_s
        self._runner = runner
        self._symbol_maps = listings
        self._hub = Hub()
        self._timer = BroadcastTimer(self._hub, self.push)
        self._numbers = count(1)
        self._minute = runner.now_ms() // MINUTE_MS

    async def converse(self, socket: Socket) -> None:
        """Serve one connection until it ends, or says nothing for too long."""
        if socket.path != PATH:
            socket.close(POLICY, "no such stream")
            return
        name = f"{next(self._numbers):08x}"
        try:
            while True:
                text = await _next(socket, self._idle_s)
                if text == "ping":
                    socket.offer("pong")
                else:
                    self._hear(socket, name, text)
        except TimeoutError:
            socket.close(POLICY, f"nothing heard for {self._idle_s:g} seconds")
        finally:
            self._hub.forget(socket)

    def _hear(self, socket: Socket, name: str, text: str) -> None:
        try:
            asked = msgspec.json.decode(text)
        except msgspec.DecodeError:
            asked = None
        arguments = asked.get("args") if isinstance(asked, dict) else None
        op = asked.get("op") if isinstance(asked, dict) else None
        number = asked.get("id") if isinstance(asked, dict) else None
        if op not in {"subscribe", "unsubscribe"} or not isinstance(arguments, list):
            socket.offer(wire.error(wire.ILLEGAL.saying(text=text), number, name))
            return
        for argument in arguments:
            fault = self._fault(argument)
            if fault is not None:
                socket.offer(wire.error(fault, number, name))
            else:
                socket.offer(wire.event(op, number, argument, name))
                self._turn(op, socket, argument)

    def _fault(self, argument: object) -> wire.Fault | None:
        """Return why an argument cannot be subscribed, or None."""
        if not isinstance(argument, dict) or not all(isinstance(v, str) for v in argument.values()):
            return wire.ILLEGAL.saying(text=msgspec.json.encode(argument).decode())
        kind, family = argument.get("instType"), argument.get("instFamily")
        families = {each.okx_family for each in self._symbol_maps.of(self._runner.board).all}
        known = kind in wire.WARNED_TYPES and (family is None or family in families)
        if argument.get("channel") != wire.CHANNEL or not known:
            shown = ",".join(f"{key}:{value}" for key, value in argument.items())
            return wire.NO_CHANNEL.saying(text=shown)
        return None

    def _turn(self, op: str, socket: Socket, argument: Mapping[str, str]) -> None:
        """Let a socket hear a topic, beginning with how things stand, or hear it no more."""
        topic = msgspec.json.encode(argument, order="sorted").decode()
        if op == "unsubscribe":
            self._hub.leave(topic, socket)
            return
        rows = [row for _, row in self._warnings(argument)]
        if rows:
            socket.offer(wire.push(argument, rows))
        self._hub.join(topic, socket)
        self._timer.start()

    def push(self) -> None:
        """Tell every topic that is listened to; once a minute the calm families too."""
        minute = self._runner.now_ms() // MINUTE_MS
        calm_too, self._minute = minute != self._minute, minute
        for topic in self._hub.topics:
            argument = msgspec.json.decode(topic)
            rows = [
                row
                for state, row in self._warnings(argument)
                if calm_too or state is not wire.State.NORMAL
            ]
            if rows:
                self._hub.publish(topic, wire.push(argument, rows))

    def _warnings(self, argument: Mapping[str, Any]) -> Iterable[tuple[wire.State, dict[str, str]]]:
        """Yield the states of the families that an argument asks for."""
        if argument["instType"] != wire.SWAP:
            return
        board, now_ms = self._runner.board, self._runner.now_ms()
        families: dict[str, list[str]] = {}
        for each in self._symbol_maps.of(board).all:
            if argument.get("instFamily") in {None, each.okx_family}:
                families.setdefault(each.okx_family, []).append(each.contract)
        for family, contracts in sorted(families.items()):
            shown = [board.contracts[name] for name in contracts]
            state = max((STATES[each.state] for each in shown), key=SEVERITY.index)
            pool = board.pools[shown[0].pool]
            balance = amounts.cash(pool.equity_cash, pool.cash_decimals)
            yield state, wire.warning_row(family, state, balance, now_ms)


async def _next(socket: Socket, idle_s: float) -> str:
    """Return the next text; TimeoutError where nothing is said and nothing was subscribed."""
    while True:
        try:
            return await asyncio.wait_for(socket.receive(), idle_s)
        except TimeoutError:
            if not socket.topics:
                raise
