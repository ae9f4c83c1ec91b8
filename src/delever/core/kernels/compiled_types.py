"""Shared by the compiled kernels: Numba types, compilation options, tasks for threads."""

# mypy: ignore-errors

import itertools

import numba
import numpy as np
from numba import types as t

I1, I4, I8 = t.int8[::1], t.int32[::1], t.int64[::1]
U8, F8, B1 = t.uint64[::1], t.float64[::1], t.boolean[::1]
WALLETS = TABLE = t.int64[:, ::1]
TIERS = t.int64[:, :, ::1]

ROWS_PER_TASK = 50_000
"""Rows that are worth a task on a thread of its own."""

OPTIONS = {"nogil": True, "error_model": "numpy"}


def compiled(signature):
    """Compile a function for one signature, eagerly, or load it from Numba's cache on disk."""

    def decorate(function):
        try:
            return numba.njit(signature, cache=True, **OPTIONS)(function)
        except (OSError, RuntimeError):  # no cache directory is writable
            return numba.njit(signature, **OPTIONS)(function)

    return decorate


inlined = numba.njit(inline="always", **OPTIONS)
"""Make a function part of the compiled functions that call it."""


@compiled(t.boolean(B1))
def any_of(flags):
    """Return whether any flag is set: a fast test that saves passes over the rows."""
    found = np.uint8(0)
    for i in range(len(flags)):
        found |= np.uint8(flags[i])
    return found != 0


def tasks_of(sizes: np.ndarray, rows: int, size: int = ROWS_PER_TASK) -> list[tuple[slice, slice]]:
    """Return slices of the tables, each worth a thread, with the slices of all their rows.

    Fewer rows than two threads are worth are one task.
    """
    if rows < max(2 * ROWS_PER_TASK, size + 1):
        return [(slice(None), slice(None))]
    ends = np.cumsum(sizes)
    firsts = np.flatnonzero(np.diff((ends - sizes) // size, prepend=-1))
    tables = itertools.pairwise([*firsts.tolist(), len(sizes)])
    rows = itertools.pairwise([*(ends - sizes)[firsts].tolist(), int(ends[-1])])
    return [(slice(*part), slice(*of)) for part, of in zip(tables, rows, strict=True)]
