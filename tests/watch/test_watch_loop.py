"""The whole watch against a served engine: calm, an indicator, ADL, a fill, a kill, the end.

The engine is `delever serve` in a process of its own, reached by unmodified ccxt, ccxt.pro and
pybit; the market is the worked example of Bybit's rules (examples/venues/bybit.ndjson).
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from stub_server import Stub, stubbed

from delever.watch.screen.view import ContractView, WatchView
from delever.watch.settings import WatchSettings, parse
from delever.watch.store import WatchStore, read_history
from delever.watch.venues import ADAPTERS
from delever.watch.watch_loop import Watch
from sources import ROOT
from waiting import PATIENCE_S

EXAMPLE = ROOT / "examples" / "venues" / "bybit.ndjson"

SERVER = """
[listen]
port = {port}
[journal]
path = "{folder}/journal.db"
[publication]
snapshot_interval_ms = 200
indicators_interval_ms = 500
ratings_interval_ms = 1000
adl_alert_interval_ms = 500
[[keys]]
id = "engine"
roles = ["ingest", "operate", "read"]
secret_env = "WATCH_SECRET"
[[keys]]
id = "ann"
roles = ["trade-account"]
accounts = ["ann"]
secret_env = "WATCH_SECRET"
passphrase_env = "WATCH_SECRET"
"""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Engine:
    """`delever serve`, which can be killed and started again at the same place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        port = self.url.rpartition(":")[2] or "0"
        config = self.folder / "server.toml"
        config.write_text(SERVER.format(port=port, folder=self.folder))
        arguments = [sys.executable, "-m", "delever", "serve", "--config", str(config)]
        self.process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[-1]
        assert self.url.startswith("http://"), "the server did not start"

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()

    def submit(self, *kinds: str, place: slice = slice(None)) -> None:
        """Submit the example's commands of some kinds, by the server's own clock."""
        commands = [json.loads(line) for line in EXAMPLE.read_text().splitlines()]
        chosen = [command for command in commands if command["type"] in kinds][place]
        for command in chosen:
            del command["time_ms"]
            if command["type"] == "fund_pool":
                command["note"] = "as in the example"
            headers = {"Authorization": f"Bearer engine.{os.environ['WATCH_SECRET']}"}
            answer = httpx2.post(
                f"{self.url}/v1/commands", json=command, headers=headers, timeout=PATIENCE_S
            )
            assert answer.status_code == 200, answer.text


WITHIN_BUDGET = {"indicator_ms": 5_000, "fill_ms": 15_000}
"""Binance's forced orders weigh 50 of 600 a minute; its account stream announces fills sooner."""


def settings(url: str, hook: str) -> WatchSettings:
    refresh = {"indicator_ms": 3_000, "alert_ms": 1_000, "risk_ms": 5_000, "fill_ms": 3_000}
    keys = {"key_env": "WATCH_KEY", "secret_env": "WATCH_SECRET", "base_url": url}
    venues = [
        {"venue": "binance", "refresh": refresh | WITHIN_BUDGET, **keys},
        {"venue": "bybit", "refresh": refresh, "contracts": ["BTCUSDT"], **keys},
        {"venue": "okx", "refresh": refresh, "passphrase_env": "WATCH_SECRET", **keys},
    ]
    rules = [
        {"when": "fill", "name": "hit", "urgent": True},
        {"when": "indicator", "name": "front", "at_least": 4, "venues": ["bybit"]},
        {"when": "state", "name": "adl", "states": ["adl", "stopped"], "venues": ["bybit"]},
    ]
    channels = [{"name": "hook", "webhook": f"{hook}/hook"}]
    return parse({"venues": venues, "rules": rules, "channels": channels})


@asynccontextmanager
async def watching(configured: WatchSettings, path: Path) -> AsyncIterator[Watch]:
    adapters = [ADAPTERS[venue.venue](venue, now_ms) for venue in configured.venues]
    store = WatchStore(path)
    watch, stop = Watch(configured, adapters, store, now_ms), asyncio.Event()
    running = asyncio.create_task(watch.run(stop))
    try:
        yield watch
    finally:
        stop.set()
        await running
        store.close()


async def until(watch: Watch, condition: Callable[[WatchView], object], what: str) -> WatchView:
    end = time.monotonic() + 3 * PATIENCE_S  # a rate limit's minute may have to pass
    while time.monotonic() < end:
        view = watch.view()
        if condition(view):
            return view
        await asyncio.sleep(0.25)
    states = [(c.status.venue, c.status.state, c.status.reason) for c in view.contracts]
    raise AssertionError(f"never {what}: {states}, {[f.text for f in view.failures]}")


def contract(view: WatchView, venue: str) -> ContractView | None:
    return next((c for c in view.contracts if c.status.venue == venue), None)


