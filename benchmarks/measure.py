"""Rows of results, and timing in turns, for every benchmark.

A benchmark is a script with `rows(options) -> Iterator[Row]`. `main` runs it, prints the rows, and
writes them as JSON for `run.py`.
"""

import argparse
import functools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Row:
    """One result: what was measured, the target, and whether it was met."""

    what: str
    measured: str
    wanted: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        verdict = {True: "met", False: "MISSED", None: ""}[self.met]
        return f"{self.what:58} {self.measured:>34}  {self.wanted:24} {verdict}"


def main(rows: Callable[[argparse.Namespace], Iterator[Row]], positions: int = 1_000_000) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--positions", type=int, default=positions)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = []
    for row in rows(options):
        print(row, flush=True)
        found.append(asdict(row))
    if options.json:
        options.json.write_text(json.dumps(found))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(rounds: int, **work: Callable[[int], object]) -> dict[str, np.ndarray]:
    """Time each piece of work once per round, so that disturbances of the machine affect all.

    The first round is a warm-up and not counted.
    """
    taken: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, piece in work.items():
            taken[name].append(seconds(functools.partial(piece, number)))
    return {name: np.array(times[1:]) for name, times in taken.items()}


def ms(times: np.ndarray) -> str:
    """Return the median in milliseconds, with the fastest in brackets."""
    middle, best = float(np.median(times)) * 1e3, float(np.min(times)) * 1e3
    if middle >= 1e3:
        return f"{middle:,.0f} ms (best {best:,.0f})"
    return f"{middle:.3g} ms (best {best:.3g})"


def times_as_fast(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.median(theirs) / np.median(ours))
