"""Commands: everything that a venue submits to the engine.

Amounts are decimal text, and absolute wherever possible: a balance, not a change of it.
"""

import msgspec

from delever.core.messages.enums import (
    ContractKind,
    FundingReason,
    OddLots,
    PoolKind,
    Side,
    TradingStatus,
)

Amount = str | int
"""An exact decimal: text, or a whole JSON number. A JSON float is rejected by the decoder."""


class Command(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    forbid_unknown_fields=True,
    gc=False,
):
    """A command of the venue. `time_ms` is the engine's only clock and never decreases.

    `id` identifies the command to the venue, for example for de-duplication; it may be empty. `by`
    is who submitted it: a server sets it to the public name of the API key.
    """

    time_ms: int
    id: str = ""
    by: str = ""


class DefineAsset(Command, tag="define_asset", frozen=True, kw_only=True):
    """Define the smallest unit of a settle asset, before its first use. The default is 10^-8."""

    asset: str
    cash_decimals: int = 8


class TriggerLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits that override those of the rule set, for a pool or for one of its contracts.

    `start` and `stop` are drawdown ratios ("0.30" is 30 % below the peak). `trigger_threshold` is
    the pool balance above which a contract drawdown starts ADL. `wait_ms` is the time for which
    depth may be insufficient for the inventory. `stop_equity` is the fund equity that an ADL round
    restores and above which ADL stops, where a trigger is about the fund's equity (0 by default).

    Loss caps: `takeover_loss` is the most that the fund loses on one position taken over;
    `contract_daily_loss` and `pool_daily_loss` are the parts of the fund's equity at 00:00 UTC that
    it loses in one contract, and in all together, in a day ("0.025" is 2.5 %). `vault_cap` is the
    part of a vault's equity at 00:00 UTC that its liquidator may lose in a day, `loss_threshold`
    the cash amount of it; the smaller of both counts. Where losses are counted, `loss_threshold` is
    the loss within a minute that counts as one. `backlog` is the notional of open inventory that
    starts ADL. A limit that no trigger of the rule set reads
    is rejected, and so is a managed pool without a limit that its rule set needs.
    """

    start: Amount | None = None
    stop: Amount | None = None
    trigger_threshold: Amount | None = None
    wait_ms: int | None = None
    stop_equity: Amount | None = None
    takeover_loss: Amount | None = None
    contract_daily_loss: Amount | None = None
    pool_daily_loss: Amount | None = None
    vault_cap: Amount | None = None
    loss_threshold: Amount | None = None
    backlog: Amount | None = None


class MarkLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of a contract's marks, beyond which nothing is done at a mark until it is confirmed.

    `max_move` is the largest move from one mark to the next as a ratio ("0.2" is 20 %),
    `max_age_ms` the largest age of a mark.
    """

    max_move: Amount | None = None
    max_age_ms: int | None = None


class DefinePool(Command, tag="define_pool", frozen=True, kw_only=True):
    """Open an insurance pool. In a `managed` pool the engine takes over and unwinds by itself.

    `max_slippage` limits the distance from the mark at which inventory is unwound. `peak_window_ms`
    is the rolling window of balance, equity and contract PnL peaks.
    """

    pool: str
    kind: PoolKind
    asset: str
    rules: str
    managed: bool = False
    max_slippage: Amount = "0.025"
    peak_window_ms: int = 8 * 3_600_000
    limits: TriggerLimits = TriggerLimits()


class MarginTier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Maintenance margin rate for the part of a position's notional above `notional_from`."""

    notional_from: Amount
    maintenance_rate: Amount


class DefineContract(Command, tag="define_contract", frozen=True, kw_only=True):
    """Define a perpetual contract: its terms and its insurance pool.

    Tiers start at 0 and ascend in notional and rate. No position of an `adl_exempt` contract is
    deleveraged. A mark beyond `mark_limits` pauses takeovers, unwinding and ADL of the contract.
    """

    contract: str
    kind: ContractKind
    settle: str
    pool: str
    tick_size: Amount
    lot_size: Amount
    multiplier: Amount = 1
    margin_tiers: tuple[MarginTier, ...] = (MarginTier(notional_from=0, maintenance_rate="0.005"),)
    adl_exempt: bool = False
    limits: TriggerLimits = TriggerLimits()
    mark_limits: MarkLimits = MarkLimits()


