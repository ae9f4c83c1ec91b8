"""Enumerations shared by commands and events: sides, kinds, risk levels and reasons."""

from enum import StrEnum


class Side(StrEnum):
    """The side of a position."""

    LONG = "long"
    SHORT = "short"

    sign: int
    """+1 for long, -1 for short."""

    def __init__(self, value: str) -> None:
        self.sign = 1 if value == "long" else -1

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return _SHORT if self is _LONG else _LONG


_LONG, _SHORT = Side  # Python 3.11 looks a member of an enumeration up in Python code


class ContractKind(StrEnum):
    """Whether a contract settles in its quote asset (linear) or in its base asset (inverse)."""

    LINEAR = "linear"
    INVERSE = "inverse"


class TradingStatus(StrEnum):
    """How far a contract is from the end of its life.

    From `close_only` on no position may open or grow; a `settled` contract has no positions.
    """

    TRADING = "trading"
    CLOSE_ONLY = "close_only"
    SETTLING = "settling"
    SETTLED = "settled"


class OddLots(StrEnum):
    """What an amendment does with positions that are no multiple of the new lot."""

    REJECT = "reject"
    CLOSE_AT_MARK = "close_at_mark"


class PoolKind(StrEnum):
    """The scope of an insurance pool; an isolated pool covers one contract."""

    SHARED = "shared"
    PORTFOLIO = "portfolio"
    NEW_LISTING = "new_listing"
    ISOLATED = "isolated"


class FundingReason(StrEnum):
    """The reason for which an operator moves money into or out of a pool."""

    SEED = "seed"
    INJECTION = "injection"
    WITHDRAWAL = "withdrawal"
    CLEARANCE_FEE = "clearance_fee"
    CORRECTION = "correction"


class RiskLevel(StrEnum):
    """ADL risk of a contract: how likely a liquidation in it is to end in ADL."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    EXTREMELY_HIGH = "extremely_high"

    @property
    def ordinal(self) -> int:
        """0 for low up to 3 for extremely high; levels are compared by it."""
        return list(RiskLevel).index(self)

    @property
    def on_three_levels(self) -> "RiskLevel":
        """The level on a scale of three, where extremely high counts as high."""
        return RiskLevel.HIGH if self is RiskLevel.EXTREMELY_HIGH else self


class RatingInput(StrEnum):
    """The inputs of a contract's ADL risk rating."""

    FUND_BALANCE = "fund_balance"
    POSITION_CONCENTRATION = "position_concentration"
    DEPTH = "depth"
    PRICE_VOLATILITY = "price_volatility"
    AVERAGE_LEVERAGE = "average_leverage"
    UNREALIZED_PNL = "unrealized_pnl"
    MARGIN_UTILIZATION = "margin_utilization"


class RatingMethod(StrEnum):
    """The methods that rate ADL risk; the highest level is the rating."""

    SCORECARD = "scorecard"
    STRESS = "stress"
    STATE = "state"


