"""The page of the lab in a real browser: a study, its progress, its end."""

from collections.abc import Iterator

import pytest
from dashboard_server import DashboardServer, running_server
from playwright.sync_api import Page, expect

from browser import BrowserSession, artifact, settle, table_cells

QUERY = "scenarios=2&policies=queue,pro_rata&funds=0,40000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


def rows(page: Page, panel: str) -> list[list[str]]:
    """Return the cells of the table in the panel of that title."""
    return table_cells(page.locator(".panel", has_text=panel).locator("tbody tr"))


def test_study_of_the_address_runs_and_another_one_from_the_form(
    browser: BrowserSession, server: DashboardServer
) -> None:
    """A fund of 40,000 needs ADL less often; the plan leaves the least, and is proved."""
    page = browser.page(f"{server.page}/lab?{QUERY}")
    status = page.locator("[role=status]")
    expect(status).to_contain_text("8 runs in")
    policies = rows(page, "the same scenarios under each")
    assert [row[0] for row in policies] == ["bybit", "bybit+pro_rata"]
    assert all(" to " in cell for row in policies for cell in row[1:])
    assert [row[0] for row in rows(page, "Fund sizes")] == ["0", "40000"]
    expect(page.locator(".panel", has_text="probability of ADL").locator("canvas")).to_have_count(1)
    plan = page.locator(".panel", has_text="with its proof")
    expect(plan).to_contain_text("checked: derived again without the solver")
    settle(page)
    page.screenshot(path=artifact("lab-study.png"), full_page=True)
    page.get_by_label("fund sizes, USDT").fill("40000, 0")
    page.get_by_role("button", name="Run").click()
    expect(status).to_contain_text("must be different sizes, ascending")
    page.get_by_label("fund sizes, USDT").fill("0, 1000, 40000")
    page.get_by_role("button", name="Run").click()
    expect(status).to_contain_text("10 runs in")
    assert len(rows(page, "Fund sizes")) == 3
    assert "funds=0%2C+1000%2C+40000" in page.url
    assert browser.console_errors == []


def test_cancelled_study_says_so_and_can_be_run_again(
    browser: BrowserSession, server: DashboardServer
) -> None:
    page = browser.page(f"{server.page}/lab?scenarios=200&seed=2")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("[role=status]")).to_contain_text("Cancelled")
    expect(page.get_by_role("button", name="Run")).to_be_enabled()
    assert browser.console_errors == []
