"""Work on whole columns: one function a task, in plain NumPy and compiled, with equal results.

    plain       NumPy; what each function does is written there
    compiled    Numba (the extra `fast`), loaded when a book is first large enough for it:
                `compiled_scores` scores and `compiled_lines` sorts, on `compiled_types`

Arrays are one entry a row, money is Cash, quantities are lots. A kernel fills the arrays that it is
given for its results and keeps nothing. `kernels_for(size)` gives the module to use; no other part
of delever knows which one it is.
"""

import functools
from typing import Any

import numpy as np

from delever.core.kernels import plain
from delever.core.kernels.plain import ParallelMap, Revalued, Shown

__all__ = ["PARTS", "ParallelMap", "Revalued", "Shown", "fastest", "kernels_for", "where_of"]

PARTS = (
    "unrealized_pnl",
    "notional",
    "entry_notional",
    "equity",
    "bucket_maintenance",
    "joint_pnl",
    "joint_notional",
    "cover",
)
"""What a score may be made of, by place: columns of a table's view, and its cover."""

WORTH_COMPILING = 20_000
"""Rows (of a table, or accounts of a book) from which loading the compiled kernels pays."""


def kernels_for(size: int) -> Any:
    """Return the kernels to use for a book or table of this size: the fast ones once loaded."""
    return fastest() if size >= WORTH_COMPILING or fastest.cache_info().currsize else plain


def where_of(*columns: np.ndarray) -> bytes:
    """Return where columns lie in memory, as the kernels take it: for as long as they live."""
    return np.array([column.ctypes.data for column in columns], np.int64).tobytes()


@functools.cache
def fastest() -> Any:
    """Return the compiled kernels, or the plain ones where Numba is not installed."""
    try:
        from delever.core.kernels import compiled  # noqa: PLC0415 - loaded late, it takes a second
    except ImportError:
        return plain
    return compiled