class Reason(StrEnum):
    """The reason of a rejection, a skip, a start, a stop or a takeover."""

    # Command rejected: a field is invalid.
    EMPTY_NAME = "empty_name"
    INVALID_DECIMAL = "invalid_decimal"
    NOT_POSITIVE = "not_positive"
    NEGATIVE_NOT_ALLOWED = "negative_not_allowed"
    TOO_MANY_DECIMALS = "too_many_decimals"
    OUT_OF_RANGE = "out_of_range"
    INVALID_LOT_MULTIPLE = "invalid_lot_multiple"
    INVALID_TICK_MULTIPLE = "invalid_tick_multiple"
    FRACTIONAL_LOT_VALUE = "fractional_lot_value"
    INVALID_MARGIN_TIERS = "invalid_margin_tiers"
    INVALID_COLLATERAL_TIERS = "invalid_collateral_tiers"
    MARGIN_CURRENCY_MISMATCH = "margin_currency_mismatch"
    INVALID_INDEX_PRICE = "invalid_index_price"
    INVALID_TRIGGER_LIMITS = "invalid_trigger_limits"
    LIMIT_NOT_SUPPORTED = "limit_not_supported"
    LIMIT_REQUIRED = "limit_required"
    INVALID_DEPTH_ORDER = "invalid_depth_order"
    AMOUNT_SIGN_MISMATCH = "amount_sign_mismatch"
    SIDE_SIGN_MISMATCH = "side_sign_mismatch"
    MISSING_ENTRY_PRICE = "missing_entry_price"
    PRICE_WITHOUT_CONTRACT = "price_without_contract"
    DUPLICATE_ROW = "duplicate_row"
    COLUMN_LENGTH_MISMATCH = "column_length_mismatch"
    INVALID_DIGEST = "invalid_digest"
    EMPTY_PLAN = "empty_plan"

    # Command rejected: a name is unknown, or defined already.
    UNKNOWN_ASSET = "unknown_asset"
    UNKNOWN_COLLATERAL = "unknown_collateral"
    UNKNOWN_POOL = "unknown_pool"
    UNKNOWN_CONTRACT = "unknown_contract"
    UNKNOWN_ACCOUNT = "unknown_account"
    UNKNOWN_RULE_SET = "unknown_rule_set"
    UNKNOWN_FILL = "unknown_fill"
    ALREADY_DEFINED = "already_defined"
    ASSET_ALREADY_DEFINED = "asset_already_defined"

    # Command rejected: the book does not allow it.
    TIME_IN_PAST = "time_in_past"
    TIME_JUMP_HELD = "time_jump_held"
    POOL_ASSET_MISMATCH = "pool_asset_mismatch"
    CONTRACT_NOT_IN_POOL = "contract_not_in_pool"
    CONTRACT_ALREADY_IN_POOL = "contract_already_in_pool"
    SECOND_CONTRACT_NOT_ALLOWED = "second_contract_not_allowed"
    HEDGE_MODE_REQUIRED = "hedge_mode_required"
    FILL_NOT_OUTSTANDING = "fill_not_outstanding"
    FILL_OF_OTHER_POSITION = "fill_of_other_position"
    EXCEEDS_NUMERIC_RANGE = "exceeds_numeric_range"
    EXCEEDS_INVENTORY = "exceeds_inventory"
    EXCEEDS_POOL_BALANCE = "exceeds_pool_balance"
    EXCEEDS_POOL_COLLATERAL = "exceeds_pool_collateral"
    ODD_LOTS = "odd_lots"
    CLOSE_ONLY = "close_only"
    CONTRACT_SETTLED = "contract_settled"
    NO_OPEN_POSITION = "no_open_position"
    MULTI_ASSET_ACCOUNT = "multi_asset_account"
    MISSING_MARK_PRICE = "missing_mark_price"
    STALE_ROW = "stale_row"
    NO_INVENTORY_TO_CLOSE = "no_inventory_to_close"
    ADL_QUEUE_NOT_SUPPORTED = "adl_queue_not_supported"
    MARK_UNCONFIRMED = "mark_unconfirmed"
    MARK_ALREADY_CONFIRMED = "mark_already_confirmed"
    PLAN_NOT_AWAITED = "plan_not_awaited"
    PLAN_TOO_LATE = "plan_too_late"
    PLAN_STALE = "plan_stale"
    PLAN_EXCEEDS_ROUND = "plan_exceeds_round"
    PLAN_EXCEEDS_POSITION = "plan_exceeds_position"
    PRICE_BEYOND_PLAN_LIMIT = "price_beyond_plan_limit"
    COUNTERPARTY_INELIGIBLE = "counterparty_ineligible"

    # Command rejected: its step raised.
    INTERNAL_ERROR = "internal_error"

    # Row ignored.
    STALE_VERSION = "stale_version"

    # ADL started, or stopped because the condition no longer holds.
    CONTRACT_DRAWDOWN_LIMIT = "contract_drawdown_limit"
    POOL_EQUITY_NOT_POSITIVE = "pool_equity_not_positive"
    POOL_DRAWDOWN_LIMIT = "pool_drawdown_limit"
    INSUFFICIENT_DEPTH = "insufficient_depth"
    NEGATIVE_ACCOUNT_EQUITY = "negative_account_equity"
    MARK_THROUGH_BANKRUPTCY_PRICE = "mark_through_bankruptcy_price"
    INVENTORY_NOT_UNWOUND = "inventory_not_unwound"
    POOL_EQUITY_BELOW_MEAN = "pool_equity_below_mean"
    PNL_TO_POOL_LIMIT = "pnl_to_pool_limit"
    TAKEOVER_LOSS_LIMIT = "takeover_loss_limit"
    CONTRACT_DAILY_LOSS_LIMIT = "contract_daily_loss_limit"
    POOL_DAILY_LOSS_LIMIT = "pool_daily_loss_limit"
    LIQUIDATOR_LOSS_LIMIT = "liquidator_loss_limit"
    LOSS_COUNT_LIMIT = "loss_count_limit"
    BACKLOG_LIMIT = "backlog_limit"
    MARK_BEYOND_BAND = "mark_beyond_band"
    CONTRACT_MOVED_TO_OTHER_POOL = "contract_moved_to_other_pool"
    RULES_AMENDED = "rules_amended"

    # Mark beyond its contract's limits.
    MARK_MOVED_TOO_FAR = "mark_moved_too_far"
    MARK_TOO_OLD = "mark_too_old"

    # Counterparty skipped, position not ranked, or round ended early.
    FILL_WOULD_BANKRUPT_COUNTERPARTY = "fill_would_bankrupt_counterparty"
    ZERO_PRICES_NOT_CROSSED = "zero_prices_not_crossed"
    ADL_NOT_USED = "adl_not_used"
    LIQUIDATED_ACCOUNT_ITSELF = "liquidated_account_itself"
    POSITION_UNDER_LIQUIDATION = "position_under_liquidation"
    EXEMPT_ACCOUNT = "exempt_account"
    EXEMPT_CONTRACT = "exempt_contract"
    EQUITY_NOT_POSITIVE = "equity_not_positive"
    UNREALIZED_PNL_NOT_POSITIVE = "unrealized_pnl_not_positive"
    NO_NET_EXPOSURE = "no_net_exposure"
    NO_OPEN_POSITIONS = "no_open_positions"
    QUEUE_EXHAUSTED = "queue_exhausted"

    # Position taken over.
    VENUE_TAKEOVER = "venue_takeover"
    EQUITY_BELOW_MAINTENANCE = "equity_below_maintenance"

    # What-if not answered, or its position not ranked.
    EXCEEDS_POSITION = "exceeds_position"
    POSITION_CLOSED = "position_closed"


class NoticeKind(StrEnum):
    """The subject of a notice."""

    ADL_WARNING = "adl_warning"
    ADL_WARNING_CLEARED = "adl_warning_cleared"
    ADL_STARTED = "adl_started"
    ADL_STOPPED = "adl_stopped"
    ADL_EXHAUSTED = "adl_exhausted"
    MARK_REJECTED = "mark_rejected"
    INDEX_PRICE_REJECTED = "index_price_rejected"
    ROW_REJECTED = "row_rejected"
    FILL_EXCEEDS_POSITION = "fill_exceeds_position"
    FUND_UNALLOCATED = "fund_unallocated"
    MARK_UNCONFIRMED = "mark_unconfirmed"
    MARK_CONFIRMED = "mark_confirmed"
    ACCOUNT_COMPENSATED = "account_compensated"
    POSITION_DELEVERAGED = "position_deleveraged"
