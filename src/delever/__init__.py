"""Auto-deleveraging (ADL) for derivatives venues: the engine, its journal, and analysis.

    core         the engine, pure: step(book, command) -> events; read core/__init__.py first
    formatting   integers, names and times as text
    config       the configuration of a server
    journal      commands and events in a chain of hashes that can be verified and replayed
    lab          books from tables, queues and runs as data frames, stress tests, comparisons
    demo         a synthetic crash, for the command line, a demo server, the lab and tests
    api_types    the types of the HTTP API, shared by server and dashboard
    server       the engine behind HTTP, with the APIs of Binance, Bybit and OKX
    watch        positions watched over the APIs of venues
    dashboard    pages of a server and of a watch, in a browser
    cli          the command `delever`

The names below are what most programs need; each is imported when it is first used, so that
`import delever` is quick. Commands and events are in `delever.core.messages`.

    book = delever.read_book("examples/book")
    print(delever.rank(book, "BTCUSDT", "short"))
    print(delever.explain(book, "BTCUSDT", "bob"))
"""

from typing import TYPE_CHECKING

from delever.lazy_names import lazy_names

if TYPE_CHECKING:
    from delever.core.book import Book
    from delever.core.engine import step
    from delever.journal import Recorder, verify
    from delever.lab.errors import InputError, UnknownNameError
    from delever.lab.queries.position_queries import explain, rank, what_if
    from delever.lab.runs.market_paths.path import Shock
    from delever.lab.runs.run import RunResult, run
    from delever.lab.runs.scenario import read_scenario, schema
    from delever.lab.runs.stress_test import compare, simulate
    from delever.lab.tables.book_reader import book_of, read_book, write_book
    from delever.rule_registry import registry

__all__ = [
    "Book",
    "InputError",
    "Recorder",
    "RunResult",
    "Shock",
    "UnknownNameError",
    "book_of",
    "compare",
    "explain",
    "rank",
    "read_book",
    "read_scenario",
    "registry",
    "run",
    "schema",
    "simulate",
    "step",
    "verify",
    "what_if",
    "write_book",
]

_HOMES = {
    "delever.core.book.book": ("Book",),
    "delever.core.engine": ("step",),
    "delever.journal": ("Recorder", "verify"),
    "delever.lab.errors": ("InputError", "UnknownNameError"),
    "delever.lab.tables.book_reader": ("book_of", "read_book", "write_book"),
    "delever.lab.queries.position_queries": ("explain", "rank", "what_if"),
    "delever.lab.runs.run": ("RunResult", "run"),
    "delever.lab.runs.scenario": ("read_scenario", "schema"),
    "delever.lab.runs.market_paths.path": ("Shock",),
    "delever.lab.runs.stress_test": ("compare", "simulate"),
    "delever.rule_registry": ("registry",),
}

__getattr__, __dir__ = lazy_names(globals(), _HOMES)
