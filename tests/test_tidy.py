"""House rules beyond the linter: sizes, vocabulary, banned calls, unused files."""

import ast
import functools
import io
import re
import statistics
import tokenize
from collections.abc import Iterator
from pathlib import Path

from sources import (
    CORE,
    PACKAGE,
    ROOT,
    TESTS,
    imports,
    location,
    modules,
    python_files,
    report,
    source_text,
    syntax_tree,
    tracked,
)

FUNCTION_LINES = 60
FUNCTION_LINES_MEDIAN = 10
FILE_LINES = 800
PACKAGE_FILES = 3, 8
VENUE_LINES = 110  # of code: a venue's file lists the parts of its rule set and its rules
BLOB_BYTES = 300_000

BANNED_NAMES = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}

UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]) + r")\b")

REGISTRY = re.compile(
    "|".join(
        re.escape(host)
        for host in (
            "pypi" + ".org",
            "python" + "hosted.org",
            "npm" + "js.org",
            "npm" + "js.com",
            "crates" + ".io",
            "proxy.golang" + ".org",
        )
    )
)

BANNED_CALLS = {
    "datetime.datetime.now": "time_ms of the command",
    "datetime.datetime.utcnow": "time_ms of the command",
    "datetime.now": "time_ms of the command",
    "datetime.utcnow": "time_ms of the command",
    "logging.getLogger": "an event, or log() of the CLI",
    "np.random.seed": "np.random.default_rng(seed)",
    "os.environ.get": "an argument, read in config.py",
    "os.getenv": "an argument, read in config.py",
    "os.system": "subprocess.run with a list",
    "pickle.loads": "msgspec, which runs no code",
    "print": "a returned value; the CLI prints",
    "random.random": "random.Random(seed)",
    "random.seed": "random.Random(seed)",
    "time.sleep": "an argument: the caller waits",
    "time.time": "time_ms of the command",
    "time.time_ns": "time_ms of the command",
}
"""Calls that no module of the package makes, with what to use instead."""

OWN_BYTES = {
    (PACKAGE / "core" / "book" / "book.py", "pickle.loads"),
    (PACKAGE / "lab" / "runs" / "sweeps" / "executors.py", "pickle.loads"),
}
"""Exempt calls: a book is copied by pickling it, and the bytes never leave the call."""

EDGES = {"cli", "config", "server"}
"""Packages that print, read the clock and read the environment."""

BANNED_IN_TESTS = {
    "mock": "the real object with an argument of the test",
    "mocker": "the real object with an argument of the test",
    "pytest_mock": "the real object with an argument of the test",
    "unittest": "pytest, and the real object instead of a mock",
}

REPLACED_WORDS = {
    "anew": "again",
    "borne": "haircut",
    "candidate": "counterparty",
    "kept": "stored, or what it is",
    "lane": "side, or table",
    "parcel": "tranche",
    "realised": "realized",
    "refusal": "rejection",
    "seen": "what it is",
    "shortfall": "deficit",
    "shown": "displayed, or what it is",
    "socialised": "socialized",
    "standing": "queue position",
    "told": "submitted, reported, or what it is",
    "unrealised": "unrealized",
}
"""Words that are no identifiers here, with what the field says (docs/contributing/style.md)."""

REGISTRIES = {
    "core/rules/venues": "one file per venue",
    "dashboard/pages": "one file per page",
    "server/api": "one file per group of endpoints",
    "server/storage/migrations": "the layout of alembic",
    "server/storage/migrations/versions": "one file per migration",
}
"""Packages that may have any number of files, with the reason."""

SOURCE = python_files(PACKAGE)


