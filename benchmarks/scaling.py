"""The full refresh as the book grows, beside C in the same run, with the memory floor.

From the command to ranks and indicators: `step(SetMarks)` of all contracts, then `publish`, on one
and on two threads, and every position with the same rank and indicator.
"""

import argparse
import ctypes
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from large_book import build, large
from measure import Row, in_turns, main
from reference import Reference, library
from refresh import refreshed

from delever.core.kernels import WorkSharing, fastest
from delever.core.risk.publication.cache import PublishedIndicators

TARGETS = {100_000: (1.1, None), 1_000_000: (1.0, 0.75), 10_000_000: (0.75, 0.39)}
"""The time on one and on two threads, as a multiple of that of C on one, by size of the book."""


def digests(published: PublishedIndicators) -> list[str]:
    return [side.digest() for side in published.sides.values()]


def rows(options: argparse.Namespace) -> Iterator[Row]:
    fastest()
    sizes = [size for size in TARGETS if size <= options.positions] or [options.positions]
    with ThreadPoolExecutor(1) as pool:
        for size in sizes:
            yield from _of_size(size, options.rounds, WorkSharing(pool, threads=2))


def _of_size(size: int, rounds: int, two: WorkSharing) -> Iterator[Row]:
    book = large(size)
    built, reference = build(book), Reference(book)
    if digests(refreshed(built, book, 0)) != digests(refreshed(built, book, 0, two)):
        raise SystemExit("two threads give other ranks than one")
    c, n = library(), ctypes.c_int64(book.size)
    target = np.zeros(book.size, np.int64)
    at = [ctypes.c_void_p(a.ctypes.data) for a in (book.lots, target, book.balance, book.account)]
    taken = in_turns(
        max(rounds * 100_000 // size, 3),
        one=lambda turn: refreshed(built, book, turn),
        two=lambda turn: refreshed(built, book, turn, two),
        c=lambda turn: reference.refresh(book.marks(turn)),
        copy=lambda _: c.copy(at[0], at[1], n),
        gather=lambda _: c.gather(at[2], at[3], n),
    )
    cost = {name: float(np.median(times)) * 1e9 / book.size for name, times in taken.items()}
    yield Row(
        f"{book.size:,}: one thread, two threads, C, in ns per position",
        f"{cost['one']:.1f} / {cost['two']:.1f} / {cost['c']:.1f}",
    )
    limits = TARGETS.get(size, (None, None))
    for name, limit in zip(("one", "two"), limits, strict=True):
        ratio = cost[name] / cost["c"]
        target = (f"<= {limit} x", ratio <= limit) if limit else ("", None)
        yield Row(f"  delever on {name} against C on one", f"{ratio:.2f} x", *target)
    floor = f"{cost['copy']:.1f} / {cost['gather']:.1f}"
    yield Row("  memory floor: copying 8 bytes / gathering a wallet", floor)


if __name__ == "__main__":
    main(rows, positions=10_000_000)
