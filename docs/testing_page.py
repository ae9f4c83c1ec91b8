"""The table of kinds of tests in docs/testing.md: their sizes, and the defects that each found.

Sizes are counted in the tests and rounded down to two digits, so that a new test seldom changes
the page. A defect is added here by the commit that fixes it.
"""
# ruff: noqa: INP001, E501 - part of a script with prose, not a package

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "testing.md"

BEGIN, END = "<!-- kinds of tests -->\n", "<!-- end of kinds of tests -->"


class TestKind(NamedTuple):
    """A kind of tests: where they are, how many there are, and what they found."""

    name: str
    where: str
    size: Callable[[], str]
    found: tuple[str, ...]


def testing_page() -> str:
    """Return docs/testing.md with the table of now between its marks."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{BEGIN}\n{_table()}\n{end}{after}"


def _table() -> str:
    kinds = [kind._replace(found=kind.found or ("none",)) for kind in KINDS]
    total = sum(len(kind.found) for kind in KINDS)
    summary = (
        f"In all at least {_floor(_functions('**'))} test functions, most of them run with many rows "
        f"or seeds; {total} defects that they found are listed.\n"
    )
    rows = [
        summary,
        "| kind | where | at least | defects | what it has found |",
        "|---|---|---|---|---|",
    ]
    for kind, listed in zip(KINDS, kinds, strict=True):
        found = "; ".join(listed.found)
        rows.append(f"| {kind.name} | {kind.where} | {kind.size()} | {len(kind.found)} | {found} |")
    return "\n".join(rows) + "\n"


def _floor(number: int) -> str:
    """Return a number rounded down to two digits, below 100 to a multiple of five."""
    step = 5 if number < 100 else 10 ** (len(str(number)) - 2)
    return f"{number - number % step:,}"


def _test_functions(*places: str) -> Iterator[ast.FunctionDef]:
    """Yield the test functions in folders and files below tests."""
    for place in places:
        for path in sorted(TESTS.glob(place if place.endswith(".py") else f"{place}/test_*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    yield node


def _functions(*places: str) -> int:
    return sum(1 for _ in _test_functions(*places))


def _counted(*places: str) -> Callable[[], str]:
    return lambda: f"{_floor(_functions(*places))} functions"


def _properties() -> str:
    """Return the number of functions that Hypothesis calls with `given`."""
    found = [
        node
        for node in _test_functions("**")
        if any(ast.unparse(each).startswith("given(") for each in node.decorator_list)
    ]
    return f"{_floor(len(found))} properties"


def _rows() -> str:
    """Return the number of rows of the tables: lines without comments, blanks and headers."""
    tables = sorted((TESTS / "tables").glob("*.txt"))
    lines = [line for path in tables for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return f"{_floor(len(rows) - len(tables))} rows in {_floor(len(tables))} tables"


KINDS = (
    TestKind(
        "rules in aligned tables, each value with its source",
        "`tests/tables`, read by `tests/core` and others",
        _rows,
        (
            "both legs of a hedge were ranked where the venue documents one value",
            "marks finer than the tick were rejected",
        ),
    ),
    TestKind(
        "properties of arithmetic and of bytes (Hypothesis)",
        "in every folder",
        _properties,
        ("totals beyond 64 bits stopped a snapshot", "columns differed from single rows"),
    ),
    TestKind(
        "independent auditor: random sessions, each step computed a second time in fractions",
        "`tests/simulation`",
        _counted("simulation"),
        (
            "forced rounds hid the rounds of triggers",
            "amounts beyond the numeric range were accepted",
        ),
    ),
    TestKind(
        "journals: replay, forgery, extreme numbers, golden journals of releases",
        "`tests/journal`",
        _counted("journal"),
        (
            "a cancellation after a risen mark stopped the engine at every restart",
            "depth and moves of contracts in managed pools did the same",
        ),
    ),
    TestKind(
        "real servers, clients and sockets",
        "`tests/server`, `tests/watch`, `tests/dashboard`, `tests/cli`",
        _counted("server/**", "watch/**", "dashboard/**", "cli/**"),
        (
            "answers lacked fields that ccxt, pybit and the Binance SDK need",
            "the error of a listener left callers without an answer",
        ),
    ),
    TestKind(
        "API fuzz with and without state (schemathesis)",
        "`tests/server/api/test_openapi.py`",
        _counted("server/api/test_openapi.py"),
        ("answers were not documented",),
    ),
    TestKind(
        "fault simulation",
        "`tests/fault_simulation`",
        lambda: "10^5 steps in CI",
        (
            "commits after a failed sync, a kill and a loss of power were lost",
            "records before the newest snapshot were read unchecked",
            "the history stood still after a read that failed once",
            "notices were late, and given up, after a clock that was ahead",
            "notices of a new outbox were lost with the power",
        ),
    ),
    TestKind(
        "processes killed",
        "`tests/journal/test_kill.py` and others",
        lambda: "4 kills in CI, 200 under `make slow`",
        (),
    ),
    TestKind(
        "parsers, by changed bytes and by coverage (atheris)",
        "`tests/fuzz`, `benchmarks/fuzz.py`",
        lambda: "9 parsers",
        (
            "an Arrow stream with wrong offsets was read without validation",
            "columns of structs, of unions and of other types ended in a 500",
            "so did a name that is not UTF-8",
            "so did two columns of one name",
            "a stream of 728 bytes with more rows than bytes took all memory",
        ),
    ),
    TestKind(
        "mutants",
        "`benchmarks/mutation.py`",
        lambda: "11 modules",
        ("the cap of a position beyond 10^6 lots had no test",),
    ),
)
"""Every kind, in the order of the page."""
