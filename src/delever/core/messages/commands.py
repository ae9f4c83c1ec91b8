"""What a venue tells the engine, in decimal text, absolute wherever that is possible."""

import msgspec

from delever.core.messages.enums import ContractKind, FundingReason, PoolKind, Side

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
    """What a venue tells the engine. Time comes in here and never runs backwards."""

    time_ms: int
    id: str = ""


class DefineAsset(Command, tag="define_asset", frozen=True, kw_only=True):
    """Give a settle asset its smallest unit before it is used; 10^-8 where never said."""

    asset: str
    cash_decimals: int = 8


class TriggerLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Overrides of a rule set's own constants, for a pool or for one contract in it.

    `start` and `stop` are ratios of drawdown ("0.30" means 30 % below the peak); `trigger_threshold` is
    the pool balance above which a contract drawdown counts; `wait_ms` is how long inventory may
    stand without depth.
    """

    start: Amount | None = None
    stop: Amount | None = None
    trigger_threshold: Amount | None = None
    wait_ms: int | None = None


class DefinePool(Command, tag="define_pool", frozen=True, kw_only=True):
    """Open an insurance pool. `managed` lets the engine liquidate and unwind by itself."""

    pool: str
    kind: PoolKind
    asset: str
    rules: str
    managed: bool = False
    max_slippage: Amount = "0.025"
    peak_window_ms: int = 8 * 3_600_000
    limits: TriggerLimits = TriggerLimits()


class MarginTier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Maintenance margin ratio for the part of a position's notional above `notional_from`."""

    notional_from: Amount
    maintenance_rate: Amount


class DefineContract(Command, tag="define_contract", frozen=True, kw_only=True):
    """Fix a contract's terms and the pool behind it."""

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


class DefineAccount(Command, tag="define_account", frozen=True, kw_only=True):
    """Open an account, or change its mode. An exempt account is never a counterparty."""

    account: str
    hedge_mode: bool = False
    adl_exempt: bool = False


class BalanceRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One wallet balance: cash without unrealized profit and without isolated margins."""

    account: str
    asset: str
    balance: Amount


class SetBalances(Command, tag="set_balances", frozen=True, kw_only=True):
    """Absolute balances, with the venue's version and the last ADL fill they include."""

    version: int
    last_fill: int = 0
    balances: tuple[BalanceRow, ...]


class PositionRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One position, absolute; quantity 0 closes it.

    The sign of `quantity` may be left out; where it is there, it must agree with `side`. Entry is a
    price (any number of decimals; the cost is rounded to nearest) or an exact cost without sign.
    `isolated_margin` makes the position isolated. `open_orders` are the venue's ids of the
    account's open orders in this contract: an ADL fill lists those that are to be cancelled.
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
    """Absolute positions, with the venue's version and the last ADL fill they include."""

    version: int
    last_fill: int = 0
    positions: tuple[PositionRow, ...]


class DefineAccounts(Command, tag="define_accounts", frozen=True, kw_only=True):
    """Open accounts, or change their modes, many at once.

    The other columns hold one byte an account, 0 or 1; one that is left out holds 0 for all.
    """

    accounts: tuple[str, ...]
    hedge_mode: bytes = b""
    adl_exempt: bytes = b""


class SetBalanceColumns(Command, tag="set_balance_columns", frozen=True, kw_only=True):
    """Absolute balances of one asset as columns: `set_balances` for many accounts.

    `balance_cash` holds 64-bit little-endian integers, one an account, in the asset's smallest
    unit. The rows are those of `accounts`; with a column `account` they are its 32-bit places in
    `accounts` (with no `accounts`, the numbers of accounts in order of their definition, from 0).
    """

    version: int
    last_fill: int = 0
    asset: str
    accounts: tuple[str, ...] = ()
    account: bytes = b""
    balance_cash: bytes


class SetPositionColumns(Command, tag="set_position_columns", frozen=True, kw_only=True):
    """Absolute positions as columns: `set_positions` for many rows.

    Columns hold little-endian integers, one a row, as Arrow arrays do: `account` and `contract`
    are 32-bit places in `accounts` and `contracts` (with no `accounts`, the numbers of accounts in
    order of their definition, from 0), `side` is a byte (0 long, 1 short), `lots` and
    `cost_cash` are 64-bit, without sign; 0 lots close a position. A column that is left out holds
    its default for all: position number 0 (32-bit), not isolated (a byte), no margin (64-bit, of
    isolated positions only), leverage 1 (32-bit hundredths), not under liquidation (a byte).
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


class SetMarks(Command, tag="set_marks", frozen=True, kw_only=True):
    """New mark prices by contract."""

    marks: dict[str, Amount]


class SetDepth(Command, tag="set_depth", frozen=True, kw_only=True):
    """The order book that could absorb inventory: (price, quantity) levels, best first."""

    contract: str
    bids: tuple[tuple[Amount, Amount], ...] = ()
    asks: tuple[tuple[Amount, Amount], ...] = ()


class Takeover(Command, tag="takeover", frozen=True, kw_only=True):
    """The pool takes over one position, or with no contract all of the account's positions.

    Without a price each position goes at its own bankruptcy price.
    """

    account: str
    contract: str | None = None
    side: Side | None = None
    price: Amount | None = None


class UnwindFill(Command, tag="unwind_fill", frozen=True, kw_only=True):
    """The venue has closed inventory of this side in the market."""

    contract: str
    side: Side
    quantity: Amount
    price: Amount


class FundPool(Command, tag="fund_pool", frozen=True, kw_only=True):
    """Move money into (positive) or out of (negative) a pool, booked to a contract if named."""

    pool: str
    amount: Amount
    reason: FundingReason
    contract: str | None = None
    note: str = ""


class MoveContract(Command, tag="move_contract", frozen=True, kw_only=True):
    """Put a contract behind another pool; its profit and its peaks start again there."""

    contract: str
    pool: str
    note: str


class CancelAdl(Command, tag="cancel_adl", frozen=True, kw_only=True):
    """Take back an ADL fill that the venue could not apply; the inventory returns."""

    fill: int
    note: str


class PauseAdl(Command, tag="pause_adl", frozen=True, kw_only=True):
    """Hold back the contract's rounds until it is said that they may go on.

    Triggers are read and notices told as before; a last resort that shares losses is not held back.
    """

    contract: str
    paused: bool
    note: str


class ForceAdl(Command, tag="force_adl", frozen=True, kw_only=True):
    """Close the contract's inventory against the queue now, once, whether or not a trigger is on.

    The first case of the rule set that has inventory to close decides the price. A contract whose
    rounds are held back has this one.
    """

    contract: str
    note: str


class RefreshRatings(Command, tag="refresh_ratings", frozen=True, kw_only=True):
    """Rate these contracts' ADL risk anew, or all that have a mark; every 30 min and on demand."""

    contracts: tuple[str, ...] = ()


class RefreshIndicators(Command, tag="refresh_indicators", frozen=True, kw_only=True):
    """Publish the indicators of all tables anew; every 30 s."""


class SetTime(Command, tag="set_time", frozen=True, kw_only=True):
    """Only let time pass: windows slide, waits end."""


AnyCommand = (
    DefineAsset
    | DefinePool
    | DefineContract
    | DefineAccount
    | SetBalances
    | SetPositions
    | DefineAccounts
    | SetBalanceColumns
    | SetPositionColumns
    | SetMarks
    | SetDepth
    | Takeover
    | UnwindFill
    | FundPool
    | MoveContract
    | CancelAdl
    | PauseAdl
    | ForceAdl
    | RefreshRatings
    | RefreshIndicators
    | SetTime
)
