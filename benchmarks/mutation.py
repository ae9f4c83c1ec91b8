"""Mutation testing: change one operator or number of a module, and see whether a test fails.

    make mutation                        # a sample of every module; SEED=n chooses it
    .venv-mutation/bin/python benchmarks/mutation.py --module rules/policies/allocation --sample 0

cosmic-ray makes the mutants; those of annotations are left out. All tests run once, on modules
that record which of their functions a test reaches, and again in a fork, where every test must
pass. Each mutant is then a fork of that process in which one function has the mutated code: only
the tests that reach it run, the fastest first, until one fails. What is not in a function
(constants, decorators, defaults) needs a fresh import, and runs in a process of its own. A mutant
is killed by a test that fails, or by taking too long.

`--write` replaces the table of docs/testing.md. Equivalent mutants are those that
benchmarks/equivalent_mutants.toml lists with the reason.
"""

import argparse
import ast
import functools
import gc
import importlib.abc
import importlib.util
import os
import random
import resource
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from itertools import islice
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import msgspec
import pytest
from cosmic_ray import mutating
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[1]
CORE = ROOT / "src" / "delever" / "core"
PAGE = ROOT / "docs" / "testing.md"
EQUIVALENT = ROOT / "benchmarks" / "equivalent_mutants.toml"

TESTS = ("tests/core", "tests/simulation")

MODULES = (
    "rules/policies/allocation",
    "valuation/insurance",
    "rules/triggers/account",
    "rules/triggers/contract",
    "rules/triggers/loss_caps",
    "rules/triggers/pool",
    "rules/ranking",
    "accounting/postings",
    "execution/adl_round",
    "execution/deleveraging",
    "execution/settlement",
)

CachedFunction = type(functools.cache(int))

CPU_SECONDS = 300
WORKERS = os.cpu_count() or 1
OPTIONS = ("-q", "-p", "no:cacheprovider", "--strict-markers")
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


class Mutant(msgspec.Struct, frozen=True):
    """A mutated source, and the line that differs."""

    module: str
    operator: str
    line: int
    before: str
    after: str
    source: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.module, self.before, self.after


class Result(msgspec.Struct, frozen=True):
    """What has become of a mutant; `tests` is None where it has not run yet."""

    mutant: Mutant
    killed: bool
    tests: list[str] | None = None


# --- mutants ---


def without_annotations(source: str) -> str:
    """Return the tree of a source without annotations, as text; "" if it is no Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # such as the star before keyword-only parameters, mutated as an operator
        return ""
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
    source = path_of(module).read_text()
    original, lines = without_annotations(source), source.splitlines()
    places = places_in(source)
    for name, occurrence in rng.sample(places, len(places)):
        mutated = mutating.mutate_code(source, get_operator(name)(), occurrence)
        if mutated is None or without_annotations(mutated) in {"", original}:
            continue
        changed = mutated.splitlines()
        line = next(i for i, text in enumerate(lines) if changed[i : i + 1] != [text])
        yield Mutant(module, name, line + 1, lines[line].strip(), changed[line].strip(), mutated)


def path_of(module: str) -> Path:
    return CORE / f"{module}.py"


def name_of(module: str) -> str:
    return f"delever.core.{module.replace('/', '.')}"


# --- functions ---


class Function(NamedTuple):
    """A function of a module that is in no other function, by the first line of its `def`."""

    module: str
    line: int


def outer_functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions and methods of a tree in their order, without those in functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTIONS):
            yield child
        elif not isinstance(child, ast.Lambda):
            yield from outer_functions(child)


def outer_codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of the same functions, in the same order."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_flags & 0x2:  # CO_NEWLOCALS: a function, not the body of a class
                if not constant.co_name.startswith("<"):
                    yield constant
            else:
                yield from outer_codes(constant)


def function_of(mutant: Mutant) -> tuple[int, Function] | None:
    """Return the function whose body a mutant changes, and its place; None for anything else."""
    for place, node in enumerate(outer_functions(ast.parse(path_of(mutant.module).read_text()))):
        if node.body[0].lineno <= mutant.line <= (node.end_lineno or 0):
            return place, Function(mutant.module, node.lineno)
    return None


REACHED: set[Function] = set()


class SourceLoader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads some modules from trees of one's own."""

    def __init__(self, trees: dict[str, tuple[Path, ast.Module]]) -> None:
        self._trees = trees

    def find_spec(self, name: str, *_where: object) -> ModuleSpec | None:
        if name not in self._trees:
            return None
        return importlib.util.spec_from_loader(name, self, origin=str(self._trees[name][0]))

    def exec_module(self, module: ModuleType) -> None:
        path, tree = self._trees[module.__name__]
        module.__dict__.update(_reached=REACHED, _function=Function, __file__=str(path))
        exec(compile(tree, str(path), "exec", dont_inherit=True), module.__dict__)


