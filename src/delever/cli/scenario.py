"""Commands in, events and reports out: a user's scenario, the demo crash, a real ADL event."""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from delever.cli import ExitCode, UsageError
from delever.cli.journal import Json, readable
from delever.cli.output import (
    TO_STDOUT,
    Output,
    json_text,
    log,
    progress,
    write,
    write_rows,
    write_sections,
)
from delever.formatting import count, humanize, rejection_text
from delever.lab.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from delever.core.book import Book
    from delever.core.messages import Command, Event, PartRejected, Rejected
    from delever.lab.runs.run import RunResult
    from delever.lab.runs.scenario import ScenarioLine

MAX_LISTED_FILLS = 20
"""Fills that `delever run` lists; --out and --json have all of them."""

FILL_COLUMNS = (
    "fill",
    "time_ms",
    "contract",
    "side",
    "account",
    "quantity",
    "price",
    "realized_pnl",
    "rank",
    "indicator",
    "liquidated_account",
)
"""Columns of a listed fill."""

Submit = Callable[["Command"], Sequence["Event"]]


def run(
    scenario: Annotated[
        str,
        Parameter(
            help="Scenario: one command per line; - reads standard input.",
            allow_leading_hyphen=True,
        ),
    ],
    /,
    *,
    book: Annotated[
        Path | None, Parameter(help="Book directory to load before the scenario.")
    ] = None,
    journal: Annotated[
        Path | None, Parameter(help="Journal to record to: a new file, or see --append.")
    ] = None,
    append: Annotated[
        bool, Parameter(negative="", help="Continue the journal, which has records already.")
    ] = False,
    out: Annotated[
        Path | None,
        Parameter(help="Directory for events, fills, time series and summary; see `report`."),
    ] = None,
    json: Json = False,
) -> int:
    """Run a scenario and summarize its ADL, fills and funds; exit code 4 after a rejection."""
    from delever.lab.reports import run_store  # noqa: PLC0415 - slow to import
    from delever.lab.runs import run as runs  # noqa: PLC0415
    from delever.lab.runs.scenario import read_lines  # noqa: PLC0415
    from delever.lab.tables import book_reader  # noqa: PLC0415

    lines = read_lines(scenario)
    tables = None if book is None else book_reader.read_tables(book)
    if append and journal is None:
        raise UsageError("--append needs --journal")
    with _engine(journal) as (engine_book, submit):
        _require_new(engine_book, journal, append=append, loads_book=tables is not None)
        if tables is not None:
            book_reader.load(tables, submit)
        with progress("run") as report_progress:
            commands = [line.command for line in lines]
            result = runs.run_commands(engine_book, submit, commands, report_progress)
    _log_rejections(result, scenario, lines)
    if out is not None:
        run_store.write_run(result, out)
    _write_result(result, json=json)
    is_invalid = result.rejected or result.partial_rejections
    return ExitCode.INVALID_INPUT if is_invalid else ExitCode.SUCCESS


def _require_new(book: "Book", journal: Path | None, *, append: bool, loads_book: bool) -> None:
    """Raise UsageError where a journal has records that the run would continue unasked."""
    if not book.sequence:
        return
    has = f"{journal} has {count(book.sequence, 'record')}"
    if loads_book:
        raise UsageError(f"{has}: --book needs a new journal")
    if not append:
        raise UsageError(f"{has}: add --append to continue it, or choose a new file")


@contextmanager
def _engine(journal: Path | None) -> Iterator[tuple["Book", Submit]]:
    """Yield a book and the function that submits commands to it, recorded if a journal is given."""
    from delever.core.book import Book  # noqa: PLC0415 - slow to import
    from delever.journal import Recorder  # noqa: PLC0415
    from delever.lab.runs.command_runner import CommandRunner  # noqa: PLC0415
    from delever.rule_registry import installed_rule_sets, registry  # noqa: PLC0415
    from delever.server.engine.journal_lock import JournalLock  # noqa: PLC0415

    if journal is None:
        runner = CommandRunner(Book(registry(installed_rule_sets())))
        yield runner.book, runner.submit
        for error in runner.errors.values():
            log("".join(traceback.format_exception(error)))
        return
    with (
        readable(journal),
        closing(JournalLock(journal)),
        Recorder.open(
            journal,
            rule_sets=installed_rule_sets(),
            on_failure=lambda failure: log("".join(traceback.format_exception(failure.error))),
        ) as recorder,
    ):
        yield recorder.book, lambda command: recorder.submit([command])[0]


