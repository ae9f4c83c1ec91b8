"""The programs and packages that benchmarks compare with, and how to get those that are absent."""

import importlib.util
import shutil

PROGRAMS = {
    "gcc": ("gcc", "the C reference, without which the refresh is not compared"),
    "wrk": ("wrk", "the load of the served APIs"),
    "redis-server": ("redis-server", "the comparison with Redis"),
}
"""Program -> Debian package, and what it is for."""

MODULES = {
    "duckdb": "the comparison with DuckDB",
    "numba": "the compiled kernels",
    "picows": "the comparison of streams",
    "polars": "the comparison with Polars",
    "redis": "the comparison with Redis",
}
"""Module, of the extra `dev`, and what it is for."""


def absences() -> list[str]:
    """Return a line for each absent program or module: what it is for, and how to get it."""
    lines = [
        f"{program} is absent ({purpose}): apt-get install {package}"
        for program, (package, purpose) in PROGRAMS.items()
        if shutil.which(program) is None
    ]
    return lines + [
        f"{module} is absent ({purpose}): make .venv/dev"
        for module, purpose in MODULES.items()
        if importlib.util.find_spec(module) is None
    ]
