"""A new mark of one contract with its two sides ranked again, and other single commands."""

import argparse
from collections.abc import Iterator

import numpy as np
from large_book import CONTRACTS, LargeBook, build, large, marks
from measure import Row, in_turns, main, ms, seconds
from recording import singles
from reference import Reference

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.engine import step
from delever.core.risk.publication.cache import publish, rank_contracts

COMMANDS = 400
"""Single commands of all kinds that are timed per round."""

TARGETS_US = {"set_balances": 10, "set_marks": 50, "set_positions": 66}
"""The microseconds of a step with one row, by command."""


def rows(options: argparse.Namespace) -> Iterator[Row]:
    book = large(options.positions)
    built, reference = build(book), Reference(book)
    publish(built)
    reference.value(book.marks(0))
    for which, number, limit in (("largest", 0, 10.0), ("median", CONTRACTS // 2, 0.05)):
        state = built.contracts[f"C{number:03d}"]
        size = sum(table.size for table in state.tables.values())

        rounds = max(options.rounds * 4, 20)
        commands = [marks(book, turn, number) for turn in range(rounds + 1)]

        def ranked(
            turn: int, commands: list[m.SetMarks] = commands, state: ContractState = state
        ) -> None:
            step(built, commands[turn])
            rank_contracts(built, [state])

        taken = in_turns(
            rounds,
            step=lambda turn, commands=commands: step(built, commands[turn]),
            ranked=ranked,
            c=lambda _, number=number: reference.rank_sides(2 * number, 2 * number + 2),
        )
        name = f"{which} contract ({size:,} positions)"
        middle = float(np.median(taken["ranked"])) * 1e3
        yield Row(f"mark of the {name}, as a step", ms(taken["step"]))
        yield Row(
            "  with both sides ranked again", ms(taken["ranked"]), f"< {limit} ms", middle < limit
        )
        yield Row("  both sides ranked in C", ms(taken["c"]))
    yield from _single_commands(book, built, options.rounds)


def _single_commands(book: LargeBook, built: Book, rounds: int) -> Iterator[Row]:
    """Yield the time of a step with one row, by command, without a journal."""
    taken: dict[str, list[float]] = {name: [] for name in TARGETS_US}
    for turn in range(rounds):
        commands = singles(book, COMMANDS, 1_000 + turn)
        for command in commands:
            taken[str(command.__struct_config__.tag)].append(
                seconds(lambda command=command: step(built, command))
            )
        built.take_changes()
    for name, limit in TARGETS_US.items():
        middle = float(np.median(taken[name])) * 1e6
        yield Row(
            f"one row of {name}, as a step", f"{middle:.0f} us", f"<= {limit} us", middle <= limit
        )


if __name__ == "__main__":
    main(rows)
