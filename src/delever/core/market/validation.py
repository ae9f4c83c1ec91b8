"""Reads the numbers of a command exactly, or refuses them by field and value.

What needs a contract's own lot and tick is read by its terms (`contracts`).
"""

from collections.abc import Sequence

import numpy as np

from delever.core.messages import Amount, Reason
from delever.core.units import LIMIT, Bools, Cash, Ints, parse_decimal, scaled

MAX_COUNT = 2**53


class Rejection(Exception):  # noqa: N818 - not an error: how a check several calls deep says no
    """A command or a what-if cannot be. Never leaves the core, where it becomes a value."""

    def __init__(self, field: str, value: object, reason: Reason) -> None:
        super().__init__(f"{field}: {value!r} ({reason})")
        self.field = field
        self.value = "" if value is None else str(value)
        self.reason = reason

    def inside(self, path: str) -> "Rejection":
        """Return the same of a field inside of another, or of all of that where none is named."""
        return Rejection(f"{path}.{self.field}" if self.field else path, self.value, self.reason)


def reject_unless(holds: bool, field: str, value: object, reason: Reason) -> None:
    """Refuse the command unless the condition holds."""
    if not holds:
        raise Rejection(field, value, reason)


def read_count(field: str, count: int) -> int:
    """Return a time, version or number that counts from 0 and stays exact in any JSON reader."""
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
    """Return the number in units of 10^-decimals; rejected where it is finer than that."""
    number = scaled(read_decimal(field, amount), decimals)
    if number is None:
        raise Rejection(field, amount, Reason.TOO_MANY_DECIMALS)
    return number


def read_cash(field: str, amount: Amount, decimals: int) -> Cash:
    """Return an amount of a settle asset, inside the numeric range."""
    cash = read_scaled(field, amount, decimals)
    if abs(cash) >= LIMIT:
        raise Rejection(field, amount, Reason.EXCEEDS_NUMERIC_RANGE)
    return Cash(cash)


def read_column(field: str, body: bytes, kind: str, size: int, default: int | None) -> Ints:
    """Return a column of whole numbers as int64; `kind` is how they are packed.

    Rejected where it is not of `size` numbers. An empty one holds the default, where it has one: one
    number for all rows, with a stride of 0.
    """
    if not body and default is not None:
        return np.broadcast_to(np.int64(default), size)
    packed = np.dtype(kind)
    if len(body) != size * packed.itemsize:
        raise Rejection(field, f"{len(body)} bytes", Reason.COLUMN_LENGTH_MISMATCH)
    return np.frombuffer(body, packed).astype(np.int64)


def read_flags(field: str, body: bytes, size: int) -> Bools:
    """Return a column of bytes that are 0 or 1; an empty one is 0 for all."""
    flags = read_column(field, body, "<i1", size, 0)
    reject_first((flags < 0) | (flags > 1), field, flags, Reason.OUT_OF_RANGE)
    return flags.astype(bool)


def read_names(field: str, names: Sequence[str], found: list[int], reason: Reason) -> Ints:
    """Return the numbers found of names, or refuse the first that has none."""
    numbers = np.array(found, np.int64)
    unknown = numbers < 0
    if unknown.any():
        first = int(unknown.argmax())
        raise Rejection(f"{field}[{first}]", names[first], reason)
    return numbers


def reject_duplicates(field: str, names: Sequence[str]) -> None:
    """Refuse the first name that stands twice."""
    if len(set(names)) == len(names):
        return
    seen: set[str] = set()
    for row, name in enumerate(names):
        reject_unless(name not in seen, f"{field}[{row}]", name, Reason.DUPLICATE_ROW)
        seen.add(name)


def reject_first(fails: Bools, field: str, column: Ints, reason: Reason) -> None:
    """Refuse the command for the first row that fails, with what the column holds there."""
    if fails.any():
        row = int(fails.argmax())
        raise Rejection(f"{field}[{row}]", int(column[row]), reason)


def column_bytes(column: Ints | Bools, kind: str, default: int | None = None) -> bytes:
    """Return a column packed as `kind`; nothing where all of it is the default."""
    if default is not None:
        shown = column[:1] if column.strides == (0,) else column
        if np.all(shown == default):
            return b""
    return column.astype(kind).tobytes()


def column_of(body: bytes, kind: str, size: int, default: int = 0) -> Ints:
    """Return what `column_bytes` has packed, as int64."""
    if body:
        return np.frombuffer(body, kind).astype(np.int64)
    return np.full(size, default, np.int64) if default else np.zeros(size, np.int64)
