"""Every benchmark of the engine runs on a small book, and says of each target whether it is met."""

import argparse
import gc
import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
TARGETS = {
    "copying": ("0.1 ms", "2 ms", "1.2 x", "0.5 s", "1 s", "2 s"),
    "marking": ("10.0 ms", "0.05 ms", "10 us", "50 us", "66 us"),
    "memory": ("110 bytes",),
    "recording": ("20,000 /s", "10 %"),
    "refresh": ("15 x",),
    "rounds": ("2.5 x", "3 x", "10 %"),
    "scaling": (),
}
"""The targets that have a row in a small run, by script."""

SLOW = {"recording", "refresh", "rounds"}


@pytest.fixture
def benchmarks() -> Iterator[None]:
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))
    gc.unfreeze()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the C reference needs gcc")
@pytest.mark.usefixtures("benchmarks")
@pytest.mark.parametrize(
    "script", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in TARGETS]
)
def test_a_benchmark_has_a_row_for_each_target(script: str) -> None:
    options = argparse.Namespace(positions=2_000, rounds=1)
    rows = list(importlib.import_module(script).rows(options))
    assert all(row.what and row.measured for row in rows)
    assert all((row.met is not None) == bool(row.wanted) for row in rows)
    wanted = " ".join(row.wanted for row in rows)
    assert [target for target in TARGETS[script] if target not in wanted] == []
