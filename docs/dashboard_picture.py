"""Take docs/pictures/dashboard.png: a contract's page while ADL is active.

    .venv/bin/python docs/dashboard_picture.py

Needs the browser of the tests (`make browser`). The picture differs in its times on every run, so
no test compares it; take it again when the page changes.
"""
# ruff: noqa: INP001 - a script, not a package

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "dashboard")]

from dashboard_server import running_server  # noqa: E402
from playwright.sync_api import expect  # noqa: E402

from browser import open_browser, settle  # noqa: E402 - on the path set above

MARKS = (59_000, 58_500, 58_800, 57_900, 57_000, 57_300, 56_600, 56_000)
"""Marks after the takeover at 59,500; the last one starts ADL."""

SECONDS_PER_MARK = 6  # the chart displays a minute at least
SIZE = (1280, 1232)


def main() -> None:
    """Run a crash on a served market and store a screenshot of its contract."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(Path(folder)) as server,
        open_browser() as browser,
    ):
        server.open_market()
        server.mark(59_500)
        server.submit("takeover", account="ann", contract="BTCUSDT")
        for mark in MARKS:
            time.sleep(SECONDS_PER_MARK)
            server.mark(mark)
        server.submit("refresh_indicators")
        page = browser.page(f"{server.page}/contracts/BTCUSDT?side=short", SIZE)
        for loaded in (page.locator("[data-indicator]").first, page.get_by_text("extremely high")):
            expect(loaded).to_be_visible()
        settle(page)
        time.sleep(1)  # charts are animated
        page.screenshot(path=ROOT / "docs" / "pictures" / "dashboard.png")


if __name__ == "__main__":
    main()
