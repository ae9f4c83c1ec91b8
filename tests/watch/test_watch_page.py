"""The page of the watch in a real browser, with a real process that polls a stub of venues."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import answer_samples as samples
import httpx2
import pytest
from playwright.sync_api import expect
from stub_server import Stub, stubbed

from browser import DESKTOP, PHONE, BrowserSession, artifact, open_browser
from delever.cli import call
from sources import ROOT
from waiting import PATIENCE_S

SECRET, KEY = "never-on-any-page", "watch-key-id"

FILE = """
[[venues]]
venue = "binance"
key_env = "WATCH_KEY"
secret_env = "WATCH_SECRET"
base_url = "{url}"
[venues.refresh]
indicator_ms = 2000
[[rules]]
when = "indicator"
name = "front of the queue"
at_least = 4
[[channels]]
name = "desk"
webhook = "{url}/hook"
"""


@dataclass
class Site:
    """A watch with its page, and the venue that it polls."""

    url: str
    stub: Stub
    process: subprocess.Popen[str]
    folder: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("page")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
    environment |= {"WATCH_KEY": KEY, "WATCH_SECRET": SECRET}
    with stubbed() as stub:
        samples.binance(stub)
        stub.set_answer("/hook", {})
        (folder / "watch.toml").write_text(FILE.format(url=stub.url))
        words = ("watch", "-c", "watch.toml", "--page", "--port", "0")
        process = subprocess.Popen(
            [sys.executable, "-m", "delever", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
            env={name: value for name, value in environment.items() if "PYTEST" not in name},
        )  # fmt: skip
        assert process.stdout is not None
        try:
            yield Site(process.stdout.readline().strip(), stub, process, folder)
        finally:
            process.send_signal(signal.SIGTERM)
            rest, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors, errors
    assert SECRET not in rest + errors


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserSession]:
    with open_browser() as session:
        yield session


def row(page: Any, panel: str, *texts: str) -> Any:
    """Return the rows of a panel that contain all of the texts."""
    found = page.locator("section.panel").filter(has=page.get_by_role("heading", name=panel))
    rows = found.locator("tbody tr")
    for text in texts:
        rows = rows.filter(has_text=text)
    return rows


@pytest.mark.parametrize("form", ["desktop", "phone"])
def test_the_page_displays_the_whole_view(browser: BrowserSession, site: Site, form: str) -> None:
    size = DESKTOP if form == "desktop" else PHONE
    page = browser.page(site.url, size, dark=form == "desktop")
    expect(page.locator("h1")).to_have_text("ADL risk")
    expect(page.locator(".asof")).to_contain_text("UTC")
    position = row(page, "Positions", "ADAUSDT")
    expect(position).to_contain_text("5 of 5")
    expect(position).to_contain_text("4 (0-4, 4 next)")
    expect(position).to_contain_text("of 2 s")
    expect(position.locator(".indicators")).to_have_attribute("data-indicator", "5")
    expect(row(page, "Options", "close 15, half of it")).to_have_count(1)
    expect(row(page, "Contracts", "ETHUSDT", "extremely high (EXTREMELY_HIGH)")).to_have_count(1)
    expect(page.locator("[role=status]")).to_contain_text("ADAUSDT: indicator 5 of the long")
    expect(row(page, "Deliveries", "desk", "sent").first).to_be_visible()
    expect(row(page, "ADL fills", "BTCUSDT", "short")).to_have_count(1)
    expect(row(page, "Sources", "symbol risk", "30 min", "answers")).to_have_count(1)
    expect(page.locator(".page")).to_contain_text("321 of 2400 in 60 s")
    expect(page.locator("canvas")).to_have_count(1)
    expect(page.locator(".page")).to_contain_text("it needs all other accounts' positions")
    page.screenshot(path=artifact(f"watch-{form}.png"), full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert [url for url in browser.requests if not url.startswith(site.url)] == []
    assert browser.console_errors == []
    assert SECRET not in page.content()
    assert KEY not in page.content()


def test_the_chosen_history_is_in_the_url(browser: BrowserSession, site: Site) -> None:
    page = browser.page(f"{site.url}?contract=binance/ETHUSDT&hours=6")
    expect(page.locator(".page")).to_contain_text("binance/ETHUSDT")
    page.get_by_label("time").click()
    page.get_by_role("option", name="1 week").click()
    page.wait_for_url("**hours=168*")
    page.get_by_role("button", name="Theme").click()
    expect(page.locator("body")).to_have_class("desktop no-touch body--dark")


def test_a_failure_is_displayed_until_it_is_over(browser: BrowserSession, site: Site) -> None:
    page = browser.page(site.url)
    expect(row(page, "Positions", "ADAUSDT")).to_have_count(1)
    site.stub.set_answer(
        "/fapi/v1/adlQuantile", {"code": -1003, "msg": "Too many"}, 429, retry_after="1"
    )
    expect(page.locator("[role=status]")).to_contain_text("binance: rate limited")
    expect(row(page, "Sources", "positions and indicators", "rate_limited")).to_have_count(1)
    expect(row(page, "Positions", "ADAUSDT")).to_have_count(1)  # the last observation stays
    samples.binance(site.stub)
    expect(page.locator("[role=status]")).not_to_contain_text("rate limited")


def test_only_requests_of_this_machine_are_answered(site: Site) -> None:
    """Neither another address reaches the page, nor a foreign host name that points here."""
    port = int(site.url.rstrip("/").rpartition(":")[2])
    answer = httpx2.get(site.url, headers={"Host": f"elsewhere.example:{port}"}, timeout=PATIENCE_S)
    assert answer.status_code == 400
    with socket.socket() as elsewhere:  # free only where the page has not taken all addresses
        elsewhere.bind(("127.0.0.2", port))


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["--page", "--once"], 2, "--page cannot be combined with --once or --json"),
        (["--page", "--json"], 2, "--page cannot be combined with --once or --json"),
        (["bybit", "--page", "--host", "192.0.2.1"], 1, "192.0.2.1:8082"),
    ],
)
def test_invalid_arguments_of_the_page_are_reported(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    why: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(["watch", *arguments]) == code
    assert why in capfd.readouterr().err
