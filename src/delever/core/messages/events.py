"""Events: facts in exact integers, which the book applies and the journal stores."""

from delever.core.messages.commands import DefineCollateral, DefineContract, DefinePool
from delever.core.messages.enums import FundingReason, NoticeKind, Reason, Side, TradingStatus
from delever.core.messages.risk_ratings import Rating, SideIndicators
from delever.core.messages.snapshot_events import (
    AccountMarginSet,
    AccountsDefined,
    BalanceColumnsSet,
    BalancesSet,
    DepthSet,
    Event,
    IndexPriceRejected,
    MarkRejected,
    MarksSet,
    OpenOrdersSet,
    PositionColumnsSet,
    PositionsSet,
    RowIgnored,
    RowRejected,
    RowsIgnored,
    RowsRejected,
)


class Accepted(Event, tag="accepted", frozen=True, kw_only=True):
    """A command was accepted: the first event of its step, with the new sequence and time."""

    sequence: int
    time_ms: int


class Rejected(Event, tag="rejected", frozen=True, kw_only=True):
    """A command was rejected and changed nothing; `field` is the path of the rejected value."""

    command: str
    reason: Reason
    field: str
    value: str


class AssetDefined(Event, tag="asset_defined", frozen=True, kw_only=True):
    """The smallest unit of a settle asset was defined."""

    asset: str
    cash_decimals: int


class PoolDefined(Event, tag="pool_defined", frozen=True, kw_only=True):
    """An insurance pool was opened, with a balance of 0.

    `rules_digest` is the BLAKE2b-256 of a rule set of one's own, and empty for a venue's.
    """

    definition: DefinePool
    rules_digest: str = ""


class ContractDefined(Event, tag="contract_defined", frozen=True, kw_only=True):
    """A contract was defined."""

    definition: DefineContract


class CollateralDefined(Event, tag="collateral_defined", frozen=True, kw_only=True):
    """An asset was defined as collateral, or its terms changed."""

    definition: DefineCollateral


class IndexPricesSet(Event, tag="index_prices_set", frozen=True, kw_only=True):
    """Index prices of collateral were set, in 10^-10 of the margin currency; columns."""

    assets: tuple[str, ...]
    index_prices: tuple[int, ...]


class AccountDefined(Event, tag="account_defined", frozen=True, kw_only=True):
    """An account was opened, or its modes changed."""

    account: str
    hedge_mode: bool
    adl_exempt: bool
    multi_asset: bool = False
    owner: str = ""


class PoolFunded(Event, tag="pool_funded", frozen=True, kw_only=True):
    """An operator moved money into or out of a pool."""

    pool: str
    contract: str | None
    amount_cash: int
    reason: FundingReason
    note: str


class ContractMoved(Event, tag="contract_moved", frozen=True, kw_only=True):
    """A contract moved to another pool, with its inventory; its contract PnL starts again there."""

    contract: str
    source: str
    target: str
    note: str


class ContractAmended(Event, tag="contract_amended", frozen=True, kw_only=True):
    """The terms of a contract were amended; `definition` has the new values.

    `price_unit` is the unit of the contract's integer prices from this event on: the tick, or a
    divisor of it where the book has prices between ticks. Quantities are in the new lot.
    """

    contract: str
    definition: DefineContract
    price_unit: str
    note: str


class PoolAmended(Event, tag="pool_amended", frozen=True, kw_only=True):
    """The rules of an insurance pool were amended; `definition` has the new values."""

    pool: str
    definition: DefinePool
    rules_digest: str
    note: str


class PositionsClosed(Event, tag="positions_closed", frozen=True, kw_only=True):
    """The venue closed positions of one side at a price, in part or whole; columns.

    `cost_cash` and `margin_cash` are what belonged to the closed lots. Realized PnL and margin go
    to the account's wallet, less `to_pool_cash`: negative where the loss of an isolated position is
    larger than its margin, which the pool pays. Lots of the two sides that differ, and their value,
    are the venue's.
    """

    contract: str
    side: Side
    reason: Reason
    price: str
    accounts: tuple[str, ...]
    positions: tuple[int, ...]
    lots: tuple[int, ...]
    cost_cash: tuple[int, ...]
    margin_cash: tuple[int, ...]
    realized_pnl_cash: tuple[int, ...]
    to_pool_cash: tuple[int, ...]


