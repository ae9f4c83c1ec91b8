"""Imports go one way, the core is pure, and the book is its one mutable object.

The order of the core's modules is the numbered list in the docstring of delever/core/__init__.py.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from sources import (
    CORE,
    PACKAGE,
    TESTS,
    imports,
    location,
    module_name,
    modules,
    python_files,
    report,
    syntax_tree,
)

PURE_IMPORTS = {
    "array",
    "bisect",
    "collections",
    "collections.abc",
    "contextlib",
    "dataclasses",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "html",
    "itertools",
    "math",
    "msgspec",
    "numpy",
    "numpy.typing",
    "operator",
    "pickle",
    "re",
    "typing",
    "weakref",
    "zlib",
}

IMPURE_NAMES = {
    "__import__": "an import at the top of the module",
    "breakpoint": "a failing test",
    "compile": "the code itself",
    "eval": "the code itself",
    "exec": "the code itself",
    "globals": "an argument",
    "hash": "hashlib: hash() of a string differs between runs",
    "id": "a name or an index: addresses differ between runs",
    "input": "a command",
    "open": "an argument: journal/ and lab/ open files",
    "print": "an event: the CLI prints",
    "round": "the division in units.py that names its rounding",
}

IMPURE_NUMPY = {"datetime64", "fromfile", "load", "loadtxt", "memmap", "random", "save", "savetxt"}

DIVIDERS = {"divide", "divmod", "floor_divide", "floordiv", "true_divide", "truediv"}

COMPILED = set((CORE / "kernels").glob("compiled*.py"))
"""The only modules that import Numba. Only `kernels_for` imports them, on its first call."""

NUMBA = {"numba"}

MONEY = {
    "accounting",
    "book",
    "market/contract_terms",
    "rules/adl_price",
    "rules/policies/allocation",
    "rules/eligibility",
    "rules/loss_socialization",
    "rules/triggers",
    "units",
    "valuation/bankruptcy",
    "valuation/insurance",
    "valuation/numeric_range",
}
"""The modules that never convert to float; the others compute scores."""

MUTABLE = {"book", "kernels", "market/mark_table", "market/rolling_windows"}
"""The modules of the one mutable object; all others take values and return values.

