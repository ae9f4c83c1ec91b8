"""Absolute balances and positions, row by row: validated, and corrected for outstanding fills.

A venue's snapshot may not include the latest ADL fills and socialized losses. Those that it does
not include are applied on top of it, in the order in which they happened.
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
from delever.core.units import COLUMN_LIMIT, share_floor
from delever.core.valuation.numeric_range import ContractSide, Growth, check_range

Submitted = dict[tuple[str, str, int, Side], bool]
"""The positions of a command's rows so far, and whether each is open."""

MAX_LEVERAGE_HUNDREDTHS = 1_000_000
MAX_POSITION_ID = 2**31 - 1


@dataclass(slots=True)
class SubmittedPosition:
    """One position as it will be in the book; fields in the order of the event's columns.

    The cost has the sign of the position's value.
    """

    account: str
    position: int
    lots: int = 0
    cost_cash: int = 0
    isolated: bool = False
    margin_cash: int = 0
    leverage_hundredths: int = 100
    under_liquidation: bool = False

    def apply_outstanding(self, outstanding: m.AdlFilled | OutstandingLoss) -> None:
        """Apply a fill, as far as the position has lots, or a socialized loss."""
        if isinstance(outstanding, OutstandingLoss):
            self.cost_cash += outstanding.amount_cash if self.lots else 0
            return
        lots = min(outstanding.lots, self.lots)
        if lots:
            self.cost_cash -= share_floor(self.cost_cash, lots, self.lots)
            self.margin_cash -= share_floor(self.margin_cash, lots, self.lots)
            self.lots -= lots


_columns_of = attrgetter(*[field.name for field in fields(SubmittedPosition)])


def fill_exceeds_position(
    contract: str, side: Side, reported_lots: int, position_lots: int, fill: int = 0
) -> m.Notice:
    """Return the notice that a fill is larger than the position or inventory that it closes."""
    numbers = {"reported_lots": reported_lots, "position_lots": position_lots}
    kind = m.NoticeKind.FILL_EXCEEDS_POSITION
    return m.Notice(kind, side, "", contract, {"fill": fill, **numbers} if fill else numbers)


def exceeding_notice(
    change: m.AdlFilled | OutstandingLoss, position: SubmittedPosition
) -> list[Event]:
    """Return the notice that an outstanding fill is larger than the submitted position, if so."""
    if isinstance(change, OutstandingLoss) or change.lots <= position.lots:
        return []
    lots = change.lots, position.lots
    return [fill_exceeds_position(change.contract, change.side, *lots, change.fill)]


def check_version(book: Book, command: Any) -> None:
    """Validate the version and the last included fill of a snapshot; reject an unknown fill."""
    read_count("version", command.version)
    read_count("last_fill", command.last_fill)
    unknown = command.last_fill > book.last_fill
    reject_unless(not unknown, "last_fill", command.last_fill, Reason.UNKNOWN_FILL)


def set_balances(book: Book, command: m.SetBalances) -> list[Event]:
    """Return the balances submitted, plus what outstanding fills have paid since."""
    events: list[Event] = []
    columns: list[tuple[str, str, int]] = []
    max_cash: dict[str, int] = {}
    check_version(book, command)
    submitted: set[tuple[str, str]] = set()
    for number, row in enumerate(command.balances):
        try:
            account, cash = _read_balance(book, row, submitted)
        except Rejection as rejection:
            raise rejection.inside(f"balances[{number}]") from None
        known = book.accounts.balances_version.item(account)
        if command.version < known:
            events.append(_ignored(number, row.account, command.version, known))
            continue
        for fill in outstanding_fills(book, row.account, command.last_fill):
            if book.contracts[fill.contract].terms.settle == row.asset:
                cash += fill.realized_pnl_cash + fill.margin_returned_cash - fill.fee_cash
        columns.append((row.account, row.asset, cash))
        max_cash[row.asset] = max(max_cash.get(row.asset, 0), abs(cash))
    check_range(book, {}, max_balance=max_cash)
    if columns:
        events.append(
            m.BalancesSet(command.version, command.last_fill, *zip(*columns, strict=True))
        )
    return events


def _read_balance(
    book: Book, row: m.BalanceRow, submitted: set[tuple[str, str]]
) -> tuple[int, int]:
    """Return the account's index and the balance in Cash."""
    account = _account(book, row.account)
    asset = book.assets.get(row.asset)
    if asset is None:
        raise Rejection("asset", row.asset, Reason.UNKNOWN_ASSET)
    if (row.account, row.asset) in submitted:
        raise Rejection("", row.account, Reason.DUPLICATE_ROW)
    submitted.add((row.account, row.asset))
    return account, read_cash("balance", row.balance, asset.cash_decimals)


