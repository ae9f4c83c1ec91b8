"""The text type of all SQL tables."""

import sqlalchemy as sa


class SqlText(sa.types.TypeDecorator[str]):
    """Text in which the replacement character stands for NUL, which PostgreSQL cannot store.

    Names and notes may contain NUL; one of them would block all later rows.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: sa.Dialect) -> str | None:
        """Return the text as it is written and searched for."""
        return value and value.replace("\0", "\N{REPLACEMENT CHARACTER}")
