"""Run by alembic: on the connection that it is given, in that connection's transaction."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="history_version",
    transactional_ddl=False,
)
context.run_migrations()
