"""Positions: all of one contract and side as arrays that grow; a removal moves the last row."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from delever.core.book.account_tables import Table, digest_of
from delever.core.book.position_index import RowIndex
from delever.core.kernels import where_of
from delever.core.market.validation import column_of
from delever.core.messages import PositionColumnsSet
from delever.core.units import Bools, Ints, exact_sum


@dataclass(frozen=True, slots=True)
class Numbers:
    """What positions of one table are told to be: columns of equal length, as a table holds them."""

    lots: Ints
    cost: Ints
    isolated: Bools
    margin: Ints
    leverage: Ints
    under_liquidation: Bools

    @classmethod
    def told(cls, event: PositionColumnsSet) -> "Numbers":
        """Return the numbers of an event."""
        lots = column_of(event.lots, "<i8", 0)
        n = len(lots)
        return cls(
            lots,
            column_of(event.cost_cash, "<i8", n),
            column_of(event.isolated, "<i1", n).astype(bool),
            column_of(event.margin_cash, "<i8", n),
            column_of(event.leverage_hundredths, "<i4", n, 100),
            column_of(event.under_liquidation, "<i1", n).astype(bool),
        )


FEW = 16
"""Fewer positions than that are found one by one: quicker than together."""


class KernelColumns(NamedTuple):
    """The columns that the kernels take, by name; a table of tables has them in this order."""

    account: np.ndarray
    position: np.ndarray
    isolated: Bools
    under_liquidation: Bools
    lots: Ints
    cost: Ints
    margin: Ints
    unrealized_pnl: Ints
    maintenance: Ints


class PositionTable(Table):
    """All positions of one contract and side, contiguous.

    `lots` are without sign; `cost` and `profit` are Cash, cost signed as values are. `profit` and
    `maintenance` are at the contract's current mark.
    """

    COLUMNS = {  # noqa: RUF012
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
    }
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

    KEPT = ("account", "position", "lots", "cost", "margin", "leverage", "isolated")
    """What a position is; profit and maintenance follow from it and the mark."""

    def __init__(self) -> None:
        super().__init__()
        self.index = RowIndex(self)
        self.total_lots = 0
        self.total_cost = 0
        self.total_margin = 0
        self.largest_lots = 0
        self.largest_cost = 0
        self.labels: set[int] = set()
        self.changed: set[tuple[int, int]] = set()
        self.changed_together: list[tuple[Ints, Ints]] = []
        self.changed_at = 0
        self.opened_or_closed = 0
        self._columns: tuple[int, KernelColumns] = (-1, self._sliced())
        self._where: tuple[int, bytes] = (0, b"")

    @property
    def most(self) -> tuple[int, int, int]:
        """The most lots, the largest cost and the most numbers of a position that ever were."""
        return self.largest_lots, self.largest_cost, len(self.labels)

    def current_bounds(self) -> tuple[int, int, int]:
        """Return the same of the positions that are there."""
        lots, cost = self.lots[: self.size], abs(self.cost[: self.size])
        return int(lots.max(initial=0)), int(cost.max(initial=0)), len(self._labels_now())

    def reset_bounds(self) -> None:
        """Let the largest be what is there."""
        self.largest_lots, self.largest_cost, _ = self.current_bounds()
        self.labels = self._labels_now()

    def _labels_now(self) -> set[int]:
        return set(np.unique(self.position[: self.size]).tolist())

    def holds_less_than(self, most: tuple[int, int, int]) -> bool:
        """Whether no position here ever had so many lots, such a cost, or so many numbers."""
        lots, cost, numbers = most
        return lots > self.largest_lots or cost > self.largest_cost or numbers > len(self.labels)

    def find(self, account: int, position: int) -> int | None:
        """Return the row of a position, or None where there is none."""
        row = self.index.find(account, position)
        return None if row < 0 else row

    def row_of(self, account: int, position: int) -> int:
        """Return the row of a position that is there; KeyError where it is not."""
        row = self.index.find(account, position)
        if row < 0:
            raise KeyError((account, position))
        return row

    def pairs(self) -> list[tuple[int, int]]:
        """Return account and position number, row by row."""
        columns = self.account[: self.size].tolist(), self.position[: self.size].tolist()
        return list(zip(*columns, strict=True))

    def columns(self) -> "KernelColumns":
        """Return the columns without their spare rows; they are the table's own, not copies."""
        since, columns = self._columns
        if since != self.opened_or_closed:
            columns = self._sliced()
            self._columns = self.opened_or_closed, columns
        return columns

    def where(self) -> bytes:
        """Return where these columns lie in memory: until the table grows."""
        capacity, where = self._where
        if capacity != self._capacity:
            where = where_of(*(getattr(self, name) for name in KernelColumns._fields))
            self._where = self._capacity, where
        return where

    def _sliced(self) -> "KernelColumns":
        return KernelColumns(*(getattr(self, name)[: self.size] for name in KernelColumns._fields))

    def positions_of(self, account: int) -> list[int]:
        """Return the position numbers that an account holds in this table, ascending."""
        return [label for label in sorted(self.labels) if self.index.find(account, label) >= 0]

    def put(self, account: int, position: int) -> int:
        """Return the row of a position, opened with nothing in it where there was none."""
        self.changed.add((account, position))
        row = self.index.find(account, position)
        if row < 0:
            row = self.size
            self._open(row + 1)
            self.labels.add(position)
            self.account[row], self.position[row] = account, position
            self.index.enter(row, row + 1)
        return row

    def upsert_all(self, accounts: Ints, positions: Ints) -> Ints:
        """Return the rows of many positions, each named once, opened where there were none."""
        self.changed_together.append((accounts, positions))
        rows, first = self.index.find_all(accounts, positions), self.size
        new = rows < 0
        opened = int(np.count_nonzero(new))
        if opened:
            self._open(first + opened)
            rows[new] = np.arange(first, self.size)
            self.account[first : self.size] = accounts[new]
            self.position[first : self.size] = positions[new]
            self.index.enter(first, self.size)
            self.labels.update(np.unique(positions).tolist() if positions.any() else (0,))
        return rows

    def _open(self, size: int) -> None:
        """Have rows with nothing in them up to this size."""
        self._grow(size)
        for name in self.COLUMNS:
            getattr(self, name)[self.size : size] = 0
        self.size = size
        self.opened_or_closed += 1

    def assign(self, rows: Ints, numbers: "Numbers") -> None:
        """Give rows these numbers, and the totals the differences."""
        self.total_lots += int(numbers.lots.sum()) - int(self.lots[rows].sum())
        self.largest_lots = max(self.largest_lots, int(numbers.lots.max(initial=0)))
        self.largest_cost = max(self.largest_cost, int(abs(numbers.cost).max(initial=0)))
        before, most = self.cost[rows], self.largest_cost
        self.total_cost += exact_sum(numbers.cost, most) - exact_sum(before, most)
        if numbers.margin.any() or self.total_margin:
            self.total_margin += exact_sum(numbers.margin) - exact_sum(self.margin[rows])
        self.lots[rows] = numbers.lots
        self.cost[rows] = numbers.cost
        self.margin[rows] = numbers.margin
        self.leverage[rows] = numbers.leverage
        self.isolated[rows] = numbers.isolated
        self.under_liquidation[rows] = numbers.under_liquidation

    def set_row(self, row: int, lots: int, cost: int, margin: int) -> None:
        """Give a row that was put lots, cost and margin, and the totals the differences."""
        self.total_lots += lots - self.lots.item(row)
        self.total_cost += cost - self.cost.item(row)
        self.total_margin += margin - self.margin.item(row)
        self.lots[row], self.cost[row], self.margin[row] = lots, cost, margin
        self.largest_lots = max(self.largest_lots, lots)
        self.largest_cost = max(self.largest_cost, abs(cost))

    def amounts_of(self, row: int) -> tuple[int, int, int]:
        """Return a row's lots, cost and margin."""
        return self.lots.item(row), self.cost.item(row), self.margin.item(row)

    def terms_of(self, row: int) -> tuple[bool, int, bool]:
        """Return whether a row is isolated, its leverage, and whether it is under liquidation."""
        flags = self.isolated.item(row), self.under_liquidation.item(row)
        return flags[0], self.leverage.item(row), flags[1]

    def take_off(self, rows: Ints, lots: Ints, cost: Ints, margin: Ints) -> None:
        """Take from rows, none of which grows by it; one that is named again loses again."""
        np.subtract.at(self.lots, rows, lots)
        np.subtract.at(self.cost, rows, cost)
        np.subtract.at(self.margin, rows, margin)
        self.total_lots -= exact_sum(lots)
        self.total_cost -= exact_sum(cost)
        self.total_margin -= exact_sum(margin)
        self._note(rows)

    def _note(self, rows: Ints) -> None:
        columns = self.account[rows].tolist(), self.position[rows].tolist()
        self.changed.update(zip(*columns, strict=True))

    def remove(self, row: int) -> None:
        """Close a row that has nothing left in it; the last row takes its place."""
        last, only = self.size - 1, slice(row, row + 1)
        self.changed.add((self.account.item(row), self.position.item(row)))
        self.index.leave(self.account[only], self.position[only])
        for name in self.COLUMNS:
            column = getattr(self, name)
            column[row] = column[last]
        self.size = last
        self.opened_or_closed += 1

    def remove_each(self, rows: Ints) -> None:
        """Close rows known to have changed, one after the other as `remove` does."""
        gaps = self.index.leave(self.account[rows], self.position[rows])
        filled: dict[int, int] = {}
        for turn, gap in enumerate(gaps.tolist(), 1):
            last = self.size - turn
            filled[gap] = filled.pop(last, last)
        self.size -= len(rows)
        self.opened_or_closed += 1
        left = np.array([gap for gap in filled if gap < self.size], np.int64)
        moved = np.array([filled[gap] for gap in left.tolist()], np.int64)
        for name in self.COLUMNS:
            column = getattr(self, name)
            column[left] = column[moved]

    def remove_all(self, rows: Ints) -> None:
        """Close rows, told together, that have nothing left in them, one after the other."""
        if 16 * len(rows) < self.size:  # so few are named in the hash of changes, since journal 1
            self._note(rows)
        self.remove_each(rows)

    def load(self, state: dict[str, bytes], size: int) -> None:
        """Take the table back from a snapshot."""
        super().load(state, size)
        self.opened_or_closed += 1
        self.index.rebuild()
        self.total_lots = int(self.lots[:size].sum())
        self.total_cost = sum(self.cost[:size].tolist())
        self.total_margin = sum(self.margin[:size].tolist())

    def take_changes(self) -> list[tuple[object, ...]]:
        """Return the positions that changed, as they are now, and forget which.

        A closed one is its key; those that were told together are a digest of their columns.
        """
        keys = sorted(self.changed)
        if len(keys) < FEW:
            found = [self.index.find(*key) for key in keys]
        else:
            found = self.index.find_all(*np.array(keys).T).tolist()
        changes: list[tuple[object, ...]] = [
            key if row < 0 else self.kept(row) for key, row in zip(keys, found, strict=True)
        ]
        for accounts, positions in self.changed_together:
            rows = self.index.find_all(accounts, positions)
            held = [getattr(self, name)[rows[rows >= 0]] for name in self.KEPT[2:]]
            changes.append((digest_of(accounts, positions, rows >= 0, *held),))
        self.changed.clear()
        self.changed_together.clear()
        return changes

    def kept(self, row: int) -> tuple[int, ...]:
        """Return what a position is, as plain integers."""
        return (
            self.account.item(row),
            self.position.item(row),
            *self.amounts_of(row),
            self.leverage.item(row),
            int(self.isolated.item(row)),
        )
