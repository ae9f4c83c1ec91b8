"""Tables of accounts and wallets: NumPy columns that grow, one row an account.

Each table records which rows have changed (the journal hashes them) and maintains running totals
(the ledger is compared with them after every step).

Account names and their indices need a few bytes an account beside the name itself: a list and a
dictionary of a million names would need more memory than all positions. So the UTF-8 bytes of all
names are stored one after the other, and an open-addressing hash table maps a name to its index.
"""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise, repeat
from typing import overload
from zlib import crc32

import numpy as np

from delever.core.kernels import ParallelMap, kernels_for
from delever.core.units import Bools, Ints, exact_sum

FIRST_CAPACITY = 16
FIRST_SLOTS = 32
RECENT_NAMES = 1024
"""Size of the cache of recent lookups: a step looks the same few names up several times."""
HASH_MULTIPLIER = 0x9E3779B1
"""Fibonacci hashing: the upper bits of checksum * multiplier select the slot."""


def digest_of(*columns: np.ndarray) -> bytes:
    """Return the 32-byte BLAKE2b hash of columns and of their lengths in bytes."""
    hashed = hashlib.blake2b(digest_size=32)
    for column in columns:
        little = np.ascontiguousarray(column, column.dtype.newbyteorder("<"))
        hashed.update(little.nbytes.to_bytes(8, "little"))
        hashed.update(little.data)
    return hashed.digest()


def bytes_of(column: np.ndarray) -> memoryview:
    """Return the bytes of a column for a snapshot; a column of zeros has none."""
    contiguous = np.ascontiguousarray(column if column.any() else column[:0])
    return contiguous.data.cast("B")


class Table:
    """Parallel NumPy columns of `size` rows; a subclass names its columns and their types."""

    COLUMNS: dict[str, type[np.generic]] = {}  # noqa: RUF012 - constant of each subclass
    TRANSIENT: frozenset[str] = frozenset()
    """Columns for use inside this process only; snapshots leave them out."""
    _capacity = 0

    def __init__(self) -> None:
        self.size = 0
        self._reserve(FIRST_CAPACITY)

    def _allocate(self, capacity: int) -> dict[str, np.ndarray]:
        """Return empty columns."""
        return {name: np.zeros(capacity, kind) for name, kind in self.COLUMNS.items()}

    def _reserve(self, size: int) -> None:
        """Grow the capacity to `size` rows, by a quarter at least: amortized O(1) a row."""
        if size <= self._capacity:
            return
        self._capacity = max(size, self._capacity + (self._capacity >> 2))
        for name, column in self._allocate(self._capacity).items():
            if self.size:
                column[: self.size] = getattr(self, name)[: self.size]
            setattr(self, name, column)

    def state(self) -> dict[str, memoryview]:
        """Return the bytes of every column that a snapshot stores."""
        stored = [name for name in self.COLUMNS if name not in self.TRANSIENT]
        return {name: bytes_of(getattr(self, name)[: self.size]) for name in stored}

    def load(self, state: Mapping[str, bytes | memoryview], size: int) -> None:
        """Restore the columns from a snapshot."""
        self._reserve(size)
        self.size = size
        for name, column in state.items():
            if len(column):
                getattr(self, name)[:size] = np.frombuffer(column, self.COLUMNS[name])


