"""Real processes of three replicas and three brokers, each class of fault once under load."""

import asyncio
from pathlib import Path

import pytest
from chaos import FaultRow, run_chaos
from cluster_faults import FAULTS

HOLD_S = 0.5
QUICK = (
    "kill -9 of a replica",
    "kill -9 of all replicas",
    "SIGSTOP of a replica",
    "a replica cut off from all brokers",
    "slow network of a replica",
    "planned restart of the leading broker",
    "kill -9 of the leading broker",
    "a broker's disk wiped",
)
"""One fault of each kind; `make chaos` and `make slow` have the others, and longer ones."""


async def rows_of(folder: Path, seed: int, commands: int, *faults: str) -> list[FaultRow]:
    return [row async for row in run_chaos(folder, seed, commands, faults, HOLD_S)]


def test_nothing_acknowledged_is_lost_or_doubled_by_a_fault(tmp_path: Path) -> None:
    rows = asyncio.run(rows_of(tmp_path, 1, 100, *QUICK))
    assert sorted(row.fault for row in rows) == sorted(QUICK)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_or_doubled_by_any_fault(tmp_path: Path) -> None:
    rows = asyncio.run(rows_of(tmp_path, 2, 10_000, *FAULTS))
    assert len(rows) == len(FAULTS)
