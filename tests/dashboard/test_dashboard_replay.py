"""Moving through time in a real browser: the served journal, files, and policies in the lab."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from dashboard_server import MASKED, DashboardServer, running_server
from playwright.sync_api import Locator, Page, expect

from browser import BrowserSession, artifact, table_cells
from delever.core.book import Book
from delever.dashboard.data.timeline import timeline_of_run
from delever.journal import Recorder
from delever.lab.reports.run_store import stored_run
from delever.lab.runs.run import run
from delever.lab.runs.scenario import read_scenario
from waiting import becomes

CRASH = Path(__file__).parents[2] / "examples" / "crash.ndjson"

HISTORY = "/v1/contracts/BTCUSDT/history?limit=1000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        running.crash(58_000, 57_000, 57_500, 56_000)
        yield running


def headings(table: Locator) -> list[str]:
    """Return a table's headings, without the icon of the sort order."""
    texts = table.locator("th").all_text_contents()
    return [text.replace("arrow_upward", "").strip() for text in texts]


def numbers_at_slider(page: Page) -> dict[str, str]:
    """Return the scrubber's numbers at the slider's time, by heading."""
    table = page.locator(".rows", has=page.locator("th", has_text="Headroom to trigger"))
    return dict(zip(headings(table), table_cells(table.locator("tbody tr"))[0], strict=True))


def status(page: Page) -> Locator:
    return page.locator("[role=status]")


def test_scrubber_steps_through_every_change_of_the_journal_with_exact_numbers(
    browser: BrowserSession, server: DashboardServer
) -> None:
    """BYB-01: the headroom is contract PnL less the level of -30 % of the fund's peak balance."""
    points = server.get(HISTORY)
    fills = server.get("/v1/fills?contract=BTCUSDT&limit=1000")
    page = browser.page(f"{server.page}/replay")
    expect(status(page)).to_have_text(f"{len(points)} points, {len(fills)} fills")
    last_at = {point["time_ms"]: point for point in points}
    for time_ms, point in reversed(last_at.items()):
        becomes(lambda: numbers_at_slider(page)["Sequence"], str(point["sequence"]))
        numbers = numbers_at_slider(page)
        assert numbers["Contract PnL"] == point["contract_pnl"]
        assert numbers["Peak contract PnL"] == point["contract_pnl_peak"]
        assert numbers["Fund balance"] == point["pool_balance"]
        pnl, pnl_peak, balance_peak = (
            Decimal(point[name])
            for name in ("contract_pnl", "contract_pnl_peak", "pool_balance_peak")
        )
        headroom = pnl - (pnl_peak - Decimal("0.3") * balance_peak)
        assert Decimal(numbers["Headroom to trigger"]) == headroom
        until_now = [fill for fill in fills if fill["time_ms"] <= time_ms]
        assert numbers["Fills so far"] == str(len(until_now))
        page.get_by_label("to the previous change").click()
    page.screenshot(path=artifact("replay-desktop.png"), full_page=True)
    assert browser.console_errors == []


LINES = """() => {
  const chart = document.querySelector("[_echarts_instance_]");
  const { series } = getElement(Number(chart.id.slice(1))).chart.getOption();
  return Object.fromEntries(series.map((line) => [line.name, line.data]));
}"""
"""Returns the points of a page's first chart, by the name of each line."""


def test_contract_charts_draw_history_peaks_and_trigger_levels(
    browser: BrowserSession, server: DashboardServer
) -> None:
    """BYB-01: ADL starts at -30 % and stops above -25 % of the fund's 8 h peak balance."""
    points = server.get(HISTORY)
    for name in ("1h", "8h", "1d", "all"):
        page = browser.page(f"{server.page}/contracts/BTCUSDT?range={name}")
        page.wait_for_function(f"({LINES})()['contract PnL']?.length > 3")
        lines = page.evaluate(LINES)
        drawn = {value for _, value in lines["contract PnL"]}
        assert {float(point["contract_pnl"]) for point in points} <= drawn
        assert min(drawn) == min(float(point["contract_pnl"]) for point in points)
        peak = lines["peak balance"][0][1]
        assert peak == float(points[0]["pool_balance_peak"]) == 1_000_000
        assert {value for _, value in lines["peak contract PnL"]} == {0}
        assert {value for _, value in lines["ADL starts at -30 %"]} == {-300_000}
        assert {value for _, value in lines["ADL stops at -25 %"]} == {-250_000}
        assert min(value for _, value in lines["balance"]) == float(points[-1]["pool_balance"])
    page.get_by_role("button", name="1 hour").click()
    page.wait_for_url("**range=1h*")
    assert "side=short" in page.url
    assert browser.console_errors == []


