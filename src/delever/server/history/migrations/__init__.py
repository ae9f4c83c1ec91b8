"""Versions of the schema of the past, for alembic."""
