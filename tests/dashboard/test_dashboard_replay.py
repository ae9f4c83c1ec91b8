"""Through time in a real browser: the served journal, files, and the laboratory's policies."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from stand import MASKED, Site, served_site

from browser import Watched, artefact, browsing
from delever.core.book import Book
from delever.dashboard.data.timeline import course_of_run
from delever.journal import Recorder
from delever.lab.reports.run_store import kept_of
from delever.lab.runs.run import run
from delever.lab.runs.scenario import read_scenario

CRASH = Path(__file__).parents[2] / "examples" / "crash.ndjson"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served_site(tmp_path_factory.mktemp("site")) as served:
        served.open_market()
        served.mark(59_500)
        served.tell("takeover", account="ann", contract="BTCUSDT")
        for price in (58_000, 57_000, 57_500, 56_000):
            served.mark(price)
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Watched]:
    with browsing() as watched:
        yield watched


def moment(page: Page) -> dict[str, str]:
    """Return what the scrubber says of its moment, by heading."""
    table = page.locator(".rows", has=page.locator("th", has_text="Until ADL starts"))
    return dict(zip(heads(table), cells(table.locator("tbody tr").first), strict=True))


def test_the_served_journal_is_scrubbed_exactly(browser: Watched, site: Site) -> None:
    """BYB-01: every change that the server tells of is a step, with its numbers to the digit."""
    points = site.get("/v1/contracts/BTCUSDT/history?limit=1000")
    fills = site.get("/v1/fills?contract=BTCUSDT&limit=1000")
    page = browser.page(f"{site.page}/replay")
    expect(page.locator("[role=status]")).to_have_text(f"{len(points)} points, {len(fills)} fills")
    last = {point["time_ms"]: point for point in points}
    for time_ms, point in reversed(last.items()):
        told = moment(page)
        assert told["Sequence"] == str(point["sequence"])
        assert told["Contract profit"] == point["profit"]
        assert told["Its peak"] == point["contract_pnl_peak"]
        assert told["Pool balance"] == point["pool_balance"]
        start = Decimal(point["contract_pnl_peak"]) - Decimal("0.3") * Decimal(
            point["pool_balance_peak"]
        )
        assert Decimal(told["Until ADL starts"]) == Decimal(point["profit"]) - start
        closed = [fill for fill in fills if fill["time_ms"] <= time_ms]
        assert told["Fills so far"] == str(len(closed))
        before = page.locator(".clock").first.inner_text()
        page.get_by_label("to the change before").click()
        if time_ms != points[0]["time_ms"]:
            expect(page.locator(".clock").first).not_to_have_text(before)
    page.screenshot(path=artefact("replay-desktop.png"), full_page=True)
    assert browser.complaints == []


DRAWN = """() => {
  const chart = document.querySelector("[_echarts_instance_]");
  const { series } = getElement(Number(chart.id.slice(1))).chart.getOption();
  return Object.fromEntries(series.map((each) => [each.name, each.data]));
}"""
"""What the first chart of a page draws, by the name of each line."""


def test_the_contract_s_charts_show_the_past_with_its_peaks_and_the_levels(
    browser: Watched, site: Site
) -> None:
    """BYB-01: profit against its 8 h peak, ADL from -30 % to -25 % of the pool's peak balance."""
    points = site.get("/v1/contracts/BTCUSDT/history?limit=1000")
    for chosen in ("1h", "8h", "1d", "all"):
        page = browser.page(f"{site.page}/contracts/BTCUSDT?range={chosen}")
        page.wait_for_function(f"({DRAWN})()['profit']?.length > 3")
        drawn = page.evaluate(DRAWN)
        profits = {value for _, value in drawn["profit"]}
        assert {float(point["profit"]) for point in points} <= profits
        assert min(profits) == min(float(point["profit"]) for point in points)
        assert drawn["peak balance"][0][1] == float(points[0]["pool_balance_peak"]) == 1_000_000
        assert {value for _, value in drawn["peak profit"]} == {0}
        assert {value for _, value in drawn["ADL starts at pnlRatio -30 %"]} == {-300_000}
        assert {value for _, value in drawn["ADL stops at pnlRatio -25 %"]} == {-250_000}
        assert min(value for _, value in drawn["balance"]) == float(points[-1]["pool_balance"])
    page.get_by_role("button", name="1 hour").click()
    page.wait_for_url("**range=1h*")
    assert "side=short" in page.url
    assert browser.complaints == []


