"""Absolute balances and positions, row by row: validated, and corrected for outstanding fills.

A venue's snapshot may not include the latest ADL fills and socialized losses. Those that it does
not include are applied on top of it, in the order in which they happened.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import compress
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.outstanding import OutstandingLoss
from delever.core.intake.row_rejections import fewest_too_large, with_notices
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
from delever.core.valuation.multi_asset import is_pooled
from delever.core.valuation.numeric_range import ContractSide, Growth, balances_fit, check_range

SubmittedKey = tuple[str, str, int, Side]
"""Account, contract, position and side of a row."""

Submitted = dict[SubmittedKey, bool]
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
    if command.last_fill > book.last_fill:
        raise Rejection("last_fill", command.last_fill, Reason.UNKNOWN_FILL)


def set_balances(book: Book, command: m.SetBalances) -> list[Event]:
    """Return the balances submitted, plus what fills and compensations have paid since.

    A row that cannot be taken is rejected alone, or with the command if that is strict.
    """
    events: list[Event] = []
    rejected: list[m.RowRejected] = []
    columns: list[tuple[str, str, int]] = []
    numbers: list[int] = []
    check_version(book, command)
    submitted: set[tuple[str, str]] = set()
    for number, row in enumerate(command.balances):
        account = book.accounts.index.get(row.account)
        known = -1 if account is None else book.accounts.balances_version.item(account)
        try:
            cash = _read_balance(book, row, account, submitted)
        except Rejection as rejection:
            if command.strict:
                raise rejection.inside(f"balances[{number}]") from None
            if command.version >= known:
                rejected.append(_balance_rejected(command, number, rejection))
                continue
        if command.version < known:
            events.append(_ignored(number, row.account, command.version, known))
            continue
        cash += paid_since(book, row.account, row.asset, command.last_fill)
        columns.append((row.account, row.asset, cash))
        numbers.append(number)
    too_large = _largest_balances(book, columns, strict=command.strict)
    for place in reversed(too_large):
        rejected.append(_balance_rejected(command, numbers[place], None))
        del columns[place]
    if columns:
        events.append(
            m.BalancesSet(command.version, command.last_fill, *zip(*columns, strict=True))
        )
    if not rejected:
        return events
    return [*events, *with_notices(book, sorted(rejected, key=attrgetter("row")))]


def _largest_balances(
    book: Book, columns: list[tuple[str, str, int]], *, strict: bool
) -> list[int]:
    """Return the places of the balances that do not fit the numeric range."""
    if balances_fit(book, columns):
        return []

    def check(taken: Iterable[tuple[str, str, int]]) -> None:
        most: dict[str, int] = {}
        for _, asset, cash in taken:
            most[asset] = max(most.get(asset, 0), abs(cash))
        check_range(book, {}, max_balance=most)

    try:
        check(columns)
    except Rejection:
        if strict:
            raise
        sizes = np.array([abs(cash) for _, _, cash in columns], np.float64)
        return fewest_too_large(sizes, lambda taken: check(compress(columns, taken.tolist())))
    return []


def _balance_rejected(
    command: m.SetBalances, number: int, rejection: Rejection | None
) -> m.RowRejected:
    row = command.balances[number]
    failed = rejection or Rejection("balance", row.balance, Reason.EXCEEDS_NUMERIC_RANGE)
    failed = failed.inside(f"balances[{number}]")
    return m.RowRejected(
        command="set_balances",
        row=number,
        account=row.account,
        asset=row.asset,
        reason=failed.reason,
        field=failed.field,
        value=failed.value,
    )


def _read_balance(
    book: Book, row: m.BalanceRow, account: int | None, submitted: set[tuple[str, str]]
) -> int:
    """Return the balance of an account, by index or None where it is not defined, in Cash."""
    _existing(account, row.account)
    asset = book.assets.get(row.asset)
    if asset is None:
        raise Rejection("asset", row.asset, Reason.UNKNOWN_ASSET)
    if (row.account, row.asset) in submitted:
        raise Rejection("", row.account, Reason.DUPLICATE_ROW)
    submitted.add((row.account, row.asset))
    return read_cash("balance", row.balance, asset.cash_decimals)


def set_account_margin(book: Book, command: m.SetAccountMargin) -> list[Event]:
    """Return the margin submitted, or that it is older than the newest one."""
    version = read_count("version", command.version)
    account = _existing(book.accounts.index.get(command.account), command.account)
    asset = book.assets.get(command.asset)
    if asset is None:
        raise Rejection("asset", command.asset, Reason.UNKNOWN_ASSET)
    if is_pooled(book, account, asset.name):
        raise Rejection("account", command.account, Reason.MULTI_ASSET_ACCOUNT)
    equity = maintenance = None
    if command.equity is not None or command.maintenance is not None:
        equity, maintenance = (
            read_cash(field, amount, asset.cash_decimals)
            for field, amount in (
                ("equity", _given(command.equity)),
                ("maintenance", _given(command.maintenance)),
            )
        )
        not_negative = maintenance >= 0
        reject_unless(not_negative, "maintenance", command.maintenance, Reason.NEGATIVE_NOT_ALLOWED)
    known = asset.wallets.margins.version_of(account)
    if version < known:
        return [_ignored(0, command.account, version, known)]
    return [
        m.AccountMarginSet(
            version=version,
            account=command.account,
            asset=command.asset,
            equity_cash=equity,
            maintenance_cash=maintenance,
        )
    ]


def _given(amount: m.Amount | None) -> m.Amount:
    """Return an amount as text; "", which is rejected, for one that is missing."""
    return "" if amount is None else str(amount)


class TakenRow(NamedTuple):
    """A row of a command that is taken, its number, and the notices that it causes."""

    number: int
    row: PositionRow
    position: SubmittedPosition
    notices: list[Event]

    @property
    def key(self) -> SubmittedKey:
        """The position that the row is of."""
        return self.row.account, self.row.contract, self.row.position, self.row.side


def set_positions(book: Book, command: m.SetPositions) -> list[Event]:
    """Return the positions submitted, side by side, with outstanding fills and losses applied.

    In one-way mode a new position closes the account's position on the other side. A row that
    cannot be taken is rejected alone, or with the command if that is strict.
    """
    events: list[Event] = []
    rejected: list[m.RowRejected] = []
    taken: list[TakenRow] = []
    submitted: Submitted = {}
    failed: set[SubmittedKey] = set()  # a second row of such a key is a duplicate all the same
    check_version(book, command)
    for number, row in enumerate(command.positions):
        found = book.accounts.index.get(row.account)
        known = -1 if found is None else book.accounts.positions_version.item(found)
        try:
            account = _existing(found, row.account)
            position = _read_row(book, row)
            _check_sides(book, row, account, submitted, position.lots > 0)
        except Rejection as rejection:
            if command.strict:
                raise rejection.inside(f"positions[{number}]") from None
            if command.version >= known:
                rejected.append(_position_rejected(command, number, rejection))
                continue
        if command.version < known:
            events.append(_ignored(number, row.account, command.version, known))
            continue
        notices = _apply_outstanding(book, row, position, command.last_fill)
        if fault := _growth_fault(book, row, account, position.lots):
            if command.strict:
                raise fault.inside(f"positions[{number}]")
            rejected.append(_position_rejected(command, number, fault))
            failed.add((row.account, row.contract, row.position, row.side))
            continue
        taken.append(TakenRow(number, row, position, notices))
    for place in reversed(_largest_positions(book, taken, strict=command.strict)):
        rejected.append(_position_rejected(command, taken[place].number, None))
        failed.add(taken[place].key)
        del taken[place]
    sides = _by_side(taken)
    _close_other_sides(book, sides, submitted.keys() - failed)
    events += [notice for each in taken for notice in each.notices]
    events += [_positions_set(command, key, sides[key]) for key in sorted(sides)]
    events += _order_events(book, [each.row for each in taken])
    if not rejected:
        return events
    return [*events, *with_notices(book, sorted(rejected, key=attrgetter("row")))]


def _by_side(taken: Iterable[TakenRow]) -> dict[ContractSide, list[SubmittedPosition]]:
    sides: dict[ContractSide, list[SubmittedPosition]] = {}
    for each in taken:
        sides.setdefault((each.row.contract, each.row.side), []).append(each.position)
    return sides


def _largest_positions(book: Book, rows: list[TakenRow], *, strict: bool) -> list[int]:
    """Return the places of the rows that do not fit the numeric range, the fewest that suffice."""

    def check(taken: Iterable[TakenRow]) -> None:
        sides = _by_side(taken)
        check_range(book, {}, growth={key: _growth(book, key, sides[key]) for key in sides})

    try:
        check(rows)
    except Rejection:
        if strict:
            raise
        sizes = np.array([_size(book, each) for each in rows], np.float64)
        return fewest_too_large(sizes, lambda taken: check(compress(rows, taken.tolist())))
    return []


def _size(book: Book, taken: TakenRow) -> float:
    """Return how much of the numeric range a position needs: value at the mark, cost, margin."""
    state, position = book.contracts[taken.row.contract], taken.position
    value = position.lots * float(state.terms.max_lot_value(state.mark))
    return value + float(abs(position.cost_cash) + position.margin_cash)


def _position_rejected(
    command: m.SetPositions, number: int, rejection: Rejection | None
) -> m.RowRejected:
    row = command.positions[number]
    is_named = 0 <= row.position <= MAX_POSITION_ID
    failed = rejection or Rejection("quantity", row.quantity, Reason.EXCEEDS_NUMERIC_RANGE)
    failed = failed.inside(f"positions[{number}]")
    return m.RowRejected(
        command="set_positions",
        row=number,
        account=row.account,
        contract=row.contract if is_named else "",
        side=row.side if is_named else None,
        position=row.position if is_named else 0,
        reason=failed.reason,
        field=failed.field,
        value=failed.value,
    )


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
    if is_open and submitted and not book.accounts.hedge_mode.item(account):
        free = not submitted.get((*key[:3], row.side.opposite), False)
        reject_unless(free, "side", row.side, Reason.HEDGE_MODE_REQUIRED)
    submitted[key] = is_open


def _apply_outstanding(
    book: Book, row: PositionRow, position: SubmittedPosition, last_fill: int
) -> list[Event]:
    """Apply what a row does not include to its position; return notices of fills too large."""
    notices: list[Event] = []
    key = row.contract, row.side, row.position
    for change in outstanding_changes(book, row.account, last_fill):
        if (change.contract, change.side, change.position) == key:
            notices += exceeding_notice(change, position)
            position.apply_outstanding(change)
    return notices


def _growth_fault(book: Book, row: PositionRow, account: int, lots: int) -> Rejection | None:
    """Return the rejection of a position that its delisted contract has not, or not as large."""
    state = book.contracts[row.contract]
    if not state.is_delisted or lots == 0:
        return None
    table = state.tables[row.side]
    known = table.find(account, row.position)
    if known is not None and lots <= table.lots.item(known):
        return None
    return Rejection("quantity", row.quantity, growth_reason(state))


def growth_reason(state: ContractState) -> Reason:
    """Return why a position of a delisted contract may not open or grow."""
    settled = state.status is m.TradingStatus.SETTLED
    return Reason.CONTRACT_SETTLED if settled else Reason.CLOSE_ONLY


def _close_other_sides(
    book: Book, sides: dict[ContractSide, list[SubmittedPosition]], submitted: set[SubmittedKey]
) -> None:
    """Add the closing of positions that one-way accounts have on the other side of a new one."""
    for (contract, side), rows in list(sides.items()):
        opposite = side.opposite
        table = book.contracts[contract].tables[opposite]
        if table.size == 0:
            continue
        for row in list(rows):
            account = book.accounts.index[row.account]
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


def _existing(account: int | None, name: str) -> int:
    """Return an account's index; reject an account that is not defined."""
    if account is None:
        raise Rejection("account", name, Reason.UNKNOWN_ACCOUNT)
    return account


