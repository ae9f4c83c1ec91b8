"""What is answered about the past, as types; see answers."""

from typing import Any

from delever.api_types.market import Answer, PoolShown
from delever.core.messages import Side


class PoolDetail(PoolShown, frozen=True, kw_only=True):
    """One pool, with the deepest falls of its equity below its own earlier peak."""

    worst_drawdown_1d_ppm: int
    worst_drawdown_30d_ppm: int
    worst_drawdown_ppm: int


class PoolMoment(Answer, frozen=True, kw_only=True):
    """A pool as it was; `contracts` is the cumulative profit of each member."""

    sequence: int
    time_ms: int
    balance: str
    equity: str
    contracts: dict[str, str]


class PoolPoint(PoolMoment, frozen=True, kw_only=True):
    """A pool as it was, with the peak of its balance over its window."""

    balance_peak: str


class Flow(Answer, frozen=True, kw_only=True):
    """Money that an operator moved into or out of a pool."""

    sequence: int
    time_ms: int
    amount: str
    reason: str
    contract: str | None
    note: str


class PoolHistory(Answer, frozen=True, kw_only=True):
    """A pool's points, thinned with all extremes kept, and its flows."""

    as_of: int
    pool: str
    asset: str
    points: tuple[PoolPoint, ...]
    flows: tuple[Flow, ...]


class ContractPoint(Answer, frozen=True, kw_only=True):
    """A contract as it was; `pnl_ratio_ppm` is its fall below its peak by the pool's peak.

    Both peaks are those over the pool's window at that moment.
    """

    sequence: int
    time_ms: int
    pool: str
    profit: str
    contract_pnl_peak: str
    pool_balance: str
    pool_balance_peak: str
    pnl_ratio_ppm: int


class Episode(Answer, frozen=True, kw_only=True):
    """One trigger's ADL from start to stop, with how much was closed, and how many accounts."""

    episode: int
    contract: str
    pool: str
    trigger: str
    reason: str
    started_sequence: int
    started_ms: int
    stopped_sequence: int | None
    stopped_ms: int | None
    numbers: dict[str, str]
    stop_numbers: dict[str, str] | None
    fills: int
    quantity: str
    accounts: int


class TakeoverShown(Answer, frozen=True, kw_only=True):
    """What a pool has taken over; `to_pool` is negative where the pool paid."""

    takeover: int
    sequence: int
    time_ms: int
    side: Side
    account: str
    position: int
    quantity: str
    price: str
    to_pool: str
    reason: str


class UnwindShown(Answer, frozen=True, kw_only=True):
    """Inventory that was closed in the market."""

    takeover: int
    sequence: int
    time_ms: int
    side: Side
    quantity: str
    price: str
    realized: str


class FillShown(Answer, frozen=True, kw_only=True):
    """One ADL fill; `cancelled_sequence` is the record that took it back."""

    fill: int
    sequence: int
    time_ms: int
    episode: int | None
    contract: str
    pool: str
    side: Side
    account: str
    position: int
    quantity: str
    price: str
    price_rule: str
    realized: str
    pool_realized_pnl: str
    fee: str
    takeover: int
    liquidated_account: str
    rank: int
    score: float
    indicator: int
    ahead: str
    cancelled_sequence: int | None


class RoundShown(Answer, frozen=True, kw_only=True):
    """One ADL round with its fills; `hash` is that of its record."""

    sequence: int
    time_ms: int
    hash: str
    side: Side
    trigger: str
    price_rule: str
    numbers: dict[str, str]
    wanted: str
    filled: str
    left: str
    rounding_residual: str
    counterparties: int
    fills: tuple[FillShown, ...]


class Waterfall(Episode, frozen=True, kw_only=True):
    """An episode from top to bottom: takeovers, unwinds, the pool before and after, rounds."""

    takeovers: tuple[TakeoverShown, ...]
    unwinds: tuple[UnwindShown, ...]
    pool_before: PoolMoment | None
    pool_after: PoolMoment | None
    rounds: tuple[RoundShown, ...]


class Recomputed(Answer, frozen=True, kw_only=True):
    """A record run again on the book of that moment; `differs` says what came out otherwise."""

    sequence: int
    hash: str
    same: bool
    differs: str | None


class ExplainedFill(Answer, frozen=True, kw_only=True):
    """Why a fill closed whom it closed: facts by name, and the same as numbered arithmetic."""

    fill: int
    record: int
    recomputed: str
    facts: dict[str, Any]
    text: str
