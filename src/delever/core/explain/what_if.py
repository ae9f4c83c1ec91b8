"""What one change would make of a position's place, everybody else as they are.

The position and what it moves in its own account (the cross wallet, the account's other positions,
a hedge) are valued as the engine would value them after the change; then the same table is ranked.
"""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.engine import rules_of
from delever.core.explain.explanation import Missing, Standing, find_position, queue_position_of
from delever.core.intake.snapshots import MAX_LEVERAGE_HUNDREDTHS
from delever.core.market.validation import Rejection, reject_unless
from delever.core.messages import Reason, Side
from delever.core.rules import RuleSet
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import LIMIT, share_floor
from delever.core.valuation.side_valuation import SideValuation, value_side


class Change(msgspec.Struct, frozen=True, kw_only=True, tag_field="change"):
    """What a holder could do. Exactly one of the subclasses."""


class AddMargin(Change, tag="add_margin", frozen=True, kw_only=True):
    """Put cash from outside into the position's margin bucket (or, negative, take it out)."""

    amount_cash: int


class PartialClose(Change, tag="partial_close", frozen=True, kw_only=True):
    """Close lots at the mark; profit, and their part of an isolated margin, go to the wallet."""

    lots: int


class SetLeverage(Change, tag="set_leverage", frozen=True, kw_only=True):
    """Choose another leverage; an isolated margin becomes entry value / leverage, by the wallet."""

    leverage_hundredths: int


class OpenHedge(Change, tag="open_hedge", frozen=True, kw_only=True):
    """Open lots on the other side at the mark, or add them to what the account holds there.

    In hedge mode the account then holds both sides. The hedge is added to the position of the same
    number on the other side; where there is none, it takes margin mode and leverage of this one. A
    cross hedge adds to the account's maintenance margin and, where the ranking is joint, to its
    score; an isolated one takes value / leverage out of the wallet. In one-way mode there is no
    other side to open: the position is reduced, which is the same as PartialClose.
    """

    lots: int


AnyChange = AddMargin | PartialClose | SetLeverage | OpenHedge


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """The same position before and after one change, everybody else as they are.

    A position closed whole has no place after it: `position_closed`.
    """

    change: AnyChange
    before: Standing
    after: Standing


class Impossible(msgspec.Struct, frozen=True, kw_only=True):
    """Why a change cannot be made: the field that asks too much, and the reason."""

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
) -> WhatIf | Missing | Impossible:
    """Return what one change would make of a position's place, everybody else unchanged."""
    found = find_position(book, contract, side, account, position)
    if isinstance(found, str):
        return found
    state, row = found
    ranking = (rules or rules_of(book, state)).ranking
    held = _Held(book, state, value_side(book, state, side), row)
    try:
        changed = _view_after(held, _effect(held, change))
    except Rejection as refusal:
        return Impossible(field=refusal.field, reason=refusal.reason)
    return WhatIf(
        change=change,
        before=queue_position_of(rank_side(held.view, ranking), row),
        after=_standing_after(rank_side(changed, ranking), row),
    )


