"""The book rebuilt from a journal, in two ways that must agree with every record.

By events: the book must change as its hash in the record says, or the record is not true. By
commands: the engine must return the recorded events, byte for byte, or another engine wrote them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from delever.core.book import Book
from delever.core.engine import is_internal_error, step
from delever.core.market.validation import Rejection
from delever.core.rules import RULE_SETS, RegisteredRules, RuleSet
from delever.core.rules.venues.superseded import SUPERSEDED, with_options
from delever.journal.chain import ChainVerifier, Finding, JournalProblem
from delever.journal.record import (
    EMPTY_HEAD,
    Head,
    Record,
    Segment,
    Snapshot,
    decode_command,
    decode_events,
    digest,
    encode_events,
)
from delever.journal.snapshot import decode_book
from delever.journal.sqlite import MAX_SEQUENCE, JournalError, SqliteJournal
from delever.rule_registry import digest_of

Progress = Callable[[int, int], None]
"""Called with (records done, records in total) from time to time, and at the end."""

PROGRESS_INTERVAL = 1000
"""Records between two calls of a progress callback."""

Registry = Mapping[str, RegisteredRules]
"""Rule sets of one's own by name, as `delever.registry` returns them."""

Dated = Mapping[str, RuleSet]
"""Superseded rule sets by dated name, such as `bybit@2026-11`."""

Advance = Callable[[Book, Record], Finding | None]


@dataclass(frozen=True, slots=True)
class Replay:
    """A rebuilt book: the snapshot it began after (0 for none) and the last record replayed.

    A replay stops before the first record with a problem, which is `finding`.
    """

    book: Book
    began_after: int
    head: Head
    finding: Finding | None

    @property
    def records(self) -> int:
        """How many records were replayed."""
        return self.head.sequence - self.began_after


def replay_events(
    journal: SqliteJournal,
    *,
    from_zero: bool = False,
    until: int = MAX_SEQUENCE,
    progress: Progress | None = None,
    registry: Registry | None = None,
) -> Replay:
    """Apply the recorded events, and compare the book's changes with the hash of each record."""
    advance = advance_by_events
    return replay(
        journal, advance, from_zero=from_zero, until=until, progress=progress, registry=registry
    )


def replay_commands(
    journal: SqliteJournal,
    *,
    from_zero: bool = False,
    until: int = MAX_SEQUENCE,
    progress: Progress | None = None,
    registry: Registry | None = None,
) -> Replay:
    """Run the recorded commands again, and compare events and changes with each record."""
    advance = advance_by_command
    return replay(
        journal, advance, from_zero=from_zero, until=until, progress=progress, registry=registry
    )


def replay(
    journal: SqliteJournal,
    advance: Advance,
    *,
    from_zero: bool,
    until: int,
    progress: Progress | None,
    registry: Registry | None = None,
    dated: Dated = SUPERSEDED,
) -> Replay:
    """Advance a book over the records after the newest usable snapshot, or over all of the file.

    The records of a segment are run with the rule sets that it names, today's or dated ones.
    """
    with journal.read_transaction():
        book, begin = base_book(journal) if from_zero else newest_book(journal, until)
        book.use_registry(registry or {})
        segments = {segment.first_sequence: segment for segment in journal.segments()}
        for segment in segments.values():
            if finding := segment_finding(segment):
                return Replay(book, begin.sequence, begin, finding)
            if segment.first_sequence <= begin.sequence:
                use_segment(book, segment, dated)
        chain, head, newest = ChainVerifier(begin), begin, journal.head()
        last = min(until, (newest or begin).sequence)
        for record in journal.records(begin.sequence, until):
            findings = chain.check(record)
            limit_ms = book.max_time_jump_ms
            if begins := segments.get(record.sequence):
                use_segment(book, begins, dated)
                book.max_time_jump_ms, limit_ms = limit_ms, book.max_time_jump_ms
            finding = findings[0] if findings else advance(book, record)
            if finding is not None:
                return Replay(book, begin.sequence, head, _explained(finding, segments, dated))
            book.max_time_jump_ms = limit_ms
            head = record.head
            at_interval = head.sequence % PROGRESS_INTERVAL == 0 or head.sequence == last
            if progress is not None and at_interval:
                progress(head.sequence - begin.sequence, last - begin.sequence)
    findings = chain.check_head(newest) if head.sequence < until else []
    return Replay(book, begin.sequence, head, findings[0] if findings else None)


