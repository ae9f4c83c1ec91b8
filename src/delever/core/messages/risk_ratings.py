"""What is published of whole contracts: ADL risk, taken apart, and indicators, as a digest."""

import msgspec

from delever.core.messages.enums import RatingInput, RatingMethod, RiskLevel, Side


class RatingPart(msgspec.Struct, frozen=True, kw_only=True):
    """What one input adds to the scorecard.

    A point for each limit that the value has reached (or, for fund and depth, of which more is
    safer, that it stays below). `numbers` is what the value was made of.
    """

    input: RatingInput
    value_ppm: int
    limits_ppm: tuple[int, int, int]
    more_is_safer: bool
    points: int
    numbers: dict[str, int]


class StressPoint(msgspec.Struct, frozen=True, kw_only=True):
    """What would follow if the mark stood here at once: a point of the price -> ADL curve.

    Liquidated: accounts at or below maintenance. Absorbed: by depth, of what they held and of
    inventory. `loss_cash` is what their equity does not cover when all is closed at the worst price
    that the pool accepts, and `fund_pays_cash` the part of it that the pool can bear before ADL
    starts. `adl_lots` is what is left for ADL, here or at any smaller move of the same direction.
    """

    shock_ppm: int
    mark_ticks: int
    liquidated_long_lots: int
    liquidated_short_lots: int
    absorbed_lots: int
    loss_cash: int
    fund_pays_cash: int
    adl_lots: int


class Rating(msgspec.Struct, frozen=True, kw_only=True):
    """A contract's ADL risk as of a sequence: the higher of what two views say it is at least.

    `adl_from_ppm` is the smallest move of the mark, in either direction, that leaves anything for
    ADL, or null where none of the curve does. `volatility_ppm` is what the stress view measures it
    by: the day's realized volatility, or the least that is assumed.
    """

    contract: str
    as_of: int
    time_ms: int
    level: RiskLevel
    decided_by: tuple[RatingMethod, ...]
    points: int
    scorecard_level: RiskLevel
    parts: tuple[RatingPart, ...]
    stress_level: RiskLevel
    adl_from_ppm: int | None
    volatility_ppm: int
    fund_capacity_cash: int
    curve: tuple[StressPoint, ...]


class SideIndicators(msgspec.Struct, frozen=True, kw_only=True):
    """What was published of one table: how many positions, how many of them stand in line.

    `digest` is the BLAKE2b-256 of account, position, rank and indicator of each, so that a replay
    proves what was shown without the journal holding it all.
    """

    contract: str
    side: Side
    positions: int
    ranked: int
    digest: str
