"""The dashboard in a real browser, beside a real server that is told a small crash."""

import io
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Page, expect
from stand import DESK, ENGINE, Site, running, served_site

from browser import DESKTOP, PHONE, Watched, artefact, browsing

PAGES = {
    "overview": "/",
    "contract": "/contracts/BTCUSDT",
    "pools": "/pools",
    "pool": "/pools/main",
    "episodes": "/events",
    "episode": "/events/1",
    "account": "/accounts/short07",
    "accounts": "/accounts",
    "lab": "/lab",
    "replay": "/replay",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served_site(tmp_path_factory.mktemp("site")) as served:
        served.open_market()
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Watched]:
    with browsing() as watched:
        yield watched


def test_a_crash_moves_the_banner_from_calm_through_watch_to_adl_and_back(
    browser: Watched, site: Site
) -> None:
    """BYB-01 BYB-02: 25 % down is 83 % of the way; ADL starts at 30 %, and stops above -25 %."""
    page = browser.page(f"{site.page}/")
    banner = page.locator('[data-contract="BTCUSDT"]')
    expect(banner).to_have_attribute("data-state", "calm")
    site.mark(59_500)
    site.tell("takeover", account="ann", contract="BTCUSDT")
    site.mark(57_000)
    expect(banner).to_have_attribute("data-state", "watch")
    expect(banner).to_contain_text("contract drawdown at 83.3333 % of the way")
    expect(banner).to_contain_text("the pool holds 100 long")
    site.mark(56_000)
    expect(banner).to_have_attribute("data-state", "adl")
    expect(page.locator(".feed")).to_contain_text("ADL started")
    page.screenshot(path=artefact("overview-adl.png"))
    rescue: dict[str, Any] = {"pool": "main", "reason": "injection", "contract": "BTCUSDT"}
    site.tell("fund_pool", amount="200000", note="after the drawdown", **rescue)
    expect(banner).to_have_attribute("data-state", "calm")
    expect(page.locator(".feed")).to_contain_text("ADL stopped")
    assert browser.complaints == []


@pytest.mark.parametrize("name", PAGES)
def test_every_page_loads_without_complaint_and_asks_nobody_else(
    browser: Watched, site: Site, name: str
) -> None:
    for size, form, dark in ((DESKTOP, "desktop", True), (PHONE, "phone", False)):
        page = browser.page(site.page + PAGES[name], size, dark=dark)
        expect(page.locator("h1")).to_have_count(1)
        if name not in {"lab", "replay", "accounts", "episodes", "episode"}:
            expect(page.locator(".asof")).to_contain_text("as of sequence")
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(600)
        page.screenshot(path=artefact(f"{name}-{form}.png"), full_page=True)
        assert page.locator("[role=alert]").inner_text() == ""
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert [url for url in browser.requests if not url.startswith(site.url)] == []
        assert browser.complaints == []


def test_the_description_of_the_api_is_one_click_away(browser: Watched, site: Site) -> None:
    page = browser.page(f"{site.page}/pools")
    page.get_by_role("link", name="API", exact=True).click()
    expect(page).to_have_url(f"{site.url}/schema")
    expect(page.locator("h1")).to_be_visible()
    assert browser.complaints == []


@pytest.mark.parametrize("side", ["long", "short"])
def test_the_ladder_is_the_queue_of_the_api_page_after_page(
    browser: Watched, site: Site, side: str
) -> None:
    page = browser.page(f"{site.page}/contracts/BTCUSDT?side={side}")
    offset = 0
    while True:
        told = site.get(f"/v1/contracts/BTCUSDT/queue?side={side}&offset={offset}&limit=20")
        rows = page.locator(".rows tbody tr", has=page.locator(".indicators, .quiet"))
        expect(page.locator(".page")).to_contain_text(
            f"{offset + 1} to {min(offset + 20, told['total'])} of {told['total']}"
        )
        expect(rows).to_have_count(len(told["rows"]))
        assert [ladder_row(row) for row in rows.all()] == [api_row(row) for row in told["rows"]]
        offset += 20
        if offset >= told["total"]:
            break
        page.get_by_role("button", name="Next").click()
    assert f"offset={offset - 20}" in page.url


def ladder_row(row: Any) -> tuple[str, ...]:
    cells = [cell.strip() for cell in row.locator("td").all_text_contents()]
    indicator = row.locator(".indicators").get_attribute("data-indicator")
    return (cells[0], cells[1], str(indicator), cells[3], cells[7])


def api_row(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(row["rank"]),
        row["account"],
        str(row["indicator"]),
        row["quantity"],
        row["cumulative"],
    )


def test_an_account_is_found_in_the_ladder_and_kept_in_the_address(
    browser: Watched, site: Site
) -> None:
    page = browser.page(f"{site.page}/contracts/BTCUSDT?side=long")
    last = site.get("/v1/contracts/BTCUSDT/queue?side=long&offset=29&limit=1")["rows"][0]["account"]
    find = page.get_by_label("find an account")
    find.fill(last)
    find.press("Enter")
    expect(page.get_by_role("link", name=last)).to_be_visible()
    page.wait_for_url(f"**account={last}*")
    again = browser.page(page.url)
    expect(again.get_by_role("link", name=last)).to_be_visible()