def _log_rejections(result: "RunResult", scenario: str, lines: Sequence["ScenarioLine"]) -> None:
    from delever.lab.runs.scenario import scenario_name  # noqa: PLC0415 - slow to import

    rejections: list[tuple[int, Rejected | PartRejected]] = [
        *result.rejected.items(),
        *result.partial_rejections,
    ]
    for index, rejected in sorted(rejections, key=itemgetter(0)):
        error = InputError(
            f"rejected: {rejection_text(rejected.reason)}",
            file=scenario_name(scenario),
            line=lines[index].number,
            column=rejected.field,
            value=rejected.value,
            reason=rejected.reason,
        )
        log(f"delever: {error}")


def _write_result(result: "RunResult", *, json: bool) -> None:
    """Write a run's ADL episodes, contracts, fills and funds under a headline."""
    summary = msgspec.structs.asdict(result.summary)
    episodes, contracts, pools = (
        list(map(msgspec.structs.asdict, summary.pop(name)))
        for name in ("episodes", "contracts", "pools")
    )
    fills = result.fills.to_dicts()
    if not json:
        write(f"{_headline(summary)}\n")
        if len(fills) > MAX_LISTED_FILLS:
            log(f"{len(fills) - MAX_LISTED_FILLS} more fills: use --out or --json")
        fills = [{name: fill[name] for name in FILL_COLUMNS} for fill in fills[:MAX_LISTED_FILLS]]
        episodes = _starts_and_stops(episodes)
    sections = {"adl": episodes, "contracts": contracts, "fills": fills, "pools": pools}
    write_sections(sections, json=json, schema="delever.run/1", metadata=summary)


