"""The history in SQL, on SQLite and on PostgreSQL: every record is projected once."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import msgspec
import pytest
import sqlalchemy as sa
from api_clients import CRASH
from hypothesis import given
from hypothesis import strategies as st
from manual_clock import ManualClock

from delever.config import Config
from delever.core.book import Book
from delever.core.messages import (
    AnyCommand,
    CancelAdl,
    Command,
    Compensate,
    DefineAccount,
    DefinePool,
    ForceAdl,
    FundingReason,
    FundPool,
    MoveContract,
    PoolKind,
    PositionRow,
    SetMarks,
    SetPositions,
    SetTime,
    Side,
    Takeover,
)
from delever.journal import Recorder
from delever.journal.archive import archive, prune
from delever.lab.runs.run import run
from delever.lab.runs.scenario import read_scenario
from delever.server.engine.runner import Runner
from delever.server.storage import tables
from delever.server.storage.database import migrate, open_database
from delever.server.storage.projector import HistoryProjector
from delever.server.storage.queries import MAX_TIME_MS, HistoryQueries, downsample
from delever.server.storage.rolling_peaks import balance_peaks, contract_pnl_peaks
from waiting import until

T = TypeVar("T")
Question = Callable[[Runner, HistoryProjector, HistoryQueries], Awaitable[T]]

DAY_MS = 24 * 3_600_000
TABLES = [
    tables.pool_points,
    tables.contract_points,
    tables.price_points,
    tables.last_marks,
    tables.flows,
    tables.takeovers,
    tables.unwinds,
    tables.netted,
    tables.episodes,
    tables.rounds,
    tables.fills,
]


@pytest.fixture
def config(empty_database: str, tmp_path: Path) -> Config:
    """A journal in a file, and an empty database of each kind for it."""
    raw = {"journal": {"path": str(tmp_path / "j.db")}, "history": {"url": empty_database}}
    return msgspec.convert(raw, Config)


def crash() -> list[Command]:
    return read_scenario(CRASH)


async def all_projected(runner: Runner, history: HistoryProjector) -> int:
    """Wait, however long a busy machine takes, until every commit is projected."""
    committed = await runner.read(lambda book: book.sequence)
    await until(lambda: history.sequence >= committed, "projected")
    return history.sequence


def with_history(config: Config, question: Question[T], *, follow: bool = True) -> T:
    """Return the result of a question to runner and history, with the projection caught up."""

    async def go() -> T:
        runner = Runner(config, ManualClock(1_000))
        database = open_database(config)
        history = HistoryProjector(runner, database)
        await migrate(database)
        await runner.start(auto_tick=False)
        if follow:
            await history.start()
        try:
            return await question(runner, history, HistoryQueries(database))
        finally:
            await history.stop()
            await runner.stop()
            await database.dispose()

    return asyncio.run(go())


async def all_rows(history: HistoryProjector) -> dict[str, list[tuple[Any, ...]]]:
    async with history.database.connect() as connection:
        found = {}
        for table in TABLES:
            keys = list(table.primary_key.columns)
            rows = await connection.execute(sa.select(table).order_by(*keys))
            found[table.name] = [tuple(row) for row in rows]
    return found


def test_a_crash_is_projected_into_rows(config: Config) -> None:
    async def question(runner: Runner, history: HistoryProjector, queries: HistoryQueries) -> None:
        await runner.submit(crash())
        assert await all_projected(runner, history) == len(crash())
        (episode,) = await queries.episodes(None, MAX_TIME_MS, 10)
        found = (episode.contract, episode.trigger, episode.started_ms, episode.stopped_ms)
        assert found == ("BTCUSDT", "contract_drawdown", 3_000, 4_000)
        assert (episode.fills, int(episode.lots), episode.accounts) == (3, 100_000, 3)
        (round_,), fills = await queries.rounds(episode.episode)
        assert (round_.wanted_lots, round_.filled_lots) == (100_000, 100_000)
        assert [(fill.account, fill.rank) for fill in fills] == [("cyd", 1), ("bob", 2), ("dan", 3)]
        assert [row.fill for row in await queries.fills("bob", None, 0, 10)] == [2]
        assert [row.fill for row in await queries.fills(None, "BTCUSDT", 1, 1)] == [2]
        (takeover,), unwinds, netted = await queries.inventory_flows("BTCUSDT", 1, MAX_TIME_MS)
        assert (takeover.account, takeover.lots) == ("ann", 100_000)
        assert [*unwinds, *netted] == []
        points, whole = await queries.pool("main", 0, MAX_TIME_MS)
        assert whole
        flows = await queries.flows("main", 0, MAX_TIME_MS, 100)
        assert [flow.amount_cash for flow in flows] == [10**14, 6 * 10**12]
        assert points[-1].equity_cash == 76 * 10**12
        assert await queries.worst_drawdowns("main", 4_000) == (350_000, 350_000, 350_000)

    with_history(config, question)


def test_netted_inventory_and_compensations_are_stored(config: Config) -> None:
    bust = PositionRow(
        account="bust",
        contract="BTCUSDT",
        side=Side.SHORT,
        quantity=1,
        entry_price="60000",
        isolated_margin=0,
    )
    commands = [
        *crash(),
        DefineAccount(time_ms=5_000, account="bust"),
        SetPositions(time_ms=5_000, version=9, last_fill=3, positions=(bust,)),
        Takeover(time_ms=5_000, account="bust"),
        DefineAccount(time_ms=5_000, account="long"),
        SetPositions(
            time_ms=5_000,
            version=9,
            last_fill=3,
            positions=(
                msgspec.structs.replace(bust, account="long", side=Side.LONG, entry_price="50000"),
            ),
        ),
        Takeover(time_ms=5_000, account="long"),
        Compensate(
            time_ms=6_000, account="bob", contract="BTCUSDT", fill=2, amount="5", note="owed"
        ),
    ]

    async def question(runner: Runner, history: HistoryProjector, queries: HistoryQueries) -> None:
        outcomes = await runner.submit(commands)
        assert await all_projected(runner, history) == len(commands), outcomes
        _, _, (netted,) = await queries.inventory_flows("BTCUSDT", 1, MAX_TIME_MS)
        assert (netted.lots, netted.realized_pnl_cash) == (1_000, 10_000 * 10**8)
        *_, flow = await queries.flows("main", 0, MAX_TIME_MS, 100)
        assert (flow.amount_cash, flow.reason, flow.note) == (-5 * 10**8, "compensation", "owed")

    with_history(config, question)


def test_a_name_with_nul_does_not_block_later_records(config: Config) -> None:
    encoded = msgspec.json.encode(crash()).replace(b'"bob"', b'"bo\\u0000b"')
    commands = msgspec.json.decode(encoded, type=list[AnyCommand])

    async def question(runner: Runner, history: HistoryProjector, queries: HistoryQueries) -> None:
        await runner.submit(commands)
        assert await all_projected(runner, history) == len(commands)
        assert [row.fill for row in await queries.fills("bo\0b", None, 0, 10)] == [2]
        assert [row.fill for row in await queries.fills("cyd", None, 0, 10)] == [1]

    with_history(config, question)


def test_an_interrupted_projection_continues_without_duplicates(config: Config) -> None:
    """Interrupted after each few records, the rows equal those of one projection."""

    async def submit_all(
        runner: Runner, _history: HistoryProjector, _queries: HistoryQueries
    ) -> None:
        await runner.submit(crash())
        late = [SetMarks(time_ms=5_000, marks={"BTCUSDT": "61000"}), SetTime(time_ms=9_000)]
        await runner.submit([*late, CancelAdl(time_ms=9_000, fill=2, note="not applied")])
        await runner.submit([ForceAdl(time_ms=9_500, contract="BTCUSDT", note="once more")])

    async def rows(_runner: Runner, history: HistoryProjector, _queries: HistoryQueries) -> Any:
        await history.open()
        while await history.advance():
            pass
        return await all_rows(history)

    with_history(config, submit_all, follow=False)
    whole = with_history(config, rows, follow=False)
    assert {name for name, found in whole.items() if found} == set(whole) - {"unwinds", "netted"}
    (cancelled,) = [row for row in whole["fills"] if row[-1] is not None]
    assert cancelled[0] == 2

    async def forget(_runner: Runner, history: HistoryProjector, _queries: HistoryQueries) -> None:
        async with history.database.begin() as connection:
            for table in (*TABLES, tables.cursor):
                await connection.execute(sa.delete(table))

    with_history(config, forget, follow=False)

    async def some(runner: Runner, history: HistoryProjector, _queries: HistoryQueries) -> int:
        """Project a few records, and stop."""
        few = HistoryProjector(runner, history.database, page_records=3)
        await few.open()
        await few.advance()
        return few.sequence

    reached = [with_history(config, some, follow=False) for _ in range(4)]
    assert reached == [3, 6, 9, 12]
    assert with_history(config, rows, follow=False) == whole


def replace_journal(config: Config, commands: list[Command]) -> None:
    """Write a journal of other commands in place of the configured one."""
    path = Path(config.journal.path)
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    with Recorder.open(path) as recorder:
        recorder.submit(commands)


def test_a_history_beyond_its_journal_or_of_another_one_is_projected_again(config: Config) -> None:
    """As after a journal was restored from a backup that lacks the fills, or was replaced."""

    async def submit_all(runner: Runner, history: HistoryProjector, _: HistoryQueries) -> int:
        await runner.submit(crash())
        return await all_projected(runner, history)

    async def fills(_r: Runner, history: HistoryProjector, queries: HistoryQueries) -> list[int]:
        await until(lambda: history.caught_up)
        assert history.lag == 0
        return [history.sequence, *(row.fill for row in await queries.fills(None, None, 0, 10))]

    assert with_history(config, submit_all) == len(crash())
    assert with_history(config, fills) == [len(crash()), 1, 2, 3]
    replace_journal(config, crash()[:-4])
    assert with_history(config, fills) == [len(crash()) - 4]
    replace_journal(config, crash())
    assert with_history(config, fills) == [len(crash()), 1, 2, 3]
    replace_journal(config, [SetTime(time_ms=7)] * 40)
    assert with_history(config, fills) == [40]


def test_a_history_that_lacks_archived_records_begins_with_the_first_one(config: Config) -> None:
    """The last command of the crash stops ADL, which began in a record that is archived."""
    path = Path(config.journal.path)
    with Recorder.open(path, snapshot_every=len(crash()) - 1) as recorder:
        for command in crash():
            recorder.submit([command])
    archived = path.with_name("archive.db")
    last = archive(path, archived, retain=1)
    assert last.sequence == len(crash()) - 1
    prune(path, archived, retain=1)

    async def question(
        _r: Runner, history: HistoryProjector, _q: HistoryQueries
    ) -> dict[str, list[tuple[Any, ...]]]:
        await until(lambda: history.caught_up)
        assert (history.sequence, history.lag) == (len(crash()), 0)
        return await all_rows(history)

    rows = with_history(config, question)
    assert (rows["episodes"], rows["fills"]) == ([], [])
    assert [row[0] for row in rows["flows"]] == [len(crash())]
    assert with_history(config, question) == rows


def test_two_projectors_of_one_database_project_each_record_once(config: Config) -> None:
    async def question(runner: Runner, history: HistoryProjector, _queries: HistoryQueries) -> None:
        other = HistoryProjector(runner, open_database(config))
        await other.start()
        for command in crash():
            await runner.submit([command])
        await all_projected(runner, history)
        await all_projected(runner, other)
        found = await all_rows(history)
        assert len(found["fills"]) == 3
        assert len(found["episodes"]) == 1
        await other.stop()
        await other.database.dispose()

    with_history(config, question)


# --- peaks ---

WINDOW_MS = 5_000


def restless() -> list[Command]:
    """Return the crash with a window of 5 s, moving marks, all kinds of flows, and a move."""
    found = [
        msgspec.structs.replace(each, peak_window_ms=WINDOW_MS)
        if isinstance(each, DefinePool)
        else each
        for each in crash()
    ]
    other = DefinePool(
        time_ms=4_000, pool="other", kind=PoolKind.ISOLATED, asset="USDT", rules="bybit",
        peak_window_ms=2_000,
    )  # fmt: skip
    found.append(other)
    for second in range(6, 60):
        time_ms = 700 * second
        price = 60_000 + (second * 7_919) % 1_301 - 20 * second
        found.append(SetMarks(time_ms=time_ms, marks={"BTCUSDT": price}))
        if second == 12:
            found.append(Takeover(time_ms=time_ms, account="dan", contract="BTCUSDT"))
        if second % 5 == 0:
            taken_out = second % 2 and second < 40
            found.append(
                FundPool(
                    time_ms=time_ms,
                    pool="main" if second < 40 else "other",
                    amount=-1_000 if taken_out else 700,
                    reason=FundingReason.WITHDRAWAL if taken_out else FundingReason.INJECTION,
                    contract=None if second % 3 else "BTCUSDT",
                    note="a flow",
                )
            )
        if second == 39:
            found.append(
                MoveContract(time_ms=time_ms, contract="BTCUSDT", pool="other", note="apart")
            )
    return found


def test_rolling_peaks_equal_those_of_the_engine(config: Config) -> None:
    """Peaks from the beginning, and from the middle, where only one window is read."""
    result = run(Book(), restless())
    assert not result.rejected
    contracts, pools = result.contracts.to_dicts(), result.pools.to_dicts()
    had = {row["sequence"]: row["contract_pnl_peak"] for row in contracts}
    balances = {(row["sequence"], row["pool"]): row["balance_peak"] for row in pools}
    assert len(set(had.values())) > 10

    async def question(runner: Runner, history: HistoryProjector, queries: HistoryQueries) -> None:
        await runner.submit(restless())
        await all_projected(runner, history)
        windows = {"main": WINDOW_MS, "other": 2_000}
        for from_ms in (0, 9_000, 20_000, 30_000):
            points_read = await queries.contract("BTCUSDT", from_ms - WINDOW_MS, MAX_TIME_MS)
            flows = await queries.contract_flows("BTCUSDT", from_ms - WINDOW_MS, MAX_TIME_MS)
            peaks = contract_pnl_peaks(points_read, flows, windows)
            last = {row.sequence: row for row in points_read.rows if row.time_ms >= from_ms}
            assert len(last) > 15
            for row in last.values():
                found = Decimal(peaks[row.sequence, row.event_index]).scaleb(-8)
                assert found == had[row.sequence], (from_ms, row.time_ms)
            for pool, window_ms in windows.items():
                points_read = await queries.pool(pool, from_ms - window_ms, MAX_TIME_MS)
                peaks = balance_peaks(points_read, window_ms)
                last = {row.sequence: row for row in points_read.rows if row.time_ms >= from_ms}
                for row in last.values():
                    found = Decimal(peaks[row.sequence, row.event_index]).scaleb(-8)
                    assert found == balances[row.sequence, pool], (pool, from_ms, row.time_ms)

    with_history(config, question)


# --- downsampling ---


def points(*equities: int) -> list[Any]:
    return [
        SimpleNamespace(sequence=n, time_ms=n * DAY_MS, equity_cash=equity)
        for n, equity in enumerate(equities)
    ]


@given(equities=st.lists(st.integers(-1_000, 1_000), max_size=300), limit=st.integers(1, 100))
def test_downsampling_keeps_order_ends_and_extremes(equities: list[int], limit: int) -> None:
    rows = points(*equities)
    sampled = downsample(rows, limit, [lambda row: int(row.equity_cash)])
    assert len(sampled) <= max(limit, 4)
    assert [row.sequence for row in sampled] == sorted({row.sequence for row in sampled})
    if rows:
        values = [row.equity_cash for row in sampled]
        assert (max(values), min(values)) == (max(equities), min(equities))
        assert (sampled[0], sampled[-1]) == (rows[0], rows[-1])


def test_marks_are_stored_where_they_differ_by_a_twentieth_of_a_percent(config: Config) -> None:
    """60,000 and then -0.04 % and -0.05 % of it, +0.04 % and -0.05 % of 59,970."""
    marks = ("59976", "59970", "59994", "59940")

    async def question(runner: Runner, history: HistoryProjector, queries: HistoryQueries) -> None:
        await runner.submit(crash()[:-4])
        first = await all_projected(runner, history)
        for mark in marks:
            await runner.submit([SetMarks(time_ms=5_000, marks={"BTCUSDT": mark})])
        await all_projected(runner, history)
        points, _ = await queries.prices("BTCUSDT", 0, MAX_TIME_MS)
        stored = [row.mark_ticks for row in points if row.sequence > first]
        assert stored == [119_940, 119_880]

    with_history(config, question)
