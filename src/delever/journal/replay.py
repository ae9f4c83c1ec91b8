"""The book again, from what was recorded.

By events: the book must change as it did then, or the record is not true. By commands: the engine
must decide as it did then, byte for byte, or it is not the engine that decided.
"""

from collections.abc import Callable
from dataclasses import dataclass

from delever.core.book import Book
from delever.core.engine import step
from delever.journal.chain import Chain
from delever.journal.codec import decode_command, decode_events, encode_events
from delever.journal.findings import Finding, Problem
from delever.journal.record import EMPTY, Head, Record, Snapshot, digest
from delever.journal.snapshot import decode_book
from delever.journal.sqlite import LAST, SqliteJournal

Progress = Callable[[int, int], None]
"""Is told (records done, records in all) now and then, and at the end."""

EVERY = 1000
"""Records between two reports of progress."""

Advance = Callable[[Book, Record], Finding | None]


@dataclass(frozen=True, slots=True)
class Replay:
    """A book replayed: after which snapshot it began (0: from nothing), and how far it came.

    It stops before the first record that is wrong; `finding` says what is wrong with it.
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
    until: int = LAST,
    progress: Progress | None = None,
) -> Replay:
    """Apply the recorded events, and compare the book's hash with that of every record."""
    return replay(journal, advance_by_events, from_zero=from_zero, until=until, progress=progress)


def replay_commands(
    journal: SqliteJournal,
    *,
    from_zero: bool = False,
    until: int = LAST,
    progress: Progress | None = None,
) -> Replay:
    """Run the recorded commands again, and compare events and book with those of every record."""
    return replay(journal, advance_by_command, from_zero=from_zero, until=until, progress=progress)


def replay(
    journal: SqliteJournal,
    advance: Advance,
    *,
    from_zero: bool,
    until: int,
    progress: Progress | None,
) -> Replay:
    """Advance a book over the records after the newest usable snapshot, or over all of them."""
    with journal.held_still():
        book, begin = (Book(), EMPTY) if from_zero else newest_book(journal, until)
        chain, head, newest = Chain(begin), begin, journal.head()
        last = min(until, (newest or begin).sequence)
        for record in journal.records(begin.sequence, until):
            faults = chain.check(record)
            finding = faults[0] if faults else advance(book, record)
            if finding is not None:
                return Replay(book, begin.sequence, head, finding)
            head = record.head
            if progress is not None and (head.sequence % EVERY == 0 or head.sequence == last):
                progress(head.sequence - begin.sequence, last - begin.sequence)
    faults = chain.check_head(newest) if head.sequence < until else []
    return Replay(book, begin.sequence, head, faults[0] if faults else None)


def newest_book(journal: SqliteJournal, until: int = LAST) -> tuple[Book, Head]:
    """Return the book of the newest usable snapshot and where it stands; an empty one for none.

    A snapshot that is damaged, does not belong to the chain or is of another version is passed
    over: the records before it say the same, at the cost of time.
    """
    for snapshot in journal.snapshots(until):
        if fault_of(journal, snapshot) is None:
            book = book_of(snapshot)
            if book is not None:
                return book, Head(snapshot.sequence, snapshot.record_hash)
    return Book(), EMPTY


def fault_of(journal: SqliteJournal, snapshot: Snapshot) -> Finding | None:
    """Return why a snapshot's bytes cannot be trusted, or None."""
    place = f"snapshot {snapshot.sequence}"
    if snapshot.content_hash() != snapshot.hash:
        text = f"{place}: content does not match its hash"
        return Finding(snapshot.sequence, Problem.SNAPSHOT_DOES_NOT_MATCH_ITS_HASH, text)
    record = journal.record(snapshot.sequence)
    if record is None or snapshot.record_hash not in {record.hash, record.content_hash()}:
        text = f"{place}: does not belong to record {snapshot.sequence} of this journal"
        return Finding(snapshot.sequence, Problem.SNAPSHOT_DOES_NOT_BELONG, text)
    return None


def book_of(snapshot: Snapshot) -> Book | None:
    """Return the book of a snapshot, or None where this version cannot read it."""
    try:
        return decode_book(snapshot.body)
    except Exception:  # noqa: BLE001 - another version's snapshot may fail anywhere
        return None


def advance_by_events(book: Book, record: Record) -> Finding | None:
    """Apply a record's events; return what differs then."""
    try:
        for event in decode_events(record.events):
            book.apply(event)
    except Exception as error:  # noqa: BLE001 - whatever a forged event breaks is the finding
        return _unplayable(record, error)
    return _compare(book, record)


def advance_by_command(book: Book, record: Record) -> Finding | None:
    """Run a record's command again; return what differs then."""
    try:
        body = encode_events(step(book, decode_command(record.command)))
        difference = "" if body == record.events else _first_difference(record, body)
    except Exception as error:  # noqa: BLE001 - whatever a forged command breaks is the finding
        return _unplayable(record, error)
    if difference:
        text = f"record {record.sequence}: the command gives other events now: {difference}"
        return Finding(record.sequence, Problem.EVENTS_DIFFER, text)
    return _compare(book, record)


def _compare(book: Book, record: Record) -> Finding | None:
    """Return how the book differs from what was recorded of it."""
    changes_hash = digest(book.take_changes())
    place = f"record {record.sequence}"
    if (book.sequence, book.time_ms) != (record.sequence, record.time_ms):
        text = f"{place}: the book stands at {book.sequence} and {book.time_ms} ms instead"
        return Finding(record.sequence, Problem.BOOK_DIFFERS, text)
    if changes_hash != record.book_hash:
        text = f"{place}: the book changed otherwise than its hash says"
        return Finding(record.sequence, Problem.BOOK_DIFFERS, text)
    return None


def _unplayable(record: Record, error: Exception) -> Finding:
    text = f"record {record.sequence}: cannot be replayed: {error!r}"
    return Finding(record.sequence, Problem.RECORD_CANNOT_BE_REPLAYED, text)


def _first_difference(record: Record, body: bytes) -> str:
    """Return where two lists of events part, in words."""
    recorded, now = decode_events(record.events), decode_events(body)
    for index, (was, is_now) in enumerate(zip(recorded, now, strict=False)):
        if was != is_now:
            return f"event {index} was {was!r} and is {is_now!r}"
    return f"{len(recorded)} events were recorded, {len(now)} follow now"
