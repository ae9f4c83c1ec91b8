"""Explanations of fills, replayed in a process of their own so that commits do not wait.

One replay runs at a time, with low priority; explanations are cached by fill, and requests for the
same fill share one replay. A journal in memory can only be replayed by the engine's thread.
"""

import asyncio
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from delever.core.messages import FillCancelled
from delever.journal import SqliteJournal
from delever.lab.queries.fill_explanation import explain_fill_of
from delever.lab.queries.fill_report import FillExplanation
from delever.rule_registry import installed_rule_sets
from delever.server.engine.commit import Committed
from delever.server.engine.runner import BusyError, Runner

MAX_WAITING = 16
"""Replays that may wait; beyond this number a request is rejected."""

CACHE_SIZE = 1_000
"""Explanations that are cached."""

NICENESS = 10
PARENT_CHECK_S = 2.0


class FillExplainer:
    """Explains fills of a runner's journal; call `stop` at the end."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._cache: OrderedDict[int, asyncio.Task[FillExplanation]] = OrderedDict()
        self._one_at_a_time = asyncio.Semaphore(1)
        self._waiting = 0
        self._workers: ProcessPoolExecutor | None = None
        runner.listeners.append(self._forget_cancelled)

    async def explain(self, fill: int) -> FillExplanation:
        """Return the explanation of a fill; raise BusyError where too many wait.

        Raises what `explain_fill_of` raises; an error is not cached.
        """
        task = self._cache.get(fill)
        if task is None:
            if self._waiting >= MAX_WAITING:
                raise BusyError(f"{self._waiting} explanations are waiting already")
            self._waiting += 1
            task = self._cache[fill] = asyncio.create_task(self._replay(fill))
            if len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)
        self._cache.move_to_end(fill)
        try:
            return await asyncio.shield(task)
        except Exception:
            if self._cache.get(fill) is task:
                del self._cache[fill]
            raise

    def stop(self) -> None:
        """End the worker."""
        if self._workers is not None:
            self._workers.shutdown(wait=False, cancel_futures=True)

    async def _replay(self, fill: int) -> FillExplanation:
        try:
            async with self._one_at_a_time:
                path = self._runner.journal_path
                if path is None:
                    return await self._runner.look_up(lambda journal: _explained(journal, fill))
                return await asyncio.get_running_loop().run_in_executor(
                    self._pool(), explain_in_worker, path, fill
                )
        finally:
            self._waiting -= 1

    def _pool(self) -> ProcessPoolExecutor:
        if self._workers is None:
            self._workers = ProcessPoolExecutor(
                1, get_context("spawn"), prepare_worker, (os.getpid(),)
            )
        return self._workers

    def _forget_cancelled(self, commits: Sequence[Committed]) -> None:
        """Forget the explanations of cancelled fills: they say so."""
        for commit in commits:
            for event in commit.events:
                if isinstance(event, FillCancelled):
                    self._cache.pop(event.fill.fill, None)


def prepare_worker(parent: int) -> None:
    """Lower the priority of a worker, and end it with its parent."""
    os.nice(NICENESS)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def explain_in_worker(path: Path, fill: int) -> FillExplanation:
    """Return the explanation of a fill of a journal's file."""
    with SqliteJournal(path, readonly=True) as journal:
        return _explained(journal, fill)


def _explained(journal: SqliteJournal, fill: int) -> FillExplanation:
    return explain_fill_of(journal, fill, rule_sets=installed_rule_sets())
