"""Accounts, wallets and lanes as arrays that grow; a row is an index, a removal moves the last row.

Every change is noted in `changed`, from which the book takes the hash of its deltas, and added to
running totals, with which the ledger is compared after every step.
"""

from collections.abc import Iterable

import numpy as np

from delever.core.messages import PositionsSet
from delever.core.row_index import RowIndex
from delever.core.units import Ints

FIRST_CAPACITY = 16


class Table:
    """Parallel NumPy columns with one length, `size`. Subclasses name columns and their types."""

    COLUMNS: dict[str, type[np.generic]] = {}  # noqa: RUF012 - constant of each subclass
    PASSING: frozenset[str] = frozenset()
    """Columns that say when something changed: of use to this process only, and never kept."""

    def __init__(self) -> None:
        self.size = 0
        self._capacity = FIRST_CAPACITY
        for name, dtype in self.COLUMNS.items():
            setattr(self, name, np.zeros(self._capacity, dtype))

    def _grow(self, size: int) -> None:
        """Make room for `size` rows, by a quarter at least: adding a row is O(1) on average."""
        if size <= self._capacity:
            return
        self._capacity = max(size, self._capacity + (self._capacity >> 2))
        for name, dtype in self.COLUMNS.items():
            column = np.zeros(self._capacity, dtype)
            column[: self.size] = getattr(self, name)[: self.size]
            setattr(self, name, column)

    def state(self) -> dict[str, bytes]:
        """Return the columns' bytes, for a snapshot."""
        kept = [name for name in self.COLUMNS if name not in self.PASSING]
        return {name: getattr(self, name)[: self.size].tobytes() for name in kept}

    def load(self, state: dict[str, bytes], size: int) -> None:
        """Take the columns back from a snapshot."""
        self._grow(size)
        self.size = size
        for name, column in state.items():
            getattr(self, name)[:size] = np.frombuffer(column, self.COLUMNS[name])


class Accounts(Table):
    """Who holds: mode, exemption, and the newest version and fill the venue has told of each."""

    COLUMNS = {  # noqa: RUF012
        "hedge_mode": np.bool_,
        "adl_exempt": np.bool_,
        "balances_version": np.int64,
        "positions_version": np.int64,
        "balances_fill": np.int64,
        "positions_fill": np.int64,
    }
    hedge_mode: np.ndarray
    adl_exempt: np.ndarray
    balances_version: Ints
    positions_version: Ints
    balances_fill: Ints
    positions_fill: Ints

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.index: dict[str, int] = {}
        self.any_hedges = False
        self._order: Ints = np.empty(0, np.int64)
        self._by_name: Ints = np.empty(0, np.int32)

    def define(self, name: str, *, hedge_mode: bool, adl_exempt: bool) -> int:
        """Open an account or change its mode; return its index."""
        row = self.index.get(name)
        if row is None:
            row = self.size
            self._grow(row + 1)
            self.size += 1
            self.names.append(name)
            self.index[name] = row
            self.balances_version[row] = self.positions_version[row] = -1
        self.any_hedges |= hedge_mode
        self.hedge_mode[row] = hedge_mode
        self.adl_exempt[row] = adl_exempt
        return row

    def order(self) -> Ints:
        """Return each account's place in the order of names: what breaks ties."""
        if len(self._order) < self.size:
            by_name = [*self._by_name.tolist(), *range(len(self._by_name), self.size)]
            by_name.sort(key=self.names.__getitem__)  # quick: all but the new are in order
            self._by_name = np.array(by_name, np.int32)
            self._order = np.empty(self.size, np.int64)
            self._order[self._by_name] = np.arange(self.size)
        return self._order

    def load_names(self, names: Iterable[str]) -> None:
        """Take the names back from a snapshot."""
        self.names = list(names)
        self.index = {name: row for row, name in enumerate(self.names)}
        self.any_hedges = bool(self.hedge_mode[: self.size].any())


