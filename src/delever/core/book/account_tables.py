"""Accounts and wallets as arrays that grow; a row is an index.

Every change is noted in `changed`, from which the book takes the hash of its deltas, and added to
running totals, with which the ledger is compared after every step.
"""

import hashlib
import itertools
from collections.abc import Sequence

import numpy as np

from delever.core.book.account_index import Names, NumberOf
from delever.core.kernels import ParallelMap, Revalued, kernels_for
from delever.core.units import Bools, Ints, exact_sum

FIRST_CAPACITY = 16


def digest_of(*columns: np.ndarray) -> bytes:
    """Return the 32-byte BLAKE2b hash of columns, with their lengths."""
    hashed = hashlib.blake2b(digest_size=32)
    for column in columns:
        little = np.ascontiguousarray(column, column.dtype.newbyteorder("<"))
        hashed.update(little.nbytes.to_bytes(8, "little"))
        hashed.update(little.data)
    return hashed.digest()


class Table:
    """Parallel NumPy columns with one length, `size`. Subclasses name columns and their types."""

    COLUMNS: dict[str, type[np.generic]] = {}  # noqa: RUF012 - constant of each subclass
    PASSING: frozenset[str] = frozenset()
    """Columns that say when something changed: of use to this process only, and never kept."""

    def __init__(self) -> None:
        self.size = 0
        self._capacity = FIRST_CAPACITY
        for name, column in self._allocated(FIRST_CAPACITY).items():
            setattr(self, name, column)

    def _allocated(self, capacity: int) -> dict[str, np.ndarray]:
        """Return empty columns: one block, so that what belongs together is near each other."""
        sizes = {name: capacity * np.dtype(kind).itemsize for name, kind in self.COLUMNS.items()}
        padded = (size + 7 & ~7 for size in sizes.values())
        *starts, end = itertools.accumulate(padded, initial=0)
        block = np.zeros(end, np.uint8)
        return {
            name: block[start : start + sizes[name]].view(kind)
            for start, (name, kind) in zip(starts, self.COLUMNS.items(), strict=True)
        }

    def _grow(self, size: int) -> None:
        """Make room for `size` rows, by a quarter at least: adding a row is O(1) on average."""
        if size <= self._capacity:
            return
        self._capacity = max(size, self._capacity + (self._capacity >> 2))
        for name, column in self._allocated(self._capacity).items():
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
        self.names = Names()
        self.index = NumberOf(self.names)
        self.any_hedges = False
        self.any_exempt = False
        self._order: np.ndarray = np.empty(0, np.int32)
        self._by_name: np.ndarray = np.empty(0, np.int32)

    def define(self, name: str, *, hedge_mode: bool, adl_exempt: bool) -> int:
        """Open an account or change its mode; return its index."""
        row = self.index.get(name)
        if row is None:
            row = self.names.add(name)
            self._grow(row + 1)
            self.size += 1
            self.balances_version[row] = self.positions_version[row] = -1
        self.any_hedges |= hedge_mode
        self.any_exempt |= adl_exempt
        self.hedge_mode[row] = hedge_mode
        self.adl_exempt[row] = adl_exempt
        return row

    def define_all(self, names: Sequence[str], hedge_mode: Bools, adl_exempt: Bools) -> Ints:
        """Open accounts or change their modes; return their indices. Each is named once."""
        rows, first = np.array(self.names.add_all(names), np.int64), self.size
        self._grow(len(self.names))
        self.size = len(self.names)
        self.balances_version[first : self.size] = self.positions_version[first : self.size] = -1
        self.any_hedges |= bool(hedge_mode.any())
        self.any_exempt |= bool(adl_exempt.any())
        self.hedge_mode[rows], self.adl_exempt[rows] = hedge_mode, adl_exempt
        return rows

    def order(self) -> np.ndarray:
        """Return each account's place in the order of names: what breaks ties."""
        if len(self._order) < self.size:
            known = self._by_name
            by_name = [*known.tolist(), *range(len(known), self.size)]
            by_name.sort(key=self.names.__getitem__)  # quick: all but the new are in order
            self._by_name = np.array(by_name, np.int32)
            order = np.empty(self.size, np.int32)
            order[self._by_name] = np.arange(self.size)
            self._order = order  # whole, once it is: threads that rank may ask for it together
        return self._order

    def load_names(self, names: Sequence[str]) -> None:
        """Take the names back from a snapshot."""
        self.names = Names(names)
        self.index = NumberOf(self.names)
        self.any_hedges = bool(self.hedge_mode[: self.size].any())
        self.any_exempt = bool(self.adl_exempt[: self.size].any())


