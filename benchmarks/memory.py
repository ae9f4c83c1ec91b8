"""Memory a position, all included: columns, indices, accounts, names, what is published."""

import argparse
import gc
from collections.abc import Iterator
from pathlib import Path

from large_book import build, large, told
from measure import Row, main

from delever.core.kernels import fastest
from delever.core.publishing import publish


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def rows(options: argparse.Namespace) -> Iterator[Row]:
    fastest()
    publish(build(large(1_000)))
    book = large(options.positions)
    for command in told(book):
        del command
    gc.collect()
    before = resident()
    built = build(book)
    published = publish(built)
    gc.collect()
    each = (resident() - before) / book.size
    names = book.accounts * 145 / book.size  # text 64, place in a dict 32, number 32, list 8, rest
    yield Row(
        f"memory a position, {book.size:,} in {len(published.lanes):,} lanes",
        f"{each:.0f} bytes",
        "<= 120 bytes",
        each <= 120,
    )
    yield Row("  of which names of accounts, as Python holds them", f"about {names:.0f} bytes")


if __name__ == "__main__":
    main(rows)
