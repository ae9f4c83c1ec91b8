"""Rebuild a book from a journal, and verify the journal."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from delever.cli import ExitCode
from delever.cli.output import log, progress, write, write_sections
from delever.lab.errors import InputError

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
    *,
    deep: Annotated[
        bool, Parameter(help="Also replay every record, by events and by commands.")
    ] = True,
    json: Json = False,
) -> int:
    """Verify a journal: its hash chain, its snapshots, and both replays."""
    from delever.journal import verify as verify_journal  # noqa: PLC0415 - slow to import
    from delever.rule_registry import installed_rule_sets  # noqa: PLC0415

    if not journal.is_file():
        raise InputError("not found", file=str(journal))
    with progress("verify") as report_progress:
        verdict = verify_journal(
            journal, deep=deep, progress=report_progress, rule_sets=installed_rule_sets()
        )
    rows = [
        {"record": finding.sequence, "problem": str(finding.problem), "detail": finding.detail}
        for finding in verdict.findings
    ]
    metadata = {
        "journal": str(journal),
        "ok": verdict.ok,
        "records": verdict.records,
        "snapshots": verdict.snapshots,
        "replayed": verdict.replayed,
        "head": verdict.head.hash.hex() if verdict.head else None,
        "internal_errors": list(verdict.internal_errors),
    }
    write_sections({"findings": rows}, json=json, schema="delever.verify/1", metadata=metadata)
    if verdict.internal_errors:
        records = ", ".join(map(str, verdict.internal_errors))
        log(f"delever: commands that the engine could not run, rejected at records {records}")
    if verdict.ok and not json:
        counts = f"{verdict.records} records, {verdict.replayed} of them replayed both ways"
        write(f"verified: {counts}; head {metadata['head'] or 'none'}")
    elif not verdict.ok:
        log(f"delever: {journal} is NOT verified: {rows[0]['detail']}")
    return ExitCode.SUCCESS if verdict.ok else ExitCode.CHECK_FAILED


@contextmanager
def readable(journal: Path) -> Iterator[None]:
    """Raise InputError, naming the file, where a journal cannot be opened or read."""
    from delever.journal import JournalError  # noqa: PLC0415 - slow to import

    try:
        yield
    except JournalError as error:
        message = str(error).removeprefix(f"{journal}: ")
        raise InputError(message, file=str(journal)) from None
