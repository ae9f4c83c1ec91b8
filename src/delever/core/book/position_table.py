"""All positions of a book in one block of columns, and those of one side of a contract.

Each side of a contract is a range of rows, which grows by moving. Closing a position moves the last
row of its range into its place, so the rows of a side are always contiguous and unordered.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter
from typing import Any, NamedTuple
from weakref import WeakSet

import numpy as np

from delever.core.book.account_tables import FIRST_CAPACITY, Table, bytes_of, digest_of
from delever.core.kernels import NO_TIER, kernels_for
from delever.core.kernels.plain import home_slot
from delever.core.market.validation import unpack_column
from delever.core.messages import PositionColumnsSet
from delever.core.units import Bools, Ints, div_ceil, div_floor, exact_sum

FIRST_SLOTS = 32

SCALAR_LOOKUP_MAX = 16
"""Fewer positions than this are looked up one by one, which is then faster than in a batch."""


@dataclass(frozen=True, slots=True)
class PositionColumns:
    """Submitted positions of one table: columns of equal length, typed like its own."""

    lots: Ints
    cost: Ints
    isolated: Bools
    margin: Ints
    leverage: Ints
    under_liquidation: Bools

    @classmethod
    def of_event(cls, event: PositionColumnsSet) -> "PositionColumns":
        """Return the columns of an event, with defaults for those that it leaves out."""
        lots = unpack_column(event.lots, "<i8", 0)
        n = len(lots)
        return cls(
            lots,
            unpack_column(event.cost_cash, "<i8", n),
            unpack_column(event.isolated, "<i1", n).astype(bool),
            unpack_column(event.margin_cash, "<i8", n),
            unpack_column(event.leverage_hundredths, "<i4", n, 100),
            unpack_column(event.under_liquidation, "<i1", n).astype(bool),
        )


LotValue = tuple[int, int, int]
"""A lot's value in Cash as a mixed fraction: (whole, rest, divisor)."""


class PositionBounds(NamedTuple):
    """Upper bounds on any position of a table, and how many position ids are in use."""

    lots: int
    cost: int
    position_ids: int


class KernelColumns(NamedTuple):
    """The columns that kernels read; `place` is a row's index in the order of publication."""

    account: np.ndarray
    position: np.ndarray
    isolated: Bools
    under_liquidation: Bools
    lots: Ints
    cost: Ints
    margin: Ints
    unrealized_pnl: Ints
    maintenance: Ints
    place: np.ndarray


POSITION_COLUMNS: dict[str, type[np.generic]] = {
    "account": np.int32,
    "position": np.int32,
    "lots": np.int64,
    "cost": np.int64,
    "margin": np.int64,
    "unrealized_pnl": np.int64,
    "maintenance": np.int64,
    "leverage": np.int32,
    "isolated": np.bool_,
    "under_liquidation": np.bool_,
    "place": np.int32,
}
"""The columns of a position, and their types."""

TRANSIENT = frozenset({"place"})
"""Columns that snapshots leave out."""


TABLE_COLUMNS = ("starts", "capacities", "sizes", "changed_at", "versions", "factors", "tiers_of")
"""The numbers of a table in a block."""

COLUMN_GAP = 5 * 64
"""Bytes between columns: the same row of two columns must not map to the same lines of a cache."""


