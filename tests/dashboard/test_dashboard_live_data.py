"""Pages while data arrive, and while none do: age, feed, selection, charts, addresses, keys."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from dashboard_server import DashboardServer, running_server
from playwright.sync_api import Locator, Page, expect

from browser import PHONE, BrowserSession, artifact
from waiting import wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardServer]:
    """Serve a contract in ADL, and one without any fill whose name comes first."""
    with running_server(tmp_path_factory.mktemp("server")) as running:
        running.crash(57_000, 56_000)
        terms = {"kind": "linear", "settle": "USDT", "tick_size": "0.5", "lot_size": "0.001"}
        running.submit("define_contract", contract="AAAUSDT", pool="main", **terms)
        running.submit("set_marks", marks={"AAAUSDT": "10"})
        yield running


# --- age ---


@contextmanager
def stopped(server: DashboardServer) -> Iterator[None]:
    """Stop the server's process until the block ends, as a server that hangs."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_page_of_a_server_that_hangs_is_gray_and_counts_its_age(
    browser: BrowserSession, server: DashboardServer
) -> None:
    page = browser.page(f"{server.page}/")
    expect(page.locator(".age")).to_contain_text("live")
    page.evaluate("""() => {
        window.wentOld = new Promise((done) => new MutationObserver(() => {
            if (document.body.classList.contains("old")) done(performance.now());
        }).observe(document.body, { attributeFilter: ["class"] }));
        window.stoppedAt = performance.now();
    }""")
    with stopped(server):
        expect(page.locator(".age")).to_contain_text("no data")
        assert page.evaluate("async () => (await window.wentOld) - window.stoppedAt") < 3_500
        expect(page.locator(".offline")).to_contain_text("No answer from the server for")
        expect(page.locator("#popup")).to_be_hidden()
        page.screenshot(path=artifact("overview-hung.png"))
    expect(page.locator(".age")).to_contain_text("live")
    expect(page.locator(".offline")).to_be_empty()


# --- what is read stays ---


def test_selection_focus_and_scroll_position_stay_while_events_arrive(
    browser: BrowserSession, server: DashboardServer
) -> None:
    page = browser.page(f"{server.page}/")
    page.get_by_role("button", name="Funds").click()
    for amount in range(1, 25):
        server.submit("fund_pool", pool="main", amount=str(amount), reason="injection", note="n")
    lines = page.locator(".feed > div")
    wait_until(lambda: lines.filter(has_text="USDT").count() >= 24)
    page.evaluate("""() => {
        const feed = document.querySelector(".feed");
        feed.scrollTop = 120;
        window.line = feed.children[15];
        getSelection().selectAllChildren(window.line);
        window.text = String(getSelection());
        feed.querySelector("a").focus({ preventScroll: true });
        window.focused = document.activeElement;
    }""")
    server.submit("fund_pool", pool="main", amount="777", reason="injection", note="the newest")
    expect(lines.first).to_contain_text("777 USDT")
    page.evaluate("() => getSelection().selectAllChildren(window.line)")
    before = lines.count()
    server.submit("fund_pool", pool="main", amount="778", reason="injection", note="the newest")
    expect(lines).to_have_count(before + 1)
    assert page.evaluate("() => String(getSelection()) === window.text && window.text.length > 10")
    assert page.evaluate("() => document.activeElement === window.focused")
    assert page.evaluate("() => document.querySelector('.feed').scrollTop") >= 120


def test_copy_of_a_rounded_amount_is_exact(
    browser: BrowserSession, server: DashboardServer
) -> None:
    server.submit("fund_pool", pool="main", amount="0.12345678", reason="injection", note="n")
    balance = server.get("/v1/pools/main")["balance"]
    assert balance.endswith(".12345678")
    page = browser.page(f"{server.page}/pools")
    amount = page.locator(".exact").first
    expect(amount).to_have_attribute("data-exact", balance)
    assert "12345678" not in amount.inner_text()
    copied = amount.evaluate("""(amount) => {
        getSelection().selectAllChildren(amount);
        const event = new ClipboardEvent("copy", { clipboardData: new DataTransfer() });
        document.dispatchEvent(event);
        return event.clipboardData.getData("text/plain");
    }""")
    assert copied == balance


# --- charts ---

FIRST_CHART = """() => {
  const chart = document.querySelector("[_echarts_instance_]");
  return getElement(Number(chart.id.slice(1))).chart;
}"""


def test_zoom_keeps_the_trigger_lines_and_the_cursor_lists_every_line(
    browser: BrowserSession, server: DashboardServer
) -> None:
    page = browser.page(f"{server.page}/contracts/BTCUSDT")
    page.wait_for_function(f"({FIRST_CHART})()?.getOption().series.length >= 6")
    page.locator("[_echarts_instance_]").first.hover(position={"x": 400, "y": 120})
    page.evaluate(
        f"() => ({FIRST_CHART})().dispatchAction({{type: 'dataZoom', start: 40, end: 60}})"
    )
    drawn = f"""() => {{
      const chart = ({FIRST_CHART})();
      return chart.getModel().getSeries().filter((line) => line.name.startsWith("ADL "))
        .map((line) => line.getData().count());
    }}"""
    assert min(page.evaluate(drawn)) >= 1
    text = page.evaluate(f"""() => {{
      const [axis] = ({FIRST_CHART})().getModel().getComponent("xAxis").axis.scale.getExtent();
      return linesAt([{{ axisValue: Date.now() }}]);
    }}""")
    for name in ("contract PnL", "ADL starts at -30 %", "ADL stops at -25 %", "peak balance"):
        assert text.count(f">{name}<") == 1, name
    assert browser.console_errors == []