def set_positions(book: Book, command: m.SetPositions) -> list[Event]:
    """Return the positions submitted, side by side, with outstanding fills and losses applied.

    In one-way mode a new position closes the account's position on the other side.
    """
    events: list[Event] = []
    notices: list[Event] = []
    sides: dict[ContractSide, list[SubmittedPosition]] = {}
    accounts: dict[str, int] = {}
    submitted: Submitted = {}
    accepted: list[PositionRow] = []
    check_version(book, command)
    for number, row in enumerate(command.positions):
        try:
            account = accounts[row.account] = _account(book, row.account)
            position = _read_row(book, row)
            _check_sides(book, row, account, submitted, position.lots > 0)
        except Rejection as rejection:
            raise rejection.inside(f"positions[{number}]") from None
        known = book.accounts.positions_version.item(account)
        if command.version < known:
            events.append(_ignored(number, row.account, command.version, known))
            continue
        for change in outstanding_changes(book, row.account, command.last_fill):
            if (change.contract, change.side, change.position) == (
                row.contract,
                row.side,
                row.position,
            ):
                notices += exceeding_notice(change, position)
                position.apply_outstanding(change)
        _check_growth(book, row, account, position.lots, f"positions[{number}]")
        sides.setdefault((row.contract, row.side), []).append(position)
        accepted.append(row)
    _close_other_sides(book, sides, accounts, submitted)
    check_range(book, {}, growth={key: _growth(book, key, sides[key]) for key in sides})
    events += notices
    events += [_positions_set(command, key, sides[key]) for key in sorted(sides)]
    events += _order_events(book, accepted)
    return events


def _read_row(book: Book, row: PositionRow) -> SubmittedPosition:
    """Return one row in exact integers."""
    state = book.contracts.get(row.contract)
    if state is None:
        raise Rejection("contract", row.contract, Reason.UNKNOWN_CONTRACT)
    if not 0 <= row.position <= MAX_POSITION_ID:
        raise Rejection("position", row.position, Reason.OUT_OF_RANGE)
    lots = state.terms.read_lots("quantity", row.quantity)
    if not _sign_fits_side(row, lots):
        raise Rejection("side", row.side, Reason.SIDE_SIGN_MISMATCH)
    if lots == 0:
        return SubmittedPosition(row.account, row.position)
    cost = _read_cost(book, row, state, abs(lots))
    leverage = _read_leverage(row, cost)
    isolated = row.isolated_margin is not None
    margin = _read_margin(book, row, state) if isolated else 0
    numbers = abs(lots), cost, isolated, margin, leverage, row.under_liquidation
    return SubmittedPosition(row.account, row.position, *numbers)


def _sign_fits_side(row: PositionRow, lots: int) -> bool:
    """Return whether the quantity's sign, if it has one, is that of the side."""
    if row.side is Side.SHORT:
        return str(row.quantity)[:1] != "+"
    return lots >= 0


def _read_leverage(row: PositionRow, cost_cash: int) -> int:
    leverage = _hundredths(row.leverage)
    if not 0 < leverage <= MAX_LEVERAGE_HUNDREDTHS:
        raise Rejection("leverage", row.leverage, Reason.OUT_OF_RANGE)
    if share_floor(abs(cost_cash), 100, leverage) >= COLUMN_LIMIT:
        raise Rejection("leverage", row.leverage, Reason.EXCEEDS_NUMERIC_RANGE)
    return leverage


@functools.lru_cache(maxsize=1024)
def _hundredths(leverage: m.Amount) -> int:
    """Return a leverage in hundredths; cached, because accounts use a few values."""
    return read_scaled("leverage", leverage, 2)


def _read_margin(book: Book, row: PositionRow, state: ContractState) -> int:
    decimals = book.asset_of(state).cash_decimals
    margin = read_cash("isolated_margin", row.isolated_margin or 0, decimals)
    if margin < 0:
        raise Rejection("isolated_margin", row.isolated_margin, Reason.NEGATIVE_NOT_ALLOWED)
    return margin


def _read_cost(book: Book, row: PositionRow, state: ContractState, lots: int) -> int:
    """Return the signed cost: from the entry price, rounded to nearest, or the exact entry cost."""
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
    if abs(cost) >= COLUMN_LIMIT:
        raise Rejection("entry_price", price, Reason.EXCEEDS_NUMERIC_RANGE)
    return cost


