"""The outbox in SQL: where the journal has been read to, and what is to be sent to whom.

Times are ms of the server's clock. `claimed_by` is a sender's hold on a row, until
`claimed_until_ms`: who claims it first sends it, and who dies loses it when the hold ends.
"""

import sqlalchemy as sa

from delever.server.storage.database import Words, metadata

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""SQLite numbers rows by itself only where the type is exactly INTEGER."""

cursor = sa.Table(
    "notice_cursor",
    metadata,
    sa.Column("only", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
)

deliveries = sa.Table(
    "notice_deliveries",
    metadata,
    sa.Column("number", _BIG, primary_key=True, autoincrement=True),
    sa.Column("notice", Words, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("kind", Words, nullable=False),
    sa.Column("account", Words, nullable=False),
    sa.Column("contract", Words, nullable=False),
    sa.Column("channel", Words, nullable=False),
    sa.Column("address", Words, nullable=False),
    sa.Column("body", Words, nullable=False),
    sa.Column("state", Words, nullable=False),
    sa.Column("made_ms", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_try_ms", sa.BigInteger, nullable=False),
    sa.Column("last_error", Words, nullable=False),
    sa.Column("ended_ms", sa.BigInteger, nullable=False),
    sa.Column("claimed_by", Words, nullable=False),
    sa.Column("claimed_until_ms", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("notice", "channel", "address", name="notice_deliveries_once"),
    sa.Index("notice_deliveries_due", "state", "channel", "next_try_ms", "number"),
    sa.Index("notice_deliveries_account", "account", "number"),
)
