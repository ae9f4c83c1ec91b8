"""What the native API says, as far as the page shows it; unknown fields are let pass.

Amounts are exact decimals as text, `_ppm` parts per million, `_ms` milliseconds; null is "does not
apply".
"""

from typing import Any

import msgspec

MASK = "masked:"
"""What the name of an account begins with that the visitor's key does not see."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the API has answered."""


class Trigger(Answer, frozen=True, kw_only=True):
    """How far one way into ADL is."""

    trigger: str
    on: bool
    since_ms: int | None
    progress_ppm: int
    price_rule: str
    numbers: dict[str, str]


class Contract(Answer, frozen=True, kw_only=True):
    """One contract as it stands; `state` is calm, watch, adl or exhausted."""

    as_of: int
    time_ms: int
    contract: str
    kind: str
    settle: str
    pool: str
    rules: str
    lot_size: str
    mark: str | None
    marked_ms: int | None
    stale: bool
    paused: bool
    state: str
    progress_ppm: int
    open_interest_long: str
    open_interest_short: str
    positions_long: int
    positions_short: int
    inventory_long: str
    inventory_short: str
    profit: str
    profit_peak: str
    risk: str | None
    last_adl_ms: int | None
    triggers: tuple[Trigger, ...]

    def trigger(self, name: str) -> Trigger | None:
        """Return one of its triggers."""
        return next((each for each in self.triggers if each.trigger == name), None)


class Stress(Answer, frozen=True, kw_only=True):
    """What a move of the mark would leave for ADL."""

    shock_ppm: int
    mark: str
    liquidated_long: str
    liquidated_short: str
    absorbed: str
    loss: str
    pool_pays: str
    adl: str


class RatingPart(Answer, frozen=True, kw_only=True):
    """One input of the scorecard."""

    input: str
    value_ppm: int
    points: int


class Rating(Answer, frozen=True, kw_only=True):
    """A contract's ADL risk, taken apart."""

    time_ms: int
    level: str
    points: int
    scorecard_level: str
    stress_level: str
    adl_from_ppm: int | None
    parts: tuple[RatingPart, ...]
    curve: tuple[Stress, ...]


class QueueRow(Answer, frozen=True, kw_only=True):
    """One position; rank, light and quantities are null where `reason` keeps it out of line."""

    rank: int | None
    account: str
    position: int
    quantity: str
    score: float
    light: int | None
    ahead: str | None
    cumulative: str | None
    leverage: str
    margin_mode: str
    profit: str
    equity: str
    mark_value: str
    reason: str | None


class QueuePage(Answer, frozen=True, kw_only=True):
    """A page of a queue, next first."""

    as_of: int
    time_ms: int
    rules: str
    formula: str
    total: int
    in_line: int
    offset: int
    rows: tuple[QueueRow, ...]


class Pool(Answer, frozen=True, kw_only=True):
    """One pool as it stands."""

    as_of: int
    time_ms: int
    pool: str
    kind: str
    asset: str
    rules: str
    managed: bool
    balance: str
    equity: str
    balance_peak: str
    peak_window_ms: int
    drawdown_ppm: int
    withdrawal_cut_ppm: int
    members: tuple[str, ...]


class PoolDetail(Pool, frozen=True, kw_only=True):
    """One pool, with the deepest falls of its equity below its own earlier peak."""

    worst_drawdown_1d_ppm: int
    worst_drawdown_30d_ppm: int
    worst_drawdown_ppm: int


class Moment(Answer, frozen=True, kw_only=True):
    """A pool at a moment of its past, with the profits of its contracts."""

    sequence: int
    time_ms: int
    balance: str
    equity: str
    contracts: dict[str, str]


class PoolPoint(Moment, frozen=True, kw_only=True):
    """The same with the rolling peak of the balance."""

    balance_peak: str


class Flow(Answer, frozen=True, kw_only=True):
    """Money that an operator moved into a pool or out of it."""

    sequence: int
    time_ms: int
    amount: str
    reason: str
    contract: str | None
    note: str


class PoolHistory(Answer, frozen=True, kw_only=True):
    """A pool's past, oldest first."""

    points: tuple[PoolPoint, ...]
    flows: tuple[Flow, ...]


class ContractMoment(Answer, frozen=True, kw_only=True):
    """A contract at a moment of its past, with its rolling peak and that of its pool's balance."""

    sequence: int
    time_ms: int
    pool: str
    profit: str
    profit_peak: str
    pool_balance: str
    pool_balance_peak: str


