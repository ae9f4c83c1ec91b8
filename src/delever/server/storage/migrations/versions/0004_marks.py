"""Marks over time, and the mark at which each fill was executed; null for fills of before."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add tables and columns where they do not exist."""
    op.create_table(
        "price_points",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("contract", sa.Text, primary_key=True),
        sa.Column("mark_ticks", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_index(
        "price_points_time", "price_points", ["contract", "time_ms"], if_not_exists=True
    )
    op.create_table(
        "last_marks",
        sa.Column("contract", sa.Text, primary_key=True),
        sa.Column("mark_ticks", sa.BigInteger, nullable=False),
        sa.Column("mark_fraction", sa.BigInteger, nullable=False),
        sa.Column("stored_ticks", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    existing = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("fills")}
    for name in ("mark_ticks", "mark_fraction"):
        if name not in existing:
            op.add_column("fills", sa.Column(name, sa.BigInteger, nullable=True))