class PositionBlock:
    """All positions of a book: parallel columns in one block of memory, a range of rows a table.

    Tables are numbered, two for each contract. Arrays have an entry a table: `starts` and
    `capacities` are the first row and the number of rows of its range, `sizes` the rows in use,
    `changed_at` the sequence of the last change of any row, `versions` that of its layout, which
    changes when a position is opened or closed, `factors` a lot's value in Cash at a mark of one
    tick, signed (linear contracts), `tiers_of` the index of its tiers in `tiers`. A range that is
    full moves into a gap or to the `end`. The block grows to twice its rows, and closes gaps before
    they take a third of it; tables view their ranges again.
    """

    def __init__(self) -> None:
        self.tables = 0
        self.per_table = np.zeros((len(TABLE_COLUMNS), FIRST_CAPACITY), np.int64)
        self.end = 0
        self._gaps: list[tuple[int, int]] = []
        self._viewers: WeakSet[PositionTable] = WeakSet()
        self._known_tiers: dict[bytes, int] = {}
        self._tiers: Ints | None = None
        self._view_tables()
        self._allocate(0)

    @property
    def nbytes(self) -> int:
        """The bytes of all columns, with rows in reserve."""
        return sum(column.nbytes for column in self.columns.values())

    # --- ranges ---

    def add(self) -> int:
        """Return the number of a new table, whose range has room for a few rows."""
        number, self.tables = self.tables, self.tables + 1
        if self.tables > self.per_table.shape[1]:
            self.per_table = np.hstack([self.per_table, np.zeros_like(self.per_table)])
        self._view_tables()
        self.starts[number] = self._take(FIRST_CAPACITY, number)
        self.capacities[number] = FIRST_CAPACITY
        return number

    def _view_tables(self) -> None:
        """View the columns of tables in use by name."""
        columns = self.per_table[:, : self.tables]
        self.starts, self.capacities, self.sizes, self.changed_at, self.versions = columns[:5]
        self.factors, self.tiers_of = columns[5:]

    # --- terms and marks ---

    def set_terms(self, number: int, factor: int, tier_bytes: bytes) -> None:
        """Set a table's factor, and its tiers as the int64 bytes of three rows."""
        known = self._known_tiers
        if tier_bytes not in known:
            known[tier_bytes] = len(known)
            self._tiers = None
        self.factors[number], self.tiers_of[number] = factor, known[tier_bytes]

    @property
    def tiers(self) -> Ints:
        """The tiers of all tables, as `revalue_sides` takes them."""
        if self._tiers is None:
            parts = [np.frombuffer(part, np.int64).reshape(3, -1) for part in self._known_tiers]
            longest = max(len(rows[0]) for rows in parts)
            self._tiers = np.full((len(parts), 3, longest), NO_TIER)
            for rows, part in zip(self._tiers, parts, strict=True):
                rows[:, : len(part[0])] = part
        return self._tiers

    def sides_of(self, valued: Iterable[tuple[int, LotValue]], sequence: int) -> Ints:
        """Return tables, each with a lot's value, as `revalue_sides` takes them; stamp them."""
        sides = []
        for table, value in valued:
            self.changed_at[table] = sequence
            if size := self.sizes.item(table):
                sides.append((self.starts.item(table), size, *value, self.tiers_of.item(table)))
        return np.array(sides, np.int64).reshape(-1, 6)

    def sides_at(self, contracts: Ints, lot_values: Ints, sequence: int) -> Ints:
        """Return the sides of contracts as `sides_of` does, with a lot's value for each side."""
        tables = np.stack([2 * contracts, 2 * contracts + 1], axis=1).ravel()
        self.changed_at[tables] = sequence
        sides = np.empty((len(tables), 6), np.int64)
        sides[:, 0], sides[:, 1] = self.starts[tables], self.sizes[tables]
        sides[:, 2:5], sides[:, 5] = lot_values.reshape(-1, 3), self.tiers_of[tables]
        filled: Ints = sides[sides[:, 1] > 0]
        return filled

    def ranges_of(self, tables: Ints) -> Ints:
        """Return (start, size) of tables as rows of a matrix."""
        ranges = np.empty((len(tables), 2), np.int64)
        ranges[:, 0], ranges[:, 1] = self.starts[tables], self.sizes[tables]
        return ranges

    def grow(self, number: int, size: int, used: int) -> None:
        """Give a table room for `size` rows, and for a quarter more at least; move those in use."""
        old, before = self.capacities.item(number), self.starts.item(number)
        capacity = max(size, old + (old >> 2))
        if before + old == self.end <= self.capacity - (capacity - old):
            self.end += capacity - old
        else:
            start = self._take(capacity, number)
            before, self.starts[number] = self.starts.item(number), start
            for column in self.columns.values():
                column[start : start + used] = column[before : before + used]
            insort(self._gaps, (old, before))
        self.capacities[number] = capacity

    def _take(self, rows: int, number: int) -> int:
        """Return the first of some rows that no range has: in the smallest gap, or at the end.

        The rows are for the table of this number.
        """
        fits = bisect_left(self._gaps, (rows, 0))
        if fits < len(self._gaps):
            size, start = self._gaps.pop(fits)
            if size > rows:
                insort(self._gaps, (size - rows, start + rows))
            return start
        if self.end + rows > self.capacity or self.gap_rows > self._used_rows >> 1:
            self._rebuild(rows, number)
        self.end += rows
        return self.end - rows

    @property
    def gap_rows(self) -> int:
        """The number of rows before the end that no range has."""
        return sum([rows for rows, _ in self._gaps])

    @property
    def _used_rows(self) -> int:
        """The number of rows of all ranges."""
        return int(self.capacities.sum())

    def _rebuild(self, rows: int, number: int) -> None:
        """Make room for some rows of a table at the end, in new memory; close gaps that are large.

        Closing gaps sorts all other tables by account: their rows are then read in order.
        """
        before, moves, used = self.columns, [(0, 0, self.end)], self._used_rows
        closes_gaps = self.gap_rows > used >> 2
        if closes_gaps:
            capacities = self.capacities.tolist()
            *targets, self.end = accumulate(capacities, initial=0)
            moves = list(zip(self.starts.tolist(), targets, capacities, strict=True))
            self.starts[:] = targets
            self._gaps.clear()
        self._allocate(self.end + max(rows, self.end))
        for source, target, size in moves:
            for name, column in self.columns.items():
                column[target : target + size] = before[name][source : source + size]
        if closes_gaps:
            for table in self._viewers:
                if table.number != number:
                    table.sort()

    # --- snapshots ---

    def packed(self, tables: Sequence["PositionTable"]) -> dict[str, memoryview]:
        """Return the bytes of the stored columns, of the rows of tables one after the other.

        The rows of a table are ordered by account and position id. A column of zeros has no bytes.
        """
        rows = np.concatenate([np.empty(0, np.int64), *(table.ordered_rows() for table in tables)])
        names = POSITION_COLUMNS.keys() - TRANSIENT
        return {name: bytes_of(self.columns[name][rows]) for name in sorted(names)}

    def load(self, sizes: Sequence[int], columns: Mapping[str, bytes | memoryview]) -> None:
        """Restore the rows of all tables, of these sizes, from packed columns."""
        self.capacities[:] = [max(size, FIRST_CAPACITY) for size in sizes]
        *starts, self.end = accumulate(self.capacities.tolist(), initial=0)
        self.starts[:] = starts
        self._gaps.clear()
        self._allocate(self.end)
        of_tables = list(zip(accumulate(sizes, initial=0), starts, sizes, strict=False))
        for name, column in columns.items():
            if len(column):
                packed, target = np.frombuffer(column, POSITION_COLUMNS[name]), self.columns[name]
                for source, start, size in of_tables:
                    target[start : start + size] = packed[source : source + size]

    # --- views ---

    def _allocate(self, capacity: int) -> None:
        """Divide new memory into empty columns, aligned to cache lines."""
        self.capacity = capacity
        sizes = {
            name: capacity * np.dtype(kind).itemsize for name, kind in POSITION_COLUMNS.items()
        }
        padded = ((size + 63 & ~63) + COLUMN_GAP for size in sizes.values())
        *starts, end = accumulate(padded, initial=0)
        memory = np.zeros(end, np.uint8)
        self.columns = {
            name: memory[start : start + sizes[name]].view(kind)
            for start, (name, kind) in zip(starts, POSITION_COLUMNS.items(), strict=True)
        }
        self._view()

    def _view(self) -> None:
        self.kernel_columns = KernelColumns(*map(self.columns.__getitem__, KernelColumns._fields))
        for table in self._viewers:
            table.view()

    def add_viewer(self, table: "PositionTable") -> None:
        """Let a table view its range now, and again whenever the block has moved."""
        self._viewers.add(table)
        table.view()

    def columns_of(self, number: int) -> dict[str, np.ndarray]:
        """Return the columns of a range."""
        start = self.starts.item(number)
        rows = slice(start, start + self.capacities.item(number))
        return {name: column[rows] for name, column in self.columns.items()}

    def __getstate__(self) -> dict[str, object]:
        """Return what a copy takes: ranges and columns, without rows in reserve and views."""
        columns = {name: column[: self.end] for name, column in self.columns.items()}
        copied = vars(self) | {"columns": columns, "capacity": self.end}
        return {name: copied[name] for name in copied.keys() - self._VIEWS}

    _VIEWS = frozenset({"kernel_columns", "_viewers", *TABLE_COLUMNS})

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._viewers = WeakSet()
        self._view_tables()
        self._view()


