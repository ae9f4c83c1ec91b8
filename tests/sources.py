"""The repository's own files as text and syntax trees, for the tests of style and structure."""

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
    """Return every file that is tracked by git, or new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    paths = [ROOT / name for name in names.split("\0") if name]
    return sorted(path for path in paths if path.is_file())


def python_files(folder: Path) -> list[Path]:
    """Return the tracked Python files below a folder."""
    return [path for path in tracked() if path.suffix == ".py" and path.is_relative_to(folder)]


def source_text(path: Path) -> str:
    """Return a file's text."""
    return path.read_text(encoding="utf-8")


@functools.cache
def syntax_tree(path: Path) -> ast.Module:
    """Return a Python file's syntax tree."""
    return ast.parse(source_text(path))


def location(path: Path, line: int | None = None) -> str:
    """Return a path relative to the repository, with the line, as terminals link it."""
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
    """Yield (line, dotted name) of every import of a file.

    An imported name that is a module counts as that module, every other one as its module:
    `from delever.core import messages` gives `delever.core.messages`, and
    `from delever.core.units import Cash` gives `delever.core.units`. Relative imports keep
    their dots.
    """
    for node in ast.walk(syntax_tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield node.lineno, full if full in modules() else source


def report(violations: list[str]) -> None:
    """Fail with one violation on each line, or pass without any."""
    if violations:
        raise AssertionError("\n" + "\n".join(sorted(set(violations))))
