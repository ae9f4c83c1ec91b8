"""Mutation testing: change one operator or number of a module, and see whether a test fails.

    make mutation                        # a sample of every module; SEED=n chooses it
    .venv-mutation/bin/python benchmarks/mutation.py --module rules/policies/allocation --sample 0

cosmic-ray makes the mutants. Each runs in a fork of this process, which has imported the large
libraries already, with the mutated source in place of the module's file; no file is changed.
Mutants of annotations are left out. A mutant is killed by a test that fails, or by running ten
times as long as the tests do. The last line is the share that was killed.
"""

import argparse
import ast
import importlib.abc
import importlib.util
import os
import random
import resource
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import msgspec  # noqa: F401 - imported before the forks, as are those below
import numpy as np  # noqa: F401
import polars as pl  # noqa: F401
import pytest
from cosmic_ray import mutating
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[1]
CORE = ROOT / "src" / "delever" / "core"

REST = [
    "tests/core/rules",
    "tests/core/execution",
    "tests/core/valuation",
    "tests/core/risk",
    "tests/simulation/test_simulation.py",
]

MODULES = {
    "rules/policies/allocation": ["tests/core/rules/test_allocation.py"],
    "valuation/insurance": ["tests/core/valuation/test_unwinding.py"],
    "rules/triggers/contract": ["tests/core/rules/test_triggers.py"],
    "rules/triggers/pool": ["tests/core/rules/test_triggers.py"],
    "rules/triggers/loss_caps": ["tests/core/rules/test_loss_caps.py"],
    "rules/ranking": ["tests/core/rules/test_ranking.py"],
    "accounting/postings": ["tests/core/execution/test_settlement.py"],
    "execution/adl_round": ["tests/core/execution/test_deleveraging.py"],
    "execution/deleveraging": ["tests/core/execution/test_deleveraging.py"],
    "execution/settlement": ["tests/core/execution/test_settlement.py"],
}
"""Modules, with the tests that run against a mutant first; `REST` runs where it survives them."""

CPU_SECONDS = 300


class Mutant(NamedTuple):
    """A mutated source, and the line that differs."""

    module: str
    operator: str
    line: int
    before: str
    after: str
    source: str


class MutatedModule(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads a module from a mutated source."""

    def __init__(self, name: str, source: str) -> None:
        self._name, self._source = name, source

    def find_spec(self, name: str, *_where: object) -> ModuleSpec | None:
        if name != self._name:
            return None
        return importlib.util.spec_from_loader(name, self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, self._name, "exec"), module.__dict__)


def without_annotations(source: str) -> str:
    """Return the tree of a source without annotations, as text."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if hasattr(node, name):
                setattr(node, name, None)
    return ast.dump(tree)


def places_in(source: str) -> list[tuple[str, int]]:
    """Return every place to mutate a source: an operator, and its occurrence."""
    kinds = {name: get_operator(name) for name in operator_names()}
    nodes = list(ast_nodes(get_ast(source)))
    return [
        (name, occurrence)
        for name, kind in kinds.items()
        if not kind.arguments()
        for occurrence, _ in enumerate(
            place for node in nodes for place in kind().mutation_positions(node)
        )
    ]


def mutants_of(module: str, rng: random.Random) -> Iterator[Mutant]:
    """Yield the mutants of a module whose code differs, in random order."""
    source = (CORE / f"{module}.py").read_text()
    original, lines = without_annotations(source), source.splitlines()
    places = places_in(source)
    for name, occurrence in rng.sample(places, len(places)):
        mutated = mutating.mutate_code(source, get_operator(name)(), occurrence)
        if mutated is None or without_annotations(mutated) == original:
            continue
        changed = mutated.splitlines()
        line = next(i for i, text in enumerate(lines) if changed[i : i + 1] != [text])
        yield Mutant(module, name, line + 1, lines[line].strip(), changed[line].strip(), mutated)


def run_tests(mutant: Mutant, tests: list[str]) -> None:
    """Run some tests in this process and leave it; the status is 0 where the mutant survives."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    name = f"delever.core.{mutant.module.replace('/', '.')}"
    sys.meta_path.insert(0, MutatedModule(name, mutant.source))
    os.chdir(ROOT)
    os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])))


def is_killed(mutant: Mutant) -> bool:
    return fails(mutant, MODULES[mutant.module]) or fails(mutant, REST)


def fails(mutant: Mutant, tests: list[str]) -> bool:
    pid = os.fork()
    if pid == 0:
        run_tests(mutant, tests)
    return os.waitpid(pid, 0)[1] != 0


def report(tried: list[tuple[Mutant, bool]]) -> None:
    """Write how many mutants were killed, and the survivors."""
    survivors = [mutant for mutant, killed in tried if not killed]
    killed = len(tried) - len(survivors)
    share = 100 * killed / max(len(tried), 1)
    sys.stdout.write(f"{killed} of {len(tried)} mutants are killed: {share:.1f} %\n")
    for mutant in survivors:
        sys.stdout.write(
            f"  survived: {mutant.module}:{mutant.line} {mutant.operator}\n"
            f"    {mutant.before}\n    {mutant.after}\n"
        )
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--module", choices=MODULES, help="one module instead of all")
    parser.add_argument("--sample", type=int, default=20, help="mutants a module; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    results: list[tuple[Mutant, bool]] = []
    for module in [options.module] if options.module else MODULES:
        mutants = mutants_of(module, random.Random(options.seed))
        tried = []
        for mutant in islice(mutants, options.sample or None):
            tried.append((mutant, is_killed(mutant)))
            sys.stderr.write(f"{module}: {len(tried)}\r")
        results += tried
        sys.stdout.write(f"{module}: ")
        report(tried)
    sys.stdout.write("all: ")
    report(results)


if __name__ == "__main__":
    main()
