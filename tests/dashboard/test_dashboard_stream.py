"""The feed of events: live over the server's stream, stale without it, complete afterwards."""

from contextlib import ExitStack
from pathlib import Path

from dashboard_server import CONFIG, DashboardServer, running
from playwright.sync_api import expect

from browser import BrowserSession, artifact
from waiting import becomes


def test_feed_is_stale_while_the_server_is_down_and_misses_no_event(
    browser: BrowserSession, tmp_path: Path
) -> None:
    """The dashboard runs apart; its server stops, restarts from its journal, and has a crash."""
    journal = f'path = "{tmp_path / "journal.db"}"'
    config = tmp_path / "delever.toml"

    def serve(port: str) -> list[str]:
        text = CONFIG.replace('path = ":memory:"', journal).replace("port = 0", f"port = {port}")
        config.write_text(text)
        return ["serve", "--config", str(config)]

    with ExitStack() as dashboard:
        with running(*serve("0")) as url:
            DashboardServer(url).open_market()
            page_url = dashboard.enter_context(running("dashboard", "--server", url, "--port", "0"))
            page = browser.page(page_url)
            stream, feed = page.locator("[data-stream]"), page.locator(".feed")
            expect(stream).to_have_attribute("data-stream", "live")
            page.get_by_role("button", name="Funds").click()
            expect(feed).to_contain_text("fund flow")
        expect(stream).to_have_attribute("data-stream", "stale")
        expect(feed).to_contain_class("stale")
        page.screenshot(path=artifact("overview-stale.png"))
        with running(*serve(url.rpartition(":")[2])) as restarted_url:
            assert restarted_url == url
            server = DashboardServer(restarted_url)
            server.mark(59_500)
            server.submit("takeover", account="ann", contract="BTCUSDT")
            server.mark(56_000)
            expect(stream).to_have_attribute("data-stream", "live")
            page.get_by_role("button", name="ADL", exact=True).click()
            expect(feed).to_contain_text("ADL round")
            page.get_by_role("button", name="Liquidations").click()
            expect(feed.locator("> div")).to_have_count(1)
            page.get_by_role("button", name="ADL", exact=True).click()
            titles = feed.locator("> div b")
            becomes(titles.all_inner_texts, ["ADL round", "ADL started"])
