"""ADL risk of a contract: rating, scorecard and stress curve; and the digest of indicators."""

import msgspec

from delever.core.messages.enums import RatingInput, RatingMethod, RiskLevel, Side


class RatingPart(msgspec.Struct, frozen=True, kw_only=True):
    """One input of the scorecard and its points.

    The input gets a point for each limit that its value has reached or, where more is safer (fund
    and depth), stays below. `numbers` are the terms of the value.
    """

    input: RatingInput
    value_ppm: int
    limits_ppm: tuple[int, int, int]
    more_is_safer: bool
    points: int
    numbers: dict[str, int]


class StressPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the stress curve: the effect of an instant move of the mark.

    Liquidated: the lots of accounts at or below maintenance margin. Absorbed: the part of those
    lots, and of inventory, that depth takes. `loss_cash` is the loss beyond the accounts' equity
    when the rest is closed at the worst price that the pool accepts, `fund_pays_cash` the part of
    it that the pool pays before ADL starts. `adl_lots` is the quantity left for ADL, at this move
    or at any smaller one in the same direction.
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
    """The ADL risk of a contract as of a sequence: the higher of scorecard level and stress level.

    While ADL is on, the state decides: the level is extremely high. `trigger_used_ppm` is how much
    of the way to the nearest trigger is used; the contract is rated again when it passes a tenth.
    `adl_from_ppm` is the smallest move of the mark, in either direction, that leaves lots for ADL;
    null where no point of the curve does. `volatility_ppm` scales the stress level: the day's
    realized volatility, or the floor assumed for it.
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
    trigger_used_ppm: int = 0


class SideIndicators(msgspec.Struct, frozen=True, kw_only=True):
    """The published indicators of one side of a contract: counts and a digest.

    `ranked` of the `positions` are in the queue. `digest` is the BLAKE2b-256 of account, position,
    rank and indicator of each position: a replay proves what was published, and the journal need
    not store it.
    """

    contract: str
    side: Side
    positions: int
    ranked: int
    digest: str
