"""`delever watch` as a command: exit codes, JSON, history, plots, test alerts."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import answer_samples as samples
import polars as pl
import pytest
from observation_samples import drawdown, indicator, risk
from stub_server import Stub, stubbed

from delever.cli import call
from delever.cli.watch import wall_clock_ms
from delever.watch.screen.history_plot import figure_of
from delever.watch.store import WatchStore, read_history
from sources import ROOT
from waiting import PATIENCE_S


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stubbed() as served:
        samples.binance(served)
        served.set_answer("/hook", {})
        yield served


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Return a function that runs the command line in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run_it(*arguments: str) -> Done:
        code = call(["watch", *arguments])
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return run_it


def write_config(folder: Path, stub: Stub, more: str = "") -> Path:
    file = folder / "watch.toml"
    file.write_text(
        f'[[venues]]\nvenue = "binance"\nbase_url = "{stub.url}"\ncontracts = ["BTCUSDT"]\n{more}'
    )
    return file


RULE = '[[rules]]\nwhen = "risk"\nname = "risky"\nat_least = "{level}"\n'
HOOK = '[[channels]]\nname = "hook"\nwebhook = "{url}/hook"\n'


def test_the_exit_code_of_once_reports_active_alerts(tmp_path: Path, stub: Stub, run: Run) -> None:
    more = RULE.format(level="high") + HOOK.format(url=stub.url)
    write_config(tmp_path, stub, more)
    for _ in range(2):  # as cron would
        done = run("-c", "watch.toml", "--once", "--json")
        assert done.returncode == 3, done.stderr
        view = json.loads(done.stdout)
        assert view["schema"] == "delever.watch/1"
        assert [alert["subject"] for alert in view["alerts"]] == ["binance ETHUSDT"]
    assert [sent["data"]["kind"] for sent in stub.bodies] == ["raised"]  # once, not twice
    calm = [row | {"adlRisk": "low"} for row in samples.RISKS]
    stub.set_answer("/fapi/v1/symbolAdlRisk", calm)
    done = run("-c", "watch.toml", "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert "low (low)" in done.stdout
    assert [sent["data"]["kind"] for sent in stub.bodies] == ["raised", "cleared"]


def test_once_reports_each_source_that_was_never_read(run: Run) -> None:
    with stubbed() as stub:
        url = stub.url
    done = run("binance", "--base-url", url, "--once")
    assert done.returncode == 4
    for source in ("symbol risk", "insurance pools"):
        (line,) = [text for text in done.stderr.splitlines() if source in text]
        assert line.startswith(f"delever: not read: binance {source}: unreachable: ")
        assert "Connect call failed" in line


def test_no_file_is_left_behind_unasked(tmp_path: Path, stub: Stub, run: Run) -> None:
    assert run("binance", "--base-url", stub.url, "--once").returncode == 0
    assert list(tmp_path.iterdir()) == []
    assert run("history").stderr.startswith("delever: name the history")
    folder = tmp_path / "etc"
    folder.mkdir()
    write_config(folder, stub)
    assert run("-c", "etc/watch.toml", "--once").returncode == 0
    assert {file.name for file in folder.iterdir()} == {"watch.toml", "delever-watch.db"}
    assert run("binance", "--base-url", stub.url, "--once", "--history", "h.db").returncode == 0
    assert (tmp_path / "h.db").exists()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("", "watch.toml: valid; 1 venues, 0 rules"),
        ("contarcts = []\n", "venues[0]: there is no field 'contarcts'; did you mean 'contracts'?"),
        ('[[rules]]\nwhen = "fil"\nname = "x"\n', "there is no when 'fil'; did you mean 'fill'?"),
        (
            (
                '[[rules]]\nwhen = "fill"\nname = "x"\nchannels = ["dek"]\n'
                '[[channels]]\nname = "desk"\nwebhook = "http://localhost/"\n'
            ),
            "unknown channel 'dek'; there is desk",
        ),
        (
            '[[channels]]\nname = "desk"\nwebhook_env = "ABSENT"\n',
            "channels (desk): environment variable 'ABSENT' is not set",
        ),
    ],
)
def test_config_check_reads_the_watchs_file(
    tmp_path: Path, stub: Stub, capfd: pytest.CaptureFixture[str], more: str, why: str
) -> None:
    file = write_config(tmp_path, stub, more)
    code = call(["config", "check", str(file)])
    out, err = capfd.readouterr()
    assert why in out + err
    assert code == (0 if "valid" in out else 4)


def test_an_alert_precedes_a_source_that_was_never_read(
    tmp_path: Path, stub: Stub, run: Run
) -> None:
    write_config(tmp_path, stub, RULE.format(level="high"))
    stub.set_answer("/fapi/v1/insuranceBalance", {"code": -1000, "msg": "no"}, 500)
    done = run("-c", "watch.toml", "--once")
    assert (done.returncode, done.stderr.count("not read: ")) == (3, 1)


def test_deliveries_lists_channel_state_and_error(tmp_path: Path, stub: Stub, run: Run) -> None:
    write_config(tmp_path, stub, RULE.format(level="high") + HOOK.format(url=stub.url))
    stub.set_answer("/hook", {}, 500)
    assert run("-c", "watch.toml", "--once").returncode == 3
    done = run("deliveries", "--history", "delever-watch.db", "--json")
    (delivery,) = json.loads(done.stdout)["rows"]
    assert (delivery["channel"], delivery["state"], delivery["attempts"]) == ("hook", "waiting", 1)
    assert (delivery["rule"], delivery["kind"], delivery["error"]) == (
        "risky",
        "raised",
        "HTTP 500: {}",
    )


def test_a_venue_without_a_key_is_watched_publicly(stub: Stub, run: Run) -> None:
    done = run("binance", "--base-url", stub.url, "--contract", "BTCUSDT", "--once")
    assert done.returncode == 0, done.stderr
    assert "binance (no key)" in done.stdout
    assert "BTCUSDT" in done.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_json_writes_one_object_a_line_until_a_signal(
    tmp_path: Path, stub: Stub, number: signal.Signals, code: int
) -> None:
    more = 'key_env = "WATCH_KEY"\nsecret_env = "WATCH_SECRET"\n'
    write_config(tmp_path, stub, more)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "WATCH_KEY": "key"}
    environment |= {"WATCH_SECRET": "do-not-show-this"}
    process = subprocess.Popen(
        [sys.executable, "-m", "delever", "watch", "-c", "watch.toml", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    lines = []
    while not lines or not lines[-1]["positions"]:
        lines.append(json.loads(process.stdout.readline()))
    process.send_signal(number)
    rest, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, errors
    assert {p["position"]["name"] for p in lines[-1]["positions"]} >= {"ADAUSDT", "BTCUSDT"}
    assert "do-not-show-this" not in "".join([json.dumps(lines), rest, errors])


def test_the_pages_of_a_terminal_end_with_q(tmp_path: Path, stub: Stub) -> None:
    write_config(tmp_path, stub)
    screen, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "delever", "watch", "-c", "watch.toml"],
        stdin=terminal, stdout=terminal, stderr=terminal, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "TERM": "xterm", "COLUMNS": "80"},
    )  # fmt: skip
    os.close(terminal)
    received = b""
    while b"BTCUSDT" not in received:
        received += os.read(screen, 65_536)
    os.write(screen, b"6")
    while b"symbol risk" not in received:
        received += os.read(screen, 65_536)
    os.write(screen, b"q")
    assert process.wait(PATIENCE_S) == 0
    os.close(screen)


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["-c", "absent.toml"], 4, "absent.toml"),
        (
            ["-c", "watch.toml", "bybit"],
            2,
            "--config names its venues: give --config or venues, not both",
        ),
        (["kraken"], 4, "venues[0].venue = 'kraken': must be one of"),
        (["--base-url", "host:80"], 2, "expected URL or VENUE=URL"),
        (["history", "--history", "absent.db"], 4, "`delever watch` creates it"),
        (["deliveries", "--history", "absent.db"], 4, "`delever watch` creates it"),
        (["test-alert", "-c", "watch.toml"], 2, "has no [[channels]]"),
    ],
)
def test_invalid_arguments_are_reported(
    tmp_path: Path, stub: Stub, run: Run, arguments: list[str], code: int, why: str
) -> None:
    write_config(tmp_path, stub)
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert why in done.stderr


def test_a_test_alert_goes_to_every_channel(tmp_path: Path, stub: Stub, run: Run) -> None:
    write_config(tmp_path, stub, HOOK.format(url=stub.url))
    done = run("test-alert", "-c", "watch.toml")
    assert (done.returncode, done.stdout) == (0, "hook: sent\n")
    assert "this is a test" in stub.bodies[0]["data"]["text"]
    stub.set_answer("/hook", {}, 500)
    done = run("test-alert", "-c", "watch.toml")
    assert (done.returncode, done.stdout) == (1, "hook: HTTP 500: {}\n")


def test_a_plot_extends_each_value_to_the_end_and_labels_every_line(tmp_path: Path) -> None:
    now = wall_clock_ms()
    with closing(WatchStore(tmp_path / "h.db")) as store:
        store.record([indicator(2), drawdown("-0.1")], now - 3_600_000)
        store.record([risk(2)], now)
    figure = figure_of(read_history(tmp_path / "h.db"))
    indicators, ratios, risks = figure.axes
    for axis in (indicators, risks):
        (line,) = axis.lines
        assert line.get_xdata()[-1] == datetime.fromtimestamp(now / 1000, UTC)
        assert line.get_marker() == "."
    assert indicators.lines[0].get_ydata().tolist() == [2, 2]
    named = [text.get_text() for text in ratios.get_legend().get_texts()]
    assert named[1:] == ["ADL starts -0.3", "ADL stops -0.25"]


def test_history_exports_parquet_and_a_plot(tmp_path: Path, run: Run) -> None:
    store = WatchStore(tmp_path / "h.db")
    now = wall_clock_ms()
    for minute in range(5):
        at = now - 60_000 * minute
        store.record([indicator(minute + 1), drawdown(f"-0.{minute}"), risk(2)], at)
    store.close()
    done = run("history", "--history", "h.db", "-o", "h.parquet")
    assert done.returncode == 0, done.stderr
    frame = pl.read_parquet(tmp_path / "h.parquet")
    assert frame.filter(pl.col("metric") == "indicator")["value"].sort().to_list() == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert run("history", "--history", "h.db", "--plot", "h.png").returncode == 0
    assert (tmp_path / "h.png").read_bytes().startswith(b"\x89PNG")
    done = run("history", "--history", "h.db", "--plot", "h.gif")
    assert done.returncode == 2
    assert "a plot is a .png or .svg file, not .gif" in done.stderr
