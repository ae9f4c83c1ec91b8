"""Start-up times: the help of the command line, and the first rank of a small book."""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import journal_size
import numpy as np
from measure import Row, in_turns, main, ms

import delever

BOOK = Path(__file__).parent.parent / "examples" / "book"
RANK = ["rank", str(BOOK), "--contract", "BTCUSDT", "--side", "short"]


def run(*words: str) -> None:
    subprocess.run([sys.executable, *words], check=True, capture_output=True)


RECORDS = 100_000
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def served_cpu_s(journal: Path) -> float:
    """Return the CPU seconds of a server until it is ready."""
    config = journal.with_suffix(".toml")
    config.write_text(f'[listen]\nport = 0\n[journal]\npath = "{journal}"\n')
    command = [sys.executable, "-m", "delever", "serve", "--config", str(config)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        process.kill()
    return (int(stat[11]) + int(stat[12])) / TICKS_PER_SECOND


def restarts(folder: Path) -> Iterator[Row]:
    """Measure restarts: of an empty journal, and of one without a snapshot."""
    empty, full = folder / "empty.db", folder / "full.db"
    served_cpu_s(empty)  # creates the history database
    imports = min(served_cpu_s(empty) for _ in range(3))
    yield Row("restart, empty journal", f"{imports:.1f} s of CPU", "<= 3 s", imports <= 3)
    with delever.Recorder.open(full, snapshot_every=10**9) as recorder:
        recorder.submit(journal_size.opening())
        for start in range(0, RECORDS, 1_000):
            recorder.submit(
                (journal_size.marks if n % 2 else journal_size.positions)(n, 1)
                for n in range(start, start + 1_000)
            )
    served_cpu_s(full)
    replayed = min(served_cpu_s(full) for _ in range(2)) - imports
    what = f"restart, each {RECORDS:,} records after the snapshot"
    yield Row(what, f"{replayed:.1f} s of CPU", "<= 4 s", replayed <= 4)


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
    with tempfile.TemporaryDirectory() as folder:
        yield from restarts(Path(folder))


if __name__ == "__main__":
    main(rows)
