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

RULES = ["tests/core/rules", "tests/core/execution"]
VALUATION = ["tests/core/valuation", *RULES]
SIMULATION = ["tests/simulation/test_simulation.py", "tests/core/test_operator_commands.py"]

MODULES = {
    "rules/policies/allocation": [*RULES, *SIMULATION],
    "valuation/insurance": [*VALUATION, *SIMULATION],
    "rules/triggers/contract": [*RULES, *SIMULATION],
    "rules/triggers/pool": [*RULES, *SIMULATION],
    "rules/triggers/loss_caps": [*RULES, *SIMULATION],
    "rules/ranking": [*RULES, "tests/core/risk", *SIMULATION],
    "accounting/postings": [*RULES, "tests/core/valuation", *SIMULATION],
    "execution/adl_round": [*RULES, *SIMULATION],
    "execution/deleveraging": [*RULES, *SIMULATION],
    "execution/settlement": [*RULES, *SIMULATION],
}
"""Modules, with the tests that run against their mutants, the quickest first."""

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


def mutants_of(module: str) -> Iterator[Mutant]:
    """Yield the mutants of a module whose code differs."""
    source = (CORE / f"{module}.py").read_text()
    original, lines = without_annotations(source), source.splitlines()
    for name in operator_names():
        kind = get_operator(name)
        if kind.arguments():
            continue
        positions = [
            each for node in ast_nodes(get_ast(source)) for each in kind().mutation_positions(node)
        ]
        for occurrence, _ in enumerate(positions):
            mutated = mutating.mutate_code(source, kind(), occurrence)
            if mutated is None or without_annotations(mutated) == original:
                continue
            changed = mutated.splitlines()
            line = next(i for i, text in enumerate(lines) if changed[i : i + 1] != [text])
            yield Mutant(
                module, name, line + 1, lines[line].strip(), changed[line].strip(), mutated
            )


def run_tests(mutant: Mutant) -> None:
    """Run the tests in this process and leave it; the status is 0 where the mutant survives."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    name = f"delever.core.{mutant.module.replace('/', '.')}"
    sys.meta_path.insert(0, MutatedModule(name, mutant.source))
    os.chdir(ROOT)
    tests = MODULES[mutant.module]
    os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])))


def is_killed(mutant: Mutant) -> bool:
    pid = os.fork()
    if pid == 0:
        run_tests(mutant)
    return os.waitpid(pid, 0)[1] != 0


def report(killed: int, total: int, survivors: list[Mutant]) -> None:
    for mutant in survivors:
        sys.stdout.write(
            f"survived: {mutant.module}:{mutant.line} {mutant.operator}\n"
            f"    {mutant.before}\n    {mutant.after}\n"
        )
    share = 100 * killed / max(total, 1)
    sys.stdout.write(f"{killed} of {total} mutants are killed: {share:.1f} %\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--module", choices=MODULES, help="one module instead of all")
    parser.add_argument("--sample", type=int, default=20, help="mutants a module; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, results = random.Random(options.seed), []
    for module in [options.module] if options.module else MODULES:
        mutants = list(mutants_of(module))
        count = min(options.sample or len(mutants), len(mutants))
        tried = [(mutant, is_killed(mutant)) for mutant in rng.sample(mutants, count)]
        results += tried
        survivors = [mutant for mutant, killed in tried if not killed]
        sys.stdout.write(f"{module}: {len(mutants)} mutants\n")
        report(count - len(survivors), count, survivors)
    report(sum(killed for _, killed in results), len(results), [])


if __name__ == "__main__":
    main()
