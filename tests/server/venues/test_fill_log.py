"""The log of ADL fills and takeovers by account, across restarts."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from binance_market import fall, opening

from delever.config import Config
from delever.core.messages import AdlFilled, CancelAdl, TakenOver
from delever.server.engine.runner import NOW, Runner
from delever.server.venues.fill_log import FillLog


def config(path: Path | str) -> Config:
    return msgspec.convert({"journal": {"path": str(path)}}, Config)


def running(
    path: Path | str, now_ms: Callable[[], int], use: Callable[[Runner, FillLog], Awaitable[None]]
) -> FillLog:
    async def go() -> FillLog:
        runner = Runner(config(path), now_ms)
        log = FillLog(runner)
        await runner.start(auto_tick=False)
        try:
            await use(runner, log)
        finally:
            await runner.stop()
        return log

    return asyncio.run(go())


async def crash(runner: Runner, _log: FillLog) -> None:
    await runner.submit(opening())
    await runner.submit(fall())


async def nothing(_runner: Runner, _log: FillLog) -> None:
    pass


def test_fills_and_takeovers_are_found_by_account_contract_time_and_kind() -> None:
    log = running(":memory:", lambda: 7_000, crash)
    (taken,), (first,), (second,) = (log.of(name) for name in ("dan", "ann", "bob"))
    assert isinstance(taken.event, TakenOver)
    assert not taken.is_adl
    assert isinstance(first.event, AdlFilled)
    assert [first.event.fill, second.event.lots] == [1, 200]
    assert taken.sequence < first.sequence == second.sequence
    assert first.time_ms == 7_000
    assert log.of("ann", "BTCUSDT", since_ms=7_000, until_ms=7_000, adl=True) == [first]
    assert log.of("ann", "ETHUSDT") == log.of("ann", adl=False) == log.of("nobody") == []
    assert log.of("ann", since_ms=7_001) == log.of("ann", until_ms=6_999) == []
    assert log.of("ann", limit=0) == []


def test_a_restart_reads_the_same_orders_from_the_journal(tmp_path: Path) -> None:
    times = iter(range(1_000, 1_000_000, 10))
    before = running(tmp_path / "j.db", lambda: next(times), crash)
    found = running(tmp_path / "j.db", lambda: next(times), nothing)
    for account in ("ann", "bob", "dan"):
        assert found.of(account) == before.of(account) != []


def test_cancelled_fills_are_removed_and_the_newest_orders_are_oldest_first(tmp_path: Path) -> None:
    async def crash_and_cancel(runner: Runner, log: FillLog) -> None:
        await crash(runner, log)
        for fill in range(1, 5):  # each cancelled fill is filled again under the next number
            await runner.submit([CancelAdl(time_ms=NOW, fill=2 * fill, note="again")])

    log = running(tmp_path / "j.db", lambda: 7_000, crash_and_cancel)
    fills = [c.event.fill for c in log.of("bob") if isinstance(c.event, AdlFilled)]
    assert 2 not in fills
    restarted = running(tmp_path / "j.db", lambda: 8_000, nothing)
    assert restarted.of("bob") == log.of("bob")
    assert restarted.of("bob", limit=1) == log.of("bob")[-1:]
