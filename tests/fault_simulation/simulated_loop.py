"""An event loop that is turned by hand: time passes only when nothing else is left to do.

Functions that would run on other threads run on this one, some turns later; those of one executor
in their order.
"""

import asyncio
import random
from asyncio import events
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")

LATENCIES_S = (0.0, 0.0, 0.0001, 0.001, 0.02)
"""How long a function on another thread may take to begin; short ones are frequent."""

EPSILON_S = 1e-6


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop without threads, files and sockets; `turns` counts its callbacks."""

    def __init__(self, seed: int, time_s: float) -> None:
        super().__init__()
        self.turns = 0
        self.idle = False
        self.errors: list[dict[str, Any]] = []
        self._selector = self
        self._now_s = time_s
        self._clock_resolution = EPSILON_S
        self._random = random.Random(seed)
        self._starts: dict[int, float] = {}
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    def time(self) -> float:
        return self._now_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_s += seconds

    def turn(self, count: int, until: Callable[[], object] = lambda: False) -> None:
        """Run the loop `count` times, or until it is idle or `until` returns true."""
        self.idle = False
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            for _ in range(count):
                if self.idle or until():
                    return
                self.turns += max(1, len(self._ready))
                self._run_once()
        finally:
            events._set_running_loop(before)

    def abandon(self) -> None:
        """End all tasks as the end of a process does: nothing of them has an effect any more."""
        self.set_exception_handler(lambda _, __: None)
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False
            try:
                task.get_coro().close()
            except RuntimeError:  # it awaits something in its `finally`
                continue
        self._ready.clear()
        self._scheduled.clear()
        self.close()

    # --- what BaseEventLoop requires ---

    def run_in_executor(
        self, executor: Executor | None, function: Callable[..., ResultT], *arguments: Any
    ) -> "asyncio.Future[ResultT]":
        future: asyncio.Future[ResultT] = self.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                result = function(*arguments)
            except Exception as error:  # noqa: BLE001
                future.set_exception(error)
            else:
                future.set_result(result)

        start = self._now_s + self._random.choice(LATENCIES_S)
        if executor is not None:
            start = max(start, self._starts.get(id(executor), 0.0) + 2 * EPSILON_S)
            self._starts[id(executor)] = start
        self.call_at(start, run)
        return future

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            self.idle = True
        else:
            self._now_s += timeout
        return []

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._ready.clear()
            self._scheduled.clear()

    def _process_events(self, _event_list: list[object]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass
