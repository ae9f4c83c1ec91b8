"""Where the position of an account stands in its table: a table with open addressing.

Eleven bytes a position or less, none of them Python objects; finding, entering and leaving cost
the same however large the table is.
"""

from typing import Protocol

import numpy as np

from delever.core.kernels import kernels_for
from delever.core.kernels.plain import home_of
from delever.core.units import Ints

FIRST_SLOTS = 32


class Rows(Protocol):
    """What the index is of: rows with an account and a position number each."""

    account: np.ndarray
    position: np.ndarray
    size: int


class RowIndex:
    """(account, position) -> row. Slots hold a row, or -1 where a search ends."""

    __slots__ = ("_found", "_rows", "_slots")

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._slots: Ints = np.full(FIRST_SLOTS, -1, np.int32)
        self._found = (-1, -1, -1)

    def find(self, account: int, position: int) -> int:
        """Return the row of a position, or -1."""
        of, at, row = self._found  # what was sought last: a step seeks it several times
        if of == account and at == position:
            return row
        slots, rows = self._slots, self._rows
        place, last = home_of(slots, account, position), len(slots) - 1
        while (row := slots.item(place)) >= 0:
            if rows.account.item(row) == account and rows.position.item(row) == position:
                break
            place = (place + 1) & last
        self._found = account, position, row
        return row

    def find_all(self, accounts: Ints, positions: Ints) -> Ints:
        """Return the row of each position, or -1."""
        kernels = kernels_for(len(accounts))
        columns = self._rows.account, self._rows.position
        # Compiled kernels take no view that cannot be written, as a default column is.
        keys = (np.require(key, np.int64, ["C", "W"]) for key in (accounts, positions))
        found: Ints = kernels.find_rows(self._slots, *columns, *keys)
        return found

    def enter(self, first: int, end: int) -> None:
        """Enter the rows first..end-1, which are new."""
        self._found = -1, -1, -1
        if 4 * end > 3 * len(self._slots):
            size = len(self._slots)
            while 4 * end > 3 * size:
                size *= 2
            self._slots = np.full(size, -1, np.int32)
            first = 0
        if end - first == 1:
            self._slots[self._free(first)] = first
            return
        columns = self._rows.account, self._rows.position
        kernels_for(end - first).place_rows(self._slots, *columns, first, end)

    def leave(self, accounts: Ints, positions: Ints) -> Ints:
        """Take positions out in turn; the row that is last then moves into the gap of each.

        Return the gaps: the rows in which they stood when their turn had come.
        """
        self._found = -1, -1, -1
        rows = self._rows
        gaps: Ints = kernels_for(len(accounts)).leave_rows(
            self._slots, rows.account, rows.position, accounts, positions, rows.size
        )
        return gaps

    def rebuild(self) -> None:
        """Enter all rows anew."""
        self._slots = np.full(FIRST_SLOTS, -1, np.int32)
        self.enter(0, self._rows.size)

    def _free(self, row: int) -> int:
        """Return the slot that a new row takes."""
        key = self._rows.account.item(row), self._rows.position.item(row)
        place, end = home_of(self._slots, *key), len(self._slots) - 1
        while self._slots.item(place) >= 0:
            place = (place + 1) & end
        return place
