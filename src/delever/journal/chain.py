"""The chain of records: whether anything was changed, removed, inserted or moved, and where.

Findings are values that name the place and the problem, never exceptions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from delever.journal.record import EMPTY_HEAD, Head, Record, Segment


class JournalProblem(StrEnum):
    """What is wrong with a journal."""

    FILE_MISSING = "file_missing"
    NOT_A_JOURNAL = "not_a_journal"
    FILE_DAMAGED = "file_damaged"
    HEAD_MISSING = "head_missing"
    HEAD_MISMATCH = "head_mismatch"
    ARCHIVE_UNLINKED = "archive_unlinked"
    RECORD_MISSING = "record_missing"
    RECORD_HASH_MISMATCH = "record_hash_mismatch"
    RECORD_OUT_OF_ORDER = "record_out_of_order"
    RECORD_UNLINKED = "record_unlinked"
    REPLAY_FAILED = "replay_failed"
    BOOK_MISMATCH = "book_mismatch"
    EVENTS_MISMATCH = "events_mismatch"
    RULES_CHANGED = "rules_changed"
    SEGMENT_HASH_MISMATCH = "segment_hash_mismatch"
    SEGMENT_UNLINKED = "segment_unlinked"
    SNAPSHOT_HASH_MISMATCH = "snapshot_hash_mismatch"
    SNAPSHOT_UNLINKED = "snapshot_unlinked"
    SNAPSHOT_BOOK_MISMATCH = "snapshot_book_mismatch"
    SNAPSHOT_IMPOSSIBLE = "snapshot_impossible"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a journal: the record (0 for the file itself), the problem, and a sentence."""

    sequence: int
    problem: JournalProblem
    detail: str

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True, slots=True)
class Verification:
    """The outcome of verifying a journal.

    `replayed` is the last record up to which both replays agreed; 0 without a deep verification.
    `internal_errors` are the records of commands that the engine could not run and rejected, where
    the verification was deep.

    `base` is the last record before those of the file: the earlier ones are in archives.

    `head` is the newest record that the journal claims to have. Compare it with a copy stored
    elsewhere: a file replaced as a whole by an earlier version is a sound, shorter journal.
    """

    records: int
    snapshots: int
    replayed: int
    head: Head | None
    findings: tuple[Finding, ...]
    internal_errors: tuple[int, ...] = ()
    segments: tuple[Segment, ...] = ()
    base: Head = EMPTY_HEAD

    @property
    def ok(self) -> bool:
        """Whether there are no findings."""
        return not self.findings


class ChainVerifier:
    """Checks records one by one, in order of sequence.

    Each problem is reported once, at its own record: the records after a missing or changed one
    are checked against themselves, so that one change does not spoil all that follow.
    """

    def __init__(self, start: Head = EMPTY_HEAD) -> None:
        self.sequence = start.sequence
        self._hash: bytes | None = start.hash

    def check(self, record: Record) -> list[Finding]:
        """Return the findings about the next record."""
        if record.sequence <= self.sequence:
            return [_out_of_order(record.sequence, self.sequence)]
        findings = []
        expected = self._hash
        if record.sequence > self.sequence + 1:
            findings.append(_missing(self.sequence + 1, record.sequence - 1))
            expected = None
        intact = record.content_hash() == record.hash
        if not intact:
            findings.append(hash_mismatch(record.sequence))
        elif expected not in {None, record.previous_hash}:
            findings.append(_unlinked(record.sequence))
        self.sequence = record.sequence
        self._hash = record.hash if intact else None
        return findings

    def check_head(self, head: Head | None) -> list[Finding]:
        """Return the findings about the head, once every record has been checked."""
        if head is None:
            text = f"the head is missing; the last record is {self.sequence}"
            return [Finding(self.sequence, JournalProblem.HEAD_MISSING, text)]
        if head.sequence > self.sequence:
            return [
                _missing(self.sequence + 1, head.sequence, "at the end, but the head names more")
            ]
        if head.sequence < self.sequence:
            text = f"the head names record {head.sequence}, but record {self.sequence} exists"
            return [Finding(self.sequence, JournalProblem.HEAD_MISMATCH, text)]
        if self._hash not in {None, head.hash}:
            text = f"the head does not match the hash of record {self.sequence}"
            return [Finding(self.sequence, JournalProblem.HEAD_MISMATCH, text)]
        return []


def hash_mismatch(sequence: int) -> Finding:
    """Return the finding that a record's content is not what was hashed."""
    text = f"record {sequence}: content does not match its hash"
    return Finding(sequence, JournalProblem.RECORD_HASH_MISMATCH, text)


def moved_record(record: Record, sequences: Iterable[int]) -> Finding | None:
    """Return the finding that a mismatched record is intact under one of the sequences, or None."""
    for sequence in sequences:
        if record._replace(sequence=sequence).content_hash() == record.hash:
            text = f"record {record.sequence}: is out of order, it was record {sequence}"
            return Finding(record.sequence, JournalProblem.RECORD_OUT_OF_ORDER, text)
    return None


def _missing(first: int, last: int, where: str = "") -> Finding:
    """Return the finding that records are missing, at the first of them."""
    gap = f"record {first} is" if first == last else f"records {first} to {last} are"
    return Finding(first, JournalProblem.RECORD_MISSING, f"{gap} missing {where}".rstrip())


def _out_of_order(sequence: int, previous: int) -> Finding:
    text = f"record {sequence}: is out of order, after record {previous}"
    return Finding(sequence, JournalProblem.RECORD_OUT_OF_ORDER, text)


def _unlinked(sequence: int) -> Finding:
    text = f"record {sequence}: does not follow record {sequence - 1}, which was replaced"
    return Finding(sequence, JournalProblem.RECORD_UNLINKED, text)
