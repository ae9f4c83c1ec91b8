"""OKX's sockets: logins, subscriptions, and the adl-warning channel.

`/ws/v5/private` needs a login and has the account's channels; `/ws/v5/public` and `/ws/v5/business`
have adl-warning, and acknowledge OKX's other channels, which stay silent here.

adl-warning sends families in warning or ADL every second, others every minute. Since 2026 OKX sends
nothing about families in the state normal; sending it once a minute, as OKX did before, serves
clients of both kinds.
"""

import asyncio
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

import msgspec

from delever.api_types.market import MarketState
from delever.server.engine.runner import Runner
from delever.server.transport.api_keys import Keyring
from delever.server.transport.websockets import POLICY, Hub, Socket
from delever.server.venues import amounts
from delever.server.venues.account_reader import readable_account
from delever.server.venues.broadcast_timer import BroadcastTimer
from delever.server.venues.okx import payloads
from delever.server.venues.okx.bills import BillQuery
from delever.server.venues.okx.private_streams import CHANNELS, PrivateChannels
from delever.server.venues.symbols import SymbolMapCache

PUBLIC, BUSINESS, PRIVATE = "/ws/v5/public", "/ws/v5/business", "/ws/v5/private"
LOGIN_PAYLOAD = "{}GET/users/self/verify"
LOGIN_EXPIRES_S = 30

SILENT_CHANNELS = {
    *("instruments", "open-interest", "funding-rate", "price-limit", "opt-summary", "status"),
    *("estimated-price", "mark-price", "index-tickers", "liquidation-orders", "tickers", "trades"),
    *("trades-all", "option-trades", "call-auction-details", "economic-calendar"),
    *("books", "books5", "bbo-tbt", "books-l2-tbt", "books50-l2-tbt", "block-tickers"),
    *("orders-algo", "algo-advance", "deposit-info", "withdrawal-info"),
}
"""Channels of OKX that are acknowledged and stay silent, as are candles; the last need a login."""

IDLE_S = 30.0
"""A connection without subscriptions that sends nothing for this long is closed."""

MINUTE_MS = 60_000

MAX_TIMESTAMP_LENGTH = 20
"""Seconds with the decimals of a Python float, as vn.py sends them, and less than an overflow."""

STATES = {
    MarketState.CALM: payloads.WarningState.NORMAL,
    MarketState.WATCH: payloads.WarningState.WARNING,
    MarketState.ADL: payloads.WarningState.ADL,
    MarketState.EXHAUSTED: payloads.WarningState.ADL,
}
SEVERITY = (payloads.WarningState.NORMAL, payloads.WarningState.WARNING, payloads.WarningState.ADL)


class OkxConnection:
    """One connection: its id, and the account of its login."""

    def __init__(self, socket: Socket, connection_id: str) -> None:
        self.socket = socket
        self.id = connection_id
        self.account: str | None = None

    def reject(self, error: payloads.OkxErrorCode, request_id: object) -> None:
        """Answer a request that cannot be carried out."""
        self.socket.offer(payloads.error(error, request_id, self.id))


