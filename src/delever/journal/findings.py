"""What can be wrong with a journal: values that name the place, never exceptions."""

from dataclasses import dataclass
from enum import StrEnum

from delever.journal.record import Head


class Problem(StrEnum):
    """What is wrong; each reads as a predicate."""

    FILE_IS_MISSING = "file_is_missing"
    FILE_IS_NOT_A_JOURNAL = "file_is_not_a_journal"
    FILE_IS_DAMAGED = "file_is_damaged"
    HEAD_IS_MISSING = "head_is_missing"
    HEAD_DOES_NOT_MATCH = "head_does_not_match"
    RECORD_IS_MISSING = "record_is_missing"
    RECORD_DOES_NOT_MATCH_ITS_HASH = "record_does_not_match_its_hash"
    RECORD_STANDS_IN_WRONG_PLACE = "record_stands_in_wrong_place"
    RECORD_DOES_NOT_FOLLOW = "record_does_not_follow"
    RECORD_CANNOT_BE_REPLAYED = "record_cannot_be_replayed"
    BOOK_DIFFERS = "book_differs"
    EVENTS_DIFFER = "events_differ"
    SNAPSHOT_DOES_NOT_MATCH_ITS_HASH = "snapshot_does_not_match_its_hash"
    SNAPSHOT_DOES_NOT_BELONG = "snapshot_does_not_belong"
    SNAPSHOT_DIFFERS = "snapshot_differs"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: at which record (0 for the file itself), what, and in words."""

    sequence: int
    problem: Problem
    detail: str

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification walked over, and what it found.

    `replayed` is the last record up to which both replays agreed; 0 where none were asked for.
    `head` is the last record the journal claims: compare it with a copy kept elsewhere, because a
    file put back as a whole to an earlier state is a sound, shorter journal.
    """

    records: int
    snapshots: int
    replayed: int
    head: Head | None
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings
