"""Every check of a journal: its chain, its snapshots, and its replays by events and by commands."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from delever.core.accounting.invariants import audit
from delever.core.book import Book
from delever.core.engine import is_internal_error
from delever.core.rules import RuleSet
from delever.journal.chain import (
    ChainVerifier,
    Finding,
    JournalProblem,
    Verification,
    hash_mismatch,
    moved_record,
)
from delever.journal.record import EMPTY_HEAD, Head, Record, Segment, decode_events
from delever.journal.replay import (
    PROGRESS_INTERVAL,
    Progress,
    Registry,
    advance_by_command,
    advance_by_events,
    replay,
    segment_finding,
    snapshot_book,
    snapshot_finding,
)
from delever.journal.snapshot import decode_book, encode_book
from delever.journal.sqlite import JournalError, SqliteJournal
from delever.rule_registry import registry

MAX_FINDINGS = 100
"""Verification of the chain ends after this many findings."""


@dataclass(slots=True)
class _State:
    """Results so far. `sound` is the last record up to which nothing is wrong."""

    progress: Progress | None
    passes: int
    registry: Registry = field(default_factory=dict)
    base: Head = EMPTY_HEAD
    head: Head | None = None
    records: int = 0
    sound: int = 0
    replayed: int = 0
    snapshots: list[int] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    internal_errors: list[int] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)

    def report_progress(self, finished_passes: int, done: int, records: int) -> None:
        """Report progress over all passes together."""
        if self.progress is not None:
            self.progress(finished_passes * records + done, self.passes * records)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn an error of reading the file into a finding."""
        try:
            yield
        except JournalError as error:
            text = f"after record {self.sound} the file is damaged: {error}"
            self.findings.append(Finding(self.sound, JournalProblem.FILE_DAMAGED, text))

    def verification(self) -> Verification:
        """Return the findings without repetitions, in order of sequence."""
        findings = sorted(dict.fromkeys(self.findings), key=lambda finding: finding.sequence)
        return Verification(
            self.records,
            len(self.snapshots),
            self.replayed,
            self.head,
            tuple(findings),
            tuple(self.internal_errors),
            tuple(self.segments),
            self.base,
        )


def verify(
    path: str | Path,
    *,
    deep: bool = True,
    progress: Progress | None = None,
    rule_sets: Iterable[RuleSet] = (),
) -> Verification:
    """Verify the whole chain and the snapshots; if deep, also replay by events and by commands.

    `rule_sets` are those of one's own that the journal's pools name.

    The file is only read, and may be in use. Problems are returned as findings, in order of
    sequence; replays stop before the first record with a problem.

        >>> import delever
        >>> commands = delever.read_scenario("examples/crash.ndjson")
        >>> with delever.Recorder.open(folder / "journal.db") as recorder:
        ...     events = recorder.submit(commands)
        >>> verification = delever.verify(folder / "journal.db")
        >>> verification.ok, verification.records == verification.replayed == len(commands)
        (True, True)
    """
    state = _State(progress, passes=3 if deep else 1, registry=registry(rule_sets))
    if not Path(path).is_file():
        text = f"{path}: there is no such file"
        state.findings.append(Finding(0, JournalProblem.FILE_MISSING, text))
        return state.verification()
    try:
        with SqliteJournal(path, readonly=True) as journal:
            _verify(journal, state, deep=deep)
    except JournalError as error:
        state.findings.append(Finding(0, JournalProblem.NOT_A_JOURNAL, str(error)))
    return state.verification()


def _verify(journal: SqliteJournal, state: _State, *, deep: bool) -> None:
    with journal.read_transaction(), state.reading():
        state.base, state.head = journal.base(), journal.head()
        state.sound = state.base.sequence
        _verify_chain(journal, state)
    with state.reading():
        _verify_segments(journal, state)
    with state.reading():
        _verify_snapshots(journal, state)
    if deep:
        with state.reading():
            _verify_replays(journal, state)
    with state.reading():
        damage = journal.damage()
        if damage is not None:
            text = f"SQLite reports: {damage}"
            state.findings.append(Finding(0, JournalProblem.FILE_DAMAGED, text))


