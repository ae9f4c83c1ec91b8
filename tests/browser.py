"""A real browser for the tests: Debian's Chromium, with requests and console errors recorded."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from waiting import PATIENCE_S

BROWSERS = ("chromium-headless-shell", "chromium")

DESKTOP, PHONE = (1280, 900), (390, 844)

TIMEOUT_MS = 1_000 * PATIENCE_S
"""Time after which an expectation fails that a page never meets."""

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


@dataclass
class BrowserSession:
    """A browser, every URL that its page has requested, and the page's console errors."""

    browser: Browser
    requests: list[str] = field(default_factory=list)
    console_errors: list[str] = field(default_factory=list)

    def page(self, url: str, size: tuple[int, int] = DESKTOP, *, dark: bool = False) -> Page:
        """Open a URL in a new page, close the last one and clear what was recorded."""
        for context in self.browser.contexts:
            context.close()
        self.requests.clear()
        self.console_errors.clear()
        page = self.browser.new_page(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
        )
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(url)
        return page

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.console_errors.append(f"{message.type}: {message.text}")


def settle(page: Page) -> None:
    """Wait until a page has loaded everything it has requested and has drawn it."""
    page.wait_for_load_state("networkidle")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")


def table_cells(rows: Locator) -> list[list[str]]:
    """Return the texts of the cells of rows, all read at one moment."""
    found: list[list[str]] = rows.evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.trim()))"
    )
    return found


@contextmanager
def open_browser() -> Iterator[BrowserSession]:
    """Run a browser until the block ends."""
    found = [path for path in map(shutil.which, BROWSERS) if path]
    if not found:
        raise RuntimeError(f"none of {BROWSERS} is installed: apt-get install {BROWSERS[0]}")
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=_FLAGS)
        try:
            yield BrowserSession(browser)
        finally:
            browser.close()


def artifact(name: str) -> Path:
    """Return the path of a picture in $DELEVER_ARTIFACTS, by default build/artifacts."""
    root = Path(__file__).parent.parent
    directory = Path(os.environ.get("DELEVER_ARTIFACTS", root / "build" / "artifacts"))
    directory.mkdir(parents=True, exist_ok=True)
    return directory / name
