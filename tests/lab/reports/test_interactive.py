"""Pages that people share: what they have of a run, and how they work in a browser."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from browser import DESKTOP, PHONE, BrowserSession, open_browser
from delever.cli import ExitCode, call
from delever.core.messages import Command, SetTime
from delever.demo.crash_generator import draw_crash, market_commands, opening_commands
from delever.demo.crash_run import run_crash
from delever.lab.errors import InputError
from delever.lab.reports.interactive.playback import MAX_FRAMES, playback
from delever.lab.reports.interactive.recording import Recording, record_commands
from delever.lab.runs.scenario import read_scenario

EXAMPLES = Path(__file__).parents[3] / "examples"
CRASH = EXAMPLES / "crash.ndjson"


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserSession]:
    with open_browser() as session:
        yield session


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    """The crash of the demo with few accounts, ranked and pro rata."""
    drawn = draw_crash(10, 200, 4)
    depth = np.random.default_rng(10)
    commands: list[Command] = list(opening_commands(drawn))
    for second in range(drawn.path.seconds):
        commands += market_commands(drawn, second, depth)
    return record_commands(commands, policies=["pro_rata"])


def test_the_first_variant_of_a_scenario_is_the_scenario_unchanged() -> None:
    """Bybit's own example: 30 are closed of cyd, rank 1, then 50 of bob and 20 of dan."""
    frames = playback(record_commands(read_scenario(CRASH), ["okx"], ["pro_rata"]))
    names = [variant["rules"] for variant in frames["variants"]]
    assert names == ["bybit", "okx", "bybit+pro_rata", "okx+pro_rata"]
    rounds = [
        frame["sides"][0]["queue"]["front"]
        for frame in frames["variants"][0]["frames"]
        if frame["sides"][0].get("queue") and "closes" in frame["text"]
    ]
    closed = [
        (frames["accounts"][account], lots, taken)
        for account, lots, taken, _ in zip(*[iter(rounds[0])] * 4, strict=True)
    ]
    assert closed == [("cyd", 30_000, 30_000), ("bob", 50_000, 50_000), ("dan", 40_000, 20_000)]


def test_every_lot_that_adl_closed_is_in_one_frame(recordings: list[Recording]) -> None:
    frames = playback(recordings)
    assert len(frames["times"]) <= MAX_FRAMES
    for recording, variant in zip(recordings, frames["variants"], strict=True):
        wanted: Counter[tuple[str, str]] = Counter()
        for fill in recording.result.fills.to_dicts():
            wanted[fill["contract"], fill["side"]] += fill["quantity"]
        for number, side in enumerate(frames["sides"]):
            queues = [frame["sides"][number].get("queue") for frame in variant["frames"]]
            lots = sum(sum(q["front"][2::4]) + q["rest"][2] for q in queues if q)
            total = Decimal(lots) * Decimal(str(side["lot"]))
            assert total == wanted[side["contract"], side["side"]]


def test_pro_rata_closes_a_part_of_more_accounts_than_the_queue(
    recordings: list[Recording],
) -> None:
    frames = playback(recordings)
    ranked, shared = (variant["frames"][-1]["sides"][0] for variant in frames["variants"])
    assert shared["accounts"] > ranked["accounts"] > 0


def test_a_crash_without_adl_is_no_playback() -> None:
    with pytest.raises(InputError, match="defines no pool"):
        record_commands([SetTime(time_ms=1)])
    calm = record_commands(read_scenario(CRASH)[:5])
    with pytest.raises(InputError, match="closes nothing"):
        playback(calm)


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_a_playback_plays_by_keyboard_and_requests_nothing(
    browser: BrowserSession, tmp_path: Path, size: tuple[int, int]
) -> None:
    file = tmp_path / "crash.html"
    assert call(["lab", "playback", str(CRASH), "-o", str(file)]) == ExitCode.SUCCESS
    page = browser.page(file.as_uri(), size)
    page.keyboard.press("Home")
    assert "closed by ADL: 0" in (page.locator("#queue").text_content() or "")
    page.keyboard.press("Space")
    page.locator("#queue", has_text="closed by ADL: 100").wait_for()
    page.keyboard.press("v")
    assert page.locator("button[aria-pressed=true]").inner_text() == "bybit+pro_rata"
    page.locator("#queue g").first.click()
    assert "cyd" in page.locator("#tip").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    assert browser.requests == [file.as_uri()]
    assert browser.console_errors == []


@pytest.mark.slow
def test_the_playback_of_the_demo_is_below_2_mb(tmp_path: Path) -> None:
    journal, file = tmp_path / "demo.db", tmp_path / "demo.html"
    run_crash(accounts=2_000, contracts=4, journal=journal)
    assert call(["lab", "playback", str(journal), "-o", str(file)]) == ExitCode.SUCCESS
    assert 100_000 < file.stat().st_size < 2_000_000


def test_a_journal_has_its_own_crash(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tokens = ["lab", "playback", str(CRASH), "-o", str(tmp_path / "x.html"), "--fund.main", "1"]
    assert call(tokens) == ExitCode.USAGE_ERROR
    assert "omit --move, --fund" in capsys.readouterr().err
