"""Reads the numbers of a command exactly, or refuses them by field and value."""

from delever.core.contracts import MAX_TICKS, Terms
from delever.core.messages import Amount, Reason
from delever.core.units import LIMIT, Cash, Lots, Ticks, parse_decimal, scaled

MAX_COUNT = 2**53


class Refusal(Exception):  # noqa: N818 - not an error: how a check several calls deep says no
    """A command cannot be accepted. Never leaves the core: intake turns it into `Refused`."""

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


def read_lots(field: str, quantity: Amount, terms: Terms) -> Lots:
    """Return a quantity in lots, with its sign."""
    lots = terms.lots_of(read_decimal(field, quantity))
    if lots is None:
        raise Refusal(field, quantity, Reason.QUANTITY_MUST_BE_MULTIPLE_OF_LOT)
    in_range = abs(lots) * terms.factor < LIMIT
    refuse_unless(in_range, field, quantity, Reason.EXCEEDS_NUMERIC_RANGE)
    return lots


def read_ticks(field: str, price: Amount, terms: Terms) -> Ticks:
    """Return a price in ticks; refused where it is not positive or not a whole tick."""
    number = read_decimal(field, price)
    refuse_unless(number[0] > 0, field, price, Reason.NUMBER_MUST_BE_POSITIVE)
    ticks = terms.ticks_of(number)
    if ticks is None:
        raise Refusal(field, price, Reason.PRICE_MUST_BE_MULTIPLE_OF_TICK)
    refuse_unless(ticks <= MAX_TICKS, field, price, Reason.EXCEEDS_NUMERIC_RANGE)
    return ticks
