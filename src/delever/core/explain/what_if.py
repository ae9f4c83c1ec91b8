"""What one change by its account would make of a position's place in the queue.

The position, and what the change moves in the same account (the cross wallet, its other positions,
a hedge), are valued as the engine would value them after the change; all other accounts stay as
they are. Then the same side is ranked again.
"""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.explain.queue_position import (
    Missing,
    QueuePosition,
    find_position,
    queue_position_of,
)
from delever.core.intake.snapshots import MAX_LEVERAGE_HUNDREDTHS
from delever.core.market.validation import Rejection, reject_unless
from delever.core.messages import Reason, Side
from delever.core.rules import RuleSet, rule_set_of
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import COLUMN_LIMIT, share_floor
from delever.core.valuation.side_valuation import SideValuation, value_side


class Change(msgspec.Struct, frozen=True, kw_only=True, tag_field="change"):
    """A change that an account can make; exactly one of the subclasses."""


class AddMargin(Change, tag="add_margin", frozen=True, kw_only=True):
    """Deposit cash into the position's margin bucket; a negative amount withdraws it."""

    amount_cash: int


class PartialClose(Change, tag="partial_close", frozen=True, kw_only=True):
    """Close lots at the mark; PnL, and their part of an isolated margin, go to the wallet."""

    lots: int


class SetLeverage(Change, tag="set_leverage", frozen=True, kw_only=True):
    """Set another leverage; an isolated margin becomes entry value / leverage, from the wallet."""

    leverage_hundredths: int


class OpenHedge(Change, tag="open_hedge", frozen=True, kw_only=True):
    """Open lots on the other side at the mark, or add them to the account's position there.

    In hedge mode the account then has positions on both sides. The hedge is added to the position
    with the same id on the other side; if there is none, it takes margin mode and leverage of this
    position. A cross hedge adds to the account's maintenance margin and, under a joint ranking, to
    its score; an isolated hedge takes value / leverage out of the wallet. In one-way mode there is
    no other side to open, so the position is reduced, as by PartialClose.
    """

    lots: int


AnyChange = AddMargin | PartialClose | SetLeverage | OpenHedge


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """The same position's place before and after one change, all other accounts unchanged.

    A position that is closed whole has no place afterwards: its reason is `position_closed`.
    """

    change: AnyChange
    before: QueuePosition
    after: QueuePosition


class ImpossibleChange(msgspec.Struct, frozen=True, kw_only=True):
    """Why a change cannot be made: its invalid field, and the reason."""

    field: str
    reason: Reason


def what_if(
    book: Book,
    contract: str,
    side: Side,
    account: str,
    change: AnyChange,
    *,
    position: int = 0,
    rules: RuleSet | None = None,
) -> WhatIf | Missing | ImpossibleChange:
    """Return a position's place in the queue before and after one change."""
    found = find_position(book, contract, side, account, position)
    if isinstance(found, str):
        return found
    state, row = found
    ranking = (rules or rule_set_of(book, state)).ranking
    current = _Position(book, state, value_side(book, state, side), row)
    try:
        changed = _valuation_after(current, _changed(current, change))
    except Rejection as rejection:
        return ImpossibleChange(field=rejection.field, reason=rejection.reason)
    return WhatIf(
        change=change,
        before=queue_position_of(rank_side(current.valuation, ranking), row),
        after=_queue_position_after(rank_side(changed, ranking), row),
    )


# --- the position after the change ---


