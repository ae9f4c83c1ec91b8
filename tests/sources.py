"""The project's own files as text and syntax trees, for the tests that keep house."""

import ast
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "delever"
CORE = PACKAGE / "core"
TESTS = ROOT / "tests"


@functools.cache
def tracked() -> list[Path]:
    """Return every file that is, or is about to be, in the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    paths = [ROOT / name for name in names.split("\0") if name]
    return sorted(path for path in paths if path.is_file())


def python_files(folder: Path) -> list[Path]:
    """Return the tracked Python files below a folder."""
    return [path for path in tracked() if path.suffix == ".py" and path.is_relative_to(folder)]


def words(path: Path) -> str:
    """Return a file's text."""
    return path.read_text(encoding="utf-8")


@functools.cache
def tree(path: Path) -> ast.Module:
    """Return a Python file's syntax tree."""
    return ast.parse(words(path))


def shown(path: Path, line: int | None = None) -> str:
    """Return a path as people click it: relative to the repository, with the line."""
    name = str(path.relative_to(ROOT))
    return name if line is None else f"{name}:{line}"


def module_name(path: Path) -> str:
    """Return the dotted name under which a file of the package is imported."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def modules() -> dict[str, Path]:
    """Return the package's modules by dotted name."""
    return {module_name(path): path for path in python_files(PACKAGE)}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Return (line, dotted name) of everything a file imports, names of modules where they are.

    `from delever.core import messages` gives `delever.core.messages`, and
    `from delever.core.units import Cash` gives `delever.core.units`. Relative imports keep dots.
    """
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield node.lineno, full if full in modules() else source


def report(violations: list[str]) -> None:
    """Fail with one violation a line."""
    if violations:
        raise AssertionError("\n" + "\n".join(sorted(set(violations))))