class RowIndex:
    """(account, position id) -> row of the table that is given to every call: a hash table.

    A slot contains a row, or -1 where a search ends: open addressing. That needs at most eleven
    bytes a position and creates no Python object for it; lookup, insertion and removal take the
    same time at any size.
    """

    __slots__ = ("_last_lookup", "slots")

    def __init__(self, slots: Ints | None = None) -> None:
        self.slots: Ints = np.full(FIRST_SLOTS, -1, np.int32) if slots is None else slots
        self._last_lookup = (-1, -1, -1)

    def find(self, table: "PositionTable", account: int, position: int) -> int:
        """Return the row of a position, or -1 where there is none."""
        last_account, last_position, row = self._last_lookup  # a step repeats the same lookup
        if last_account == account and last_position == position:
            return row
        slots = self.slots
        slot, last = home_slot(slots, account, position), len(slots) - 1
        while (row := slots.item(slot)) >= 0:
            if table.account.item(row) == account and table.position.item(row) == position:
                break
            slot = (slot + 1) & last
        self._last_lookup = account, position, row
        return row

    def find_all(self, table: "PositionTable", accounts: Ints, positions: Ints) -> Ints:
        """Return the row of each position, or -1 where there is none."""
        kernels = kernels_for(table.book_rows)
        columns = table.account, table.position
        # The compiled kernels accept no read-only view, as a broadcast default column is.
        keys = (np.require(key, np.int64, ["C", "W"]) for key in (accounts, positions))
        found: Ints = kernels.find_rows(self.slots, *columns, *keys)
        return found

    def insert(self, table: "PositionTable", first: int, end: int) -> None:
        """Insert the new rows first..end-1."""
        self._last_lookup = -1, -1, -1
        if 4 * end > 3 * len(self.slots):
            size = len(self.slots)
            while 4 * end > 3 * size:
                size *= 2
            self.slots = np.full(size, -1, np.int32)
            first = 0
        if end - first == 1:
            self.slots[self._free_slot(table, first)] = first
            return
        columns = table.account, table.position
        kernels = kernels_for(table.book_rows)
        kernels.insert_rows(self.slots, *columns, first, end)

    def remove(self, table: "PositionTable", accounts: Ints, positions: Ints) -> Ints:
        """Remove positions one after the other; the table's last row then moves into each gap.

        Return the row of each gap, as of the removal that made it.
        """
        self._last_lookup = -1, -1, -1
        columns = table.account, table.position
        kernels = kernels_for(table.book_rows)
        gaps: Ints = kernels.remove_rows(self.slots, *columns, accounts, positions, table.size)
        return gaps

    def rebuild(self, table: "PositionTable") -> None:
        """Build the index of all rows from scratch."""
        self.slots = np.full(FIRST_SLOTS, -1, np.int32)
        self.insert(table, 0, table.size)

    def _free_slot(self, table: "PositionTable", row: int) -> int:
        """Return the slot for a new row."""
        key = table.account.item(row), table.position.item(row)
        slot, last = home_slot(self.slots, *key), len(self.slots) - 1
        while self.slots.item(slot) >= 0:
            slot = (slot + 1) & last
        return slot


