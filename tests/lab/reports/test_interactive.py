"""Pages that people share: what they have of a run, and how they work in a browser."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from browser import DESKTOP, PHONE, BrowserSession, open_browser
from delever.cli import ExitCode, call
from delever.core.messages import CancelAdl, Command, SetTime
from delever.demo.crash_generator import draw_crash, market_commands, opening_commands
from delever.demo.crash_run import run_crash
from delever.journal import SqliteJournal
from delever.lab.errors import InputError
from delever.lab.queries.fill_explanation import explain_fill
from delever.lab.reports.interactive.fairness_map import fairness_map
from delever.lab.reports.interactive.playback import MAX_FRAMES, playback
from delever.lab.reports.interactive.playback_gif import BAR, CHART_STEP, QUEUE_STEP, TOP
from delever.lab.reports.interactive.receipt import receipt_page, receipt_rows, receipt_title
from delever.lab.reports.interactive.recording import Recording, record_commands
from delever.lab.runs.scenario import read_scenario

EXAMPLES = Path(__file__).parents[3] / "examples"
CRASH = EXAMPLES / "crash.ndjson"

CLOSED_RGB = (0xEF, 0xC1, 0xBF)
"""Color of the quantity that ADL closed before the moment of a picture."""


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


def test_a_playback_as_gif_has_every_moment_and_the_closed_part_in_red(tmp_path: Path) -> None:
    file = tmp_path / "crash.gif"
    assert call(["lab", "playback", str(CRASH), "-o", str(file)]) == ExitCode.SUCCESS
    frames = playback(record_commands(read_scenario(CRASH), policies=["pro_rata"]))
    with Image.open(file) as film:
        assert film.n_frames == len(frames["times"])
        assert closed_widths(film) == [0, 0]
        film.seek(film.n_frames - 1)
        # 100 of the 150 that the picture spans, on 860 pixels, under both variants
        assert closed_widths(film) == pytest.approx([860 * 100 / 150] * 2, abs=2)


def closed_widths(film: Image.Image) -> list[int]:
    """Return how many pixels of each variant's queue are in the color of closed quantity."""
    queues = [TOP + 2 * CHART_STEP + number * QUEUE_STEP + 24 + BAR // 2 for number in (0, 1)]
    pixels = film.convert("RGB")
    return [sum(pixels.getpixel((x, y)) == CLOSED_RGB for x in range(pixels.width)) for y in queues]


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


# --- the fairness map ---


def test_the_fairness_map_of_bybits_example_has_its_leverage_parts_and_gini() -> None:
    """Bob: 50 at 56,000 on an equity of 400,000 + 50 x 4,000, and 50 x 500 below the mark.

    Half of dan's 40 and all of the others' are closed: Gini (-2 x 0.5 + 2 x 1) / (3 x 2.5).
    """
    ranked, shared = record_commands(read_scenario(CRASH), policies=["pro_rata"])
    side = fairness_map([ranked, shared])["sides"][0]
    by_rank, pro_rata = side["variants"]
    rows = zip(side["leverage"], by_rank["part"], by_rank["haircut"], strict=True)
    assert dict(zip(side["names"], rows, strict=True)) == {
        "bob": (4.667, 1, 25_000),
        "dan": (2.113, 0.5, 10_000),
        "cyd": (6.222, 1, 15_000),
    }
    assert by_rank["gini"]["part"] == pytest.approx(1 / 7.5)
    assert pro_rata["part"] == [0.8333] * 3
    assert pro_rata["gini"]["part"] < 1e-5
    assert pro_rata["lorenz"]["quantity"] == pytest.approx(side["held"], abs=1e-4)


def test_the_fairness_map_has_every_haircut_of_the_run(recordings: list[Recording]) -> None:
    found = fairness_map(recordings)
    for number, recording in enumerate(recordings):
        fills = recording.result.fills
        for side in found["sides"]:
            own = fills.filter(contract=side["contract"], side=side["side"])
            chosen = side["variants"][number]
            assert chosen["touched"] == own["account"].n_unique()
            assert chosen["cost"] == pytest.approx(sum(chosen["haircut"]), abs=1)


def test_a_cancelled_fill_is_not_in_the_fairness_map() -> None:
    commands = [*read_scenario(CRASH), CancelAdl(time_ms=5_000, fill=1, note="wrong mark")]
    side = fairness_map(record_commands(commands, policies=["pro_rata"]))["sides"][0]
    own, shared = side["variants"]
    assert dict(zip(side["names"], own["part"], strict=True)) == {"bob": 1, "dan": 0.5, "cyd": 0}
    assert (own["touched"], shared["touched"]) == (2, 2)
    assert own["cost"] == 35_000


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_a_fairness_map_changes_rules_and_follows_a_position(
    browser: BrowserSession, tmp_path: Path, size: tuple[int, int]
) -> None:
    file = tmp_path / "map.html"
    tokens = ["lab", "fairness-map", str(EXAMPLES / "book"), "--move.BTCUSDT=-0.15"]
    assert call([*tokens, "--fund.main", "0", "-o", str(file)]) == ExitCode.SUCCESS
    page = browser.page(file.as_uri(), size)
    page.locator("#dots g").first.click()
    assert "bybit closes" in page.locator("#tip").inner_text()
    page.keyboard.press("v")
    assert page.locator("tr.on td").first.inner_text() == "bybit+pro_rata"
    assert "bybit+pro_rata closes" in page.locator("#tip").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    assert browser.requests == [file.as_uri()]
    assert browser.console_errors == []


def test_a_crash_without_adl_is_no_fairness_map() -> None:
    with pytest.raises(InputError, match="closes nothing"):
        fairness_map(record_commands(read_scenario(CRASH)[:5]))


# --- the receipt ---


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("journal") / "crash.db"
    assert call(["run", str(CRASH), "--journal", str(file)]) == ExitCode.SUCCESS
    return file


def test_a_receipt_has_the_numbers_and_the_hash_of_the_record(journal: Path) -> None:
    """BYB-01: bob is closed second, at 56,500 while the mark is 56,000: 50 x 500 = 25,000."""
    why = explain_fill(journal, 2)
    rows = dict(receipt_rows(why.facts()))
    with SqliteJournal(journal, readonly=True) as opened:
        record = opened.record(why.sequence)
    assert record is not None
    assert rows["Hash"] == record.hash.hex()
    assert rows["Mark"] == "56000; haircut 25000 USDT"
    assert rows["Closed before it"] == "1 account: cyd"
    assert rows["Recomputed"] == "the same"
    assert receipt_title(why.facts()) == "50 BTCUSDT short of bob closed at 56500"


@pytest.mark.parametrize("suffix", ["html", "svg", "png"])
def test_a_receipt_is_written_in_each_format(journal: Path, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"fill.{suffix}"
    tokens = ["explain", "--journal", str(journal), "--fill", "2", "--receipt", str(file)]
    assert call(tokens) == ExitCode.SUCCESS
    if suffix == "png":
        with Image.open(file) as picture:
            assert picture.size == (1200, 700)
    else:
        assert "50 BTCUSDT short of bob closed at 56500" in file.read_text("utf-8")


def test_the_page_of_a_receipt_saves_its_card(
    browser: BrowserSession, journal: Path, tmp_path: Path
) -> None:
    why = explain_fill(journal, 2)
    file = tmp_path / "fill.html"
    file.write_text(receipt_page(why.facts(), str(why)), "utf-8")
    page = browser.page(file.as_uri(), PHONE)
    assert page.locator("tr", has_text="Rank").inner_text().split("\t")[1].startswith("2 of 3")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    with page.expect_download() as saved:
        page.locator("#save").click()
    with Image.open(saved.value.path()) as picture:
        assert picture.size == (1200, 700)
    assert browser.console_errors == []


def test_a_receipt_of_another_format_is_rejected(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = ["explain", "--journal", str(journal), "--fill", "2"]
    assert call([*tokens, "--receipt", str(tmp_path / "fill.gif")]) == ExitCode.USAGE_ERROR
    assert "'.gif' is none of .html, .svg and .png" in capsys.readouterr().err
    assert (
        call(
            [
                "explain",
                str(EXAMPLES / "book"),
                "--account",
                "bob",
                "--contract",
                "BTCUSDT",
                "--receipt",
                "x.png",
            ]
        )
        == ExitCode.USAGE_ERROR
    )