def recording(module: str) -> ast.Module:
    """Return the tree of a module whose functions record that they were reached."""
    tree = ast.parse(path_of(module).read_text())
    for node in outer_functions(tree):
        call = ast.parse(f"_reached.add(_function({module!r}, {node.lineno}))").body[0]
        for part in ast.walk(call):
            ast.copy_location(part, node.body[0])
        node.body.insert(int(ast.get_docstring(node) is not None), call)
    return ast.fix_missing_locations(tree)


def mutate(mutant: Mutant, place: int) -> None:
    """Give one function of a loaded module the mutated code, and forget what is cached."""
    filename = str(path_of(mutant.module))
    code = compile(mutant.source, filename, "exec", dont_inherit=True)
    mutated = sorted(outer_codes(code), key=lambda each: each.co_firstlineno)[place]
    for each in gc.get_objects():
        if isinstance(each, FunctionType):
            old = each.__code__
            if (old.co_filename, old.co_qualname) == (filename, mutated.co_qualname) and (
                old.co_firstlineno == mutated.co_firstlineno
            ):
                each.__code__ = mutated
        elif isinstance(each, CachedFunction):
            wrapped = getattr(each, "__wrapped__", None)
            if str(ROOT) in getattr(getattr(wrapped, "__code__", None), "co_filename", ""):
                each.cache_clear()


# --- running ---


class MutationRun:
    """A pytest plugin: runs all tests once, and then each mutant in a fork."""

    def __init__(self, mutants: Sequence[Mutant]) -> None:
        self.results: list[Result] = []
        self._mutants = mutants
        self._reaching: dict[Function, list[pytest.Item]] = {}
        self._seconds: dict[str, float] = {}
        self._is_fork = False

    def pytest_collection(self) -> None:
        from hypothesis import Phase, settings  # noqa: PLC0415 - pytest wants to import it first

        search = (Phase.explicit, Phase.generate)  # the first failure is enough
        settings.register_profile("mutation", phases=search, database=None)
        settings.load_profile("mutation")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            if self._is_fork:
                os._exit(1)
            raise pytest.UsageError(f"{report.nodeid} fails without any mutant")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        run_items(session.items, self._record)
        if os.waitpid(self._fork(session.items), 0)[1]:
            raise pytest.UsageError("a test fails in a fork without any mutant")
        running: dict[int, Mutant] = {}
        for mutant in self._mutants:
            found = function_of(mutant)
            if found is None:
                self.results.append(Result(mutant, killed=False, tests=self._tests_of(mutant)))
                continue
            if len(running) == WORKERS:
                self._wait(running)
            place, function = found
            reaching = self._reaching.get(function, [])
            running[self._fork(reaching, functools.partial(mutate, mutant, place))] = mutant
        while running:
            self._wait(running)
        return True

    def _record(self, item: pytest.Item, run: Callable[[], object]) -> None:
        REACHED.clear()
        start = time.perf_counter()
        run()
        self._seconds[item.nodeid] = time.perf_counter() - start
        for function in REACHED:
            self._reaching.setdefault(function, []).append(item)

    def _fastest(self, items: Sequence[pytest.Item]) -> list[pytest.Item]:
        return sorted(items, key=lambda item: self._seconds[item.nodeid])

    def _tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that reach any function of a module, fastest first."""
        reaching = self._reaching.items()
        items = {i.nodeid: i for f, found in reaching if f.module == mutant.module for i in found}
        return [item.nodeid for item in self._fastest(list(items.values()))]

    def _fork(self, items: Sequence[pytest.Item], prepare: Callable[[], object] = bool) -> int:
        pid = os.fork()
        if pid == 0:
            self._is_fork = True
            isolate()
            prepare()
            run_items(self._fastest(items), lambda _, run: run())
            os._exit(0)
        return pid

    def _wait(self, running: dict[int, Mutant]) -> None:
        pid, status = os.wait()
        mutant = running.pop(pid)
        self.results.append(Result(mutant, killed=status != 0))
        log(f"{'killed' if status else 'SURVIVED'}: {described(mutant)}")


def run_items(
    items: Sequence[pytest.Item], around: Callable[[pytest.Item, Callable[[], object]], object]
) -> None:
    for number, item in enumerate(items):
        following = items[number + 1] if number + 1 < len(items) else None
        hook = item.config.hook.pytest_runtest_protocol
        around(item, functools.partial(hook, item=item, nextitem=following))


def isolate() -> None:
    """Bound the time of this process, and discard what it writes."""
    used = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_SECONDS, used + CPU_SECONDS))
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def in_child(work: Callable[[], Any], output: Path | None = None) -> int:
    """Run work in a fork, whose result is written to a file; return the fork's status."""
    pid = os.fork()
    if pid == 0:
        result = work()
        if output is not None:
            output.write_bytes(msgspec.json.encode(result))
            os._exit(0)
        os._exit(int(result))
    return os.waitpid(pid, 0)[1]


