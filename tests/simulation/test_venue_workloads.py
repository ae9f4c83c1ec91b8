"""Workloads of every rule set, each step checked by the independent auditor."""

import contextlib

import pytest
from hypothesis import settings
from runner import Session
from takeover_audit import PoolRangeError
from trigger_oracle import TRIGGERS
from venue_workloads import VenueWorkload

FACTOR = settings().max_examples // 50
SEEDS = range(2 * FACTOR)
LENGTH = 110


OPTIONS = ("binance+net_exposure", "bitmart+both_legs", "bitmex+both_legs+cap_per_account=0.2")
"""Eligibilities that any rule set can carry."""


@pytest.mark.parametrize("rules", [*TRIGGERS, *OPTIONS])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_step_of_a_venue_workload_passes_the_audit(rules: str, seed: int) -> None:
    workload, session = VenueWorkload(rules, seed), Session(vast=True)
    with contextlib.suppress(PoolRangeError):
        for _ in range(LENGTH):
            session.run(workload.next(session.auditor.model))
