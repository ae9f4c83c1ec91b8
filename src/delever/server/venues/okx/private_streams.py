"""OKX's private channels: account, positions, balance_and_position and orders of an account.

The first three begin with a snapshot. After an ADL fill or a takeover come the order and then, from
one reading of the book, what is left, so that it includes at least the effect of the fill.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from itertools import count

import msgspec

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
from delever.server.venues.fill_log import ForcedEvent
from delever.server.venues.okx import payloads
from delever.server.venues.okx.account import OkxAccount
from delever.server.venues.okx.bills import Bill, BillQuery
from delever.server.venues.symbols import SymbolMapCache

ACCOUNT, POSITIONS, BOTH, ORDERS = "account", "positions", "balance_and_position", "orders"
SILENT_CHANNELS = {
    *("fills", "orders-algo", "algo-advance", "liquidation-warning", "account-greeks"),
    *("deposit-info", "withdrawal-info", "positions-history"),
}
"""Private channels of OKX that are acknowledged and stay silent."""

CHANNELS = {ACCOUNT, POSITIONS, BOTH, ORDERS} | SILENT_CHANNELS

Argument = Mapping[str, str]
Change = tuple[list[Bill], dict[str, None]]
"""An account's forced orders and affected contracts in some commits."""


class PrivateChannels:
    """The private channels of all accounts; a topic is an account and an encoded argument."""

    def __init__(self, runner: Runner, symbol_maps: SymbolMapCache, bills: BillQuery) -> None:
        self.hub = Hub()
        self._runner = runner
        self._symbol_maps = symbol_maps
        self._bills = bills
        self._push_ids = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        runner.listeners.append(self._on_commits)

    async def subscribe(self, account: str, argument: Argument, socket: Socket) -> None:
        """Subscribe a socket to a channel of an account, beginning with a snapshot."""
        self.hub.subscribe(_topic(account, argument), socket)
        with contextlib.suppress(StoppedError):
            owner = await self._owner(account)
            if owner is not None:
                for row in self._snapshot(argument, owner):
                    socket.offer(payloads.push(argument, row))

    def unsubscribe(self, account: str, argument: Argument, socket: Socket) -> None:
        """Unsubscribe a socket from a channel of an account."""
        self.hub.unsubscribe(_topic(account, argument), socket)

    def _snapshot(self, argument: Argument, owner: OkxAccount) -> Sequence[Sequence[object]]:
        """Return the messages with which a channel begins."""
        match argument["channel"]:
            case "account":
                return [[owner.balance(_currencies(argument))]]
            case "positions":
                return [[*self._selected(argument, owner.positions())]]
            case "balance_and_position":
                return [[self._both(owner, "snapshot", owner.positions(), [])]]
            case _:
                return []

    async def _owner(self, account: str) -> OkxAccount | None:
        reading = await self._runner.read(account_query(account))
        if reading is None:
            return None
        snapshot = self._runner.market_snapshot
        return OkxAccount(snapshot, self._symbol_maps.of(snapshot), reading)

    # --- after a commit ---

    def _on_commits(self, commits: Sequence[Committed]) -> None:
        accounts = {_parse_topic(topic)[0] for topic in self.hub.topics}
        for account, change in _changes(commits, accounts).items():
            task = asyncio.create_task(self._publish(account, change))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _publish(self, account: str, change: Change) -> None:
        """Push an account's orders, then its positions and balances from the book."""
        with contextlib.suppress(StoppedError):
            owner = await self._owner(account)
            if owner is None:
                return
            for topic in self.hub.topics:
                name, argument = _parse_topic(topic)
                if name == account:
                    for rows in self._messages(argument, owner, change):
                        self.hub.publish(topic, payloads.push(argument, rows))

    def _messages(
        self, argument: Argument, owner: OkxAccount, change: Change
    ) -> Sequence[Sequence[object]]:
        """Return the messages of a channel after a change."""
        bills, contracts = change
        match argument["channel"]:
            case "orders":
                return [[row] for row in self._selected(argument, self._orders(owner, bills))]
            case "account":
                return [[owner.balance(_currencies(argument))]]
            case "positions":
                rows = [*self._selected(argument, self._affected(owner, contracts))]
                return [rows] if rows else []
            case "balance_and_position":
                kind = "adl" if any(bill.is_adl for bill in bills) else "liquidation"
                rows = self._affected(owner, contracts)
                return [[self._both(owner, kind if bills else "filled", rows, bills)]]
            case _:
                return []

    def _orders(self, owner: OkxAccount, bills: Sequence[Bill]) -> list[payloads.Row]:
        rows = [*self._filled(owner, bills), *self._cancelled(owner, bills)]
        return [_pushed_order(row) for row in rows]

    def _filled(self, owner: OkxAccount, bills: Sequence[Bill]) -> list[payloads.Row]:
        rows = (
            self._bills.row(bill, Bill.order_row, hedge_mode=owner.hedge_mode) for bill in bills
        )
        return [row for row in rows if row is not None]

    def _cancelled(self, owner: OkxAccount, bills: Sequence[Bill]) -> list[payloads.Row]:
        """Return the open orders that ADL has cancelled, each once, with its own contract."""
        symbols = self._symbol_maps.of(self._runner.market_snapshot).by_contract
        found: dict[str, payloads.Row] = {}
        for bill in bills:
            for row in bill.cancelled_rows(hedge_mode=owner.hedge_mode):
                contract = owner.orders.get(row["ordId"], bill.event.contract)
                if contract in symbols:
                    found.setdefault(row["ordId"], row | {"instId": symbols[contract].okx})
        return [*found.values()]

    def _affected(self, owner: OkxAccount, contracts: Mapping[str, None]) -> list[payloads.Row]:
        """Return the open and the closed positions of the affected contracts."""
        symbols = self._symbol_maps.of(self._runner.market_snapshot).by_contract
        listed = [name for name in contracts if name in symbols]
        found = owner.positions({symbols[name].okx for name in listed}) if listed else []
        return found + [row for name in listed for row in owner.closed_positions(name)]

    def _selected(self, argument: Argument, rows: Sequence[payloads.Row]) -> list[payloads.Row]:
        """Return the rows of an argument's type, family and instrument."""
        symbols = self._symbol_maps.of(self._runner.market_snapshot)
        family, name = argument.get("instFamily", ""), argument.get("instId", "")
        if argument.get("instType", "ANY") not in {"ANY", payloads.SWAP}:
            return []
        return [
            row
            for row in rows
            if name in {"", row["instId"]}
            if family in {"", symbols.by_okx[row["instId"]].okx_family}
        ]

    def _both(
        self, owner: OkxAccount, kind: str, rows: Sequence[payloads.Row], bills: Sequence[Bill]
    ) -> dict[str, object]:
        """Return a message of balance_and_position: its cause, balances, positions, trades."""
        names = ("posId", "instId", "instType", "posSide", "pos", "ccy", "avgPx", "uTime")
        trades = [(row["instId"], row["tradeId"]) for row in self._filled(owner, bills)]
        return {
            "pTime": str(self._runner.now_ms()),
            "eventType": kind,
            "balData": [
                {
                    "ccy": held.currency,
                    "cashBal": payloads.cash_balance(held),
                    "uTime": str(owner.time_ms),
                }
                for held in owner.balances()
            ],
            "posData": [
                {name: row[name] for name in names}
                | {"tradeId": "", "mgnMode": row.get("mgnMode", "cross"), "posCcy": ""}
                for row in rows
            ],
            "trades": [{"instId": name, "tradeId": number} for name, number in trades],
        }