class CollateralTier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Collateral rate of the part of a balance above `quantity_from`, or above `value_from`.

    `quantity_from` is in the asset, `value_from` in the margin currency at the bid. The rate is the
    part of the value that counts, from 0 to 1.
    """

    rate: Amount
    quantity_from: Amount | None = None
    value_from: Amount | None = None


class DefineCollateral(Command, tag="define_collateral", frozen=True, kw_only=True):
    """Define an asset as collateral of accounts in `multi_asset` mode, or change its terms.

    The first command names the `margin_currency`, in which equity is counted; later ones may omit
    it. `index_price` is the price of one unit of the asset in it. A positive balance counts at the
    bid, index price x (1 - `bid_buffer`), a negative one at the ask, index price x (1 +
    `ask_buffer`). Tiers start at 0 and ascend, and their rates do not rise; they apply to positive
    balances only. `conversion_haircut` is the part of the bid that a conversion of the asset after
    a takeover loses; the part of a balance above `cap` has the rate 0.
    """

    asset: str
    index_price: Amount
    margin_currency: str = ""
    bid_buffer: Amount = 0
    ask_buffer: Amount = 0
    tiers: tuple[CollateralTier, ...] = (CollateralTier(rate=1, quantity_from=0),)
    conversion_haircut: Amount = 0
    cap: Amount | None = None


class DefineAccount(Command, tag="define_account", frozen=True, kw_only=True):
    """Open an account, or change its modes.

    In hedge mode the account may have positions on both sides of a contract. An `adl_exempt`
    account is never a counterparty of ADL. In `multi_asset` mode the balances of all assets that
    are collateral margin all of its cross positions together. `owner` names who has the account, by
    default the account itself: accounts of one owner are its subaccounts. `note` is the reason of
    an exemption, for the record.
    """

    account: str
    hedge_mode: bool = False
    adl_exempt: bool = False
    multi_asset: bool = False
    owner: str = ""
    note: str = ""


class BalanceRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The balance of one wallet: cash without unrealized PnL and without isolated margins."""

    account: str
    asset: str
    balance: Amount


class SetBalances(Command, tag="set_balances", frozen=True, kw_only=True):
    """Set balances.

    `version` is the venue's and does not decrease; older rows are ignored. `last_fill` is the last
    ADL fill that the balances include; later fills are added to them.
    """

    version: int
    last_fill: int = 0
    balances: tuple[BalanceRow, ...]
    strict: bool = False


class PositionRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One position; quantity 0 closes it.

    `quantity` may be signed; its sign must then agree with `side`. The entry is either a price of
    any precision (the cost is rounded to nearest) or an exact cost without sign. A position with
    `isolated_margin` is isolated, one without is cross. `position` is the position id where an
    account may have several on one side. `open_orders` are the ids of the account's open orders in
    the contract: ADL fills list those to cancel.
    """

    account: str
    contract: str
    side: Side
    quantity: Amount
    entry_price: Amount | None = None
    entry_cost: Amount | None = None
    isolated_margin: Amount | None = None
    leverage: Amount = 1
    position: int = 0
    under_liquidation: bool = False
    open_orders: tuple[str, ...] = ()


class SetPositions(Command, tag="set_positions", frozen=True, kw_only=True):
    """Set positions.

    `version` is the venue's and does not decrease; older rows are ignored. `last_fill` is the last
    ADL fill that the positions include; later fills are subtracted from them. A row that cannot be
    taken is rejected alone: the last accepted one stays, marked stale, and is no counterparty and
    not taken over until a right row comes; `strict` rejects the whole command instead.
    """

    version: int
    last_fill: int = 0
    positions: tuple[PositionRow, ...]
    strict: bool = False


class SetAccountMargin(Command, tag="set_account_margin", frozen=True, kw_only=True):
    """Set the cross margin of an account in an asset to that of the venue's own risk engine.

    For portfolio margin, and whatever else is not modeled here. Equity and maintenance margin
    replace the engine's sums over balance and cross positions in scores, indicators, takeover
    prices and the decision to take over; isolated positions keep their own. They stay as submitted
    when marks, balances or positions are set; the engine's own fills and takeovers change them.
    Both null return to the engine's sums. `version` is the venue's and does not decrease; an older
    command is ignored.
    """

    version: int
    account: str
    asset: str
    equity: Amount | None
    maintenance: Amount | None


class DefineAccounts(Command, tag="define_accounts", frozen=True, kw_only=True):
    """Open accounts, or change their modes, as columns: `define_account` for many.

    `hedge_mode`, `adl_exempt` and `multi_asset` have one byte an account, 0 or 1; an omitted column
    is 0 for all. `owners` has one name an account, or none at all. `note` is the reason of
    exemptions, for the record.
    """

    accounts: tuple[str, ...]
    hedge_mode: bytes = b""
    adl_exempt: bytes = b""
    multi_asset: bytes = b""
    owners: tuple[str, ...] = ()
    note: str = ""


class SetBalanceColumns(Command, tag="set_balance_columns", frozen=True, kw_only=True):
    """Set balances of one asset, as columns: `set_balances` for many accounts.

    `balance_cash` has one 64-bit little-endian integer a row, in the asset's smallest unit. Row by
    row the accounts are those of `accounts` or, with a column `account`, its 32-bit indices into
    `accounts`. Without `accounts` the indices count accounts in order of definition, from 0.
    """

    version: int
    last_fill: int = 0
    asset: str
    accounts: tuple[str, ...] = ()
    account: bytes = b""
    balance_cash: bytes
    strict: bool = False


class SetPositionColumns(Command, tag="set_position_columns", frozen=True, kw_only=True):
    """Set positions, as columns: `set_positions` for many rows.

    Columns have one little-endian integer a row, as Arrow arrays do. `account` and `contract` are
    32-bit indices into `accounts` and `contracts`; without `accounts`, account indices count
    accounts in order of definition, from 0. `side` is a byte (0 long, 1 short); `lots` and
    `cost_cash` are 64-bit and unsigned; 0 lots close a position. Omitted columns have defaults:
    position id 0 (32-bit), not isolated (a byte), margin 0 (64-bit, isolated positions only),
    leverage 1 (32-bit, in hundredths), not under liquidation (a byte).
    """

    version: int
    last_fill: int = 0
    accounts: tuple[str, ...] = ()
    contracts: tuple[str, ...]
    account: bytes
    contract: bytes
    side: bytes
    lots: bytes
    cost_cash: bytes
    position: bytes = b""
    isolated: bytes = b""
    margin_cash: bytes = b""
    leverage_hundredths: bytes = b""
    under_liquidation: bytes = b""
    strict: bool = False


class SetMarks(Command, tag="set_marks", frozen=True, kw_only=True):
    """Set mark prices, by contract; a mark may be finer than the tick, with up to 10 decimals.

    A mark that cannot be taken is rejected alone, and its contract keeps the mark before; `strict`
    rejects the whole command instead.
    """

    marks: dict[str, Amount]
    strict: bool = False


class SetIndexPrices(Command, tag="set_index_prices", frozen=True, kw_only=True):
    """Set index prices of collateral in the margin currency, by asset.

    A price that cannot be taken is rejected alone, and its asset keeps the price before; `strict`
    rejects the whole command instead. Prices at which equity could exceed the numeric range are
    rejected together.
    """

    prices: dict[str, Amount]
    strict: bool = False


class SetDepth(Command, tag="set_depth", frozen=True, kw_only=True):
    """Set the order book that may absorb inventory: (price, quantity) levels, best price first."""

    contract: str
    bids: tuple[tuple[Amount, Amount], ...] = ()
    asks: tuple[tuple[Amount, Amount], ...] = ()


class Takeover(Command, tag="takeover", frozen=True, kw_only=True):
    """Take over a position into its insurance pool; without a contract, all of the account's.

    Without a price each position is taken over at its own bankruptcy price.
    """

    account: str
    contract: str | None = None
    side: Side | None = None
    price: Amount | None = None


class UnwindFill(Command, tag="unwind_fill", frozen=True, kw_only=True):
    """Report that the venue closed inventory of this side in the market.

    A quantity larger than the inventory closes all of it, with a notice of both quantities.
    """

    contract: str
    side: Side
    quantity: Amount
    price: Amount


class ConvertCollateral(Command, tag="convert_collateral", frozen=True, kw_only=True):
    """Report that the venue sold collateral of an insurance fund for the fund's own asset.

    `proceeds` are what the fund received. Where the fund owes the asset, both amounts are negative:
    what was bought back, and what it cost.
    """

    pool: str
    asset: str
    quantity: Amount
    proceeds: Amount


class FundPool(Command, tag="fund_pool", frozen=True, kw_only=True):
    """Move money into a pool (positive) or out of it (negative); book it to a contract if named."""

    pool: str
    amount: Amount
    reason: FundingReason
    contract: str | None = None
    note: str = ""


class MoveContract(Command, tag="move_contract", frozen=True, kw_only=True):
    """Move a contract to another pool; its contract PnL and peak start again there."""

    contract: str
    pool: str
    note: str


class AmendContract(Command, tag="amend_contract", frozen=True, kw_only=True):
    """Amend the terms of a live contract; fields left out keep their values.

    `margin_tiers`, `limits` and `mark_limits` replace the former ones whole. Positions, marks,
    depth and inventory keep their money and are expressed in the new tick and lot. A position,
    tranche, depth level or outstanding fill that is no multiple of the new lot rejects the command;
    with `odd_lots` `close_at_mark` the part beyond whole lots is closed at the mark, without a fee.
    New margin tiers apply at once, but a managed pool takes nobody over in the step of the
    amendment.
    """

    contract: str
    note: str
    tick_size: Amount | None = None
    lot_size: Amount | None = None
    margin_tiers: tuple[MarginTier, ...] | None = None
    adl_exempt: bool | None = None
    limits: TriggerLimits | None = None
    mark_limits: MarkLimits | None = None
    odd_lots: OddLots = OddLots.REJECT


class AmendPool(Command, tag="amend_pool", frozen=True, kw_only=True):
    """Amend the rules of a live insurance pool; fields left out keep their values.

    `limits` replaces the former ones whole. Under new `rules` ADL that was started by a trigger
    which they lack stops. After a change of `peak_window_ms` values before the former window are
    not known.
    """

    pool: str
    note: str
    rules: str | None = None
    limits: TriggerLimits | None = None
    max_slippage: Amount | None = None
    peak_window_ms: int | None = None


class DelistContract(Command, tag="delist_contract", frozen=True, kw_only=True):
    """Set the status of a contract that is to be settled: close_only, then settling.

    From then on a position that is new or larger than the one known is rejected; `trading` calls
    the delisting off. With `fund_pays` false the insurance fund takes no part: its inventory in the
    contract is not sold in the market but closed by ADL at once, whether or not a trigger is on.
    """

    contract: str
    note: str
    status: TradingStatus = TradingStatus.CLOSE_ONLY
    fund_pays: bool = True


class SettleContract(Command, tag="settle_contract", frozen=True, kw_only=True):
    """Close all positions and the inventory of a contract at its settlement price.

    The price may have any precision; there is no fee. The insurance fund pays what accounts lack.
    What it does not have is shared by the contract's winners, or stays open, as the rule set says.
    """

    contract: str
    price: Amount
    note: str


class CancelAdl(Command, tag="cancel_adl", frozen=True, kw_only=True):
    """Cancel an ADL fill that the venue could not apply; the inventory is open again."""

    fill: int
    note: str


class Compensate(Command, tag="compensate", frozen=True, kw_only=True):
    """Pay an account from the contract's pool what it is owed for a wrong ADL fill.

    Unlike `cancel_adl` it needs no outstanding fill and leaves position and inventory as they are.
    The pool must have the amount. `fill` is the number of the ADL fill, or of a socialized loss.
    """

    account: str
    contract: str
    fill: int
    amount: Amount
    note: str


class PauseAdl(Command, tag="pause_adl", frozen=True, kw_only=True):
    """Pause the ADL rounds of a contract, or resume them.

    Triggers are still evaluated and notices sent; the socialization of losses is not paused.
    """

    contract: str
    paused: bool
    note: str


class ForceAdl(Command, tag="force_adl", frozen=True, kw_only=True):
    """Run one ADL round of a contract now, whether or not a trigger is on or ADL is paused.

    The first case of the rule set with inventory to close decides the price.
    """

    contract: str
    note: str


class SetPlanWait(Command, tag="set_plan_wait", frozen=True, kw_only=True):
    """Set how long ADL rounds of a contract wait for a plan of `allocate_adl`; 0: not at all.

    A round that has inventory to close requests a plan (`plan_requested`) and is deferred until
    one is accepted or `wait_ms` have passed. Then the policy of the rule set divides the quantity,
    as it does without a wait.
    """

    contract: str
    wait_ms: int
    note: str


class PlannedFill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The quantity that a plan closes of one position."""

    account: str
    quantity: Amount
    position: int = 0


