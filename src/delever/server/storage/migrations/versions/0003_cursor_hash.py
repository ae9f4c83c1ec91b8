"""The hash of the record at the cursor, by which the history of another journal is noticed."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column where it does not exist."""
    columns = sa.inspect(op.get_bind()).get_columns("history_cursor")
    if all(column["name"] != "record_hash" for column in columns):
        op.add_column("history_cursor", sa.Column("record_hash", sa.LargeBinary, nullable=True))