class PositionTable(Table):
    """All positions of one side of a contract: a range of rows of the book's block.

    `lots` are unsigned; `cost`, signed like values, `margin`, `unrealized_pnl` and `maintenance`
    are Cash, the last two at the contract's current mark. `max_lots` and `max_cost` bound every
    position since the last `reset_bounds`.

    The columns are views of the block from the row `start` on; nothing outside this class may hold
    one while positions are opened.
    """

    COLUMNS = POSITION_COLUMNS
    TRANSIENT = TRANSIENT
    start: int
    account: np.ndarray
    position: np.ndarray
    lots: Ints
    cost: Ints
    margin: Ints
    unrealized_pnl: Ints
    maintenance: Ints
    leverage: np.ndarray
    isolated: np.ndarray
    under_liquidation: np.ndarray
    place: np.ndarray

    HASHED = ("account", "position", "lots", "cost", "margin", "leverage", "isolated")
    """Columns in the hash of changes; unrealized PnL and maintenance follow from them and marks."""

    def __init__(self, block: PositionBlock | None = None) -> None:
        self.block = block or PositionBlock()
        self.number = self.block.add()
        self.block.add_viewer(self)
        super().__init__()
        self.index = RowIndex()
        self.total_lots = 0
        self.total_cost = 0
        self.total_margin = 0
        self.max_lots = 0
        self.max_cost = 0
        self.position_ids: set[int] = set()
        self.changed: set[tuple[int, int]] = set()
        self.changed_batches: list[tuple[Ints, Ints]] = []

    # --- the table's numbers in the block ---

    @property
    def size(self) -> int:
        """The number of open positions."""
        return self._size

    @size.setter
    def size(self, size: int) -> None:
        self._size = self.block.sizes[self.number] = size

    @property
    def changed_at(self) -> int:
        """The sequence of the last change of any row."""
        return int(self.block.changed_at[self.number])

    @changed_at.setter
    def changed_at(self, sequence: int) -> None:
        self.block.changed_at[self.number] = sequence

    @property
    def layout_version(self) -> int:
        """A number that changes when a position is opened or closed."""
        return int(self.block.versions[self.number])

    @layout_version.setter
    def layout_version(self, version: int) -> None:
        self.block.versions[self.number] = version

    # --- views of the block ---

    def view(self) -> None:
        """View the range in the block, after it has moved or was copied."""
        vars(self).update(self.block.columns_of(self.number))
        self.start = self.block.starts.item(self.number)

    def _reserve(self, size: int) -> None:
        if size > self.block.capacities.item(self.number):
            self.block.grow(self.number, size, self.size)
            self.view()

    @property
    def book_rows(self) -> int:
        """The number of rows of all tables of the book, with rows in reserve."""
        return self.block.end

    # --- lookup ---

    def find(self, account: int, position: int) -> int | None:
        """Return the row of a position, or None where there is none."""
        row = self.index.find(self, account, position)
        return None if row < 0 else row

    def find_all(self, accounts: Ints, positions: Ints) -> Ints:
        """Return the row of each position, or -1 where there is none."""
        return self.index.find_all(self, accounts, positions)

    def row_of(self, account: int, position: int) -> int:
        """Return the row of an open position; raises KeyError where there is none."""
        row = self.index.find(self, account, position)
        if row < 0:
            raise KeyError((account, position))
        return row

    def positions_of(self, account: int) -> list[int]:
        """Return the ids of an account's open positions in this table, ascending."""
        return [p for p in sorted(self.position_ids) if self.index.find(self, account, p) >= 0]

    def keys(self) -> list[tuple[int, int]]:
        """Return (account, position id) of every row."""
        columns = self.account[: self.size].tolist(), self.position[: self.size].tolist()
        return list(zip(*columns, strict=True))

    def amounts_at(self, row: int) -> tuple[int, int, int]:
        """Return a row's lots, cost and margin."""
        return self.lots.item(row), self.cost.item(row), self.margin.item(row)

    def flags_at(self, row: int) -> tuple[bool, int, bool]:
        """Return whether a row is isolated, its leverage, and whether it is under liquidation."""
        return (self.isolated.item(row), self.leverage.item(row), self.under_liquidation.item(row))

    def row_values(self, row: int) -> tuple[int, ...]:
        """Return a row's hashed columns as integers."""
        return (
            self.account.item(row),
            self.position.item(row),
            *self.amounts_at(row),
            self.leverage.item(row),
            int(self.isolated.item(row)),
        )

    def arrange(self) -> Ints:
        """Return the rows in the order of publication, by account and position id.

        The column `place` gets each row's index in it, until a position is opened or closed.
        """
        order: Ints = np.lexsort((self.position[: self.size], self.account[: self.size]))
        self.place[order] = np.arange(self.size)
        return order

    # --- bounds ---

    @property
    def bounds(self) -> PositionBounds:
        """Bounds on every position since the last reset."""
        return PositionBounds(self.max_lots, self.max_cost, len(self.position_ids))

    def current_bounds(self) -> PositionBounds:
        """Compute the bounds on the open positions."""
        lots, cost = self.lots[: self.size], abs(self.cost[: self.size])
        ids = len(self._current_position_ids())
        return PositionBounds(int(lots.max(initial=0)), int(cost.max(initial=0)), ids)

    def reset_bounds(self) -> None:
        """Set the bounds to those of the open positions."""
        self.max_lots, self.max_cost, _ = self.current_bounds()
        self.position_ids = self._current_position_ids()

    def is_exceeded_by(self, bounds: PositionBounds) -> bool:
        """Return whether any of the given bounds is beyond this table's."""
        lots, cost, position_ids = bounds
        return lots > self.max_lots or cost > self.max_cost or position_ids > len(self.position_ids)

    def _current_position_ids(self) -> set[int]:
        return set(np.unique(self.position[: self.size]).tolist())

    # --- opening and changing rows ---

    def upsert(self, account: int, position: int) -> int:
        """Return the row of a position; a new one is opened empty."""
        self.changed.add((account, position))
        row = self.index.find(self, account, position)
        if row < 0:
            row = self.size
            self._open(row + 1)
            self.position_ids.add(position)
            self.account[row], self.position[row] = account, position
            self.index.insert(self, row, row + 1)
        return row

    def upsert_all(self, accounts: Ints, positions: Ints) -> Ints:
        """Return the rows of positions, each named once; new ones are opened empty."""
        self.changed_batches.append((accounts, positions))
        rows, first = self.index.find_all(self, accounts, positions), self.size
        new = rows < 0
        opened = int(np.count_nonzero(new))
        if opened:
            self._open(first + opened)
            rows[new] = np.arange(first, self.size)
            self.account[first : self.size] = accounts[new]
            self.position[first : self.size] = positions[new]
            self.index.insert(self, first, self.size)
            self.position_ids.update(np.unique(positions).tolist() if positions.any() else (0,))
        return rows

    def _open(self, size: int) -> None:
        """Add empty rows up to this size."""
        self._reserve(size)
        for name in self.COLUMNS:
            getattr(self, name)[self.size : size] = 0
        self.size = size
        self.layout_version += 1

    def set_row(self, row: int, lots: int, cost: int, margin: int) -> None:
        """Set the lots, cost and margin of a row that `upsert` returned."""
        self.total_lots += lots - self.lots.item(row)
        self.total_cost += cost - self.cost.item(row)
        self.total_margin += margin - self.margin.item(row)
        self.lots[row], self.cost[row], self.margin[row] = lots, cost, margin
        self.max_lots = max(self.max_lots, lots)
        self.max_cost = max(self.max_cost, abs(cost))

    def set_rows(self, rows: Ints, columns: PositionColumns) -> None:
        """Set all columns of rows that `upsert_all` returned."""
        self.total_lots += int(columns.lots.sum()) - int(self.lots[rows].sum())
        self.max_lots = max(self.max_lots, int(columns.lots.max(initial=0)))
        self.max_cost = max(self.max_cost, int(abs(columns.cost).max(initial=0)))
        before, bound = self.cost[rows], self.max_cost
        self.total_cost += exact_sum(columns.cost, bound) - exact_sum(before, bound)
        if columns.margin.any() or self.total_margin:
            self.total_margin += exact_sum(columns.margin) - exact_sum(self.margin[rows])
        self.lots[rows] = columns.lots
        self.cost[rows] = columns.cost
        self.margin[rows] = columns.margin
        self.leverage[rows] = columns.leverage
        self.isolated[rows] = columns.isolated
        self.under_liquidation[rows] = columns.under_liquidation

    def subtract(self, rows: Ints, lots: Ints, cost: Ints, margin: Ints) -> None:
        """Subtract amounts from rows; a row may occur several times, none grows by it."""
        np.subtract.at(self.lots, rows, lots)
        np.subtract.at(self.cost, rows, cost)
        np.subtract.at(self.margin, rows, margin)
        self.total_lots -= exact_sum(lots)
        self.total_cost -= exact_sum(cost)
        self.total_margin -= exact_sum(margin)
        self._record_changes(rows)

    def rescale(self, numerator: int, denominator: int) -> None:
        """Express all lots in a new lot: each times numerator / denominator, which is whole."""
        rows = np.arange(self.size)
        # Divided first, so that no product leaves int64.
        self.lots[rows] = div_floor(self.lots[rows], denominator) * numerator
        self.total_lots = div_floor(self.total_lots * numerator, denominator)
        self.max_lots = div_ceil(self.max_lots * numerator, denominator)
        if len(rows):
            self.changed_batches.append((self.account[rows], self.position[rows]))

    # --- closing rows ---

    def remove(self, row: int) -> None:
        """Close an empty row; the last row moves into its place."""
        last, only = self.size - 1, slice(row, row + 1)
        self.changed.add((self.account.item(row), self.position.item(row)))
        self.index.remove(self, self.account[only], self.position[only])
        for name in self.COLUMNS:
            column = getattr(self, name)
            column[row] = column[last]
        self.size = last
        self.layout_version += 1

    def remove_each(self, rows: Ints) -> None:
        """Close empty rows, already recorded as changed, one after the other as `remove` does."""
        gaps = self.index.remove(self, self.account[rows], self.position[rows])
        filled: dict[int, int] = {}
        for turn, gap in enumerate(gaps.tolist(), 1):
            last = self.size - turn
            filled[gap] = filled.pop(last, last)
        self.size -= len(rows)
        self.layout_version += 1
        remaining = np.array([gap for gap in filled if gap < self.size], np.int64)
        moved = np.array([filled[gap] for gap in remaining.tolist()], np.int64)
        for name in self.COLUMNS:
            column = getattr(self, name)
            column[remaining] = column[moved]

    def remove_all(self, rows: Ints) -> None:
        """Close the empty rows of a batch, one after the other."""
        if 16 * len(rows) < self.size:  # only then does the hash of changes list closed rows
            self._record_changes(rows)
        self.remove_each(rows)

    # --- changes and snapshots ---

    def _record_changes(self, rows: Ints) -> None:
        columns = self.account[rows].tolist(), self.position[rows].tolist()
        self.changed.update(zip(*columns, strict=True))

    def take_changes(self) -> list[tuple[object, ...]]:
        """Return the positions that changed since the last call, as they are now.

        An open position is its hashed columns, a closed one its key, a batch a digest.
        """
        keys = sorted(self.changed)
        if len(keys) < SCALAR_LOOKUP_MAX:
            found = [self.index.find(self, *key) for key in keys]
        else:
            found = self.index.find_all(self, *np.array(keys).T).tolist()
        changes: list[tuple[object, ...]] = [
            key if row < 0 else self.row_values(row) for key, row in zip(keys, found, strict=True)
        ]
        for accounts, positions in self.changed_batches:
            rows = self.index.find_all(self, accounts, positions)
            columns = [getattr(self, name)[rows[rows >= 0]] for name in self.HASHED[2:]]
            changes.append((digest_of(accounts, positions, rows >= 0, *columns),))
        self.changed.clear()
        self.changed_batches.clear()
        return changes

    def ordered_rows(self) -> Ints:
        """Return the rows of the block that the table has, by account and position id."""
        keys = self.account[: self.size].astype(np.int64) << 32 | self.position[: self.size]
        if bool((keys[1:] > keys[:-1]).all()):
            return np.arange(self.start, self.start + self.size)
        order: Ints = np.argsort(keys) + self.start
        return order

    def sort(self) -> None:
        """Sort the rows by account and position id, the order in which they are published."""
        order = self.ordered_rows() - self.start
        if bool((order[1:] > order[:-1]).all()):
            return
        for name in self.COLUMNS:
            column = getattr(self, name)
            column[: self.size] = column[order]
        self.layout_version += 1
        self.index.rebuild(self)

    def restore(self, size: int) -> None:
        """Compute what follows from the columns, after the block was restored from a snapshot."""
        self.size = size
        self.layout_version += 1
        self.index.rebuild(self)
        self.total_lots = int(self.lots[:size].sum())
        self.total_cost = exact_sum(self.cost[:size], self.max_cost)
        self.total_margin = exact_sum(self.margin[:size])


