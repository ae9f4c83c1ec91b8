"""The C reference, compiled when it is first used, called on the columns of a large book."""

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from large_book import CASH_PER_LOT_TICK, CONTRACTS, LargeBook

SOURCE = Path(__file__).with_name("reference.c")


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled reference, or None without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    built = Path(tempfile.mkdtemp()) / "reference.so"
    options = ["-O3", "-march=native", "-ffp-contract=off", "-shared", "-fPIC"]
    subprocess.run([compiler, *options, str(SOURCE), "-o", str(built)], check=True)
    return ctypes.CDLL(str(built))


def _at(column: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(column.ctypes.data)


class Reference:
    """The refresh of one large book in C."""

    def __init__(self, book: LargeBook) -> None:
        found = library()
        if found is None:
            raise SystemExit("no C compiler for the C reference: apt-get install gcc")
        self.c, self.book = found, book
        self.pnl, self.equity = np.zeros(book.size, np.int64), np.zeros(book.accounts, np.int64)
        self.rank, self.indicator = np.zeros(book.size, np.int32), np.zeros(book.size, np.int8)
        self.cost, self.starts = book.cost, book.side_starts.astype(np.int64)

    def value(self, ticks: np.ndarray) -> None:
        ticks = ticks.astype(np.int64)
        b, i8 = self.book, ctypes.c_int64
        columns = _at(b.lots), _at(self.cost), _at(b.account), i8(b.accounts), _at(b.balance)
        self.c.value(
            i8(CONTRACTS), _at(self.starts), _at(ticks), i8(CASH_PER_LOT_TICK), *columns,
            _at(self.pnl), _at(self.equity),
        )  # fmt: skip

    def rank_sides(self, first: int = 0, end: int = 2 * CONTRACTS) -> None:
        i8 = ctypes.c_int64
        columns = _at(self.starts), _at(self.cost), _at(self.book.account), _at(self.pnl)
        self.c.rank_sides(
            i8(first), i8(end), *columns, _at(self.equity), _at(self.rank), _at(self.indicator)
        )

    def refresh(self, ticks: np.ndarray) -> None:
        self.value(ticks)
        self.rank_sides()