def test_a_stretch_by_sequence_and_by_time_is_kept_in_the_address(
    browser: Watched, site: Site
) -> None:
    points = site.get("/v1/contracts/BTCUSDT/history?limit=1000")
    some = points[2]
    page = browser.page(f"{site.page}/replay")
    expect(page.locator("[role=status]")).to_contain_text("points")
    page.get_by_label("from").fill(str(some["sequence"]))
    page.get_by_label("to", exact=True).fill(str(points[-1]["sequence"]))
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(f"**since={some['sequence']}&until=*")
    expect(page.locator("[role=status]")).to_contain_text(f"{len(points) - 1} points")
    page.get_by_label("to the change before").click()
    page.wait_for_url("**at=*")
    told, at = moment(page), re.findall(r"at=(\d+)", page.url)
    again = browser.page(page.url)
    expect(again.locator("[role=status]")).to_contain_text(f"{len(points) - 1} points")
    assert moment(again) == told
    assert re.findall(r"at=(\d+)", again.url) == at
    for text, why in (
        ("yesterday", "'yesterday' is neither a sequence nor a time"),
        ("2026-13-45", "is neither a sequence nor a time"),
        ("999999", "There is no sequence 999999 yet."),
    ):
        again.get_by_label("from").fill(text)
        again.get_by_role("button", name="Show").click()
        expect(again.locator("[role=status]")).to_contain_text(why)
    again.get_by_label("from").fill("2000-01-01 00:00")
    again.get_by_label("to", exact=True).fill("")
    again.get_by_role("button", name="Show").click()
    expect(again.locator("[role=status]")).to_contain_text(f"{len(points)} points")


def test_it_plays_to_the_end_at_the_speed_chosen(browser: Watched, site: Site) -> None:
    points = site.get("/v1/contracts/BTCUSDT/history?limit=1000")
    page = browser.page(f"{site.page}/replay?speed=100&at={points[0]['time_ms']}")
    expect(page.locator("[role=status]")).to_contain_text("points")
    assert moment(page)["Fills so far"] == "0"
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(page.locator("tbody tr", has_text="dan").first).to_be_visible()
    assert moment(page)["Sequence"] == str(points[-1]["sequence"])


def test_a_scenario_and_a_journal_are_played_from_a_file(
    browser: Watched, site: Site, tmp_path: Path
) -> None:
    commands = read_scenario(CRASH)
    course = course_of_run("own", kept_of(run(Book(), commands)))
    (end,) = (points[-1] for points in course.contracts.values())
    journal = tmp_path / "crash.db"
    with Recorder.open(journal) as recorder:
        recorder.submit(commands)
    page = browser.page(f"{site.page}/replay")
    expect(page.locator("[role=status]")).to_contain_text("points")
    for file in (CRASH, journal):
        page.locator("input[type=file]").set_input_files(file)
        expect(page.locator("[role=status]")).to_contain_text(f"{file.name}: 14 commands")
        told = moment(page)
        assert Decimal(told["Contract profit"]) == end.profit == -240_000
        assert (told["Fills so far"], told["Closed so far"]) == ("3", "100")
    journal.write_bytes(journal.read_bytes()[:20_000])
    (tmp_path / "bad.ndjson").write_text('{"type": "set_marks"\n')
    for name, why in (("crash.db", "crash.db: "), ("bad.ndjson", "bad.ndjson, line 1: is cut off")):
        page.locator("input[type=file]").set_input_files(tmp_path / name)
        expect(page.locator("[role=status]")).to_contain_text(f"Not played: {why}")
        assert "/tmp" not in page.locator("[role=status]").inner_text()


def test_a_visitor_without_a_key_is_asked_for_one(browser: Watched, tmp_path: Path) -> None:
    with served_site(tmp_path, MASKED) as masked:
        masked.open_market()
        page = browser.page(f"{masked.page}/replay")
        expect(page.locator("[role=alert]")).to_contain_text("Authorization")
        page.locator("input[type=file]").set_input_files(CRASH)
        expect(page.locator("[role=status]")).to_contain_text("needs a key with the role read")
        page.goto(f"{masked.page}/lab?preset=own")
        expect(page.locator("[role=status]")).to_contain_text("needs a key with the role read")


def test_policies_stand_beside_each_other_with_what_they_cost(browser: Watched, site: Site) -> None:
    """The queue takes 50, 30 and 20 of 100; pro rata the same part of each."""
    rules = "rules=bybit,vega&policies=queue,pro_rata"
    page = browser.page(f"{site.page}/lab?preset=one_long_falls&{rules}")
    totals = page.locator(".rows").first.locator("tbody tr")
    expect(totals).to_have_count(3)
    names = ["bybit", "bybit+pro_rata", "vega"]
    assert [cells(row)[0] for row in totals.all()] == names
    shared = page.locator(".rows").nth(1).locator("tbody tr")
    expect(shared).to_have_count(3)
    names = heads(page.locator(".rows").nth(1))
    rows = [dict(zip(names, cells(row), strict=True)) for row in shared.all()]
    queue, pro_rata, vega = rows
    assert (queue["Largest part %"], pro_rata["Largest part %"]) == ("50", "41.667")
    assert (queue["Gini"], vega["Gini"]) == ("0.2", "-")
    assert Decimal(pro_rata["Gini"]) < Decimal(queue["Gini"])
    assert queue["OutstandingLoss"] == pro_rata["OutstandingLoss"]
    assert page.locator(".bars canvas").count() == 6
    page.screenshot(path=artefact("lab-policies.png"), full_page=True)
    assert browser.complaints == []


def heads(table: Any) -> list[str]:
    """Return a table's headings, without the arrow that shows how it is sorted."""
    texts = table.locator("th").all_text_contents()
    return [text.replace("arrow_upward", "").strip() for text in texts]


def cells(row: Any) -> list[str]:
    return [text.strip() for text in row.locator("td").all_text_contents()]