def test_why_me_is_arithmetic_that_comes_out_right(browser: Watched, site: Site) -> None:
    account = first_in_line(site)
    page = browser.page(f"{site.page}/accounts/{account}")
    expect(page.locator("ol.why li").first).to_contain_text("Profit:")
    lines = page.locator("ol.why li").all_inner_texts()
    entry, mark, profit = numbers(lines[0], r"(\S+) at entry - (\S+) at mark = (\S+) USDT")
    assert entry - mark == profit
    (equity,) = numbers(lines[1], r"has (\S+) USDT of equity")
    (returned,) = numbers(lines[2], r"= (\S+)\.$")
    (leverage,) = numbers(lines[3], r"= (\S+)\.$")
    (score,) = numbers(lines[4], r"= ([\d.]+)\.$")
    assert float(profit / entry) == pytest.approx(float(returned), rel=1e-5)
    assert float(returned * leverage) == pytest.approx(float(score), rel=1e-5)
    assert equity > 0
    told = site.get(f"/v1/accounts/{account}/explain?contract=BTCUSDT&side=short")
    shown = page.locator("[data-rank]")
    assert shown.get_attribute("data-rank") == str(told["rank"])
    assert f"Rank {told['rank']} of {told['of']}" in " ".join(lines)


def first_in_line(site: Site) -> str:
    return str(site.get("/v1/contracts/BTCUSDT/queue?side=short&limit=1")["rows"][0]["account"])


def numbers(line: str, pattern: str) -> list[Decimal]:
    found = re.search(pattern, line)
    assert found, line
    return [Decimal(group) for group in found.groups()]


def test_what_if_changes_a_rank_as_the_api_says(browser: Watched, site: Site) -> None:
    first = first_in_line(site)
    page = browser.page(f"{site.page}/accounts/{first}")
    expect(page.locator("ol.why li").first).to_be_visible()
    page.get_by_label("change").click()
    page.get_by_role("option", name="Margin put in").click()
    page.get_by_label("amount").fill("5000000")
    page.get_by_role("button", name="Try").click()
    compared = page.locator("table.compared[data-after]")
    expect(compared).to_be_visible()
    change = {"change": "add_margin", "amount": "5000000"}
    asked = {"contract": "BTCUSDT", "side": "short", "position": 0, "change": change}
    told = site.post(f"/v1/accounts/{first}/what-if", asked)
    assert compared.get_attribute("data-before") == str(told["before"]["rank"]) == "1"
    assert compared.get_attribute("data-after") == str(told["after"]["rank"])
    assert told["after"]["rank"] > 1
    slider = page.locator(".q-slider [tabindex]")
    expect(slider).to_be_visible()
    slider.press("ArrowRight")
    amount = three_percent(site, first)
    expect(page.get_by_label("amount")).to_have_value(amount)
    asked["change"] = {"change": "add_margin", "amount": amount}
    less = site.post(f"/v1/accounts/{first}/what-if", asked)
    expect(compared).to_have_attribute("data-after", str(less["after"]["rank"]))
    page.get_by_label("amount").fill("all of it")
    page.get_by_role("button", name="Try").click()
    expect(page.locator("[role=alert]")).to_contain_text("all of it")


def three_percent(site: Site, account: str) -> str:
    """Return 3 % of the equity behind an account's short, in cents."""
    asked = f"/v1/accounts/{account}/explain?contract=BTCUSDT&side=short"
    told = Decimal(site.get(asked)["equity"]) * 3 / 100
    return f"{told.quantize(Decimal('0.01')).normalize():f}"


def test_the_keyboard_searches_and_walks_through_rows(browser: Watched, site: Site) -> None:
    page = browser.page(f"{site.page}/")
    expect(page.locator(".rows tbody tr")).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/contracts/BTCUSDT*")
    expect(page.locator("h1")).to_have_text("BTCUSDT")
    expect(page.locator(".asof")).to_contain_text("as of")
    page.keyboard.press("/")
    page.keyboard.type("short07")
    page.keyboard.press("Enter")
    page.wait_for_url("**/accounts/short07")
    expect(page.locator("ol.why li").first).to_be_visible()


def test_an_action_needs_a_key_with_the_role_a_reason_and_a_typed_confirmation(
    browser: Watched, site: Site
) -> None:
    page = browser.page(f"{site.page}/pools/main")
    before = Decimal(site.get("/v1/pools/main")["balance"])

    def submit(confirm: str, note: str = "a test of the form") -> Any:
        page.get_by_label("amount (negative: taken out)").fill("1000")
        page.get_by_label("reason (kept in the journal)").fill(note)
        page.get_by_label("to confirm").fill(confirm)
        page.get_by_role("button", name="Submit").click()
        return page.locator(".q-dialog [role=status]")

    expect(page.locator(".asof")).to_contain_text("as of")
    page.locator("button.action").click()
    expect(submit("mian")).to_contain_text("'mian' is not 'main'")
    expect(submit("main")).to_contain_text("Not done")
    for key, answer in ((DESK, "Not done"), (ENGINE, "Done, as sequence")):
        page.goto(page.url)
        expect(page.locator(".asof")).to_contain_text("as of")
        give_key(page, key)
        page.locator("button.action").click()
        expect(submit("main")).to_contain_text(answer)
    assert Decimal(site.get("/v1/pools/main")["balance"]) == before + 1000
    sequence = site.get("/v1/status")["sequence"]
    told = site.get(f"/v1/events?after={sequence - 20}&type=pool_funded")["events"][-1]
    assert told["event"]["note"] == "a test of the form"


