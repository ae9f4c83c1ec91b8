"""Reads the numbers of a command exactly, or refuses them by field and value.

What needs a contract's own lot and tick is read by its terms (`contracts`).
"""

from delever.core.messages import Amount, Reason
from delever.core.units import LIMIT, Cash, parse_decimal, scaled

MAX_COUNT = 2**53


class Refusal(Exception):  # noqa: N818 - not an error: how a check several calls deep says no
    """A command or a what-if cannot be. Never leaves the core, where it becomes a value."""

    def __init__(self, field: str, value: object, reason: Reason) -> None:
        super().__init__(f"{field}: {value!r} ({reason})")
        self.field = field
        self.value = "" if value is None else str(value)
        self.reason = reason


def refuse_unless(holds: bool, field: str, value: object, reason: Reason) -> None:
    """Refuse the command unless the condition holds."""
    if not holds:
        raise Refusal(field, value, reason)


def read_count(field: str, count: int) -> int:
    """Return a time, version or number that counts from 0 and stays exact in any JSON reader."""
    refuse_unless(0 <= count <= MAX_COUNT, field, count, Reason.NUMBER_MUST_BE_WITHIN_RANGE)
    return count


def read_decimal(field: str, amount: Amount) -> tuple[int, int]:
    """Return (mantissa, decimals) of a plain decimal."""
    number = parse_decimal(amount)
    if number is None:
        raise Refusal(field, amount, Reason.NUMBER_MUST_BE_PLAIN_DECIMAL)
    return number


def read_scaled(field: str, amount: Amount, decimals: int) -> int:
    """Return the number in units of 10^-decimals; refused where it is finer than that."""
    number = scaled(read_decimal(field, amount), decimals)
    if number is None:
        raise Refusal(field, amount, Reason.NUMBER_MUST_BE_WITHIN_SCALE)
    return number


def read_cash(field: str, amount: Amount, decimals: int) -> Cash:
    """Return an amount of a settle asset, inside the numeric range."""
    cash = read_scaled(field, amount, decimals)
    refuse_unless(abs(cash) < LIMIT, field, amount, Reason.EXCEEDS_NUMERIC_RANGE)
    return Cash(cash)
