"""(account, position id) -> row of a position table: an open-addressing hash table.

It needs at most eleven bytes a position and creates no Python object for it; lookup, insertion and
removal take the same time at any size.
"""

from typing import Protocol

import numpy as np

from delever.core.kernels import kernels_for
from delever.core.kernels.plain import home_slot
from delever.core.units import Ints

FIRST_SLOTS = 32


class KeyColumns(Protocol):
    """The indexed table: its key columns, account and position id, and its number of rows."""

    account: np.ndarray
    position: np.ndarray
    size: int

    @property
    def book_rows(self) -> int:
        """The number of rows of all tables of the book."""


class RowIndex:
    """(account, position id) -> row of the table that is given to every call.

    A slot contains a row, or -1 where a search ends.
    """

    __slots__ = ("_last_lookup", "_slots")

    def __init__(self) -> None:
        self._slots: Ints = np.full(FIRST_SLOTS, -1, np.int32)
        self._last_lookup = (-1, -1, -1)

    def find(self, table: KeyColumns, account: int, position: int) -> int:
        """Return the row of a position, or -1 where there is none."""
        last_account, last_position, row = self._last_lookup  # a step repeats the same lookup
        if last_account == account and last_position == position:
            return row
        slots = self._slots
        slot, last = home_slot(slots, account, position), len(slots) - 1
        while (row := slots.item(slot)) >= 0:
            if table.account.item(row) == account and table.position.item(row) == position:
                break
            slot = (slot + 1) & last
        self._last_lookup = account, position, row
        return row

    def find_all(self, table: KeyColumns, accounts: Ints, positions: Ints) -> Ints:
        """Return the row of each position, or -1 where there is none."""
        kernels = kernels_for(table.book_rows)
        columns = table.account, table.position
        # The compiled kernels accept no read-only view, as a broadcast default column is.
        keys = (np.require(key, np.int64, ["C", "W"]) for key in (accounts, positions))
        found: Ints = kernels.find_rows(self._slots, *columns, *keys)
        return found

    def insert(self, table: KeyColumns, first: int, end: int) -> None:
        """Insert the new rows first..end-1."""
        self._last_lookup = -1, -1, -1
        if 4 * end > 3 * len(self._slots):
            size = len(self._slots)
            while 4 * end > 3 * size:
                size *= 2
            self._slots = np.full(size, -1, np.int32)
            first = 0
        if end - first == 1:
            self._slots[self._free_slot(table, first)] = first
            return
        columns = table.account, table.position
        kernels = kernels_for(table.book_rows)
        kernels.insert_rows(self._slots, *columns, first, end)

    def remove(self, table: KeyColumns, accounts: Ints, positions: Ints) -> Ints:
        """Remove positions one after the other; the table's last row then moves into each gap.

        Return the row of each gap, as of the removal that made it.
        """
        self._last_lookup = -1, -1, -1
        columns = table.account, table.position
        kernels = kernels_for(table.book_rows)
        gaps: Ints = kernels.remove_rows(self._slots, *columns, accounts, positions, table.size)
        return gaps

    def rebuild(self, table: KeyColumns) -> None:
        """Build the index of all rows from scratch."""
        self._slots = np.full(FIRST_SLOTS, -1, np.int32)
        self.insert(table, 0, table.size)

    def _free_slot(self, table: KeyColumns, row: int) -> int:
        """Return the slot for a new row."""
        key = table.account.item(row), table.position.item(row)
        slot, last = home_slot(self._slots, *key), len(self._slots) - 1
        while self._slots.item(slot) >= 0:
            slot = (slot + 1) & last
        return slot
