"""A new mark of one contract, and the ranks of its two sides updated."""

import argparse
from collections.abc import Iterator

import numpy as np
from large_book import CONTRACTS, build, large, marks
from measure import Row, in_turns, main, ms
from reference import Reference

from delever.core.engine import step
from delever.core.risk.publication.cache import publish, rank_contracts


def rows(options: argparse.Namespace) -> Iterator[Row]:
    book = large(options.positions)
    built, reference = build(book), Reference(book)
    publish(built)
    reference.value(book.marks(0))
    for which, number, limit in (("largest", 0, 10.0), ("median", CONTRACTS // 2, 0.1)):
        state = built.contracts[f"C{number:03d}"]
        size = sum(table.size for table in state.tables.values())

        def ranked(turn: int, number: int = number, state: object = state) -> None:
            step(built, marks(book, turn, number))
            rank_contracts(built, [state])

        taken = in_turns(
            max(options.rounds * 4, 20),
            step=lambda turn, number=number: step(built, marks(book, turn, number)),
            ranked=ranked,
            c=lambda _, number=number: reference.rank_sides(2 * number, 2 * number + 2),
        )
        name = f"{which} contract ({size:,} positions)"
        middle = float(np.median(taken["step"])) * 1e3
        yield Row(
            f"mark of the {name}, as a step", ms(taken["step"]), f"< {limit} ms", middle < limit
        )
        yield Row("  with both sides ranked again", ms(taken["ranked"]))
        yield Row("  both sides ranked in C", ms(taken["c"]))


if __name__ == "__main__":
    main(rows)
