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
    UNREALISED_PROFIT = "unrealised_profit"
    MARGIN_UTILISATION = "margin_utilisation"


class RatingView(StrEnum):
    """The two views of a contract's ADL risk; each says what the rating is at least."""

    SCORECARD = "scorecard"
    STRESS = "stress"


class Reason(StrEnum):
    """Why something was refused, skipped, started or stopped; each reads as a predicate."""

    # A command is refused.
    TIME_RUNS_BACKWARDS = "time_runs_backwards"
    NAME_MUST_NOT_BE_EMPTY = "name_must_not_be_empty"
    NAME_IS_DEFINED_ALREADY = "name_is_defined_already"
    ROW_IS_REPEATED = "row_is_repeated"
    COLUMNS_DIFFER_IN_LENGTH = "columns_differ_in_length"
    ASSET_IS_IN_USE = "asset_is_in_use"
    CONTRACT_IS_UNKNOWN = "contract_is_unknown"
    POOL_IS_UNKNOWN = "pool_is_unknown"
    ACCOUNT_IS_UNKNOWN = "account_is_unknown"
    ASSET_IS_UNKNOWN = "asset_is_unknown"
    RULES_ARE_UNKNOWN = "rules_are_unknown"
    FILL_IS_NOT_OUTSTANDING = "fill_is_not_outstanding"
    FILL_IS_UNKNOWN = "fill_is_unknown"
    POOL_ASSET_MUST_MATCH_CONTRACT = "pool_asset_must_match_contract"
    CONTRACT_IS_NOT_IN_POOL = "contract_is_not_in_pool"
    POOL_HOLDS_CONTRACT_ALREADY = "pool_holds_contract_already"
    ISOLATED_POOL_TAKES_ONE_CONTRACT = "isolated_pool_takes_one_contract"
    NUMBER_MUST_BE_PLAIN_DECIMAL = "number_must_be_plain_decimal"
    NUMBER_MUST_BE_POSITIVE = "number_must_be_positive"
    NUMBER_MUST_NOT_BE_NEGATIVE = "number_must_not_be_negative"
    NUMBER_MUST_BE_WITHIN_SCALE = "number_must_be_within_scale"
    NUMBER_MUST_BE_WITHIN_RANGE = "number_must_be_within_range"
    QUANTITY_MUST_BE_MULTIPLE_OF_LOT = "quantity_must_be_multiple_of_lot"
    PRICE_MUST_BE_MULTIPLE_OF_TICK = "price_must_be_multiple_of_tick"
    PRICE_NEEDS_CONTRACT = "price_needs_contract"
    VALUE_OF_LOT_MUST_BE_WHOLE_CASH = "value_of_lot_must_be_whole_cash"
    TIERS_MUST_START_AT_ZERO_AND_ASCEND = "tiers_must_start_at_zero_and_ascend"
    START_MUST_BE_BEYOND_STOP = "start_must_be_beyond_stop"
    ENTRY_NEEDS_PRICE_OR_COST = "entry_needs_price_or_cost"
    SIDE_CONTRADICTS_SIGN = "side_contradicts_sign"
    ONE_WAY_ACCOUNT_HOLDS_ONE_SIDE = "one_way_account_holds_one_side"
    EXCEEDS_NUMERIC_RANGE = "exceeds_numeric_range"
    EXCEEDS_INVENTORY = "exceeds_inventory"
    EXCEEDS_POOL_BALANCE = "exceeds_pool_balance"
    AMOUNT_CONTRADICTS_REASON = "amount_contradicts_reason"
    BIDS_MUST_DESCEND_AND_ASKS_ASCEND = "bids_must_descend_and_asks_ascend"
    NOTHING_TO_TAKE_OVER = "nothing_to_take_over"
    CONTRACT_HAS_NO_MARK = "contract_has_no_mark"
    NO_INVENTORY_CAN_BE_CLOSED = "no_inventory_can_be_closed"
    RULES_HAVE_NO_QUEUE = "rules_have_no_queue"

    # A row is ignored.
    VERSION_IS_STALE = "version_is_stale"

    # ADL starts (and the same word says why it stops: the condition no longer holds).
    CONTRACT_DRAWDOWN_REACHES_LIMIT = "contract_drawdown_reaches_limit"
    POOL_EQUITY_IS_NOT_POSITIVE = "pool_equity_is_not_positive"
    POOL_DRAWDOWN_REACHES_LIMIT = "pool_drawdown_reaches_limit"
    DEPTH_STAYS_BELOW_INVENTORY = "depth_stays_below_inventory"
    ACCOUNT_EQUITY_IS_NEGATIVE = "account_equity_is_negative"
    MARK_IS_THROUGH_BANKRUPTCY_PRICE = "mark_is_through_bankruptcy_price"
    INVENTORY_IS_NOT_PLACED = "inventory_is_not_placed"
    POOL_EQUITY_FALLS_BELOW_MEAN = "pool_equity_falls_below_mean"
    PROFIT_EXCEEDS_PART_OF_POOL = "profit_exceeds_part_of_pool"
    CONTRACT_LEFT_THE_POOL = "contract_left_the_pool"

    # A candidate is skipped, or a round ends early.
    FILL_WOULD_BANKRUPT_CANDIDATE = "fill_would_bankrupt_candidate"
    ZERO_PRICES_DO_NOT_CROSS = "zero_prices_do_not_cross"
    NOBODY_IS_CLOSED = "nobody_is_closed"
    CANDIDATE_IS_THE_LIQUIDATED_ACCOUNT = "candidate_is_the_liquidated_account"
    POSITION_IS_UNDER_LIQUIDATION = "position_is_under_liquidation"
    ACCOUNT_IS_EXEMPT = "account_is_exempt"
    CONTRACT_IS_EXEMPT = "contract_is_exempt"
    EQUITY_IS_NOT_POSITIVE = "equity_is_not_positive"
    PROFIT_IS_NOT_POSITIVE = "profit_is_not_positive"
    LANE_IS_EMPTY = "lane_is_empty"
    QUEUE_IS_EXHAUSTED = "queue_is_exhausted"

    # A position is taken over.
    VENUE_SAYS_SO = "venue_says_so"
    EQUITY_IS_BELOW_MAINTENANCE = "equity_is_below_maintenance"

    # A what-if cannot be answered, or leaves nothing to stand in line.
    EXCEEDS_POSITION = "exceeds_position"
    POSITION_IS_CLOSED = "position_is_closed"


class NoticeKind(StrEnum):
    """What a notice is about."""

    ADL_NEAR = "adl_near"
    ADL_FAR = "adl_far"
    ADL_STARTED = "adl_started"
    ADL_STOPPED = "adl_stopped"
    ADL_EXHAUSTED = "adl_exhausted"
    POSITION_DELEVERAGED = "position_deleveraged"
