"""Environment of alembic: migrates the given connection in the transaction of its caller."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="history_version",
    transactional_ddl=False,
)
context.run_migrations()