def _pushed_order(row: payloads.Row) -> payloads.Row:
    """Return an order as in the stream: with its last fill."""
    return row | {
        "fillNotionalUsd": "",
        "notionalUsd": "",
        "fillPnl": row["pnl"],
        "fillFee": row["fee"],
        "fillFeeCcy": row["feeCcy"],
        "execType": "T",
        "amendResult": "",
        "amendSource": "",
        "reqId": "",
        "code": "0",
        "msg": "",
        "lastPx": row["fillPx"],
    }


def _topic(account: str, argument: Argument) -> str:
    return msgspec.json.encode((account, argument), order="sorted").decode()


def _parse_topic(topic: str) -> tuple[str, Argument]:
    return msgspec.json.decode(topic, type=tuple[str, dict[str, str]])


def _currencies(argument: Argument) -> list[str]:
    return [argument["ccy"]] if argument.get("ccy") else []


def _changes(commits: Sequence[Committed], accounts: set[str]) -> dict[str, Change]:
    """Return the changes of subscribed accounts, by account."""
    found: dict[str, Change] = {}
    for sequence, time_ms, _, events in commits:
        for event in events:
            for account, contract in _affected_positions(event):
                if account in accounts:
                    bills, contracts = found.setdefault(account, ([], {}))
                    contracts[contract] = None
                    if isinstance(event, ForcedEvent):
                        bills.append(Bill(sequence, time_ms, event))
    return found


def _affected_positions(event: Event) -> list[tuple[str, str]]:
    """Return (account, contract) of each position that an event changes."""
    match event:
        case AdlFilled() | TakenOver() | PositionsNetted():
            return [(event.account, event.contract)]
        case FillCancelled(fill=fill):
            return [(fill.account, fill.contract)]
        case LossSocialized(accounts=accounts) | PositionsClosed(accounts=accounts):
            return [(account, event.contract) for account in accounts]
        case SettlementLossShared(accounts=accounts, contract=contract):
            return [(account, contract) for account in accounts]
        case _:
            return []