class AccountIndex(Sequence[str]):
    """All account names, ordered by account index: 0, 1, 2, ... Names are unique, none is removed.

    >>> accounts = AccountIndex(["ann", "bob"])
    >>> accounts.add("cyd"), accounts.find("bob"), accounts.find("dan"), accounts[0]
    (2, 1, -1, 'ann')
    """

    __slots__ = ("_bytes", "_ends", "_recent", "_shift", "_slots")

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._bytes = bytearray()
        self._ends = array("I", [0])
        self._slots = array("i", [-1]) * FIRST_SLOTS
        self._shift = 33 - FIRST_SLOTS.bit_length()
        self._recent: dict[str, int] = {}
        self.add_all(names)

    @classmethod
    def of_bytes(cls, text: bytes | memoryview, ends: bytes | memoryview) -> "AccountIndex":
        """Return the index of the names that `packed` returned."""
        index = cls()
        index._bytes = bytearray(text)
        index._ends = array("I", np.frombuffer(ends, np.uint64).astype(np.uint32).tobytes())
        index._build(len(index))
        return index

    def __getstate__(self) -> tuple[np.ndarray, ...]:
        """Return what a copy takes: views, which pickle can copy apart from the rest."""
        slots = np.frombuffer(self._slots, np.int32)
        return np.frombuffer(self._bytes, np.uint8), np.frombuffer(self._ends, np.uint32), slots

    def __setstate__(self, state: tuple[np.ndarray, ...]) -> None:
        text, ends, slots = state
        self._bytes, self._recent = bytearray(text), {}
        self._ends, self._slots = array("I", ends.tobytes()), array("i", slots.tobytes())
        self._shift = 33 - len(self._slots).bit_length()

    def packed(self) -> tuple[bytes, bytes]:
        """Return the UTF-8 bytes of all names, and where each ends: 0, then a uint64 each."""
        return bytes(self._bytes), np.array(self._ends, np.uint64).tobytes()

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return the name at an index; raises IndexError where there is none."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index < 0 or index >= len(self):
            raise IndexError(index)
        encoded = self._bytes[self._ends[index] : self._ends[index + 1]]
        return encoded.decode("utf-8", "surrogatepass")

    def names_of(self, indices: Iterable[int]) -> list[str]:
        """Return the names at indices that exist."""
        text, ends = self._bytes, self._ends
        return [text[ends[i] : ends[i + 1]].decode("utf-8", "surrogatepass") for i in indices]

    def find(self, name: str) -> int:
        """Return the index of a name, or -1 where the account does not exist."""
        index = self._recent.get(name)
        if index is None:
            index = self.find_all((name,))[0]
            if index >= 0:
                if len(self._recent) >= RECENT_NAMES:
                    self._recent.clear()
                self._recent[name] = index
        return index

    def find_all(self, names: Iterable[str]) -> list[int]:
        """Return the index of each name, or -1 where the account does not exist."""
        text, ends, slots = self._bytes, self._ends, self._slots
        shift, last = self._shift, len(slots) - 1
        found = []
        for name in names:
            encoded = name.encode("utf-8", "surrogatepass")
            slot = (crc32(encoded) * HASH_MULTIPLIER & 0xFFFFFFFF) >> shift
            while (index := slots[slot]) >= 0:
                if text[ends[index] : ends[index + 1]] == encoded:
                    break
                slot = (slot + 1) & last
            found.append(index)
        return found

    def add(self, name: str) -> int:
        """Return the index of a name; a new name gets the next index."""
        return self.add_all((name,))[0]

    def add_all(self, names: Sequence[str]) -> list[int]:
        """Return the index of each name; new names get the next indices."""
        self._reserve(len(self) + len(names))
        text, ends, slots = self._bytes, self._ends, self._slots
        shift, last = self._shift, len(slots) - 1
        indices = []
        for name in names:
            encoded = name.encode("utf-8", "surrogatepass")
            slot = (crc32(encoded) * HASH_MULTIPLIER & 0xFFFFFFFF) >> shift
            while (index := slots[slot]) >= 0:
                if text[ends[index] : ends[index + 1]] == encoded:
                    break
                slot = (slot + 1) & last
            if index < 0:
                index = len(ends) - 1
                self._append(encoded)
                text, ends, slots[slot] = self._bytes, self._ends, index
            indices.append(index)
        return indices

    def _append(self, encoded: bytes) -> None:
        """Add a name's bytes, in new memory where a pickled copy still refers to the old."""
        try:
            self._bytes += encoded
        except BufferError:
            self._bytes = self._bytes + encoded
        try:
            self._ends.append(len(self._bytes))
        except BufferError:
            self._ends = self._ends + array("I", [len(self._bytes)])

    def _reserve(self, size: int) -> None:
        """Build a larger hash table where this many names would fill over three quarters of it."""
        if 4 * size > 3 * len(self._slots):
            self._build(size)

    def _build(self, size: int) -> None:
        """Build the hash table of all names, with room for `size` of them."""
        slots = FIRST_SLOTS
        while 4 * size > 3 * slots:
            slots *= 2
        self._shift = 33 - slots.bit_length()
        self._slots = array("i", [-1]) * slots
        text, ends = memoryview(self._bytes), self._ends
        sums = [crc32(text[start:end]) for start, end in pairwise(ends)]
        homes = np.array(sums, np.uint64) * HASH_MULTIPLIER & 0xFFFFFFFF
        table, pending = np.frombuffer(self._slots, np.int32), np.arange(len(self))
        slot = (homes >> np.uint64(self._shift)).astype(np.int64)
        while len(pending):
            free = pending[table[slot[pending]] < 0]
            table[slot[free]] = free
            pending = pending[table[slot[pending]] != pending]
            slot[pending] = (slot[pending] + 1) & (slots - 1)


