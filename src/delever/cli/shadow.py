"""delever beside a venue that has its own ADL: nothing is executed, differences are reported."""

import signal
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from delever.cli import ExitCode
from delever.cli.journal import Json
from delever.cli.output import log, write, write_sections
from delever.formatting import count, decimal_text, rejection_text
from delever.lab.errors import InputError

if TYPE_CHECKING:
    from delever.core.messages import Command, Event
    from delever.shadow.episodes import Episode
    from delever.shadow.shadow_run import ShadowReport, ShadowRun
    from delever.shadow.venue_feed import FeedLine


def shadow(
    feed: Annotated[
        str,
        Parameter(
            help="The venue's commands and ADL fills, one a line; - reads standard input.",
            allow_leading_hyphen=True,
        ),
    ],
    /,
    *,
    book: Annotated[Path | None, Parameter(help="Book directory to load before the feed.")] = None,
    window_ms: Annotated[
        int,
        Parameter(
            help="Time after a closing in which further ones belong to the same episode.",
            validator=Number(gte=0),
        ),
    ] = 60_000,
    out: Annotated[
        Path | None, Parameter(help="Directory for episodes.parquet and positions.parquet.")
    ] = None,
    json: Json = False,
) -> int:
    """Follow a venue that has its own ADL, and report who would be closed differently, and why.

    Nothing is executed. Each episode is logged when it ends; the report follows at the end of the
    feed, or at the first interrupt. Exit code 4 where a line was rejected.
    """
    from delever.lab.tables import book_reader  # noqa: PLC0415 - slow to import
    from delever.rule_registry import installed_rule_sets, registry  # noqa: PLC0415
    from delever.shadow.shadow_run import ShadowRun  # noqa: PLC0415

    run = ShadowRun(
        registry(installed_rule_sets()),
        window_ms=window_ms,
        on_episode=_log_episode,
        on_failure=lambda error: log("".join(traceback.format_exception(error))),
    )
    if book is not None:
        book_reader.load(book_reader.read_tables(book), run.submit)
    lines, rejected = _follow(run, feed)
    report = run.finish()
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        report.episodes.write_parquet(out / "episodes.parquet")
        report.positions.write_parquet(out / "positions.parquet")
    _write_report(report, {"lines": lines, "rejected": rejected}, json=json)
    return ExitCode.INVALID_INPUT if rejected else ExitCode.SUCCESS


def _follow(run: "ShadowRun", feed: str) -> tuple[int, int]:
    """Run the lines of a feed; return how many there were, and how many were rejected."""
    from delever.lab.runs.scenario import scenario_name  # noqa: PLC0415 - slow to import
    from delever.shadow.venue_feed import read_feed  # noqa: PLC0415

    lines = rejected = 0
    for line in _until_interrupted(read_feed(feed)):
        lines += 1
        errors = [line.error] if line.error else _errors(run, line.command)
        rejected += bool(errors)
        for error in errors:
            log(f"delever: {_placed(error, scenario_name(feed), line.number)}")
    return lines, rejected


def _until_interrupted(lines: "Iterator[FeedLine]") -> "Iterator[FeedLine]":
    """Yield lines until SIGINT, which ends the wait for a line but never cuts a command in two."""
    interrupted = waiting = False

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        if waiting:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        while not interrupted:
            waiting = True
            line = next(lines, None)
            waiting = False
            if line is None:
                break
            yield line
    except KeyboardInterrupt:
        waiting = False
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupted:
        log("delever: interrupted; the report is of the lines until now")


def _errors(run: "ShadowRun", command: "Command | None") -> list[InputError]:
    """Run a command; return why it, or a part of it, was rejected."""
    if command is None:
        return []
    try:
        return [*_rejections(run.submit(command))]
    except InputError as error:
        return [error]


def _rejections(events: Iterable["Event"]) -> Iterator[InputError]:
    from delever.core.messages import Rejected, rejected_parts  # noqa: PLC0415 - slow to import

    events = tuple(events)
    whole = [event for event in events if isinstance(event, Rejected)]
    for event in (*whole, *rejected_parts(events)):
        why = f"rejected: {rejection_text(event.reason)}"
        yield InputError(why, column=event.field, value=event.value)


def _placed(error: InputError, file: str, number: int) -> InputError:
    """Return an error with its file and line."""
    return InputError(error.why, file=file, line=number, column=error.column, value=error.value)


def _log_episode(episode: "Episode") -> None:
    from delever.shadow.differences import episode_row  # noqa: PLC0415 - slow to import

    log(f"delever: {_headline(episode_row(episode))}")


def _headline(row: dict[str, Any]) -> str:
    ours, theirs, same = (
        decimal_text(row[f"{whose}_quantity"]) for whose in ("delever", "venue", "same")
    )
    return (
        f"episode {row['episode']}, {row['contract']} {row['side']}: delever would close {ours}, "
        f"the venue closed {theirs}, {same} of it of the same positions"
    )


def _write_report(report: "ShadowReport", metadata: dict[str, int], *, json: bool) -> None:
    from delever.lab.runs.run import pool_totals  # noqa: PLC0415 - slow to import

    episodes, positions = report.episodes.to_dicts(), report.positions.to_dicts()
    differ = sum(row["cause"] != "agrees" for row in positions)
    if not json:
        totals = f"{count(metadata['lines'], 'line')} ({metadata['rejected']} rejected)"
        compared = f"{differ} of {count(len(positions), 'closed position')} differ"
        write(f"{totals}: {count(len(episodes), 'episode')} of ADL, {compared}\n")
    pools = [msgspec.structs.asdict(pool) for pool in pool_totals(report.book)]
    sections = {"episodes": episodes, "positions": positions, "pools": pools}
    write_sections(sections, json=json, schema="delever.shadow/1", metadata=metadata)
