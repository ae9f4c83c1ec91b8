"""Shared by the compiled kernels: Numba types, compilation options, tasks for threads."""

# mypy: ignore-errors

import itertools

import numba
import numpy as np
from llvmlite import ir
from numba import types as t
from numba.core import cgutils
from numba.extending import intrinsic

I1, I4, I8 = t.int8[::1], t.int32[::1], t.int64[::1]
U8, F8, B1 = t.uint64[::1], t.float64[::1], t.boolean[::1]
WALLETS = TABLE = TIERS = t.int64[:, ::1]
PAIR = t.UniTuple(t.int64, 2)

PREFETCH_DISTANCE = 32
"""Distance in rows at which a wallet is prefetched."""
ROWS_PER_TASK = 50_000
"""Rows that are worth a task on a thread of its own."""


def compiled(signature):
    """Compile a function for one signature, eagerly, or load it from Numba's cache on disk."""
    options = {"nogil": True, "error_model": "numpy"}

    def decorate(function):
        try:
            return numba.njit(signature, cache=True, **options)(function)
        except (OSError, RuntimeError):  # no cache directory is writable
            return numba.njit(signature, **options)(function)

    return decorate


@intrinsic
def prefetch(_typing_context, table, row):
    """Prefetch a row of a matrix: rows that are gathered by index are rarely in the cache."""

    def build(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        bytes_in = builder.mul(arguments[1], builder.extract_value(array.strides, 0))
        start = builder.bitcast(array.data, ir.IntType(8).as_pointer())
        place = builder.gep(start, [bytes_in])
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [place, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return t.void(table, row), build


def tasks_of(sizes: np.ndarray, rows: int, size: int = ROWS_PER_TASK) -> list[tuple[slice, slice]]:
    """Return slices of the tables, each worth a thread, with the slices of all their rows."""
    if rows <= size:
        return [(slice(None), slice(None))]
    ends = np.cumsum(sizes)
    firsts = np.flatnonzero(np.diff((ends - sizes) // size, prepend=-1))
    tables = itertools.pairwise([*firsts.tolist(), len(sizes)])
    rows = itertools.pairwise([*(ends - sizes)[firsts].tolist(), int(ends[-1])])
    return [(slice(*part), slice(*of)) for part, of in zip(tables, rows, strict=True)]
