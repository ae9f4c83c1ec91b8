"""Whether records follow one another: nothing changed, left out, put in or moved."""

from collections.abc import Iterable

from delever.journal.findings import Finding, Problem
from delever.journal.record import EMPTY, Head, Record


class Chain:
    """Checks records as they come, in order of sequence.

    A fault is told once, where it is: what stands after a record that is missing or changed is
    not held against it.
    """

    def __init__(self, start: Head = EMPTY) -> None:
        self.sequence = start.sequence
        self._hash: bytes | None = start.hash

    def check(self, record: Record) -> list[Finding]:
        """Return what is wrong with this record after the ones before."""
        if record.sequence <= self.sequence:
            return [_backwards(record.sequence, self.sequence)]
        findings = []
        follows = self._hash
        if record.sequence > self.sequence + 1:
            findings.append(missing(self.sequence + 1, record.sequence - 1))
            follows = None
        sealed = record.content_hash() == record.hash
        if not sealed:
            findings.append(changed_at(record.sequence))
        elif follows not in {None, record.previous_hash}:
            findings.append(_torn_off(record.sequence))
        self.sequence = record.sequence
        self._hash = record.hash if sealed else None
        return findings

    def check_head(self, head: Head | None) -> list[Finding]:
        """Return what is wrong at the end, where the journal says that its newest record is."""
        if head is None:
            text = f"the head is missing; the last record is {self.sequence}"
            return [Finding(self.sequence, Problem.HEAD_IS_MISSING, text)]
        if head.sequence > self.sequence:
            return [
                missing(self.sequence + 1, head.sequence, "at the end, but the head names more")
            ]
        if head.sequence < self.sequence:
            text = f"the head names record {head.sequence}, but record {self.sequence} is there"
            return [Finding(self.sequence, Problem.HEAD_DOES_NOT_MATCH, text)]
        if self._hash not in {None, head.hash}:
            text = f"the head does not match the hash of record {self.sequence}"
            return [Finding(self.sequence, Problem.HEAD_DOES_NOT_MATCH, text)]
        return []


def missing(first: int, last: int, where: str = "") -> Finding:
    """Return the finding that records are missing; at its sequence the gap begins."""
    gap = f"record {first} is" if first == last else f"records {first} to {last} are"
    return Finding(first, Problem.RECORD_IS_MISSING, f"{gap} missing {where}".rstrip())


def misplaced(record: Record, places: Iterable[int]) -> Finding | None:
    """Return the finding that a changed record is whole, but was written at one of the places."""
    for place in places:
        if record._replace(sequence=place).content_hash() == record.hash:
            text = f"record {record.sequence}: stands in the wrong place, it was record {place}"
            return Finding(record.sequence, Problem.RECORD_STANDS_IN_WRONG_PLACE, text)
    return None


def changed_at(sequence: int) -> Finding:
    """Return the finding that a record is not what was sealed."""
    text = f"record {sequence}: content does not match its hash"
    return Finding(sequence, Problem.RECORD_DOES_NOT_MATCH_ITS_HASH, text)


def _backwards(sequence: int, after: int) -> Finding:
    text = f"record {sequence}: stands in the wrong place, after record {after}"
    return Finding(sequence, Problem.RECORD_STANDS_IN_WRONG_PLACE, text)


def _torn_off(sequence: int) -> Finding:
    text = f"record {sequence}: does not follow record {sequence - 1}, which was replaced"
    return Finding(sequence, Problem.RECORD_DOES_NOT_FOLLOW, text)
