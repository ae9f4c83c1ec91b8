"""The full refresh: new marks, then PnL, equity, score, rank and indicator of every position.

delever runs `step(SetMarks)` with its checks, then `publish`. The ranks and indicators of every
peer are compared with those of delever, position by position.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from large_book import LargeBook, build, large, marks
from measure import Row, in_turns, main, ms, times_as_fast
from peers import Absent, DuckDB, Polars, Redis, redis_server
from reference import Reference

from delever.core.book import Book
from delever.core.engine import step
from delever.core.kernels import ParallelMap, WorkSharing, fastest
from delever.core.messages import Side
from delever.core.risk.publication.cache import PublishedIndicators, publish

THREADS = 2


def published_ranks(
    published: PublishedIndicators, book: LargeBook
) -> tuple[np.ndarray, np.ndarray]:
    """Return published ranks and indicators in the order of the large book's rows."""
    rank, indicator = np.zeros(book.size, np.int64), np.zeros(book.size, np.int64)
    starts = book.side_starts
    for number in range(len(starts) - 1):
        rows = np.arange(starts[number], starts[number + 1])
        place = rows[np.argsort(book.account[rows])]
        found = published.sides[f"C{number // 2:03d}", list(Side)[number % 2]]
        rank[place], indicator[place] = found.rank, found.indicator
    return rank, indicator


def same(name: str, ours: tuple[np.ndarray, ...], theirs: tuple[np.ndarray, ...]) -> None:
    for what, one, other in zip(("rank", "indicator"), ours, theirs, strict=True):
        wrong = int(np.count_nonzero(one != other))
        if wrong:
            raise SystemExit(f"{name}: {wrong} of {len(one)} positions have another {what}")


def refreshed(
    built: Book, book: LargeBook, number: int, parallel_map: ParallelMap = map
) -> PublishedIndicators:
    step(built, marks(book, number))
    return publish(built, parallel_map)


def rows(options: argparse.Namespace) -> Iterator[Row]:
    fastest()
    book = large(options.positions)
    built, reference = build(book), Reference(book)
    names = f"{book.size:,} positions"
    ours = published_ranks(refreshed(built, book, 0), book)
    reference.refresh(book.marks(0))
    same("C", ours, (reference.rank, reference.indicator))
    with ThreadPoolExecutor(THREADS) as pool:
        taken = in_turns(
            2 * options.rounds,
            ours=lambda number: refreshed(built, book, number),
            threads=lambda number: refreshed(built, book, number, WorkSharing(pool, THREADS)),
            reference=lambda number: reference.refresh(book.marks(number)),
        )
    yield Row(f"full refresh of {names}, one thread", ms(taken["ours"]))
    yield Row(f"full refresh of {names}, {THREADS} threads", ms(taken["threads"]))
    yield Row(f"full refresh of {names}, C -O3", ms(taken["reference"]), "the same ranks", True)
    for name, threads in (("ours", 1), ("threads", THREADS)):
        ratio = 1 / times_as_fast(taken[name], taken["reference"])
        yield Row(f"  {threads} threads of delever against one of C", f"{ratio:.2f} x")
    rounds = max(options.rounds // 2, 2)
    for peer in (DuckDB, Polars):
        try:
            against = peer(book)
        except Absent as absent:
            yield Row(f"full refresh, {peer.__name__}", f"omitted: {absent}")
            continue
        same(peer.__name__, ours, against.ranks(book.marks(0)))
        theirs = in_turns(rounds, it=lambda n, against=against: against.ranks(book.marks(n)))["it"]
        yield Row(f"full refresh of {names}, {peer.__name__}, all threads", ms(theirs))
        faster = times_as_fast(taken["threads"], theirs)
        yield Row(f"delever against {peer.__name__}", f"{faster:.1f} x", ">= 15 x", faster >= 15)
    yield from _redis(book, taken["threads"], reference)


def _redis(book: LargeBook, ours: np.ndarray, reference: Reference) -> Iterator[Row]:
    try:
        with redis_server() as client:
            against = Redis(book, client)
            reference.refresh(book.marks(0))
            # Redis gets the ranks as scores, because it cannot compute them.
            against.rewrite(reference.rank.astype(np.float64))
            largest = slice(*book.side_starts[:2])
            members = [against.members[i] for i in np.arange(book.size)[largest]]
            order = np.argsort(reference.rank[largest], kind="stable")
            ranked = [members[i] for i in order.tolist() if reference.rank[largest][i]]
            if against.queue(0)[-len(ranked) :] != ranked:
                raise SystemExit("Redis: another order in the largest queue")
            scores = reference.rank.astype(np.float64)
            theirs = in_turns(2, it=lambda _: against.rewrite(scores))["it"]
    except Absent as absent:
        yield Row("full refresh, Redis", f"omitted: {absent}")
        return
    yield Row(f"rewriting {book.size:,} scores, Redis, pipelined", ms(theirs))
    faster = times_as_fast(ours, theirs)
    yield Row("delever against Redis", f"{faster:.0f} x", ">= 100 x", faster >= 100)


if __name__ == "__main__":
    main(rows)
