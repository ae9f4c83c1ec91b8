"""Reports: one file with the numbers of the result, and no requests."""

import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from browser import DESKTOP, PHONE, BrowserSession, open_browser
from delever.cli import ExitCode, call
from delever.core.book import Book
from delever.formatting import decimal_text, humanize
from delever.lab.errors import InputError
from delever.lab.reports import run_plots as plots
from delever.lab.reports.comparison_plots import POSITIONS, foremost
from delever.lab.reports.run_store import StoredRun, read_result, write_run
from delever.lab.reports.table_store import StoredStudy
from delever.lab.runs.market_paths.path import Shock
from delever.lab.runs.run import RunResult, run
from delever.lab.runs.scenario import read_scenario
from delever.lab.runs.stress_test import compare
from delever.lab.tables.book_reader import read_book

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="module")
def result() -> RunResult:
    return run(Book(), read_scenario(EXAMPLES / "crash.ndjson"))


@pytest.fixture(scope="module")
def stored(result: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    write_run(result, directory)
    return directory


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shock = Shock({"BTCUSDT": "-0.15", "ETHUSDT": "-0.20"})
    rules = ["bybit", "hyperliquid", "gmx", "vega"]
    frame = compare(read_book(EXAMPLES / "book"), shock, rules=rules, pool={"main": "1000"})
    file = tmp_path_factory.mktemp("compared") / "shock.parquet"
    frame.write_parquet(file)
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserSession]:
    with open_browser() as session:
        yield session


def test_observations_of_a_run_include_the_fall_before_the_round(result: RunResult) -> None:
    """BYB-01: the contract PnL that started ADL is observed, and that after the round."""
    falls = result.contracts.filter(pl.col("time_ms") == 3000)
    assert falls["contract_pnl"].to_list() == [Decimal(-350_000), Decimal(-300_000)]
    assert falls["pnl_ratio"].to_list() == [Decimal(-35), Decimal(-30)]
    assert falls["adl_start_pnl"].to_list() == [Decimal(-300_000)] * 2
    assert falls["adl_stop_pnl"].to_list() == [Decimal(-250_000)] * 2
    assert result.pools["balance"].to_list()[-1] == Decimal(760_000)
    assert result.pools["equity"].to_list()[-3] == Decimal(650_000)


def test_a_stored_run_is_read_unchanged(result: RunResult, stored: Path) -> None:
    read = read_result(stored)
    assert isinstance(read, StoredRun)
    assert read.summary == result.summary
    assert read.fills.equals(result.fills)
    assert read.pools.equals(result.pools)
    assert read.contracts.equals(result.contracts)


