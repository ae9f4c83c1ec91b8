"""Fixtures of the dashboard's tests."""

from collections.abc import Iterator

import pytest

from browser import BrowserSession, open_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserSession]:
    with open_browser() as session:
        yield session
