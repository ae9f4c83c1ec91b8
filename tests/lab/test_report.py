"""Reports: one file, the result's own numbers, and nothing asked of anybody."""

import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from browser import Watched, browsing
from delever.cli import ExitCode, call
from delever.core.book import Book
from delever.lab.errors import InputError
from delever.lab.reports import run_plots as plots
from delever.lab.reports.comparison_plots import POSITIONS, foremost
from delever.lab.reports.run_store import Kept, keep, read_kept
from delever.lab.runs.run import Result, run
from delever.lab.runs.scenario import read_scenario
from delever.lab.runs.stress_test import Shock, compare
from delever.lab.tables.book_reader import read_book

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def result() -> Result:
    return run(Book(), read_scenario(EXAMPLES / "crash.ndjson"))


@pytest.fixture(scope="module")
def kept(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    keep(result, directory)
    return directory


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shock = Shock({"BTCUSDT": "-0.15", "ETHUSDT": "-0.20"})
    rules = ["bybit", "hyperliquid", "gmx", "vega"]
    frame = compare(read_book(EXAMPLES / "book"), shock, rules=rules, pool="1000")
    file = tmp_path_factory.mktemp("compared") / "shock.parquet"
    frame.write_parquet(file)
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Watched]:
    with browsing() as watched:
        yield watched


def test_the_path_of_a_run_keeps_the_fall_between_two_commands(result: Result) -> None:
    """BYB-01: the profit that started ADL is a point of its own, and so is where ADL left it."""
    falls = result.contracts.filter(pl.col("time_ms") == 3000)
    assert falls["profit"].to_list() == [Decimal(-350_000), Decimal(-300_000)]
    assert falls["pnl_ratio"].to_list() == [Decimal(-35), Decimal(-30)]
    assert falls["starts_at"].to_list() == [Decimal(-300_000)] * 2
    assert falls["stops_at"].to_list() == [Decimal(-250_000)] * 2
    assert result.pools["balance"].to_list()[-1] == Decimal(760_000)
    assert result.pools["equity"].to_list()[-3] == Decimal(650_000)


def test_a_run_is_read_as_it_was_kept(result: Result, kept: Path) -> None:
    read = read_kept(kept)
    assert isinstance(read, Kept)
    assert read.summary == result.summary
    assert read.fills.equals(result.fills)
    assert read.pools.equals(result.pools)
    assert read.contracts.equals(result.contracts)