def segment_finding(segment: Segment) -> Finding | None:
    """Return why the bytes of a segment cannot be trusted or read, or None."""
    sequence, place = segment.first_sequence, f"segment {segment.first_sequence}"
    problem = JournalProblem.SEGMENT_HASH_MISMATCH
    if segment.content_hash() != segment.hash:
        return Finding(sequence, problem, f"{place}: content does not match its hash")
    try:
        _ = segment.terms
    except msgspec.MsgspecError as error:
        return Finding(sequence, problem, f"{place}: is of another version: {error}")
    return None


def use_segment(book: Book, segment: Segment, dated: Dated = SUPERSEDED) -> None:
    """Give a book the terms of a segment: its limit of time, and its superseded rule sets."""
    terms = segment.terms
    found = {name: _rules_of(name, digest, dated) for name, digest in terms.rules.items()}
    superseded = {
        name: rules
        for name, rules in found.items()
        if rules is not None and rules is not RULE_SETS.get(name)
    }
    book.use_segment(terms.max_time_jump_ms, superseded)


def _rules_of(name: str, rules_digest: str, dated: Dated) -> RuleSet | None:
    """Return the rule set of a name with a digest, today's or a dated one; None where it is lost.

    A dated rule set is that of its name before the last `@`, also with options behind the name.
    """
    base = name.partition("+")[0]
    known = [RULE_SETS[name]] if name in RULE_SETS else []
    for key, rules in dated.items():
        dated_name = key.rpartition("@")[0]
        if dated_name == name:
            known.append(rules)
        elif dated_name == base and (composed := with_options(rules, name)):
            known.append(composed)
    return next((rules for rules in known if digest_of(rules) == rules_digest), None)


def _explained(finding: Finding, segments: Mapping[int, Segment], dated: Dated) -> Finding:
    """Return a mismatch of events as changed rules, where this version has not those of its day."""
    if finding.problem is not JournalProblem.EVENTS_MISMATCH:
        return finding
    first = max((first for first in segments if first <= finding.sequence), default=0)
    if not first:
        return finding
    terms = segments[first].terms
    lost = [name for name, key in terms.rules.items() if _rules_of(name, key, dated) is None]
    if not lost:
        return finding
    text = (
        f"record {finding.sequence}: was written by delever {terms.engine}, whose rules of "
        f"{', '.join(lost)} this version does not have; verify it with that version"
    )
    return Finding(finding.sequence, JournalProblem.RULES_CHANGED, text)


def newest_book(journal: SqliteJournal, until: int = MAX_SEQUENCE) -> tuple[Book, Head]:
    """Return the book of the newest usable snapshot and its head; the first book for none.

    A snapshot that is damaged, not linked to the chain, or of another version is ignored: the
    records before it give the same book, more slowly.
    """
    for snapshot in journal.snapshots(until):
        if snapshot_finding(journal, snapshot) is None:
            book = snapshot_book(snapshot)
            if book is not None:
                return book, Head(snapshot.sequence, snapshot.record_hash)
    return base_book(journal)


def base_book(journal: SqliteJournal) -> tuple[Book, Head]:
    """Return the book before the first record of a file: empty, or of the snapshot there.

    Raises JournalError where earlier records are in archives and that snapshot cannot be used.
    """
    base = journal.base()
    if base == EMPTY_HEAD:
        return Book(), EMPTY_HEAD
    snapshot = next(journal.snapshots(base.sequence), None)
    if snapshot is None or snapshot.sequence != base.sequence:
        problem = "is missing"
    elif finding := snapshot_finding(journal, snapshot):
        problem = f"cannot be used ({finding})"
    elif book := snapshot_book(snapshot):
        return book, base
    else:
        problem = "is of another version"
    raise JournalError(
        f"{journal.path}: records 1 to {base.sequence} are in archives, and the snapshot of record "
        f"{base.sequence} {problem}: restore the journal from its archives"
    )


