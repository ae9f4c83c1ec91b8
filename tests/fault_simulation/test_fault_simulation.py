"""A server on a simulated disk, clock and loop loses nothing, whatever fails; see docs/testing.md.

A failure prints its seed; `make sim SEED=n` shrinks it to a scenario and writes that to a file.
"""

import itertools
from collections import Counter
from pathlib import Path

import delever_sim
import pytest
import scenario as scenarios
from hypothesis import settings
from planted_faults import PLANTED, PlantedFault, no_sync
from simulated_disk import SECTOR_BYTES, SimulatedDisk

import fault_simulation
from fault_simulation import Report

FACTOR = settings().max_examples // 50
"""1 as a rule; 100 under `make slow`."""

STEPS = 100_000 * FACTOR
FAULTS = {"power", "kill", "write", "sync", "read", "full", "rot"}
SEARCHED = 150
"""Seeds in which a planted fault must be found."""

FOUND_BY = {"believed_log": 96, "unchecked_reads": 28}
"""First seeds that find the faults which few scenarios meet: the search begins there."""


def test_nothing_is_lost_doubled_or_changed_in_a_hundred_thousand_steps() -> None:
    total, seeds = Report(), itertools.count()
    while total.steps < STEPS:
        total.add(fault_simulation.run(scenarios.generated(next(seeds))))
    assert total.injected.keys() >= FAULTS
    assert min(total.acknowledged, total.restarts, total.notices, total.repeats) > 20


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(plant: PlantedFault, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    first = FOUND_BY.get(plant.__name__, 0)
    seeds = range(first, first + SEARCHED)
    assert any(delever_sim.failure_of(scenarios.generated(seed)) for seed in seeds)


def test_a_scenario_gives_the_same_run_again() -> None:
    scenario = scenarios.generated(5)
    again = scenarios.decode(scenarios.encode(scenario))
    assert again == scenario
    assert fault_simulation.run(again) == fault_simulation.run(scenario)


def test_a_failure_is_shrunk_to_a_scenario_that_replays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = tmp_path / "long.ndjson"
    with monkeypatch.context() as patch:
        no_sync(patch)
        short = (scenarios.generated(seed, length=12) for seed in range(SEARCHED))
        long.write_bytes(scenarios.encode(next(filter(delever_sim.failure_of, short))))
        assert delever_sim.main([str(long), "--output", str(tmp_path)]) == 1
        path = tmp_path / "failure-long.ndjson"
        assert len(scenarios.decode(path.read_bytes())) < 6
        assert delever_sim.main([str(path), "--output", str(tmp_path)]) == 1
    capsys.readouterr()
    assert delever_sim.main([str(path)]) == 0
    assert capsys.readouterr().out.startswith("1 seeds: ")


# --- the simulated disk ---


def outcomes(kind: str, seeds: int = 200) -> Counter[bytes]:
    """Return what is left of a write that was not synced, over many disks."""
    found: Counter[bytes] = Counter()
    for seed in range(seeds):
        disk = SimulatedDisk(seed)
        file = disk.open("x.db", create=True)
        disk.write(file, 0, b"o" * 2 * SECTOR_BYTES)
        disk.sync("x.db", file)
        disk.write(file, 0, b"n" * 2 * SECTOR_BYTES)
        disk.halt(kind)
        disk.restart()
        found[bytes(disk.files["x.db"].cached)] += 1
    return found


def test_a_loss_of_power_leaves_a_write_whole_torn_or_absent() -> None:
    sector = {letter: letter * SECTOR_BYTES for letter in (b"o", b"n")}
    halves = [sector[one] + sector[two] for one in sector for two in sector]
    assert outcomes("power").keys() == set(halves)


def test_an_ended_process_leaves_its_writes() -> None:
    assert outcomes("kill", 5).keys() == {b"n" * 2 * SECTOR_BYTES}


def test_a_failed_sync_loses_writes_that_a_later_sync_does_not_store() -> None:
    lost = 0
    for seed in range(50):
        disk = SimulatedDisk(seed)
        file = disk.open("x.db", create=True)
        disk.write(file, 0, b"new")
        file.sync_in_part(disk._random)
        disk.sync("x.db", file)
        assert bytes(file.cached) == b"new"
        lost += bytes(file.durable) != b"new"
    assert 0 < lost < 50
