"""The house rules that no linter knows: sizes, words, banned calls, dead files."""

import ast
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
    modules,
    python_files,
    report,
    shown,
    tracked,
    tree,
    words,
)

FUNCTION_LINES = 60
FUNCTION_LINES_MEDIAN = 10
FILE_LINES = 800
PACKAGE_FILES = 3, 8
VENUE_LINES = 110  # of code, each: a venue is a short list of parts and of rules
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
    "logging.getLogger": "an event, or text on stderr from cli.py",
    "np.random.seed": "np.random.default_rng(seed)",
    "os.environ.get": "an argument, read in config.py",
    "os.getenv": "an argument, read in config.py",
    "os.system": "subprocess.run with a list",
    "pickle.loads": "msgspec, which runs no code",
    "print": "a returned value; cli/ and cli.py print",
    "random.random": "random.Random(seed)",
    "random.seed": "random.Random(seed)",
    "time.sleep": "an argument: waiting belongs to the edge",
    "time.time": "time_ms of the command",
    "time.time_ns": "time_ms of the command",
}
"""Calls that no module of the package makes, with what to write instead."""

EDGES = {"cli", "config", "server"}
"""The parts that meet the world: they print, read the clock and the environment."""

BANNED_IN_TESTS = {
    "mock": "the real thing with a hand-turned argument",
    "mocker": "the real thing with a hand-turned argument",
    "pytest_mock": "the real thing with a hand-turned argument",
    "unittest": "pytest, and the real thing instead of a mock",
}

REPLACED_WORDS = {
    "anew": "again",
    "borne": "haircut",
    "counterparty": "counterparty",
    "kept": "stored, or what it is",
    "lane": "side, or table",
    "indicator": "indicator",
    "parcel": "tranche",
    "realised": "realized",
    "refusal": "rejection",
    "seen": "what it is",
    "shown": "displayed, or what it is",
    "socialised": "socialized",
    "told": "submitted, reported, or what it is",
    "unrealised": "unrealized",
}
"""Words that are no identifiers here, with what the field says (docs/contributing/style.md)."""

REGISTRIES = {
    "core/rules/venues": "a file a venue",
    "dashboard/pages": "a file a page",
    "server/api": "a file a group of endpoints",
    "server/migrations/versions": "a file a migration",
}
"""Packages that may have any number of files, with what one file is."""

SOURCE = python_files(PACKAGE)


def texts() -> Iterator[tuple[Path, str]]:
    """Yield every tracked text file but the licence."""
    for path in tracked():
        try:
            yield path, words(path)
        except UnicodeDecodeError:
            continue


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def code_lines(path: Path) -> set[int]:
    """Return the lines of a file that hold more than blanks, comments and docstrings."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    tokens = tokenize.generate_tokens(io.StringIO(words(path)).readline)
    lines: set[int] = set()
    for token in tokens:
        if token.type not in silent:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree(path)):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                lines.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
    return lines


def function_sizes() -> dict[str, int]:
    return {
        f"{shown(path, node.lineno)}: {node.name}": len(
            code_lines(path) & set(range(node.lineno, (node.end_lineno or 0) + 1))
        )
        for path in SOURCE
        for node in functions(path)
    }


def test_functions_are_short() -> None:
    sizes = function_sizes()
    long = [f"{name} has {n} lines of code" for name, n in sizes.items() if n > FUNCTION_LINES]
    report(long)
    assert statistics.median(sizes.values()) < FUNCTION_LINES_MEDIAN


def test_files_are_short() -> None:
    sizes = {path: len(words(path).splitlines()) for path in SOURCE + python_files(TESTS)}
    report([f"{shown(path)} has {n} lines" for path, n in sizes.items() if n > FILE_LINES])


def is_venue(path: Path) -> bool:
    """Return whether a file states one venue's rules: it makes rule sets."""
    return path.parent == CORE / "rules" / "venues" and "= RuleSet(" in words(path)


def test_venues_are_short() -> None:
    sizes = {path: len(code_lines(path)) for path in python_files(CORE) if is_venue(path)}
    report([f"{shown(path)} has {n} lines" for path, n in sizes.items() if n > VENUE_LINES])


def test_files_are_named_for_what_they_hold() -> None:
    names = {path: {path.stem, *path.relative_to(ROOT).parts[:-1]} for path in tracked()}
    banned = [path for path, parts in names.items() if parts & BANNED_NAMES]
    report([f"{shown(path)}: name the thing it holds" for path in banned])


def test_nothing_is_left_unfinished() -> None:
    found = [
        f"{shown(path)}: {match[0]}"
        for path, text in texts()
        for match in UNFINISHED.finditer(text)
    ]
    report(found)


def test_no_package_registry_is_named() -> None:
    report([f"{shown(path)}: {m[0]}" for path, text in texts() for m in REGISTRY.finditer(text)])


def test_nothing_large_is_kept() -> None:
    images = {".png", ".svg", ".gif", ".webp"}
    found = [
        f"{shown(path)} has {path.stat().st_size:,} bytes"
        for path in tracked()
        if path.stat().st_size > BLOB_BYTES
        if not (path.suffix in images and path.is_relative_to(ROOT / "docs"))
    ]
    report(found)


def called(node: ast.AST) -> Iterator[str]:
    """Yield what a node calls, or imports by name so that it may call it."""
    match node:
        case ast.Call(func=func):
            yield ast.unparse(func)
        case ast.ImportFrom(module=str(source), names=names):
            yield from (f"{source}.{alias.name}" for alias in names)


def test_package_makes_no_banned_call() -> None:
    found = [
        f"{shown(path, node.lineno)}: not {call}, but {BANNED_CALLS[call]}"  # type: ignore[attr-defined]
        for path in SOURCE
        if path.relative_to(PACKAGE).with_suffix("").parts[0] not in EDGES
        for node in ast.walk(tree(path))
        for call in called(node)
        if call in BANNED_CALLS
    ]
    report(found)


