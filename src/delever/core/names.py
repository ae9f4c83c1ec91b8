"""Account names <-> account numbers, a few bytes each beside the letters themselves.

A list and a dictionary of a million names would weigh more than the positions of their holders. So
the letters stand one after the other, and a table with open addressing finds the number.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import overload
from zlib import crc32

FIRST_SLOTS = 32
SPREAD = 0x9E3779B1
"""Takes the checksum of a name to its slot, by the upper bits of their product."""


class Names(Sequence[str]):
    """Names in order of their numbers, from 0; each stands once. It only grows."""

    __slots__ = ("_ends", "_letters", "_shift", "_slots")

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._letters = bytearray()
        self._ends = array("Q", [0])
        self._slots = array("i", [-1]) * FIRST_SLOTS
        self._shift = 33 - FIRST_SLOTS.bit_length()
        for name in names:
            self.add(name)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> list[str]: ...
    def __getitem__(self, number: int | slice) -> str | list[str]:
        """Return the name of a number; IndexError where there is none."""
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        if number < 0 or number >= len(self):
            raise IndexError(number)
        return self._letters_of(number).decode("utf-8", "surrogatepass")

    def _letters_of(self, number: int) -> bytearray:
        return self._letters[self._ends[number] : self._ends[number + 1]]

    def find(self, name: str) -> int:
        """Return the number of a name, or -1."""
        return self._slots[self._place(name.encode("utf-8", "surrogatepass"))]

    def add(self, name: str) -> int:
        """Return the number of a name, the next one where it is new."""
        letters = name.encode("utf-8", "surrogatepass")
        place = self._place(letters)
        if self._slots[place] < 0:
            self._slots[place] = len(self)
            self._letters += letters
            self._ends.append(len(self._letters))
            if 4 * len(self) > 3 * len(self._slots):
                self._widen()
                return len(self) - 1
        return self._slots[place]

    def _place(self, letters: bytes) -> int:
        """Return the slot of a name, or the free one that it would take."""
        slots, last = self._slots, len(self._slots) - 1
        place = (crc32(letters) * SPREAD & 0xFFFFFFFF) >> self._shift
        while (number := slots[place]) >= 0 and self._letters_of(number) != letters:
            place = (place + 1) & last
        return place

    def _widen(self) -> None:
        """Double the table, which keeps a search short."""
        size = 2 * len(self._slots)
        self._slots = array("i", [-1]) * size
        self._shift -= 1
        for number in range(len(self)):
            self._slots[self._place(bytes(self._letters_of(number)))] = number


class NumberOf(Mapping[str, int]):
    """The numbers of names, as a mapping."""

    __slots__ = ("_names",)

    def __init__(self, names: Names) -> None:
        self._names = names

    def __getitem__(self, name: str) -> int:
        """Return the number of a name; KeyError where it is not known."""
        number = self._names.find(name)
        if number < 0:
            raise KeyError(name)
        return number

    def get(self, name: str, default: int | None = None) -> int | None:  # type: ignore[override]
        """Return the number of a name, or the default."""
        number = self._names.find(name)
        return default if number < 0 else number

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._names.find(name) >= 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
