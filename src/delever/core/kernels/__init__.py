"""Work on whole columns: each kernel in plain NumPy and compiled, with equal results.

 1. plain               NumPy; the reference, which documents what each kernel does
 2. compiled_types      Numba types, compilation options, and tasks for threads
 3. compiled_queue      sorting a queue, ranks and indicators
 4. compiled_scores     scores, and ranking of many sides; one function compiled for each formula
 5. compiled_valuation  positions valued at new marks, wallets updated by the differences
 6. compiled            all compiled kernels: those above, and lookup
 7. work_sharing        a parallel map in which the calling thread works too

An array has one entry a row, money is Cash, quantities are lots. A kernel writes its results into
arrays that the caller passes, and retains nothing. Kernels that process many position tables take
the columns of all positions, in which each table is a range of rows. `kernels_for(size)` returns
the module to use; the compiled one needs Numba (the extra `fast`) and is imported for the first
large book.
"""

import functools
from typing import Any

from delever.core.kernels import plain
from delever.core.kernels.plain import NO_TIER, ParallelMap
from delever.core.kernels.work_sharing import WorkSharing

__all__ = ["NO_TIER", "SCORE_COLUMNS", "ParallelMap", "WorkSharing", "fastest", "kernels_for"]

SCORE_COLUMNS = (
    "unrealized_pnl",
    "notional",
    "entry_notional",
    "equity",
    "bucket_maintenance",
    "joint_pnl",
    "joint_notional",
    "cover",
)
"""The columns that a score may use; kernels take them by index. `cover` is a position's share of
its margin bucket's equity, by maintenance margin."""

COMPILE_THRESHOLD = 20_000
"""Rows of a table, or accounts of a book, from which importing the compiled kernels pays."""


def kernels_for(size: int) -> Any:
    """Return the kernels for a table or book of this size, and of no other book before it."""
    return fastest() if size >= COMPILE_THRESHOLD else plain


@functools.cache
def fastest() -> Any:
    """Return the compiled kernels, or the plain ones where Numba is not installed."""
    try:
        from delever.core.kernels import compiled  # noqa: PLC0415 - importing it takes a second
    except ImportError:
        return plain
    return compiled