class InventoryClosed(Event, tag="inventory_closed", frozen=True, kw_only=True):
    """The venue closed inventory of one side at a price, by takeover; columns.

    Realized PnL is the pool's.
    """

    contract: str
    side: Side
    reason: Reason
    price: str
    takeovers: tuple[int, ...]
    lots: tuple[int, ...]
    cost_cash: tuple[int, ...]
    realized_pnl_cash: tuple[int, ...]


class ContractStatusSet(Event, tag="contract_status_set", frozen=True, kw_only=True):
    """The status of a contract changed; `fund_pays` as in the command."""

    contract: str
    status: TradingStatus
    fund_pays: bool
    note: str


class ContractSettled(Event, tag="contract_settled", frozen=True, kw_only=True):
    """A contract was settled at a price; the closing of its positions and inventory precede.

    Values are rounded down: `rounding_cash` is what that has left, and the pool's.
    """

    contract: str
    price: str
    rounding_cash: int
    note: str


class SettlementLossShared(Event, tag="settlement_loss_shared", frozen=True, kw_only=True):
    """The winners of a settled contract paid what its pool could not; columns of equal length.

    Each pays in proportion to its realized PnL in the contract, at most that and its equity.
    `unfunded_cash` is the part of the loss that is still open.
    """

    contract: str
    pool: str
    loss_cash: int
    unfunded_cash: int
    accounts: tuple[str, ...]
    amount_cash: tuple[int, ...]


class TakenOver(Event, tag="taken_over", frozen=True, kw_only=True):
    """A pool took over a position.

    `value_cash` is the position's value at the takeover price, and the cost of the new inventory.
    `to_wallet_cash` and `to_pool_cash` divide realized PnL plus isolated margin between the
    account's wallet and the pool; `to_pool_cash` is negative where the pool pays. `equity_cash` and
    `maintenance_cash` are equity and maintenance margin of the position's margin bucket before the
    takeover.
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
    maintenance_cash: int
    reason: Reason


class PositionsNetted(Event, tag="positions_netted", frozen=True, kw_only=True):
    """A long and a short cross position of one account were closed against each other at the mark.

    It happens before a takeover, without a fee. `long_lots` and `short_lots` are what the positions
    had, `lots` is what each lost. The realized PnL, minus both costs, goes to the account's wallet.
    `mark_ticks` is rounded down where the mark is finer than the tick.
    """

    contract: str
    account: str
    long_position: int
    short_position: int
    long_lots: int
    short_lots: int
    lots: int
    mark_ticks: int
    long_cost_cash: int
    short_cost_cash: int
    realized_pnl_cash: int


class InventoryNetted(Event, tag="inventory_netted", frozen=True, kw_only=True):
    """Long and short inventory of one pool in one contract was closed against itself at the mark.

    `long_lots` and `short_lots` are what the two takeovers had open, `lots` is what each lost. The
    realized PnL, minus both costs, is the pool's.
    """

    contract: str
    pool: str
    long_takeover: int
    short_takeover: int
    long_lots: int
    short_lots: int
    lots: int
    mark_ticks: int
    long_cost_cash: int
    short_cost_cash: int
    realized_pnl_cash: int


class WalletSettled(Event, tag="wallet_settled", frozen=True, kw_only=True):
    """An account's wallet was settled with the pool after a takeover of all cross positions."""

    account: str
    asset: str
    pool: str
    contract: str
    amount_cash: int


class CollateralTakenOver(Event, tag="collateral_taken_over", frozen=True, kw_only=True):
    """A pool took collateral of an account and credited its wallet in the pool's asset.

    It happens after the takeover of all cross positions of an account in multi-asset mode whose
    wallet in the pool's asset is negative. `amount_cash` is in the smallest unit of `asset`,
    `value_cash`, the credit and the pool's cost, in that of the pool's asset;
    `conversion_loss_cash` is the value at the bid less the credit. Amount and value are negative
    for a debt that the pool assumed.
    """

    account: str
    pool: str
    contract: str
    asset: str
    amount_cash: int
    value_cash: int
    conversion_loss_cash: int


class CollateralConverted(Event, tag="collateral_converted", frozen=True, kw_only=True):
    """The venue sold collateral of a pool; proceeds less cost are the pool's.

    `amount_cash` is in the smallest unit of `asset`, the other amounts are in the pool's.
    """

    pool: str
    asset: str
    amount_cash: int
    cost_cash: int
    proceeds_cash: int
    realized_pnl_cash: int