class _Worth(NamedTuple):
    """What lots are worth at the mark, or a difference of that; in Cash."""

    profit: int = 0
    notional: int = 0
    maintenance: int = 0

    def plus(self, other: "_Worth", sign: int = 1) -> "_Worth":
        """Return the sum, or with sign -1 the difference."""
        return _Worth(*(one + sign * more for one, more in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class _Held:
    """One position: a row of the view of its table."""

    book: Book
    state: ContractState
    view: SideValuation
    row: int

    def number(self, column: str) -> int:
        """Return one of the position's numbers."""
        return int(getattr(self.view, column)[self.row])

    @property
    def isolated(self) -> bool:
        """Whether the position is its own margin bucket."""
        return bool(self.view.isolated[self.row])

    @property
    def leverage_hundredths(self) -> int:
        """The leverage that is set."""
        return int(self.state.tables[self.view.side].leverage[self.row])

    @property
    def hedge_mode(self) -> bool:
        """Whether the account may hold both sides."""
        return bool(self.book.accounts.hedge_mode[self.number("account")])

    @property
    def worth(self) -> _Worth:
        """What the position is worth before the change."""
        return _Worth(*(self.number(column) for column in _Worth._fields))


@dataclass(frozen=True, slots=True)
class _Effect:
    """The position after the change, what went into the wallet, and what a cross hedge adds."""

    lots: int
    cost_cash: int
    margin_cash: int
    leverage_hundredths: int
    wallet_cash: int = 0
    hedge: _Worth = _Worth()  # noqa: RUF009 - immutable


def _effect(held: _Held, change: AnyChange) -> _Effect:
    match change:
        case AddMargin():
            return _add_margin(held, change.amount_cash)
        case PartialClose():
            return _close(held, change.lots)
        case SetLeverage():
            return _set_leverage(held, change.leverage_hundredths)
        case OpenHedge():
            return _hedge(held, change.lots) if held.hedge_mode else _close(held, change.lots)


def _add_margin(held: _Held, amount_cash: int) -> _Effect:
    margin = held.number("margin") + (amount_cash if held.isolated else 0)
    reject_unless(margin >= 0, "amount_cash", amount_cash, Reason.NEGATIVE_NOT_ALLOWED)
    return _Effect(
        lots=held.number("lots"),
        cost_cash=held.number("cost"),
        margin_cash=margin,
        leverage_hundredths=held.leverage_hundredths,
        wallet_cash=0 if held.isolated else amount_cash,
    )


def _close(held: _Held, lots: int) -> _Effect:
    """Return the position with lots closed at the mark, split exactly as an ADL fill splits it."""
    _check_lots(held, lots)
    whole, cost, margin = (held.number(column) for column in ("lots", "cost", "margin"))
    reject_unless(lots <= whole, "lots", lots, Reason.EXCEEDS_POSITION)
    gone_cost, released = (share_floor(amount, lots, whole) for amount in (cost, margin))
    value = held.state.terms.value_cash(held.view.side.sign * lots, held.state.mark)
    return _Effect(
        lots=whole - lots,
        cost_cash=cost - gone_cost,
        margin_cash=margin - released,
        leverage_hundredths=held.leverage_hundredths,
        wallet_cash=value - gone_cost + released,
    )


def _set_leverage(held: _Held, hundredths: int) -> _Effect:
    inside = 0 < hundredths <= MAX_LEVERAGE_HUNDREDTHS
    reject_unless(inside, "leverage_hundredths", hundredths, Reason.OUT_OF_RANGE)
    margin = held.number("margin")
    wanted = _initial(held.number("entry_notional"), hundredths) if held.isolated else margin
    return _Effect(
        lots=held.number("lots"),
        cost_cash=held.number("cost"),
        margin_cash=wanted,
        leverage_hundredths=hundredths,
        wallet_cash=margin - wanted,
    )


def _hedge(held: _Held, lots: int) -> _Effect:
    """Return the position as it is, with what the lots on the other side do to its account."""
    _check_lots(held, lots)
    state, side = held.state, held.view.side.opposite
    table = state.tables[side]
    row = table.find(held.number("account"), held.number("position"))
    isolated, leverage = held.isolated, held.leverage_hundredths
    whole = cost = 0
    if row is not None:
        isolated, leverage = bool(table.isolated[row]), int(table.leverage[row])
        whole, cost = int(table.lots[row]), int(table.cost[row])
    fits = state.terms.in_range(whole + lots, state.mark)
    reject_unless(fits, "lots", lots, Reason.EXCEEDS_NUMERIC_RANGE)
    added = state.terms.value_cash(side.sign * lots, state.mark)
    fits = abs(cost + added) < LIMIT
    reject_unless(fits, "lots", lots, Reason.EXCEEDS_NUMERIC_RANGE)
    after = _worth(state, side, whole + lots, cost + added)
    return _Effect(
        lots=held.number("lots"),
        cost_cash=held.number("cost"),
        margin_cash=held.number("margin"),
        leverage_hundredths=held.leverage_hundredths,
        wallet_cash=-_initial(abs(added), leverage) if isolated else 0,
        hedge=_Worth() if isolated else after.plus(_worth(state, side, whole, cost), -1),
    )


def _check_lots(held: _Held, lots: int) -> None:
    has_mark = held.state.mark > 0
    reject_unless(has_mark, "contract", held.state.name, Reason.MISSING_MARK_PRICE)
    reject_unless(lots > 0, "lots", lots, Reason.NOT_POSITIVE)


def _initial(value_cash: int, leverage_hundredths: int) -> int:
    """Return value / leverage in Cash, rounded down."""
    return share_floor(value_cash, 100, leverage_hundredths)


def _worth(state: ContractState, side: Side, lots: int, cost_cash: int) -> _Worth:
    """Return what lots of a side are worth at the mark, as the book would value them."""
    profit, maintenance = state.valued(side, np.array([lots]), np.array([cost_cash]))
    return _Worth(int(profit[0]), abs(cost_cash + int(profit[0])), int(maintenance[0]))


# --- the table after the change ---


def _view_after(held: _Held, effect: _Effect) -> SideValuation:
    """Return the table with the account's rows as they would be; rejected beyond the range."""
    worth = _worth(held.state, held.view.side, effect.lots, effect.cost_cash)
    account = held.view.account == held.number("account")
    cross = np.flatnonzero(account & ~held.view.isolated).tolist()
    changes: dict[int, dict[str, int]] = {row: {} for row in cross}
    changes[held.row] = _own_columns(held, effect, worth)
    moved = effect.hedge
    if not held.isolated:
        moved = moved.plus(worth).plus(held.worth, -1)
    for row in cross:
        changes[row] |= _bucket_columns(held.view, row, effect.wallet_cash, moved)
    if held.hedge_mode:
        _join(held, effect.hedge, cross, changes)
    for numbers in changes.values():
        for number in numbers.values():
            fits = abs(number) < LIMIT
            reject_unless(fits, "change", number, Reason.EXCEEDS_NUMERIC_RANGE)
    return held.view.with_rows(changes)


def _own_columns(held: _Held, effect: _Effect, worth: _Worth) -> dict[str, int]:
    """Return the position's own columns; isolated, it is its own margin bucket."""
    entry = abs(effect.cost_cash)
    columns = {
        "lots": effect.lots,
        "cost": effect.cost_cash,
        "entry_notional": entry,
        "margin": effect.margin_cash,
        "initial_margin": _initial(entry, effect.leverage_hundredths),
        "joint_profit": worth.profit,
        "joint_notional": worth.notional,
        **worth._asdict(),
    }
    if held.isolated:
        columns |= {
            "balance": effect.margin_cash,
            "bucket_profit": worth.profit,
            "equity": effect.margin_cash + worth.profit,
            "bucket_maintenance": worth.maintenance,
        }
    return columns


def _bucket_columns(
    view: SideValuation, row: int, wallet_cash: int, moved: _Worth
) -> dict[str, int]:
    """Return what a cross position is told of its account's wallet."""
    return {
        "balance": int(view.balance[row]) + wallet_cash,
        "bucket_profit": int(view.bucket_profit[row]) + moved.profit,
        "equity": int(view.equity[row]) + wallet_cash + moved.profit,
        "bucket_maintenance": int(view.bucket_maintenance[row]) + moved.maintenance,
    }


def _join(held: _Held, hedge: _Worth, cross: list[int], changes: dict[int, dict[str, int]]) -> None:
    """Give the account's cross positions the sums of both sides, where both are held."""
    state, side = held.state, held.view.side.opposite
    table, account = state.tables[side], held.number("account")
    other = hedge
    for number in table.positions_of(account):
        row = table.row_of(account, number)
        if not table.isolated[row]:
            other = other.plus(_worth(state, side, int(table.lots[row]), int(table.cost[row])))
    if other.notional == 0:
        return
    own = {
        name: sum(changes[row].get(name, int(getattr(held.view, name)[row])) for row in cross)
        for name in ("profit", "notional")
    }
    for row in cross:
        changes[row]["joint_profit"] = own["profit"] + other.profit
        changes[row]["joint_notional"] = own["notional"] + other.notional


def _standing_after(queue: Queue, row: int) -> Standing:
    """Return where the position stands; of one that is closed only that nobody counts it."""
    standing = queue_position_of(queue, row)
    if standing.lots > 0:
        return standing
    return Standing(
        lots=0,
        rank=0,
        of=standing.of - (standing.reason is None),
        indicator=0,
        ahead_lots=0,
        score=0,
        parts=dict.fromkeys(standing.parts, 0),
        reason=Reason.POSITION_CLOSED,
    )