def test_the_report_of_a_run_opens_from_disk_with_all_numbers(
    browser: BrowserSession, result: RunResult, stored: Path, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    assert (
        call(["report", str(stored), "-o", str(file), "--title", "A <crash>"]) == ExitCode.SUCCESS
    )
    page = browser.page(file.as_uri())
    assert page.locator("h1").inner_text() == "A <crash>"
    assert page.locator("figure.wide svg").count() == 3
    assert page.locator(".say").inner_text() == (
        "ADL ran in 1 contract and closed 3 accounts in 3 fills. Of a loss of 350,000 USDT the "
        "insurance fund paid 300,000 and deleveraged accounts 50,000."
    )
    (payer,) = table(page.locator("section", has_text="Who paid").inner_html())
    assert (payer["insurance fund"], payer["deleveraged accounts"]) == ("300000", "50000")
    against = table(page.locator("section", has_text="against whom").inner_html())
    assert [(row["liquidated account"], row["account"]) for row in against] == [
        ("ann", "bob"),
        ("ann", "cyd"),
        ("ann", "dan"),
    ]
    heading = page.get_by_role("heading", name="Deleveraged accounts")
    fills = table(page.locator("section", has=heading).inner_html())
    columns = ("account", "quantity", "price", "realized_pnl")
    listed = [tuple(row[humanize(name)] for name in columns) for row in fills]
    wanted = [tuple(plain(fill[name]) for name in columns) for fill in result.fills.to_dicts()]
    assert listed == wanted
    contracts = table(page.locator("section", has_text="taken over").inner_html())
    assert [(row["haircut"], row["pool PnL"]) for row in contracts] == [("50000", "-300000")]
    assert browser.requests == [file.as_uri()]
    assert browser.console_errors == []


def test_the_report_of_a_comparison_has_every_rule_set(
    browser: BrowserSession, compared: Path, tmp_path: Path
) -> None:
    file = tmp_path / "compared.html"
    assert call(["report", str(compared), "-o", str(file)]) == ExitCode.SUCCESS
    page = browser.page(file.as_uri())
    frame = pl.read_parquet(compared)
    rows = table(page.locator("section", has_text="By rule set").inner_html())
    wanted = [
        (row["rules"], plain(row["haircut"]), plain(row["pool_pnl"])) for row in frame.to_dicts()
    ]
    assert [(row["rules"], row["haircut"], row["pool PnL"]) for row in rows] == wanted
    assert browser.requests == [file.as_uri()]
    assert browser.console_errors == []


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ranked positions, as the command line writes them in every format."""
    folder = tmp_path_factory.mktemp("ranked")
    for form in FORMATS:
        asked = ["rank-all", str(EXAMPLES / "book"), "-o", str(folder / f"places.{form}")]
        assert call(asked) == ExitCode.SUCCESS
    return folder


FORMATS = ("parquet", "csv", "tsv", "json", "jsonl")


def test_the_report_of_ranked_positions_is_the_same_from_every_format(
    browser: BrowserSession, ranked: Path, tmp_path: Path
) -> None:
    pages = set()
    for form in FORMATS:
        file = tmp_path / f"{form}.html"
        asked = ["report", str(ranked / f"places.{form}"), "-o", str(file), "--title", "Ranks"]
        assert call(asked) == ExitCode.SUCCESS
        pages.add(file.read_text())
    assert len(pages) == 1
    page = browser.page((tmp_path / "csv.html").as_uri())
    frame = pl.read_parquet(ranked / "places.parquet")
    rows = table(page.locator("section", has_text="By position").inner_html())
    columns = ("account", "rules", "quantity", "rank", "indicator", "quantity_ahead")
    wanted = [tuple(plain(row[name]) for name in columns) for row in frame.to_dicts()]
    assert [tuple(row[humanize(name)] for name in columns) for row in rows] == wanted
    tables = frame.select("contract", "side").unique().height
    drawn = page.locator("figure:not(.narrow) svg")
    assert drawn.count() == tables + frame["contract"].n_unique()
    first = drawn.first.text_content() or ""
    assert "BTCUSDT, long: rank" in first
    assert "okx_2025" in first
    assert browser.requests == [(tmp_path / "csv.html").as_uri()]
    assert browser.console_errors == []


MODEL = ("--model", "gbm", "--count", "4")

STUDIES = {
    "deleveraged positions": ("simulate", "--move.BTCUSDT=-0.15", "--fund.main", "0"),
    "mean and 95 % interval": ("sweep", *MODEL, "--policy", "pro_rata"),
    "has the lowest expected cost": (
        "fund",
        *MODEL,
        "--pool",
        "main",
        "--size",
        "0",
        "--size",
        "1000",
    ),
    "how likely ADL is": ("odds", *MODEL, "--account", "bob"),
    "under queue, pro_rata": (
        *("allocate", "--contract", "BTCUSDT", "--side", "short", "--quantity", "1"),
        *("--policy", "queue", "--policy", "pro_rata"),
    ),
}
"""Commands of the lab, by a part of the sentence of their reports."""


@pytest.mark.parametrize("sentence", STUDIES)
def test_a_report_is_made_of_what_each_command_of_the_lab_writes(
    tmp_path: Path, sentence: str
) -> None:
    name, *options = STUDIES[sentence]
    pages = set()
    for form in ("parquet", "csv", "json"):
        file, page = tmp_path / f"rows.{form}", tmp_path / f"{form}.html"
        tokens = ["lab", name, str(EXAMPLES / "book"), *options, "-o", str(file)]
        assert call(tokens) == ExitCode.SUCCESS
        assert call(["report", str(file), "-o", str(page), "--title", "x"]) == ExitCode.SUCCESS
        pages.add(re.search(r'class="say">(.*?)<', page.read_text())[1])
        assert page.read_text().count("<tr>") == read_result(file).frame.height + 1
    (text,) = pages
    assert sentence in text or text.startswith("ADL closes 2 positions of 2 accounts")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            {"published": [1.0, 2.0], "computed": [1.0, 3.0], "verdict": ["holds", "differs"]},
            "Of 2 published figures, 1 hold as they were published.",
        ),
        (
            {"policy": ["venue", "queue"], "touched": [2, 3], "newly_touched": [0, 1]},
            "Whom the venue closed, and whom 1 other choice would have closed.",
        ),
        (
            {"policy": ["queue"] * 2, "instance": ["small", "all"], "unfilled": [0.0, 0.0]},
            "Policies on 1 instance: each measure, and its mean over all.",
        ),
    ],
)
def test_a_report_is_made_of_tables_of_studies(
    tmp_path: Path, columns: dict[str, list[object]], sentence: str
) -> None:
    pl.DataFrame(columns).write_parquet(tmp_path / "rows.parquet")
    stored = read_result(tmp_path / "rows.parquet")
    assert isinstance(stored, StoredStudy)
    assert stored.kind.sentence(stored.frame) == sentence


def test_the_rows_of_a_sweep_are_reported_with_intervals(tmp_path: Path) -> None:
    tokens = ["lab", "sweep", str(EXAMPLES / "book"), "--move.BTCUSDT=-0.15", "--pool", "main"]
    assert call([*tokens, "--size", "0", "--folder", str(tmp_path / "sweep")]) == ExitCode.SUCCESS
    file = tmp_path / "sweep.html"
    assert call(["report", str(tmp_path / "sweep"), "-o", str(file)]) == ExitCode.SUCCESS
    assert "1 run: 1 scenario under 1 variant." in file.read_text()
    assert "haircut total</text>" in file.read_text()


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_a_report_shows_each_picture_once_and_is_as_wide_as_the_screen(
    browser: BrowserSession, stored: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    file = tmp_path / "report.html"
    assert call(["report", str(stored), "-o", str(file)]) == ExitCode.SUCCESS
    page = browser.page(file.as_uri(), size)
    assert page.locator("figure svg:visible").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    text = page.locator("figure svg:visible text").first
    assert text.evaluate("text => text.getBoundingClientRect().height") >= MIN_TEXT_PX
    page.emulate_media(media="print")
    assert page.locator("figure.wide svg:visible").count() == 3


MIN_TEXT_PX = 10
"""Height of the smallest text that can be read on a phone."""


def test_the_positions_nearest_to_the_front_are_drawn() -> None:
    rows = [
        {
            "account": f"a{n:02}",
            "position": 0,
            "rules": rules,
            "rank": None if n == 7 else n,
            "ranked": 60,
        }
        for n in range(1, 61)
        for rules in ("bybit", "okx")
    ]
    drawn = foremost(pl.DataFrame(rows))
    assert drawn == [(f"a{n:02}", 0) for n in range(1, POSITIONS + 2) if n != 7]


def test_an_invalid_comparison_is_rejected_with_its_place(ranked: Path, tmp_path: Path) -> None:
    lines = (ranked / "places.csv").read_text().splitlines()
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("\n".join([*lines[:3], lines[3].replace(",2.5,", ",2;5,"), *lines[4:]]))
    with pytest.raises(InputError, match=r"wrong\.csv, row 3, quantity '2;5': is no number"):
        read_result(wrong)
    for name, text, why in (
        ("none.json", "{", "is no JSON file"),
        ("none.jsonl", "{}\n[", "is no JSONL file"),
        ("none.csv", "a,b\n1,2\n", "there is no column rules"),
        ("none.json", '{"rows": []}', "there is no column rules"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=why):
            read_result(tmp_path / name)


def test_lines_end_with_the_run_and_marks_are_dots(stored: Path) -> None:
    read = read_result(stored)
    assert isinstance(read, StoredRun)
    until_ms = read.summary.until_ms + 6_000
    summary = msgspec.structs.replace(read.summary, until_ms=until_ms)
    longer = StoredRun(summary, read.fills, read.pools, read.contracts)
    pnl, mark = plots.run_figures(longer)["contract-BTCUSDT"].axes
    for line in pnl.lines:
        times = line.get_xdata(orig=True)
        assert times[-1] == np.datetime64(until_ms, "ms")
    ends = {line.get_label(): line.get_ydata()[-1] for line in pnl.lines}
    assert ends["contract PnL"] == -240_000
    (marks,) = mark.lines
    assert marks.get_linestyle() == "None"
    assert len(marks.get_xdata()) == read.contracts.height


def test_a_name_is_not_drawn_as_a_formula(compared: Path, tmp_path: Path) -> None:
    file = tmp_path / "named.parquet"
    frame = pl.read_parquet(compared)
    frame.with_columns(contract=pl.lit(r"$\frac$ <b>x</b>")).write_parquet(file)
    assert call(["report", str(file), "-o", str(tmp_path / "named.html")]) == ExitCode.SUCCESS
    text = (tmp_path / "named.html").read_text()
    assert r"$\frac$ &lt;b&gt;x&lt;/b&gt;" in text
    assert "<b>" not in text


def test_pnl_of_two_assets_is_drawn_separately(stored: Path) -> None:
    read = read_result(stored)
    assert isinstance(read, StoredRun)
    inverse = read.fills.with_columns(contract=pl.lit("BTCUSD"))
    total = msgspec.structs.replace(read.summary.contracts[0], contract="BTCUSD", asset="BTC")
    contracts = (*read.summary.contracts, total)
    summary = msgspec.structs.replace(read.summary, contracts=contracts)
    both = StoredRun(summary, pl.concat([read.fills, inverse]), read.pools, read.contracts)
    figures = plots.run_figures(both)
    for asset in ("USDT", "BTC"):
        bars, _ = figures[f"fills-{asset}"].axes
        assert bars.get_title(loc="left") == f"PnL realized by ADL, {asset}"
        assert [bar.get_height() for bar in bars.patches] == [175_000, 105_000, 70_000]


def test_plots_are_written_as_png_and_svg(stored: Path, tmp_path: Path) -> None:
    assert call(["report", str(stored), "--plots", str(tmp_path)]) == ExitCode.SUCCESS
    names = ("contract-BTCUSDT", "fills-USDT", "pool-main")
    wanted = [f"{name}.{form}" for name in names for form in ("png", "svg")]
    assert sorted(path.name for path in tmp_path.iterdir()) == wanted
    for path in tmp_path.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    again = tmp_path / "again"
    assert call(["report", str(stored), "--plots", str(again)]) == ExitCode.SUCCESS
    for path in again.glob("*.svg"):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


def test_a_path_that_is_no_result_is_rejected(tmp_path: Path, compared: Path) -> None:
    with pytest.raises(InputError, match=r"summary\.json: cannot be read"):
        read_result(tmp_path)
    with pytest.raises(InputError, match=r"missing\.parquet: cannot be read"):
        read_result(tmp_path / "missing.parquet")
    other = tmp_path / "other.parquet"
    pl.read_parquet(compared).drop("haircut").write_parquet(other)
    with pytest.raises(InputError, match="there is no column haircut"):
        read_result(other)
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(InputError, match="is no Parquet file"):
        read_result(tmp_path / "text.parquet")
    assert call(["report", str(compared)]) == ExitCode.USAGE_ERROR


def plain(value: object) -> str:
    """Return a number as a report writes it."""
    if not isinstance(value, Decimal):
        return "" if value is None else str(value)
    return decimal_text(value)


def table(html: str) -> list[dict[str, str]]:
    """Return the rows of the only table in a piece of HTML."""
    rows = [
        [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", html)
    ]
    head, *body = rows
    return [dict(zip(head, row, strict=True)) for row in body]


def test_a_long_series_is_thinned_to_its_ends_and_extremes() -> None:
    """One spike up and one down in 50,000 points are still drawn."""
    pnl = [0.0] * 50_000
    pnl[12_345], pnl[12_346] = 9.0, -9.0
    path = pl.DataFrame({"time_ms": range(50_000), "contract_pnl": pnl})
    thinned = plots._thinned(path, "contract_pnl")
    assert thinned.height <= 4 * plots.POINTS
    assert thinned["time_ms"].is_sorted()
    assert {0, 12_345, 12_346, 49_999} <= set(thinned["time_ms"])
    few = path.head(100)
    assert plots._thinned(few, "contract_pnl").equals(few)
