"""What a venue has said: values with the time they are of, against the venue's own cadence."""

from decimal import Decimal
from typing import ClassVar, Literal

import msgspec

GRACE_MS = 5_000
"""Assumed: how long an answer may be on its way before its number counts as late."""

Side = Literal["long", "short"]


class Reading(msgspec.Struct, frozen=True, kw_only=True, tag_field="what"):
    """One number of a venue. Exactly one of the subclasses.

    `of_ms` is the time that the venue says it is of, or where it says none, when it came. A reading
    is stale when two refreshes of the venue (`cadence_ms`) and some grace have passed: the newer
    number that must exist has not come. `name` is a contract, a pool or a family of contracts.
    """

    KEEPS: ClassVar[bool] = True
    """Whether the newest one of a key says all, so that it replaces the one before."""

    venue: str
    name: str
    of_ms: int
    came_ms: int
    cadence_ms: int

    @property
    def kind(self) -> str:
        """What kind of number it is, in one word: indicator, drawdown, warning, ..."""
        return str(self.__struct_config__.tag)

    @property
    def key(self) -> tuple[str, ...]:
        """What the reading is of; a newer one with the same key replaces it."""
        return (type(self).__name__, self.venue, self.name)

    def age_ms(self, now_ms: int) -> int:
        """Return how old the number is; 0 where the venue's clock runs ahead."""
        return max(0, now_ms - self.of_ms)

    def late_ms(self, now_ms: int) -> int:
        """Return for how long the venue has had a newer number that has not come; below 0 none."""
        return self.age_ms(now_ms) - 2 * self.cadence_ms - GRACE_MS

    def stale(self, now_ms: int) -> bool:
        """Return whether the venue must have a newer number by now."""
        return self.late_ms(now_ms) > 0


class IndicatorReading(Reading, tag="indicator", frozen=True, kw_only=True):
    """A position's place in line, on the one scale and on the venue's."""

    side: Side
    indicator: int
    raw: str
    scale: str

    @property
    def key(self) -> tuple[str, ...]:
        """A indicator belongs to one side."""
        return (*super().key, self.side)


class Risk(Reading, tag="risk", frozen=True, kw_only=True):
    """The venue's rating of a contract, 1 low to 4 extremely high."""

    level: int
    raw: str


class Drawdown(Reading, tag="drawdown", frozen=True, kw_only=True):
    """Bybit's alert: how far a contract's profit has fallen, and where ADL starts and stops.

    Ratios are of the pool's highest balance of 8 h: -0.22 is 22 % of it lost; ADL starts at
    `start_ratio` and stops above `stop_ratio`, if the balance is above `threshold`.
    """

    asset: str
    balance: Decimal
    pnl_ratio: Decimal
    start_ratio: Decimal
    stop_ratio: Decimal
    threshold: Decimal

    @property
    def to_start(self) -> Decimal:
        """Return how much further the ratio must fall for ADL to start; at most 0 where it has."""
        return self.pnl_ratio - self.start_ratio

    @property
    def to_stop(self) -> Decimal:
        """Return how far the ratio must rise to be at the stop; below 0 beyond it."""
        return self.stop_ratio - self.pnl_ratio

    @property
    def armed(self) -> bool:
        """Whether a fall of its profit can start ADL: the pool is above its threshold."""
        return self.balance > self.threshold

    @property
    def starts(self) -> bool:
        """Whether ADL starts at these numbers: contract drawdown, or a pool with nothing left."""
        return self.balance <= 0 or (self.armed and self.to_start <= 0)

    @property
    def stops(self) -> bool:
        """Whether ADL that is on stops at these numbers."""
        return self.balance > 0 and self.to_stop < 0


class Warned(Reading, tag="warning", frozen=True, kw_only=True):
    """OKX's adl-warning of a family of contracts: normal, warning or adl."""

    state: Literal["normal", "warning", "adl"]
    balance: Decimal | None


class Pool(Reading, tag="pool", frozen=True, kw_only=True):
    """An insurance pool's balance; `members` are its contracts, where the venue names them."""

    asset: str
    balance: Decimal
    members: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """A pool may hold several assets."""
        return (*super().key, self.asset)


class Position(Reading, tag="position", frozen=True, kw_only=True):
    """An open position of the account, as far as the venue tells it.

    `quantity` counts contracts of `multiplier` units of the underlying (or, inverse, of the quote).
    `margin` is an isolated position's margin without profit; None is a cross position.
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
        """An account in hedge mode holds both sides."""
        return (*super().key, self.side)


class Wallet(Reading, tag="wallet", frozen=True, kw_only=True):
    """What backs the account's cross positions in one asset, without unrealized profit.

    Where a venue tells only the whole, `with_isolated` says that isolated margins are in it.
    """

    balance: Decimal
    with_isolated: bool = False


class Fill(Reading, tag="fill", frozen=True, kw_only=True):
    """ADL closed some of a position of the account. It happened; it never becomes stale."""

    KEEPS: ClassVar[bool] = False

    fill: str
    side: Side
    quantity: Decimal
    price: Decimal | None

    @property
    def key(self) -> tuple[str, ...]:
        """Each fill is its own."""
        return (*super().key, self.fill)

    def stale(self, now_ms: int) -> bool:  # noqa: ARG002 - what has happened stays true
        """Return False."""
        return False
