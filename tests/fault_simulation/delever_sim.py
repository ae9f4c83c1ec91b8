"""Run seeds of the fault simulation, or a scenario; shrink a failure to a scenario that replays.

python tests/fault_simulation/delever_sim.py --seed 7
python tests/fault_simulation/delever_sim.py --seed 1000 --steps 100000000
python tests/fault_simulation/delever_sim.py failure-1234.ndjson
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import count, islice
from pathlib import Path

import scenario as scenarios
from scenario import Scenario

import fault_simulation
from fault_simulation import Report, ViolationError

CHUNK = 20
"""Seeds that a worker process runs at one time."""


def failure_of(scenario: Scenario) -> ViolationError | None:
    """Return how a scenario fails, or None."""
    try:
        fault_simulation.run(scenario)
    except ViolationError as error:
        return error
    return None


def run_seeds(seeds: Sequence[int]) -> tuple[Report, int | None]:
    """Run seeds until one fails; return what they did, and the one that failed."""
    total = Report()
    for seed in seeds:
        try:
            total.add(fault_simulation.run(scenarios.generated(seed)))
        except ViolationError:
            return total, seed
    return total, None


def search(first: int, steps: int, progress: Callable[[Report, int], None]) -> int | None:
    """Run seeds from `first` on, on all cores, for so many steps; return the first that fails."""
    total, seeds, finished = Report(), count(first), 0
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, max_tasks_per_child=50) as pool:
        chunks = (list(islice(seeds, CHUNK)) for _ in count())
        running = {pool.submit(run_seeds, chunk) for chunk in islice(chunks, workers)}
        while running:
            done = next(as_completed(running))
            running.remove(done)
            report, failed = done.result()
            total.add(report)
            if failed is not None:
                return failed
            finished += CHUNK
            progress(total, finished)
            if total.steps < steps:
                running.add(pool.submit(run_seeds, next(chunks)))
    return None


def report_failure(scenario: Scenario, folder: Path, name: str) -> None:
    """Shrink a scenario that fails, and write it to a file."""
    shortest = scenarios.shrunk(scenario, lambda shorter: failure_of(shorter) is not None)
    path = folder / f"failure-{name}.ndjson"
    path.write_bytes(scenarios.encode(shortest))
    sys.stdout.write(f"{failure_of(shortest)}\n{len(shortest)} actions, in {path}\n")


def write_report(report: Report, seeds: int) -> None:
    faults = ", ".join(f"{kind} {number}" for kind, number in sorted(report.injected.items()))
    sys.stdout.write(
        f"{seeds} seeds: {report.steps:,} steps, {report.records:,} records, "
        f"{report.acknowledged:,} acknowledged, {report.restarts:,} starts, "
        f"{report.notices:,} notices; faults: {faults or 'none'}\n"
    )
    sys.stdout.flush()


def main(arguments: Iterable[str]) -> int:
    """Return 1 where something fails."""
    parser = argparse.ArgumentParser(prog="delever-sim", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("scenario", nargs="?", type=Path, help="file of a scenario to replay")
    parser.add_argument("--seed", type=int, default=0, help="the seed, or the first one")
    parser.add_argument("--steps", type=int, default=0, help="run seeds for so many steps")
    parser.add_argument("--output", type=Path, default=Path(), help="folder of failures")
    options = parser.parse_args(list(arguments))
    if options.scenario:
        scenario, name = scenarios.decode(options.scenario.read_bytes()), options.scenario.stem
    else:
        failed = search(options.seed, options.steps, write_report) if options.steps else None
        if options.steps and failed is None:
            return 0
        seed = options.seed if failed is None else failed
        scenario, name = scenarios.generated(seed), str(seed)
    if failure_of(scenario) is None:
        write_report(fault_simulation.run(scenario), 1)
        return 0
    report_failure(scenario, options.output, name)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