def state(view: WatchView, venue: str = "bybit") -> str:
    found = contract(view, venue)
    return found.status.state if found else ""


def has_started(view: WatchView) -> bool:
    """Return whether ADL has started by Bybit's own values, regardless of fills."""
    found = contract(view, "bybit")
    return (
        found is not None and found.drawdown is not None and found.drawdown.distance_to_start <= 0
    )


def ranked(view: WatchView) -> bool:
    """Return whether every venue has reported the indicator and the score of its position."""
    expected = {"binance": (5, "4"), "bybit": (5, "5"), "okx": (5, "5")}
    return expected == {
        p.position.venue: (p.indicator.indicator, p.indicator.raw)
        for p in view.positions
        if p.indicator and p.advice and p.advice.score is not None
    }


def answered_since(view: WatchView, began_ms: int) -> bool:
    """Return whether every polled source has answered since a time."""
    sources = [source for venue in view.venues for source in venue.sources if source.due_ms]
    return all((source.answered_ms or 0) >= began_ms for source in sources)


def received_alerts(stub: Stub) -> list[str]:
    """Return the rule and kind of each alert that the webhook has received."""
    return [f"{sent['data']['rule']} {sent['data']['kind']}" for sent in stub.bodies]


async def scenario(engine: Engine, stub: Stub, folder: Path) -> None:
    configured = settings(engine.url, stub.url)
    async with watching(configured, folder / "watch.db") as watch:
        await until(watch, lambda v: state(v) == "calm", "calm")
        engine.submit("set_balances", "set_positions")
        await until(watch, lambda v: state(v) == "watch" and ranked(v), "an indicator")
        engine.submit("set_marks", place=slice(1, 2))
        engine.submit("takeover")
        engine.submit("set_marks", place=slice(2, 3))
        engine.submit("unwind_fill")
        engine.submit("set_marks", place=slice(3, 4))
        await until(
            watch,
            lambda v: state(v) == "adl" and has_started(v) and len({f.venue for f in v.fills}) == 3,
            "ADL and fills",
        )
        for filled in watch.view().fills:
            assert (filled.mark, filled.settle) != (None, ""), filled
            assert filled.realized_pnl is not None
            assert "indicator " in filled.why
            assert " by " in filled.why

        engine.kill()
        view = await until(
            watch,
            lambda v: state(v) == "stale" and len({f.venue for f in v.failures}) == 3,
            "stale",
        )
        assert not any(p.advice is None for p in view.positions)  # still displayed, with its age
        engine.start()
        await until(watch, lambda v: state(v) == "adl" and not v.failures, "back")
        before = received_alerts(stub).count("adl raised")
        engine.submit("fund_pool", place=slice(1, 2))
        await until(watch, lambda v: state(v) == "stopped", "stopped")
        await until(
            watch, lambda _: received_alerts(stub).count("adl raised") > before, "the end reported"
        )


async def restarted(engine: Engine, stub: Stub, folder: Path) -> WatchView:
    """Restart the watch: it repeats no alert."""
    async with watching(settings(engine.url, stub.url), folder / "watch.db") as watch:
        began_ms = now_ms()
        return await until(
            watch, lambda v: state(v) == "stopped" and answered_since(v, began_ms), "observed again"
        )


def test_a_crash_from_calm_to_fill_to_stop_with_a_killed_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCH_KEY", "ann")
    monkeypatch.setenv("WATCH_SECRET", "s3cret-of-the-test")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    engine = Engine(tmp_path)
    with stubbed() as stub:
        stub.set_answer("/hook", {})
        try:
            engine.start()
            engine.submit("define_pool", "define_contract", "define_account")
            engine.submit("fund_pool", "set_marks", place=slice(0, 1))
            engine.submit("set_marks", place=slice(0, 1))
            asyncio.run(scenario(engine, stub, tmp_path))
            alerts = received_alerts(stub)
            assert alerts.count("hit raised") == 3  # one fill at three venues, once each
            assert alerts.count("front raised") == 1
            assert alerts.count("adl raised") >= 2  # ADL and its end; again after the stale state
            view = asyncio.run(restarted(engine, stub, tmp_path))
        finally:
            engine.kill()
    assert received_alerts(stub)[: len(alerts)] == alerts
    assert received_alerts(stub).count("hit raised") == 3
    assert state(view) == "stopped"
    states = [line.raw for line in read_history(tmp_path / "watch.db") if line.metric == "state"]
    assert {"calm", "watch", "adl", "stale", "stopped"} <= set(states)
    metrics = {line.metric for line in read_history(tmp_path / "watch.db")}
    assert {"indicator", "risk", "pnl_ratio", "pool", "fill", "state"} <= metrics
    secret = b"s3cret-of-the-test"
    assert not [file for file in tmp_path.glob("watch.db*") if secret in file.read_bytes()]
