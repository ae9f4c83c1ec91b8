"""Studies in worker processes: so many at a time, with progress, and each can be cancelled.

A study computes for seconds to minutes: on the event loop or in a thread it would stop the engine
that serves beside the dashboard. Its process has a lower priority than the server.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from signal import SIG_IGN, SIGINT, signal

from delever.dashboard.data.lab.study import StudyInputs, StudyResult, run_study
from delever.lab.errors import InputError, UnknownNameError

MAX_RUNNING = 1
"""Studies that run at once, of all visitors; the others wait."""

MAX_STORED = 8
"""Finished studies that are stored, so that a link opens at once."""

NICENESS = 10
"""How much lower the priority of a worker is than that of the server."""


class StudyError(Exception):
    """Raised for a study that did not finish, with the reason."""


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """Runs done and in total, with the seconds left; None before the first are done."""

    done: int
    total: int
    seconds_left: float | None


OnProgress = Callable[[StudyProgress | StudyResult | None], None]
"""Called with each progress, with the parts that are finished, and with None while the study waits.
"""


class StudyQueue:
    """The studies of all visitors of one dashboard."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(MAX_RUNNING)
        self._stored: dict[StudyInputs, StudyResult] = {}

    async def run(self, inputs: StudyInputs, on_progress: OnProgress) -> StudyResult:
        """Return a study, stored or run in a process, which ends when the task is cancelled.

        Raises StudyError with the reason if the inputs are invalid or the process ends early.
        """
        if inputs not in self._stored:
            on_progress(None)
            async with self._turn:
                if inputs not in self._stored:  # another visitor may have run it meanwhile
                    self._store(await _run_in_process(inputs, on_progress))
        return self._stored[inputs]

    def _store(self, result: StudyResult) -> None:
        while len(self._stored) >= MAX_STORED:
            del self._stored[next(iter(self._stored))]
        self._stored[result.inputs] = result


async def _run_in_process(inputs: StudyInputs, on_progress: OnProgress) -> StudyResult:
    context = get_context("spawn")  # a fork would copy the engine's threads half
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(inputs, sender), daemon=True)
    process.start()
    sender.close()  # so that the end of the process ends the connection
    try:
        while True:
            message = await asyncio.to_thread(_receive, receiver, process)
            if isinstance(message, str):
                raise StudyError(message)
            if isinstance(message, StudyResult) and message.is_finished:
                return message
            on_progress(message)
    finally:
        process.kill()  # which also ends a thread that waits for its next message
        process.join()


def _receive(receiver: Connection, process: BaseProcess) -> StudyResult | StudyProgress | str:
    """Return a message of the worker: its result, its progress, or why it failed."""
    try:
        message: StudyResult | StudyProgress | str = receiver.recv()
    except EOFError:
        process.join()
        return f"its process ended early, with exit code {process.exitcode}"
    return message


def _work(inputs: StudyInputs, sender: Connection) -> None:
    """Run a study in this process and send its progress and its result."""
    signal(SIGINT, SIG_IGN)  # the server ends its workers
    os.nice(NICENESS)
    try:
        for result in run_study(inputs, lambda *numbers: sender.send(StudyProgress(*numbers))):
            sender.send(result)
    except (InputError, UnknownNameError) as error:
        sender.send(str(error))