class IndexByName(Mapping[str, int]):
    """The account index of each name, as a read-only mapping over an `AccountIndex`."""

    __slots__ = ("_accounts",)

    def __init__(self, accounts: AccountIndex) -> None:
        self._accounts = accounts

    def __getitem__(self, name: str) -> int:
        """Return the index of a name; raises KeyError where the account does not exist."""
        index = self._accounts.find(name)
        if index < 0:
            raise KeyError(name)
        return index

    def get(self, name: str, default: int | None = None) -> int | None:  # type: ignore[override]
        """Return the index of a name, or the default where the account does not exist."""
        index = self._accounts.find(name)
        return default if index < 0 else index

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._accounts.find(name) >= 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._accounts)

    def __len__(self) -> int:
        return len(self._accounts)


class Accounts(Table):
    """All accounts: modes, ADL exemption, owner, and the newest snapshot received of each.

    `owners` has the owner's name of each account, by index, that has another name than its owner.
    `balances_version` and `positions_version` are the versions of the newest snapshots (-1: none
    yet), `balances_fill` and `positions_fill` the last ADL fill that those snapshots include.
    """

    COLUMNS = {  # noqa: RUF012
        "hedge_mode": np.bool_,
        "adl_exempt": np.bool_,
        "multi_asset": np.bool_,
        "balances_version": np.int64,
        "positions_version": np.int64,
        "balances_fill": np.int64,
        "positions_fill": np.int64,
    }
    hedge_mode: np.ndarray
    adl_exempt: np.ndarray
    multi_asset: np.ndarray
    balances_version: Ints
    positions_version: Ints
    balances_fill: Ints
    positions_fill: Ints

    def __init__(self) -> None:
        super().__init__()
        self.names = AccountIndex()
        self.index = IndexByName(self.names)
        self.owners: dict[int, str] = {}
        self.any_hedges = False
        self.any_exempt = False
        self.any_multi_asset = False
        self._name_order: np.ndarray = np.empty(0, np.int32)

    def owner_of(self, row: int) -> str:
        """Return the name of an account's owner: its own, unless it is a subaccount."""
        return self.owners.get(row) or self.names[row]

    def set_owner(self, row: int, owner: str) -> None:
        """Set an account's owner; an empty name, or its own, is the account itself."""
        if owner in {"", self.names[row]}:
            self.owners.pop(row, None)
        else:
            self.owners[row] = owner

    def set_owners(self, rows: Ints, owners: Sequence[str]) -> None:
        """Set the owners of accounts; without any, each account is its own."""
        if owners or self.owners:
            for row, owner in zip(rows.tolist(), owners or repeat(""), strict=False):
                self.set_owner(row, owner)

    def define(
        self, name: str, *, hedge_mode: bool, adl_exempt: bool, multi_asset: bool = False
    ) -> int:
        """Open an account or change its modes; return its index."""
        row = self.index.get(name)
        if row is None:
            row = self.names.add(name)
            self._reserve(row + 1)
            self.size += 1
            self.balances_version[row] = self.positions_version[row] = -1
        self.any_hedges |= hedge_mode
        self.any_exempt |= adl_exempt
        self.any_multi_asset |= multi_asset
        self.hedge_mode[row] = hedge_mode
        self.adl_exempt[row] = adl_exempt
        self.multi_asset[row] = multi_asset
        return row

    def define_all(
        self, names: Sequence[str], hedge_mode: Bools, adl_exempt: Bools, multi_asset: Bools
    ) -> Ints:
        """Open accounts or change their modes; return their indices. The names are unique."""
        rows, first = np.array(self.names.add_all(names), np.int64), self.size
        self._reserve(len(self.names))
        self.size = len(self.names)
        self.balances_version[first : self.size] = self.positions_version[first : self.size] = -1
        self.any_hedges |= bool(hedge_mode.any())
        self.any_exempt |= bool(adl_exempt.any())
        self.any_multi_asset |= bool(multi_asset.any())
        self.hedge_mode[rows], self.adl_exempt[rows] = hedge_mode, adl_exempt
        self.multi_asset[rows] = multi_asset
        return rows

    def name_order(self) -> np.ndarray:
        """Return each account's rank in the alphabetical order of names, which breaks ties."""
        if len(self._name_order) < self.size:
            known = np.argsort(self._name_order)
            by_name = [*known.tolist(), *range(len(known), self.size)]
            by_name.sort(key=self.names.__getitem__)  # fast: only the new names are out of order
            order = np.empty(self.size, np.int32)
            order[np.array(by_name, np.int32)] = np.arange(self.size)
            self._name_order = order  # assigned complete: ranking threads may call this at once
        return self._name_order

    def load_names(self, names: AccountIndex) -> None:
        """Restore the names from a snapshot, after its columns."""
        self.names = names
        self.index = IndexByName(self.names)
        self.any_hedges = bool(self.hedge_mode[: self.size].any())
        self.any_exempt = bool(self.adl_exempt[: self.size].any())
        self.any_multi_asset = bool(self.multi_asset[: self.size].any())


