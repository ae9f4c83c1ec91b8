"""The engine with journal, ledger and invariants: in bulk, one by one, and replayed."""
# ruff: noqa: B023 - timed functions are called within their iteration

import argparse
import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from large_book import (
    account_commands,
    account_names,
    contract_names,
    definition_commands,
    large,
    position_commands,
)
from measure import Row, main, seconds

from delever.core import engine
from delever.core import messages as m
from delever.core.kernels import fastest
from delever.journal import Recorder, SqliteJournal, replay_commands, replay_events
from delever.journal.snapshot import encode_book

NO_SNAPSHOTS = 10**9
"""Records between snapshots: more than any benchmark writes."""
COMMIT = 500
UPDATES_PER_POSITION = 10
"""How often each position is set again, at least, before the journal is replayed."""


def submit(recorder: Recorder, commands: list[m.Command]) -> None:
    for events in recorder.submit(commands):
        if isinstance(events[0], m.Rejected):
            raise SystemExit(f"rejected: {events[0]}")


def submit_one_by_one(recorder: Recorder, commands: list[m.Command]) -> float:
    return seconds(lambda: [submit(recorder, [command]) for command in commands])


def rows(options: argparse.Namespace) -> Iterator[Row]:
    fastest()
    book = large(options.positions)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        with Recorder.open(path, snapshot_every=NO_SNAPSHOTS) as recorder:
            submit(recorder, list(definition_commands()))
            accounts, *balances = account_commands(book)
            rate = book.accounts / submit_one_by_one(recorder, [accounts])
            yield Row("accounts defined in bulk", f"{rate:,.0f} /s")
            rate = book.accounts / submit_one_by_one(recorder, balances)
            yield Row("balances in bulk", f"{rate:,.0f} /s")
            rate = book.size / submit_one_by_one(recorder, list(position_commands(book)))
            yield Row("positions opened in bulk, journal durable", f"{rate:,.0f} /s")
            again = max(options.rounds, UPDATES_PER_POSITION)
            updates = [list(position_commands(book, version)) for version in range(2, 2 + again)]
            times = [submit_one_by_one(recorder, commands) for commands in updates]
            rate = book.size / float(np.median(times))
            yield Row(
                "positions updated in bulk, journal durable",
                f"{rate:,.0f} /s (best {book.size / min(times):,.0f})",
                ">= 1,000,000 /s",
                rate >= 1e6,
            )
            taken_in = book.size * (1 + again) / (sum(times) + book.size / rate)
            final = encode_book(recorder.book)
        yield from _replayed(path, book.size * (1 + again), taken_in, final)
        with Recorder.open(path, snapshot_every=NO_SNAPSHOTS) as recorder:
            submit(recorder, [m.SetMarks(time_ms=0, marks=dict.fromkeys(contract_names(), 100))])
            yield from _one_by_one(recorder, book, options.rounds)


def _replayed(path: Path, positions: int, taken_in: float, final: bytes) -> Iterator[Row]:
    with SqliteJournal(path, readonly=True) as journal:
        for replay in (replay_events, replay_commands):
            found: list[Any] = []
            taken = seconds(lambda: found.append(replay(journal)))
            if found[0].finding or encode_book(found[0].book) != final:
                raise SystemExit(f"{replay.__name__}: another book: {found[0].finding}")
            rate, events = positions / taken, replay is replay_events
            yield Row(
                f"{replay.__name__.replace('_', ' by ')}: {positions:,} position updates",
                f"{rate:,.0f} /s",
                f">= {taken_in:,.0f} /s, the rate of input" if events else "",
                rate >= taken_in if events else None,
            )


def singles(book: Any, count: int, version: int) -> list[m.Command]:
    """Return commands: half positions, a quarter balances, a quarter marks of small contracts."""
    rng, names = np.random.default_rng(version), account_names(book)
    commands: list[m.Command] = []
    for number, row in enumerate(rng.integers(0, book.size, count).tolist()):
        account, contract = names[book.account[row]], f"C{book.contract[row]:03d}"
        if number % 4 < 2:
            position = m.PositionRow(
                account=account,
                contract=contract,
                side=list(m.Side)[book.side[row]],
                quantity=f"{int(book.lots[row]) / 1000:.3f}",
                entry_price=f"{95 + number % 10}.5",
                leverage=10,
            )
            positions = (position,)
            commands.append(m.SetPositions(time_ms=0, version=version, positions=positions))
        elif number % 4 == 2:
            balance = m.BalanceRow(account=account, asset="USDT", balance=str(10_000 + number))
            commands.append(m.SetBalances(time_ms=0, version=version, balances=(balance,)))
        else:
            price = f"100.{number % 100:02d}"
            commands.append(m.SetMarks(time_ms=0, marks={f"C{250 + number % 250:03d}": price}))
    return commands


UNCHECKED = SimpleNamespace(
    before=lambda _event: None, before_fills=lambda _fills: None, close=lambda: None
)


def _one_by_one(recorder: Recorder, book: Any, rounds: int) -> Iterator[Row]:
    gc.collect()
    gc.freeze()  # as the server does after start
    checked: Any = engine.StepCheck
    times: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(rounds):
        commands = singles(book, 16 * COMMIT, 100 + turn)
        for at in range(0, len(commands), COMMIT):
            check = at // COMMIT % 2 == 0
            engine.StepCheck = checked if check else lambda _book: UNCHECKED  # type: ignore[misc]
            group = commands[at : at + COMMIT]
            times[check].append(seconds(lambda: submit(recorder, group)))
    engine.StepCheck = checked
    rate = COMMIT / float(np.median(times[True]))
    yield Row(
        f"single commands, {COMMIT} per commit, journal durable",
        f"{rate:,.0f} /s (best {COMMIT / min(times[True]):,.0f})",
        ">= 20,000 /s",
        rate >= 20_000,
    )
    share = 1 - float(np.median(times[False])) / float(np.median(times[True]))
    yield Row(
        "share of invariants in a step, single commands", f"{share:.1%}", "< 10 %", share < 0.1
    )


if __name__ == "__main__":
    main(rows)