def give_key(page: Page, key: str) -> None:
    page.get_by_role("button", name="Key").click()
    page.get_by_label("key", exact=True).fill(key)
    page.get_by_role("button", name="Use it").click()
    page.wait_for_timeout(300)
    expect(page.locator(".asof")).to_contain_text("as of")


def test_an_episode_is_computed_again_and_downloaded(browser: Watched, site: Site) -> None:
    told = site.get("/v1/adl/1")
    page = browser.page(f"{site.page}/events/1")
    fills = [fill for each in told["rounds"] for fill in each["fills"]]
    assert len(fills) >= 3
    shown = page.locator(".rows").last.locator("tbody tr")
    expect(shown).to_have_count(len(fills))
    rows = [cells(row) for row in shown.all()]
    assert [row[1:5] for row in rows] == [
        [fill["account"], fill["quantity"], fill["price"], fill["realized"]] for fill in fills
    ]
    page.get_by_role("button", name="Recompute").click()
    proof = page.locator("[data-same]")
    expect(proof).to_contain_text("the same bytes")
    expect(proof).to_contain_text(told["rounds"][0]["hash"])
    kept = json.loads(downloaded(page, "JSON"))
    assert kept["rounds"][0]["hash"] == told["rounds"][0]["hash"]
    frame = pl.read_parquet(io.BytesIO(downloaded(page, "Parquet")))
    assert frame["price"].to_list() == [Decimal(fill["price"]) for fill in fills]
    assert frame["account"].to_list() == [fill["account"] for fill in fills]


def test_a_pool_s_history_is_downloaded_exactly(browser: Watched, site: Site) -> None:
    page = browser.page(f"{site.page}/pools/main")
    expect(page.locator(".rows tbody tr").last).to_contain_text("seed")
    lines = downloaded(page, "Download history as CSV").decode().splitlines()
    points = site.get("/v1/pools/main/history?limit=1000")["points"]
    assert lines[0] == "sequence,time_ms,balance,equity,balance_peak,BTCUSDT"
    balances = [(line.split(",")[0], line.split(",")[2]) for line in lines[1:]]
    assert balances == [(str(each["sequence"]), each["balance"]) for each in points]
    told = downloaded(page, "Download in- and outflows as CSV").decode().splitlines()
    flows = site.get("/v1/pools/main/history")["flows"]
    assert told[0] == "sequence,time_ms,amount,reason,contract,note"
    assert [line.split(",")[2:4] for line in told[1:]] == [
        [flow["amount"], flow["reason"]] for flow in flows
    ]


def downloaded(page: Page, button: str) -> bytes:
    with page.expect_download() as waited:
        page.get_by_role("button", name=button, exact=True).click()
    return Path(waited.value.path()).read_bytes()


def test_the_laboratory_plays_rule_sets_side_by_side_and_scrubs_through_time(
    browser: Watched, site: Site
) -> None:
    page = browser.page(f"{site.page}/lab?preset=one_long_falls&rules=bybit,gmx")
    totals = page.locator(".rows").first.locator("tbody tr")
    expect(totals).to_have_count(2)
    assert [cells(row)[:3] for row in totals.all()] == [
        ["bybit", "BTCUSDT", "USDT"],
        ["gmx", "BTCUSDT", "USDT"],
    ]
    assert cells(totals.first)[5] == "100"
    moment = page.locator(".rows").nth(2).locator("tbody tr").first
    expect(moment.locator("td").nth(4)).to_have_text("3")
    page.get_by_label("time", exact=True).click(position={"x": 2, "y": 12})
    expect(moment.locator("td").nth(4)).to_have_text("0")
    assert browser.complaints == []


def cells(row: Any) -> list[str]:
    return [text.strip() for text in row.locator("td").all_text_contents()]


def test_apart_from_the_server_it_asks_for_a_key_where_its_own_will_not_do(
    browser: Watched, site: Site
) -> None:
    asked = ("dashboard", "--server", site.url, "--port", "0", "--key-env", "SITE_WRONG_KEY")
    with running(*asked) as url:
        page = browser.page(url)
        expect(page.locator("[role=alert]")).to_contain_text("key or its secret is wrong")
        expect(page.locator("[data-contract]")).to_have_count(0)
        page.get_by_role("button", name="Enter a key").click()
        page.get_by_label("key", exact=True).fill(DESK)
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("[data-contract]")).to_have_count(1)
        expect(page.locator("[role=alert]")).to_have_text("")
        assert [each for each in browser.requests if not url.startswith(each[:20])] == []
