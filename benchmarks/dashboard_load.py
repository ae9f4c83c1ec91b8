"""The dashboard under load, in a real browser: 400 contracts, and an event of 3,000 fills.

Needs the tests' browser (`make .venv/dev browser`). Times of waiting depend on the load of the
machine, which is in the first row; shares of the main thread are CPU time, and do not.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measure import Row, main, seconds

TESTS = Path(__file__).parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "dashboard")]

from dashboard_server import DashboardServer, command, running_server  # noqa: E402
from playwright.sync_api import Page, expect  # noqa: E402
from test_dashboard_large_event import FILLS, MAX_NODES, commands  # noqa: E402

from browser import BrowserSession, open_browser, settle  # noqa: E402

CONTRACTS = 400
REST_S = 20
MAX_FIRST_ROW_S, MAX_BUSY_PERCENT, MAX_ANSWER_S = 2.0, 20.0, 2.0


def market() -> Iterator[dict[str, object]]:
    """Yield a market of many contracts with one fund."""
    yield command("define_pool", pool="main", kind="shared", asset="USDT", rules="bybit")
    yield command("fund_pool", pool="main", amount="30000000", reason="seed", note="opening")
    terms = {"kind": "linear", "settle": "USDT", "tick_size": "0.5", "lot_size": "0.001"}
    names = [f"C{number:03}USDT" for number in range(CONTRACTS)]
    yield from (command("define_contract", contract=name, pool="main", **terms) for name in names)
    yield command("set_marks", marks=dict.fromkeys(names, "100"))


@contextmanager
def serving(lines: Iterator[dict[str, object]]) -> Iterator[DashboardServer]:
    """Serve a market in a process of its own until the block ends."""
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as server:
        body = "\n".join(map(json.dumps, lines)).encode()
        response = server.post_bytes("/v1/commands/bulk", body, "application/x-ndjson")
        assert response["rejected"] == 0, response
        yield server


def busy_percent(page: Page, market_moves: Callable[[int], object]) -> float:
    """Return the CPU time of the page's main thread while marks move, in percent of the time."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def task_s() -> float:
        metrics: list[dict[str, Any]] = session.send("Performance.getMetrics")["metrics"]
        return float(next(row["value"] for row in metrics if row["name"] == "TaskDuration"))

    began, task_began = time.perf_counter(), task_s()
    for number in range(REST_S):
        market_moves(number)
        page.wait_for_timeout(1_000)
    return 100 * (task_s() - task_began) / (time.perf_counter() - began)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process so far."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def nodes(page: Page) -> int:
    return int(page.evaluate("document.querySelectorAll('*').length"))


def overview(browser: BrowserSession) -> Iterator[Row]:
    """Measure the overview of many contracts, whose marks move once a second."""
    with serving(market()) as server:
        for visit in ("first visit (imports)", "next visit"):
            began, server_began = time.perf_counter(), cpu_s(server.pid)
            page = browser.page(f"{server.page}/")
            expect(page.locator(".rows tbody a", has_text="USDT").first).to_be_visible()
            taken, server_taken = time.perf_counter() - began, cpu_s(server.pid) - server_began
            what = f"{CONTRACTS} contracts, first row, {visit}"
            yield Row(what, f"{taken:.1f} s", f"< {MAX_FIRST_ROW_S:g} s", taken < MAX_FIRST_ROW_S)
            yield Row("  CPU time of the server", f"{server_taken:.2f} s")
            settle(page)
        yield Row("  nodes of the page", f"{nodes(page):,}")

        def move(number: int) -> None:
            names = [f"C{contract:03}USDT" for contract in range(CONTRACTS)]
            server.submit("set_marks", marks=dict.fromkeys(names, str(100 + number % 2)))

        busy = busy_percent(page, move)
        limit = f"< {MAX_BUSY_PERCENT:g} %"
        yield Row("  main thread, CPU time", f"{busy:.1f} %", limit, busy < MAX_BUSY_PERCENT)


def event(browser: BrowserSession) -> Iterator[Row]:
    """Measure the page of an event of many fills, and its answers."""
    with serving(commands()) as server:
        page = browser.page(f"{server.page}/events/1")
        expect(page.locator(".rows").last.locator("tbody tr")).to_have_count(100)
        settle(page)
        found = nodes(page)
        yield Row(
            f"event of {FILLS:,} fills, nodes", f"{found:,}", f"< {MAX_NODES:,}", found < MAX_NODES
        )

        def download(button: str) -> None:
            with page.expect_download() as started:
                page.get_by_role("button", name=button, exact=True).click()
            started.value.path()

        def recompute() -> None:
            page.get_by_role("button", name="Recompute").click()
            expect(page.locator("[data-matches]")).to_contain_text("the same bytes")

        answers = {name: lambda name=name: download(name) for name in ("JSON", "Parquet", "CSV")}
        for name, answer in (answers | {"Recompute": recompute}).items():
            taken = seconds(answer)
            yield Row(f"  {name}", f"{taken:.2f} s", f"< {MAX_ANSWER_S:g} s", taken < MAX_ANSWER_S)


def rows(_: argparse.Namespace) -> Iterator[Row]:
    yield Row("load of the machine (1 min)", f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with open_browser() as browser:
        yield from overview(browser)
        yield from event(browser)


if __name__ == "__main__":
    main(rows)