def test_package_does_not_assert() -> None:
    found = [
        f"{shown(path, node.lineno)}: assert vanishes under -O; raise an error with a name"
        for path in SOURCE
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assert)
    ]
    report(found)


def test_nothing_is_mocked() -> None:
    found = [
        f"{shown(path, line)}: not {target}, but {BANNED_IN_TESTS[target.split('.')[0]]}"
        for path in python_files(ROOT)
        for line, target in imports(path)
        if target.split(".")[0] in BANNED_IN_TESTS
    ]
    report(found)


def test_every_module_is_used() -> None:
    """A module is used if another names it in an import, or as text (commands loaded late)."""
    used = {"delever", "delever.__main__", "delever.cli"}
    used |= {name for name in modules() if ".migrations." in name}  # alembic finds them by path
    for name, path in modules().items():
        texts_of = (n.value for n in ast.walk(tree(path)) if isinstance(n, ast.Constant))
        named = {text.partition(":")[0] for text in texts_of if isinstance(text, str)}
        used |= (named | {target for _, target in imports(path)}) - {name}
    packages = {name for name in modules() if any(other.startswith(f"{name}.") for other in used)}
    report([f"{name} is imported by nobody" for name in modules().keys() - used - packages])


def test_every_test_file_is_used() -> None:
    tests = python_files(TESTS)
    imported = {target for path in tests for _, target in imports(path)} | {"conftest"}
    named = "\n".join(map(words, tests))
    dead = [path for path in tests if not path.stem.startswith("test_")]
    dead = [path for path in dead if path.stem not in imported]
    dead += [p for p in tracked() if p.is_relative_to(TESTS / "tables") if p.name not in named]
    report([f"{shown(path)} is used by no test" for path in dead])


def test_tables_are_aligned() -> None:
    found = []
    for path in tracked():
        if path.is_relative_to(TESTS / "tables"):
            lines = [line for line in words(path).splitlines() if not line.lstrip().startswith("#")]
            if len({line.find("|") for line in lines if line.strip()}) > 1:
                found.append(f"{shown(path)}: the bars do not stand under each other")
    report(found)


def test_documents_have_one_title() -> None:
    found = []
    for path, text in texts():
        prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        titles = re.findall(r"^# .+", prose, re.MULTILINE)
        if path.suffix == ".md" and len(titles) != 1:
            found.append(f"{shown(path)} has {len(titles)} titles")
    report(found)


def identifiers(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of every class, function, argument and assigned name."""
    for node in ast.walk(tree(path)):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


def test_identifiers_are_the_fields_words() -> None:
    found = []
    for path in SOURCE + python_files(TESTS):
        for line, name in identifiers(path):
            parts = set(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_"))
            parts |= {part.removesuffix("s") for part in parts}
            for word in parts & REPLACED_WORDS.keys():
                better = REPLACED_WORDS[word]
                found.append(f"{shown(path, line)}: {name}: not {word}, but {better}")
    report(found)


def test_a_class_name_is_used_once() -> None:
    places: dict[str, list[str]] = {}
    for path in SOURCE:
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(shown(path, node.lineno))
    report([f"class {name}: {', '.join(at)}" for name, at in places.items() if len(at) > 1])


def test_packages_have_a_few_files() -> None:
    fewest, most = PACKAGE_FILES
    found = []
    for folder in {path.parent for path in SOURCE}:
        name = folder.relative_to(PACKAGE).as_posix()
        files = [p for p in SOURCE if p.parent == folder and p.stem != "__init__"]
        entries = len(files) + len(
            {p for p in SOURCE if p.parent.parent == folder and p.stem == "__init__"}
        )
        if (
            name not in REGISTRIES
            and folder != PACKAGE
            and folder != CORE
            and not fewest <= entries <= most
        ):
            found.append(f"{name} has {entries} entries")
    report(found)


def test_venue_words_stay_in_rules_and_wire() -> None:
    """Names of the kind `adlRankIndicator` are a venue's."""
    camel = re.compile(r"[a-z]+[A-Z][a-zA-Z]*")
    found = [
        f"{shown(path, node.lineno)}: {node.value!r} is a venue's word"
        for path in python_files(CORE)
        if not path.is_relative_to(CORE / "rules")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if camel.fullmatch(node.value)
    ]
    report(found)


def declared(file: str) -> dict[str, ast.ClassDef]:
    body = tree(CORE / "messages" / file).body
    return {node.name: node for node in body if isinstance(node, ast.ClassDef)}


def reasons() -> dict[str, str]:
    """Return the text of every reason by its name."""
    body = declared("enums.py")["Reason"].body
    members = (node for node in body if isinstance(node, ast.Assign))
    return {ast.unparse(node.targets[0]): ast.literal_eval(node.value) for node in members}


def test_every_reason_is_given_by_the_core() -> None:
    given = "\n".join(map(words, python_files(CORE)))
    report([f"Reason.{name} is never given" for name in reasons() if f"Reason.{name}" not in given])


def test_every_reason_is_tested() -> None:
    tests = "\n".join(text for path, text in texts() if path.is_relative_to(TESTS))
    untested = [
        f"{text} stands in no test and no table"
        for name, text in reasons().items()
        if not re.search(rf"\b({text}|{name})\b", tests)
    ]
    report(untested)


def test_every_event_happens() -> None:
    silent = {"Event", *declared("events.py")}
    for path in python_files(CORE):
        if path.stem != "book":
            calls = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
            silent -= {ast.unparse(node.func).rpartition(".")[2] for node in calls}
    report([f"no module makes the event {name}" for name in silent - {"Event"}])
