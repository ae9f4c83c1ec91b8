"""Account names by role: masked for visitors, own name for an account, all for the risk desk."""

import re
from collections.abc import Iterator

import pytest
from dashboard_server import BOB, DESK, MASKED, DashboardServer, enter_key, running_server
from playwright.sync_api import Page, expect

from browser import BrowserSession, artifact
from waiting import wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardServer]:
    with running_server(tmp_path_factory.mktemp("server"), MASKED) as running:
        running.crash(56_000)
        yield running


MASKED_NAME, LINK = r"masked:[0-9a-f]{10}", r"\[\w+\]"

NAMES = """rows => rows.map(row => {
    const name = row.cells[1].innerText;
    return row.cells[1].querySelector("a") ? `[${name}]` : name;
})"""


def names(page: Page, pattern: str) -> list[str]:
    """Return the 20 accounts of the queue's page once all match; links are in brackets."""
    rows = page.locator(".rows").first.locator("tbody tr")

    def matching() -> list[str]:
        found: list[str] = rows.evaluate_all(NAMES)
        matches = len(found) == 20 and all(re.fullmatch(pattern, name) for name in found)
        return found if matches else []

    return wait_until(matching, pattern)


def test_queue_masks_names_unless_the_key_has_the_role_read(
    browser: BrowserSession, server: DashboardServer
) -> None:
    page = browser.page(f"{server.page}/contracts/BTCUSDT?side=short")
    assert len(set(names(page, MASKED_NAME))) == 20
    page.screenshot(path=artifact("contract-masked.png"), full_page=True)
    enter_key(page, BOB)
    page.get_by_label("find an account").fill("dan")
    page.get_by_label("find an account").press("Enter")
    expect(page.locator("[role=alert]")).to_contain_text("may not read this account")
    names(page, MASKED_NAME)
    page.goto(f"{server.page}/contracts/BTCUSDT?side=short")
    enter_key(page, DESK)
    expect(page.get_by_role("link", name="short07")).to_be_visible()
    assert len(set(names(page, LINK))) == 20


def test_episode_and_feed_have_no_names_for_a_visitor(
    browser: BrowserSession, server: DashboardServer
) -> None:
    page = browser.page(f"{server.page}/events/1")
    fills = page.locator(".rows").last.locator("tbody tr")
    expect(fills).to_have_count(len(server.get("/v1/fills")))
    assert fills.locator("a").count() == 0
    text = page.locator(".page").inner_text()
    assert not re.search(r"\b(ann|bob|cyd|dan)\b", text)
    page.get_by_role("button", name="Recompute").click()
    expect(page.locator("[role=alert]")).to_contain_text("Authorization")
    page.goto(f"{server.page}/")
    page.get_by_role("button", name="Liquidations").click()
    expect(page.locator(".feed")).to_contain_text("1 liquidation")
    assert not re.search(r"\b(ann|bob|cyd|dan)\b", page.locator(".feed").inner_text())


def test_account_page_is_for_its_owner_and_the_risk_desk_only(
    browser: BrowserSession, server: DashboardServer
) -> None:
    page = browser.page(f"{server.page}/accounts/dan")
    expect(page.locator("[role=alert]")).to_contain_text("Authorization")
    expect(page.locator("ol.why li")).to_have_count(0)
    enter_key(page, BOB)
    expect(page.locator("[role=alert]")).to_contain_text("may not read this account")
    enter_key(page, DESK)
    expect(page.locator("ol.why li").first).to_be_visible()
    expect(page.locator("[role=alert]")).to_have_text("")


def test_account_with_a_slash_in_its_name_has_a_page(
    browser: BrowserSession, server: DashboardServer
) -> None:
    server.submit("define_account", account="desk/7")
    page = browser.page(f"{server.page}/accounts/desk%2F7")
    enter_key(page, DESK)
    expect(page.locator("h1")).to_contain_text("desk/7")
    expect(page.locator("[role=alert]")).to_have_text("")
    expect(page.locator(".page")).to_contain_text("Notifications sent")
