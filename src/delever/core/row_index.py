"""Where the position of an account stands in its lane: a table with open addressing.

Eleven bytes a position or less, none of them Python objects; finding, entering and leaving cost
the same however large the lane is.
"""

from typing import Protocol

import numpy as np

from delever.core.kernels import kernels_for
from delever.core.kernels.plain import HASH_ACCOUNT, HASH_POSITION, WORD
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
        place, last = self._home(account, position), len(slots) - 1
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
        # Copies: compiled kernels take no view that cannot be written, as a default column is.
        keys = (np.array(key, np.int64) for key in (accounts, positions))
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

    def leave(self, row: int, last: int) -> None:
        """Take a row out, and let the last row be found in its place."""
        self._found = -1, -1, -1
        slots, end = self._slots, len(self._slots) - 1
        hole = self._place(row)
        place = (hole + 1) & end
        # What stands further on may have been pushed there by this row: it moves up.
        while (other := slots.item(place)) >= 0:
            if (place - self._home_of(other)) & end >= (place - hole) & end:
                slots[hole], hole = other, place
            place = (place + 1) & end
        slots[hole] = -1
        if row != last:
            slots[self._place(last)] = row

    def rebuild(self) -> None:
        """Enter all rows anew."""
        self._slots = np.full(FIRST_SLOTS, -1, np.int32)
        self.enter(0, self._rows.size)

    def _place(self, row: int) -> int:
        """Return the slot that holds a row."""
        place, end = self._home_of(row), len(self._slots) - 1
        while self._slots.item(place) != row:
            place = (place + 1) & end
        return place

    def _free(self, row: int) -> int:
        """Return the slot that a new row takes."""
        place, end = self._home_of(row), len(self._slots) - 1
        while self._slots.item(place) >= 0:
            place = (place + 1) & end
        return place

    def _home_of(self, row: int) -> int:
        return self._home(self._rows.account.item(row), self._rows.position.item(row))

    def _home(self, account: int, position: int) -> int:
        """Return where the search for a key begins, as the kernels do."""
        mixed = (account * HASH_ACCOUNT & WORD) ^ (position * HASH_POSITION & WORD)
        return mixed >> (65 - len(self._slots).bit_length())
