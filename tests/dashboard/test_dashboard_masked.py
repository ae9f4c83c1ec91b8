"""Whose names the page shows: a visitor's none, an account's own its own, the risk desk's all."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from stand import BOB, DESK, MASKED, Site, served_site

from browser import Watched, artefact, browsing


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served_site(tmp_path_factory.mktemp("site"), MASKED) as served:
        served.open_market()
        served.mark(59_500)
        served.tell("takeover", account="ann", contract="BTCUSDT")
        served.mark(56_000)
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Watched]:
    with browsing() as watched:
        yield watched


def with_key(page: Page, key: str) -> None:
    page.get_by_role("button", name="Key", exact=True).click()
    page.get_by_label("key", exact=True).fill(key)
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_label("key", exact=True)).to_have_count(0)


def names(page: Page) -> list[str]:
    """Return the accounts of the ladder's first page; those with a link stand in brackets."""
    rows = page.locator(".rows").first.locator("tbody tr")
    expect(rows).to_have_count(20)
    cells = [row.locator("td").nth(1) for row in rows.all()]
    return [
        f"[{cell.inner_text()}]" if cell.locator("a").count() else cell.inner_text()
        for cell in cells
    ]


def test_names_are_shown_by_role(browser: Watched, site: Site) -> None:
    page = browser.page(f"{site.page}/contracts/BTCUSDT?side=short")
    hidden = names(page)
    assert all(re.fullmatch(r"masked:[0-9a-f]{10}", name) for name in hidden)
    assert len(set(hidden)) == 20
    page.screenshot(path=artefact("contract-masked.png"), full_page=True)
    with_key(page, BOB)
    page.get_by_label("find an account").fill("dan")
    page.get_by_label("find an account").press("Enter")
    expect(page.locator("[role=alert]")).to_contain_text("does not see account 'dan'")
    assert all(name.startswith("masked:") for name in names(page))
    page.goto(f"{site.page}/contracts/BTCUSDT?side=short")
    with_key(page, DESK)
    expect(page.get_by_role("link", name="short07")).to_be_visible()
    named = names(page)
    assert len(named) == len(hidden)
    assert not any("masked" in name for name in named)
    assert all(name.startswith("[") for name in named)


def test_an_episode_and_the_feed_are_shown_without_names(browser: Watched, site: Site) -> None:
    page = browser.page(f"{site.page}/events/1")
    fills = page.locator(".rows").last.locator("tbody tr")
    expect(fills).to_have_count(len(site.get("/v1/fills")))
    assert fills.locator("a").count() == 0
    told = page.locator(".page").inner_text()
    assert not re.search(r"\b(ann|bob|cyd|dan)\b", told)
    page.get_by_role("button", name="Recompute").click()
    expect(page.locator("[role=alert]")).to_contain_text("Authorization")
    page.goto(f"{site.page}/")
    expect(page.locator(".feed")).to_contain_text("takeover")
    assert not re.search(r"\b(ann|bob|cyd|dan)\b", page.locator(".feed").inner_text())


def test_an_account_s_page_is_for_its_owner_and_the_desk(browser: Watched, site: Site) -> None:
    page = browser.page(f"{site.page}/accounts/dan")
    expect(page.locator("[role=alert]")).to_contain_text("Authorization")
    expect(page.locator("ol.why li")).to_have_count(0)
    with_key(page, BOB)
    expect(page.locator("[role=alert]")).to_contain_text("does not see account 'dan'")
    with_key(page, DESK)
    expect(page.locator("ol.why li").first).to_be_visible()
    expect(page.locator("[role=alert]")).to_have_text("")


def test_a_name_with_a_slash_has_its_page(browser: Watched, site: Site) -> None:
    site.tell("define_account", account="desk/7")
    page = browser.page(f"{site.page}/accounts/desk%2F7")
    with_key(page, DESK)
    expect(page.locator("h1")).to_contain_text("desk/7")
    expect(page.locator("[role=alert]")).to_have_text("")
    expect(page.locator(".page")).to_contain_text("Notices sent")
