"""The limits of a contract's marks in exact numbers: the largest move, and the largest age."""

from dataclasses import dataclass
from fractions import Fraction

from delever.core.market.validation import read_count, read_scaled, reject_unless
from delever.core.messages import MarkLimits, Reason
from delever.core.units import PPM, Mark, exact_ratio


@dataclass(frozen=True, slots=True)
class ExactMarkLimits:
    """The largest move from one mark to the next in ppm, and the largest age; None is no limit."""

    max_move_ppm: int | None
    max_age_ms: int | None

    def allows_move(self, before: Mark, after: Mark) -> bool:
        """Return whether a move is within the limit, exactly it included.

        >>> limits = ExactMarkLimits(max_move_ppm=100_000, max_age_ms=None)
        >>> limits.allows_move(1000, 1100), limits.allows_move(1000, 899)
        (True, False)
        """
        return self.max_move_ppm is None or move_of(before, after) * PPM <= self.max_move_ppm

    def allows_age(self, age_ms: int) -> bool:
        """Return whether a mark of this age is within the limit, exactly it included."""
        return self.max_age_ms is None or age_ms <= self.max_age_ms


def move_of(before: Mark, after: Mark) -> Fraction:
    """Return the move from one mark to the next, as a part of the first.

    >>> move_of(1000, 900)
    Fraction(1, 10)
    """
    return abs(exact_ratio(after, before) - 1)


def exact_mark_limits(limits: MarkLimits) -> ExactMarkLimits | None:
    """Return the limits in exact numbers, or None without any; raise Rejection for invalid ones."""
    move, age_ms = limits.max_move, limits.max_age_ms
    if move is None and age_ms is None:
        return None
    move_ppm = None if move is None else read_scaled("mark_limits.max_move", move, 6)
    if move_ppm is not None:
        reject_unless(move_ppm > 0, "mark_limits.max_move", move, Reason.NOT_POSITIVE)
    if age_ms is not None:
        read_count("mark_limits.max_age_ms", age_ms)
        reject_unless(age_ms > 0, "mark_limits.max_age_ms", age_ms, Reason.NOT_POSITIVE)
    return ExactMarkLimits(move_ppm, age_ms)