def test_the_report_of_a_run_opens_from_disk_with_the_run_s_numbers(
    browser: Watched, result: Result, kept: Path, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    assert call(["report", str(kept), "-o", str(file), "--title", "A <crash>"]) == ExitCode.SUCCESS
    page = browser.page(file.as_uri())
    assert page.locator("h1").inner_text() == "A <crash>"
    assert page.locator("figure svg").count() == 3
    fills = table(page.locator("section", has_text="Who was closed").inner_html())
    shown = [(row["account"], row["quantity"], row["price"], row["realized"]) for row in fills]
    columns = ("account", "quantity", "price", "realized")
    told = [tuple(plain(fill[name]) for name in columns) for fill in result.fills.to_dicts()]
    assert shown == told
    contracts = table(page.locator("section", has_text="taken over").inner_html())
    assert [(row["borne"], row["pool profit"]) for row in contracts] == [("50000", "-300000")]
    assert browser.requests == [file.as_uri()]
    assert browser.complaints == []


def test_the_report_of_a_comparison_has_every_rule_set(
    browser: Watched, compared: Path, tmp_path: Path
) -> None:
    file = tmp_path / "compared.html"
    assert call(["report", str(compared), "-o", str(file)]) == ExitCode.SUCCESS
    page = browser.page(file.as_uri())
    frame = pl.read_parquet(compared)
    rows = table(page.locator("section", has_text="Rule set by rule set").inner_html())
    told = [
        (row["rules"], plain(row["borne"]), plain(row["pool_profit"])) for row in frame.to_dicts()
    ]
    assert [(row["rules"], row["borne"], row["pool profit"]) for row in rows] == told
    assert browser.requests == [file.as_uri()]
    assert browser.complaints == []


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where positions stand, as the command line keeps it in every form that it knows."""
    folder = tmp_path_factory.mktemp("placed")
    for form in FORMS:
        asked = ["compare-rules", str(EXAMPLES / "book"), "-o", str(folder / f"places.{form}")]
        assert call(asked) == ExitCode.SUCCESS
    return folder


FORMS = ("parquet", "csv", "tsv", "json", "jsonl")


def test_the_report_of_a_comparison_of_places_is_the_same_from_every_form(
    browser: Watched, placed: Path, tmp_path: Path
) -> None:
    pages = set()
    for form in FORMS:
        file = tmp_path / f"{form}.html"
        asked = ["report", str(placed / f"places.{form}"), "-o", str(file), "--title", "Places"]
        assert call(asked) == ExitCode.SUCCESS
        pages.add(file.read_text())
    assert len(pages) == 1
    page = browser.page((tmp_path / "csv.html").as_uri())
    frame = pl.read_parquet(placed / "places.parquet")
    rows = table(page.locator("section", has_text="Position by position").inner_html())
    columns = ("account", "rules", "quantity", "rank", "indicator", "ahead")
    told = [tuple(plain(row[name]) for name in columns) for row in frame.to_dicts()]
    assert [tuple(row[name] for name in columns) for row in rows] == told
    tables = frame.select("contract", "side").unique().height
    assert page.locator("figure svg").count() == tables + frame["contract"].n_unique()
    first = page.locator("figure svg").first.text_content() or ""
    assert "BTCUSDT, long: rank" in first
    assert "okx_2025" in first
    assert browser.requests == [(tmp_path / "csv.html").as_uri()]
    assert browser.complaints == []


def test_the_foremost_positions_are_those_that_are_drawn() -> None:
    rows = [
        {
            "account": f"a{n:02}",
            "position": 0,
            "rules": rules,
            "rank": None if n == 7 else n,
            "of": 60,
        }
        for n in range(1, 61)
        for rules in ("bybit", "okx")
    ]
    drawn = foremost(pl.DataFrame(rows))
    assert drawn == [(f"a{n:02}", 0) for n in range(1, POSITIONS + 2) if n != 7]


def test_a_comparison_that_was_changed_by_hand_is_named(placed: Path, tmp_path: Path) -> None:
    lines = (placed / "places.csv").read_text().splitlines()
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("\n".join([*lines[:3], lines[3].replace(",2.5,", ",2;5,"), *lines[4:]]))
    with pytest.raises(InputError, match=r"wrong\.csv, row 3, quantity '2;5': is no number"):
        read_kept(wrong)
    for name, text, why in (
        ("none.json", "{", "is no JSON file"),
        ("none.jsonl", "{}\n[", "is no JSONL file"),
        ("none.csv", "a,b\n1,2\n", "there is no column rules"),
        ("none.json", '{"rows": []}', "there is no column rules"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=why):
            read_kept(tmp_path / name)


def test_lines_go_on_to_the_end_of_the_run_and_marks_are_only_what_was_seen(kept: Path) -> None:
    read = read_kept(kept)
    assert isinstance(read, Kept)
    until_ms = read.summary.until_ms + 6_000
    summary = msgspec.structs.replace(read.summary, until_ms=until_ms)
    longer = Kept(summary, read.fills, read.pools, read.contracts)
    profit, mark = plots.run_figures(longer)["contract-BTCUSDT"].axes
    for line in profit.lines:
        times = line.get_xdata(orig=True)
        assert times[-1] == np.datetime64(until_ms, "ms")
    ends = {line.get_label(): line.get_ydata()[-1] for line in profit.lines}
    assert ends["profit"] == -240_000
    (marks,) = mark.lines
    assert marks.get_linestyle() == "None"
    assert len(marks.get_xdata()) == read.contracts.height


def test_a_name_is_no_formula(compared: Path, tmp_path: Path) -> None:
    file = tmp_path / "named.parquet"
    frame = pl.read_parquet(compared)
    frame.with_columns(contract=pl.lit(r"$\frac$ <b>x</b>")).write_parquet(file)
    assert call(["report", str(file), "-o", str(tmp_path / "named.html")]) == ExitCode.SUCCESS
    text = (tmp_path / "named.html").read_text()
    assert r"$\frac$ &lt;b&gt;x&lt;/b&gt;" in text
    assert "<b>" not in text


def test_profits_in_two_assets_are_never_added(kept: Path) -> None:
    read = read_kept(kept)
    assert isinstance(read, Kept)
    inverse = read.fills.with_columns(contract=pl.lit("BTCUSD"))
    total = msgspec.structs.replace(read.summary.contracts[0], contract="BTCUSD", asset="BTC")
    contracts = (*read.summary.contracts, total)
    summary = msgspec.structs.replace(read.summary, contracts=contracts)
    both = Kept(summary, pl.concat([read.fills, inverse]), read.pools, read.contracts)
    figures = plots.run_figures(both)
    for asset in ("USDT", "BTC"):
        bars, _ = figures[f"fills-{asset}"].axes
        assert bars.get_title(loc="left") == f"Profit realized by ADL, {asset}"
        assert [bar.get_height() for bar in bars.patches] == [175_000, 105_000, 70_000]


def test_plots_are_written_as_png_and_svg(kept: Path, tmp_path: Path) -> None:
    assert call(["report", str(kept), "--plots", str(tmp_path)]) == ExitCode.SUCCESS
    names = ("contract-BTCUSDT", "fills-USDT", "pool-main")
    wanted = [f"{name}.{form}" for name in names for form in ("png", "svg")]
    assert sorted(path.name for path in tmp_path.iterdir()) == wanted
    for path in tmp_path.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    again = tmp_path / "again"
    assert call(["report", str(kept), "--plots", str(again)]) == ExitCode.SUCCESS
    for path in again.glob("*.svg"):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


def test_what_is_no_result_is_named(tmp_path: Path, compared: Path) -> None:
    with pytest.raises(InputError, match=r"summary\.json: cannot be read"):
        read_kept(tmp_path)
    with pytest.raises(InputError, match=r"missing\.parquet: cannot be read"):
        read_kept(tmp_path / "missing.parquet")
    other = tmp_path / "other.parquet"
    pl.read_parquet(compared).drop("borne").write_parquet(other)
    with pytest.raises(InputError, match="there is no column borne"):
        read_kept(other)
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(InputError, match="is no Parquet file"):
        read_kept(tmp_path / "text.parquet")
    assert call(["report", str(compared)]) == ExitCode.USAGE_ERROR


def plain(value: object) -> str:
    """Return a number as a report writes it."""
    if not isinstance(value, Decimal):
        return "" if value is None else str(value)
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def table(html: str) -> list[dict[str, str]]:
    """Return the rows of the only table in a piece of HTML."""
    rows = [
        [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", html)
    ]
    head, *body = rows
    return [dict(zip(head, row, strict=True)) for row in body]


def test_a_long_path_is_thinned_with_its_ends_and_extremes() -> None:
    """One spike up and one down in 50,000 points are still drawn."""
    profit = [0.0] * 50_000
    profit[12_345], profit[12_346] = 9.0, -9.0
    path = pl.DataFrame({"time_ms": range(50_000), "profit": profit})
    thinned = plots._thinned(path, "profit")
    assert thinned.height <= 4 * plots.POINTS
    assert thinned["time_ms"].is_sorted()
    assert {0, 12_345, 12_346, 49_999} <= set(thinned["time_ms"])
    few = path.head(100)
    assert plots._thinned(few, "profit").equals(few)