def test_range_by_sequence_or_time_is_opened_again_by_the_url(
    browser: BrowserSession, server: DashboardServer
) -> None:
    points = server.get(HISTORY)
    third = points[2]
    page = browser.page(f"{server.page}/replay")
    expect(status(page)).to_contain_text("points")
    page.get_by_label("from").fill(str(third["sequence"]))
    page.get_by_label("to", exact=True).fill(str(points[-1]["sequence"]))
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(f"**since={third['sequence']}&until=*")
    expect(status(page)).to_contain_text(f"{len(points) - 1} points")
    page.get_by_label("to the previous change").click()
    page.wait_for_url("**at=*")
    numbers, at = numbers_at_slider(page), re.findall(r"at=(\d+)", page.url)
    reopened = browser.page(page.url)
    expect(status(reopened)).to_contain_text(f"{len(points) - 1} points")
    becomes(lambda: numbers_at_slider(reopened), numbers)
    assert re.findall(r"at=(\d+)", reopened.url) == at
    for text, error in (
        ("yesterday", "'yesterday' is neither a sequence nor a time"),
        ("2026-13-45", "is neither a sequence nor a time"),
        ("999999", "There is no sequence 999999 yet."),
    ):
        reopened.get_by_label("from").fill(text)
        reopened.get_by_role("button", name="Show").click()
        expect(status(reopened)).to_contain_text(error)
    reopened.get_by_label("from").fill("2000-01-01 00:00")
    reopened.get_by_label("to", exact=True).fill("")
    reopened.get_by_role("button", name="Show").click()
    expect(status(reopened)).to_contain_text(f"{len(points)} points")


def test_replay_plays_to_the_end_at_the_chosen_speed(
    browser: BrowserSession, server: DashboardServer
) -> None:
    points = server.get(HISTORY)
    page = browser.page(f"{server.page}/replay?speed=100&at={points[0]['time_ms']}")
    expect(status(page)).to_contain_text("points")
    becomes(lambda: numbers_at_slider(page)["Fills so far"], "0")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(page.locator("tbody tr", has_text="dan").first).to_be_visible()
    becomes(lambda: numbers_at_slider(page)["Sequence"], str(points[-1]["sequence"]))


def test_scenario_file_and_journal_file_are_run_and_invalid_files_are_reported(
    browser: BrowserSession, server: DashboardServer, tmp_path: Path
) -> None:
    commands = read_scenario(CRASH)
    timeline = timeline_of_run("own", stored_run(run(Book(), commands)))
    (end,) = (points[-1] for points in timeline.contracts.values())
    journal = tmp_path / "crash.db"
    with Recorder.open(journal) as recorder:
        recorder.submit(commands)
    page = browser.page(f"{server.page}/replay")
    expect(status(page)).to_contain_text("points")
    for file in (CRASH, journal):
        page.locator("input[type=file]").set_input_files(file)
        expect(status(page)).to_contain_text(f"{file.name}: 14 commands")
        becomes(lambda: numbers_at_slider(page)["Closed so far"], "100")
        numbers = numbers_at_slider(page)
        assert Decimal(numbers["Contract PnL"]) == end.contract_pnl == -240_000
        assert numbers["Fills so far"] == "3"
    journal.write_bytes(journal.read_bytes()[:20_000])
    (tmp_path / "bad.ndjson").write_text('{"type": "set_marks"\n')
    for name, error in (
        ("crash.db", "crash.db: "),
        ("bad.ndjson", "bad.ndjson, line 1: is cut off"),
    ):
        page.locator("input[type=file]").set_input_files(tmp_path / name)
        expect(status(page)).to_contain_text(f"Not run: {error}")
        assert "/tmp" not in status(page).inner_text()


def test_visitor_without_a_key_cannot_replay_or_run_files(
    browser: BrowserSession, tmp_path: Path
) -> None:
    with running_server(tmp_path, MASKED) as masked:
        masked.open_market()
        page = browser.page(f"{masked.page}/replay")
        expect(page.locator("[role=alert]")).to_contain_text("Authorization")
        page.locator("input[type=file]").set_input_files(CRASH)
        expect(status(page)).to_contain_text("needs a key with the role read")
        page.goto(f"{masked.page}/lab/crash?preset=own")
        expect(status(page)).to_contain_text("needs a key with the role read")


def test_lab_compares_cost_and_fairness_of_policies(
    browser: BrowserSession, server: DashboardServer
) -> None:
    """The queue takes 50, 30 and 20 of 100; pro rata takes the same share of each."""
    rules = "rules=bybit,vega&policies=queue,pro_rata"
    page = browser.page(f"{server.page}/lab/crash?preset=bankrupt_long&{rules}")
    totals = page.locator(".rows").first.locator("tbody tr")
    expect(totals).to_have_count(3)
    names = ["bybit", "bybit+pro_rata", "vega"]
    becomes(lambda: [cells[0] for cells in table_cells(totals)], names)
    fairness = page.locator(".rows").nth(1)
    expect(fairness.locator("tbody tr")).to_have_count(3)
    queue, pro_rata, vega = (
        dict(zip(headings(fairness), cells, strict=True))
        for cells in table_cells(fairness.locator("tbody tr"))
    )
    assert (queue["Largest share, %"], pro_rata["Largest share, %"]) == ("50", "41.667")
    assert (queue["Gini"], vega["Gini"]) == ("0.2", "-")
    assert Decimal(pro_rata["Gini"]) < Decimal(queue["Gini"])
    assert queue["Haircut"] == pro_rata["Haircut"]
    expect(page.locator(".bars canvas")).to_have_count(6)
    page.screenshot(path=artifact("lab-policies.png"), full_page=True)
    assert browser.console_errors == []
