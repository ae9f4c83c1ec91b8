"""Plans of ADL: how long rounds wait for one, and what can be read from a plan without its rounds.

What a plan closes is checked where its rounds run (`execution.planned_round`).
"""

import re

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.market.contract_terms import ContractTerms
from delever.core.market.validation import Rejection, read_count, reject_unless
from delever.core.messages import Event, Reason

MAX_PLAN_WAIT_MS = 600_000
"""Longest wait for a plan: ADL that waits longer is ADL that is paused."""

DIGEST = re.compile("[0-9a-f]{64}")


def set_plan_wait(state: ContractState, command: m.SetPlanWait) -> m.PlanWaitSet:
    """Return the new wait of a contract's rounds."""
    wait_ms = command.wait_ms
    reject_unless(0 <= wait_ms <= MAX_PLAN_WAIT_MS, "wait_ms", wait_ms, Reason.OUT_OF_RANGE)
    return m.PlanWaitSet(contract=state.name, wait_ms=wait_ms, note=command.note)


def accept_plan(book: Book, command: m.AllocateAdl) -> list[Event]:
    """Return the acceptance of a plan whose fields are valid and whose rounds await it."""
    sequence = read_count("book_sequence", command.book_sequence)
    known = sequence <= book.sequence
    reject_unless(known, "book_sequence", sequence, Reason.OUT_OF_RANGE)
    is_digest = DIGEST.fullmatch(command.certificate) is not None
    reject_unless(is_digest, "certificate", command.certificate, Reason.INVALID_DIGEST)
    reject_unless(bool(command.rounds), "rounds", "", Reason.EMPTY_PLAN)
    for number, planned in enumerate(command.rounds):
        key = planned.contract, planned.side
        is_new = all(key != (other.contract, other.side) for other in command.rounds[:number])
        field = f"rounds[{number}].contract"
        reject_unless(is_new, field, planned.contract, Reason.DUPLICATE_ROW)
        state = book.contracts.get(planned.contract)
        if state is None:
            raise Rejection(field, planned.contract, Reason.UNKNOWN_CONTRACT)
        _check_request(state, planned, command, field)
        _check_fills(book, state.terms, planned, f"rounds[{number}]")
    contracts = dict.fromkeys(planned.contract for planned in command.rounds)
    return [
        m.PlanAccepted(
            book_sequence=sequence,
            certificate=command.certificate,
            contracts=tuple(contracts),
            note=command.note,
        )
    ]


def _check_request(
    state: ContractState, planned: m.PlannedRound, command: m.AllocateAdl, field: str
) -> None:
    """Reject a plan that its round does not await any more, or of a book before the request."""
    if planned.side not in state.plan_requests:
        raise Rejection(field, state.name, Reason.PLAN_NOT_AWAITED)
    requested, until_ms = state.plan_requests[planned.side]
    in_time = command.time_ms < until_ms
    reject_unless(in_time, "time_ms", command.time_ms, Reason.PLAN_TOO_LATE)
    is_fresh = command.book_sequence >= requested
    reject_unless(is_fresh, "book_sequence", command.book_sequence, Reason.PLAN_STALE)


def _check_fills(book: Book, terms: ContractTerms, planned: m.PlannedRound, path: str) -> None:
    terms.read_ticks(f"{path}.price_limit", planned.price_limit)
    reject_unless(bool(planned.fills), f"{path}.fills", "", Reason.EMPTY_PLAN)
    met: set[tuple[str, int]] = set()
    for number, fill in enumerate(planned.fills):
        field = f"{path}.fills[{number}]"
        known = fill.account in book.accounts.index
        reject_unless(known, f"{field}.account", fill.account, Reason.UNKNOWN_ACCOUNT)
        is_new = (fill.account, fill.position) not in met
        reject_unless(is_new, f"{field}.account", fill.account, Reason.DUPLICATE_ROW)
        met.add((fill.account, fill.position))
        lots = terms.read_lots(f"{field}.quantity", fill.quantity)
        reject_unless(lots > 0, f"{field}.quantity", fill.quantity, Reason.NOT_POSITIVE)
