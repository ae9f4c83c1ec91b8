"""Exact numbers from the fields of a command, or a rejection that names field and value.

Prices and quantities are read by the terms of their contract (`contract_terms`).
"""

from collections.abc import Sequence

import numpy as np

from delever.core.messages import Amount, Reason
from delever.core.units import COLUMN_LIMIT, Bools, Cash, Ints, parse_decimal, scaled

MAX_COUNT = 2**53
"""Upper bound on times, versions and ids: exact in any JSON reader."""


class Rejection(Exception):  # noqa: N818 - not an error: raised to leave a check several calls deep
    """A command or a what-if is rejected. The core turns it into a value before it returns."""

    def __init__(self, field: str, value: object, reason: Reason) -> None:
        super().__init__(f"{field}: {value!r} ({reason})")
        self.field = field
        self.value = "" if value is None else str(value)
        self.reason = reason

    def inside(self, path: str) -> "Rejection":
        """Return the rejection with its field below a path, or with the path as its field."""
        return Rejection(f"{path}.{self.field}" if self.field else path, self.value, self.reason)


# --- one field ---


def reject_unless(condition: bool, field: str, value: object, reason: Reason) -> None:
    """Reject the command unless a condition holds."""
    if not condition:
        raise Rejection(field, value, reason)


def read_count(field: str, count: int) -> int:
    """Return a time, version or id: a count from 0 to MAX_COUNT."""
    if not 0 <= count <= MAX_COUNT:
        raise Rejection(field, count, Reason.OUT_OF_RANGE)
    return count


def read_decimal(field: str, amount: Amount) -> tuple[int, int]:
    """Return (mantissa, decimals) of a plain decimal."""
    number = parse_decimal(amount)
    if number is None:
        raise Rejection(field, amount, Reason.INVALID_DECIMAL)
    return number


def read_scaled(field: str, amount: Amount, decimals: int) -> int:
    """Return a number in units of 10^-decimals; reject one with more decimals."""
    number = scaled(read_decimal(field, amount), decimals)
    if number is None:
        raise Rejection(field, amount, Reason.TOO_MANY_DECIMALS)
    return number


def read_cash(field: str, amount: Amount, decimals: int, limit: int = COLUMN_LIMIT) -> Cash:
    """Return an amount of a settle asset in Cash, inside the numeric range."""
    cash = read_scaled(field, amount, decimals)
    if abs(cash) >= limit:
        raise Rejection(field, amount, Reason.EXCEEDS_NUMERIC_RANGE)
    return Cash(cash)


# --- columns ---


def read_column(field: str, body: bytes, kind: str, size: int, default: int | None) -> Ints:
    """Return a packed column of `size` integers of NumPy type `kind` as int64.

    A column of another length is rejected. An empty column is the default in every row, if there
    is one, as a broadcast array with stride 0.
    """
    if not body and default is not None:
        return np.broadcast_to(np.int64(default), size)
    packed = np.dtype(kind)
    if len(body) != size * packed.itemsize:
        raise Rejection(field, f"{len(body)} bytes", Reason.COLUMN_LENGTH_MISMATCH)
    return np.frombuffer(body, packed).astype(np.int64)


def read_flags(field: str, body: bytes, size: int) -> Bools:
    """Return a column of bytes 0 or 1 as booleans; an empty column is false in every row."""
    flags = read_column(field, body, "<i1", size, 0)
    reject_first((flags < 0) | (flags > 1), field, flags, Reason.OUT_OF_RANGE)
    return flags.astype(bool)


def read_names(field: str, names: Sequence[str], found: list[int], reason: Reason) -> Ints:
    """Return the indices found for names; reject the first name with index -1."""
    indices = np.array(found, np.int64)
    unknown = indices < 0
    if unknown.any():
        first = int(unknown.argmax())
        raise Rejection(f"{field}[{first}]", names[first], reason)
    return indices


def reject_duplicates(field: str, names: Sequence[str]) -> None:
    """Reject the first name that occurs twice."""
    if len(set(names)) == len(names):
        return
    earlier: set[str] = set()
    for row, name in enumerate(names):
        reject_unless(name not in earlier, f"{field}[{row}]", name, Reason.DUPLICATE_ROW)
        earlier.add(name)


def reject_first(fails: Bools, field: str, column: Ints, reason: Reason) -> None:
    """Reject the command for the first row that fails, with the column's value in that row."""
    if fails.any():
        row = int(fails.argmax())
        raise Rejection(f"{field}[{row}]", int(column[row]), reason)


def pack_column(column: Ints | Bools, kind: str, default: int | None = None) -> bytes:
    """Return the bytes of a column as `kind`; empty where every row is the default."""
    if default is not None:
        values = column[:1] if column.strides == (0,) else column
        if np.all(values == default):
            return b""
    return column.astype(kind).tobytes()


def unpack_column(body: bytes, kind: str, size: int, default: int = 0) -> Ints:
    """Return a column that `pack_column` packed, as int64."""
    if body:
        return np.frombuffer(body, kind).astype(np.int64)
    return np.full(size, default, np.int64) if default else np.zeros(size, np.int64)
