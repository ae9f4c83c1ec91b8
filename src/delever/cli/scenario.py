"""Commands in, events out: a scenario of the user's, the demonstration, a real event."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from delever.cli import Exit, UsageError
from delever.cli.journal import readable
from delever.cli.output import TO_STDOUT, Output, progress, say, show, show_sections, tell
from delever.lab.errors import InputError, in_words

if TYPE_CHECKING:
    from delever.core.book import Book
    from delever.core.messages import Command, Event
    from delever.lab.runs.run import Result
    from delever.lab.runs.scenario import Line

FILLS_SHOWN = 20

Submit = Callable[["Command"], Sequence["Event"]]


def run(
    scenario: Annotated[
        str,
        Parameter(
            help="Scenario: one command a line; - is standard input.", allow_leading_hyphen=True
        ),
    ],
    /,
    *,
    book: Annotated[
        Path | None, Parameter(help="Book directory that is told before the scenario.")
    ] = None,
    journal: Annotated[
        Path | None, Parameter(help="Keep all in this journal; one that has records goes on.")
    ] = None,
    out: Annotated[
        Path | None, Parameter(help="Directory for events, fills, path and summary; see `report`.")
    ] = None,
    json: Annotated[bool, Parameter(negative="", help="JSON instead of tables.")] = False,
) -> int:
    """Run a scenario, and say what it came to; 4 is the exit code where a line was rejected."""
    from delever.lab.reports import run_store as kept
    from delever.lab.runs import run as runs  # noqa: PLC0415 - heavy
    from delever.lab.runs.scenario import read_lines  # noqa: PLC0415
    from delever.lab.tables import book_reader as frames

    lines = read_lines(scenario)
    tables = None if book is None else frames.read_tables(book)
    with _engine(journal) as (moved, submit):
        if tables is not None:
            if moved.sequence:
                raise UsageError(f"{journal} has records: a book can only be told to a new journal")
            frames.load(tables, submit)
        with progress("run") as told:
            result = runs.play(moved, submit, [line.command for line in lines], told)
    _say_refused(result, scenario, lines)
    if out is not None:
        kept.keep(result, out)
    _show(result, json=json)
    return Exit.BAD_INPUT if result.rejected else Exit.DONE


@contextmanager
def _engine(journal: Path | None) -> Iterator[tuple["Book", Submit]]:
    """Give a book and what moves it: an engine alone, or one that keeps a journal."""
    from delever.core.book.book import Book  # noqa: PLC0415 - heavy
    from delever.core.engine import step  # noqa: PLC0415
    from delever.journal import Recorder  # noqa: PLC0415
    from delever.server.engine.journal_lock import Claim  # noqa: PLC0415

    if journal is None:
        book = Book()
        yield book, partial(step, book)
        return
    with readable(journal), closing(Claim(journal)), Recorder.open(journal) as recorder:
        yield recorder.book, lambda command: recorder.submit([command])[0]


def _say_refused(result: "Result", scenario: str, lines: Sequence["Line"]) -> None:
    from delever.lab.runs.scenario import named  # noqa: PLC0415 - heavy

    for number, rejected in result.rejected.items():
        error = InputError(
            f"rejected: {in_words(rejected.reason)}",
            file=named(scenario),
            line=lines[number].number,
            column=rejected.field,
            value=rejected.value,
            reason=rejected.reason,
        )
        say(f"delever: {error}")


def _show(result: "Result", *, json: bool) -> None:
    """Tell what a run came to."""
    summary = msgspec.structs.asdict(result.summary)
    episodes, contracts, pools = (
        list(map(msgspec.structs.asdict, summary.pop(name)))
        for name in ("episodes", "contracts", "pools")
    )
    fills = result.fills.to_dicts()
    told = {"adl": episodes, "contracts": contracts, "fills": fills, "pools": pools}
    if not json:
        tell(f"{_headline(summary)}\n")
        more = len(fills) - FILLS_SHOWN
        if more > 0:
            say(f"{more} more fills: see --out or --json")
        told["fills"] = [_short_fill(fill) for fill in fills[:FILLS_SHOWN]]
        told["adl"] = _switches(episodes)
    show_sections(told, json=json, schema="delever.run/1", about=summary)


def _switches(episodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return every start and stop of ADL in order of time, with the numbers that were compared."""
    switches = [
        {
            "time_ms": episode[f"{event}_ms"],
            "contract": episode["contract"],
            "trigger": in_words(episode["trigger"]),
            "adl": event,
            "numbers": episode[numbers],
        }
        for episode in episodes
        for event, numbers in (("started", "why"), ("stopped", "why_stopped"))
        if episode[f"{event}_ms"] is not None
    ]
    return sorted(switches, key=lambda switch: int(switch["time_ms"]))


