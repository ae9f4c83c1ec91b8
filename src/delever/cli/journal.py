"""Rebuild a book from a journal, and verify the journal."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from delever.cli import ExitCode, UsageError
from delever.cli.output import log, progress, write, write_sections
from delever.lab.errors import InputError

if TYPE_CHECKING:
    from delever.journal import Finding, Verification

JournalPath = Annotated[Path, Parameter(help="Journal file, as written by `run --journal`.")]
Json = Annotated[bool, Parameter(negative="", help="Write JSON instead of tables.")]


def replay(
    journal: JournalPath,
    /,
    *,
    by: Annotated[
        Literal["events", "commands", "both"], Parameter(help="What the book is rebuilt from.")
    ] = "both",
    until: Annotated[
        int | None, Parameter(help="Last record to replay.", validator=Number(gte=1))
    ] = None,
    json: Json = False,
) -> int:
    """Rebuild the book from a journal and compare it with every record.

    By events: apply the recorded events. By commands: run the engine again.
    """
    from delever.journal import replay as replays  # noqa: PLC0415 - slow to import
    from delever.journal.sqlite import MAX_SEQUENCE, SqliteJournal  # noqa: PLC0415
    from delever.lab.runs.run import pool_totals  # noqa: PLC0415
    from delever.rule_registry import installed_rule_sets, registry  # noqa: PLC0415

    methods = {"events": replays.replay_events, "commands": replays.replay_commands}
    last = MAX_SEQUENCE if until is None else until
    own, results = registry(installed_rule_sets()), {}
    with readable(journal), SqliteJournal(journal, readonly=True) as opened:
        for method in methods if by == "both" else (by,):
            with progress(f"replay by {method}") as report_progress:
                results[method] = methods[method](
                    opened, from_zero=True, until=last, progress=report_progress, registry=own
                )
    rows = [
        {
            "by": method,
            "records": result.records,
            "time_ms": result.book.time_ms,
            "finding": str(result.finding or "") or "agrees",
            "head": result.head.hash.hex(),
        }
        for method, result in results.items()
    ]
    book = next(iter(results.values())).book
    sections = {"replays": rows, "pools": [*map(msgspec.structs.asdict, pool_totals(book))]}
    metadata = {"journal": str(journal)}
    write_sections(sections, json=json, schema="delever.replay/1", metadata=metadata)
    differs = any(result.finding for result in results.values())
    return ExitCode.CHECK_FAILED if differs else ExitCode.SUCCESS


def verify(
    journal: JournalPath,
    /,
    *rest: Annotated[
        Path, Parameter(help="Files that continue it: archives first, then the rest.")
    ],
    deep: Annotated[
        bool, Parameter(help="Also replay every record, by events and by commands.")
    ] = True,
    plans: Annotated[
        Path | None,
        Parameter(help="Directory of certificates: also prove the plans of allocate_adl again."),
    ] = None,
    json: Json = False,
) -> int:
    """Verify a journal: its hash chain, its snapshots, and both replays.

    Several files are archives and the rest of one journal, oldest first.
    """
    from delever.journal import verify as verify_journal  # noqa: PLC0415 - slow to import
    from delever.journal.archive import link_findings  # noqa: PLC0415
    from delever.rule_registry import installed_rule_sets  # noqa: PLC0415

    files = (journal, *rest)
    for file in files:
        if not file.is_file():
            raise InputError("not found", file=str(file))
    own, found = installed_rule_sets(), []
    for file in files:
        with progress(f"verify {file.name}") as report_progress:
            found.append(verify_journal(file, deep=deep, progress=report_progress, rule_sets=own))
    sound = all(verification.ok for verification in found)
    links = link_findings(files) if sound else []
    verdict = _write_verdict(files, found, links, json=json)
    if plans is None:
        return verdict
    return verdict or _write_plans(journal, plans, json=json)


def _write_plans(journal: Path, folder: Path, *, json: bool) -> int:
    """Write what is proved of each plan; the exit code is 3 where one is not proved."""
    from delever.lab.policies.plans.live.plan_verification import verify_plans  # noqa: PLC0415 - slow to import
    from delever.rule_registry import installed_rule_sets  # noqa: PLC0415

    table = verify_plans(journal, folder, rule_sets=installed_rule_sets())
    metadata = {"journal": str(journal), "certificates": str(folder)}
    sections = {"plans": table.to_dicts()}
    write_sections(sections, json=json, schema="delever.verify.plans/1", metadata=metadata)
    return ExitCode.CHECK_FAILED if (table["finding"] != "").any() else ExitCode.SUCCESS


def _distinct(parts: Iterable[tuple[int, int]]) -> int:
    """Return how many records there are in parts of a journal, (base, records), that may overlap.

    >>> _distinct([(0, 10), (6, 8)])
    14
    """
    counted = reached = 0
    for base, records in parts:
        last = base + records
        counted += max(last - max(reached, base), 0)
        reached = max(reached, last)
    return counted


def _write_verdict(
    files: Sequence[Path],
    found: Sequence["Verification"],
    links: Sequence["Finding"],
    *,
    json: bool,
) -> int:
    """Write the findings of all files, and the outcome; return the exit code."""
    findings = [finding for verification in found for finding in verification.findings] + [*links]
    rows = [
        {"record": finding.sequence, "problem": str(finding.problem), "detail": finding.detail}
        for finding in findings
    ]
    first, last = found[0], found[-1]
    errors = [record for verification in found for record in verification.internal_errors]
    metadata = {
        "journal": str(files[-1]),
        "ok": not findings,
        "first_record": first.base.sequence + 1,
        "records": _distinct((each.base.sequence, each.records) for each in found),
        "snapshots": sum(verification.snapshots for verification in found),
        "replayed": last.replayed,
        "head": last.head.hash.hex() if last.head else None,
        "internal_errors": errors,
    }
    write_sections({"findings": rows}, json=json, schema="delever.verify/1", metadata=metadata)
    if errors:
        records = ", ".join(map(str, errors))
        log(f"delever: commands that the engine could not run, rejected at records {records}")
    if findings:
        names = ", ".join(map(str, files))
        log(f"delever: {names} is NOT verified: {rows[0]['detail']}")
        return ExitCode.CHECK_FAILED
    if not json:
        replayed = _distinct(
            (each.base.sequence, each.replayed - each.base.sequence) for each in found
        )
        after = f" from record {first.base.sequence + 1} on" if first.base.sequence else ""
        counts = f"{metadata['records']} records{after}, {replayed} of them replayed both ways"
        write(f"verified: {counts}; head {metadata['head'] or 'none'}")
    return ExitCode.SUCCESS


# --- retention ---

Retain = Annotated[
    int,
    Parameter(
        help="Newest records that stay in the journal. Not fewer than [journal] "
        "idempotency_window, so that a repeated command still runs once.",
        validator=Number(gte=0),
    ),
]


def archive(
    journal: JournalPath,
    target: Annotated[Path, Parameter(help="New file for the old records.")],
    /,
    *,
    retain: Retain = 100_000,
) -> int:
    """Copy the old records of a journal to a new file, and verify it; the server may run.

    The file is a journal of its own. It ends at the newest snapshot that leaves the records to
    retain; `delever journal prune` then deletes them here.
    """
    from delever.journal import archive as archives  # noqa: PLC0415 - slow to import
    from delever.rule_registry import installed_rule_sets  # noqa: PLC0415

    with readable(journal):
        last = archives.archive(journal, target, retain=retain, rule_sets=installed_rule_sets())
    write(f"{target}: verified, records up to {last.sequence}; head {last.hash.hex()}")
    return ExitCode.SUCCESS


def prune(
    journal: JournalPath,
    archived: Annotated[Path, Parameter(help="Archive that has the records to delete.")],
    /,
    *,
    retain: Retain = 100_000,
) -> int:
    """Delete the records of a journal that an archive has; stop the server first.

    The archive is verified before, and that it is the beginning of this journal. The chain stays
    whole: the journal then begins with the snapshot of the archive's last record.
    """
    from delever.journal import archive as archives  # noqa: PLC0415 - slow to import
    from delever.server.engine.journal_lock import JournalLock  # noqa: PLC0415

    if not journal.is_file():
        raise InputError("not found", file=str(journal))
    with readable(journal), closing(JournalLock(journal)):
        before = journal.stat().st_size
        last = archives.prune(journal, archived, retain=retain)
    freed = before - journal.stat().st_size
    write(f"{journal}: records up to {last.sequence} deleted, {freed:,} bytes freed")
    return ExitCode.SUCCESS


def restore(
    target: Annotated[Path, Parameter(help="New file for the whole journal.")],
    /,
    *files: Annotated[Path, Parameter(help="Archives, then the rest of the journal.")],
) -> int:
    """Join archives and the rest of a journal, oldest first, to one file, and verify it."""
    from delever.journal import archive as archives  # noqa: PLC0415 - slow to import
    from delever.rule_registry import installed_rule_sets  # noqa: PLC0415

    if not files:
        raise UsageError("name the archives, oldest first, and the rest of the journal")
    with readable(target):
        head = archives.restore(target, files, rule_sets=installed_rule_sets())
    write(f"{target}: verified, records up to {head.sequence}; head {head.hash.hex()}")
    return ExitCode.SUCCESS


@contextmanager
def readable(journal: Path) -> Iterator[None]:
    """Raise InputError, naming the file, where a journal cannot be opened or read."""
    from delever.journal import JournalError  # noqa: PLC0415 - slow to import

    try:
        yield
    except JournalError as error:
        message = str(error).removeprefix(f"{journal}: ")
        raise InputError(message, file=str(journal)) from None
