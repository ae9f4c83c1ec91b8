"""Runs of one scenario under several rule sets and policies, for the pages Lab and Replay.

A scenario is a preset or the visitor's own text, one command a line. Under another venue's rule set
every pool is defined with that rule set, and limits set for the scenario's own venue are dropped;
with another policy only (`bybit+pro_rata`) the limits stay. A vault whose cap is not published has
none in a preset, which is noted. A file, scenario or journal, runs unchanged. Rule sets of one's
own are those that are installed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from delever.core.book import Book
from delever.core.messages import (
    BalanceRow,
    Command,
    ContractKind,
    DefineAccount,
    DefineContract,
    DefinePool,
    FundingReason,
    FundPool,
    PoolKind,
    PositionRow,
    SetBalances,
    SetMarks,
    SetPositions,
    Side,
    Takeover,
)
from delever.demo.crash_generator import draw_crash, market_commands, opening_commands
from delever.lab.errors import InputError
from delever.lab.measures.adl_distribution import AdlDistribution, adl_distributions
from delever.lab.reports.run_store import StoredRun, stored_run
from delever.lab.runs.journal_commands import commands_under, read_commands
from delever.lab.runs.run import run
from delever.lab.runs.scenario import lines_of
from delever.rule_registry import installed_rule_sets, registry, with_own

OWN = "own"
"""Name of the preset for the visitor's own text."""

CRASH_ACCOUNTS, CRASH_CONTRACTS = 300, 4

MAX_SCENARIO_LENGTH = 2_000_000
"""Most characters of a visitor's own scenario."""

MAX_FILE_BYTES = 64 * 1024 * 1024
"""Largest file that can be uploaded."""


@dataclass(frozen=True, slots=True)
class LabRun:
    """A scenario under one rule set: its run, how ADL was distributed, and rejected commands.

    `note` says what was assumed, if anything.
    """

    rules: str
    stored: StoredRun
    distributions: dict[str, AdlDistribution]
    rejected: int
    note: str = ""


def run_preset(preset: str, text: str, rules: str) -> LabRun:
    """Return the run of a preset, or of a text for OWN, under a rule set.

    Pages call this in a worker process. Raises InputError for a text that is not a scenario.
    """
    commands = parse_commands(text) if preset == OWN else PRESETS[preset][1]()
    return _lab_run(rules, *commands_under(commands, with_own(installed_rule_sets())[rules]))


def run_file(path: Path, name: str) -> LabRun | str:
    """Return the run of a file: of a journal if it starts as one does, otherwise of a scenario.

    For a file that is neither, return the error as text, with `name` in place of the path.
    """
    try:
        commands = read_commands(path)
    except InputError as error:
        message = str(error).replace(str(path), name)
        return message.replace(path.name, name)
    return _lab_run(name, commands)


def _lab_run(rules: str, commands: Iterable[Command], note: str = "") -> LabRun:
    result = run(Book(registry(installed_rule_sets())), commands)
    stored = stored_run(result)
    distributions = adl_distributions(result.events, stored.summary.contracts)
    return LabRun(rules, stored, distributions, len(result.rejected), note)


def parse_commands(text: str) -> list[Command]:
    """Return the commands of a text, one a line; raises InputError with the line and the field."""
    if len(text) > MAX_SCENARIO_LENGTH:
        message = f"has more than {MAX_SCENARIO_LENGTH:,} characters: run it with `delever run`"
        raise InputError(message)
    return [line.command for line in lines_of(BytesIO(text.encode()), "scenario")]


# --- presets ---


def bankrupt_long() -> list[Command]:
    """Return the first example of Bybit's documentation: one bankrupt long, three shorts."""
    shorts = {"bob": (50, 400_000), "cyd": (30, 150_000), "dan": (40, 900_000)}
    short_positions = [
        PositionRow(
            account=name, contract="BTCUSDT", side=Side.SHORT, quantity=q, entry_price=60_000
        )
        for name, (q, _) in shorts.items()
    ]
    ann = PositionRow(
        account="ann", contract="BTCUSDT", side=Side.LONG, quantity=100, entry_price=60_000,
        isolated_margin=50_000,
    )  # fmt: skip
    wallets = tuple(
        BalanceRow(account=name, asset="USDT", balance=cash) for name, (_, cash) in shorts.items()
    )
    return [
        DefinePool(time_ms=0, pool="main", kind=PoolKind.SHARED, asset="USDT", rules="bybit"),
        FundPool(time_ms=0, pool="main", amount=1_000_000, reason=FundingReason.SEED),
        _bitcoin(),
        *(DefineAccount(time_ms=0, account=name) for name in ("ann", *shorts)),
        SetMarks(time_ms=1_000, marks={"BTCUSDT": 60_000}),
        SetBalances(time_ms=1_000, version=1, balances=wallets),
        SetPositions(time_ms=1_000, version=1, positions=(ann, *short_positions)),
        SetMarks(time_ms=2_000, marks={"BTCUSDT": 59_500}),
        Takeover(time_ms=2_000, account="ann", contract="BTCUSDT"),
        *_fall(59_500, 56_000, 3_000),
        FundPool(
            time_ms=14_000, pool="main", amount=60_000, reason=FundingReason.INJECTION,
            contract="BTCUSDT", note="after the drawdown",
        ),
        SetMarks(time_ms=15_000, marks={"BTCUSDT": 56_500}),
    ]  # fmt: skip


def _bitcoin() -> DefineContract:
    return DefineContract(
        time_ms=0, contract="BTCUSDT", kind=ContractKind.LINEAR, settle="USDT", pool="main",
        tick_size="0.5", lot_size="0.001",
    )  # fmt: skip


def _fall(start: int, end: int, from_ms: int, steps: int = 4) -> Iterator[Command]:
    """Yield marks that fall in equal steps, past the mark at which the drawdown meets its limit."""
    for step in range(1, steps + 1):
        mark = start + (end - start) * step // steps
        yield SetMarks(time_ms=from_ms + 1_000 * step, marks={"BTCUSDT": mark})


def crash() -> list[Command]:
    """Return the crash of the demo, smaller, without the operator's injections."""
    drawn = draw_crash(10, CRASH_ACCOUNTS, CRASH_CONTRACTS)
    depth = np.random.default_rng(10)
    commands = list(opening_commands(drawn))
    for second in range(drawn.path.seconds):
        commands += market_commands(drawn, second, depth)
    return commands


PRESETS: dict[str, tuple[str, Callable[[], list[Command]]]] = {
    "bankrupt_long": ("One bankrupt long of 100 BTC, three shorts", bankrupt_long),
    "crash": ("A crash: 300 accounts, 4 contracts", crash),
}
"""Title and commands of every preset, by name."""