def _starts_and_stops(episodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return every start and stop of ADL by time, with the numbers that its trigger compared."""
    rows = [
        {
            "time_ms": episode[f"{event}_ms"],
            "contract": episode["contract"],
            "trigger": humanize(episode["trigger"]),
            "adl": event,
            "numbers": episode[numbers],
        }
        for episode in episodes
        for event, numbers in (("started", "start_numbers"), ("stopped", "stop_numbers"))
        if episode[f"{event}_ms"] is not None
    ]
    return sorted(rows, key=lambda row: int(row["time_ms"]))


def _headline(summary: dict[str, Any]) -> str:
    commands, takeovers, fills, accounts = (
        count(summary[f"{noun}s"], noun) for noun in ("command", "takeover", "fill", "account")
    )
    rejected = f" ({summary['rejected']} rejected)" if summary["rejected"] else ""
    period = f"from {summary['from_ms']} to {summary['until_ms']} ms"
    return f"{commands}{rejected} {period}: {takeovers}, {fills} of ADL on {accounts}"


def report(
    result: Annotated[
        Path,
        Parameter(
            help="Directory of `run --out` or of a sweep, or a file that the lab has written."
        ),
    ],
    /,
    *,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="HTML file to write.")
    ] = None,
    plots: Annotated[
        Path | None, Parameter(help="Directory for every plot as PNG and SVG.")
    ] = None,
    title: Annotated[str | None, Parameter(help="Title. Default: the result's name.")] = None,
) -> None:
    """Write a result of the lab as one self-contained HTML file, or as plots."""
    if output is None and plots is None:
        raise UsageError("expected -o FILE.html, --plots DIRECTORY, or both")
    from delever.lab.reports.run_store import read_result  # noqa: PLC0415 - slow to import

    stored = read_result(result)
    try:
        from delever.lab.reports import html_report, run_plots  # noqa: PLC0415 - slow to import
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed: install delever[plot]") from None
    if output is not None:
        text = html_report.report_of(stored, title or f"delever: {result.resolve().stem}")
        output.write_text(text, encoding="utf-8")
        log(f"{output}: {len(text.encode()):,} bytes")
    if plots is not None:
        for file in run_plots.write_plots(html_report.figures_of(stored), plots):
            log(str(file))


def demo(
    *,
    seed: Annotated[int, Parameter(help="Random seed; each seed is a different crash.")] = 10,
    accounts: Annotated[int, Parameter(help="Number of accounts.")] = 50_000,
    contracts: Annotated[int, Parameter(help="Number of contracts.")] = 20,
    journal: Annotated[
        Path | None, Parameter(help="New file for the journal. Default: in memory.")
    ] = None,
) -> int:
    """Run a seeded crash, from first liquidation to end of ADL, and verify its journal."""
    from delever.demo.crash_run import expected_seconds, run_crash  # noqa: PLC0415 - slow to import

    path = journal or Path(":memory:")
    log(
        f"crash of seed {seed}: {count(accounts, 'account')}, {count(contracts, 'contract')}; "
        f"about {expected_seconds(accounts, contracts)} s on two idle cores"
    )
    try:
        with readable(path), progress("crash") as report_progress:
            crash = run_crash(seed, accounts, contracts, str(path), report_progress)
    except InputError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from None
    counts = [{"measure": name, "number": number} for name, number in crash.counts()]
    money = [dict(zip(("measure", "amount", "meaning"), row, strict=True)) for row in crash.money()]
    sections: dict[str, Sequence[Mapping[str, object]]] = {
        "crash": counts,
        "who paid": money,
        "insurance funds": _rounded(crash.pools),
        "contracts": _rounded(crash.contracts),
        "accounts with the largest haircuts": _rounded(crash.accounts[:, :6]),
    }
    write(f"{crash.headline()}\n")
    write_sections(sections, json=False, schema="delever.demo/1", metadata={})
    write("\n# why these accounts")
    for sentence in crash.explanations():
        write(f"- {sentence}")
    write(f"\n{crash.verification()}")
    return ExitCode.SUCCESS if crash.verified else ExitCode.CHECK_FAILED


def _rounded(frame: "pl.DataFrame") -> list[dict[str, object]]:
    """Return rows with amounts in whole units, as a reader compares them."""
    return [
        {name: f"{v:,.0f}" if isinstance(v, float) else v for name, v in row.items()}
        for row in frame.iter_rows(named=True)
    ]


def replay_hyperliquid(
    file: Annotated[Path, Parameter(help="HyperReplay's adl_wave1_excerpt.csv, or the same form.")],
    /,
    *,
    rules: Annotated[
        list[str] | None, Parameter(help="Rule set; repeatable. Default: all of them.")
    ] = None,
    only: Annotated[
        Literal["coins", "rules", "formulas", "marks"] | None,
        Parameter(help="Write this table alone; --format and --output apply to it."),
    ] = None,
    out: Output = TO_STDOUT,
) -> None:
    """Run the ADL of 2025-10-10 on Hyperliquid under each venue's rules and compare the queues."""
    from delever.lab.studies.hyperliquid import replay  # noqa: PLC0415 - slow to import

    if only is None and (
        out.output is not None or out.resolved_format not in ("table", "tsv", "json")
    ):
        raise UsageError("--output and --format need --only coins, rules, formulas or marks")
    with progress("replay") as report_progress:
        comparison = replay.replay(file, rules, report_progress)
    log(
        f"{count(comparison.positions, 'position')} of {count(comparison.accounts, 'account')}, "
        f"{count(comparison.instants, 'instant')}"
    )
    for reason, rows in comparison.skipped.items():
        log(f"skipped: {count(rows, 'row')}: {reason}")
    for name, unexplained in comparison.by_rules.select("rules", "unexplained").iter_rows():
        if unexplained:
            log(f"unexplained under {name}: {count(unexplained, 'row')}")
    for repair in comparison.repaired:
        log(f"repaired: {repair}")
    frames = {
        "coins": comparison.by_coin.sort("coin", maintain_order=True),
        "rules": comparison.by_rules,
        "formulas": comparison.formulas,
        "marks": comparison.marks,
    }
    schema = "delever.replay_hyperliquid/1"
    if only is not None:
        write_rows(frames[only], out, schema=schema)
        return
    sections = {name: frame.to_dicts() for name, frame in frames.items()}
    json = out.resolved_format == "json"
    write_sections(sections, json=json, schema=schema, metadata={"file": str(file)})


def schema() -> None:
    """Print the JSON Schema of a command: one line of a scenario."""
    from delever.lab.runs import scenario  # noqa: PLC0415 - slow to import

    write(json_text(scenario.schema()).rstrip())
