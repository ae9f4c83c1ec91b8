"""Account names <-> account numbers, a few bytes each beside the letters themselves.

A list and a dictionary of a million names would weigh more than the positions of their holders. So
the letters stand one after the other, and a table with open addressing finds the number.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload
from zlib import crc32

FIRST_SLOTS = 32
RECENT = 1024
"""How many names found last are found at once again: a step asks for the same few over and over."""
SPREAD = 0x9E3779B1
"""Takes the checksum of a name to its slot, by the upper bits of their product."""


class Names(Sequence[str]):
    """Names in order of their numbers, from 0; each stands once. It only grows."""

    __slots__ = ("_ends", "_letters", "_recent", "_shift", "_slots")

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._letters = bytearray()
        self._ends = array("Q", [0])
        self._slots = array("i", [-1]) * FIRST_SLOTS
        self._shift = 33 - FIRST_SLOTS.bit_length()
        self._recent: dict[str, int] = {}
        self.add_all(names)

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
        letters = self._letters[self._ends[number] : self._ends[number + 1]]
        return letters.decode("utf-8", "surrogatepass")

    def of(self, numbers: Iterable[int]) -> list[str]:
        """Return the names of numbers that are known."""
        letters, ends = self._letters, self._ends
        return [letters[ends[n] : ends[n + 1]].decode("utf-8", "surrogatepass") for n in numbers]

    def find(self, name: str) -> int:
        """Return the number of a name, or -1."""
        number = self._recent.get(name)
        if number is None:
            number = self.find_all((name,))[0]
            if number >= 0:
                if len(self._recent) >= RECENT:
                    self._recent.clear()
                self._recent[name] = number
        return number

    def find_all(self, names: Iterable[str]) -> list[int]:
        """Return the number of each name, or -1."""
        letters, ends, slots = self._letters, self._ends, self._slots
        shift, last = self._shift, len(slots) - 1
        found = []
        for name in names:
            sought = name.encode("utf-8", "surrogatepass")
            place = (crc32(sought) * SPREAD & 0xFFFFFFFF) >> shift
            while (number := slots[place]) >= 0:
                if letters[ends[number] : ends[number + 1]] == sought:
                    break
                place = (place + 1) & last
            found.append(number)
        return found

    def add(self, name: str) -> int:
        """Return the number of a name, the next one where it is new."""
        return self.add_all((name,))[0]

    def add_all(self, names: Sequence[str]) -> list[int]:
        """Return the number of each name, the next one where it is new."""
        self._widen(len(self) + len(names))
        letters, ends, slots = self._letters, self._ends, self._slots
        shift, last = self._shift, len(slots) - 1
        numbers = []
        for name in names:
            sought = name.encode("utf-8", "surrogatepass")
            place = (crc32(sought) * SPREAD & 0xFFFFFFFF) >> shift
            while (number := slots[place]) >= 0:
                if letters[ends[number] : ends[number + 1]] == sought:
                    break
                place = (place + 1) & last
            if number < 0:
                number = slots[place] = len(ends) - 1
                letters += sought
                ends.append(len(letters))
            numbers.append(number)
        return numbers

    def _widen(self, size: int) -> None:
        """Have a table for so many names, with room that keeps a search short."""
        slots = len(self._slots)
        while 4 * size > 3 * slots:
            slots, self._shift = 2 * slots, self._shift - 1
        if slots == len(self._slots):
            return
        held = list(self)
        self._letters, self._ends = bytearray(), array("Q", [0])
        self._slots = array("i", [-1]) * slots
        self.add_all(held)


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