# --- replay ---


def test_replay_opens_on_the_contract_with_fills_and_loads_the_one_that_is_chosen(
    browser: BrowserSession, server: DashboardServer
) -> None:
    fills = server.get("/v1/fills?contract=BTCUSDT&limit=1000")
    page = browser.page(f"{server.page}/replay")
    expect(page.locator("[role=status]")).to_contain_text(f"{len(fills)} fills")
    for name, number in (("AAAUSDT", 0), ("BTCUSDT", len(fills))):
        page.get_by_label("contract", exact=True).click()
        page.get_by_role("option", name=name).click()
        points = server.get(f"/v1/contracts/{name}/history?limit=10000")
        text = f"{len(points)} points, {number} fills"
        expect(page.locator("[role=status]")).to_contain_text(text)


# --- title, addresses, keys, unknown pages ---


def test_title_and_icon_of_the_tab_carry_the_state(
    browser: BrowserSession, server: DashboardServer
) -> None:
    page = browser.page(f"{server.page}/pools")
    expect(page).to_have_title("(1) ADL BTCUSDT · Insurance funds · delever")
    icon = page.locator("link[rel~=icon]").get_attribute("href") or ""
    assert "e5534b" in icon


def test_order_and_filter_of_contracts_are_in_the_address(
    browser: BrowserSession, server: DashboardServer
) -> None:
    page = browser.page(f"{server.page}/contracts")
    names = names_of(page)
    expect(names).to_have_text(["BTCUSDT", "AAAUSDT"])
    page.locator("th", has_text="Contract").click()
    page.wait_for_url("**sort=contract")
    expect(names).to_have_text(["AAAUSDT", "BTCUSDT"])
    page.locator("th", has_text="Inventory, notional").click()
    page.wait_for_url("**sort=inventory_notional")
    reopened = browser.page(f"{server.page}/contracts?sort=-inventory_notional&contract=usdt")
    expect(names_of(reopened)).to_have_text(["BTCUSDT", "AAAUSDT"])
    reopened.get_by_label("only names with").fill("aaa")
    reopened.wait_for_url("**contract=aaa*")
    expect(names_of(reopened)).to_have_text(["AAAUSDT"])


def names_of(page: Page) -> Locator:
    return page.locator(".rows .q-virtual-scroll__content td:first-child")


def test_question_mark_lists_the_keys(browser: BrowserSession, server: DashboardServer) -> None:
    page = browser.page(f"{server.page}/pools")
    expect(page.locator(".age")).to_contain_text("live")
    page.keyboard.press("?")
    expect(page.locator("dialog.keys")).to_contain_text("next and previous row")
    page.keyboard.press("Escape")
    expect(page.locator("dialog.keys")).to_be_hidden()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/nopage", "There is no page at this address."),
        ("/contracts/BTCUSD", "There is no contract BTCUSD. Perhaps: BTCUSDT"),
        ("/pools/mian", "There is no insurance fund mian. Perhaps: main"),
        ("/events/99", "There is no ADL event 99."),
        ("/accounts/nobody", "There is no account nobody."),
    ],
)
def test_unknown_pages_have_the_navigation_and_no_action(
    browser: BrowserSession, server: DashboardServer, path: str, text: str
) -> None:
    page = browser.page(f"{server.page}{path}")
    expect(page.locator(".unknown")).to_contain_text(text)
    expect(page.locator("nav a")).to_have_count(7)
    expect(page.locator(".action")).to_have_count(0)
    expect(page.locator("[role=alert]")).to_have_text("")


def test_a_narrow_screen_has_cards_and_a_header_of_one_line(
    browser: BrowserSession, server: DashboardServer
) -> None:
    page = browser.page(f"{server.page}/", PHONE)
    card = page.locator(".card").first
    expect(card).to_contain_text("BTCUSDT")
    expect(card).to_contain_text("100 %")
    assert page.locator(".top").evaluate("(header) => header.offsetHeight") <= 49
    assert card.locator("a").first.evaluate("(link) => link.offsetHeight") >= 24
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Insurance funds").click()
    expect(page.locator("h1")).to_have_text("Insurance funds")
    expect(page.locator(".card a", has_text="main")).to_be_visible()


def test_queue_positions_and_closed_fills_are_cards_of_two_lines_on_a_narrow_screen(
    browser: BrowserSession, server: DashboardServer
) -> None:
    (first,) = server.get("/v1/contracts/BTCUSDT/queue?side=short&limit=1")["rows"]
    page = browser.page(f"{server.page}/contracts/BTCUSDT?side=short", PHONE)
    card = page.locator(".card", has_text=first["account"])
    expect(card.locator(".indicators")).to_have_attribute("data-indicator", "5")
    expect(card).to_contain_text(f"{first['quantity']} of cumulative")
    (fill, *_) = server.get("/v1/fills?limit=1")
    page = browser.page(f"{server.page}/accounts/{fill['account']}", PHONE)
    closed = page.locator(".card", has_text=f"fill {fill['fill']}")
    expect(closed).to_contain_text(f"rank {fill['rank']}")
    whole = fill["price"].partition(".")[0]
    expect(closed.locator(".number").nth(1).locator("span")).to_have_text([whole[:-3], whole[-3:]])
    assert page.locator(".card > div").count() == 2 * page.locator(".card").count()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    assert browser.console_errors == []