def texts() -> Iterator[tuple[Path, str]]:
    """Yield every tracked text file."""
    for path in tracked():
        try:
            yield path, source_text(path)
        except UnicodeDecodeError:
            continue


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(syntax_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@functools.cache
def code_lines(path: Path) -> frozenset[int]:
    """Return the line numbers of a file that are not blank, comment or docstring."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    tokens = tokenize.generate_tokens(io.StringIO(source_text(path)).readline)
    lines: set[int] = set()
    for token in tokens:
        if token.type not in silent:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(syntax_tree(path)):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                lines.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
    return frozenset(lines)


def function_sizes() -> dict[str, int]:
    return {
        f"{location(path, node.lineno)}: {node.name}": len(
            code_lines(path).intersection(range(node.lineno, (node.end_lineno or 0) + 1))
        )
        for path in SOURCE
        for node in functions(path)
    }


def test_functions_are_short() -> None:
    sizes = function_sizes()
    long = [f"{name} has {n} lines of code" for name, n in sizes.items() if n > FUNCTION_LINES]
    report(long)
    assert statistics.median(sizes.values()) < FUNCTION_LINES_MEDIAN


def test_files_are_at_most_800_lines() -> None:
    sizes = {path: len(source_text(path).splitlines()) for path in SOURCE + python_files(TESTS)}
    report([f"{location(path)} has {n} lines" for path, n in sizes.items() if n > FILE_LINES])


def is_venue(path: Path) -> bool:
    """Return whether a file defines the rule sets of a venue."""
    return path.parent == CORE / "rules" / "venues" and "= RuleSet(" in source_text(path)


def test_venues_are_short() -> None:
    sizes = {path: len(code_lines(path)) for path in python_files(CORE) if is_venue(path)}
    report([f"{location(path)} has {n} lines" for path, n in sizes.items() if n > VENUE_LINES])


def test_files_are_named_for_their_content() -> None:
    names = {path: {path.stem, *path.relative_to(ROOT).parts[:-1]} for path in tracked()}
    banned = [path for path, parts in names.items() if parts & BANNED_NAMES]
    report([f"{location(path)}: name the file for its content" for path in banned])


def test_no_file_has_an_unfinished_mark() -> None:
    found = [
        f"{location(path, number)}: {line.strip()}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if UNFINISHED.search(line)
    ]
    report(found)


def test_no_package_registry_is_named() -> None:
    report([f"{location(path)}: {m[0]}" for path, text in texts() for m in REGISTRY.finditer(text)])


def test_no_file_is_large() -> None:
    images = {".png", ".svg", ".gif", ".webp"}
    found = [
        f"{location(path)} has {path.stat().st_size:,} bytes"
        for path in tracked()
        if path.stat().st_size > BLOB_BYTES
        if not (path.suffix in images and path.is_relative_to(ROOT / "docs"))
    ]
    report(found)


def called(node: ast.AST) -> Iterator[str]:
    """Yield the dotted names that a node calls, or imports from a module."""
    match node:
        case ast.Call(func=func):
            yield ast.unparse(func)
        case ast.ImportFrom(module=str(source), names=names):
            yield from (f"{source}.{alias.name}" for alias in names)


def test_package_makes_no_banned_call() -> None:
    found = [
        f"{location(path, node.lineno)}: use {BANNED_CALLS[call]} instead of {call}"  # type: ignore[attr-defined]
        for path in SOURCE
        if path.relative_to(PACKAGE).with_suffix("").parts[0] not in EDGES
        for node in ast.walk(syntax_tree(path))
        for call in called(node)
        if call in BANNED_CALLS and (path, call) not in OWN_BYTES
    ]
    report(found)


def test_package_does_not_assert() -> None:
    found = [
        f"{location(path, node.lineno)}: assert is removed under -O; raise an error"
        for path in SOURCE
        for node in ast.walk(syntax_tree(path))
        if isinstance(node, ast.Assert)
    ]
    report(found)


def test_no_test_mocks() -> None:
    found = [
        f"{location(path, line)}: use {BANNED_IN_TESTS[target.split('.')[0]]}, not {target}"
        for path in python_files(ROOT)
        for line, target in imports(path)
        if target.split(".")[0] in BANNED_IN_TESTS
    ]
    report(found)


REQUEST = re.compile(r"httpx2?\.(Async)?(Client|get|post|put|delete)")


def test_requests_of_tests_state_their_timeout() -> None:
    """Without one, httpx fails after five seconds, in which a busy machine may not answer."""
    found = [
        f"{location(path, node.lineno)}: add timeout=PATIENCE_S"
        for path in python_files(TESTS)
        for node in ast.walk(syntax_tree(path))
        if isinstance(node, ast.Call) and REQUEST.fullmatch(ast.unparse(node.func))
        if "timeout" not in {keyword.arg for keyword in node.keywords}
    ]
    report(found)


def test_stream_clients_of_tests_wait() -> None:
    """websockets gives a server ten seconds to answer a handshake; `stream_clients` waits."""
    direct = re.compile(
        r"websockets\.connect\(|from websockets\.sync\.client import .*connect$", re.MULTILINE
    )
    files = [path for path in python_files(TESTS) if direct.search(source_text(path))]
    report([f"{location(path)}: import connect from stream_clients" for path in files])


def test_every_module_is_used() -> None:
    """Another module imports it, or names it in a string (commands imported on call)."""
    used = {"delever", "delever.__main__", "delever.cli"}
    used |= {name for name in modules() if ".migrations." in name}  # alembic finds them by path
    for name, path in modules().items():
        texts_of = (n.value for n in ast.walk(syntax_tree(path)) if isinstance(n, ast.Constant))
        named = {text.partition(":")[0] for text in texts_of if isinstance(text, str)}
        used |= (named | {target for _, target in imports(path)}) - {name}
    packages = {name for name in modules() if any(other.startswith(f"{name}.") for other in used)}
    report([f"no module imports {name}" for name in modules().keys() - used - packages])


def test_every_test_file_is_used() -> None:
    tests = python_files(TESTS)
    imported = {target for path in tests for _, target in imports(path)} | {"conftest"}
    named = "\n".join(map(source_text, tests))
    dead = [path for path in tests if not path.stem.startswith("test_")]
    dead = [path for path in dead if path.stem not in imported]
    dead += [p for p in tracked() if p.is_relative_to(TESTS / "tables") if p.name not in named]
    report([f"no test uses {location(path)}" for path in dead])


def test_tables_are_aligned() -> None:
    found = []
    for path in tracked():
        if path.is_relative_to(TESTS / "tables"):
            lines = map(str.strip, source_text(path).splitlines())
            rows = [line for line in lines if line and not line.startswith("#")]
            if len({row.find("|") for row in rows}) > 1:
                found.append(f"{location(path)}: the bars are not aligned")
    report(found)


def test_documents_have_exactly_one_title() -> None:
    found = []
    for path, text in texts():
        prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        titles = re.findall(r"^# .+", prose, re.MULTILINE)
        if path.suffix == ".md" and len(titles) != 1:
            found.append(f"{location(path)} has {len(titles)} titles")
    report(found)


def identifiers(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of every class, function, argument and assigned name."""
    for node in ast.walk(syntax_tree(path)):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


def test_identifiers_use_the_vocabulary() -> None:
    found = []
    for path in SOURCE + python_files(TESTS):
        for line, name in identifiers(path):
            parts = set(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_"))
            parts |= {part.removesuffix("s") for part in parts}
            for word in parts & REPLACED_WORDS.keys():
                better = REPLACED_WORDS[word]
                found.append(f"{location(path, line)}: {name}: write {better} instead of {word}")
    report(found)


def test_a_class_name_is_used_once() -> None:
    places: dict[str, list[str]] = {}
    for path in SOURCE:
        for node in syntax_tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(location(path, node.lineno))
    report([f"class {name}: {', '.join(at)}" for name, at in places.items() if len(at) > 1])


def entries(folder: Path) -> set[str]:
    """Return the names of a package's modules and subpackages."""
    members = {path if path.stem != "__init__" else path.parent for path in SOURCE}
    return {member.stem for member in members if member.parent == folder}


def test_packages_have_3_to_8_entries() -> None:
    minimum, maximum = PACKAGE_FILES
    found = []
    for folder in {path.parent for path in SOURCE}:
        name = folder.relative_to(PACKAGE).as_posix()
        exempt = name in REGISTRIES or folder in (PACKAGE, CORE)
        if not exempt and not minimum <= len(entries(folder)) <= maximum:
            found.append(f"{name} has {len(entries(folder))} entries")
    report(found)


def test_package_docstrings_list_their_entries() -> None:
    found = []
    for folder in {path.parent for path in SOURCE} - {PACKAGE}:
        name = folder.relative_to(PACKAGE).as_posix()
        docstring = ast.get_docstring(syntax_tree(folder / "__init__.py")) or ""
        listed = set(re.findall(r"^ *(?:\d+\. +)?(\w+)", docstring, re.MULTILINE))
        missing = entries(folder) - listed if name not in REGISTRIES else set()
        found += [f"{name}/__init__.py: the docstring does not list {entry}" for entry in missing]
    report(found)


def test_the_core_uses_venue_spellings_in_rules_only() -> None:
    """Names such as `adlRankIndicator` belong to a venue's API."""
    camel = re.compile(r"[a-z]+[A-Z][a-zA-Z]*")
    found = [
        f"{location(path, node.lineno)}: {node.value!r} is a venue's spelling"
        for path in python_files(CORE)
        if not path.is_relative_to(CORE / "rules")
        for node in ast.walk(syntax_tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if camel.fullmatch(node.value)
    ]
    report(found)


def declared(file: str) -> dict[str, ast.ClassDef]:
    body = syntax_tree(CORE / "messages" / file).body
    return {node.name: node for node in body if isinstance(node, ast.ClassDef)}


def reasons() -> dict[str, str]:
    """Return the value of every reason by its name."""
    body = declared("enums.py")["Reason"].body
    members = (node for node in body if isinstance(node, ast.Assign))
    return {ast.unparse(node.targets[0]): ast.literal_eval(node.value) for node in members}


def test_the_core_uses_every_reason() -> None:
    core = "\n".join(map(source_text, python_files(CORE)))
    report([f"no module uses Reason.{name}" for name in reasons() if f"Reason.{name}" not in core])


def test_the_tests_cover_every_reason() -> None:
    tests = "\n".join(text for path, text in texts() if path.is_relative_to(TESTS))
    untested = [
        f"no test and no table has {text}"
        for name, text in reasons().items()
        if not re.search(rf"\b({text}|{name})\b", tests)
    ]
    report(untested)


def test_the_core_emits_every_event() -> None:
    unused = {"Event", *declared("events.py")}
    for path in python_files(CORE):
        if path.stem != "book":
            calls = (node for node in ast.walk(syntax_tree(path)) if isinstance(node, ast.Call))
            unused -= {ast.unparse(node.func).rpartition(".")[2] for node in calls}
    report([f"no module constructs the event {name}" for name in unused - {"Event"}])
