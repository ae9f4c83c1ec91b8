"""Responses about the history."""

from enum import StrEnum
from typing import Any

from delever.api_types.market import ApiResponse, PoolResponse
from delever.core.messages import Side


class PoolDetail(PoolResponse, frozen=True, kw_only=True):
    """One insurance fund with the largest drawdowns of its equity below its earlier peak."""

    worst_drawdown_1d_ppm: int
    worst_drawdown_30d_ppm: int
    worst_drawdown_ppm: int


class PoolValues(ApiResponse, frozen=True, kw_only=True):
    """An insurance fund after one record, with the cumulative PnL of each of its contracts."""

    sequence: int
    time_ms: int
    balance: str
    equity: str
    contract_pnl: dict[str, str]


class PoolHistoryPoint(PoolValues, frozen=True, kw_only=True):
    """An insurance fund after one record, with the rolling peak of its balance."""

    balance_peak: str


class PoolFlow(ApiResponse, frozen=True, kw_only=True):
    """A deposit to an insurance fund, or a withdrawal from it."""

    sequence: int
    time_ms: int
    amount: str
    reason: str
    contract: str | None
    note: str


class PoolHistory(ApiResponse, frozen=True, kw_only=True):
    """Points of an insurance fund, downsampled with all extremes, and its flows."""

    as_of: int
    pool: str
    asset: str
    points: tuple[PoolHistoryPoint, ...]
    flows: tuple[PoolFlow, ...]


class ContractHistoryPoint(ApiResponse, frozen=True, kw_only=True):
    """A contract after one record; `pnl_ratio_ppm` is its PnL below its peak, by the fund's peak.

    Both peaks are rolling peaks over the fund's window at that time.
    """

    sequence: int
    time_ms: int
    pool: str
    contract_pnl: str
    contract_pnl_peak: str
    pool_balance: str
    pool_balance_peak: str
    pnl_ratio_ppm: int


class PricePoint(ApiResponse, frozen=True, kw_only=True):
    """A mark of a contract, rounded down to its tick."""

    sequence: int
    time_ms: int
    mark: str


class MarketActivity(StrEnum):
    """What happened to a contract: liquidations, ADL fills, or flows of its insurance fund."""

    LIQUIDATION = "liquidation"
    ADL = "adl"
    FUND_FLOW = "fund_flow"


class ActivityPoint(ApiResponse, frozen=True, kw_only=True):
    """What happened to a contract in one interval, with the time and record of its last one.

    `amount` is the notional of liquidations and of ADL fills at their prices, or the net flow of
    the insurance fund, in its asset.
    """

    kind: MarketActivity
    sequence: int
    time_ms: int
    count: int
    amount: str


class EpisodeResponse(ApiResponse, frozen=True, kw_only=True):
    """The ADL of one trigger from start to stop, with the totals of its fills."""

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
    notional: str
    accounts: int


class AdlTotalResponse(ApiResponse, frozen=True, kw_only=True):
    """What ADL closed in a contract in a time range, without cancelled fills.

    `notional` is at the ADL price; `haircut` is what counterparties lost against the mark of each
    fill, in the settle asset.
    """

    contract: str
    asset: str
    fills: int
    accounts: int
    quantity: str
    notional: str
    haircut: str


class TakeoverResponse(ApiResponse, frozen=True, kw_only=True):
    """One takeover; `to_pool` is negative where the fund paid."""

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


class UnwindResponse(ApiResponse, frozen=True, kw_only=True):
    """Inventory that was unwound in the market."""

    takeover: int
    sequence: int
    time_ms: int
    side: Side
    quantity: str
    price: str
    realized_pnl: str


class NettedResponse(ApiResponse, frozen=True, kw_only=True):
    """Long and short inventory that the fund closed against each other at the mark."""

    sequence: int
    time_ms: int
    long_takeover: int
    short_takeover: int
    quantity: str
    mark: str
    realized_pnl: str


class FillResponse(ApiResponse, frozen=True, kw_only=True):
    """One ADL fill; `cancelled_sequence` is the record that cancelled it.

    `notional` is at the ADL price. `haircut` is what the counterparty lost against the mark; mark
    and haircut are null for fills of a history from before marks were stored.
    """

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
    mark: str | None
    notional: str
    haircut: str | None
    price_rule: str
    realized_pnl: str
    pool_realized_pnl: str
    fee: str
    takeover: int
    liquidated_account: str
    rank: int
    score: float
    indicator: int
    quantity_ahead: str
    cancelled_sequence: int | None


class RoundResponse(ApiResponse, frozen=True, kw_only=True):
    """One ADL round with its fills; `hash` is the hash of its record.

    `unfunded` is the loss of the round that the fund could not pay.
    """

    sequence: int
    time_ms: int
    hash: str
    side: Side
    trigger: str
    price_rule: str
    numbers: dict[str, str]
    wanted: str
    filled: str
    unfilled: str
    rounding_residual: str
    unfunded: str
    counterparties: int
    fills: tuple[FillResponse, ...]


class Waterfall(EpisodeResponse, frozen=True, kw_only=True):
    """An episode in full: takeovers, unwinds, netting, the fund before and after, rounds."""

    takeovers: tuple[TakeoverResponse, ...]
    unwinds: tuple[UnwindResponse, ...]
    netted: tuple[NettedResponse, ...]
    pool_before: PoolValues | None
    pool_after: PoolValues | None
    rounds: tuple[RoundResponse, ...]


class RecomputeResponse(ApiResponse, frozen=True, kw_only=True):
    """A record recomputed on the book before it; `difference` is null where everything matches."""

    sequence: int
    hash: str
    matches: bool
    difference: str | None


class FillExplanationResponse(ApiResponse, frozen=True, kw_only=True):
    """Why an ADL fill closed its position: facts by name, and the same as numbered lines."""

    fill: int
    record: int
    recomputed: str
    facts: dict[str, Any]
    text: str