class _Value(NamedTuple):
    """The value of lots at the mark, or a difference of two such values, in Cash."""

    unrealized_pnl: int = 0
    notional: int = 0
    maintenance: int = 0

    def plus(self, other: "_Value", sign: int = 1) -> "_Value":
        """Return the sum, or with sign -1 the difference."""
        return _Value(*(one + sign * more for one, more in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class _Position:
    """One position: a row of the valuation of its side."""

    book: Book
    state: ContractState
    valuation: SideValuation
    row: int

    def number(self, column: str) -> int:
        """Return the position's entry in a column."""
        return int(getattr(self.valuation, column)[self.row])

    @property
    def isolated(self) -> bool:
        """Whether the position is its own margin bucket."""
        return bool(self.valuation.isolated[self.row])

    @property
    def leverage_hundredths(self) -> int:
        """The leverage set for the position."""
        return int(self.state.tables[self.valuation.side].leverage[self.row])

    @property
    def hedge_mode(self) -> bool:
        """Whether the account may have positions on both sides."""
        return bool(self.book.accounts.hedge_mode[self.number("account")])

    @property
    def value(self) -> _Value:
        """The position's value before the change."""
        return _Value(*(self.number(column) for column in _Value._fields))


@dataclass(frozen=True, slots=True)
class _ChangedPosition:
    """The position after the change, cash paid to the wallet, and the value of a cross hedge."""

    lots: int
    cost_cash: int
    margin_cash: int
    leverage_hundredths: int
    wallet_cash: int = 0
    hedge: _Value = _Value()  # noqa: RUF009 - immutable


def _changed(current: _Position, change: AnyChange) -> _ChangedPosition:
    match change:
        case AddMargin():
            return _add_margin(current, change.amount_cash)
        case PartialClose():
            return _close(current, change.lots)
        case SetLeverage():
            return _set_leverage(current, change.leverage_hundredths)
        case OpenHedge():
            hedge = _open_hedge if current.hedge_mode else _close
            return hedge(current, change.lots)


def _add_margin(current: _Position, amount_cash: int) -> _ChangedPosition:
    margin = current.number("margin") + (amount_cash if current.isolated else 0)
    reject_unless(margin >= 0, "amount_cash", amount_cash, Reason.NEGATIVE_NOT_ALLOWED)
    return _ChangedPosition(
        lots=current.number("lots"),
        cost_cash=current.number("cost"),
        margin_cash=margin,
        leverage_hundredths=current.leverage_hundredths,
        wallet_cash=0 if current.isolated else amount_cash,
    )


def _close(current: _Position, lots: int) -> _ChangedPosition:
    """Return the position with lots closed at the mark, divided exactly as by an ADL fill."""
    _check_lots(current, lots)
    whole, cost, margin = (current.number(column) for column in ("lots", "cost", "margin"))
    reject_unless(lots <= whole, "lots", lots, Reason.EXCEEDS_POSITION)
    closed_cost, returned = (share_floor(amount, lots, whole) for amount in (cost, margin))
    sign = current.valuation.side.sign
    value = current.state.terms.value_cash(sign * lots, current.state.mark)
    return _ChangedPosition(
        lots=whole - lots,
        cost_cash=cost - closed_cost,
        margin_cash=margin - returned,
        leverage_hundredths=current.leverage_hundredths,
        wallet_cash=value - closed_cost + returned,
    )


def _set_leverage(current: _Position, hundredths: int) -> _ChangedPosition:
    in_range = 0 < hundredths <= MAX_LEVERAGE_HUNDREDTHS
    reject_unless(in_range, "leverage_hundredths", hundredths, Reason.OUT_OF_RANGE)
    margin, entry = current.number("margin"), current.number("entry_notional")
    new_margin = _initial_margin(entry, hundredths) if current.isolated else margin
    return _ChangedPosition(
        lots=current.number("lots"),
        cost_cash=current.number("cost"),
        margin_cash=new_margin,
        leverage_hundredths=hundredths,
        wallet_cash=margin - new_margin,
    )


def _open_hedge(current: _Position, lots: int) -> _ChangedPosition:
    """Return the position unchanged, with what the lots on the other side do to its account."""
    _check_lots(current, lots)
    state, side = current.state, current.valuation.side.opposite
    table = state.tables[side]
    row = table.find(current.number("account"), current.number("position"))
    isolated, leverage = current.isolated, current.leverage_hundredths
    whole = cost = 0
    if row is not None:
        isolated, leverage = bool(table.isolated[row]), int(table.leverage[row])
        whole, cost = int(table.lots[row]), int(table.cost[row])
    fits = state.terms.fits_int64(whole + lots, state.mark)
    reject_unless(fits, "lots", lots, Reason.EXCEEDS_NUMERIC_RANGE)
    added = state.terms.value_cash(side.sign * lots, state.mark)
    fits = abs(cost + added) < COLUMN_LIMIT
    reject_unless(fits, "lots", lots, Reason.EXCEEDS_NUMERIC_RANGE)
    before = _value(state, side, whole, cost)
    after = _value(state, side, whole + lots, cost + added)
    return _ChangedPosition(
        lots=current.number("lots"),
        cost_cash=current.number("cost"),
        margin_cash=current.number("margin"),
        leverage_hundredths=current.leverage_hundredths,
        wallet_cash=-_initial_margin(abs(added), leverage) if isolated else 0,
        hedge=_Value() if isolated else after.plus(before, -1),
    )


def _check_lots(current: _Position, lots: int) -> None:
    has_mark = current.state.mark > 0
    reject_unless(has_mark, "contract", current.state.name, Reason.MISSING_MARK_PRICE)
    reject_unless(lots > 0, "lots", lots, Reason.NOT_POSITIVE)


def _initial_margin(value_cash: int, leverage_hundredths: int) -> int:
    """Return value / leverage in Cash, rounded down."""
    return share_floor(value_cash, 100, leverage_hundredths)


def _value(state: ContractState, side: Side, lots: int, cost_cash: int) -> _Value:
    """Return the value of lots of a side at the mark, as the book would value them."""
    pnl, maintenance = state.pnl_and_maintenance(side, np.array([lots]), np.array([cost_cash]))
    return _Value(int(pnl[0]), abs(cost_cash + int(pnl[0])), int(maintenance[0]))


# --- the side after the change ---


def _valuation_after(current: _Position, changed: _ChangedPosition) -> SideValuation:
    """Return the valuation of the side with the account's rows changed; rejected out of range."""
    value = _value(current.state, current.valuation.side, changed.lots, changed.cost_cash)
    own = current.valuation.account == current.number("account")
    cross = np.flatnonzero(own & ~current.valuation.isolated).tolist()
    changes: dict[int, dict[str, int]] = {row: {} for row in cross}
    changes[current.row] = _position_columns(current, changed, value)
    added = changed.hedge
    if not current.isolated:
        added = added.plus(value).plus(current.value, -1)
    for row in cross:
        changes[row] |= _bucket_columns(current.valuation, row, changed.wallet_cash, added)
    if current.hedge_mode:
        _add_joint_columns(current, changed.hedge, cross, changes)
    for numbers in changes.values():
        for number in numbers.values():
            fits = abs(number) < COLUMN_LIMIT
            reject_unless(fits, "change", number, Reason.EXCEEDS_NUMERIC_RANGE)
    return current.valuation.with_rows(changes)


def _position_columns(
    current: _Position, changed: _ChangedPosition, value: _Value
) -> dict[str, int]:
    """Return the position's own columns; an isolated position is its own margin bucket."""
    entry = abs(changed.cost_cash)
    columns = {
        "lots": changed.lots,
        "cost": changed.cost_cash,
        "entry_notional": entry,
        "margin": changed.margin_cash,
        "initial_margin": _initial_margin(entry, changed.leverage_hundredths),
        "joint_pnl": value.unrealized_pnl,
        "joint_notional": value.notional,
        **value._asdict(),
    }
    if current.isolated:
        columns |= {
            "balance": changed.margin_cash,
            "bucket_pnl": value.unrealized_pnl,
            "equity": changed.margin_cash + value.unrealized_pnl,
            "bucket_maintenance": value.maintenance,
            "shared_maintenance": value.maintenance,
        }
    return columns


def _bucket_columns(
    valuation: SideValuation, row: int, wallet_cash: int, added: _Value
) -> dict[str, int]:
    """Return the margin bucket's columns of a cross position of the account."""
    return {
        "balance": int(valuation.balance[row]) + wallet_cash,
        "bucket_pnl": int(valuation.bucket_pnl[row]) + added.unrealized_pnl,
        "equity": int(valuation.equity[row]) + wallet_cash + added.unrealized_pnl,
        "bucket_maintenance": int(valuation.bucket_maintenance[row]) + added.maintenance,
        "shared_maintenance": int(valuation.shared_maintenance[row]) + added.maintenance,
    }


def _add_joint_columns(
    current: _Position, hedge: _Value, cross: list[int], changes: dict[int, dict[str, int]]
) -> None:
    """Add the sums of both sides to the account's cross positions, if it has both."""
    state, side = current.state, current.valuation.side.opposite
    table, account = state.tables[side], current.number("account")
    other = hedge
    for position in table.positions_of(account):
        row = table.row_of(account, position)
        if not table.isolated[row]:
            other = other.plus(_value(state, side, int(table.lots[row]), int(table.cost[row])))
    if other.notional == 0:
        return
    own = {
        name: sum(
            changes[row].get(name, int(getattr(current.valuation, name)[row])) for row in cross
        )
        for name in ("unrealized_pnl", "notional")
    }
    for row in cross:
        changes[row]["joint_pnl"] = own["unrealized_pnl"] + other.unrealized_pnl
        changes[row]["joint_notional"] = own["notional"] + other.notional


def _queue_position_after(queue: Queue, row: int) -> QueuePosition:
    """Return the position's place; a position that is closed has none."""
    after = queue_position_of(queue, row)
    if after.lots > 0:
        return after
    return QueuePosition(
        lots=0,
        rank=0,
        ranked=after.ranked - (after.reason is None),
        indicator=0,
        quantity_ahead_lots=0,
        score=0,
        parts=dict.fromkeys(after.parts, 0),
        reason=Reason.POSITION_CLOSED,
    )
