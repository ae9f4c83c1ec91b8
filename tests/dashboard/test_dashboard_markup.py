"""Names are free text of the venue: markup in them is displayed as text, and links still work."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from dashboard_server import DashboardServer, running_server
from playwright.sync_api import expect

from browser import BrowserSession

MARKUP = "<b id=hurt>x"
POOL, CONTRACT, ASSET = f"p?&{MARKUP}", f"c'\"{MARKUP}", f"$&{MARKUP}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        running.submit("define_pool", pool=POOL, kind="shared", asset=ASSET, rules="bybit")
        running.submit("fund_pool", pool=POOL, amount="100", reason="seed", note=MARKUP)
        terms = {"kind": "linear", "settle": ASSET, "tick_size": "1", "lot_size": "1"}
        running.submit("define_contract", contract=CONTRACT, pool=POOL, **terms)
        running.submit("set_marks", marks={CONTRACT: "100"})
        yield running


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/", POOL),
        (f"/contracts/{quote(CONTRACT, safe='')}", f"headroom to trigger, {ASSET}"),
        ("/pools", CONTRACT),
        (f"/pools/{quote(POOL, safe='')}", f"balance, {ASSET}"),
    ],
    ids=["overview", "contract", "pools", "pool"],
)
def test_markup_in_a_name_is_displayed_as_text(
    browser: BrowserSession, server: DashboardServer, path: str, text: str
) -> None:
    page = browser.page(f"{server.page}{path}")
    expect(page.get_by_text(text, exact=True).first).to_be_visible()
    if path == "/":
        page.get_by_role("button", name="Funds").click()
        expect(page.locator(".feed")).to_contain_text(POOL)
    expect(page.locator("#hurt")).to_have_count(0)
    assert browser.console_errors == []


@pytest.mark.parametrize("path", ["/", f"/contracts/{quote(CONTRACT, safe='')}", "/pools"])
def test_link_of_a_fund_opens_its_page(
    browser: BrowserSession, server: DashboardServer, path: str
) -> None:
    page = browser.page(f"{server.page}{path}")
    page.get_by_role("link", name=POOL, exact=True).first.click()
    expect(page.locator("h1")).to_have_text(f"Insurance fund {POOL}")
    expect(page.get_by_text(f"balance, {ASSET}", exact=True)).to_be_visible()
