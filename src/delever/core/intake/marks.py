"""Marks: read, checked, and guarded by their contracts' limits.

A mark beyond its contract's limits is taken, but nothing is done at it until it is confirmed.
While a mark is unconfirmed the engine takes nothing over in the contract, nets and unwinds nothing,
and neither starts, stops nor runs ADL; the pool's inventory is valued at the last confirmed mark.
A later mark confirms it that is within the limits: a move from the mark before it, or back to the
last confirmed one. So does an operator.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.market.mark_limits import ExactMarkLimits, move_of
from delever.core.market.mark_table import COLUMN_THRESHOLD
from delever.core.market.validation import Rejection, reject_unless
from delever.core.messages import ConfirmMark, Event, MarkConfirmed, MarkUnconfirmed, Reason
from delever.core.units import Bools, Ints, Mark, floor_ticks, ratio_ppm
from delever.core.valuation.numeric_range import bounds_fit, check_inventory, check_range


def set_marks(book: Book, command: m.SetMarks) -> list[Event]:
    """Return the marks that can be taken, and the others as rejected, with a notice for each."""
    if len(command.marks) >= COLUMN_THRESHOLD:
        in_columns = _set_in_columns(book, command.marks)
        if in_columns is not None:
            return in_columns
    taken: dict[str, Mark] = {}
    rejections: dict[str, Rejection] = {}
    for name, price in command.marks.items():
        try:
            taken[name] = _read_mark(book, name, price)
        except Rejection as rejection:
            if command.strict:
                raise
            rejections[name] = rejection
    try:
        _check_marks(book, taken)
    except Rejection:
        if command.strict:
            raise
        taken, too_large = _fitting_marks(book, command, taken)
        rejections |= too_large
    rejected = [name for name in command.marks if name in rejections]
    guards = list(check_moves(book, taken))
    events: list[Event] = [_mark_rejected(name, rejections[name]) for name in rejected]
    events += [_mark_notice(name, rejections[name]) for name in rejected if _is_noticed(book, name)]
    if taken or not rejected:
        events.append(_marks_set(book, taken))
    return events + guards


def _is_noticed(book: Book, name: str) -> bool:
    """Return whether a rejected mark is the first one of an open contract since a good one."""
    state = book.contracts.get(name)
    return state is not None and not state.is_settled and not state.mark_rejected


def _marks_set(book: Book, marks: dict[str, Mark]) -> m.MarksSet:
    on_grid = tuple(mark for mark in marks.values() if isinstance(mark, int))
    if len(on_grid) == len(marks):
        return m.MarksSet(contracts=tuple(marks), mark_ticks=on_grid)
    split = [book.contracts[name].terms.split_mark(mark) for name, mark in marks.items()]
    ticks, fractions = zip(*split, strict=True)
    return m.MarksSet(contracts=tuple(marks), mark_ticks=ticks, mark_fractions=fractions)


def _read_mark(book: Book, name: str, price: m.Amount) -> Mark:
    known = book.contracts.get(name)
    if known is None or known.is_settled:
        reason = Reason.UNKNOWN_CONTRACT if known is None else Reason.CONTRACT_SETTLED
        raise Rejection(f"marks.{name}", name, reason)
    if ticks := known.terms.whole_ticks(price):
        return ticks
    field = f"marks.{name}"
    mark = known.terms.read_mark(field, price)
    fits = known.terms.fits_int64(1, mark)
    reject_unless(fits, field, price, Reason.EXCEEDS_NUMERIC_RANGE)
    return mark


def _check_marks(book: Book, marks: dict[str, Mark]) -> None:
    moved = {name: mark for name, mark in marks.items() if book.contracts[name].leaves_band(mark)}
    if not bounds_fit(book, moved):
        check_range(book, marks)
    check_inventory(book, marks)


def _fitting_marks(
    book: Book, command: m.SetMarks, marks: dict[str, Mark]
) -> tuple[dict[str, Mark], dict[str, Rejection]]:
    """Return the marks, in the command's order, that fit the numeric range together; the rest."""
    taken: dict[str, Mark] = {}
    too_large: dict[str, Rejection] = {}
    for name, mark in marks.items():
        try:
            _check_marks(book, {**taken, name: mark})
        except Rejection as rejection:
            price = command.marks[name]
            too_large[name] = Rejection(f"marks.{name}", price, rejection.reason)
        else:
            taken[name] = mark
    return taken, too_large


def _mark_rejected(name: str, rejection: Rejection) -> m.MarkRejected:
    return m.MarkRejected(
        contract=name, reason=rejection.reason, field=rejection.field, value=rejection.value
    )


def _mark_notice(name: str, rejection: Rejection) -> m.Notice:
    kind = m.NoticeKind.MARK_REJECTED
    return m.Notice(kind=kind, subject=rejection.reason, account="", contract=name, numbers={})


# --- many marks in columns ---


