"""Bytes of the journal: of a mark, of a position row and of a snapshot, one by one and in bulk."""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from measure import Row, main

import delever
from delever.core import messages as m
from delever.journal import SqliteJournal

CONTRACTS, ACCOUNTS = 200, 1_000


def opening() -> list[m.Command]:
    pool = m.DefinePool(time_ms=0, pool="main", kind=m.PoolKind.SHARED, asset="USDT", rules="bybit")
    contracts = [
        m.DefineContract(
            time_ms=0,
            contract=name(n),
            kind=m.ContractKind.LINEAR,
            settle="USDT",
            pool="main",
            tick_size="0.1",
            lot_size="0.001",
        )
        for n in range(CONTRACTS)
    ]
    accounts = [m.DefineAccount(time_ms=0, account=account(n)) for n in range(ACCOUNTS)]
    return [pool, *contracts, *accounts]


def name(n: int) -> str:
    return f"C{n % CONTRACTS:03}USDT"


def account(n: int) -> str:
    return f"account-{n % ACCOUNTS:06}"


def marks(n: int, count: int) -> m.SetMarks:
    return m.SetMarks(
        time_ms=n, marks={name(n + i): f"{60_000 + n}.{i % 10}" for i in range(count)}
    )


def positions(n: int, count: int) -> m.SetPositions:
    rows = (
        m.PositionRow(
            account=account(n + i),
            contract=name(n),
            side=m.Side.LONG,
            quantity="1.5",
            entry_price="60000.1",
            leverage=10,
        )
        for i in range(count)
    )
    return m.SetPositions(time_ms=10**6, version=n, positions=tuple(rows))


def size(recorder: delever.Recorder) -> int:
    path = Path(recorder.journal.path)
    with SqliteJournal(path) as other:
        other.compact()
    return path.stat().st_size


def growth(recorder: delever.Recorder, commands: list[m.Command], rows: int) -> float:
    before = size(recorder)
    for start in range(0, len(commands), 100):
        recorder.submit(commands[start : start + 100])
    return (size(recorder) - before) / rows


def rows(_options: argparse.Namespace) -> Iterator[Row]:
    measured: tuple[tuple[str, Callable[[int, int], m.Command], int, int], ...] = (
        ("a mark, one a command", marks, 4_000, 1),
        ("a mark, 200 a command", marks, 400, 200),
        ("a position row, one a command", positions, 4_000, 1),
        ("a position row, 1,000 a command", positions, 20, 1_000),
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        delever.Recorder.open(Path(folder) / "journal.db") as recorder,
    ):
        recorder.submit(opening())
        for what, command, commands, each in measured:
            made = [command(n, each) for n in range(commands)]
            yield Row(what, f"{growth(recorder, made, commands * each):.0f} bytes")
        before = size(recorder)
        recorder.snapshot()
        tables = [t for c in recorder.book.contracts.values() for t in c.tables.values()]
        held = sum(table.size for table in tables)
        each_position = (size(recorder) - before) / held
        yield Row("a position in a snapshot", f"{each_position:.0f} bytes")


if __name__ == "__main__":
    main(rows)