class Wallet(Answer, frozen=True, kw_only=True):
    """Cross margin of one asset."""

    asset: str
    balance: str
    equity: str
    maintenance: str


class Position(Answer, frozen=True, kw_only=True):
    """One position and its place in line."""

    contract: str
    side: str
    position: int
    quantity: str
    entry_price: str
    mark: str | None
    profit: str
    margin_mode: str
    leverage: str
    rank: int | None
    of: int
    light: int | None
    ahead: str | None
    reason: str | None


class Account(Answer, frozen=True, kw_only=True):
    """What one account holds."""

    as_of: int
    time_ms: int
    account: str
    hedge_mode: bool
    wallets: tuple[Wallet, ...]
    positions: tuple[Position, ...]


class Standing(Answer, frozen=True, kw_only=True):
    """Where a position stands."""

    quantity: str
    rank: int | None
    of: int
    light: int | None
    ahead: str | None
    score: float
    reason: str | None


class Explained(Standing, frozen=True, kw_only=True):
    """Why a position stands there; `lines` is the numbered arithmetic."""

    as_of: int
    time_ms: int
    rules: str
    formula: str
    parts: dict[str, float]
    asset: str
    equity: str
    profit: str
    value_at_mark: str
    value_at_entry: str
    lines: tuple[str, ...]


class Supposed(Answer, frozen=True, kw_only=True):
    """A position before and after one change."""

    before: Standing
    after: Standing
    text: str


class EventShown(Answer, frozen=True, kw_only=True):
    """One event of a record."""

    sequence: int
    time_ms: int
    index: int
    event: dict[str, Any]


class EventPage(Answer, frozen=True, kw_only=True):
    """Events, oldest first; ask again after `next_after`."""

    events: tuple[EventShown, ...]
    next_after: int


class RecordTold(Answer, frozen=True, kw_only=True):
    """One record of a stream, with those of its events that were asked for."""

    sequence: int
    time_ms: int
    events: tuple[dict[str, Any], ...]


class Episode(Answer, frozen=True, kw_only=True):
    """One trigger's ADL from start to stop, and how much was closed in it."""

    episode: int
    contract: str
    pool: str
    trigger: str
    started_sequence: int
    started_ms: int
    stopped_sequence: int | None
    stopped_ms: int | None
    numbers: dict[str, str]
    stop_numbers: dict[str, str] | None
    fills: int
    quantity: str
    accounts: int


class Takeover(Answer, frozen=True, kw_only=True):
    """What the pool has taken over; `to_pool` is negative where the pool paid."""

    takeover: int
    sequence: int
    time_ms: int
    side: str
    account: str
    quantity: str
    price: str
    to_pool: str
    reason: str


class Unwind(Answer, frozen=True, kw_only=True):
    """Inventory that was closed in the market."""

    sequence: int
    time_ms: int
    side: str
    quantity: str
    price: str
    realised: str


class Fill(Answer, frozen=True, kw_only=True):
    """One ADL fill; `cancelled_sequence` is the record that took it back."""

    fill: int
    sequence: int
    time_ms: int
    contract: str
    side: str
    account: str
    position: int
    quantity: str
    price: str
    price_rule: str
    realised: str
    pool_realised: str
    fee: str
    takeover: int
    liquidated_account: str
    rank: int
    score: float
    light: int
    ahead: str
    cancelled_sequence: int | None


class Round(Answer, frozen=True, kw_only=True):
    """One ADL round with its fills; `hash` is that of its record."""

    sequence: int
    time_ms: int
    hash: str
    side: str
    trigger: str
    price_rule: str
    numbers: dict[str, str]
    wanted: str
    filled: str
    left: str
    kept_by_pool: str
    candidates: int
    fills: tuple[Fill, ...]


class Waterfall(Episode, frozen=True, kw_only=True):
    """An episode from top to bottom."""

    takeovers: tuple[Takeover, ...]
    unwinds: tuple[Unwind, ...]
    pool_before: Moment | None
    pool_after: Moment | None
    rounds: tuple[Round, ...]


class Recomputed(Answer, frozen=True, kw_only=True):
    """A record run again on the book of that moment."""

    sequence: int
    hash: str
    same: bool
    differs: str | None