def _headline(summary: dict[str, Any]) -> str:
    counts = [_count(summary[f"{what}s"], what) for what in ("command", "takeover", "fill")]
    rejected = f" ({summary['rejected']} rejected)" if summary["rejected"] else ""
    return (
        f"{counts[0]}{rejected} from {summary['from_ms']} to {summary['until_ms']} ms: {counts[1]}, "
        f"{counts[2]} of ADL on {_count(summary['accounts'], 'account')}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _short_fill(fill: dict[str, Any]) -> dict[str, Any]:
    """Return what of a fill fits on a line."""
    names = ("fill", "time_ms", "contract", "side", "account", "quantity", "price", "realized")
    return {name: fill[name] for name in (*names, "rank", "indicator", "liquidated_account")}


def demo(
    *,
    seed: Annotated[int, Parameter(help="Another seed is another crash.")] = 10,
    accounts: Annotated[int, Parameter(help="How many accounts hold positions.")] = 50_000,
    contracts: Annotated[int, Parameter(help="How many contracts there are.")] = 20,
    journal: Annotated[Path | None, Parameter(help="Keep the journal in this new file.")] = None,
) -> int:
    """Play a seeded crash, from the first liquidation to the end of ADL; verify its journal."""
    from delever.demo import simulation as crash  # noqa: PLC0415 - heavy

    kept = journal or Path(":memory:")
    try:
        with readable(kept), progress("crash") as told:
            outcome = crash.play(seed, accounts, contracts, str(kept), told)
    except InputError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from None
    totals = [{"what": what, "how_much": amount} for what, amount in outcome.summary()]
    triggers = outcome.triggers.to_dicts()
    show_sections({"crash": totals, "adl": triggers}, json=False, schema="delever.demo/1", about={})
    tell("\n# why them")
    for sentence in outcome.reasons():
        tell(f"- {sentence}")
    tell(f"\n{outcome.verdict()}")
    return Exit.DONE if outcome.verified else Exit.CHECK_FAILED


def replay_hyperliquid(
    file: Annotated[Path, Parameter(help="HyperReplay's adl_wave1_excerpt.csv or one like it.")],
    /,
    *,
    rules: Annotated[
        list[str] | None, Parameter(help="Rule set; may be said several times; all if not said.")
    ] = None,
    only: Annotated[
        Literal["coins", "rules", "formulas", "marks"] | None,
        Parameter(help="One table alone, which --format and --output can shape."),
    ] = None,
    out: Output = TO_STDOUT,
) -> None:
    """Run the real ADL of 2025-10-10 under each venue's rules, and compare queue with queue."""
    from delever.lab.studies import hyperliquid_replay as hyperliquid  # noqa: PLC0415 - heavy

    if only is None and (out.output is not None or out.form not in ("table", "tsv", "json")):
        raise UsageError("say which table: --only coins, rules, formulas or marks")
    with progress("replay") as told:
        found = hyperliquid.replay(file, rules, told)
    say(f"{found.positions} positions of {found.accounts} accounts")
    for repair in found.repaired:
        say(f"repaired: {repair}")
    frames = {
        "coins": found.by_coin.sort("coin", maintain_order=True),
        "rules": found.by_rules,
        "formulas": found.formulas,
        "marks": found.marks,
    }
    schema = "delever.replay_hyperliquid/1"
    if only is not None:
        show(frames[only], out, schema=schema)
        return
    sections = {name: frame.to_dicts() for name, frame in frames.items()}
    show_sections(sections, json=out.form == "json", schema=schema, about={"file": str(file)})