class VenueMargins(Table):
    """The cross margin of accounts in one asset, as the venue's own risk engine submitted it.

    `equity` and `maintenance` (Cash) count where `is_set`; `version` is the newest one's, also
    after it has ended (-1 before the first). There are no rows before the first is set.
    """

    COLUMNS = {  # noqa: RUF012
        "version": np.int64,
        "is_set": np.bool_,
        "equity": np.int64,
        "maintenance": np.int64,
    }
    version: Ints
    is_set: Bools
    equity: Ints
    maintenance: Ints

    def __init__(self) -> None:
        super().__init__()
        self.changed: set[int] = set()

    def resize(self, size: int) -> None:
        """Add rows of accounts without a margin."""
        self._reserve(size)
        self.version[self.size : size] = -1
        self.size = max(self.size, size)

    def version_of(self, account: int) -> int:
        """Return the newest version of an account, or -1."""
        return self.version.item(account) if account < self.size else -1

    def margin_of(self, account: int) -> tuple[int, int] | None:
        """Return an account's equity and maintenance margin; None without a margin that counts."""
        if account >= self.size or not self.is_set.item(account):
            return None
        return self.equity.item(account), self.maintenance.item(account)

    def set(self, account: int, version: int, margin: tuple[int, int] | None) -> None:
        """Set the margin of an account; None ends it."""
        self.version[account], self.is_set[account] = version, margin is not None
        self.equity[account], self.maintenance[account] = margin or (0, 0)
        self.changed.add(account)

    def follow(self, account: int, before: tuple[int, int], after: tuple[int, int]) -> None:
        """Carry a change of an account's own equity and maintenance margin over to the venue's.

        Equity changes by the same amount. Maintenance margin stays as submitted until no cross
        position with any is left.
        """
        self.equity[account] += after[0] - before[0]
        if before[1] and not after[1]:
            self.maintenance[account] = 0
        self.changed.add(account)

    def take_changes(self) -> list[tuple[object, ...]]:
        """Return the margins that changed since the last call, as they are now."""
        if not self.changed:
            return []
        changes: list[tuple[object, ...]] = [
            ("margin", account, self.version.item(account), self.margin_of(account))
            for account in sorted(self.changed)
        ]
        self.changed.clear()
        return changes


