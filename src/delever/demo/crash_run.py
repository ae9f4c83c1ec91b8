"""A crash run through engine and journal, from the first liquidation to the end of ADL."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from delever.core.messages import Command, Rejected
from delever.demo.crash_generator import (
    POOLS,
    depth_generator,
    draw_crash,
    market_commands,
    opening_commands,
    operator_commands,
)
from delever.demo.crash_report import CrashReport, CrashTotals, report_crash
from delever.journal import JournalError, Recorder

COMMANDS_PER_COMMIT = 5_000

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in total)."""


def run_crash(
    seed: int = 10,
    accounts: int = 50_000,
    contracts: int = 20,
    journal: str | Path = ":memory:",
    progress: Progress | None = None,
) -> CrashReport:
    """Run the crash of a seed into a new journal, and return its report.

    The journal is verified by its chain of hashes and by replaying all of its events. Raises
    ValueError for too small a market, JournalError for a journal with records.
    """
    crash = draw_crash(seed, accounts, contracts)
    depth = depth_generator(seed)
    opening = list(_batches(opening_commands(crash)))
    steps = len(opening) + crash.path.seconds
    report_progress = progress or _ignore_progress
    with Recorder.open(journal) as recorder:
        if recorder.head.sequence:
            raise JournalError(f"{journal}: the demo needs a journal of its own")
        totals = CrashTotals(recorder.book, tuple(POOLS))
        for done, batch in enumerate(opening, start=1):
            _submit(recorder, batch, totals, None)
            report_progress(done, 2 * steps)
        totals.open()
        for second in range(crash.path.seconds):
            batch = [
                *market_commands(crash, second, depth),
                *operator_commands(recorder.book, crash, second),
            ]
            _submit(recorder, batch, totals, second)
            report_progress(len(opening) + second + 1, 2 * steps)

        def report_replay(done: int, records: int) -> None:
            report_progress(steps + steps * done // records, 2 * steps)

        return report_crash(recorder, totals, report_replay)


def expected_seconds(accounts: int, contracts: int) -> int:
    """Return about how long a crash takes on two idle cores, fitted to measured runs.

    >>> expected_seconds(50_000, 20), expected_seconds(500, 4)
    (19, 3)
    """
    return round(2 + contracts * (0.16 + accounts / 72_000))


def _ignore_progress(_done: int, _total: int) -> None:
    pass


def _submit(
    recorder: Recorder, commands: Sequence[Command], totals: CrashTotals, second: int | None
) -> None:
    """Run the commands of one commit, and add their events to the totals."""
    first = recorder.head.sequence + 1
    for sequence, events in enumerate(recorder.submit(commands), start=first):
        if isinstance(events[0], Rejected):
            raise TypeError(f"the generator made an invalid command: {events[0]}")
        totals.add(sequence, second, events)
    if second is not None:
        totals.end_second(second)


def _batches(commands: Iterator[Command]) -> Iterator[list[Command]]:
    batch: list[Command] = []
    for command in commands:
        batch.append(command)
        if len(batch) == COMMANDS_PER_COMMIT:
            yield batch
            batch = []
    yield batch
