"""What has happened, in exact integers: the book applies them and the journal keeps them."""

from delever.core.messages.commands import DefineContract, DefinePool
from delever.core.messages.enums import FundingReason, NoticeKind, Reason, Side
from delever.core.messages.risk_ratings import Rating, SideIndicators
from delever.core.messages.snapshot_events import (
    AccountsDefined,
    BalanceColumnsSet,
    BalancesSet,
    DepthSet,
    Event,
    MarksSet,
    OpenOrdersSet,
    PositionColumnsSet,
    PositionsSet,
    RowIgnored,
    RowsIgnored,
)


class Accepted(Event, tag="accepted", frozen=True, kw_only=True):
    """First event of every accepted command: the engine's clock and sequence move on."""

    sequence: int
    time_ms: int


class Rejected(Event, tag="rejected", frozen=True, kw_only=True):
    """The command changed nothing; `field` is its path and `value` what stood there."""

    command: str
    reason: Reason
    field: str
    value: str


class AssetDefined(Event, tag="asset_defined", frozen=True, kw_only=True):
    """A settle asset has its smallest unit."""

    asset: str
    cash_decimals: int


class PoolDefined(Event, tag="pool_defined", frozen=True, kw_only=True):
    """A pool is open, with a balance of 0."""

    definition: DefinePool


class ContractDefined(Event, tag="contract_defined", frozen=True, kw_only=True):
    """A contract's terms are fixed."""

    definition: DefineContract


class AccountDefined(Event, tag="account_defined", frozen=True, kw_only=True):
    """An account is open, or its mode has changed."""

    account: str
    hedge_mode: bool
    adl_exempt: bool


class PoolFunded(Event, tag="pool_funded", frozen=True, kw_only=True):
    """An operator moved money into or out of a pool."""

    pool: str
    contract: str | None
    amount_cash: int
    reason: FundingReason
    note: str


class ContractMoved(Event, tag="contract_moved", frozen=True, kw_only=True):
    """A contract stands behind another pool and starts again there, inventory included."""

    contract: str
    source: str
    target: str
    note: str


class TakenOver(Event, tag="taken_over", frozen=True, kw_only=True):
    """A pool has assumed a position.

    `value_cash` is what the position was worth at the takeover price, and becomes the inventory's
    cost. `to_wallet_cash` and `to_pool_cash` share out what the account had in the position:
    realized profit plus isolated margin. `to_pool_cash` is negative where the pool pays.
    """

    takeover: int
    contract: str
    side: Side
    account: str
    position: int
    lots: int
    price_ticks: int
    value_cash: int
    cost_cash: int
    margin_cash: int
    realized_pnl_cash: int
    to_wallet_cash: int
    to_pool_cash: int
    equity_cash: int
    reason: Reason


class WalletSettled(Event, tag="wallet_settled", frozen=True, kw_only=True):
    """After a takeover of all cross positions the remainder goes to the pool (or comes from it)."""

    account: str
    asset: str
    pool: str
    contract: str
    amount_cash: int


class Unwound(Event, tag="unwound", frozen=True, kw_only=True):
    """Inventory of one takeover was closed in the market; profit belongs to the pool."""

    takeover: int
    contract: str
    side: Side
    lots: int
    price_ticks: int
    value_cash: int
    cost_cash: int
    realized_pnl_cash: int


class DepthWatched(Event, tag="depth_watched", frozen=True, kw_only=True):
    """Depth has begun (or ceased) to be less than the inventory of this side."""

    contract: str
    side: Side
    missing: bool


class PoolObserved(Event, tag="pool_observed", frozen=True, kw_only=True):
    """A pool's numbers at this moment: a point of its history, and what its peaks are made of."""

    pool: str
    balance_cash: int
    equity_cash: int
    contracts: tuple[str, ...]
    contract_pnl_cash: tuple[int, ...]


class AdlStarted(Event, tag="adl_started", frozen=True, kw_only=True):
    """A trigger holds for this contract; `numbers` is all that was compared."""

    contract: str
    pool: str
    trigger: str
    reason: Reason
    numbers: dict[str, int]


class AdlStopped(Event, tag="adl_stopped", frozen=True, kw_only=True):
    """The trigger has released the contract; `numbers` is all that was compared."""

    contract: str
    pool: str
    trigger: str
    reason: Reason
    numbers: dict[str, int]


class AdlPaused(Event, tag="adl_paused", frozen=True, kw_only=True):
    """An operator holds the contract's rounds back, or lets them go on."""

    contract: str
    paused: bool
    note: str


class AdlForced(Event, tag="adl_forced", frozen=True, kw_only=True):
    """An operator has the contract's inventory closed now; the rounds of this step follow."""

    contract: str
    note: str


