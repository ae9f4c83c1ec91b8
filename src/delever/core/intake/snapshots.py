"""Absolute balances and positions: what a venue tells, checked, with what it does not know yet.

That is outstanding fills and socialized losses, in the order of their numbers.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.contract_state import ContractState, OutstandingLoss
from delever.core.market.validation import (
    Rejection,
    read_cash,
    read_count,
    read_decimal,
    read_scaled,
    reject_unless,
)
from delever.core.messages import Event, PositionRow, Reason, Side
from delever.core.units import LIMIT, share_floor
from delever.core.valuation.numeric_range import ContractSide, Growth, check_range

Told = dict[tuple[str, str, int, Side], bool]
"""The positions that a command has named so far, and whether each is open."""

MAX_LEVERAGE_HUNDREDTHS = 100_000
MAX_POSITION_NUMBER = 2**31 - 1


@dataclass(slots=True)
class Standing:
    """One position as it is to stand in the book, in the order of an event's columns.

    The cost is signed as values are.
    """

    account: str
    position: int
    lots: int = 0
    cost_cash: int = 0
    isolated: bool = False
    margin_cash: int = 0
    leverage_hundredths: int = 100
    under_liquidation: bool = False

    def bear(self, change: m.AdlFilled | OutstandingLoss) -> None:
        """Apply a fill, as far as it fits, or a loss that the venue's numbers do not include."""
        if isinstance(change, OutstandingLoss):
            self.cost_cash += change.amount_cash if self.lots else 0
            return
        lots = min(change.lots, self.lots)
        if lots:
            self.cost_cash -= share_floor(self.cost_cash, lots, self.lots)
            self.margin_cash -= share_floor(self.margin_cash, lots, self.lots)
            self.lots -= lots


_columns_of = attrgetter(*[field.name for field in fields(Standing)])


def check_told(book: Book, command: Any) -> None:
    """Refuse the version of a snapshot, or a fill that it says to include and nobody has made."""
    read_count("version", command.version)
    read_count("last_fill", command.last_fill)
    unknown = command.last_fill > book.last_fill
    reject_unless(not unknown, "last_fill", command.last_fill, Reason.UNKNOWN_FILL)


def set_balances(book: Book, command: m.SetBalances) -> list[Event]:
    """Return the balances as told, plus what outstanding fills have paid since."""
    events: list[Event] = []
    columns: list[tuple[str, str, int]] = []
    largest: dict[str, int] = {}
    check_told(book, command)
    seen: set[tuple[str, str]] = set()
    for number, row in enumerate(command.balances):
        try:
            account, cash = _read_balance(book, row, seen)
        except Rejection as refusal:
            raise refusal.inside(f"balances[{number}]") from None
        known = book.accounts.balances_version.item(account)
        if command.version < known:
            events.append(_ignored(number, row.account, command.version, known))
            continue
        for fill in outstanding(book, row.account, command.last_fill):
            if book.contracts[fill.contract].terms.settle == row.asset:
                cash += fill.realized_pnl_cash + fill.margin_returned_cash - fill.fee_cash
        columns.append((row.account, row.asset, cash))
        largest[row.asset] = max(largest.get(row.asset, 0), abs(cash))
    check_range(book, {}, largest_wallet=largest)
    if columns:
        events.append(
            m.BalancesSet(command.version, command.last_fill, *zip(*columns, strict=True))
        )
    return events


def _read_balance(book: Book, row: m.BalanceRow, seen: set[tuple[str, str]]) -> tuple[int, int]:
    """Return the account's number and the balance in Cash."""
    account = _account(book, row.account)
    asset = book.assets.get(row.asset)
    if asset is None:
        raise Rejection("asset", row.asset, Reason.UNKNOWN_ASSET)
    if (row.account, row.asset) in seen:
        raise Rejection("", row.account, Reason.DUPLICATE_ROW)
    seen.add((row.account, row.asset))
    return account, read_cash("balance", row.balance, asset.cash_decimals)