class Wallets(Table):
    """One settle asset's balances by account, and what cross positions add to them, in Cash.

    `balance` is settled cash without isolated margins. `unrealized_pnl` and `maintenance` are sums
    over the account's cross positions at the current marks, updated by exact differences.
    `changed_at` is the sequence of the last change of any of these: ranks depend on them. `rows` is
    the same data as one matrix, a row an account, for the kernels. `stale` are the accounts, by
    name, whose newest balance was rejected.
    """

    COLUMNS = {  # noqa: RUF012
        "balance": np.int64,
        "unrealized_pnl": np.int64,
        "maintenance": np.int64,
        "changed_at": np.int64,
    }
    TRANSIENT = frozenset({"changed_at"})
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
        self.changed_batches: list[Ints] = []
        self.stale: set[str] = set()
        self.stale_changed = False
        self.margins = VenueMargins()

    def _allocate(self, capacity: int) -> dict[str, np.ndarray]:
        """Return the columns of one row-major matrix: kernels read whole wallets."""
        self.rows = np.zeros((capacity, len(self.COLUMNS)), np.int64)
        return self._columns_of_rows()

    def _columns_of_rows(self) -> dict[str, np.ndarray]:
        return {name: self.rows[:, column] for column, name in enumerate(self.COLUMNS)}

    def __getstate__(self) -> dict[str, object]:
        """Return what a copy takes: the columns are views of `rows`."""
        return {name: value for name, value in vars(self).items() if name not in self.COLUMNS}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        vars(self).update(self._columns_of_rows())

    def max_balance(self) -> int:
        """Return the largest absolute balance now; `largest` bounds those of the past, too."""
        return int(abs(self.balance[: self.size]).max(initial=0))

    def resize(self, size: int) -> None:
        """Add rows for new accounts."""
        self._reserve(size)
        self.size = max(self.size, size)
        if self.margins.size:
            self.margins.resize(self.size)

    def shift(self, account: int, unrealized_pnl_cash: int, maintenance_cash: int) -> None:
        """Add to the unrealized PnL and the maintenance margin of an account's cross positions."""
        self.unrealized_pnl[account] = self.unrealized_pnl.item(account) + unrealized_pnl_cash
        self.maintenance[account] = self.maintenance.item(account) + maintenance_cash
        self.changed_at[account] = self.sequence

    def revalue(
        self, positions: object, sides: Ints, tiers: Ints, parallel_map: ParallelMap
    ) -> None:
        """Value position tables at new marks and add the exact differences to cross wallets.

        `positions` are the columns of all positions, `sides` and `tiers` as `revalue_sides` takes
        them.
        """
        if len(sides):
            kernels = kernels_for(self.size)
            kernels.revalue_sides(positions, sides, tiers, self.rows, self.sequence, parallel_map)

    def add(self, account: int, amount_cash: int) -> None:
        """Add cash to an account's wallet; a negative amount is a debit."""
        balance = self.balance.item(account) + amount_cash
        self.balance[account] = balance
        self.changed_at[account] = self.sequence
        self.total += amount_cash
        self.largest = max(self.largest, abs(balance))
        self.changed.add(account)

    def add_all(self, accounts: Sequence[int], amounts: Sequence[int]) -> None:
        """Add cash to wallets, as `add` does for one after the other."""
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
        """Set the balances of accounts; each account occurs once."""
        self.total += exact_sum(balances) - exact_sum(self.balance[accounts])
        self.largest = max(self.largest, int(abs(balances).max(initial=0)))
        self.balance[accounts] = balances
        self.changed_at[accounts] = self.sequence
        self.changed_batches.append(accounts)

    def take_changes(self) -> list[tuple[object, ...]]:
        """Return the wallets that changed since the last call, with their balances now.

        A wallet changed alone is (account, balance), wallets set together are a digest of both.
        """
        margins = self.margins.take_changes()
        if not (self.changed or self.changed_batches or self.stale_changed):
            return margins
        balance = self.balance
        changes: list[tuple[object, ...]] = [(a, balance.item(a)) for a in sorted(self.changed)]
        changes += [(digest_of(a, self.balance[a]),) for a in self.changed_batches]
        changes += [("stale", *sorted(self.stale))] if self.stale_changed else []
        changes += margins
        self.changed.clear()
        self.changed_batches.clear()
        self.stale_changed = False
        return changes

    def mark_stale(self, name: str, account: int | None) -> None:
        """Mark an account's balance as stale, or as missing where the account is not defined."""
        self.stale.add(name)
        self.stale_changed = True
        if account is not None:
            self.changed_at[account] = self.sequence

    def unmark_stale(self, names: Iterable[str]) -> None:
        """End the staleness of accounts whose balance has been set."""
        fresh = self.stale.intersection(names)
        self.stale_changed |= bool(fresh)
        self.stale -= fresh

    # --- margin, the venue's own where it was submitted ---

    @contextmanager
    def followed_margins(self, accounts: Iterable[int]) -> Iterator[None]:
        """Carry changes of accounts' own margin over to the margin that the venue submitted."""
        if not self.margins.size:
            yield
            return
        followed = [account for account in set(accounts) if self.margins.margin_of(account)]
        before = [self.own_margin(account) for account in followed]
        yield
        for account, own in zip(followed, before, strict=True):
            self.margins.follow(account, own, self.own_margin(account))

    def set_margin(
        self, account: int, version: int, equity: int | None, maintenance: int | None
    ) -> None:
        """Set an account's equity and maintenance margin to the venue's; None ends that."""
        margin = None if equity is None or maintenance is None else (equity, maintenance)
        self.margins.resize(self.size)
        self.margins.set(account, version, margin)
        self.changed_at[account] = self.sequence

    def add_followed(self, account: int, amount_cash: int) -> None:
        """Add cash to an account's wallet, and to the equity that the venue submitted."""
        with self.followed_margins((account,)):
            self.add(account, amount_cash)

    def own_margin(self, account: int) -> tuple[int, int]:
        """Return equity and maintenance margin of an account, as sums over its positions."""
        equity = self.balance.item(account) + self.unrealized_pnl.item(account)
        return equity, self.maintenance.item(account)

    def margin_of(self, account: int) -> tuple[int, int]:
        """Return equity and maintenance margin of an account: the venue's own, or the sums."""
        return self.margins.margin_of(account) or self.own_margin(account)

    def margin_columns(self, accounts: Ints | slice) -> tuple[Ints, Ints, Ints]:
        """Return balance, unrealized PnL and maintenance margin of accounts.

        With a margin of the venue's own the balance is its equity less the unrealized PnL, and the
        maintenance margin is the venue's. Without any, slices are views.
        """
        columns = self.balance[accounts], self.unrealized_pnl[accounts], self.maintenance[accounts]
        margins = self.margins
        if not margins.size:
            return columns
        balance, pnl, maintenance = columns
        is_set = margins.is_set[accounts]
        balance = np.where(is_set, margins.equity[accounts] - pnl, balance)
        return balance, pnl, np.where(is_set, margins.maintenance[accounts], maintenance)

    def margin_rows(self, *, shares: bool = False) -> Ints:
        """Return `rows` with the columns of `margin_columns`; a copy where those differ.

        For `shares` of the equity the maintenance margin is the sum over the account's positions.
        """
        if not self.margins.size:
            return self.rows
        rows: Ints = self.rows.copy()
        columns = self.margin_columns(slice(self.size))
        rows[: self.size, : 2 if shares else 3] = np.stack(columns[: 2 if shares else 3], axis=1)
        return rows

    def equity(self) -> Ints:
        """Return every account's cross equity in Cash: balance plus unrealized PnL."""
        n = self.size
        return self.balance[:n] + self.unrealized_pnl[:n]
