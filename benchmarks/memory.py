"""Memory per position: columns, indices, accounts, names and published ranks."""

import argparse
import ctypes
import gc
from collections.abc import Iterator
from pathlib import Path

from large_book import build, large, position_commands
from measure import Row, main

from delever.core.kernels import COMPILE_THRESHOLD, fastest
from delever.core.risk.publication.cache import publish


def resident() -> int:
    """Return the resident bytes after free memory has been returned to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def rows(options: argparse.Namespace) -> Iterator[Row]:
    fastest()
    publish(build(large(4 * COMPILE_THRESHOLD)))  # compiled code is no memory of a position
    book = large(options.positions)
    for command in position_commands(book):
        del command
    before = resident()
    built = build(book)
    published = publish(built)
    per_position = (resident() - before) / book.size
    yield Row(
        f"memory per position, {book.size:,} in {len(published.sides):,} sides",
        f"{per_position:.0f} bytes",
        "<= 110 bytes",
        per_position <= 110,
    )
    columns = built.positions.nbytes / book.size
    yield Row("  of which the columns of positions, with rows in reserve", f"{columns:.0f} bytes")


if __name__ == "__main__":
    main(rows)