def paid_since(book: Book, account: str, asset: str, last_fill: int) -> int:
    """Return what fills and compensations after `last_fill` have paid an account, in Cash."""
    if account not in book.outstanding:
        return 0
    fills = sum(
        fill.realized_pnl_cash + fill.margin_returned_cash - fill.fee_cash
        for fill in outstanding_fills(book, account, last_fill)
        if book.contracts[fill.contract].terms.settle == asset
    )
    return fills + sum(
        event.amount_cash
        for event in book.outstanding.compensations.get(account, ())
        if event.compensation > last_fill and event.asset == asset
    )


def outstanding_fills(book: Book, account: str, last_fill: int) -> list[m.AdlFilled]:
    """Return the account's fills after `last_fill`, which a snapshot does not include yet."""
    return [fill for fill in book.outstanding.fills_of(account) if fill.fill > last_fill]


def outstanding_changes(
    book: Book, account: str, last_fill: int
) -> list[m.AdlFilled | OutstandingLoss]:
    """Return the account's fills and socialized losses after `last_fill`, in order."""
    if account not in book.outstanding:
        return []
    fills = outstanding_fills(book, account, last_fill)
    losses = [loss for loss in book.outstanding.losses.get(account, ()) if loss.fill > last_fill]
    return sorted([*fills, *losses], key=lambda change: change.fill)


def _ignored(row: int, account: str, version: int, known: int) -> m.RowIgnored:
    return m.RowIgnored(row=row, account=account, version=version, known_version=known)