class Unwound(Event, tag="unwound", frozen=True, kw_only=True):
    """Inventory of one takeover was closed in the market; its realized PnL is the pool's."""

    takeover: int
    contract: str
    side: Side
    lots: int
    price_ticks: int
    value_cash: int
    cost_cash: int
    realized_pnl_cash: int


class DepthSufficiencySet(Event, tag="depth_sufficiency_set", frozen=True, kw_only=True):
    """Depth became insufficient, or sufficient again, for the inventory of this side."""

    contract: str
    side: Side
    sufficient: bool


class PoolObserved(Event, tag="pool_observed", frozen=True, kw_only=True):
    """A pool's balance, equity and contract PnL were observed: a point of its history and peaks."""

    pool: str
    balance_cash: int
    equity_cash: int
    contracts: tuple[str, ...]
    contract_pnl_cash: tuple[int, ...]


class AdlStarted(Event, tag="adl_started", frozen=True, kw_only=True):
    """A trigger started ADL for a contract; `numbers` are all numbers that it compared."""

    contract: str
    pool: str
    trigger: str
    reason: Reason
    numbers: dict[str, int]


class AdlStopped(Event, tag="adl_stopped", frozen=True, kw_only=True):
    """A trigger stopped ADL for a contract; `numbers` are all numbers that it compared."""

    contract: str
    pool: str
    trigger: str
    reason: Reason
    numbers: dict[str, int]


class AdlPaused(Event, tag="adl_paused", frozen=True, kw_only=True):
    """An operator paused the ADL rounds of a contract, or resumed them."""

    contract: str
    paused: bool
    note: str


class MarkUnconfirmed(Event, tag="mark_unconfirmed", frozen=True, kw_only=True):
    """A mark is beyond its contract's limits: takeovers, unwinding and ADL pause until confirmed.

    Both marks are in whole ticks, rounded down; `confirmed_fraction` is what the last confirmed one
    is above them, as in `marks_set`. `numbers` are what the limit compared.
    """

    contract: str
    reason: Reason
    mark_ticks: int
    confirmed_ticks: int
    confirmed_fraction: int
    numbers: dict[str, int]


class MarkConfirmed(Event, tag="mark_confirmed", frozen=True, kw_only=True):
    """A contract's mark was confirmed, by a later mark or, with a note, by an operator."""

    contract: str
    mark_ticks: int
    note: str


class AdlForced(Event, tag="adl_forced", frozen=True, kw_only=True):
    """An operator forced an ADL round; the events of the round follow."""

    contract: str
    note: str


class PlanWaitSet(Event, tag="plan_wait_set", frozen=True, kw_only=True):
    """An operator set how long ADL rounds of a contract wait for a plan; 0: not at all."""

    contract: str
    wait_ms: int
    note: str


class PlanRequested(Event, tag="plan_requested", frozen=True, kw_only=True):
    """A round waits for a plan until `until_ms`; `side` is that of the inventory to close.

    The request ends when a round has closed all that it wanted, or when ADL stops.
    """

    contract: str
    side: Side
    trigger: str
    wanted_lots: int
    until_ms: int


class PlanAccepted(Event, tag="plan_accepted", frozen=True, kw_only=True):
    """A plan was found valid: its rounds follow.

    `book_sequence` is that of the book that it was made from, `certificate` the BLAKE2b-256 of its
    certificate.
    """

    book_sequence: int
    certificate: str
    contracts: tuple[str, ...]
    note: str


