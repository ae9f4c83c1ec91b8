"""A place in line on each venue's own scale, through the one internal scale.

The internal light is 5 for the fifth of the queue that is next, down to 1, and 0 for a position
that does not stand in line.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from delever.core.units import format_scaled

Kind = Literal["lights", "quantile", "backwards", "percentile", "none"]


@dataclass(frozen=True, slots=True)
class Indicator:
    """How a venue shows a place in line; `to_venue` takes the internal light."""

    kind: Kind
    says: str
    to_venue: Callable[[int], int | str]


def same(light: int) -> int:
    """Return the light itself, 0-5."""
    return light


def quantile(light: int) -> int:
    """Return 0-4, 4 next in line; 0 without a place."""
    return max(light - 1, 0)


def backwards(light: int) -> int:
    """Return 1-5, 1 next in line; 6 without a place."""
    return 6 - light


def percentile(light: int) -> str:
    """Return "0.2" to "1", 1 next in line; "0" without a place."""
    return format_scaled(2 * light, 1)


LIGHTS = Indicator("lights", "0-5 lights, 5 next in line, 0 without a place", same)
QUANTILE = Indicator("quantile", "quantile 0-4, 4 next in line", quantile)
BACKWARDS = Indicator("backwards", "1-5, 1 next in line, 6 without a place", backwards)
PERCENTILE = Indicator("percentile", "0.2-1, 1 next in line, 0 without a place", percentile)
UNPUBLISHED = Indicator("none", "none published; delever shows 0-5 lights, 5 next in line", same)