class PlannedRound(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a plan closes in one round that awaits it.

    `side` is that of the inventory, as in `plan_requested` and `round_closed`; `fills` are of the
    other side. `price_limit` is the ADL price that is worst for them and still accepted: the
    lowest at which longs are closed, the highest at which shorts are.
    """

    contract: str
    side: Side
    price_limit: Amount
    fills: tuple[PlannedFill, ...]


class AllocateAdl(Command, tag="allocate_adl", frozen=True, kw_only=True):
    """Close positions as a plan says that was solved outside the engine, over all its contracts.

    `book_sequence` is the sequence of the book that the plan was made from, `certificate` the
    BLAKE2b-256 of its certificate in hexadecimal. Every round of the plan must await one, at a
    price within its limit, and want at least the plan's quantity; every position must be eligible
    and large enough. Otherwise the whole plan is rejected with its first fault, the book stays as
    it is, and the policy of the rule set runs when the wait is over.
    """

    book_sequence: int
    certificate: str
    rounds: tuple[PlannedRound, ...]
    note: str


class ConfirmMark(Command, tag="confirm_mark", frozen=True, kw_only=True):
    """Confirm the mark of a contract that is beyond the contract's mark limits.

    Takeovers, unwinding and ADL of the contract resume at once.
    """

    contract: str
    note: str


class RefreshRatings(Command, tag="refresh_ratings", frozen=True, kw_only=True):
    """Rate the ADL risk of contracts, or of all with a mark; every 30 min and on demand."""

    contracts: tuple[str, ...] = ()


class RefreshIndicators(Command, tag="refresh_indicators", frozen=True, kw_only=True):
    """Publish the ADL indicators of all positions; every 30 s."""


class SetTime(Command, tag="set_time", frozen=True, kw_only=True):
    """Advance the time: rolling windows move and waits end.

    With `confirmed` an operator confirms a jump beyond the limit of the journal, and says why in
    `note`; any other command that would jump so far is rejected.
    """

    confirmed: bool = False
    note: str = ""


AnyCommand = (
    DefineAsset
    | DefinePool
    | DefineContract
    | DefineCollateral
    | DefineAccount
    | SetBalances
    | SetPositions
    | SetAccountMargin
    | DefineAccounts
    | SetBalanceColumns
    | SetPositionColumns
    | SetMarks
    | SetIndexPrices
    | SetDepth
    | Takeover
    | UnwindFill
    | ConvertCollateral
    | FundPool
    | MoveContract
    | AmendContract
    | AmendPool
    | DelistContract
    | SettleContract
    | CancelAdl
    | Compensate
    | PauseAdl
    | ForceAdl
    | SetPlanWait
    | AllocateAdl
    | ConfirmMark
    | RefreshRatings
    | RefreshIndicators
    | SetTime
)
