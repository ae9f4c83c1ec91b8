"""Tables of the history, which is projected from the journal's records.

SQLite commits each table by itself; after a process was killed between two, the next continues.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    _create_contract_points()
    _create_episodes()
    _create_fills()
    _create_flows()
    _create_history_cursor()
    _create_netted()
    _create_pool_points()
    _create_rounds()
    _create_takeovers()
    _create_unwinds()


def _create_contract_points() -> None:
    op.create_table(
        "contract_points",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("contract", sa.Text, primary_key=True),
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("contract_pnl_cash", sa.BigInteger, nullable=False),
        sa.Column("pool_balance_cash", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_index(
        "contract_points_time", "contract_points", ["contract", "time_ms"], if_not_exists=True
    )


def _create_episodes() -> None:
    op.create_table(
        "episodes",
        sa.Column("episode", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("numbers", sa.Text, nullable=False),
        sa.Column("started_sequence", sa.BigInteger, nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("stopped_sequence", sa.BigInteger, nullable=True),
        sa.Column("stopped_ms", sa.BigInteger, nullable=True),
        sa.Column("stop_numbers", sa.Text, nullable=True),
        if_not_exists=True,
    )
    op.create_index("episodes_contract", "episodes", ["contract", "episode"], if_not_exists=True)


def _create_fills() -> None:
    op.create_table(
        "fills",
        sa.Column("fill", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("event_index", sa.BigInteger, nullable=False),
        sa.Column("round_index", sa.BigInteger, nullable=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("episode", sa.BigInteger, nullable=True),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("lots", sa.BigInteger, nullable=False),
        sa.Column("price_ticks", sa.BigInteger, nullable=False),
        sa.Column("price_rule", sa.Text, nullable=False),
        sa.Column("value_cash", sa.BigInteger, nullable=False),
        sa.Column("realized_pnl_cash", sa.BigInteger, nullable=False),
        sa.Column("pool_realized_pnl_cash", sa.BigInteger, nullable=False),
        sa.Column("fee_cash", sa.BigInteger, nullable=False),
        sa.Column("takeover", sa.BigInteger, nullable=False),
        sa.Column("liquidated_account", sa.Text, nullable=False),
        sa.Column("rank", sa.BigInteger, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("indicator", sa.BigInteger, nullable=False),
        sa.Column("quantity_ahead_lots", sa.BigInteger, nullable=False),
        sa.Column("cancelled_sequence", sa.BigInteger, nullable=True),
        if_not_exists=True,
    )
    op.create_index("fills_account", "fills", ["account", "fill"], if_not_exists=True)
    op.create_index("fills_contract", "fills", ["contract", "fill"], if_not_exists=True)
    op.create_index("fills_episode", "fills", ["episode"], if_not_exists=True)


def _create_flows() -> None:
    op.create_table(
        "flows",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("contract", sa.Text, nullable=True),
        sa.Column("amount_cash", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_index("flows_time", "flows", ["pool", "time_ms"], if_not_exists=True)


def _create_history_cursor() -> None:
    op.create_table(
        "history_cursor",
        sa.Column("only", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )


def _create_netted() -> None:
    op.create_table(
        "netted",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("long_takeover", sa.BigInteger, nullable=False),
        sa.Column("short_takeover", sa.BigInteger, nullable=False),
        sa.Column("lots", sa.BigInteger, nullable=False),
        sa.Column("mark_ticks", sa.BigInteger, nullable=False),
        sa.Column("realized_pnl_cash", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_index("netted_contract", "netted", ["contract", "sequence"], if_not_exists=True)


def _create_pool_points() -> None:
    op.create_table(
        "pool_points",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("balance_cash", sa.BigInteger, nullable=False),
        sa.Column("equity_cash", sa.BigInteger, nullable=False),
        sa.Column("contract_pnl", sa.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_index("pool_points_time", "pool_points", ["pool", "time_ms"], if_not_exists=True)


def _create_rounds() -> None:
    op.create_table(
        "rounds",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("episode", sa.BigInteger, nullable=True),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("price_rule", sa.Text, nullable=False),
        sa.Column("numbers", sa.Text, nullable=False),
        sa.Column("wanted_lots", sa.BigInteger, nullable=False),
        sa.Column("filled_lots", sa.BigInteger, nullable=False),
        sa.Column("rounding_residual_cash", sa.BigInteger, nullable=False),
        sa.Column("unfunded_cash", sa.BigInteger, nullable=False),
        sa.Column("counterparties", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_index("rounds_episode", "rounds", ["episode"], if_not_exists=True)


def _create_takeovers() -> None:
    op.create_table(
        "takeovers",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("takeover", sa.BigInteger, nullable=False),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("lots", sa.BigInteger, nullable=False),
        sa.Column("price_ticks", sa.BigInteger, nullable=False),
        sa.Column("value_cash", sa.BigInteger, nullable=False),
        sa.Column("to_pool_cash", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_index("takeovers_number", "takeovers", ["takeover"], unique=True, if_not_exists=True)


def _create_unwinds() -> None:
    op.create_table(
        "unwinds",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("takeover", sa.BigInteger, nullable=False),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("lots", sa.BigInteger, nullable=False),
        sa.Column("price_ticks", sa.BigInteger, nullable=False),
        sa.Column("realized_pnl_cash", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_index("unwinds_contract", "unwinds", ["contract", "sequence"], if_not_exists=True)
