"""Executors of a sweep: parts in, rows out, in order and the same whatever the executor."""

import pickle
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.shared_memory import SharedMemory
from signal import SIG_IGN, SIGINT, signal
from typing import Any, Protocol, Self

from delever.core.book import Book
from delever.lab.errors import InputError
from delever.lab.runs.sweeps.tasks import Row, SweepInputs, run_tasks


class SweepExecutor(Protocol):
    """Runs the parts of a sweep."""

    def run(self, inputs: SweepInputs, parts: Iterable[range]) -> Iterator[list[Row]]:
        """Yield the rows of each part, in the order of the parts."""


class SerialExecutor:
    """Runs one part after the other in this process."""

    def run(self, inputs: SweepInputs, parts: Iterable[range]) -> Iterator[list[Row]]:
        """Yield the rows of each part."""
        for part in parts:
            yield run_tasks(inputs, part)


@dataclass(frozen=True, slots=True)
class ProcessExecutor:
    """Runs parts in a pool of processes that share the book's memory.

    Processes are spawned, as on every platform, so that no lock of this one is inherited. A program
    guards its entry with `if __name__ == "__main__":`.

    >>> from delever import lab
    >>> lab.ProcessExecutor(workers=2)
    ProcessExecutor(workers=2)
    """

    workers: int

    def run(self, inputs: SweepInputs, parts: Iterable[range]) -> Iterator[list[Row]]:
        """Yield the rows of each part."""
        with SharedBook(inputs.book) as shared:
            arguments = shared, replace(inputs, book=Book())
            pool = ProcessPoolExecutor(
                self.workers, get_context("spawn"), initializer=_open, initargs=arguments
            )
            try:
                yield from pool.map(_run_here, parts)
            finally:
                pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class RayExecutor:
    """Runs parts on a Ray cluster, to which `ray.init` has connected; Ray's store has the book.

    Ray is not a dependency of delever: install it beside delever on every node.

    >>> from delever import lab
    >>> lab.RayExecutor()
    RayExecutor()
    """

    def run(self, inputs: SweepInputs, parts: Iterable[range]) -> Iterator[list[Row]]:
        """Yield the rows of each part."""
        import ray  # noqa: PLC0415 - a cluster's own dependency

        rest, buffers = pickled_book(inputs.book)
        stored = ray.put(
            (rest, [bytes(buffer) for buffer in buffers], replace(inputs, book=Book()))
        )
        remote = ray.remote(_run_stored)
        yield from map(ray.get, [remote.remote(stored, part) for part in parts])


def pickled_book(book: Book) -> tuple[bytes, list[memoryview]]:
    """Return a book as bytes without its arrays, and those as views; raises InputError."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        rest = pickle.dumps(book, protocol=5, buffer_callback=buffers.append)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        why = f"cannot be sent to processes: {error}; define its rule sets in a module"
        raise InputError(why, column="book") from None
    return rest, [buffer.raw() for buffer in buffers]


def opened_book(rest: bytes, buffers: Iterable[memoryview | bytearray]) -> Book:
    """Return the book of `pickled_book`, on writable buffers: a copy needs writable arrays, too."""
    book: Book = pickle.loads(rest, buffers=buffers)  # noqa: S301 - this program's own bytes
    return book


class SharedBook:
    """A book in shared memory, as a context manager: its arrays once, for all processes.

    A process that it is sent to opens the book with `open`, and changes only copies of it.
    """

    def __init__(self, book: Book) -> None:
        self._rest, raw = pickled_book(book)
        self._sizes = [view.nbytes for view in raw]
        memory = SharedMemory(create=True, size=max(sum(self._sizes), 1))
        for view, slot in zip(raw, self._slots(memory), strict=True):
            slot[:] = view
        self._memory: SharedMemory | None = memory
        self._name = memory.name

    def _slots(self, memory: SharedMemory) -> Iterator[memoryview]:
        whole, first = memoryview(memory.buf or b""), 0
        for size in self._sizes:
            yield whole[first : first + size]
            first += size

    def open(self) -> Book:
        """Return the book, whose arrays are views of the shared memory."""
        self._memory = SharedMemory(self._name)
        return opened_book(self._rest, self._slots(self._memory))

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_memory": None}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory.unlink()


_opened: list[SweepInputs] = []
"""The inputs of the sweep that this worker process runs: one, set once by the pool."""


def _open(shared: SharedBook, inputs: SweepInputs) -> None:
    signal(SIGINT, SIG_IGN)  # the sweep itself is interrupted, and ends its workers
    _opened[:] = [replace(inputs, book=shared.open())]


def _run_here(part: range) -> list[Row]:
    (inputs,) = _opened
    return run_tasks(inputs, part)


def _run_stored(stored: tuple[bytes, list[bytes], SweepInputs], part: range) -> list[Row]:
    """Run a part on a node of a cluster, on a book with memory of its own."""
    rest, buffers, inputs = stored
    book = opened_book(rest, map(bytearray, buffers))
    return run_tasks(replace(inputs, book=book), part)
