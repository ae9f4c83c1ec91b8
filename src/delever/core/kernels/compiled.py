"""All kernels compiled by Numba: serial, without the GIL, cached on disk between runs.

Only `delever.core.kernels` imports this module, and only for a large book. Each function equals the
one of its name in `plain`, which documents it. Without fast-math every operation is rounded as
IEEE 754 says, so the results are the same bits. Lookup is here, the rest in the modules imported.
"""

# mypy: ignore-errors
# ruff: noqa: D103 - documented in `plain`; code for Numba is written out

import numpy as np
from numba import types as t

from delever.core.kernels.compiled_queue import fill_ranks, sort_queue
from delever.core.kernels.compiled_scores import rank_sides, score_rows
from delever.core.kernels.compiled_types import I4, I8, compiled
from delever.core.kernels.compiled_valuation import (
    revalue,
    revalue_sides,
    shift_wallets,
    stale_ranges,
)
from delever.core.kernels.plain import HASH_ACCOUNT, HASH_POSITION

__all__ = [
    "fill_ranks",
    "find_rows",
    "insert_rows",
    "rank_sides",
    "remove_rows",
    "revalue",
    "revalue_sides",
    "score_rows",
    "shift_wallets",
    "sort_queue",
    "stale_ranges",
]


@compiled(t.int64(t.int64, t.int64, t.int64))
def _home_slot(size, account, position):
    bits = 0
    while (1 << bits) < size:
        bits += 1
    mixed = np.uint64(account) * np.uint64(HASH_ACCOUNT)
    mixed ^= np.uint64(position) * np.uint64(HASH_POSITION)
    return np.int64(mixed >> np.uint64(64 - bits))


@compiled(I8(I4, I4, I4, I8, I8))
def find_rows(slots, row_account, row_position, accounts, positions):
    last = len(slots) - 1
    found = np.empty(len(accounts), np.int64)
    for i in range(len(accounts)):
        place = _home_slot(len(slots), accounts[i], positions[i])
        while True:
            row = slots[place]
            if row < 0 or (row_account[row] == accounts[i] and row_position[row] == positions[i]):
                break
            place = (place + 1) & last
        found[i] = row
    return found


@compiled(t.void(I4, I4, I4, t.int64, t.int64))
def insert_rows(slots, row_account, row_position, first, end):
    last = len(slots) - 1
    for row in range(first, end):
        place = _home_slot(len(slots), row_account[row], row_position[row])
        while slots[place] >= 0:
            place = (place + 1) & last
        slots[place] = row


@compiled(I8(I4, I4, I4, I4, I4, t.int64))
def remove_rows(slots, row_account, row_position, accounts, positions, size):
    end, gaps = len(slots) - 1, np.empty(len(accounts), np.int64)
    for turn in range(len(accounts)):
        account, position, last = accounts[turn], positions[turn], size - 1 - turn
        hole = _home_slot(len(slots), account, position)
        while row_account[slots[hole]] != account or row_position[slots[hole]] != position:
            hole = (hole + 1) & end
        gap, place = slots[hole], (hole + 1) & end
        while slots[place] >= 0:
            other = slots[place]
            first = _home_slot(len(slots), row_account[other], row_position[other])
            if (place - first) & end >= (place - hole) & end:
                slots[hole] = other
                hole = place
            place = (place + 1) & end
        slots[hole] = -1
        if gap != last:
            place = _home_slot(len(slots), row_account[last], row_position[last])
            while slots[place] != last:
                place = (place + 1) & end
            slots[place] = gap
            row_account[gap], row_position[gap] = row_account[last], row_position[last]
        gaps[turn] = gap
    return gaps