class Wallets(Table):
    """One settle asset's cash by account, with the cross positions' profit and maintenance on top.

    `balance` is settled cash without isolated margins. `profit` and `maintenance` are sums over the
    account's cross positions at the current marks, kept up to date by differences, exactly.
    `changed_at` is the sequence of the last change of any of them: what ranks depend on. `rows` is
    all of it, one row an account, as the kernels take it.
    """

    COLUMNS = {  # noqa: RUF012
        "balance": np.int64,
        "unrealized_pnl": np.int64,
        "maintenance": np.int64,
        "changed_at": np.int64,
    }
    PASSING = frozenset({"changed_at"})
    balance: Ints
    unrealized_pnl: Ints
    maintenance: Ints
    changed_at: Ints
    rows: Ints

    def __init__(self) -> None:
        super().__init__()
        self.sequence = 0
        self.total = 0
        self.largest = 0
        self.changed: set[int] = set()
        self.changed_together: list[Ints] = []

    def _allocated(self, capacity: int) -> dict[str, np.ndarray]:
        """Return empty columns, of a table by rows: whoever touches a wallet touches all of it."""
        self.rows = np.zeros((capacity, len(self.COLUMNS)), np.int64)
        return {name: self.rows[:, place] for place, name in enumerate(self.COLUMNS)}

    def max_balance(self) -> int:
        """Return the largest balance that is there, without sign; `largest` is that ever was."""
        return int(abs(self.balance[: self.size]).max(initial=0))

    def reach(self, size: int) -> None:
        """Have a row for every account."""
        self._grow(size)
        self.size = max(self.size, size)

    def shift(self, account: int, unrealized_pnl_cash: int, maintenance_cash: int) -> None:
        """Add to what an account's cross positions gain and need."""
        self.unrealized_pnl[account] = self.unrealized_pnl.item(account) + unrealized_pnl_cash
        self.maintenance[account] = self.maintenance.item(account) + maintenance_cash
        self.changed_at[account] = self.sequence

    def revalue(self, tables: list[Revalued], parallel_map: ParallelMap) -> None:
        """Value whole tables at new marks; the cross wallets get the differences, exactly."""
        if tables:
            kernels_for(self.size).revalue_sides(tables, self.rows, self.sequence, parallel_map)

    def add(self, account: int, amount_cash: int) -> None:
        """Move cash into (or out of) an account's wallet."""
        balance = self.balance.item(account) + amount_cash
        self.balance[account] = balance
        self.changed_at[account] = self.sequence
        self.total += amount_cash
        self.largest = max(self.largest, abs(balance))
        self.changed.add(account)

    def add_all(self, accounts: Sequence[int], amounts: Sequence[int]) -> None:
        """Move cash into wallets as `add` would, one after the other."""
        if len(set(accounts)) < len(accounts):
            for account, amount in zip(accounts, amounts, strict=True):
                self.add(account, amount)
            return
        rows = np.array(accounts)
        balances = self.balance[rows] + np.array(amounts, np.int64)
        self.balance[rows] = balances
        self.changed_at[rows] = self.sequence
        self.total += sum(amounts)
        self.largest = max(self.largest, int(abs(balances).max(initial=0)))
        self.changed.update(accounts)

    def set_all(self, accounts: Ints, balances: Ints) -> None:
        """Give many accounts, each once, their balances."""
        self.total += exact_sum(balances) - exact_sum(self.balance[accounts])
        self.largest = max(self.largest, int(abs(balances).max(initial=0)))
        self.balance[accounts] = balances
        self.changed_at[accounts] = self.sequence
        self.changed_together.append(accounts)

    def take_changes(self) -> list[tuple[object, ...]]:
        """Return the wallets that changed, as they are now, and forget which.

        Each is (account, balance); those that changed together are a digest of both columns.
        """
        if not (self.changed or self.changed_together):
            return []
        balance = self.balance
        changes: list[tuple[object, ...]] = [(a, balance.item(a)) for a in sorted(self.changed)]
        changes += [(digest_of(a, self.balance[a]),) for a in self.changed_together]
        self.changed.clear()
        self.changed_together.clear()
        return changes

    def equity(self) -> Ints:
        """Return every account's cross equity in Cash."""
        n = self.size
        return self.balance[:n] + self.unrealized_pnl[:n]