def snapshot_finding(journal: SqliteJournal, snapshot: Snapshot) -> Finding | None:
    """Return why the bytes of a snapshot cannot be trusted, or None."""
    place = f"snapshot {snapshot.sequence}"
    if snapshot.content_hash() != snapshot.hash:
        text = f"{place}: content does not match its hash"
        return Finding(snapshot.sequence, JournalProblem.SNAPSHOT_HASH_MISMATCH, text)
    if snapshot.record_hash not in _hashes_at(journal, snapshot.sequence):
        text = f"{place}: does not belong to record {snapshot.sequence} of this journal"
        return Finding(snapshot.sequence, JournalProblem.SNAPSHOT_UNLINKED, text)
    return None


def _hashes_at(journal: SqliteJournal, sequence: int) -> set[bytes]:
    """Return the hash of a record, stored and of its content, or that of the base; may be empty."""
    record, base = journal.record(sequence), journal.base()
    if record is not None:
        return {record.hash, record.content_hash()}
    return {base.hash} if base.sequence == sequence else set()


def snapshot_book(snapshot: Snapshot) -> Book | None:
    """Return the book of a snapshot, or None if this version cannot decode it.

    The snapshot of another version has other fields, or numbers that are no longer valid.
    """
    try:
        return decode_book(snapshot.body)
    except (msgspec.MsgspecError, LookupError, ValueError, Rejection):
        return None


def advance_by_events(book: Book, record: Record) -> Finding | None:
    """Apply a record's events; return the first mismatch."""
    try:
        for event in decode_events(record.events):
            book.apply(event)
    except Exception as error:  # noqa: BLE001 - whatever a forged event breaks is the finding
        return _replay_failure(record, error)
    return _book_finding(book, record)


def advance_by_command(book: Book, record: Record) -> Finding | None:
    """Run a record's command again; return the first mismatch.

    A command that its record rejects with `internal_error` is taken as stated: the error may have
    been one of the engine of its day, or of its machine.
    """
    try:
        if is_internal_error(recorded := decode_events(record.events)):
            book.apply(recorded[0])
            return _book_finding(book, record)
        body = encode_events(step(book, decode_command(record.command)))
        difference = "" if body == record.events else _first_difference(record, body)
    except Exception as error:  # noqa: BLE001 - whatever a forged command breaks is the finding
        return _replay_failure(record, error)
    if difference:
        text = f"record {record.sequence}: the command gives other events now: {difference}"
        return Finding(record.sequence, JournalProblem.EVENTS_MISMATCH, text)
    return _book_finding(book, record)


def _book_finding(book: Book, record: Record) -> Finding | None:
    """Return how the book differs from its record, or None."""
    changes_hash = digest(book.take_changes())
    place = f"record {record.sequence}"
    if (book.sequence, book.time_ms) != (record.sequence, record.time_ms):
        text = f"{place}: the book is at sequence {book.sequence} and {book.time_ms} ms instead"
        return Finding(record.sequence, JournalProblem.BOOK_MISMATCH, text)
    if changes_hash != record.book_hash:
        text = f"{place}: the changes of the book do not match their hash"
        return Finding(record.sequence, JournalProblem.BOOK_MISMATCH, text)
    return None


def _replay_failure(record: Record, error: Exception) -> Finding:
    text = f"record {record.sequence}: cannot be replayed: {error!r}"
    return Finding(record.sequence, JournalProblem.REPLAY_FAILED, text)


def _first_difference(record: Record, body: bytes) -> str:
    """Return the first difference between the recorded events and the events now, as text."""
    recorded, now = decode_events(record.events), decode_events(body)
    for index, (was, is_now) in enumerate(zip(recorded, now, strict=False)):
        if was != is_now:
            return f"event {index} was {was!r} and is {is_now!r}"
    return f"{len(recorded)} events were recorded, {len(now)} follow now"
