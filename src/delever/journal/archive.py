"""Retention: which snapshots stay, and old records moved to archives and back.

An archive is a journal: it has the chain of its records, and the snapshot before the first of them,
from which it is replayed. The rest of the journal begins with the snapshot of the archive's last
record. Archives and rest, in their order, are one chain; `restore` joins them to one file.
"""

import os
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from delever.core.rules import RuleSet
from delever.journal.chain import Finding, JournalProblem, Verification
from delever.journal.record import EMPTY_HEAD, Head
from delever.journal.replay import snapshot_book, snapshot_finding
from delever.journal.sqlite import JournalError, SqliteJournal
from delever.journal.verify import verify

RETAINED_RECORDS = 100_000
"""Default number of newest records that stay in a journal: those whose command ids run once."""


def archive(
    journal: str | Path,
    target: str | Path,
    *,
    retain: int = RETAINED_RECORDS,
    rule_sets: Iterable[RuleSet] = (),
) -> Head:
    """Copy the old records of a journal to a new file; return the last one of them.

    The file has the records up to the newest snapshot that leaves `retain` records. The journal is
    only read, and may be in use; its pools may name `rule_sets` of one's own. Raises JournalError
    where there is no such snapshot, where the target exists, and where the copy is not sound;
    nothing is left behind then.
    """
    with SqliteJournal(journal, readonly=True) as source:
        last = _last_to_archive(source, retain)
        _write_whole(Path(target), [source], last, rule_sets)
    return last


def _last_to_archive(source: SqliteJournal, retain: int) -> Head:
    """Return the record of the newest usable snapshot that leaves some records in a journal."""
    head, base = source.head() or EMPTY_HEAD, source.base()
    for snapshot in source.snapshots(head.sequence - retain):
        usable = snapshot_finding(source, snapshot) is None and snapshot_book(snapshot) is not None
        if usable and snapshot.sequence > base.sequence:
            return Head(snapshot.sequence, snapshot.record_hash)
    raise JournalError(
        f"{source.path}: has no snapshot that leaves {retain} of its "
        f"{head.sequence - base.sequence} records; there is nothing to archive"
    )


def prune(journal: str | Path, archived: str | Path, *, retain: int = RETAINED_RECORDS) -> Head:
    """Delete the records of a journal that an archive has; return the last one of them.

    No other process may write the journal. The chain of the archive is verified first, and that it
    is the beginning of this journal. Raises JournalError, with nothing deleted, where it is not,
    or where fewer than `retain` records would stay.
    """
    verification = verify(archived, deep=False)
    if not verification.ok or verification.head is None:
        raise JournalError(f"{archived}: is not sound: {verification.findings[0]}")
    last = verification.head
    with SqliteJournal(journal) as opened:
        if problem := _prune_problem(opened, verification, retain):
            raise JournalError(f"{archived}: {problem}")
        opened.prune(last)
        opened.compact()
    return last


def _prune_problem(journal: SqliteJournal, archived: Verification, retain: int) -> str:
    """Return why the records of an archive cannot be deleted from a journal, or ""."""
    head, last = journal.head() or EMPTY_HEAD, archived.head or EMPTY_HEAD
    if archived.base != journal.base():
        return f"does not begin at record {journal.base().sequence + 1}, where {journal.path} does"
    if last.sequence == 0 or journal.head_at(last.sequence) != last:
        return f"its record {last.sequence} is not one of {journal.path}"
    if head.sequence - last.sequence < retain:
        stay = f"less than {retain} records would stay in {journal.path}"
        return f"{stay}: use the retain of the archive, or wait for more records"
    snapshot = next(journal.snapshots(last.sequence), None)
    if snapshot is None or snapshot.sequence != last.sequence:
        missing = f"{journal.path} has no snapshot of record {last.sequence} (any more)"
        return f"{missing}: write a new archive, and use that one"
    if finding := snapshot_finding(journal, snapshot):
        return str(finding)
    return "" if snapshot_book(snapshot) else f"snapshot {last.sequence} is of another version"


def restore(
    target: str | Path, files: Sequence[str | Path], *, rule_sets: Iterable[RuleSet] = ()
) -> Head:
    """Join archives and the rest of a journal, oldest first, to one new file; return its head.

    Raises JournalError where one does not continue the one before, where the target exists, and
    where the result is not sound; nothing is left behind then.
    """
    sources = [SqliteJournal(file, readonly=True) for file in files]
    try:
        last = sources[-1].head()
        if last is None:
            raise JournalError(f"{files[-1]}: has no head")
        _write_whole(Path(target), sources, last, rule_sets)
    finally:
        for source in sources:
            source.close()
    return last


def _write_whole(
    target: Path, sources: Sequence[SqliteJournal], last: Head, rule_sets: Iterable[RuleSet]
) -> None:
    """Write a journal of the records of others, verify it, and only then name it `target`."""
    if target.exists():
        raise JournalError(f"{target}: exists already; choose another name")
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        with SqliteJournal(partial) as journal:
            for source in sources:
                journal.extend(source, last if source is sources[-1] else _head_of(source))
            journal.end_log()
        verification = verify(partial, rule_sets=rule_sets)
        if not verification.ok:
            raise JournalError(f"{target}: is not sound: {verification.findings[0]}")
        _sync(partial)
        partial.rename(target)
        _sync(target.parent)
    finally:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{partial}{suffix}").unlink(missing_ok=True)


def _head_of(source: SqliteJournal) -> Head:
    head = source.head()
    if head is None:
        raise JournalError(f"{source.path}: has no head")
    return head


def _sync(path: Path) -> None:
    """Write a file, or the names in a directory, to the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def link_findings(files: Sequence[str | Path]) -> list[Finding]:
    """Return where a file does not continue the one before: archives and rest, oldest first.

    Each file is verified by itself first. Where one begins with a snapshot, it must be the one with
    which the file before ends.
    """
    found = []
    for before, after in pairwise(files):
        with (
            SqliteJournal(before, readonly=True) as earlier,
            SqliteJournal(after, readonly=True) as later,
        ):
            head, base = earlier.head() or EMPTY_HEAD, later.base()
            place = f"{after}: does not continue {before}"
            if earlier.head_at(base.sequence) != base:
                ends = f"which ends at record {head.sequence}, not {base.sequence}"
                problem = JournalProblem.ARCHIVE_UNLINKED
                found.append(Finding(base.sequence, problem, f"{place}, {ends}"))
            elif _snapshot_hash(earlier, base) != _snapshot_hash(later, base):
                problem = JournalProblem.SNAPSHOT_BOOK_MISMATCH
                text = f"{place}: its first snapshot is another one"
                found.append(Finding(base.sequence, problem, text))
    return found


def _snapshot_hash(journal: SqliteJournal, at: Head) -> bytes | None:
    snapshot = next(journal.snapshots(at.sequence), None)
    return snapshot.hash if snapshot is not None and snapshot.sequence == at.sequence else None


# --- snapshots ---

NEWEST_SNAPSHOTS = 3
DAY_MS = 24 * 3_600_000


def superfluous_snapshots(journal: SqliteJournal) -> list[int]:
    """Return the sequences of snapshots beyond the newest three and the last of each UTC day.

    The snapshot before the first record of a journal is never one of them.
    """
    times = journal.snapshot_times()
    last_of_day = {time_ms // DAY_MS: sequence for sequence, time_ms in times}
    newest = {sequence for sequence, _ in times[-NEWEST_SNAPSHOTS:]}
    retained = newest.union(last_of_day.values())
    return [sequence for sequence, _ in times if sequence not in retained]
