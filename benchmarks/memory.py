"""Memory a position, all included: columns, indices, accounts, names, what is published."""

import argparse
import ctypes
import gc
from collections.abc import Iterator
from pathlib import Path

from large_book import build, large, told
from measure import Row, main

from delever.core.kernels import fastest
from delever.core.risk.publication.cache import publish


def resident() -> int:
    """Bytes held, once what is free has been given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def rows(options: argparse.Namespace) -> Iterator[Row]:
    fastest()
    publish(build(large(1_000)))
    book = large(options.positions)
    for command in told(book):
        del command
    before = resident()
    built = build(book)
    published = publish(built)
    each = (resident() - before) / book.size
    yield Row(
        f"memory a position, {book.size:,} in {len(published.sides):,} tables",
        f"{each:.0f} bytes",
        "<= 120 bytes",
        each <= 120,
    )
    tables = [table for state in built.contracts.values() for table in state.tables.values()]
    columns = sum(table.account.base.nbytes for table in tables) / book.size
    yield Row("  of which the tables' columns", f"{columns:.0f} bytes")


if __name__ == "__main__":
    main(rows)
