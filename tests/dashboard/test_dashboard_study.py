"""A study of the lab without its page: the worker process, and inputs that are rejected."""

import asyncio
import os
import signal
from contextlib import suppress
from multiprocessing import active_children

import pytest

from delever.dashboard.data.lab.study import StudyInputs, StudyResult
from delever.dashboard.data.lab.study_queue import StudyError, StudyProgress, StudyQueue
from delever.dashboard.pages.lab.study_inputs import study_inputs
from delever.lab.errors import InputError
from waiting import PATIENCE_S

SMALL = StudyInputs(policies=("queue", "pro_rata"), count=2, funds=("0", "40000"))


def test_worker_reports_each_part_and_a_finished_study_is_stored() -> None:
    found: list[StudyProgress | StudyResult | None] = []

    async def run() -> tuple[StudyResult, StudyResult]:
        studies = StudyQueue()
        first = await studies.run(SMALL, found.append)
        return first, await studies.run(SMALL, lambda _: pytest.fail("is stored"))

    first, again = asyncio.run(run())
    assert again is first
    assert found[0] is None
    assert [each.done for each in found if isinstance(each, StudyProgress)] == [0, 4, 4, 8]
    plan, policies = [each for each in found if isinstance(each, StudyResult)]
    assert plan.plan is not None
    assert plan.policies is None
    assert policies.curve is None
    assert first.plan is not None
    assert first.plan.findings == ()
    assert first.plan.lower <= min(first.plan.losses.values())
    assert first.plan.upper == pytest.approx(first.plan.lower)


def test_killed_worker_is_an_error_and_a_cancelled_one_ends() -> None:
    def kill(_: object) -> None:
        for child in active_children():
            os.kill(child.pid or 0, signal.SIGKILL)

    async def run() -> None:
        studies = StudyQueue()
        with pytest.raises(StudyError, match="ended early, with exit code -9"):
            await studies.run(SMALL, kill)
        started = asyncio.Event()
        task = asyncio.create_task(
            studies.run(SMALL, lambda progress: started.set() if progress else None)
        )
        await asyncio.wait_for(started.wait(), PATIENCE_S)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert active_children() == []


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"scenarios": "many"}, "scenarios 'many': must be a whole number, such as 12"),
        ({"scenarios": "1"}, "scenarios '1': must be between 2 and 200"),
        ({"move": "nan"}, "hourly sd, % 'nan': must be between 0.1 and 50"),
        ({"policies": "quue"}, "policies 'quue': is unknown; choose one of queue"),
        ({"funds": "5"}, "fund sizes: give 2 to 12 sizes"),
        ({"scenarios": "200", "funds": ",".join("1" * n for n in range(1, 13)),
          "policies": ",".join(["queue", "pro_rata"] * 5)}, "runs '4,400': choose fewer"),
    ],
)  # fmt: skip
def test_invalid_input_is_named_with_its_limits(query: dict[str, str], error: str) -> None:
    with pytest.raises(InputError) as raised:
        study_inputs(query)
    assert error in str(raised.value)
