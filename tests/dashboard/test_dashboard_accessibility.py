"""Every page with axe-core, light and dark: no serious finding."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from dashboard_server import DashboardServer, running_server
from playwright.sync_api import expect

from browser import BrowserSession, settle

PATHS = ("/", "/contracts/BTCUSDT", "/events/1")

SLOW_PATHS = (
    "/contracts",
    "/pools",
    "/pools/main",
    "/events",
    "/accounts",
    "/accounts/bob",
    "/lab",
    "/lab/crash",
    "/replay",
    "/fills/1",
    "/nopage",
)
"""Pages that are made of the same parts."""

SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        running.crash(57_000, 56_000)
        yield running


@pytest.mark.parametrize(
    "path", [*PATHS, *(pytest.param(path, marks=pytest.mark.slow) for path in SLOW_PATHS)]
)
def test_page_has_no_serious_finding(
    browser: BrowserSession, server: DashboardServer, path: str
) -> None:
    page = browser.page(f"{server.page}{path}")
    expect(page.locator(".age")).to_contain_text("live" if path != "/nopage" else "connecting")
    settle(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        rules = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}
        found = Axe().run(page, options=rules).response["violations"]
        serious = [
            f"{each['id']}: {node['html'][:160]}: {node['failureSummary'][:300]}"
            for each in found
            if each["impact"] in SERIOUS
            for node in each["nodes"]
        ]
        assert serious == [], scheme
