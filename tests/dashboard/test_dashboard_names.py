"""Names are a venue's own: whatever stands in one is shown as text, and leads to its page."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import expect
from stand import Site, served_site

from browser import Watched, browsing

MARKUP = "<b id=hurt>x"
POOL, CONTRACT, ASSET = f"p?&{MARKUP}", f"c'\"{MARKUP}", f"$&{MARKUP}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served_site(tmp_path_factory.mktemp("site")) as served:
        served.tell("define_pool", pool=POOL, kind="shared", asset=ASSET, rules="bybit")
        served.tell("fund_pool", pool=POOL, amount="100", reason="seed", note=MARKUP)
        terms = {"kind": "linear", "settle": ASSET, "tick_size": "1", "lot_size": "1"}
        served.tell("define_contract", contract=CONTRACT, pool=POOL, **terms)
        served.tell("set_marks", marks={CONTRACT: "100"})
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Watched]:
    with browsing() as watched:
        yield watched


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/", POOL),
        (f"/contracts/{quote(CONTRACT, safe='')}", f"loss room, {ASSET}"),
        ("/pools", CONTRACT),
        (f"/pools/{quote(POOL, safe='')}", f"balance, {ASSET}"),
    ],
    ids=["overview", "contract", "pools", "pool"],
)
def test_markup_in_a_name_is_text(browser: Watched, site: Site, path: str, said: str) -> None:
    page = browser.page(f"{site.page}{path}")
    expect(page.get_by_text(said, exact=True).first).to_be_visible()
    if path == "/":
        expect(page.locator(".feed")).to_contain_text(POOL)
    expect(page.locator("#hurt")).to_have_count(0)
    assert browser.complaints == []


@pytest.mark.parametrize("path", ["/", f"/contracts/{quote(CONTRACT, safe='')}", "/pools"])
def test_a_pool_s_link_leads_to_its_page(browser: Watched, site: Site, path: str) -> None:
    page = browser.page(f"{site.page}{path}")
    page.get_by_role("link", name=POOL, exact=True).first.click()
    expect(page.locator("h1")).to_have_text(f"Pool {POOL}")
    expect(page.get_by_text(f"balance, {ASSET}", exact=True)).to_be_visible()
    page.wait_for_load_state("networkidle")