def _check_sides(
    book: Book, row: PositionRow, account: int, submitted: Submitted, is_open: bool
) -> None:
    """Reject a duplicate row, and two open sides of one position in one-way mode."""
    key = row.account, row.contract, row.position, row.side
    if key in submitted:
        raise Rejection("", row.account, Reason.DUPLICATE_ROW)
    submitted[key] = is_open
    if is_open and len(submitted) > 1 and not book.accounts.hedge_mode.item(account):
        free = not submitted.get((*key[:3], row.side.opposite), False)
        reject_unless(free, "side", row.side, Reason.HEDGE_MODE_REQUIRED)


def _check_growth(book: Book, row: PositionRow, account: int, lots: int, path: str) -> None:
    """Reject a position of a delisted contract that is new or larger than the one known."""
    state = book.contracts[row.contract]
    if not state.is_delisted or lots == 0:
        return
    table = state.tables[row.side]
    known = table.find(account, row.position)
    grows = known is None or lots > table.lots.item(known)
    reject_unless(not grows, f"{path}.quantity", row.quantity, growth_reason(state))


def growth_reason(state: ContractState) -> Reason:
    """Return why a position of a delisted contract may not open or grow."""
    settled = state.status is m.TradingStatus.SETTLED
    return Reason.CONTRACT_SETTLED if settled else Reason.CLOSE_ONLY


def _close_other_sides(
    book: Book,
    sides: dict[ContractSide, list[SubmittedPosition]],
    accounts: Mapping[str, int],
    submitted: Submitted,
) -> None:
    """Add the closing of positions that one-way accounts have on the other side of a new one."""
    for (contract, side), rows in list(sides.items()):
        opposite = side.opposite
        table = book.contracts[contract].tables[opposite]
        if table.size == 0:
            continue
        for row in list(rows):
            account = accounts[row.account]
            if (
                row.lots
                and not book.accounts.hedge_mode.item(account)
                and table.find(account, row.position) is not None
                and (row.account, contract, row.position, opposite) not in submitted
            ):
                closed = SubmittedPosition(row.account, row.position)
                sides.setdefault((contract, opposite), []).append(closed)


def _growth(book: Book, key: ContractSide, rows: list[SubmittedPosition]) -> Growth:
    position_ids = book.contracts[key[0]].tables[key[1]].position_ids
    total = max_lots = max_cost = 0
    new = set()
    for row in rows:
        total += row.lots
        max_lots = max(max_lots, row.lots)
        max_cost = max(max_cost, abs(row.cost_cash) + row.margin_cash)
        if row.position not in position_ids:
            new.add(row.position)
    return Growth(total, max_lots, max_cost, len(position_ids) + len(new))


def _positions_set(
    command: m.SetPositions, key: ContractSide, rows: list[SubmittedPosition]
) -> m.PositionsSet:
    columns = zip(*map(_columns_of, rows), strict=True)
    return m.PositionsSet(command.version, command.last_fill, *key, *columns)


def _order_events(book: Book, rows: list[PositionRow]) -> list[Event]:
    """Return the open orders that have changed; all rows of an account and contract add to them."""
    if not (book.open_orders or any(row.open_orders for row in rows)):
        return []
    orders: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        orders.setdefault((row.account, row.contract), []).extend(row.open_orders)
    unique = {key: tuple(dict.fromkeys(ids)) for key, ids in orders.items()}
    return [
        m.OpenOrdersSet(account=key[0], contract=key[1], orders=ids)
        for key, ids in unique.items()
        if ids != book.open_orders.get(key, ())
    ]


def _account(book: Book, name: str) -> int:
    account = book.accounts.index.get(name)
    if account is None:
        raise Rejection("account", name, Reason.UNKNOWN_ACCOUNT)
    return account


def outstanding_fills(book: Book, account: str, last_fill: int) -> list[m.AdlFilled]:
    """Return the account's fills after `last_fill`, which a snapshot does not include yet."""
    return [fill for fill in book.outstanding_fills_of(account) if fill.fill > last_fill]


def outstanding_changes(
    book: Book, account: str, last_fill: int
) -> list[m.AdlFilled | OutstandingLoss]:
    """Return the account's fills and socialized losses after `last_fill`, in order."""
    fills = outstanding_fills(book, account, last_fill)
    if not fills and account not in book.outstanding_losses:
        return []
    losses = [loss for loss in book.outstanding_losses.get(account, ()) if loss.fill > last_fill]
    return sorted([*fills, *losses], key=lambda change: change.fill)


def _ignored(row: int, account: str, version: int, known: int) -> m.RowIgnored:
    return m.RowIgnored(row=row, account=account, version=version, known_version=known)