def set_positions(book: Book, command: m.SetPositions) -> list[Event]:
    """Return the positions as told, table by table, with outstanding fills taken off.

    In one-way mode an account's other side is closed with it.
    """
    events: list[Event] = []
    tables: dict[ContractSide, list[Standing]] = {}
    accounts: dict[str, int] = {}
    told: Told = {}
    taken: list[PositionRow] = []
    check_told(book, command)
    for number, row in enumerate(command.positions):
        try:
            account = accounts[row.account] = _account(book, row.account)
            standing = _read_row(book, row)
            _check_sides(book, row, account, told, standing.lots > 0)
        except Rejection as refusal:
            raise refusal.inside(f"positions[{number}]") from None
        known = book.accounts.positions_version.item(account)
        if command.version < known:
            events.append(_ignored(number, row.account, command.version, known))
            continue
        for change in not_included(book, row.account, command.last_fill):
            about = change.contract, change.side, change.position
            if about == (row.contract, row.side, row.position):
                standing.bear(change)
        tables.setdefault((row.contract, row.side), []).append(standing)
        taken.append(row)
    _close_other_sides(book, tables, accounts, told)
    check_range(book, {}, growth={key: _growth(book, key, tables[key]) for key in tables})
    events += [_lane_event(command, key, tables[key]) for key in sorted(tables)]
    events += _order_events(book, taken)
    return events


def _read_row(book: Book, row: PositionRow) -> Standing:
    """Return one row in exact numbers."""
    state = book.contracts.get(row.contract)
    if state is None:
        raise Rejection("contract", row.contract, Reason.UNKNOWN_CONTRACT)
    if not 0 <= row.position <= MAX_POSITION_NUMBER:
        raise Rejection("position", row.position, Reason.OUT_OF_RANGE)
    lots = state.terms.read_lots("quantity", row.quantity)
    if not _agrees(row, lots):
        raise Rejection("side", row.side, Reason.SIDE_SIGN_MISMATCH)
    if lots == 0:
        return Standing(row.account, row.position)
    cost = _read_cost(book, row, state, abs(lots))
    leverage = _read_leverage(row, cost)
    isolated = row.isolated_margin is not None
    margin = _read_margin(book, row, state) if isolated else 0
    numbers = abs(lots), cost, isolated, margin, leverage, row.under_liquidation
    return Standing(row.account, row.position, *numbers)


def _agrees(row: PositionRow, lots: int) -> bool:
    """Whether the side is that of the quantity's sign, where it has one."""
    if row.side is Side.SHORT:
        return str(row.quantity)[:1] != "+"
    return lots >= 0


def _read_leverage(row: PositionRow, cost_cash: int) -> int:
    leverage = _hundredths(row.leverage)
    if not 0 < leverage <= MAX_LEVERAGE_HUNDREDTHS:
        raise Rejection("leverage", row.leverage, Reason.OUT_OF_RANGE)
    if share_floor(abs(cost_cash), 100, leverage) >= LIMIT:
        raise Rejection("leverage", row.leverage, Reason.EXCEEDS_NUMERIC_RANGE)
    return leverage


@functools.lru_cache(maxsize=1024)
def _hundredths(leverage: m.Amount) -> int:
    """Return a leverage in hundredths; remembered, because accounts share a few."""
    return read_scaled("leverage", leverage, 2)


def _read_margin(book: Book, row: PositionRow, state: ContractState) -> int:
    decimals = book.asset_of(state).cash_decimals
    margin = read_cash("isolated_margin", row.isolated_margin or 0, decimals)
    if margin < 0:
        raise Rejection("isolated_margin", row.isolated_margin, Reason.NEGATIVE_NOT_ALLOWED)
    return margin


def _read_cost(book: Book, row: PositionRow, state: ContractState, lots: int) -> int:
    """Return the signed cost from the entry price (to nearest) or the exact entry cost."""
    price, whole = row.entry_price, row.entry_cost
    if (price is None) == (whole is None):
        value = "neither" if price is None else "both"
        raise Rejection("entry_price", value, Reason.MISSING_ENTRY_PRICE)
    if whole is not None:
        cash = read_cash("entry_cost", whole, book.asset_of(state).cash_decimals)
        reject_unless(cash > 0, "entry_cost", whole, Reason.NOT_POSITIVE)
        return state.terms.cost_sign(row.side) * cash
    entry = read_decimal("entry_price", "" if price is None else price)
    if entry[0] <= 0:
        raise Rejection("entry_price", price, Reason.NOT_POSITIVE)
    cost = state.terms.cost_cash(row.side, lots, entry)
    if abs(cost) >= LIMIT:
        raise Rejection("entry_price", price, Reason.EXCEEDS_NUMERIC_RANGE)
    return cost


