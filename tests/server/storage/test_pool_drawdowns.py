"""The worst drawdowns of the database, compared with a scan of all points."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from delever.core.units import ratio_ppm
from delever.server.storage.database import migrate
from delever.server.storage.queries import DAY_MS, HistoryQueries
from delever.server.storage.tables import flows, pool_points

LARGE = 2**60


class PoolRecord(NamedTuple):
    """One record: days since the previous one, flows, and the equities after it."""

    days: int
    moved: tuple[int, ...]
    equities: tuple[int, ...]


def scan(records: Sequence[PoolRecord], since_ms: int) -> int:
    """Return the largest drawdown since a time, with the equity at that time as first peak."""
    peak = deepest = time_ms = 0
    for record in records:
        time_ms += record.days * DAY_MS
        peak += sum(min(moved, 0) for moved in record.moved)  # a withdrawal is not a loss
        for equity in record.equities:
            if time_ms < since_ms:
                peak = equity  # the equity at the beginning
                continue
            peak = max(peak, equity)
            if peak > 0:
                deepest = max(deepest, ratio_ppm(peak - equity, peak))
    return deepest


async def store(database: AsyncEngine, records: Sequence[PoolRecord]) -> int:
    """Replace the rows by these records of one pool, and others; return the last time."""
    time_ms, flow_rows, point_rows = 0, [], []
    for sequence, record in enumerate(records, start=1):
        time_ms += record.days * DAY_MS
        row = {"sequence": sequence, "time_ms": time_ms}
        first = len(record.moved)
        for place, moved in enumerate(record.moved):
            flow = {"contract": None, "amount_cash": moved, "reason": "withdrawal", "note": ""}
            flow_rows.append({**row, "event_index": place, "pool": "main", **flow})
        for place, equity in enumerate(record.equities, start=first):
            point = {"balance_cash": 0, "equity_cash": equity, "contract_pnl": "{}"}
            point_rows.append({**row, "event_index": place, "pool": "main", **point})
        other = {"balance_cash": 0, "equity_cash": (-1) ** sequence, "contract_pnl": "{}"}
        point_rows.append({**row, "event_index": 99, "pool": "other", **other})
    async with database.begin() as connection:
        for table, rows in ((flows, flow_rows), (pool_points, point_rows)):
            await connection.execute(sa.delete(table))
            if rows:
                await connection.execute(sa.insert(table), rows)
    return time_ms


async def worst(database: AsyncEngine, records: Sequence[PoolRecord]) -> tuple[int, int, int]:
    return await HistoryQueries(database).worst_drawdowns("main", await store(database, records))


@contextmanager
def opened(url: str) -> Iterator[tuple[asyncio.Runner, AsyncEngine]]:
    database = create_async_engine(url)
    with asyncio.Runner() as loop:
        loop.run(migrate(database))
        try:
            yield loop, database
        finally:
            loop.run(database.dispose())


def equities(*each: int) -> list[PoolRecord]:
    return [PoolRecord(1, (), (equity,)) for equity in each]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], 0),
        (equities(100), 0),
        (equities(100, 70, 90, 60), 400_000),
        (equities(0, -10), 0),
        (equities(10, -10), 2_000_000),
        ([PoolRecord(1, (), (100,)), PoolRecord(1, (-50,), (50,)), PoolRecord(1, (), (50,))], 0),
        ([PoolRecord(1, (), (100,)), PoolRecord(1, (-20,), (60,))], 250_000),
        ([PoolRecord(1, (), (100,)), PoolRecord(1, (50,), (150, 120))], 200_000),
        (equities(LARGE, LARGE - LARGE // 10**6, LARGE - 1), 1),
        (equities(10**18 + 1, 5 * 10**17, 10**18, 5 * 10**17 - 1), 500_000),
    ],
)
def test_worst_drawdown_of_all_time(
    records: list[PoolRecord], expected: int, empty_database: str
) -> None:
    with opened(empty_database) as (loop, database):
        *_, ever = loop.run(worst(database, records))
    assert ever == expected == scan(records, 0)


def test_a_drawdown_window_begins_with_the_last_equity_before_it(empty_database: str) -> None:
    records = [*equities(100, 70, 90), PoolRecord(1, (), (60,)), PoolRecord(40, (), (54, 57))]
    with opened(empty_database) as (loop, database):
        assert loop.run(worst(database, records)) == (100_000, 100_000, 460_000)
        assert loop.run(worst(database, records[:4])) == (333_333, 400_000, 400_000)


amounts = st.one_of(st.integers(-20, 20), st.integers(-LARGE, LARGE))
record = st.builds(
    PoolRecord,
    days=st.sampled_from([0, 0, 1, 15, 31]),
    moved=st.lists(st.integers(-20, 20), max_size=2).map(tuple),
    equities=st.lists(amounts, min_size=1, max_size=3).map(tuple),
)


def test_worst_drawdowns_equal_those_of_a_scan_of_all_points(empty_database: str) -> None:
    with opened(empty_database) as (loop, database):

        @given(records=st.lists(record, max_size=30))
        def check(records: list[PoolRecord]) -> None:
            now_ms = sum(each.days for each in records) * DAY_MS
            since = now_ms - DAY_MS, now_ms - 30 * DAY_MS, 0
            found = loop.run(worst(database, records))
            assert found == tuple(scan(records, each) for each in since)

        check()
