"""The words that commands and events share: sides, kinds, and every reason."""

from enum import StrEnum


class Side(StrEnum):
    """Which way a position gains."""

    LONG = "long"
    SHORT = "short"

    sign: int
    """+1 for long, -1 for short."""

    def __init__(self, word: str) -> None:
        self.sign = 1 if word == "long" else -1

    @property
    def opposite(self) -> "Side":
        """The side that stands against this one."""
        return Side.SHORT if self is Side.LONG else Side.LONG


class ContractKind(StrEnum):
    """How price becomes money: in the quote asset (linear) or in the base asset (inverse)."""

    LINEAR = "linear"
    INVERSE = "inverse"


class PoolKind(StrEnum):
    """What an insurance pool stands behind."""

    SHARED = "shared"
    PORTFOLIO = "portfolio"
    NEW_LISTING = "new_listing"
    ISOLATED = "isolated"


class FundingReason(StrEnum):
    """Why an operator moves money into or out of a pool."""

    SEED = "seed"
    INJECTION = "injection"
    WITHDRAWAL = "withdrawal"
    CLEARANCE_FEE = "clearance_fee"
    CORRECTION = "correction"


class RiskLevel(StrEnum):
    """How likely a liquidation in a contract is to end in ADL."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    EXTREMELY_HIGH = "extremely_high"

    @property
    def place(self) -> int:
        """0 for low and up from there; levels compare by it."""
        return list(RiskLevel).index(self)

    @property
    def of_three(self) -> "RiskLevel":
        """The level where only three are published: what is beyond high is high."""
        return RiskLevel.HIGH if self is RiskLevel.EXTREMELY_HIGH else self


class RatingInput(StrEnum):
    """What a contract's ADL risk is rated by: these seven and nothing else."""

    FUND_BALANCE = "fund_balance"
    POSITION_CONCENTRATION = "position_concentration"
    DEPTH = "depth"
    PRICE_VOLATILITY = "price_volatility"
    AVERAGE_LEVERAGE = "average_leverage"
    UNREALIZED_PNL = "unrealized_pnl"
    MARGIN_UTILIZATION = "margin_utilization"


class RatingMethod(StrEnum):
    """The two views of a contract's ADL risk; each says what the rating is at least."""

    SCORECARD = "scorecard"
    STRESS = "stress"