# A round has thousands of fills and notices: positional fields make them faster to create.
class AdlFilled(Event, tag="adl_filled", frozen=True, gc=False):
    """A counterparty's position was closed against inventory, in part or whole.

    `value_cash` is the value of the closed lots at the fill price, and the negative value of the
    inventory closed. `margin_returned_cash` is the isolated margin that returned to the wallet.
    `rank`, `score`, `indicator` and `quantity_ahead_lots` are the counterparty's place in the queue
    of the round. `cancel_orders` are open orders that the venue must cancel.
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
    """An ADL fill was cancelled and fully reversed."""

    fill: AdlFilled
    note: str


class Compensated(Event, tag="compensated", frozen=True, kw_only=True):
    """A pool paid an account for a wrong ADL fill.

    `compensation` continues the numbering of fills: balances submitted with a lower `last_fill` do
    not include the amount.
    """

    compensation: int
    fill: int
    account: str
    contract: str
    pool: str
    asset: str
    amount_cash: int
    note: str


class CounterpartySkipped(Event, tag="counterparty_skipped", frozen=True, kw_only=True):
    """A ranked counterparty was ineligible and skipped; `numbers` are what the rule compared."""

    contract: str
    side: Side
    account: str
    position: int
    rank: int
    reason: Reason
    numbers: dict[str, int]


class RoundClosed(Event, tag="round_closed", frozen=True, kw_only=True):
    """An ADL round ended: quantity wanted, quantity filled, and positions that were not ranked.

    `rounding_residual_cash` is the pool's gain from rounding prices to whole ticks. `unfunded_cash`
    is the loss of the round that the pool could not pay: by so much the round took its balance
    below 0, or further below. `ineligible` counts positions outside the queue by reason.
    """

    contract: str
    side: Side
    trigger: str
    price_rule: str
    numbers: dict[str, int]
    wanted_lots: int
    filled_lots: int
    rounding_residual_cash: int
    unfunded_cash: int = 0
    counterparties: int
    ineligible: dict[str, int]


class AdlExhausted(Event, tag="adl_exhausted", frozen=True, kw_only=True):
    """The queue was exhausted with inventory open; the next change of the book retries."""

    contract: str
    side: Side
    remaining_lots: int
    reason: Reason


class LossSocialized(Event, tag="loss_socialized", frozen=True, kw_only=True):
    """A pool's deficit was socialized over open positions; columns of equal length.

    `amount_cash` is each position's haircut: its cost rises by it. The haircuts sum to the loss,
    less `unfunded_cash` that no position could pay, plus the rounding of the rule. `fill` continues
    the numbering of fills: positions submitted with a lower `last_fill` do not include the loss.
    """

    fill: int
    contract: str
    rule: str
    loss_cash: int
    unfunded_cash: int
    accounts: tuple[str, ...]
    sides: tuple[Side, ...]
    positions: tuple[int, ...]
    amount_cash: tuple[int, ...]


class WithdrawalHaircutSet(Event, tag="withdrawal_haircut_set", frozen=True, kw_only=True):
    """The haircut on withdrawals changed: the pool retains this part of each; 0 is none."""

    pool: str
    haircut_ppm: int
    deficit_cash: int
    total_cash: int


class RatingsSet(Event, tag="ratings_set", frozen=True, kw_only=True):
    """The ADL risk of contracts was rated, as of the end of the step."""

    ratings: tuple[Rating, ...]


class IndicatorsPublished(Event, tag="indicators_published", frozen=True, kw_only=True):
    """The ADL indicators of all positions were published, as of the end of the step."""

    as_of: int
    time_ms: int
    tables: tuple[SideIndicators, ...]


class Notice(Event, tag="notice", frozen=True, gc=False):
    """A notice to an account, or to the operator where `account` is empty.

    `subject` is the name of the trigger concerned, or empty.
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
    | CollateralDefined
    | AccountDefined
    | BalancesSet
    | PositionsSet
    | AccountsDefined
    | BalanceColumnsSet
    | PositionColumnsSet
    | RowsIgnored
    | AccountMarginSet
    | OpenOrdersSet
    | RowIgnored
    | RowRejected
    | RowsRejected
    | MarksSet
    | MarkRejected
    | IndexPricesSet
    | IndexPriceRejected
    | DepthSet
    | PoolFunded
    | ContractMoved
    | ContractAmended
    | PoolAmended
    | PositionsClosed
    | InventoryClosed
    | ContractStatusSet
    | ContractSettled
    | SettlementLossShared
    | TakenOver
    | PositionsNetted
    | InventoryNetted
    | WalletSettled
    | CollateralTakenOver
    | CollateralConverted
    | Unwound
    | DepthSufficiencySet
    | PoolObserved
    | AdlStarted
    | AdlStopped
    | AdlPaused
    | MarkUnconfirmed
    | MarkConfirmed
    | AdlForced
    | PlanWaitSet
    | PlanRequested
    | PlanAccepted
    | AdlFilled
    | FillCancelled
    | Compensated
    | CounterpartySkipped
    | RoundClosed
    | AdlExhausted
    | LossSocialized
    | WithdrawalHaircutSet
    | RatingsSet
    | IndicatorsPublished
    | Notice
)