Kernels write to the columns that they receive.
"""

STATE_CHANGES = {"add_all", "add_to_wallets", "define", "define_all", "observe", "reduce"}
STATE_CHANGES |= {"reduce_position", "remove_all", "remove_each", "reopen_position"}
STATE_CHANGES |= {"reset_bounds", "reset_for_pool", "resize", "restore", "revalue", "set_all"}
STATE_CHANGES |= {"set_mark", "set_position", "set_row", "set_rows", "shift", "shift_past"}
STATE_CHANGES |= {"subtract", "subtract_from_wallets", "track", "upsert", "upsert_all"}
STATE_CHANGES |= {"acknowledge", "acknowledge_all", "add_compensation", "add_fills", "add_followed"}
STATE_CHANGES |= {"add_losses", "drop_fill", "execute_fill", "execute_fills", "inject", "rescale"}
STATE_CHANGES |= {"net_positions", "reduce_inventory", "reduce_positions", "set_positions"}
STATE_CHANGES |= {"set_position_columns", "set_status", "share_loss", "start_adl", "stop_adl"}
STATE_CHANGES |= {"shift_funding", "unconfirm_mark", "mark_stale", "unmark_stale"}
CONTAINER_CHANGES = {"add", "append", "clear", "extend", "insert", "pop", "remove", "update"}

MAY_IMPORT = {
    "core": set(),
    "formatting": {"core"},
    "suggestions": set(),
    "lazy_names": set(),
    "field_errors": {"suggestions"},
    "config": {"field_errors"},
    "rule_registry": {"core"},
    "journal": {"core", "rule_registry"},
    "replication": {"core", "journal"},
    "demo": {"config", "core", "formatting", "journal", "lab"},
    "lab": {
        "core",
        "field_errors",
        "formatting",
        "journal",
        "lazy_names",
        "rule_registry",
        "suggestions",
    },
    "api_types": {"core"},
    "server": {
        "api_types",
        "config",
        "core",
        "demo",
        "field_errors",
        "formatting",
        "journal",
        "lab",
        "replication",
        "rule_registry",
    },
    "shadow": {"core", "formatting", "lab"},
    "watch": {"config", "core", "field_errors", "lab", "rule_registry", "server"},
    "dashboard": {"api_types", "core", "demo", "formatting", "lab", "rule_registry", "watch"},
    "cli": {
        "config",
        "core",
        "dashboard",
        "demo",
        "formatting",
        "journal",
        "lab",
        "rule_registry",
        "server",
        "shadow",
        "watch",
    },
    "__init__": {"core", "journal", "lab", "lazy_names", "rule_registry"},
    "__main__": {"cli"},
}
"""The packages that each package may import besides itself."""

HEAVY = {"cyclopts", "litestar", "nicegui", "numba", "polars", "ray", "rich", "uvicorn"}


def reading_order() -> list[str]:
    docstring = ast.get_docstring(syntax_tree(CORE / "__init__.py")) or ""
    numbered = re.findall(r"^ *(\d+)\. +(\w+)", docstring, re.MULTILINE)
    assert [int(number) for number, _ in numbered] == list(range(1, len(numbered) + 1))
    return [name for _, name in numbered]


def item(module: str) -> str:
    """Return the entry of the reading order that a dotted core module belongs to."""
    return module.removeprefix("delever.core").lstrip(".").partition(".")[0]


def part(module: str) -> str:
    """Return the top-level package of a dotted module."""
    return module.removeprefix("delever").lstrip(".").partition(".")[0] or "__init__"


def parts() -> set[str]:
    return {part(name) for name in modules()}


def core_items() -> set[str]:
    return {item(name) for name, path in modules().items() if path.is_relative_to(CORE)} - {""}


def core_name(path: Path) -> str:
    """Return the name of a core module in the lists above: `market/validation`."""
    return path.relative_to(CORE).with_suffix("").as_posix()


def is_listed(path: Path, names: set[str]) -> bool:
    """Return whether a list has a core module or a package that contains it."""
    own = core_name(path)
    return any(own == name or own.startswith(f"{name}/") for name in names)


def nodes(files: Iterable[Path]) -> Iterator[tuple[str, ast.AST]]:
    """Yield (file:line, node) of files."""
    for path in files:
        for node in ast.walk(syntax_tree(path)):
            yield location(path, getattr(node, "lineno", None)), node


def test_every_listed_name_exists() -> None:
    folders = {
        core_name(parent)
        for path in python_files(CORE)
        for parent in path.parents
        if parent.is_relative_to(CORE) and parent != CORE
    }
    known = {core_name(path) for path in python_files(CORE)} | folders
    functions = {
        node.name
        for _, node in nodes(path for path in python_files(CORE) if is_listed(path, MUTABLE))
        if isinstance(node, ast.FunctionDef)
    }
    listed_parts = MAY_IMPORT.keys() | set().union(*MAY_IMPORT.values())
    found = [f"core/{name} is listed but absent" for name in (MONEY | MUTABLE) - known]
    found += [f"{name} is in MAY_IMPORT but absent" for name in listed_parts - parts()]
    found += [f"{name} is in STATE_CHANGES but absent" for name in STATE_CHANGES - functions]
    report(found)


def test_packages_import_every_package_they_may() -> None:
    used: dict[str, set[str]] = {name: set() for name in MAY_IMPORT}
    for name, path in modules().items():
        used[part(name)] |= {part(to) for _, to in imports(path) if to.startswith("delever")}
    report([f"{n} never imports {to}" for n in MAY_IMPORT for to in MAY_IMPORT[n] - used[n]])


def test_reading_order_names_every_core_module_and_no_other() -> None:
    listed, on_disk = set(reading_order()), core_items()
    missing = [f"core/{name} is listed in core/__init__.py but absent" for name in listed - on_disk]
    unlisted = [f"core/{name} is not in the list of core/__init__.py" for name in on_disk - listed]
    report(missing + unlisted)


def test_core_imports_only_pure_libraries_and_modules_above() -> None:
    order = {name: place for place, name in enumerate(reading_order())}
    found = []
    for path in python_files(CORE):
        own = path.relative_to(CORE).with_suffix("").parts[0]
        for line, target in imports(path):
            if target in PURE_IMPORTS or (path in COMPILED and target in NUMBA):
                continue
            if not target.startswith("delever.core."):
                found.append(f"{location(path, line)}: core must not import {target}")
            elif own == "__init__" or (
                item(target) != own and order.get(item(target), 999) > order.get(own, 0)
            ):
                found.append(f"{location(path, line)}: {item(target)} is below {own} in the list")
    report(found)


def test_modules_import_each_other_without_cycles() -> None:
    known = modules()
    edges = {
        name: {target for _, target in imports(path) if target in known} - {name}
        for name, path in known.items()
    }
    while edges:
        imported = set().union(*edges.values())
        ends = {n for n, targets in edges.items() if not targets & edges.keys()}
        ends |= edges.keys() - imported
        if not ends:
            break
        edges = {name: targets - ends for name, targets in edges.items() if name not in ends}
    report([f"{name} and {sorted(targets)} import each other" for name, targets in edges.items()])


def test_packages_import_each_other_without_cycles() -> None:
    waiting = dict(MAY_IMPORT)
    while ready := {name for name, targets in waiting.items() if not targets & waiting.keys()}:
        waiting = {name: targets for name, targets in waiting.items() if name not in ready}
    report([f"{name} is in a cycle of packages" for name in waiting])


def test_the_core_takes_no_memory_address() -> None:
    found = [
        f"{location(path, node.lineno)}: {node.attr} is an address, which no copy of a book shares"
        for path in python_files(CORE)
        for node in ast.walk(syntax_tree(path))
        if isinstance(node, ast.Attribute)
        if node.attr in {"ctypes", "__array_interface__", "inttoptr", "carray"}
    ]
    report(found)


def test_only_kernels_for_imports_the_compiled_kernels_on_its_first_call() -> None:
    names = {module_name(path) for path in COMPILED}
    found = [
        f"{location(path, line)}: only kernels_for imports {target}"
        for path in python_files(PACKAGE)
        for line, target in imports(path)
        if target in names and path not in COMPILED and path != CORE / "kernels" / "__init__.py"
    ]
    top = syntax_tree(CORE / "kernels" / "__init__.py").body
    found += [
        f"{ast.unparse(node)}: import it in kernels_for"
        for node in top
        if "compiled" in ast.unparse(node) and isinstance(node, ast.ImportFrom)
    ]
    report(found)


def test_no_relative_imports() -> None:
    found = [
        f"{location(path, line)}: write the absolute name of {target}"
        for path in python_files(PACKAGE)
        for line, target in imports(path)
        if target.startswith(".")
    ]
    report(found)


def test_packages_import_only_the_packages_they_may() -> None:
    found = []
    for name, path in modules().items():
        own = part(name)
        if own not in MAY_IMPORT:
            found.append(f"{name}: MAY_IMPORT has no entry for {own}")
            continue
        for line, target in imports(path):
            if target.split(".")[0] == "delever" and part(target) not in MAY_IMPORT[own] | {own}:
                found.append(f"{location(path, line)}: {own} must not import {target}")
    report(found)


def test_core_calls_nothing_impure() -> None:
    found = []
    for where, node in nodes(python_files(CORE)):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_NAMES:
                found.append(f"{where}: use {IMPURE_NAMES[name]} instead of {name}()")
            case ast.Attribute(value=ast.Name(id="np"), attr=name) if name in IMPURE_NUMPY:
                found.append(f"{where}: np.{name} is I/O or randomness")
            case ast.Global() | ast.Nonlocal():
                found.append(f"{where}: only the book has state")
    report(found)


def test_core_divides_in_units_only() -> None:
    found = []
    # Compiled kernels cannot call units.py; tests compare them with plain twins that do.
    files = {*python_files(CORE)} - COMPILED - {CORE / "units.py"}
    for where, node in nodes(files):
        match node:
            case (
                ast.BinOp(op=ast.Div() | ast.FloorDiv())
                | ast.AugAssign(op=ast.Div() | ast.FloorDiv())
            ):
                found.append(
                    f"{where}: divide with a function of units.py, which names its rounding"
                )
            case ast.Name(id="divmod"):
                found.append(
                    f"{where}: divide with a function of units.py, which names its rounding"
                )
            case ast.Attribute(attr=name) if name in DIVIDERS:
                found.append(
                    f"{where}: use a function of units.py, which names its rounding, not {name}"
                )
    report(found)


def test_money_never_becomes_a_float() -> None:
    found = [
        f"{where}: money, quantity and price are exact integers"
        for where, node in nodes(path for path in python_files(CORE) if is_listed(path, MONEY))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "float"
    ]
    report(found)


def test_core_has_no_float_literal_outside_the_rules() -> None:
    found = [
        f"{where}: {node.value} is a float; ratios are parts per million"
        for where, node in nodes(
            path for path in python_files(CORE) if not is_listed(path, {"rules"})
        )
        if isinstance(node, ast.Constant) and isinstance(node.value, float)
    ]
    report(found)


def _owners(target: ast.expr) -> Iterator[str]:
    """Yield `a` for each `a.b` and `a.b[c]` that is assigned to."""
    while isinstance(target, ast.Subscript | ast.Starred):
        target = target.value
    if isinstance(target, ast.Tuple | ast.List):
        yield from (owner for element in target.elts for owner in _owners(element))
    elif isinstance(target, ast.Attribute):
        yield ast.unparse(target.value)


def _changed(node: ast.AST) -> Iterator[str]:
    """Yield the objects that a node changes by assignment, deletion or a mutating call."""
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            yield from (owner for target in targets for owner in _owners(target))
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target) | ast.For(target=target):
            yield from _owners(target)
        case ast.Call(func=ast.Attribute(attr="at"), args=[target, *_]):  # np.add.at and its kin
            yield from _owners(target)
        case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[target, *_]):
            yield ast.unparse(target)
        case ast.Call(func=ast.Attribute(value=changed, attr=name)) if name in STATE_CHANGES:
            yield ast.unparse(changed)
        case ast.Call(func=ast.Attribute(value=changed, attr=name)) if name in CONTAINER_CHANGES:
            yield from _owners(changed)


def _made_here(function: ast.AST) -> set[str]:
    """Return the variables of a function that refer to its own objects: `row = Row(...)`."""
    made = {"self", "np"}
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id=maker))):
                made |= {name} if maker[:1].isupper() else set()
    return made


def _changes_of_others(path: Path) -> Iterator[ast.AST]:
    """Yield the nodes that change an object which their function did not create."""
    functions = [n for n in ast.walk(syntax_tree(path)) if isinstance(n, ast.FunctionDef)]
    own = {
        id(node)
        for function in functions
        for made in [_made_here(function)]
        for node in ast.walk(function)
        if made.issuperset(_changed(node))
    }
    yield from (n for n in ast.walk(syntax_tree(path)) if any(_changed(n)) and id(n) not in own)


def test_only_the_book_changes() -> None:
    found = [
        f"{location(path, getattr(node, 'lineno', None))}: {ast.unparse(node)[:50]!r} changes an "
        "argument; return an event or a new value"
        for path in python_files(CORE)
        if not is_listed(path, MUTABLE)
        for node in _changes_of_others(path)
    ]
    report(found)


def test_the_engine_imports_no_heavy_library() -> None:
    program = "import delever, delever.core.engine, sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    report([f"delever.core.engine imports {name}" for name in HEAVY & {*run.stdout.split()}])


def test_the_auditor_imports_nothing_of_the_engine() -> None:
    """The auditor checks the engine's events and shares only the messages with it."""
    folder = TESTS / "simulation"
    unread, read = {folder / "auditor.py"}, set()
    while unread:
        path = unread.pop()
        read.add(path)
        siblings = {folder / f"{target}.py" for _, target in imports(path)}
        unread |= {sibling for sibling in siblings if sibling.is_file()} - read
    found = [
        f"{location(path, line)}: the auditor imports {target}"
        for path in read
        for line, target in imports(path)
        if target.startswith("delever.") and not target.startswith("delever.core.messages")
    ]
    report(found)