class OkxStreams:
    """All connections and their subscriptions; a topic is a subscribed argument, encoded."""

    def __init__(
        self,
        runner: Runner,
        keyring: Keyring,
        symbol_maps: SymbolMapCache,
        bills: BillQuery,
        idle_s: float,
    ) -> None:
        self._idle_s = idle_s
        self._runner = runner
        self._keyring = keyring
        self._private = PrivateChannels(runner, symbol_maps, bills)
        self._symbol_maps = symbol_maps
        self._hub = Hub()
        self._timer = BroadcastTimer(self._hub, self.push)
        self._connection_numbers = count(1)
        self._minute = runner.now_ms() // MINUTE_MS

    async def serve_socket(self, socket: Socket) -> None:
        """Serve one connection until it closes or is idle for too long."""
        if socket.path not in {PUBLIC, BUSINESS, PRIVATE}:
            socket.close(POLICY, "no such stream")
            return
        connection = OkxConnection(socket, f"{next(self._connection_numbers):08x}")
        try:
            while True:
                text = await _next_text(socket, self._idle_s)
                if text == "ping":
                    socket.offer("pong")
                else:
                    await self._handle(connection, text)
        except TimeoutError:
            socket.close(POLICY, f"idle for {self._idle_s:g} seconds")
        finally:
            self._hub.unsubscribe_all(socket)
            self._private.hub.unsubscribe_all(socket)

    async def _handle(self, connection: OkxConnection, text: str) -> None:
        try:
            request = msgspec.json.decode(text)
        except msgspec.DecodeError:
            request = None
        fields = request if isinstance(request, dict) else {}
        op, arguments, request_id = fields.get("op"), fields.get("args"), fields.get("id")
        if op == "login" and isinstance(arguments, list):
            await self._login(connection, arguments)
            return
        if op not in {"subscribe", "unsubscribe"} or not isinstance(arguments, list):
            connection.reject(payloads.ILLEGAL.with_values(text=text), request_id)
            return
        for argument in map(_without_nulls, arguments):
            invalid = self._argument_error(connection, argument)
            if invalid is not None:
                connection.reject(invalid, request_id)
                continue
            socket = connection.socket
            socket.offer(payloads.event(op, request_id, argument, connection.id))
            if connection.account is None or socket.path != PRIVATE:
                self._apply(op, socket, argument)
            elif op == "subscribe":
                await self._private.subscribe(connection.account, argument, socket)
            else:
                self._private.unsubscribe(connection.account, argument, socket)

    async def _login(self, connection: OkxConnection, arguments: list[object]) -> None:
        address = connection.socket.address
        found = self._authenticate(arguments[0] if arguments else None, address)
        if isinstance(found, payloads.OkxErrorCode):
            await self._keyring.failed_logins.report("okx", address, found.message)
            connection.reject(found, None)
            return
        self._private.hub.unsubscribe_all(connection.socket)
        connection.account = found
        connection.socket.offer(payloads.login(connection.id))

    def _authenticate(self, argument: object, address: str) -> str | payloads.OkxErrorCode:
        """Return the account that a login may read, or the error that rejects it."""
        fields = argument if isinstance(argument, dict) else {}
        names = ("apiKey", "passphrase", "timestamp", "sign")
        key_id, passphrase, sent, sign = (str(fields.get(name, "")) for name in names)
        key = self._keyring.find(key_id)
        account = None if key is None else readable_account(key)
        if key is None or account is None:
            return payloads.STREAM_KEY
        if (
            not sent.isascii()
            or not sent.replace(".", "", 1).isdigit()
            or len(sent) > MAX_TIMESTAMP_LENGTH
        ):
            return payloads.STREAM_EXPIRED
        if abs(self._runner.now_ms() - float(sent) * 1000) > LOGIN_EXPIRES_S * 1000:
            return payloads.STREAM_EXPIRED
        if not key.matches_passphrase(passphrase):
            return payloads.STREAM_PASSPHRASE
        valid = key.verifies_base64(LOGIN_PAYLOAD.format(sent).encode(), sign)
        if not valid:
            return payloads.STREAM_SIGN
        return (
            account if key.problem(address, self._runner.now_ms()) is None else payloads.STREAM_KEY
        )

    def _argument_error(
        self, connection: OkxConnection, argument: object
    ) -> payloads.OkxErrorCode | None:
        """Return the error of an argument that cannot be subscribed to, or None."""
        if not isinstance(argument, dict) or not all(isinstance(v, str) for v in argument.values()):
            return payloads.ILLEGAL.with_values(text=msgspec.json.encode(argument).decode())
        channel = argument.get("channel", "")
        private = connection.socket.path == PRIVATE
        if private and connection.account is None:
            return payloads.STREAM_LOGIN
        if channel in CHANNELS if private else _is_silent(channel):
            return None
        kind, family = argument.get("instType"), argument.get("instFamily")
        symbols = self._symbol_maps.of(self._runner.market_snapshot)
        families = {listed.okx_family for listed in symbols.all}
        known = kind in payloads.WARNING_TYPES and (family is None or family in families)
        if private or channel != payloads.CHANNEL or not known:
            fields = ",".join(f"{key}:{value}" for key, value in argument.items())
            return payloads.NO_CHANNEL.with_values(text=fields)
        return None

    def _apply(self, op: str, socket: Socket, argument: Mapping[str, str]) -> None:
        """Subscribe a socket to a topic, beginning with its present state, or unsubscribe it."""
        if argument["channel"] != payloads.CHANNEL:
            return
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


def _without_nulls(argument: object) -> Any:
    """Return an argument without keys that are null, as Rust clients send unused ones."""
    if not isinstance(argument, dict):
        return argument
    return {key: value for key, value in argument.items() if value is not None}


def _is_silent(channel: str) -> bool:
    """Whether a public channel is acknowledged and stays silent."""
    return channel in SILENT_CHANNELS or channel.startswith(_CANDLES)


_CANDLES = ("candle", "mark-price-candle", "index-candle", "sprd-")


async def _next_text(socket: Socket, idle_s: float) -> str:
    """Return the next text; TimeoutError if an unsubscribed socket sends nothing in time."""
    while True:
        try:
            return await asyncio.wait_for(socket.receive(), idle_s)
        except TimeoutError:
            if not socket.topics:
                raise
