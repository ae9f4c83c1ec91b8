"""A parallel map in which the calling thread works too, instead of waiting for the others."""

from collections.abc import Callable
from typing import Any, Protocol


class Threads(Protocol):
    """An executor of threads, as `concurrent.futures` has it."""

    def submit(self, work: Callable[[], None], /) -> Any:
        """Start the work on a thread; return its future."""


class WorkSharing:
    """`map` over an executor's threads and the calling thread, which take tasks in turn.

    It returns the results in order once all tasks are done, and raises the first error of a task.
    `threads` counts the calling thread. A thread that has not started by the end is not waited for.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(1) as pool:
    ...     WorkSharing(pool, threads=2)(pow, [2, 3], [5, 2])
    [32, 9]
    """

    def __init__(self, executor: Threads, threads: int) -> None:
        self._executor = executor
        self.threads = threads

    def __call__(self, work: Callable[..., Any], *columns: Any) -> list[Any]:
        """Return the result of each call, with one entry of every column as arguments."""
        tasks = list(zip(*columns, strict=False))
        results: list[Any] = [None] * len(tasks)
        turns = iter(range(len(tasks)))  # taking the next turn is atomic

        def take_turns() -> None:
            for turn in turns:
                results[turn] = work(*tasks[turn])

        others = min(self.threads, len(tasks)) - 1
        helpers = [self._executor.submit(take_turns) for _ in range(others)]
        try:
            take_turns()
        finally:
            for helper in helpers:
                if not helper.cancel():
                    helper.result()
        return results