# A round makes thousands of fills and notices: they may be made without naming every field, and the
# collector need not look at them, because they are part of no cycle.
class AdlFilled(Event, tag="adl_filled", frozen=True, gc=False):
    """A counterparty's position was closed, in part or whole, against inventory.

    `value_cash` is what the closed lots of the counterparty were worth at the price; the inventory's
    side is its negative. `margin_returned_cash` is the isolated margin set free with them.
    """

    fill: int
    takeover: int
    takeover_price_ticks: int
    pool: str
    liquidated_account: str
    contract: str
    side: Side
    account: str
    position: int
    isolated: bool
    leverage_hundredths: int
    lots: int
    price_ticks: int
    price_rule: str
    value_cash: int
    cost_cash: int
    realized_pnl_cash: int
    margin_returned_cash: int
    fee_cash: int
    pool_cost_cash: int
    pool_realized_pnl_cash: int
    rank: int
    score: float
    indicator: int
    quantity_ahead_lots: int
    cancel_orders: tuple[str, ...]


class FillCancelled(Event, tag="fill_cancelled", frozen=True, kw_only=True):
    """An ADL fill was taken back, to the last unit."""

    fill: AdlFilled
    note: str


class CounterpartySkipped(Event, tag="counterparty_skipped", frozen=True, kw_only=True):
    """A counterparty in line was passed over; `numbers` is what the rule compared."""

    contract: str
    side: Side
    account: str
    position: int
    rank: int
    reason: Reason
    numbers: dict[str, int]


class RoundClosed(Event, tag="round_closed", frozen=True, kw_only=True):
    """One ADL round: what was wanted, what was closed, and who never stood in line.

    `rounding_residual_cash` is what rounding prices to whole ticks left with the pool. `ineligible`
    counts positions by the reason that kept them out of the queue.
    """

    contract: str
    side: Side
    trigger: str
    price_rule: str
    numbers: dict[str, int]
    wanted_lots: int
    filled_lots: int
    rounding_residual_cash: int
    counterparties: int
    ineligible: dict[str, int]


class AdlExhausted(Event, tag="adl_exhausted", frozen=True, kw_only=True):
    """Inventory is left and nobody stands in line; tried again when the book moves."""

    contract: str
    side: Side
    left_lots: int
    reason: Reason


class LossSocialized(Event, tag="loss_socialized", frozen=True, kw_only=True):
    """What a pool was short of is borne by open positions; columns of equal length.

    `amount_cash` is what each gives up: its cost rises by that much. Together they are the loss,
    less `left_cash` that nobody could bear, plus what the rule rounds up. `fill` counts on in the
    numbers of fills: positions told with a `last_fill` below it do not include the loss yet.
    """

    fill: int
    contract: str
    rule: str
    loss_cash: int
    left_cash: int
    accounts: tuple[str, ...]
    sides: tuple[Side, ...]
    positions: tuple[int, ...]
    amount_cash: tuple[int, ...]


class WithdrawalCutSet(Event, tag="withdrawal_cut_set", frozen=True, kw_only=True):
    """From now on this part of every withdrawal stays behind with the pool; 0 is all clear."""

    pool: str
    cut_ppm: int
    deficit_cash: int
    total_cash: int


class RatingsSet(Event, tag="ratings_set", frozen=True, kw_only=True):
    """Contracts are rated anew, as the step leaves them."""

    ratings: tuple[Rating, ...]


class IndicatorsPublished(Event, tag="indicators_published", frozen=True, kw_only=True):
    """The indicators of all tables are published anew, as the step leaves them."""

    as_of: int
    time_ms: int
    tables: tuple[SideIndicators, ...]


class Notice(Event, tag="notice", frozen=True, gc=False):
    """Somebody must be told: the account named, or the operator where none is.

    `subject` is the trigger that the notice is about, or empty.
    """

    kind: NoticeKind
    subject: str
    account: str
    contract: str
    numbers: dict[str, int]


AnyEvent = (
    Accepted
    | Rejected
    | AssetDefined
    | PoolDefined
    | ContractDefined
    | AccountDefined
    | BalancesSet
    | PositionsSet
    | AccountsDefined
    | BalanceColumnsSet
    | PositionColumnsSet
    | RowsIgnored
    | OpenOrdersSet
    | RowIgnored
    | MarksSet
    | DepthSet
    | PoolFunded
    | ContractMoved
    | TakenOver
    | WalletSettled
    | Unwound
    | DepthWatched
    | PoolObserved
    | AdlStarted
    | AdlStopped
    | AdlPaused
    | AdlForced
    | AdlFilled
    | FillCancelled
    | CounterpartySkipped
    | RoundClosed
    | AdlExhausted
    | LossSocialized
    | WithdrawalCutSet
    | RatingsSet
    | IndicatorsPublished
    | Notice
)
