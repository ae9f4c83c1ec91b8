"""Proof of a journal: walk it, replay it, and say what is wrong and where."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from delever.core.book import Book
from delever.journal.chain import Chain, changed_at, misplaced
from delever.journal.findings import Finding, Problem, Verdict
from delever.journal.record import Head, Record
from delever.journal.replay import (
    EVERY,
    Progress,
    advance_by_command,
    advance_by_events,
    book_of,
    fault_of,
    replay,
)
from delever.journal.snapshot import encode_book
from delever.journal.sqlite import JournalError, SqliteJournal

MOST_FINDINGS = 100
"""A walk ends after this many: a file so broken has nothing more to say."""


@dataclass(slots=True)
class _Walk:
    """What has been seen so far. `sound` is the last record before which nothing is wrong."""

    progress: Progress | None
    passes: int
    head: Head | None = None
    records: int = 0
    sound: int = 0
    replayed: int = 0
    snapshots: list[int] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def tell(self, finished_passes: int, done: int, records: int) -> None:
        """Report progress over all passes together."""
        if self.progress is not None:
            self.progress(finished_passes * records + done, self.passes * records)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn a file that cannot be read on into a finding."""
        try:
            yield
        except JournalError as error:
            text = f"after record {self.sound} the file is damaged: {error}"
            self.findings.append(Finding(self.sound, Problem.FILE_IS_DAMAGED, text))

    def verdict(self) -> Verdict:
        """Return what was found, each thing once, in order of sequence."""
        findings = sorted(dict.fromkeys(self.findings), key=lambda finding: finding.sequence)
        return Verdict(self.records, len(self.snapshots), self.replayed, self.head, tuple(findings))


def verify(path: str | Path, *, deep: bool = True, progress: Progress | None = None) -> Verdict:
    """Walk the whole chain and the snapshots; if deep, replay all by events and by commands.

    The file is only read, and may be in use. What is wrong comes back as findings, in order of
    sequence; replays stop before the first record that is wrong.
    """
    walk = _Walk(progress, passes=3 if deep else 1)
    if not Path(path).is_file():
        text = f"{path}: there is no such file"
        walk.findings.append(Finding(0, Problem.FILE_IS_MISSING, text))
        return walk.verdict()
    try:
        with SqliteJournal(path, readonly=True) as journal:
            _verify(journal, walk, deep=deep)
    except JournalError as error:
        walk.findings.append(Finding(0, Problem.FILE_IS_NOT_A_JOURNAL, str(error)))
    return walk.verdict()


def _verify(journal: SqliteJournal, walk: _Walk, *, deep: bool) -> None:
    with journal.held_still(), walk.reading():
        walk.head = journal.head()
        _follow_chain(journal, walk)
    with walk.reading():
        _check_snapshots(journal, walk)
    if deep:
        with walk.reading():
            _replay_both_ways(journal, walk)
    with walk.reading():
        damage = journal.damage()
        if damage is not None:
            walk.findings.append(Finding(0, Problem.FILE_IS_DAMAGED, f"SQLite says: {damage}"))


def _follow_chain(journal: SqliteJournal, walk: _Walk) -> None:
    """Check every record, the places of those that changed, and the head."""
    chain = Chain()
    changed: list[Record] = []
    total = walk.head.sequence if walk.head else 0
    for record in journal.records():
        walk.records += 1
        faults = chain.check(record)
        walk.findings += faults
        if changed_at(record.sequence) in faults:
            changed.append(record)
        if not walk.findings:
            walk.sound = record.sequence
        if walk.records % EVERY == 0:
            walk.tell(0, walk.records, total)
        if len(walk.findings) >= MOST_FINDINGS:
            return
    walk.findings += chain.check_head(walk.head)
    walk.tell(0, walk.records, total)
    _find_places(walk, changed)


def _find_places(walk: _Walk, changed: list[Record]) -> None:
    """Say of each changed record whether it is whole, but was written where another is broken."""
    broken = [finding.sequence for finding in walk.findings]
    for record in changed:
        found = misplaced(record, broken)
        if found is not None:
            walk.findings[walk.findings.index(changed_at(record.sequence))] = found


def _check_snapshots(journal: SqliteJournal, walk: _Walk) -> None:
    """Check every snapshot's hash and its place in the chain."""
    for snapshot in journal.snapshots():
        fault = fault_of(journal, snapshot)
        if fault is None:
            walk.snapshots.append(snapshot.sequence)
        else:
            walk.findings.append(fault)


def _replay_both_ways(journal: SqliteJournal, walk: _Walk) -> None:
    """Replay the sound records by events, comparing each snapshot on the way, and by commands."""

    def by_events(book: Book, record: Record) -> Finding | None:
        finding = advance_by_events(book, record)
        if finding is None and record.sequence in walk.snapshots:
            walk.findings += _compare_snapshot(journal, book)
        return finding

    reached = []
    for finished, advance in enumerate((by_events, advance_by_command), start=1):
        replayed = replay(
            journal,
            advance,
            from_zero=True,
            until=walk.sound,
            progress=partial(walk.tell, finished),
        )
        if replayed.finding is not None:
            walk.findings.append(replayed.finding)
        reached.append(replayed.head.sequence)
    walk.replayed = min(reached)


def _compare_snapshot(journal: SqliteJournal, book: Book) -> list[Finding]:
    """Return the finding that a snapshot is not the book that its records make.

    One that this version cannot read proves nothing: it is never used either.
    """
    snapshot = next(journal.snapshots(book.sequence))
    if book_of(snapshot) is None or snapshot.body == encode_book(book):
        return []
    text = f"snapshot {book.sequence}: is not the book that the records make"
    return [Finding(book.sequence, Problem.SNAPSHOT_DIFFERS, text)]
