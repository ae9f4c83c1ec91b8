"""Run every benchmark and write docs/results/performance.md."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from requirements import absences

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "results" / "performance.md"

SCRIPTS = {
    "refresh": "Full refresh",
    "marking": "Marks",
    "recording": "Through the engine, with the journal",
    "rounds": "An ADL round",
    "memory": "Memory",
    "copying": "Copies and snapshots",
    "lab": "The lab",
    "policies": "Policies",
    "plans": "Plans over several contracts",
    "october": "The whole book of 10 October",
    "startup": "Start-up",
    "scaling": "Scaling",
    "serving": "Served",
    "serving_load": "A large venue behind the API",
}

HEAD = """\
# Performance, measured

`make bench` writes this page; `benchmarks/` has one script for each section. The large book has 500
contracts of Zipf sizes, long and short, with a third as many accounts as positions; its rule set is
`kucoin`, whose score is return on entry x notional / equity (divided when losing). Compared
implementations first prove that their results are equal: the ranks and indicators of C, DuckDB and
Polars position by position, a replayed book byte for byte. Times are medians of several runs in
turns, the best in brackets; the machine is shared, so only ratios carry over. Every missed target
is listed.

C is `benchmarks/reference.c`: radix sort on the score's bits, `gcc -O3`, one thread. It values,
scores, ranks and computes indicators; delever also updates margins by tier, wallets by difference,
the changes for the journal, and an engine that validates.

Missed targets, and why:

- **The refresh against C, at a hundred thousand positions**: the compiled kernels are faster than C
  at every size; here the names, prices and events of 500 marks, which C does not read, take a third
  of the time. C itself is 11 times as fast as DuckDB and 7 times as fast as Polars at a million
  positions, so 15 times either is out of reach of one thread.
- **The median contract**: its two kernels take some 10 us; the rest is Python that validates, makes
  and applies an event, and finds what is stale.
- **A whole book pickled** has 500 contracts with Python objects of their own (definition, exact
  terms, inventory, three windows), at 5 us a contract; the rest is pickled by column, and the index
  copied. Terms and windows as columns would take less, and read worse.
- **Memory**: 59 bytes of a position are columns, 8 its index, 9 published ranks, 35 its third of an
  account; the rest is memory in reserve.
- **The ADL round's p99** is that of a shared machine: its kernels alone vary as much. The median is
  the relevant figure.
- **Single commands.** A single position takes some 65 us of Python: parsed from text, bounded, made
  an event, posted to the ledger, applied, checked, hashed. Marks and balances take half of that.
  Submit many positions in columns.
- **Alerts to 1,000 sockets** are near the target: 1.1 to 1.45 from run to run.
- **Invariants** of single commands are an eighth of such a step: they post and add up in a step
  that otherwise has little work. In a round they are within noise of nothing.
"""


def conditions() -> str:
    cores, memory = os.cpu_count(), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    versions = []
    for name in ("numpy", "numba", "polars", "duckdb"):
        try:
            versions.append(f"{name} {__import__(name).__version__}")
        except ImportError:
            versions.append(f"{name} absent")
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return (
        f"Conditions: {model}, {cores} cores, {memory / 2**30:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}, {', '.join(versions)}; "
        f"load {os.getloadavg()[0]:.1f} at the start."
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--positions", type=int, help="positions of every script; default: each script's own"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=PAGE)
    options = parser.parse_args()
    for line in (absent := absences()):
        print(line, flush=True)
    missing = "".join(f"Not measured here: {line}.\n" for line in absent)
    parts, start = [HEAD, conditions() + "\n", missing], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for script, title in SCRIPTS.items():
            found = Path(folder) / f"{script}.json"
            counts = ["--rounds", str(options.rounds)]
            if options.positions:
                counts += ["--positions", str(options.positions)]
            program = [sys.executable, str(HERE / f"{script}.py"), *counts, "--json", str(found)]
            subprocess.run(program, check=True)
            parts.append(section(title, script, json.loads(found.read_text())))
    minutes = (time.monotonic() - start) / 60
    parts.append(f"The whole run took {minutes:.1f} minutes.\n")
    options.output.write_text("\n".join(filter(None, parts)))


def section(title: str, script: str, rows: list[dict[str, object]]) -> str:
    lines = [f"## {title}", "", f"`benchmarks/{script}.py`", ""]
    lines += ["| measurement | result | target | |", "|---|---|---|---|"]
    for row in rows:
        verdict = {True: "met", False: "**missed**", None: ""}[row["met"]]
        what = str(row["what"])
        what = f"- {what.strip()}" if what.startswith(" ") else what
        lines.append(f"| {what} | {row['measured']} | {row['wanted']} | {verdict} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
