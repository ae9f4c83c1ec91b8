"""A scenario under several rule sets and policies: each plays the same commands, on its own market.

A scenario is a preset or the visitor's own text, one command a line. For another rule set every
pool is defined with it, and limits set for another venue's rules are left out; with another policy
alone (`bybit+pro_rata`) they stay.

A file is a scenario, or a journal; it is played as it is.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import msgspec
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
    TriggerLimits,
)
from delever.demo.crash_generator import draw_crash, market_commands, opening_commands
from delever.lab.errors import InputError
from delever.lab.measures.adl_distribution import AdlDistribution, adl_distributions
from delever.lab.queries.position_queries import venue_of
from delever.lab.reports.run_store import StoredRun, stored_run
from delever.lab.runs.journal_commands import read_journal_commands
from delever.lab.runs.run import run
from delever.lab.runs.scenario import lines_of, read_scenario

OWN = "own"
"""The preset that stands for the visitor's own text."""

CRASH_ACCOUNTS, CRASH_CONTRACTS = 300, 4

LARGEST = 2_000_000
"""Characters of a visitor's own scenario."""

LARGEST_FILE = 64 * 1024 * 1024
"""Bytes of a file that is uploaded."""

SQLITE = b"SQLite format 3\0"
"""What a journal's file begins with."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One rule set's run of a scenario: its data, its distribution of ADL, and its rejections."""

    rules: str
    stored: StoredRun
    distributions: dict[str, AdlDistribution]
    rejected: int


def play(preset: str, text: str, rules: str) -> Trial:
    """Return a preset, or a text for OWN, played under a rule set; in a process of its own.

    Raises InputError for a text that is no scenario.
    """
    commands = own_commands(text) if preset == OWN else PRESETS[preset][1]()
    return _trial(rules, _under(commands, rules))


def play_file(path: Path, name: str) -> Trial | str:
    """Return a file played: a journal where it begins as one, or else a scenario.

    Where it is neither, return why, with the file called as its owner calls it.
    """
    try:
        with path.open("rb") as file:
            begins = file.read(len(SQLITE))
        commands = read_journal_commands(path) if begins == SQLITE else read_scenario(path)
    except InputError as error:
        why = str(error).replace(str(path), name)
        return why.replace(path.name, name)
    return _trial(name, commands)


def _trial(rules: str, commands: Iterable[Command]) -> Trial:
    result = run(Book(), commands)
    stored = stored_run(result)
    distributions = adl_distributions(result.events, stored.summary.contracts)
    return Trial(rules, stored, distributions, len(result.rejected))


def own_commands(text: str) -> list[Command]:
    """Return the commands of a text, one a line; raises InputError with the line and the field."""
    if len(text) > LARGEST:
        raise InputError(f"has more than {LARGEST:,} characters: run it with `delever run`")
    return [line.command for line in lines_of(BytesIO(text.encode()), "scenario")]


def _under(commands: Sequence[Command], rules: str) -> Iterator[Command]:
    venue = venue_of(rules)
    foreign = {c.pool for c in commands if isinstance(c, DefinePool) and venue_of(c.rules) != venue}
    for command in commands:
        if isinstance(command, DefinePool):
            limits = TriggerLimits() if command.pool in foreign else command.limits
            yield msgspec.structs.replace(command, rules=rules, limits=limits)
        elif isinstance(command, DefineContract) and command.pool in foreign:
            yield msgspec.structs.replace(command, limits=TriggerLimits())
        else:
            yield command


# --- presets ---


def one_long_falls() -> list[Command]:
    """Return the first example of Bybit's documentation: one bankrupt long, three shorts."""
    shorts = {"bob": (50, 400_000), "cyd": (30, 150_000), "dan": (40, 900_000)}
    held = [
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
        SetPositions(time_ms=1_000, version=1, positions=(ann, *held)),
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
    """Yield a fall in steps so large that the last leaves no room to close at the limit itself."""
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
    "one_long_falls": ("One bankrupt long of 100 BTC, three shorts", one_long_falls),
    "crash": ("A crash: 300 accounts, 4 contracts", crash),
}
"""Every preset by name: what it is called, and its commands."""