class Reason(StrEnum):
    """Why something was rejected, skipped, started or stopped; each reads as a predicate."""

    # A command is rejected.
    TIME_IN_PAST = "time_in_past"
    EMPTY_NAME = "empty_name"
    ALREADY_DEFINED = "already_defined"
    DUPLICATE_ROW = "duplicate_row"
    COLUMN_LENGTH_MISMATCH = "column_length_mismatch"
    ASSET_ALREADY_DEFINED = "asset_already_defined"
    UNKNOWN_CONTRACT = "unknown_contract"
    UNKNOWN_POOL = "unknown_pool"
    UNKNOWN_ACCOUNT = "unknown_account"
    UNKNOWN_ASSET = "unknown_asset"
    UNKNOWN_RULE_SET = "unknown_rule_set"
    FILL_NOT_OUTSTANDING = "fill_not_outstanding"
    UNKNOWN_FILL = "unknown_fill"
    POOL_ASSET_MISMATCH = "pool_asset_mismatch"
    CONTRACT_NOT_IN_POOL = "contract_not_in_pool"
    CONTRACT_ALREADY_IN_POOL = "contract_already_in_pool"
    SECOND_CONTRACT_NOT_ALLOWED = "second_contract_not_allowed"
    INVALID_DECIMAL = "invalid_decimal"
    NOT_POSITIVE = "not_positive"
    NEGATIVE_NOT_ALLOWED = "negative_not_allowed"
    TOO_MANY_DECIMALS = "too_many_decimals"
    OUT_OF_RANGE = "out_of_range"
    INVALID_LOT_MULTIPLE = "invalid_lot_multiple"
    INVALID_TICK_MULTIPLE = "invalid_tick_multiple"
    PRICE_WITHOUT_CONTRACT = "price_without_contract"
    VALUE_OF_LOT_MUST_BE_WHOLE_CASH = "fractional_lot_value"
    INVALID_MARGIN_TIERS = "invalid_margin_tiers"
    INVALID_TRIGGER_LIMITS = "invalid_trigger_limits"
    MISSING_ENTRY_PRICE = "missing_entry_price"
    SIDE_SIGN_MISMATCH = "side_sign_mismatch"
    HEDGE_MODE_REQUIRED = "hedge_mode_required"
    EXCEEDS_NUMERIC_RANGE = "exceeds_numeric_range"
    EXCEEDS_INVENTORY = "exceeds_inventory"
    EXCEEDS_POOL_BALANCE = "exceeds_pool_balance"
    AMOUNT_SIGN_MISMATCH = "amount_sign_mismatch"
    INVALID_DEPTH_ORDER = "invalid_depth_order"
    NO_OPEN_POSITION = "no_open_position"
    MISSING_MARK_PRICE = "missing_mark_price"
    NO_INVENTORY_TO_CLOSE = "no_inventory_to_close"
    ADL_QUEUE_NOT_SUPPORTED = "adl_queue_not_supported"

    # A row is ignored.
    STALE_VERSION = "stale_version"

    # ADL starts (and the same word says why it stops: the condition no longer holds).
    CONTRACT_DRAWDOWN_LIMIT = "contract_drawdown_limit"
    POOL_EQUITY_NOT_POSITIVE = "pool_equity_not_positive"
    POOL_DRAWDOWN_LIMIT = "pool_drawdown_limit"
    INSUFFICIENT_DEPTH = "insufficient_depth"
    NEGATIVE_ACCOUNT_EQUITY = "negative_account_equity"
    MARK_THROUGH_BANKRUPTCY_PRICE = "mark_through_bankruptcy_price"
    INVENTORY_NOT_UNWOUND = "inventory_not_unwound"
    POOL_EQUITY_BELOW_MEAN = "pool_equity_below_mean"
    PNL_TO_POOL_LIMIT = "pnl_to_pool_limit"
    CONTRACT_MOVED_TO_OTHER_POOL = "contract_moved_to_other_pool"

    # A counterparty is skipped, or a round ends early.
    FILL_WOULD_BANKRUPT_COUNTERPARTY = "fill_would_bankrupt_counterparty"
    ZERO_PRICES_NOT_CROSSED = "zero_prices_not_crossed"
    ADL_NOT_USED = "adl_not_used"
    LIQUIDATED_ACCOUNT_ITSELF = "liquidated_account_itself"
    POSITION_UNDER_LIQUIDATION = "position_under_liquidation"
    EXEMPT_ACCOUNT = "exempt_account"
    EXEMPT_CONTRACT = "exempt_contract"
    EQUITY_NOT_POSITIVE = "equity_not_positive"
    UNREALIZED_PNL_NOT_POSITIVE = "unrealized_pnl_not_positive"
    NO_OPEN_POSITIONS = "no_open_positions"
    QUEUE_EXHAUSTED = "queue_exhausted"

    # A position is taken over.
    VENUE_TAKEOVER = "venue_takeover"
    EQUITY_BELOW_MAINTENANCE = "equity_below_maintenance"

    # A what-if cannot be answered, or leaves nothing to stand in line.
    EXCEEDS_POSITION = "exceeds_position"
    POSITION_CLOSED = "position_closed"


class NoticeKind(StrEnum):
    """What a notice is about."""

    ADL_WARNING = "adl_warning"
    ADL_WARNING_CLEARED = "adl_warning_cleared"
    ADL_STARTED = "adl_started"
    ADL_STOPPED = "adl_stopped"
    ADL_EXHAUSTED = "adl_exhausted"
    POSITION_DELEVERAGED = "position_deleveraged"