_PACKED = (
    *("number", "_size", "total_lots", "total_cost", "total_margin"),
    *("max_lots", "max_cost", "position_ids", "changed", "changed_batches"),
)
"""What a copy of a table takes, beside its rows in the block and its index."""

PackedTables = tuple[tuple[tuple[Any, ...], ...], list[int], Ints]
"""A column of each number of tables, the sizes of their indices, and all of those in one piece."""


def pack_tables(tables: Sequence[PositionTable]) -> PackedTables:
    """Return what a copy of the tables of a block takes: columns, which pickle copies fast."""
    columns = tuple(zip(*map(attrgetter(*_PACKED), tables), strict=True))
    slots = [table.index.slots for table in tables]
    sizes = [len(each) for each in slots]
    return columns, sizes, np.concatenate([np.empty(0, np.int32), *slots])


def unpack_tables(packed: PackedTables, block: PositionBlock) -> list[PositionTable]:
    """Return the tables that `pack_tables` packed, on a copy of their block."""
    columns, sizes, slots = packed
    tables = []
    for numbers, size, end in zip(
        zip(*columns, strict=True), sizes, accumulate(sizes), strict=True
    ):
        table = PositionTable.__new__(PositionTable)
        index = RowIndex(slots[end - size : end])
        vars(table).update(zip(_PACKED, numbers, strict=True), block=block, index=index)
        block.add_viewer(table)
        tables.append(table)
    return tables
