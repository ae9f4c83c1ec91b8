"""Fixtures of the tests of `delever watch`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from delever.watch.store import WatchStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchStore]:
    """A watch's file in the test's folder."""
    opened = WatchStore(tmp_path / "watch.db")
    yield opened
    opened.close()