class Wallets(Table):
    """One settle asset's cash by account, with the cross positions' profit and maintenance on top.

    `balance` is settled cash without isolated margins. `profit` and `maintenance` are sums over the
    account's cross positions at the current marks, kept up to date by differences, exactly.
    `changed_at` is the sequence of the last change of any of them: what ranks depend on.
    """

    COLUMNS = {  # noqa: RUF012
        "balance": np.int64,
        "profit": np.int64,
        "maintenance": np.int64,
        "changed_at": np.int64,
    }
    PASSING = frozenset({"changed_at"})
    balance: Ints
    profit: Ints
    maintenance: Ints
    changed_at: Ints

    def __init__(self) -> None:
        super().__init__()
        self.sequence = 0
        self.total = 0
        self.largest = 0
        self.changed: set[int] = set()

    def reach(self, size: int) -> None:
        """Have a row for every account."""
        self._grow(size)
        self.size = max(self.size, size)

    def add(self, account: int, amount_cash: int) -> None:
        """Move cash into (or out of) an account's wallet."""
        self.balance[account] += amount_cash
        self.changed_at[account] = self.sequence
        self.total += amount_cash
        self.largest = max(self.largest, abs(int(self.balance[account])))
        self.changed.add(account)

    def take_changes(self) -> list[tuple[int, int]]:
        """Return (account, balance) of the wallets that changed, and forget which."""
        changes = [(account, int(self.balance[account])) for account in sorted(self.changed)]
        self.changed.clear()
        return changes

    def equity(self) -> Ints:
        """Return every account's cross equity in Cash."""
        n = self.size
        return self.balance[:n] + self.profit[:n]


class Lane(Table):
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
        "profit": np.int64,
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
    profit: Ints
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
        self.changed_at = 0
        self.opened_or_closed = 0

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

    def keys(self) -> list[tuple[int, int]]:
        """Return account and position number, row by row."""
        columns = self.account[: self.size].tolist(), self.position[: self.size].tolist()
        return list(zip(*columns, strict=True))

    def positions_of(self, account: int) -> list[int]:
        """Return the position numbers that an account holds in this lane, ascending."""
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

    def _open(self, size: int) -> None:
        """Have rows with nothing in them up to this size."""
        self._grow(size)
        for name in self.COLUMNS:
            getattr(self, name)[self.size : size] = 0
        self.size = size
        self.opened_or_closed += 1

    def assign(self, rows: Ints, event: PositionsSet) -> None:
        """Give rows the event's numbers, and the totals the differences."""
        lots = np.array(event.lots, np.int64)
        self.total_lots += sum(event.lots) - sum(self.lots[rows].tolist())
        self.total_cost += sum(event.costs_cash) - sum(self.cost[rows].tolist())
        self.total_margin += sum(event.margins_cash) - sum(self.margin[rows].tolist())
        self.largest_lots = max(self.largest_lots, int(lots.max(initial=0)))
        self.largest_cost = max(self.largest_cost, *map(abs, event.costs_cash))
        self.lots[rows] = lots
        self.cost[rows] = event.costs_cash
        self.margin[rows] = event.margins_cash
        self.leverage[rows] = event.leverages_hundredths
        self.isolated[rows] = event.isolated
        self.under_liquidation[rows] = event.under_liquidation

    def change(self, row: int, lots: int, cost_cash: int, margin_cash: int) -> None:
        """Add to a row's lots, cost and margin, and to the totals."""
        self.lots[row] += lots
        self.cost[row] += cost_cash
        self.margin[row] += margin_cash
        self.total_lots += lots
        self.total_cost += cost_cash
        self.total_margin += margin_cash
        self.largest_lots = max(self.largest_lots, int(self.lots[row]))
        self.largest_cost = max(self.largest_cost, abs(int(self.cost[row])))
        self.changed.add((int(self.account[row]), int(self.position[row])))

    def remove(self, row: int) -> None:
        """Close a row that has nothing left in it; the last row takes its place."""
        last = self.size - 1
        self.changed.add((int(self.account[row]), int(self.position[row])))
        self.index.leave(row, last)
        if row != last:
            for name in self.COLUMNS:
                column = getattr(self, name)
                column[row] = column[last]
        self.size = last
        self.opened_or_closed += 1

    def load(self, state: dict[str, bytes], size: int) -> None:
        """Take the lane back from a snapshot."""
        super().load(state, size)
        self.index.rebuild()
        self.total_lots = int(self.lots[:size].sum())
        self.total_cost = sum(self.cost[:size].tolist())
        self.total_margin = sum(self.margin[:size].tolist())

    def kept(self, row: int) -> tuple[int, ...]:
        """Return what a position is, as plain integers."""
        return tuple(int(getattr(self, name)[row]) for name in self.KEPT)
