"""Responses about commands, the market, events, rule sets and the service."""

from enum import StrEnum

import msgspec

from delever.core.messages import (
    AnyEvent,
    ContractKind,
    DefineContract,
    PoolKind,
    RatingInput,
    RatingMethod,
    RiskLevel,
    Side,
    TradingStatus,
)

MASK = "masked:"
"""Prefix of an account's name that the caller may not read."""


class MarketState(StrEnum):
    """The state of a contract: calm, ADL warning, ADL, or ADL with an exhausted queue."""

    CALM = "calm"
    WATCH = "watch"
    ADL = "adl"
    EXHAUSTED = "exhausted"


class ApiResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response of the native API."""


# --- commands ---


class CommandResponse(ApiResponse, frozen=True, kw_only=True):
    """A durable command with its events; `repeated` where its id had been run before."""

    sequence: int
    time_ms: int
    repeated: bool
    events: tuple[AnyEvent, ...]


class RejectedLine(ApiResponse, frozen=True, kw_only=True):
    """One line of a bulk that the engine rejected, or one part of a line."""

    line: int
    reason: str
    field: str
    value: str


class RowsResponse(ApiResponse, frozen=True, kw_only=True):
    """A durable table of rows; `ignored` rows were older than those in the book.

    `rejected` rows were rejected alone, each with its reason in `rejections`.
    """

    sequence: int
    time_ms: int
    repeated: bool
    rows: int
    ignored: int
    rejected: int
    rejections: tuple[RejectedLine, ...]


class BulkResponse(ApiResponse, frozen=True, kw_only=True):
    """The result of many commands; sequences are 0 where no command was run.

    `rejections` are the rejected lines, `partial_rejections` the parts (marks) that were rejected
    alone, in lines that were accepted.
    """

    accepted: int
    rejected: int
    first_sequence: int
    last_sequence: int
    rejections: tuple[RejectedLine, ...]
    partial_rejections: tuple[RejectedLine, ...] = ()


# --- the market ---


class TriggerResponse(ApiResponse, frozen=True, kw_only=True):
    """The state of one trigger; `numbers` are what it compares, with amounts as text."""

    trigger: str
    on: bool
    since_ms: int | None
    trigger_used_ppm: int
    price_rule: str
    numbers: dict[str, str]


class ContractResponse(ApiResponse, frozen=True, kw_only=True):
    """One contract; `trigger_used_ppm` is that of its nearest trigger.

    Notionals are at the mark, in the settle asset: of the longs' open interest, and of the fund's
    inventory on both sides; null without a mark.

    `fund_pays` is false where the fund takes no part before the settlement. While
    `mark_unconfirmed`, takeovers, unwinding and ADL of the contract are paused, and inventory is
    valued at `confirmed_mark`.
    """

    as_of: int
    time_ms: int
    contract: str
    kind: ContractKind
    settle: str
    pool: str
    rules: str
    tick_size: str
    lot_size: str
    mark: str | None
    marked_ms: int | None
    stale: bool
    state: MarketState
    status: TradingStatus
    fund_pays: bool
    settlement_price: str | None
    paused: bool
    mark_rejected: bool
    mark_unconfirmed: bool
    confirmed_mark: str | None
    incomplete: bool
    trigger_used_ppm: int
    open_interest_long: str
    open_interest_short: str
    positions_long: int
    positions_short: int
    inventory_long: str
    inventory_short: str
    open_interest_notional: str | None
    inventory_notional: str | None
    contract_pnl: str
    contract_pnl_peak: str
    risk: RiskLevel | None
    last_adl_ms: int | None
    triggers: tuple[TriggerResponse, ...]

    def trigger(self, name: str) -> TriggerResponse | None:
        """Return one of its triggers."""
        return next((state for state in self.triggers if state.trigger == name), None)


class ContractDetail(ContractResponse, frozen=True, kw_only=True):
    """One contract with the command that defined it."""

    definition: DefineContract


class RatingPartResponse(ApiResponse, frozen=True, kw_only=True):
    """One input of the scorecard: its value, its limits and its points."""

    input: RatingInput
    value_ppm: int
    limits_ppm: tuple[int, int, int]
    more_is_safer: bool
    points: int
    numbers: dict[str, str]


class StressPointResponse(ApiResponse, frozen=True, kw_only=True):
    """One point of the stress curve: what a move of the mark would leave for ADL."""

    shock_ppm: int
    mark: str
    liquidated_long: str
    liquidated_short: str
    absorbed: str
    loss: str
    fund_pays: str
    adl: str


class RatingResponse(ApiResponse, frozen=True, kw_only=True):
    """The ADL risk of a contract with its scorecard and stress curve, and the age of both."""

    as_of: int
    time_ms: int
    age_ms: int
    contract: str
    level: RiskLevel
    decided_by: tuple[RatingMethod, ...]
    points: int
    scorecard_level: RiskLevel
    parts: tuple[RatingPartResponse, ...]
    stress_level: RiskLevel
    adl_from_ppm: int | None
    volatility_ppm: int
    trigger_used_ppm: int
    fund_capacity: str
    curve: tuple[StressPointResponse, ...]


class QueueRow(ApiResponse, frozen=True, kw_only=True):
    """One position of a queue; rank, indicator and quantities are null if `reason` excludes it."""

    rank: int | None
    account: str
    position: int
    quantity: str
    score: float
    indicator: int | None
    quantity_ahead: str | None
    cumulative_quantity: str | None
    leverage: str
    margin_mode: str
    unrealized_pnl: str
    equity: str
    notional: str
    reason: str | None


class QueueLevel(ApiResponse, frozen=True, kw_only=True):
    """All ranked positions of a queue with one ADL indicator: how many, and how much."""

    indicator: int
    positions: int
    quantity: str


class QueuePage(ApiResponse, frozen=True, kw_only=True):
    """A page of a queue, next counterparty first; ineligible positions follow the ranked ones.

    Without the role read, and without `[api] queue_detail`, the rows are those of the caller's own
    accounts, and `offset` counts them; `total`, `ranked` and `levels` are of all positions.
    """

    as_of: int
    time_ms: int
    contract: str
    side: Side
    rules: str
    formula: str
    total: int
    ranked: int
    offset: int
    rows: tuple[QueueRow, ...]
    levels: tuple[QueueLevel, ...]


class HeldCollateralResponse(ApiResponse, frozen=True, kw_only=True):
    """What a fund took over of an asset and the venue has not sold yet; `cost` is in its own."""

    asset: str
    quantity: str
    cost: str


class PoolResponse(ApiResponse, frozen=True, kw_only=True):
    """One insurance fund; its drawdown is that of its equity below its balance peak.

    The peak is the highest balance of the last `peak_window_ms`. `unfunded` is what the balance is
    below 0: losses that neither fund nor queue has paid. `collateral` is in the balance at cost,
    and in the equity at what it would bring.
    """

    as_of: int
    time_ms: int
    pool: str
    kind: PoolKind
    asset: str
    rules: str
    managed: bool
    balance: str
    equity: str
    unfunded: str
    balance_peak: str
    peak_window_ms: int
    drawdown_ppm: int
    withdrawal_haircut_ppm: int
    members: tuple[str, ...]
    collateral: tuple[HeldCollateralResponse, ...]


# --- events ---


class EventResponse(ApiResponse, frozen=True, kw_only=True):
    """One event of a record; `index` is its index among the record's events, from 0."""

    sequence: int
    time_ms: int
    index: int
    event: AnyEvent


