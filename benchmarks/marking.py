"""One contract's mark, and the ranks of its tables brought up to date; then a selection in line."""

import argparse
from collections.abc import Iterator

import numpy as np
from large_book import CONTRACTS, build, large, marks
from measure import Row, in_turns, main, ms, seconds
from reference import Reference

from delever.core.engine import step
from delever.core.kernels import fastest
from delever.core.messages import Side
from delever.core.risk.publication import publish, show
from delever.core.rules import RULE_SETS
from delever.core.rules.ranking import rank_side
from delever.core.valuation.side_valuation import value_side


def rows(options: argparse.Namespace) -> Iterator[Row]:
    kernels = fastest()
    book = large(options.positions)
    built, reference = build(book), Reference(book)
    publish(built)
    reference.value(book.marks(0))
    for which, number, limit in (("largest", 0, 10.0), ("median", CONTRACTS // 2, 0.1)):
        state = built.contracts[f"C{number:03d}"]
        size = sum(table.size for table in state.tables.values())

        def ranked(turn: int, number: int = number, state: object = state) -> None:
            step(built, marks(book, turn, number))
            show(built, [state])

        taken = in_turns(
            max(options.rounds * 4, 20),
            step=lambda turn, number=number: step(built, marks(book, turn, number)),
            ranked=ranked,
            c=lambda _, number=number: reference.rank_lanes(2 * number, 2 * number + 2),
        )
        name = f"{which} contract ({size:,} positions)"
        middle = float(np.median(taken["step"])) * 1e3
        yield Row(
            f"mark of the {name}, as a step", ms(taken["step"]), f"< {limit} ms", middle < limit
        )
        yield Row("  with both tables ranked again", ms(taken["ranked"]))
        yield Row("  both tables ranked in C", ms(taken["c"]))
    state = built.contracts["C000"]
    queue = rank_side(value_side(built, state, Side.LONG), RULE_SETS["kucoin"].ranking)
    order, wanted = queue.order.astype(np.int32), state.tables[Side.LONG].total_lots // 100
    times = np.array(
        [seconds(lambda: kernels.until_filled(order, queue.view.lots, wanted)) for _ in range(50)]
    )
    taken_rows = kernels.until_filled(order, queue.view.lots, wanted)
    through = np.cumsum(queue.view.lots[order])
    if taken_rows != int(np.searchsorted(through, wanted)) + 1:
        raise SystemExit("another selection than the running sum gives")
    yield Row(
        f"select 1 % of the open interest ({taken_rows:,} counterparties)",
        ms(times),
        "< 0.2 ms",
        float(np.median(times)) < 2e-4,
    )


if __name__ == "__main__":
    main(rows)
