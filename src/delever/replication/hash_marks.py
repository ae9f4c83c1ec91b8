"""Comparison of replicas: each one's marks are in the log, so every replica reads all of them.

A hash of the journal covers every earlier record, so equal last hashes mean equal journals. Where
they differ, the first differing record is in the mark itself.
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from delever.replication.command_group import MARK_HASH_BYTES, HashMark

MARK_EVERY = 1_000
"""Records between two marks of a replica."""

REMEMBERED_MARKS = 16
"""Newest marked sequences whose marks are compared; later marks of older ones are ignored."""


class Divergence(NamedTuple):
    """A replica's journal differs from this one's, first at a record.

    `own` and `other` are the shortened hashes of that record. `outvoted` is whether this replica
    is in the minority, or in neither camp's majority: it must stop then.
    """

    replica: str
    sequence: int
    own: bytes
    other: bytes
    outvoted: bool

    def __str__(self) -> str:
        return (
            f"record {self.sequence} is {self.own.hex()} here and {self.other.hex()} at replica "
            f"{self.replica}"
        )


class HashMarks:
    """The marks of the newest marked records; `own_hash` returns a record's hash, None if pruned.

    A replica that differs from more replicas than it agrees with, itself included, is outvoted at
    once. Of two equal camps, both are outvoted when a later mark still finds them equal: nobody can
    say which one is right, and a wrong answer costs more than none.

        >>> own = {1: b"a" * 8, 2: b"b" * 8}
        >>> marks = HashMarks("one", own.get)
        >>> marks.check(HashMark("two", 2, b"a" * 8 + b"b" * 8))
        >>> str(marks.check(HashMark("three", 2, b"a" * 8 + b"x" * 8)))
        'record 2 is 6262626262626262 here and 7878787878787878 at replica three'
    """

    def __init__(self, replica: str, own_hash: Callable[[int], bytes | None]) -> None:
        self._replica = replica
        self._own_hash = own_hash
        self._marks: dict[int, dict[str, HashMark]] = {}

    def check(self, mark: HashMark) -> Divergence | None:
        """Return where the journal of a mark's replica differs from this one, or None."""
        own = self._short(mark.sequence)
        if mark.replica == self._replica or own is None:
            return None
        self._marks.setdefault(mark.sequence, {})[mark.replica] = mark
        for sequence in sorted(self._marks)[:-REMEMBERED_MARKS]:
            del self._marks[sequence]
        if mark.hash_of(mark.sequence) == own:
            return None
        first = self._first_difference(mark)
        return Divergence(
            mark.replica,
            first,
            self._short(first) or b"",
            mark.hash_of(first),
            outvoted=self._is_outvoted(mark.sequence),
        )

    def _is_outvoted(self, newest: int) -> bool:
        """Return whether other journals outnumber those that equal this one, at any marked record.

        As many others as this one's are enough at a record before the newest.
        """
        for sequence, marks in self._marks.items():
            own = self._short(sequence)
            votes = Counter(mark.hash_of(sequence) == own for mark in marks.values())
            margin = votes[False] - (votes[True] + 1)
            if margin > 0 or (margin == 0 and sequence < newest):
                return True
        return False

    def _first_difference(self, mark: HashMark) -> int:
        """Return the first record of a mark that differs; all before it may differ, too."""
        for sequence in range(mark.first_sequence, mark.sequence):
            if self._short(sequence) != mark.hash_of(sequence):
                return sequence
        return mark.sequence

    def _short(self, sequence: int) -> bytes | None:
        whole = self._own_hash(sequence)
        return None if whole is None else whole[:MARK_HASH_BYTES]
