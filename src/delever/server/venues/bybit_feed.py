"""What ADL does to one account, told to whoever listens: execution, order, position, wallet.

Executions go out with the commit; orders, positions and the wallet follow from one reading of the
book after it, so that they show at least what the fill has left.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import NamedTuple

from delever.core.book import Book
from delever.core.messages import AdlFilled, Event, FillCancelled, LossSocialised
from delever.server.account import Holdings, holdings_of
from delever.server.runner import Committed, Runner, StoppedError
from delever.server.sockets import Hub, Socket
from delever.server.venues import bybit_account as account
from delever.server.venues.listings import Listings
from delever.wire import bybit as wire
from delever.wire import bybit_account as payloads

Frames = dict[str, list[Mapping[str, object]]]
"""Rows by topic."""


class _Touched(NamedTuple):
    """What one commit has done to one account."""

    fills: list[tuple[AdlFilled, int, int]]
    contracts: dict[str, None]


class _Seen(NamedTuple):
    """An account as the book has it, and the contracts of its open orders."""

    holdings: Holdings | None
    orders: Mapping[str, str]


class AccountFeed:
    """The private topics of all accounts. `hub` holds who listens, by account and topic."""

    def __init__(self, runner: Runner, listings: Listings) -> None:
        self.hub = Hub()
        self._runner = runner
        self._listings = listings
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
        for name, touched in _touched(fresh, listening).items():
            self._send(name, self._executions(touched))
            task = asyncio.create_task(self._tell(name, touched))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, name: str, touched: _Touched) -> None:
        """Tell an account's orders, positions and wallet as the book has them."""
        with contextlib.suppress(StoppedError):
            holdings, orders = await self._runner.read(lambda book: _see(book, name))
            if holdings is not None:
                self._send(name, self._orders(touched, orders, hedge_mode=holdings.hedge_mode))
                self._send(name, self._positions(holdings, touched.contracts))
                self._send(name, self._wallet(holdings, touched.contracts))

    def _send(self, name: str, frames: Frames) -> None:
        """Send rows to the whole topic and to that of their category."""
        now_ms = self._runner.now_ms()
        for topic, rows in frames.items():
            if rows and self.hub.count(_key(topic, name)):
                number = f"{now_ms}-{next(self._numbers)}"
                text = wire.private_push(topic, number, now_ms, rows)
                self.hub.publish(_key(topic, name), text)

    def _listing(self, contract: str) -> payloads.Listing:
        board = self._runner.board
        return account.listing(board, self._listings.of(board), contract)

    def _executions(self, touched: _Touched) -> Frames:
        rows = [
            payloads.execution_frame(self._listing(fill.contract), fill, time_ms, sequence)
            for fill, time_ms, sequence in touched.fills
        ]
        return _by_topic("execution", rows)

    def _orders(self, touched: _Touched, orders: Mapping[str, str], *, hedge_mode: bool) -> Frames:
        rows: list[dict[str, object]] = []
        cancelled: set[str] = set()
        for fill, time_ms, _ in touched.fills:
            listing = self._listing(fill.contract)
            rows.append(payloads.order_frame(listing, fill, time_ms, hedge_mode=hedge_mode))
            for order in fill.cancel_orders:
                if order not in cancelled:
                    cancelled.add(order)
                    of = self._listing(orders.get(order, fill.contract))
                    rows.append(payloads.cancelled_frame(of, order, time_ms))
        return _by_topic("order", rows)

    def _positions(self, holdings: Holdings, contracts: Iterable[str]) -> Frames:
        board = self._runner.board
        names = self._listings.of(board)
        rows: list[dict[str, object]] = []
        for contract in contracts:
            listing = self._listing(contract)
            of = (board, names, holdings, contract)
            found = (*account.position_rows(*of), *account.empty_rows(*of))
            rows += [payloads.position_frame(listing, row) for row in found]
        return _by_topic("position", rows)

    def _wallet(self, holdings: Holdings, contracts: Iterable[str]) -> Frames:
        board = self._runner.board
        assets = {board.contracts[contract].terms.settle for contract in contracts}
        coins = [*account.coins(board, self._listings.of(board), holdings, assets)]
        return {"wallet": [payloads.wallet_frame(coins)]}


def _key(topic: str, name: str) -> str:
    return f"{topic}:{name}"


def _by_topic(topic: str, rows: Sequence[Mapping[str, object]]) -> Frames:
    """Return rows under the whole topic, and each under that of its category."""
    frames: Frames = {topic: [*rows]}
    for row in rows:
        frames.setdefault(f"{topic}.{row['category']}", []).append(row)
    return frames


def _touched(fresh: Sequence[Committed], listening: set[str]) -> dict[str, _Touched]:
    """Return what commits have done to the accounts that somebody listens to."""
    found: dict[str, _Touched] = {}
    for sequence, _, command, events in fresh:
        for event in events:
            for name, contract in _accounts(event):
                if name in listening:
                    touched = found.setdefault(name, _Touched([], {}))
                    touched.contracts[contract] = None
                    if isinstance(event, AdlFilled):
                        touched.fills.append((event, command.time_ms, sequence))
    return found


def _accounts(event: Event) -> list[tuple[str, str]]:
    """Return whose position in which contract an event of ADL changes."""
    match event:
        case AdlFilled(account=name, contract=contract):
            return [(name, contract)]
        case FillCancelled(fill=fill):
            return [(fill.account, fill.contract)]
        case LossSocialised(accounts=names, contract=contract):
            return [(name, contract) for name in names]
        case _:
            return []


def _see(book: Book, name: str) -> _Seen:
    """Return an account's holdings, and in which contract each of its open orders stands."""
    orders = {
        order: contract
        for contract in book.contracts
        for order in book.open_orders.get((name, contract), ())
    }
    return _Seen(holdings_of(book, name), orders)
