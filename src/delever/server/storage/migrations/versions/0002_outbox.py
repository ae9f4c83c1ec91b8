"""Tables of the notification outbox; those that exist already are left as they are."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the cursor and the deliveries where they do not exist."""
    op.create_table(
        "notice_cursor",
        sa.Column("only", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    _create_deliveries()


def _create_deliveries() -> None:
    row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "notice_deliveries",
        sa.Column("id", row_id, primary_key=True, autoincrement=True),
        sa.Column("notice", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_try_ms", sa.BigInteger, nullable=False),
        sa.Column("last_error", sa.Text, nullable=False),
        sa.Column("ended_ms", sa.BigInteger, nullable=False),
        sa.Column("claimed_by", sa.Text, nullable=False),
        sa.Column("claimed_until_ms", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("notice", "channel", "address", name="notice_deliveries_once"),
        if_not_exists=True,
    )
    due, of_account = ["state", "channel", "next_try_ms", "id"], ["account", "id"]
    for name, columns in (("due", due), ("account", of_account)):
        index = f"notice_deliveries_{name}"
        op.create_index(index, "notice_deliveries", columns, if_not_exists=True)
