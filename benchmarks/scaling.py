"""Cost per position as the book grows, on one and two threads, with the memory floor."""
# ruff: noqa: B023 - timed functions are called within their iteration

import argparse
import ctypes
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from large_book import build, large, marks
from measure import Row, in_turns, main
from reference import Reference, library

from delever.core.engine import step
from delever.core.kernels import WorkSharing, fastest
from delever.core.risk.publication.cache import publish, rank_contracts
from delever.core.risk.publication.ranked_batch import RankedContract


def digests(ranked: dict[str, RankedContract]) -> list[str]:
    return [side.digest() for contract in ranked.values() for side in contract.sides.values()]


def rows(options: argparse.Namespace) -> Iterator[Row]:
    fastest()
    sizes = [size for size in (100_000, 1_000_000, 10_000_000) if size <= options.positions]
    for size in sizes:
        book = large(size)
        built, reference = build(book), Reference(book)
        publish(built)
        states = list(built.contracts.values())
        found: dict[int, dict[str, RankedContract]] = {}

        def published(threads: int, states: list = states, built: object = built) -> None:
            for state in states:
                for table in state.tables.values():
                    table.changed_at = built.sequence + 1  # so that it is ranked again
            if threads == 1:
                found[1] = rank_contracts(built, states)
                return
            with ThreadPoolExecutor(threads) as pool:
                found[threads] = rank_contracts(built, states, WorkSharing(pool, threads))

        c, n = library(), ctypes.c_int64(book.size)
        target = np.zeros(book.size, np.int64)
        at = [
            ctypes.c_void_p(a.ctypes.data) for a in (book.lots, target, book.balance, book.account)
        ]
        taken = in_turns(
            max(options.rounds // 2, 3),
            mark=lambda turn: step(built, marks(book, turn)),
            one=lambda _: published(1),
            two=lambda _: published(2),
            c=lambda turn: reference.refresh(book.marks(turn)),
            copy=lambda _: c.copy(at[0], at[1], n),
            gather=lambda _: c.gather(at[2], at[3], n),
        )
        if digests(found[1]) != digests(found[2]):
            raise SystemExit("two threads give other ranks than one")
        cost = {name: float(np.median(times)) * 1e9 / book.size for name, times in taken.items()}
        yield Row(
            f"{book.size:,}: mark + ranks, ns per position, one thread",
            f"{cost['mark']:.1f} + {cost['one']:.1f} = {cost['mark'] + cost['one']:.1f}",
        )
        yield Row("  ranks on two threads, the same digests", f"{cost['two']:.1f}")
        yield Row("  C, one thread", f"{cost['c']:.1f}")
        one, two = ((cost["mark"] + cost[threads]) / cost["c"] for threads in ("one", "two"))
        wanted = size >= 1_000_000
        yield Row(
            "  one / two threads of delever against one of C",
            f"{one:.2f} x / {two:.2f} x",
            "<= 1.3 x, one thread" if wanted else "",
            one <= 1.3 if wanted else None,
        )
        floor = f"{cost['copy']:.1f} / {cost['gather']:.1f}"
        yield Row("  memory floor: copying 8 bytes / gathering a wallet", floor)


if __name__ == "__main__":
    main(rows, positions=10_000_000)
