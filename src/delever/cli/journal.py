"""What was recorded, and whether it is true."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from delever.cli import Exit
from delever.cli.output import progress, say, show_sections, tell
from delever.lab.errors import InputError

JournalPath = Annotated[Path, Parameter(help="Journal: the file that `run --journal` wrote.")]
AT_LEAST_ONE = Number(gte=1)
Json = Annotated[bool, Parameter(negative="", help="JSON instead of tables.")]


def replay(
    journal: JournalPath,
    /,
    *,
    by: Annotated[
        Literal["events", "commands", "both"], Parameter(help="From what the book is made.")
    ] = "both",
    until: Annotated[
        int | None, Parameter(help="Last record to replay.", validator=AT_LEAST_ONE)
    ] = None,
    json: Json = False,
) -> int:
    """Make the book again from a journal, by events and by commands; both must agree with it."""
    from delever.journal import replay as replaying  # noqa: PLC0415 - heavy
    from delever.journal.sqlite import LAST, SqliteJournal  # noqa: PLC0415
    from delever.lab.runs import run as runs  # noqa: PLC0415

    ways = {"events": replaying.replay_events, "commands": replaying.replay_commands}
    found = {}
    with readable(journal), SqliteJournal(journal, readonly=True) as opened:
        for way in ways if by == "both" else (by,):
            with progress(f"replay by {way}") as told:
                last = LAST if until is None else until
                found[way] = ways[way](opened, from_zero=True, until=last, progress=told)
    rows = [
        {
            "by": way,
            "records": result.records,
            "time_ms": result.book.time_ms,
            "finding": str(result.finding or "") or "agrees",
            "head": result.head.hash.hex(),
        }
        for way, result in found.items()
    ]
    book = next(iter(found.values())).book
    sections = {"replays": rows, "pools": [*map(msgspec.structs.asdict, runs.pool_totals(book))]}
    show_sections(sections, json=json, schema="delever.replay/1", about={"journal": str(journal)})
    wrong = any(result.finding for result in found.values())
    return Exit.CHECK_FAILED if wrong else Exit.DONE


def verify(
    journal: JournalPath,
    /,
    *,
    deep: Annotated[
        bool, Parameter(help="Replay all records, too, by events and commands.")
    ] = True,
    json: Json = False,
) -> int:
    """Prove a journal: its chain of hashes, its snapshots, and both replays."""
    from delever.journal import verify as prove  # noqa: PLC0415 - heavy

    if not journal.is_file():
        raise InputError("not found", file=str(journal))
    with progress("verify") as told:
        verdict = prove(journal, deep=deep, progress=told)
    rows = [
        {"record": finding.sequence, "problem": str(finding.problem), "detail": finding.detail}
        for finding in verdict.findings
    ]
    about = {
        "journal": str(journal),
        "ok": verdict.ok,
        "records": verdict.records,
        "snapshots": verdict.snapshots,
        "replayed": verdict.replayed,
        "head": verdict.head.hash.hex() if verdict.head else None,
    }
    show_sections({"findings": rows}, json=json, schema="delever.verify/1", about=about)
    if verdict.ok and not json:
        both = f"{verdict.records} records, {verdict.replayed} of them replayed both ways"
        tell(f"verified: {both}; head {about['head'] or 'none'}")
    elif not verdict.ok:
        say(f"delever: {journal} is NOT verified: {rows[0]['detail']}")
    return Exit.DONE if verdict.ok else Exit.CHECK_FAILED


@contextmanager
def readable(journal: Path) -> Iterator[None]:
    """Say of a file that is no journal, or cannot be read on, that it cannot be used."""
    from delever.journal import JournalError  # noqa: PLC0415 - heavy

    try:
        yield
    except JournalError as error:
        why = str(error).removeprefix(f"{journal}: ")
        raise InputError(why, file=str(journal)) from None
