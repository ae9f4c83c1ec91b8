"""Account names and their indices, with a few bytes an account beside the name itself.

A list and a dictionary of a million names would need more memory than all positions. So the UTF-8
bytes of all names are stored one after the other, and an open-addressing hash table maps a name to
its index.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import overload
from zlib import crc32

import numpy as np

FIRST_SLOTS = 32
RECENT_NAMES = 1024
"""Size of the cache of recent lookups: a step looks the same few names up several times."""
HASH_MULTIPLIER = 0x9E3779B1
"""Fibonacci hashing: the upper bits of checksum * multiplier select the slot."""


class AccountIndex(Sequence[str]):
    """All account names, ordered by account index: 0, 1, 2, ... Names are unique, none is removed.

    >>> accounts = AccountIndex(["ann", "bob"])
    >>> accounts.add("cyd"), accounts.find("bob"), accounts.find("dan"), accounts[0]
    (2, 1, -1, 'ann')
    """

    __slots__ = ("_bytes", "_ends", "_recent", "_shift", "_slots")

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._bytes = bytearray()
        self._ends = array("Q", [0])
        self._slots = array("i", [-1]) * FIRST_SLOTS
        self._shift = 33 - FIRST_SLOTS.bit_length()
        self._recent: dict[str, int] = {}
        self.add_all(names)

    @classmethod
    def of_bytes(cls, text: bytes | memoryview, ends: bytes | memoryview) -> "AccountIndex":
        """Return the index of the names that `packed` returned."""
        index = cls()
        index._bytes = bytearray(text)
        index._ends = array("Q", bytes(ends))
        index._build(len(index))
        return index

    def __getstate__(self) -> tuple[np.ndarray, ...]:
        """Return what a copy takes: views, which pickle can copy apart from the rest."""
        slots = np.frombuffer(self._slots, np.int32)
        return np.frombuffer(self._bytes, np.uint8), np.frombuffer(self._ends, np.uint64), slots

    def __setstate__(self, state: tuple[np.ndarray, ...]) -> None:
        text, ends, slots = state
        self._bytes, self._recent = bytearray(text), {}
        self._ends, self._slots = array("Q", ends.tobytes()), array("i", slots.tobytes())
        self._shift = 33 - len(self._slots).bit_length()

    def packed(self) -> tuple[bytes, bytes]:
        """Return the UTF-8 bytes of all names, and where each ends: 0, then a uint64 each."""
        return bytes(self._bytes), self._ends.tobytes()

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
            self._ends = self._ends + array("Q", [len(self._bytes)])

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
