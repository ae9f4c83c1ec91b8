"""What is kept of the past. Amounts are the book's integers, their unit in the name.

A row is known by the record it comes from (`sequence`) and its event's place there (`place`), so
that nothing can be kept twice.
"""

import sqlalchemy as sa

from delever.server.storage.database import Words, metadata


def _whole(name: str, *, nullable: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> "sa.Column[str]":
    return sa.Column(name, Words, nullable=nullable)


def _key(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)


def _place() -> "list[sa.Column[int]]":
    return [_key("sequence"), _key("place"), _whole("time_ms")]


cursor = sa.Table("history_cursor", metadata, _key("only"), _whole("sequence"))

pool_points = sa.Table(
    "pool_points",
    metadata,
    *_place(),
    _text("pool"),
    _whole("balance_cash"),
    _whole("equity_cash"),
    _text("profits"),
    sa.Index("pool_points_time", "pool", "time_ms"),
)

contract_points = sa.Table(
    "contract_points",
    metadata,
    *_place(),
    sa.Column("contract", Words, primary_key=True),
    _text("pool"),
    _whole("profit_cash"),
    _whole("pool_balance_cash"),
    sa.Index("contract_points_time", "contract", "time_ms"),
)

flows = sa.Table(
    "flows",
    metadata,
    *_place(),
    _text("pool"),
    _text("contract", nullable=True),
    _whole("amount_cash"),
    _text("reason"),
    _text("note"),
    sa.Index("flows_time", "pool", "time_ms"),
)

takeovers = sa.Table(
    "takeovers",
    metadata,
    *_place(),
    _whole("takeover"),
    _text("contract"),
    _text("side"),
    _text("account"),
    _whole("position"),
    _whole("lots"),
    _whole("price_ticks"),
    _whole("value_cash"),
    _whole("to_pool_cash"),
    _text("reason"),
    sa.Index("takeovers_number", "takeover", unique=True),
)

unwinds = sa.Table(
    "unwinds",
    metadata,
    *_place(),
    _whole("takeover"),
    _text("contract"),
    _text("side"),
    _whole("lots"),
    _whole("price_ticks"),
    _whole("realized_pnl_cash"),
    sa.Index("unwinds_contract", "contract", "sequence"),
)

episodes = sa.Table(
    "episodes",
    metadata,
    _key("episode"),
    _text("contract"),
    _text("pool"),
    _text("trigger"),
    _text("reason"),
    _text("numbers"),
    _whole("started_sequence"),
    _whole("started_ms"),
    _whole("stopped_sequence", nullable=True),
    _whole("stopped_ms", nullable=True),
    _text("stop_numbers", nullable=True),
    sa.Index("episodes_contract", "contract", "episode"),
)

rounds = sa.Table(
    "rounds",
    metadata,
    *_place(),
    _whole("episode", nullable=True),
    _text("contract"),
    _text("side"),
    _text("trigger"),
    _text("price_rule"),
    _text("numbers"),
    _whole("wanted_lots"),
    _whole("filled_lots"),
    _whole("rounding_residual_cash"),
    _whole("counterparties"),
    sa.Index("rounds_episode", "episode"),
)

fills = sa.Table(
    "fills",
    metadata,
    _key("fill"),
    _whole("sequence"),
    _whole("place"),
    _whole("round_place"),
    _whole("time_ms"),
    _whole("episode", nullable=True),
    _text("contract"),
    _text("pool"),
    _text("side"),
    _text("account"),
    _whole("position"),
    _whole("lots"),
    _whole("price_ticks"),
    _text("price_rule"),
    _whole("value_cash"),
    _whole("realized_pnl_cash"),
    _whole("pool_realized_pnl_cash"),
    _whole("fee_cash"),
    _whole("takeover"),
    _text("liquidated_account"),
    _whole("rank"),
    sa.Column("score", sa.Double, nullable=False),
    _whole("indicator"),
    _whole("quantity_ahead_lots"),
    _whole("cancelled_sequence", nullable=True),
    sa.Index("fills_account", "account", "fill"),
    sa.Index("fills_contract", "contract", "fill"),
    sa.Index("fills_episode", "episode"),
)
