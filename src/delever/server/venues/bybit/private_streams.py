"""Bybit's private topics: executions, orders, positions and wallet after ADL or a takeover.

Executions are pushed with the commit; orders, positions and the wallet follow from one reading of
the book after it, so that they include at least the effect of the fill.
"""

import asyncio
import contextlib
from collections.abc import Container, Mapping, Sequence
from itertools import count
from typing import NamedTuple

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
from delever.server.engine.runner import Committed, Runner, StoppedError
from delever.server.transport.websockets import Hub, Socket
from delever.server.venues.account_reader import account_query
from delever.server.venues.bybit import account_payloads, payloads
from delever.server.venues.bybit.account import BybitAccount, market_of
from delever.server.venues.fill_log import ForcedEvent, ForcedOrder
from delever.server.venues.symbols import SymbolMapCache

Frames = dict[str, list[Mapping[str, object]]]
"""Rows by topic."""


class _AccountChange(NamedTuple):
    """The forced orders and the affected contracts of one account in some commits."""

    orders: list[ForcedOrder]
    contracts: dict[str, None]


class PrivateTopics:
    """The private topics of all accounts; the topics of `hub` are "topic:account"."""

    def __init__(self, runner: Runner, symbol_maps: SymbolMapCache) -> None:
        self.hub = Hub()
        self._runner = runner
        self._symbol_maps = symbol_maps
        self._message_ids = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        runner.listeners.append(self._on_commits)

    def subscribe(self, topic: str, account: str, socket: Socket) -> None:
        """Subscribe a socket to a topic of an account."""
        self.hub.subscribe(_key(topic, account), socket)

    def unsubscribe(self, topic: str, account: str, socket: Socket) -> None:
        """Unsubscribe a socket from a topic of an account."""
        self.hub.unsubscribe(_key(topic, account), socket)

    def _on_commits(self, commits: Sequence[Committed]) -> None:
        accounts = {topic.partition(":")[2] for topic in self.hub.topics}
        if not accounts:
            return
        contracts = self._runner.market_snapshot.contracts
        for account, change in _changes(commits, accounts, contracts).items():
            task = asyncio.create_task(self._publish(account, change))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _publish(self, account: str, change: _AccountChange) -> None:
        """Push an account's executions, then its orders, positions and wallet from the book."""
        self._send(account, self._executions(change))
        with contextlib.suppress(StoppedError):
            reading = await self._runner.read(account_query(account))
            if reading is not None:
                snapshot = self._runner.market_snapshot
                owner = BybitAccount(snapshot, self._symbol_maps.of(snapshot), reading)
                self._send(account, self._orders(change, owner, reading.orders))
                self._send(account, self._positions(change, owner))
                self._send(account, self._wallet(change, owner))

    def _send(self, account: str, frames: Frames) -> None:
        """Send rows to the topic of all categories and to the topic of their category."""
        now_ms = self._runner.now_ms()
        for topic, rows in frames.items():
            if rows and self.hub.count(_key(topic, account)):
                message_id = f"{now_ms}-{next(self._message_ids)}"
                text = payloads.private_push(topic, message_id, now_ms, rows)
                self.hub.publish(_key(topic, account), text)

    def _executions(self, change: _AccountChange) -> Frames:
        snapshot = self._runner.market_snapshot
        symbols = self._symbol_maps.of(snapshot)
        rows = [
            account_payloads.execution_frame(
                market_of(snapshot, symbols, order.event.contract).at(order.sequence), order
            )
            for order in change.orders
        ]
        return _by_topic("execution", rows)

    @staticmethod
    def _orders(change: _AccountChange, owner: BybitAccount, orders: Mapping[str, str]) -> Frames:
        rows: list[dict[str, object]] = []
        cancelled: dict[str, tuple[str, AdlFilled, int]] = {}
        for sequence, time_ms, event in change.orders:
            market = owner.market(event.contract, sequence)
            row = account_payloads.order_frame(market, event, time_ms, hedge_mode=owner.hedge_mode)
            rows.append(row)
            if isinstance(event, AdlFilled):
                for order in event.cancel_orders:
                    contract = orders.get(order, event.contract)
                    cancelled.setdefault(order, (contract, event, time_ms))
        for order, (contract, fill, time_ms) in cancelled.items():
            market = owner.market(contract)
            rows.append(account_payloads.cancelled_frame(market, order, fill, time_ms))
        return _by_topic("order", rows)

    @staticmethod
    def _positions(change: _AccountChange, owner: BybitAccount) -> Frames:
        rows: list[dict[str, object]] = []
        for contract in change.contracts:
            found = (*owner.rows(contract), *owner.empty_rows(contract))
            market = owner.market(contract)
            rows += [account_payloads.position_frame(market, row) for row in found]
        return _by_topic("position", rows)

    @staticmethod
    def _wallet(change: _AccountChange, owner: BybitAccount) -> Frames:
        assets = {owner.market(contract).terms.settle for contract in change.contracts}
        totals = [*owner.coins(owner.assets)]
        frame = account_payloads.wallet_frame([*owner.coins(assets)], totals, owner.margin)
        return {"wallet": [frame]}


def _key(topic: str, account: str) -> str:
    return f"{topic}:{account}"


def _by_topic(topic: str, rows: Sequence[Mapping[str, object]]) -> Frames:
    """Return rows under the topic of all categories, and each under its category's topic."""
    frames: Frames = {topic: [*rows]}
    for row in rows:
        frames.setdefault(f"{topic}.{row['category']}", []).append(row)
    return frames


def _changes(
    commits: Sequence[Committed], accounts: Container[str], contracts: Container[str]
) -> dict[str, _AccountChange]:
    """Return the changes of subscribed accounts in known contracts, by account."""
    found: dict[str, _AccountChange] = {}
    for sequence, _, command, events in commits:
        for event in events:
            for account, contract in _affected(event):
                if account in accounts and contract in contracts:
                    change = found.setdefault(account, _AccountChange([], {}))
                    change.contracts[contract] = None
                    if isinstance(event, ForcedEvent):
                        change.orders.append(ForcedOrder(sequence, command.time_ms, event))
    return found


def _affected(event: Event) -> list[tuple[str, str]]:
    """Return (account, contract) of each position that an event changes."""
    match event:
        case (
            AdlFilled(account=account, contract=contract)
            | TakenOver(account=account, contract=contract)
            | PositionsNetted(account=account, contract=contract)
        ):
            return [(account, contract)]
        case FillCancelled(fill=fill):
            return [(fill.account, fill.contract)]
        case (
            LossSocialized(accounts=accounts, contract=contract)
            | PositionsClosed(accounts=accounts, contract=contract)
            | SettlementLossShared(accounts=accounts, contract=contract)
        ):
            return [(account, contract) for account in accounts]
        case _:
            return []
