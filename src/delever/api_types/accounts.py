"""Responses about accounts."""

from delever.api_types.market import ApiResponse
from delever.core.explain.explanation import TriggerState
from delever.core.messages import Side


class WalletResponse(ApiResponse, frozen=True, kw_only=True):
    """Cross margin in one asset: balance, equity with unrealized PnL, maintenance margin.

    `venue_margin`: equity and maintenance margin are those of the venue's own risk engine. Of a
    multi-asset account also what the equity in the asset counts in the margin currency, before
    and after collateral haircut, at an index price; null where the asset is no collateral.
    """

    asset: str
    balance: str
    equity: str
    maintenance_margin: str
    venue_margin: bool
    index_price: str | None
    value: str | None
    value_after_haircut: str | None


class MarginResponse(ApiResponse, frozen=True, kw_only=True):
    """The margin of a multi-asset account over all its assets, in the margin currency.

    The margin ratio, maintenance margin / equity after haircut, decides about a takeover; scores
    and leverage read the equity without collateral haircut.
    """

    currency: str
    equity: str
    equity_after_haircut: str
    unrealized_pnl: str
    maintenance_margin: str
    margin_ratio_ppm: int


class PositionResponse(ApiResponse, frozen=True, kw_only=True):
    """One position with its place in its queue of `ranked` positions.

    Rank, indicator and quantity ahead are null if `reason` excludes it from the queue.
    """

    contract: str
    side: Side
    position: int
    quantity: str
    entry_price: str
    mark: str | None
    unrealized_pnl: str
    margin_mode: str
    isolated_margin: str | None
    leverage: str
    maintenance_margin: str
    under_liquidation: bool
    rank: int | None
    ranked: int
    indicator: int | None
    quantity_ahead: str | None
    reason: str | None


class AccountResponse(ApiResponse, frozen=True, kw_only=True):
    """Wallets and open positions of one account; `margin` is null in single-asset mode."""

    as_of: int
    time_ms: int
    account: str
    hedge_mode: bool
    adl_exempt: bool
    multi_asset: bool
    margin: MarginResponse | None
    wallets: tuple[WalletResponse, ...]
    positions: tuple[PositionResponse, ...]


class QueuePositionResponse(ApiResponse, frozen=True, kw_only=True):
    """A position's place in its queue of `ranked` positions, with the terms of its score.

    `parts` are multiplied to the score, `terms` the exact numbers that they are computed from.
    Rank, indicator and quantity ahead are null if `reason` excludes it from the queue.
    """

    quantity: str
    rank: int | None
    ranked: int
    indicator: int | None
    quantity_ahead: str | None
    score: float
    parts: dict[str, float]
    terms: dict[str, str]
    reason: str | None


class ExplanationResponse(QueuePositionResponse, frozen=True, kw_only=True):
    """Why a position has its place in the queue; `lines` is the arithmetic as text.

    `balance`, `equity` and `maintenance_margin` are those of the position's margin: its own if it
    is isolated, or else the account's. `bankruptcy_price` is null if the margin cannot be lost.
    """

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
    unrealized_pnl: str
    notional: str
    entry_notional: str
    joint_pnl: str
    joint_notional: str
    initial_margin: str
    balance: str
    equity: str
    share_of_equity: str
    bankruptcy_price: str | None
    maintenance_margin: str
    position_maintenance_margin: str
    margin_ratio_ppm: int
    queue_quantity: str
    opposite_inventory: str
    triggers: tuple[TriggerState, ...]
    lines: tuple[str, ...]


class WhatIfResponse(ApiResponse, frozen=True, kw_only=True):
    """A position before and after one change, with all other accounts unchanged."""

    as_of: int
    time_ms: int
    rules: str
    contract: str
    side: Side
    account: str
    position: int
    change: str
    before: QueuePositionResponse
    after: QueuePositionResponse
    text: str


class DeliveryResponse(ApiResponse, frozen=True, kw_only=True):
    """The delivery of one notice on one channel; times that do not apply are null."""

    notice: str
    sequence: int
    kind: str
    contract: str
    channel: str
    address: str
    state: str
    attempts: int
    last_error: str
    created_ms: int
    next_try_ms: int | None
    ended_ms: int | None
