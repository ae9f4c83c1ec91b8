"""shadow: the feed of a venue that has its own ADL in, differences out."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
from command_line import Call

from delever.cli import ExitCode
from sources import ROOT

FEED = str(ROOT / "examples" / "shadow.ndjson")

REPORT = """\
17 lines (0 rejected): 1 episode of ADL, 3 of 3 closed positions differ

# episodes
episode | contract | side | delever_ms | venue_ms | mark | delever_quantity | venue_quantity | \
same_quantity | delever_haircut | venue_haircut | asset | trigger
1 | BTCUSDT | short | 3000 | 3200 | 56000 | 100 | 100 | 80 | 50000 | 25000 | USDT | \
contract drawdown on: balance 1000000 USDT, trigger threshold 1 USDT, balance peak 1000000 USDT, \
contract PnL -350000 USDT, contract PnL peak 0 USDT, PnL ratio -35 %, start -30 %, stop -25 %

# positions
episode | time_ms | contract | side | account | position | delever_quantity | venue_quantity | \
delever_price | venue_price | delever_haircut | venue_haircut | difference | asset | cause | place
1 | 3000 | BTCUSDT | short | cyd | 0 | 30 | 10 | 56500 | 56250 | 15000 | 2500 | -12500 | USDT | \
rank | rank 1 of 3, 0 ahead
1 | 3000 | BTCUSDT | short | bob | 0 | 50 | 50 | 56500 | 56250 | 25000 | 12500 | -12500 | USDT | \
price | rank 2 of 3, 30 ahead
1 | 3000 | BTCUSDT | short | dan | 0 | 20 | 40 | 56500 | 56250 | 10000 | 10000 | 0 | USDT | \
rank | rank 3 of 3, 80 ahead

# pools
pool | rules | asset | balance | equity | unfunded
main | bybit | USDT | 675000 | 675000 | 0
""".replace(" | ", "\t")

EPISODE = (
    "delever: episode 1, BTCUSDT short: delever would close 100, the venue closed 100, 80 of it of "
    "the same positions\n"
)


def test_shadow_reports_every_difference_with_its_cause(delever: Call) -> None:
    assert delever("shadow", FEED) == (ExitCode.SUCCESS, REPORT, EPISODE)


def test_shadow_writes_json_and_parquet(delever: Call, tmp_path: Path) -> None:
    code, answer, _ = delever("shadow", FEED, "--json", "--out", str(tmp_path / "report"))
    report = json.loads(answer)
    assert (code, report["schema"], report["lines"]) == (0, "delever.shadow/1", 17)
    assert report["positions"][0]["difference"] == "-12500"
    positions = pl.read_parquet(tmp_path / "report" / "positions.parquet")
    assert positions.select("account", "cause").rows() == [
        ("cyd", "rank"),
        ("bob", "price"),
        ("dan", "rank"),
    ]
    assert pl.read_parquet(tmp_path / "report" / "episodes.parquet").height == 1


def test_shadow_loads_a_book_and_goes_on_after_rejected_lines(
    delever: Call, tmp_path: Path
) -> None:
    feed = tmp_path / "feed.ndjson"
    feed.write_text(
        '{"type": "set_mark"}\n'
        '{"type": "set_time", "time_ms": -1}\n'
        '{"type": "force_adl", "time_ms": 9, "contract": "BTCUSDT", "note": "now"}\n'
        '{"type": "set_marks", "time_ms": 9, "marks": {"BTCUSDT": "0", "ETHUSDT": "3000"}}\n'
    )
    book = str(ROOT / "examples" / "book")
    code, answer, errors = delever("shadow", str(feed), "--book", book, "--json")
    assert (code, json.loads(answer)["rejected"]) == (ExitCode.INVALID_INPUT, 4)
    assert errors.replace(str(feed), "feed").splitlines() == [
        "delever: feed, line 1, type 'set_mark': is no command; did you mean 'set_marks'?",
        "delever: feed, line 2, time_ms '-1': rejected: out of range",
        "delever: feed, line 3: there are no ADL fills of delever in a shadow; leave it out",
        "delever: feed, line 4, marks.BTCUSDT '0': rejected: not positive",
    ]


def test_shadow_names_a_file_that_cannot_be_read(delever: Call) -> None:
    code, _, errors = delever("shadow", "missing.ndjson")
    assert code == ExitCode.INVALID_INPUT
    assert errors == "delever: missing.ndjson: cannot be read: No such file or directory\n"


def test_an_interrupt_of_a_feed_that_goes_on_ends_it_with_the_report() -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "delever", "shadow", "-", "--window-ms", "0"]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        if process.stdin is None or process.stderr is None:
            raise OSError("no pipe")
        process.stdin.write(Path(FEED).read_text(encoding="utf-8"))
        process.stdin.flush()
        assert process.stderr.readline() == EPISODE
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate()
    assert process.returncode == ExitCode.SUCCESS
    assert errors == "delever: interrupted; the report is of the lines until now\n"
    assert re.match(r"1[0-7] lines \(0 rejected\): 1 episode of ADL", out)  # wherever it was
