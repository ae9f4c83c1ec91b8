"""An ADL event of 3,000 fills: its page is small, answers, and sorts and turns all fills."""

import io
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from dashboard_server import DashboardServer, command, running_server
from playwright.sync_api import expect

from browser import BrowserSession, settle, table_cells
from waiting import becomes

FILLS, MAX_NODES = 3_000, 5_000


def commands() -> Iterator[dict[str, object]]:
    """Yield a market in which one long of 3,000 is taken over and closed against 3,000 shorts."""
    names = [f"short{n:04}" for n in range(FILLS)]
    terms = {"kind": "linear", "settle": "USDT", "tick_size": "0.5", "lot_size": "0.001"}
    yield command("define_pool", pool="main", kind="shared", asset="USDT", rules="bybit")
    yield command("fund_pool", pool="main", amount="30000000", reason="seed", note="opening")
    yield command("define_contract", contract="BTCUSDT", pool="main", **terms)
    yield from (command("define_account", account=name) for name in ("ann", *names))
    yield command("set_marks", marks={"BTCUSDT": "60000"})
    balances = [
        {"account": name, "asset": "USDT", "balance": str(20_000 + n)}
        for n, name in enumerate(names)
    ]
    yield command("set_balances", version=1, balances=balances)
    long = {"side": "long", "quantity": str(FILLS), "isolated_margin": "1500000"}
    rows = [{"account": "ann", **long}]
    rows += [{"account": name, "side": "short", "quantity": "1"} for name in names]
    fixed = {"contract": "BTCUSDT", "entry_price": "60000"}
    yield command("set_positions", version=1, positions=[row | fixed for row in rows])
    yield command("set_marks", marks={"BTCUSDT": "59500"})
    yield command("takeover", account="ann", contract="BTCUSDT")
    yield command("set_marks", marks={"BTCUSDT": "56000"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        lines = "\n".join(map(json.dumps, commands())).encode()
        response = running.post_bytes("/v1/commands/bulk", lines, "application/x-ndjson")
        assert response["rejected"] == 0, response
        yield running


@pytest.mark.slow
def test_event_of_3000_fills_has_a_small_page_that_answers(
    browser: BrowserSession, server: DashboardServer
) -> None:
    episode = server.get("/v1/adl/1")
    assert episode["fills"] == FILLS
    page = browser.page(f"{server.page}/events/1")
    loads = []
    page.on("load", lambda _: loads.append(page.url))
    rows = page.locator(".rows").last.locator("tbody tr")
    expect(rows).to_have_count(100)
    settle(page)
    assert page.evaluate("document.querySelectorAll('*').length") < MAX_NODES
    with page.expect_download() as started:
        page.get_by_role("button", name="JSON", exact=True).click()
    assert json.loads(Path(started.value.path()).read_bytes())["fills"] == FILLS
    with page.expect_download() as started:
        page.get_by_role("button", name="Parquet", exact=True).click()
    frame = pl.read_parquet(io.BytesIO(Path(started.value.path()).read_bytes()))
    assert (frame.height, frame["haircut"].sum()) == (FILLS, Decimal(episode["notional"]) / 113)
    page.get_by_role("button", name="Recompute").click()
    expect(page.locator("[data-matches]")).to_contain_text("the same bytes")
    page.locator("th", has_text="Rank").last.click()
    page.locator("th", has_text="Rank").last.click()
    becomes(lambda: table_cells(rows)[0][5], str(FILLS))
    assert loads == []
    assert browser.console_errors == []
