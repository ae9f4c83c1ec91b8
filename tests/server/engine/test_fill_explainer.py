"""Fills are explained in a process of their own: shared, cached, bounded."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from api_clients import CRASH
from manual_clock import ManualClock

from delever.config import Config
from delever.core.messages import CancelAdl
from delever.lab.errors import UnknownNameError
from delever.lab.runs.scenario import read_scenario
from delever.server.engine.fill_explainer import MAX_WAITING, FillExplainer
from delever.server.engine.runner import BusyError, Runner

T = TypeVar("T")


def explaining(path: str, use: Callable[[Runner, FillExplainer], Awaitable[T]]) -> T:
    """Return the result of a question, after the crash of the examples."""

    async def go() -> T:
        config = msgspec.convert({"journal": {"path": path}}, Config)
        runner = Runner(config, ManualClock(5_000))
        explainer = FillExplainer(runner)
        await runner.start(auto_tick=False)
        await runner.submit(read_scenario(CRASH))
        try:
            return await use(runner, explainer)
        finally:
            explainer.stop()
            await runner.stop()

    return asyncio.run(go())


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_a_fill_is_replayed_once_for_all_and_again_once_it_is_cancelled(
    tmp_path: Path, kind: str
) -> None:
    async def use(runner: Runner, explainer: FillExplainer) -> None:
        found = await asyncio.gather(*(explainer.explain(2) for _ in range(9)))
        assert {id(each) for each in found} == {id(found[0])}
        assert found[0].fill.account == "bob"
        await runner.submit([CancelAdl(time_ms=5_000, fill=2, note="halted")])
        again = await explainer.explain(2)
        assert found[0].cancelled is None
        assert again.cancelled == len(read_scenario(CRASH)) + 1
        with pytest.raises(UnknownNameError):
            await explainer.explain(9)

    explaining(str(tmp_path / "j.db") if kind == "file" else ":memory:", use)


def test_more_replays_than_may_wait_are_busy() -> None:
    async def use(_runner: Runner, explainer: FillExplainer) -> None:
        many = [explainer.explain(fill) for fill in range(100, 200)]
        found = await asyncio.gather(*many, return_exceptions=True)
        kinds = [type(each) for each in found]
        assert kinds.count(BusyError) == 100 - MAX_WAITING
        assert kinds.count(UnknownNameError) == MAX_WAITING

    explaining(":memory:", use)