class EventPage(ApiResponse, frozen=True, kw_only=True):
    """Events, oldest first; `next_after` is the last record read, and the next page's `after`."""

    events: tuple[EventResponse, ...]
    next_after: int


class RecordResponse(ApiResponse, frozen=True, kw_only=True):
    """One record of a stream: the type and id of its command, and its events."""

    sequence: int
    time_ms: int
    command: str
    id: str
    events: tuple[AnyEvent, ...]


# --- rules and service ---


class RuleSetCaseResponse(ApiResponse, frozen=True, kw_only=True):
    """One case of a rule set: its trigger, the reason of its start, and its price rule."""

    trigger: str
    reason: str
    price_rule: str


class RuleResponse(ApiResponse, frozen=True, kw_only=True):
    """One rule with its source; `assumption` is what the source leaves open."""

    id: str
    text: str
    source: str
    confidence: str
    assumption: str


class RuleSetResponse(ApiResponse, frozen=True, kw_only=True):
    """A rule set: triggers, ranking, price, policy, and the sources of its rules."""

    name: str
    venue: str
    cases: tuple[RuleSetCaseResponse, ...]
    formula: str
    profitable_only: bool
    joint: bool
    indicator_scale: str
    policy: str
    last_resort: str | None
    fee_ppm: int
    cancel_scope: str
    rules: tuple[RuleResponse, ...]


class Health(ApiResponse, frozen=True, kw_only=True):
    """Whether the engine runs; `failed` is the error that stopped it."""

    healthy: bool
    failed: str | None


class Readiness(ApiResponse, frozen=True, kw_only=True):
    """Whether the server is ready; `waiting_for` is the part that is not ready yet."""

    ready: bool
    waiting_for: str | None


class Startup(ApiResponse, frozen=True, kw_only=True):
    """Whether commands are accepted, and the newest record of the published snapshot."""

    started: bool
    sequence: int


class Status(ApiResponse, frozen=True, kw_only=True):
    """The head of the journal, and the number of queued commands."""

    sequence: int
    head_hash: str
    time_ms: int
    now_ms: int
    commands_queued: int
    accounts: int
    journal: str
    version: str