def _verify_chain(journal: SqliteJournal, state: _State) -> None:
    """Check every record, the original places of mismatched ones, and the head."""
    chain = ChainVerifier(state.base)
    mismatched: list[Record] = []
    total = state.head.sequence - state.base.sequence if state.head else 0
    for record in journal.records():
        state.records += 1
        findings = chain.check(record)
        state.findings += findings
        if hash_mismatch(record.sequence) in findings:
            mismatched.append(record)
        if not state.findings:
            state.sound = record.sequence
        if state.records % PROGRESS_INTERVAL == 0:
            state.report_progress(0, state.records, total)
        if len(state.findings) >= MAX_FINDINGS:
            return
    state.findings += chain.check_head(state.head)
    state.report_progress(0, state.records, total)
    _find_moved_records(state, mismatched)


def _find_moved_records(state: _State, mismatched: list[Record]) -> None:
    """Replace the mismatch of a record that is intact at another damaged place by its move."""
    damaged = [finding.sequence for finding in state.findings]
    for record in mismatched:
        found = moved_record(record, damaged)
        if found is not None:
            state.findings[state.findings.index(hash_mismatch(record.sequence))] = found


def _verify_segments(journal: SqliteJournal, state: _State) -> None:
    """Check the hash of every segment and its link to the chain."""
    for segment in journal.segments():
        sequence = segment.first_sequence
        record = journal.record(sequence - 1)
        before = {EMPTY_HEAD.hash} if sequence == 1 else {segment.previous_hash}
        if record is not None:  # a missing record is a finding of its own
            before = {record.hash, record.content_hash()}
        if finding := segment_finding(segment):
            state.findings.append(finding)
        elif segment.previous_hash not in before:
            text = f"segment {sequence}: does not follow record {sequence - 1} of this journal"
            state.findings.append(Finding(sequence, JournalProblem.SEGMENT_UNLINKED, text))
        else:
            state.segments.append(segment)


def _verify_snapshots(journal: SqliteJournal, state: _State) -> None:
    """Check the hash of every snapshot and its link to the chain."""
    for snapshot in journal.snapshots():
        finding = snapshot_finding(journal, snapshot)
        if finding is None:
            state.snapshots.append(snapshot.sequence)
        else:
            state.findings.append(finding)


def _verify_replays(journal: SqliteJournal, state: _State) -> None:
    """Replay the sound records by events, comparing each snapshot on the way, and by commands."""

    def by_events(book: Book, record: Record) -> Finding | None:
        finding = advance_by_events(book, record)
        if is_internal_error(decode_events(record.events)):
            state.internal_errors.append(record.sequence)
        if finding is None and record.sequence in state.snapshots:
            state.findings += _compare_snapshot(journal, book)
        return finding

    reached = []
    for finished, advance in enumerate((by_events, advance_by_command), start=1):
        replayed = replay(
            journal,
            advance,
            from_zero=True,
            until=state.sound,
            progress=partial(state.report_progress, finished),
            registry=state.registry,
        )
        if replayed.finding is not None:
            state.findings.append(replayed.finding)
        elif advance is by_events:
            state.findings += _try_snapshot(replayed.book)
        reached.append(replayed.head.sequence)
    state.replayed = min(reached)


def _try_snapshot(book: Book) -> list[Finding]:
    """Return the finding that the next snapshot of a book could not be taken, or not be read."""
    try:
        audit(book)
        body = encode_book(book)
        problem = "" if encode_book(decode_book(body)) == body else "it is read as another book"
    except Exception as error:  # noqa: BLE001 - whatever a book breaks is the finding
        problem = repr(error)
    if not problem:
        return []
    text = f"record {book.sequence}: a snapshot of its book cannot be taken: {problem}"
    return [Finding(book.sequence, JournalProblem.SNAPSHOT_IMPOSSIBLE, text)]


def _compare_snapshot(journal: SqliteJournal, book: Book) -> list[Finding]:
    """Return the finding that a snapshot differs from the replayed book.

    A snapshot that this version cannot decode proves nothing, and is never used either.
    """
    snapshot = next(journal.snapshots(book.sequence))
    if snapshot_book(snapshot) is None or snapshot.body == encode_book(book):
        return []
    text = f"snapshot {book.sequence}: is not the book that the records make"
    return [Finding(book.sequence, JournalProblem.SNAPSHOT_BOOK_MISMATCH, text)]
