"""What the native API answers, as types: of server and page, and of the OpenAPI document.

Money, prices and quantities are exact decimals as text, in units of the asset or the contract;
`_ppm` are parts per million, `_ms` milliseconds. `as_of` is the sequence of the book that was
asked. What does not apply is null.
"""

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
)

MASK = "masked:"
"""What the name of an account begins with that the caller is not told."""


class MarketState(StrEnum):
    """How near a contract is to ADL."""

    CALM = "calm"
    WATCH = "watch"
    ADL = "adl"
    EXHAUSTED = "exhausted"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is answered."""


# --- commands ---


class CommandAccepted(Answer, frozen=True, kw_only=True):
    """A command that is durable, and all that followed; `repeated` where its id had run before."""

    sequence: int
    time_ms: int
    repeated: bool
    events: tuple[AnyEvent, ...]


class Told(Answer, frozen=True, kw_only=True):
    """A table of rows that is durable; `ignored` rows were older than what the book knows."""

    sequence: int
    time_ms: int
    repeated: bool
    rows: int
    ignored: int


class LineRefused(Answer, frozen=True, kw_only=True):
    """One line that the engine has rejected."""

    line: int
    reason: str
    field: str
    value: str


class BulkAccepted(Answer, frozen=True, kw_only=True):
    """What came of many commands; sequences are 0 where there was none."""

    accepted: int
    rejected: int
    first_sequence: int
    last_sequence: int
    refusals: tuple[LineRefused, ...]


# --- the market ---


class TriggerShown(Answer, frozen=True, kw_only=True):
    """How far one way into ADL is; amounts of `numbers` as text, `_ppm` and `_ms` as integers."""

    trigger: str
    on: bool
    since_ms: int | None
    trigger_used_ppm: int
    price_rule: str
    numbers: dict[str, str]


class ContractShown(Answer, frozen=True, kw_only=True):
    """One contract as it stands; `trigger_used_ppm` is that of its nearest trigger."""

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
    paused: bool
    trigger_used_ppm: int
    open_interest_long: str
    open_interest_short: str
    positions_long: int
    positions_short: int
    inventory_long: str
    inventory_short: str
    profit: str
    contract_pnl_peak: str
    risk: RiskLevel | None
    last_adl_ms: int | None
    triggers: tuple[TriggerShown, ...]

    def trigger(self, name: str) -> TriggerShown | None:
        """Return one of its triggers."""
        return next((each for each in self.triggers if each.trigger == name), None)


class ContractDetail(ContractShown, frozen=True, kw_only=True):
    """One contract as it stands, with the command that defined it."""

    definition: DefineContract


class RatingPartShown(Answer, frozen=True, kw_only=True):
    """One input of the scorecard: its value, the limits it is held against, and its points."""

    input: RatingInput
    value_ppm: int
    limits_ppm: tuple[int, int, int]
    more_is_safer: bool
    points: int
    numbers: dict[str, str]


class StressShown(Answer, frozen=True, kw_only=True):
    """What a move of the mark would leave for ADL."""

    shock_ppm: int
    mark: str
    liquidated_long: str
    liquidated_short: str
    absorbed: str
    loss: str
    pool_pays: str
    adl: str


class RatingShown(Answer, frozen=True, kw_only=True):
    """A contract's ADL risk, taken apart."""

    as_of: int
    time_ms: int
    contract: str
    level: RiskLevel
    decided_by: tuple[RatingMethod, ...]
    points: int
    scorecard_level: RiskLevel
    parts: tuple[RatingPartShown, ...]
    stress_level: RiskLevel
    adl_from_ppm: int | None
    volatility_ppm: int
    room: str
    curve: tuple[StressShown, ...]


class QueueRow(Answer, frozen=True, kw_only=True):
    """One position; rank, indicator, ahead and cumulative are null where `reason` keeps it out."""

    rank: int | None
    account: str
    position: int
    quantity: str
    score: float
    indicator: int | None
    ahead: str | None
    cumulative: str | None
    leverage: str
    margin_mode: str
    profit: str
    equity: str
    mark_value: str
    reason: str | None


class QueuePage(Answer, frozen=True, kw_only=True):
    """A page of a queue, next first; after those in line come those who are not."""

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


class PoolShown(Answer, frozen=True, kw_only=True):
    """One pool as it stands; drawdown is that of its equity below its own peak of balance.

    That peak is the highest balance of the last `peak_window_ms`.
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
    balance_peak: str
    peak_window_ms: int
    drawdown_ppm: int
    withdrawal_cut_ppm: int
    members: tuple[str, ...]


# --- events ---


class EventShown(Answer, frozen=True, kw_only=True):
    """One event of a record; `index` is its place among the events of its sequence, from 0."""

    sequence: int
    time_ms: int
    index: int
    event: AnyEvent


class EventPage(Answer, frozen=True, kw_only=True):
    """Events, oldest first; ask again after `next_after`, the last record that was looked at."""

    events: tuple[EventShown, ...]
    next_after: int


class RecordShown(Answer, frozen=True, kw_only=True):
    """One record of a stream: which command, its id, and all that followed."""

    sequence: int
    time_ms: int
    command: str
    id: str
    events: tuple[AnyEvent, ...]


# --- rules and service ---


class CaseShown(Answer, frozen=True, kw_only=True):
    """One way into ADL: its trigger, the condition as a reason, and the price that goes with it."""

    trigger: str
    reason: str
    price_rule: str


class RuleShown(Answer, frozen=True, kw_only=True):
    """One rule in our words, and where it is published; `assumes` is what no venue says."""

    id: str
    says: str
    source: str
    confidence: str
    assumes: str


class RulesShown(Answer, frozen=True, kw_only=True):
    """A rule set: when, who, at which price, and where that is published."""

    name: str
    venue: str
    cases: tuple[CaseShown, ...]
    formula: str
    profitable_only: bool
    joint: bool
    indicator_scale: str
    policy: str
    last_resort: str | None
    fee_ppm: int
    cancels: str
    rules: tuple[RuleShown, ...]


class Health(Answer, frozen=True, kw_only=True):
    """Whether the engine runs; `failed` says what stopped it."""

    healthy: bool
    failed: str | None


class Readiness(Answer, frozen=True, kw_only=True):
    """Whether requests are answered as they should be; `waits_for` is what is not there yet."""

    ready: bool
    waits_for: str | None


class Status(Answer, frozen=True, kw_only=True):
    """Where the journal stands, and how much waits."""

    sequence: int
    head_hash: str
    time_ms: int
    now_ms: int
    waiting: int
    accounts: int
    journal: str
    version: str