class _MarkColumns(NamedTuple):
    """Marks by contract: its row in the table of marks, whole ticks, and the fraction above."""

    names: tuple[str, ...]
    rows: Ints
    ticks: Ints
    fractions: Ints

    def chosen(self, book: Book, choice: Bools) -> dict[str, Mark]:
        """Return some of the marks by name."""
        return {
            name: book.contracts[name].terms.join_mark(ticks, fraction)
            for at in np.flatnonzero(choice).tolist()
            for name, ticks, fraction in [
                (self.names[at], self.ticks.item(at), self.fractions.item(at))
            ]
        }


def _set_in_columns(book: Book, prices: Mapping[str, m.Amount]) -> list[Event] | None:
    """Return the events of marks that can all be taken; None where one may be rejected."""
    try:
        marks = _read_columns(book, prices)
        if marks is None:
            return None
        moved = marks.chosen(book, book.marks.has_left_band(marks.rows, marks.ticks))
        if not bounds_fit(book, moved):
            return None
        if monitored := book.monitored():
            observed = np.array([state.definition_order for state in monitored])
            check_inventory(book, marks.chosen(book, np.isin(marks.rows, observed)))
    except Rejection:
        return None
    guarded = marks.chosen(book, book.marks.may_be_guarded(marks.rows, marks.ticks))
    fractions = tuple(marks.fractions.tolist()) if marks.fractions.any() else ()
    ticks = tuple(marks.ticks.tolist())
    taken = m.MarksSet(contracts=marks.names, mark_ticks=ticks, mark_fractions=fractions)
    return [taken, *check_moves(book, guarded)]


def _read_columns(book: Book, prices: Mapping[str, m.Amount]) -> _MarkColumns | None:
    """Return marks as columns; None where names or prices cannot be read as columns."""
    table, names = book.marks, tuple(prices)
    if not table.rows.keys() >= prices.keys():
        return None
    rows = table.rows_of(names)
    read = table.read(rows, prices.values())
    if read is None:
        return None
    ticks, fractions, is_read = read
    for at in np.flatnonzero(~is_read).tolist():
        mark = _read_mark(book, names[at], prices[names[at]])
        ticks[at], fractions[at] = book.contracts[names[at]].terms.split_mark(mark)
    return _MarkColumns(names, rows, ticks, fractions)


# --- guards ---


def check_moves(book: Book, marks: Mapping[str, Mark]) -> Iterator[Event]:
    """Yield which of the marks about to be set are unconfirmed, or confirm those before them."""
    for name, mark in marks.items():
        state = book.contracts[name]
        limits = state.mark_limits
        is_guarded = limits is not None or state.mark_unconfirmed  # limits may have been lifted
        if not is_guarded or not state.mark or state.is_settled:
            continue
        before = {state.mark, state.confirmed_mark}
        within = limits is None or any(limits.allows_move(known, mark) for known in before)
        if within and state.mark_unconfirmed:
            yield MarkConfirmed(contract=name, mark_ticks=floor_ticks(mark), note="")
        elif limits and not within and not state.mark_unconfirmed:
            yield _moved_too_far(state, limits, mark)


def _moved_too_far(state: ContractState, limits: ExactMarkLimits, mark: Mark) -> MarkUnconfirmed:
    move = move_of(state.mark, mark)
    numbers = {
        "move_ppm": ratio_ppm(move.numerator, move.denominator),
        "max_move_ppm": limits.max_move_ppm or 0,
    }
    return _unconfirmed(state, mark, Reason.MARK_MOVED_TOO_FAR, numbers)


def _unconfirmed(
    state: ContractState, mark: Mark, reason: Reason, numbers: dict[str, int]
) -> MarkUnconfirmed:
    ticks, fraction = state.terms.split_mark(state.mark)
    return MarkUnconfirmed(
        contract=state.name,
        reason=reason,
        mark_ticks=floor_ticks(mark),
        confirmed_ticks=ticks,
        confirmed_fraction=fraction,
        numbers=numbers,
    )


def check_ages(book: Book) -> Iterator[Event]:
    """Yield which marks have become older than their contracts allow."""
    aged = book.marks.aged(book.time_ms)
    if aged:
        states = list(book.contracts.values())
        for state in (states[row] for row in aged):
            max_age_ms = book.marks.max_ages_ms.item(state.definition_order)
            numbers = {"age_ms": book.time_ms - state.marked_ms, "max_age_ms": max_age_ms}
            yield _unconfirmed(state, state.mark, Reason.MARK_TOO_OLD, numbers)


def confirm_mark(book: Book, command: ConfirmMark) -> list[Event]:
    """Return the confirmation of a contract's mark by an operator."""
    state = book.contracts.get(command.contract)
    if state is None:
        raise Rejection("contract", command.contract, Reason.UNKNOWN_CONTRACT)
    reject_unless(
        state.mark_unconfirmed, "contract", command.contract, Reason.MARK_ALREADY_CONFIRMED
    )
    ticks = floor_ticks(state.mark)
    return [MarkConfirmed(contract=state.name, mark_ticks=ticks, note=command.note)]


def reject_unconfirmed(state: ContractState, field: str) -> None:
    """Reject a command that would act at a mark that is not confirmed."""
    reject_unless(not state.mark_unconfirmed, field, state.name, Reason.MARK_UNCONFIRMED)
