"""Tables of the history. Amounts are integers of the book, with the unit in the column's name.

The key of a row is the sequence of its record and the index of its event in that record, so no
event can be stored twice.
"""

import sqlalchemy as sa

from delever.server.storage.sql_text import SqlText

metadata = sa.MetaData()
"""All tables of the history."""


def _integer(name: str, *, nullable: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> "sa.Column[str]":
    return sa.Column(name, SqlText, nullable=nullable)


def _key(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)


def _event_key() -> "list[sa.Column[int]]":
    return [_key("sequence"), _key("event_index"), _integer("time_ms")]


cursor = sa.Table(
    "history_cursor",
    metadata,
    _key("only"),
    _integer("sequence"),
    sa.Column("record_hash", sa.LargeBinary, nullable=True),
)
"""The newest record in the history, with its hash: one row."""

pool_points = sa.Table(
    "pool_points",
    metadata,
    *_event_key(),
    _text("pool"),
    _integer("balance_cash"),
    _integer("equity_cash"),
    _text("contract_pnl"),
    sa.Index("pool_points_time", "pool", "time_ms"),
)

price_points = sa.Table(
    "price_points",
    metadata,
    *_event_key(),
    sa.Column("contract", SqlText, primary_key=True),
    _integer("mark_ticks"),
    sa.Index("price_points_time", "contract", "time_ms"),
)
"""Marks, rounded down to ticks, that differ enough from the stored mark before."""

last_marks = sa.Table(
    "last_marks",
    metadata,
    sa.Column("contract", SqlText, primary_key=True),
    _integer("mark_ticks"),
    _integer("mark_fraction"),
    _integer("stored_ticks"),
)
"""The newest mark of each contract, and the newest one in `price_points`."""

contract_points = sa.Table(
    "contract_points",
    metadata,
    *_event_key(),
    sa.Column("contract", SqlText, primary_key=True),
    _text("pool"),
    _integer("contract_pnl_cash"),
    _integer("pool_balance_cash"),
    sa.Index("contract_points_time", "contract", "time_ms"),
)

flows = sa.Table(
    "flows",
    metadata,
    *_event_key(),
    _text("pool"),
    _text("contract", nullable=True),
    _integer("amount_cash"),
    _text("reason"),
    _text("note"),
    sa.Index("flows_time", "pool", "time_ms"),
)

takeovers = sa.Table(
    "takeovers",
    metadata,
    *_event_key(),
    _integer("takeover"),
    _text("contract"),
    _text("side"),
    _text("account"),
    _integer("position"),
    _integer("lots"),
    _integer("price_ticks"),
    _integer("value_cash"),
    _integer("to_pool_cash"),
    _text("reason"),
    sa.Index("takeovers_number", "takeover", unique=True),
)

unwinds = sa.Table(
    "unwinds",
    metadata,
    *_event_key(),
    _integer("takeover"),
    _text("contract"),
    _text("side"),
    _integer("lots"),
    _integer("price_ticks"),
    _integer("realized_pnl_cash"),
    sa.Index("unwinds_contract", "contract", "sequence"),
)

netted = sa.Table(
    "netted",
    metadata,
    *_event_key(),
    _text("contract"),
    _integer("long_takeover"),
    _integer("short_takeover"),
    _integer("lots"),
    _integer("mark_ticks"),
    _integer("realized_pnl_cash"),
    sa.Index("netted_contract", "contract", "sequence"),
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
    _integer("started_sequence"),
    _integer("started_ms"),
    _integer("stopped_sequence", nullable=True),
    _integer("stopped_ms", nullable=True),
    _text("stop_numbers", nullable=True),
    sa.Index("episodes_contract", "contract", "episode"),
)

rounds = sa.Table(
    "rounds",
    metadata,
    *_event_key(),
    _integer("episode", nullable=True),
    _text("contract"),
    _text("side"),
    _text("trigger"),
    _text("price_rule"),
    _text("numbers"),
    _integer("wanted_lots"),
    _integer("filled_lots"),
    _integer("rounding_residual_cash"),
    _integer("unfunded_cash"),
    _integer("counterparties"),
    sa.Index("rounds_episode", "episode"),
)

fills = sa.Table(
    "fills",
    metadata,
    _key("fill"),
    _integer("sequence"),
    _integer("event_index"),
    _integer("round_index"),
    _integer("time_ms"),
    _integer("episode", nullable=True),
    _text("contract"),
    _text("pool"),
    _text("side"),
    _text("account"),
    _integer("position"),
    _integer("lots"),
    _integer("price_ticks"),
    _text("price_rule"),
    _integer("value_cash"),
    _integer("realized_pnl_cash"),
    _integer("pool_realized_pnl_cash"),
    _integer("fee_cash"),
    _integer("takeover"),
    _text("liquidated_account"),
    _integer("rank"),
    sa.Column("score", sa.Double, nullable=False),
    _integer("indicator"),
    _integer("quantity_ahead_lots"),
    _integer("mark_ticks", nullable=True),
    _integer("mark_fraction", nullable=True),
    _integer("cancelled_sequence", nullable=True),
    sa.Index("fills_account", "account", "fill"),
    sa.Index("fills_contract", "contract", "fill"),
    sa.Index("fills_episode", "episode"),
)
