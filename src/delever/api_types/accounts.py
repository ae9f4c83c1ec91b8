"""What is answered about accounts, as types; see answers."""

from delever.api_types.market import Answer
from delever.core.messages import Side


class WalletShown(Answer, frozen=True, kw_only=True):
    """Cross margin of one asset: balance, equity with unrealized profit, maintenance margin."""

    asset: str
    balance: str
    equity: str
    maintenance: str


class PositionShown(Answer, frozen=True, kw_only=True):
    """One position and its place in line; rank and indicator are null where `reason` keeps it out."""

    contract: str
    side: Side
    position: int
    quantity: str
    entry_price: str
    mark: str | None
    profit: str
    margin_mode: str
    isolated_margin: str | None
    leverage: str
    maintenance: str
    under_liquidation: bool
    rank: int | None
    of: int
    indicator: int | None
    ahead: str | None
    reason: str | None


class AccountShown(Answer, frozen=True, kw_only=True):
    """What one account holds."""

    as_of: int
    time_ms: int
    account: str
    hedge_mode: bool
    adl_exempt: bool
    wallets: tuple[WalletShown, ...]
    positions: tuple[PositionShown, ...]


class StandingShown(Answer, frozen=True, kw_only=True):
    """Where a position stands; rank, indicator and ahead are null where `reason` keeps it out."""

    quantity: str
    rank: int | None
    of: int
    indicator: int | None
    ahead: str | None
    score: float
    parts: dict[str, float]
    reason: str | None


class ExplainedTrigger(Answer, frozen=True, kw_only=True):
    """A trigger with the integers that it compares; the unit stands in the name."""

    trigger: str
    on: bool
    since_ms: int | None
    trigger_used_ppm: int
    price_rule: str
    numbers: dict[str, int]


class Explained(StandingShown, frozen=True, kw_only=True):
    """Why a position stands where it stands; `lines` is the numbered arithmetic."""

    as_of: int
    time_ms: int
    rules: str
    formula: str
    contract: str
    side: Side
    account: str
    position: int
    margin_mode: str
    mark: str
    asset: str
    profit: str
    value_at_mark: str
    value_at_entry: str
    equity: str
    maintenance_margin: str
    margin_rate_ppm: int
    queue_quantity: str
    inventory_against: str
    triggers: tuple[ExplainedTrigger, ...]
    lines: tuple[str, ...]


class Supposed(Answer, frozen=True, kw_only=True):
    """A position before and after one change, everybody else as they are."""

    as_of: int
    time_ms: int
    rules: str
    contract: str
    side: Side
    account: str
    position: int
    change: str
    before: StandingShown
    after: StandingShown
    text: str


class Delivery(Answer, frozen=True, kw_only=True):
    """What became of one notice on one channel; times that there are none of are null."""

    notice: str
    sequence: int
    kind: str
    contract: str
    channel: str
    address: str
    state: str
    attempts: int
    last_error: str
    made_ms: int
    next_try_ms: int | None
    ended_ms: int | None
