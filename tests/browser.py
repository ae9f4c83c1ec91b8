"""A real browser for the tests: Debian's Chromium, watched for requests and complaints."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

BROWSERS = ("chromium-headless-shell", "chromium")

DESKTOP, PHONE = (1280, 900), (390, 844)

WAIT_MS = 20_000
"""How long something may take to be shown on a busy machine."""

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


@dataclass
class Watched:
    """A browser, every address that its pages asked for, and everything they complained of."""

    browser: Browser
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def page(self, url: str, size: tuple[int, int] = DESKTOP, *, dark: bool = False) -> Page:
        """Open an address in a new page; what was watched before is forgotten."""
        for context in self.browser.contexts:
            context.close()
        self.requests.clear()
        self.complaints.clear()
        page = self.browser.new_page(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
        )
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.set_default_timeout(WAIT_MS)
        page.goto(url)
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")


@contextmanager
def browsing() -> Iterator[Watched]:
    """Run a browser until the block ends."""
    found = [path for path in map(shutil.which, BROWSERS) if path]
    if not found:
        raise RuntimeError(f"none of {BROWSERS} is installed: apt-get install {BROWSERS[0]}")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=_FLAGS)
        try:
            yield Watched(browser)
        finally:
            browser.close()


def artefact(name: str) -> Path:
    """Return where a picture that a test makes is kept: DELEVER_ARTEFACTS, or build/artefacts."""
    root = Path(__file__).parent.parent
    directory = Path(os.environ.get("DELEVER_ARTEFACTS", root / "build" / "artefacts"))
    directory.mkdir(parents=True, exist_ok=True)
    return directory / name
