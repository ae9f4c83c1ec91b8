"""The feed of events: over the server's stream, stale while that is gone, whole afterwards."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import expect
from stand import CONFIG, Site, running

from browser import Watched, artefact, browsing


@pytest.fixture(scope="module")
def browser() -> Iterator[Watched]:
    with browsing() as watched:
        yield watched


def test_the_feed_is_stale_while_the_server_is_gone_and_misses_nothing(
    browser: Watched, tmp_path: Path
) -> None:
    """The page is served apart; its server stops, comes back on its journal, and has a crash."""
    journal = f'path = "{tmp_path / "journal.db"}"'
    config = tmp_path / "delever.toml"

    def serve(port: str) -> list[str]:
        text = CONFIG.replace('path = ":memory:"', journal).replace("port = 0", f"port = {port}")
        config.write_text(text)
        return ["serve", "--config", str(config)]

    with ExitStack() as apart:
        with running(*serve("0")) as url:
            Site(url).open_market()
            page_url = apart.enter_context(running("dashboard", "--server", url, "--port", "0"))
            page = browser.page(page_url)
            stream, feed = page.locator("[data-stream]"), page.locator(".feed")
            expect(stream).to_have_attribute("data-stream", "live")
            expect(feed).to_contain_text("pool funded")
            before = page.locator(".feed > div").count()
        expect(stream).to_have_attribute("data-stream", "stale")
        expect(feed).to_contain_class("stale")
        page.screenshot(path=artefact("overview-stale.png"))
        with running(*serve(url.rpartition(":")[2])) as again:
            assert again == url
            site = Site(again)
            site.mark(59_500)
            site.tell("takeover", account="ann", contract="BTCUSDT")
            site.mark(56_000)
            expect(stream).to_have_attribute("data-stream", "live")
            expect(feed).to_contain_text("ADL round")
            texts = page.locator(".feed > div").all_inner_texts()
            sequences = [int(re.findall(r"#(\d+)", text)[0]) for text in texts]
            assert sequences == sorted(sequences, reverse=True)
            assert len(texts) == len(set(texts)) > before
            kinds = [line.split("\n")[1] for line in texts]
            assert kinds.count("takeover") == kinds.count("ADL started") == 1
