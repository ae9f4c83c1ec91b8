"""Guards: a mark beyond its contract's limits is taken, but nothing is done at it until confirmed.

While a mark is unconfirmed the engine takes nothing over in the contract, nets and unwinds nothing,
and neither starts, stops nor runs ADL; the pool's inventory is valued at the last confirmed mark.
A later mark confirms it that is within the limits: a move from the mark before it, or back to the
last confirmed one. So does an operator.
"""

from collections.abc import Iterator, Mapping

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.market.mark_limits import ExactMarkLimits, move_of
from delever.core.market.validation import Rejection, reject_unless
from delever.core.messages import ConfirmMark, Event, MarkConfirmed, MarkUnconfirmed, Reason
from delever.core.units import Mark, floor_ticks, ratio_ppm


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
    for state in book.with_mark_limits:
        limits, age_ms = state.mark_limits, book.time_ms - state.marked_ms
        if limits is None or not state.mark or state.mark_unconfirmed or limits.allows_age(age_ms):
            continue
        numbers = {"age_ms": age_ms, "max_age_ms": limits.max_age_ms or 0}
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