def run_mutants(mutants: Sequence[Mutant], tests: Sequence[str]) -> list[Result]:
    """Run the tests, and then the mutants of functions; the others have their tests."""
    trees = {name_of(module): (path_of(module), recording(module)) for module in MODULES}
    sys.meta_path.insert(0, SourceLoader(trees))
    run = MutationRun(mutants)
    pytest.main([*OPTIONS, *tests], plugins=[run])
    return run.results


def is_killed(mutant: Mutant, tests: Sequence[str]) -> bool:
    """Run the tests of a mutant that needs a fresh import."""

    def work() -> int:
        isolate()
        tree = {name_of(mutant.module): (path_of(mutant.module), ast.parse(mutant.source))}
        sys.meta_path.insert(0, SourceLoader(tree))
        return int(pytest.main([*OPTIONS, "-x", *tests]))

    return in_child(work) != 0


def run_all(mutants: Sequence[Mutant], tests: Sequence[str]) -> list[Result]:
    output = ROOT / ".venv-mutation" / "results.json"
    output.unlink(missing_ok=True)
    in_child(lambda: run_mutants(mutants, tests), output)
    results = []
    for result in msgspec.json.decode(output.read_bytes(), type=list[Result]):
        killed = result.killed
        if result.tests is not None:
            killed = is_killed(result.mutant, result.tests)
            log(f"{'killed' if killed else 'SURVIVED'}: {described(result.mutant)}")
        results.append(Result(result.mutant, killed))
    return results


# --- report ---


def log(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def described(mutant: Mutant) -> str:
    return (
        f"{mutant.module}:{mutant.line} {mutant.operator}\n    {mutant.before}\n    {mutant.after}"
    )


def table(results: Sequence[Result], seed: int) -> str:
    """Return the table of the page, and the equivalent mutants with their reasons."""
    reasons = equivalent_mutants()
    rows = ["| module | mutants | equivalent | killed of the others |", "|---|---|---|---|"]
    totals = [0, 0, 0]
    for module in MODULES:
        own = [result for result in results if result.mutant.module == module]
        same = [each for each in own if not each.killed and each.mutant.key in reasons]
        counts = len(own), len(same), sum(each.killed for each in own)
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        if own:
            rows.append(f"| `{module}` | {counts[0]} | {counts[1]} | {counts[2]} |")
    share = 100 * totals[2] / max(totals[0] - totals[1], 1)
    rows.append(f"| all (seed {seed}) | {totals[0]} | {totals[1]} | {totals[2]}: {share:.1f} % |")
    survivors = [each.mutant for each in results if not each.killed]
    lines = [
        f"- `{mutant.module}`: `{mutant.after}` for `{mutant.before}`: "
        f"{reasons.get(mutant.key, 'not examined yet')}."
        for mutant in survivors
    ]
    return "\n".join([*rows, "", "Survivors:", "", *(lines or ["- none."])])


def equivalent_mutants() -> dict[tuple[str, str, str], str]:
    """Return the reason of each equivalent mutant, by module and both lines."""
    listed = tomllib.loads(EQUIVALENT.read_text())["mutants"]
    return {(each["module"], each["before"], each["after"]): each["reason"] for each in listed}


def write_page(text: str) -> None:
    """Replace the table between its marks."""
    begin, end = "<!-- mutants -->\n", "<!-- end of mutants -->"
    before, _, rest = PAGE.read_text().partition(begin)
    PAGE.write_text(f"{before}{begin}\n{text}\n\n{end}{rest.partition(end)[2]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--module", choices=MODULES, help="one module instead of all")
    parser.add_argument("--sample", type=int, default=8, help="mutants a module; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tests", nargs="+", default=TESTS, help="tests to run instead of all")
    parser.add_argument("--write", action="store_true", help="write the table of docs/testing.md")
    options = parser.parse_args()
    os.chdir(ROOT)
    modules = [options.module] if options.module else MODULES
    mutants = [
        mutant
        for module in modules
        for mutant in islice(
            mutants_of(module, random.Random(options.seed)), options.sample or None
        )
    ]
    text = table(run_all(mutants, options.tests), options.seed)
    sys.stdout.write(f"{text}\n")
    if options.write:
        write_page(text)


if __name__ == "__main__":
    main()
