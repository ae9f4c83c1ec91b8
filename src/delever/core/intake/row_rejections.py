"""Rows of a snapshot that cannot be taken: each is rejected alone, with a notice."""

from collections.abc import Callable, Sequence

import numpy as np

from delever.core import messages as m
from delever.core.book import Book
from delever.core.market.validation import Rejection, reject_first
from delever.core.messages import Event, Reason
from delever.core.units import Bools, Floats, Ints
from delever.core.valuation.bankruptcy import cross_positions
from delever.core.valuation.stale_rows import is_incomplete


def fewest_too_large(sizes: Floats, check: Callable[[Bools], None]) -> list[int]:
    """Return the fewest rows, the largest first, without which the others fit the numeric range.

    `check` raises the rejection of a mask of rows that do not fit together.
    """
    order = np.argsort(-sizes, kind="stable")

    def fits_without(count: int) -> bool:
        taken = np.ones(len(sizes), bool)
        taken[order[:count]] = False
        try:
            check(taken)
        except Rejection:
            return False
        return True

    low, high = 1, len(order)
    while low < high:
        middle = (low + high) >> 1
        low, high = (low, middle) if fits_without(middle) else (middle + 1, high)
    return sorted(order[:low].tolist())


def with_notices(book: Book, rejected: Sequence[m.RowRejected | m.RowsRejected]) -> list[Event]:
    """Return the rejections, and a notice for each contract that they make incomplete.

    A balance makes those contracts incomplete in which its account has cross positions. Notices are
    in the order of the contracts' first rows, with the reason of that row, whether rows or columns
    were submitted.
    """
    reasons: dict[str, list[tuple[int, Reason]]] = {}
    for event in rejected:
        rows = _row_numbers(event)
        for name in sorted(_contracts_of(book, event)):
            reasons.setdefault(name, []).extend((row, event.reason) for row in rows)
    by_first_row = sorted((*min(found), name, len(found)) for name, found in reasons.items())
    notices = [
        m.Notice(m.NoticeKind.ROW_REJECTED, reason, "", name, {"rows": count})
        for _, reason, name, count in by_first_row
        if not is_incomplete(book, book.contracts[name])
    ]
    return [*rejected, *notices]


def _row_numbers(event: m.RowRejected | m.RowsRejected) -> list[int]:
    if isinstance(event, m.RowRejected):
        return [event.row]
    return memoryview(event.rows).cast("i").tolist()


def _contracts_of(book: Book, event: m.RowRejected | m.RowsRejected) -> set[str]:
    if event.contract:
        return {event.contract} & book.contracts.keys()
    names = (event.account,) if isinstance(event, m.RowRejected) else event.accounts
    accounts = [book.accounts.index[name] for name in names if name in book.accounts.index]
    if event.asset not in book.assets:
        return set()
    held = (cross_positions(book, account, event.asset) for account in accounts)
    return {position.state.name for positions in held for position in positions}


class RowChecks:
    """The rows of a command in columns that fail a check, each under the first that it fails.

    `failures` are (rows, field, the field's values in them, reason). Under `strict` a failure
    rejects the command instead.
    """

    def __init__(self, size: int, *, strict: bool) -> None:
        self.strict = strict
        self.failed: Bools = np.zeros(size, bool)
        self.failures: list[tuple[Ints, str, Ints, Reason]] = []

    def check(self, fails: Bools, field: str, column: Ints, reason: Reason) -> None:
        """Record the rows that fail; they are rejected with the column's value."""
        if self.strict:
            reject_first(fails, field, column, reason)
        if fails.any():
            self.add(np.flatnonzero(fails & ~self.failed), field, column, reason)

    def add(self, rows: Ints, field: str, column: Ints, reason: Reason) -> None:
        """Record rows that fail, none of which has failed before."""
        if len(rows):
            self.failures.append((rows, field, column[rows], reason))
            self.failed[rows] = True
