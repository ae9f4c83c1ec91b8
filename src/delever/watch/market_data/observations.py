"""Observations: values that a venue publishes, with their time and refresh interval."""

from decimal import Decimal
from typing import Literal

import msgspec

from delever.core.units import div_floor

GRACE_MS = 5_000
"""Assumed: the time that an answer may take before its value counts as late."""

Side = Literal["long", "short"]


class Observation(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """One value of a venue; always one of the subclasses.

    `venue_time_ms` is the venue's time of the value or, without one, the time of receipt. An
    observation is stale when two refreshes of the venue (`refresh_ms`) and a grace period have
    passed without a newer one. `name` is a contract, an insurance pool or a family of contracts.
    """

    venue: str
    name: str
    venue_time_ms: int
    received_ms: int
    refresh_ms: int

    @property
    def kind(self) -> str:
        """The kind of value, in one word: indicator, drawdown, warning, ..."""
        return str(self.__struct_config__.tag)

    @property
    def key(self) -> tuple[str, ...]:
        """The identity of the value; a newer observation with the same key replaces it."""
        return (self.kind, self.venue, self.name)

    def age_ms(self, now_ms: int) -> int:
        """Return the age of the value; 0 if the venue's clock is ahead."""
        return max(0, now_ms - self.venue_time_ms)

    def overdue_ms(self, now_ms: int) -> int:
        """Return for how long a newer value is overdue; negative until then."""
        return self.age_ms(now_ms) - 2 * self.refresh_ms - GRACE_MS

    def is_stale(self, now_ms: int) -> bool:
        """Return whether a newer value is overdue."""
        return self.overdue_ms(now_ms) > 0


class IndicatorObservation(Observation, tag="indicator", frozen=True, kw_only=True):
    """A position's ADL indicator, with the venue's own value and scale."""

    side: Side
    indicator: int
    raw: str
    scale: str

    @property
    def key(self) -> tuple[str, ...]:
        """The key includes the side of the position."""
        return (*super().key, self.side)


class QueuePlaceObservation(Observation, tag="queue_place", frozen=True, kw_only=True):
    """A position's place in the queue of a supplied book, whose time is `venue_time_ms`.

    `rank` counts from 1 of `ranked` positions, None if the position is not ranked, for `reason`;
    `quantity_ahead` is what ADL closes before it.
    """

    side: Side
    rank: int | None
    ranked: int
    quantity_ahead: Decimal
    book: str
    reason: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """The key includes the side of the position."""
        return (*super().key, self.side)

    @property
    def fifth(self) -> int:
        """The fifth of the queue, 5 at its front, 1 at its back; 0 without a rank."""
        return 0 if self.rank is None else 5 - div_floor(5 * (self.rank - 1), self.ranked)


class EligibilityObservation(Observation, tag="eligibility", frozen=True, kw_only=True):
    """Whether a venue without a ranking may close a position, and how near its account is.

    The position is skipped where a fill beyond `price_limit` (below it for a long, above it for a
    short) would leave its account with negative collateral; None if no price does.
    `liquidation_move` is the relative move of the mark at which the account's equity falls to its
    maintenance margin, all else unchanged; None if none does.
    """

    side: Side
    eligible: bool
    equity: Decimal
    maintenance: Decimal
    price_limit: Decimal | None
    liquidation_move: Decimal | None
    status: str

    @property
    def key(self) -> tuple[str, ...]:
        """The key includes the side of the position."""
        return (*super().key, self.side)


class RiskObservation(Observation, tag="risk", frozen=True, kw_only=True):
    """The venue's rating of a contract, 1 low to 4 extremely high."""

    level: int
    raw: str


class DrawdownObservation(Observation, tag="drawdown", frozen=True, kw_only=True):
    """Bybit's adlAlert: the drawdown of a contract's PnL, and where ADL starts and stops.

    Ratios are of the pool's highest balance of 8 h: -0.22 is 22 % of it lost. ADL starts at
    `start_ratio` and stops above `stop_ratio`, if the balance is above `trigger_threshold`.
    A contract without a drawdown rule has none of the three: there ADL starts when the balance is
    lost.
    """

    asset: str
    balance: Decimal
    pnl_ratio: Decimal
    start_ratio: Decimal | None
    stop_ratio: Decimal | None
    trigger_threshold: Decimal | None

    @property
    def distance_to_start(self) -> Decimal | None:
        """The ratio left to lose before ADL starts; 0 or less once it has started."""
        return None if self.start_ratio is None else self.pnl_ratio - self.start_ratio

    @property
    def distance_to_stop(self) -> Decimal | None:
        """The ratio left to gain before ADL stops; negative beyond the stop."""
        return None if self.stop_ratio is None else self.stop_ratio - self.pnl_ratio

    @property
    def is_armed(self) -> bool:
        """Whether a drawdown can start ADL: the balance is above the trigger threshold."""
        return self.trigger_threshold is not None and self.balance > self.trigger_threshold

    @property
    def meets_start(self) -> bool:
        """Whether ADL starts at these values: by contract drawdown, or without any balance."""
        distance = self.distance_to_start
        return self.balance <= 0 or (self.is_armed and distance is not None and distance <= 0)

    @property
    def meets_stop(self) -> bool:
        """Whether active ADL stops at these values."""
        distance = self.distance_to_stop
        return self.balance > 0 and (distance is None or distance < 0)


class WarningObservation(Observation, tag="warning", frozen=True, kw_only=True):
    """OKX's adl-warning of a family of contracts: normal, warning or adl."""

    state: Literal["normal", "warning", "adl"]
    balance: Decimal | None


class PoolObservation(Observation, tag="pool", frozen=True, kw_only=True):
    """An insurance pool's balance; `members` are its contracts, if the venue names them."""

    asset: str
    balance: Decimal
    members: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """The key includes the asset: a pool may have several."""
        return (*super().key, self.asset)


class PositionObservation(Observation, tag="position", frozen=True, kw_only=True):
    """An open position of the account.

    `quantity` is in contracts of `multiplier` units of the underlying (linear) or of the quote
    asset (inverse). `margin` is an isolated position's margin without PnL, None if cross.
    """

    side: Side
    quantity: Decimal
    multiplier: Decimal
    entry_price: Decimal
    mark: Decimal
    leverage: Decimal | None
    isolated: bool
    margin: Decimal | None
    maintenance: Decimal | None
    settle: str
    inverse: bool
    hedged: bool

    @property
    def key(self) -> tuple[str, ...]:
        """The key includes the side: an account in hedge mode has both."""
        return (*super().key, self.side)


class WalletObservation(Observation, tag="wallet", frozen=True, kw_only=True):
    """The cross wallet balance in one asset, without unrealized PnL.

    `includes_isolated` is set where a venue states one balance with isolated margins in it.
    """

    balance: Decimal
    includes_isolated: bool = False


class CancelledOrderObservation(Observation, tag="cancelled_order", frozen=True, kw_only=True):
    """An open order of the account that the venue has cancelled."""

    order: str

    @property
    def key(self) -> tuple[str, ...]:
        """The key includes the venue's id of the order."""
        return (*super().key, self.order)

    def is_stale(self, now_ms: int) -> bool:  # noqa: ARG002 - an event stays true
        """Return False."""
        return False


class FillObservation(Observation, tag="fill", frozen=True, kw_only=True):
    """An ADL fill that closed part of a position of the account; it never becomes stale.

    The venue announces the first four fields and perhaps `realized_pnl`, `settle` and `mark`. The
    others are of the position as it was read before the fill; `why` is its place in the queue and
    its score then.
    """

    fill: str
    side: Side
    quantity: Decimal
    price: Decimal | None
    realized_pnl: Decimal | None = None
    settle: str = ""
    mark: Decimal | None = None
    mark_time_ms: int | None = None
    haircut: Decimal | None = None
    orders_cancelled: int | None = None
    why: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """The key includes the venue's id of the fill."""
        return (*super().key, self.fill)

    def is_stale(self, now_ms: int) -> bool:  # noqa: ARG002 - a fill stays true
        """Return False."""
        return False
