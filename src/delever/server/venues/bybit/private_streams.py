"""What ADL (or a takeover) does to one account, told to whoever listens.

Executions go out with the commit; orders, positions and the wallet follow from one reading of the
book after it, so that they show at least what the fill has left.
"""

import asyncio
import contextlib
from collections.abc import Container, Mapping, Sequence
from itertools import count
from typing import NamedTuple

from delever.core.messages import AdlFilled, Event, FillCancelled, LossSocialized, TakenOver
from delever.server.engine.service import Committed, Runner, StoppedError
from delever.server.transport.websockets import Hub, Socket
from delever.server.venues.account_reader import account_query
from delever.server.venues.bybit import account as account
from delever.server.venues.bybit import account_payloads as payloads
from delever.server.venues.bybit import payloads as wire
from delever.server.venues.symbols import SymbolMapCache

Frames = dict[str, list[Mapping[str, object]]]
"""Rows by topic."""


class _Touched(NamedTuple):
    """What one commit has done to one account: closings with time and sequence, and contracts."""

    closings: list[tuple[payloads.Closed, int, int]]
    contracts: dict[str, None]


class AccountFeed:
    """The private topics of all accounts. `hub` holds who listens, by account and topic."""

    def __init__(self, runner: Runner, symbol_maps: SymbolMapCache) -> None:
        self.hub = Hub()
        self._runner = runner
        self._symbol_maps = listings
        self._numbers = count(1)
        self._telling: set[asyncio.Task[None]] = set()
        runner.listeners.append(self._hear)

    def join(self, topic: str, name: str, socket: Socket) -> None:
        """Let a socket hear a topic of an account."""
        self.hub.join(_key(topic, name), socket)

    def leave(self, topic: str, name: str, socket: Socket) -> None:
        """Let a socket hear a topic of an account no more."""
        self.hub.leave(_key(topic, name), socket)

    def _hear(self, fresh: Sequence[Committed]) -> None:
        listening = {topic.partition(":")[2] for topic in self.hub.topics}
        if not listening:
            return
        known = self._runner.board.contracts
        for name, touched in _touched(fresh, listening, known).items():
            task = asyncio.create_task(self._tell(name, touched))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, name: str, touched: _Touched) -> None:
        """Tell an account's executions; then orders, positions and wallet as the book has them."""
        self._send(name, self._executions(touched))
        with contextlib.suppress(StoppedError):
            seen = await self._runner.read(account_query(name))
            if seen is not None:
                board = self._runner.board
                view = account.View(board, self._symbol_maps.of(board), seen)
                self._send(name, self._orders(touched, view, seen.orders))
                self._send(name, self._positions(touched, view))
                self._send(name, self._wallet(touched, view))

    def _send(self, name: str, frames: Frames) -> None:
        """Send rows to the whole topic and to that of their category."""
        now_ms = self._runner.now_ms()
        for topic, rows in frames.items():
            if rows and self.hub.count(_key(topic, name)):
                number = f"{now_ms}-{next(self._numbers)}"
                text = wire.private_push(topic, number, now_ms, rows)
                self.hub.publish(_key(topic, name), text)

    def _executions(self, touched: _Touched) -> Frames:
        board = self._runner.board
        names = self._symbol_maps.of(board)
        rows = [
            payloads.execution_frame(
                account.listing(board, names, event.contract), event, time_ms, sequence
            )
            for event, time_ms, sequence in touched.closings
        ]
        return _by_topic("execution", rows)

    @staticmethod
    def _orders(touched: _Touched, view: account.View, orders: Mapping[str, str]) -> Frames:
        rows: list[dict[str, object]] = []
        cancelled: dict[str, tuple[str, int]] = {}
        for event, time_ms, _ in touched.closings:
            listing = view.listing(event.contract)
            row = payloads.order_frame(listing, event, time_ms, hedge_mode=view.hedge_mode)
            rows.append(row)
            if isinstance(event, AdlFilled):
                for order in event.cancel_orders:
                    cancelled.setdefault(order, (orders.get(order, event.contract), time_ms))
        for order, (contract, time_ms) in cancelled.items():
            rows.append(payloads.cancelled_frame(view.listing(contract), order, time_ms))
        return _by_topic("order", rows)

    @staticmethod
    def _positions(touched: _Touched, view: account.View) -> Frames:
        rows: list[dict[str, object]] = []
        for contract in touched.contracts:
            found = (*view.rows(contract), *view.empty_rows(contract))
            listing = view.listing(contract)
            rows += [payloads.position_frame(listing, row) for row in found]
        return _by_topic("position", rows)

    @staticmethod
    def _wallet(touched: _Touched, view: account.View) -> Frames:
        assets = {view.listing(contract).terms.settle for contract in touched.contracts}
        return {"wallet": [payloads.wallet_frame([*view.coins(assets)])]}


def _key(topic: str, name: str) -> str:
    return f"{topic}:{name}"


def _by_topic(topic: str, rows: Sequence[Mapping[str, object]]) -> Frames:
    """Return rows under the whole topic, and each under that of its category."""
    frames: Frames = {topic: [*rows]}
    for row in rows:
        frames.setdefault(f"{topic}.{row['category']}", []).append(row)
    return frames


def _touched(
    fresh: Sequence[Committed], listening: Container[str], known: Container[str]
) -> dict[str, _Touched]:
    """Return what commits have done to accounts that somebody listens to, in known contracts."""
    found: dict[str, _Touched] = {}
    for sequence, _, command, events in fresh:
        for event in events:
            for name, contract in _accounts(event):
                if name in listening and contract in known:
                    touched = found.setdefault(name, _Touched([], {}))
                    touched.contracts[contract] = None
                    if isinstance(event, AdlFilled | TakenOver):
                        touched.closings.append((event, command.time_ms, sequence))
    return found


def _accounts(event: Event) -> list[tuple[str, str]]:
    """Return whose position in which contract an event of ADL changes."""
    match event:
        case (
            AdlFilled(account=name, contract=contract) | TakenOver(account=name, contract=contract)
        ):
            return [(name, contract)]
        case FillCancelled(fill=fill):
            return [(fill.account, fill.contract)]
        case LossSocialized(accounts=names, contract=contract):
            return [(name, contract) for name in names]
        case _:
            return []