def _check_sides(book: Book, row: PositionRow, account: int, told: Told, is_open: bool) -> None:
    """Refuse a repeated row, and two open sides of one position in one-way mode."""
    key = row.account, row.contract, row.position, row.side
    if key in told:
        raise Rejection("", row.account, Reason.DUPLICATE_ROW)
    told[key] = is_open
    if is_open and len(told) > 1 and not book.accounts.hedge_mode.item(account):
        free = not told.get((*key[:3], row.side.opposite), False)
        reject_unless(free, "side", row.side, Reason.HEDGE_MODE_REQUIRED)


def _close_other_sides(
    book: Book, tables: dict[ContractSide, list[Standing]], accounts: Mapping[str, int], told: Told
) -> None:
    """Close what a one-way account holds on the side that its new position replaces."""
    for (contract, side), rows in list(tables.items()):
        opposite = side.opposite
        other = book.contracts[contract].tables[opposite]
        if other.size == 0:
            continue
        for standing in list(rows):
            account = accounts[standing.account]
            if (
                standing.lots
                and not book.accounts.hedge_mode.item(account)
                and other.find(account, standing.position) is not None
                and (standing.account, contract, standing.position, opposite) not in told
            ):
                closed = Standing(standing.account, standing.position)
                tables.setdefault((contract, opposite), []).append(closed)


def _growth(book: Book, key: ContractSide, rows: list[Standing]) -> Growth:
    labels = book.contracts[key[0]].tables[key[1]].labels
    total = largest_lots = largest_cost = 0
    new = set()
    for row in rows:
        total += row.lots
        largest_lots = max(largest_lots, row.lots)
        largest_cost = max(largest_cost, abs(row.cost_cash) + row.margin_cash)
        if row.position not in labels:
            new.add(row.position)
    return Growth(total, largest_lots, largest_cost, len(labels) + len(new))


def _lane_event(
    command: m.SetPositions, key: ContractSide, standings: list[Standing]
) -> m.PositionsSet:
    columns = zip(*map(_columns_of, standings), strict=True)
    return m.PositionsSet(command.version, command.last_fill, *key, *columns)


def _order_events(book: Book, rows: list[PositionRow]) -> list[Event]:
    """Return the open orders that differ from what is known; its rows name them together."""
    if not (book.open_orders or any(row.open_orders for row in rows)):
        return []
    orders: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        orders.setdefault((row.account, row.contract), []).extend(row.open_orders)
    told = {key: tuple(dict.fromkeys(ids)) for key, ids in orders.items()}
    return [
        m.OpenOrdersSet(account=key[0], contract=key[1], orders=ids)
        for key, ids in told.items()
        if ids != book.open_orders.get(key, ())
    ]


def _account(book: Book, name: str) -> int:
    account = book.accounts.index.get(name)
    if account is None:
        raise Rejection("account", name, Reason.UNKNOWN_ACCOUNT)
    return account


def outstanding(book: Book, account: str, last_fill: int) -> list[m.AdlFilled]:
    """Return the account's fills that numbers told up to `last_fill` do not include."""
    return [fill for fill in book.outstanding_of(account) if fill.fill > last_fill]


def not_included(book: Book, account: str, last_fill: int) -> list[m.AdlFilled | OutstandingLoss]:
    """Return the same with the account's losses, in order."""
    fills = outstanding(book, account, last_fill)
    if not fills and account not in book.losses:
        return []
    losses = [loss for loss in book.losses.get(account, ()) if loss.fill > last_fill]
    return sorted([*fills, *losses], key=lambda each: each.fill)


def _ignored(row: int, account: str, version: int, known: int) -> m.RowIgnored:
    return m.RowIgnored(row=row, account=account, version=version, known_version=known)
