"""Start-up times: the help of the command line, and the first rank of a small book."""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measure import Row, in_turns, main, ms

BOOK = Path(__file__).parent.parent / "examples" / "book"
RANK = ["rank", str(BOOK), "--contract", "BTCUSDT", "--side", "short"]


def run(*words: str) -> None:
    subprocess.run([sys.executable, *words], check=True, capture_output=True)


def rows(options: argparse.Namespace) -> Iterator[Row]:
    taken = in_turns(
        options.rounds * 2,
        bare=lambda _: run("-c", "import argparse, numpy"),
        help=lambda _: run("-m", "delever", "--help"),
        rank=lambda _: run("-m", "delever", *RANK),
        kernels=lambda _: run(
            "-c", "from delever.core.kernels import fastest; print(fastest().__name__)"
        ),
    )
    ratio = float(np.median(taken["help"]) / np.median(taken["bare"]))
    yield Row('python -c "import argparse, numpy"', ms(taken["bare"]))
    yield Row("delever --help", ms(taken["help"]), "<= 2 x the line above", ratio <= 2)
    yield Row("  ratio", f"{ratio:.2f} x")
    yield Row("delever rank on a small book, plain kernels", ms(taken["rank"]))
    yield Row("compiled kernels loaded from their cache, with Numba", ms(taken["kernels"]))


if __name__ == "__main__":
    main(rows)
