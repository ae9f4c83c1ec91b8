"""Metrics of a real engine, and the series that alerts and dashboard query."""

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import httpx2
import msgspec
import pytest
import uvicorn
from mail_servers import crash_commands, notices_config, running_notifier, webhook_server
from manual_clock import ManualClock
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from delever.core.messages import AnyCommand, RefreshIndicators, RefreshRatings, SetMarks
from delever.server.api.requests.authorization import OPERATOR_COMMANDS
from delever.server.engine.runner import NOW
from delever.server.observability.metrics import Metrics
from delever.server.transport.asgi import Asgi
from delever.server.transport.websockets import ClosedError, Socket
from stream_clients import connect
from waiting import PATIENCE_S

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(metrics: Metrics) -> Samples:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (each.name, frozenset(each.labels.items())): each.value
        for family in families
        for each in family.samples
    }


def one(found: Samples, name: str, **labels: str) -> float:
    return found[f"delever_{name}", frozenset(labels.items())]


def test_metrics_of_the_documented_crash(tmp_path: Path) -> None:
    """The numbers are those of examples/crash.ndjson: a fund of 1,000,000 that falls by 30 %."""

    async def go() -> tuple[Samples, Samples]:
        clock = ManualClock(1_000)
        async with running_notifier(notices_config(tmp_path, []), clock, tmp_path) as opened:
            metrics = Metrics()
            metrics.watch(opened.runner, opened.notifier)
            await opened.runner.submit(crash_commands()[:-1])
            during = samples(metrics)
            await opened.runner.submit(crash_commands()[-1:])
            unknown = SetMarks(time_ms=NOW, marks={"NONE": 1}, strict=True)
            await opened.runner.submit([unknown, replace(unknown, strict=False)])
            await opened.runner.submit(
                [RefreshIndicators(time_ms=NOW), RefreshRatings(time_ms=NOW)]
            )
            return during, samples(metrics)

    during, after = asyncio.run(go())
    of = {"contract": "BTCUSDT"}
    assert one(during, "contract_state", **of, state="adl") == 1
    assert one(during, "contract_state", **of, state="calm") == 0
    assert one(during, "pnl_ratio", **of) == pytest.approx(-0.3)
    assert one(during, "trigger_distance_ratio", **of, trigger="contract_drawdown") == 0
    assert one(during, "contract_pnl", **of) == -300_000
    assert one(during, "pool_balance", pool="main", asset="USDT") == 700_000
    assert one(during, "pool_balance_peak", pool="main", asset="USDT") == 1_000_000
    assert one(during, "inventory", **of, side="long") == 0
    assert one(during, "mark_age_seconds", **of) == pytest.approx(2)  # marks are stamped later
    assert one(during, "adl_fills_total", **of) == 3
    assert one(during, "takeovers_total", **of) == 1
    assert one(after, "commands_total", type="set_marks", outcome="accepted") == 4
    assert one(after, "commands_total", type="set_marks", outcome="rejected") == 1
    assert one(after, "rejections_total", reason="unknown_contract") == 1
    assert one(after, "parts_rejected_total", reason="unknown_contract") == 1
    assert one(after, "commit_commands_sum") == len(crash_commands()) + 4
    assert one(after, "commit_seconds_count") == 4
    assert one(after, "step_seconds_count") == 4
    assert one(after, "commit_seconds_sum") > one(after, "step_seconds_sum") > 0
    assert one(after, "refresh_seconds_count", refresh="indicators") == 1
    assert one(after, "refresh_seconds_count", refresh="ratings") == 1
    assert one(after, "engine_running") == 1
    assert one(after, "commands_queued") == 0
    assert one(after, "accounts") == 4
    journal = Path(notices_config(tmp_path, []).journal.path)
    assert one(after, "journal_records") == len(crash_commands()) + 4
    assert one(after, "journal_bytes") >= journal.stat().st_size > 0
    assert 0 < one(after, "disk_free_bytes") < one(after, "disk_bytes")


def test_metrics_of_the_outbox(tmp_path: Path) -> None:
    async def go(url: str) -> list[Samples]:
        clock, metrics = ManualClock(1_000), Metrics()
        settings = notices_config(tmp_path, [{"account": "*", "webhook": url}])
        collected = []
        async with running_notifier(settings, clock, tmp_path) as opened:
            metrics.watch(opened.runner, opened.notifier)
            await opened.runner.submit(crash_commands())
            await opened.notifier.fill()
            clock.ms += 7_000
            for _ in range(2):
                await opened.notifier.report_backlog()
                collected.append(samples(metrics))
                await opened.notifier.deliver()
            await opened.notifier.report_backlog()
        return [*collected, samples(metrics)]

    with webhook_server(503, 410) as hook:
        before, between, after = asyncio.run(go(hook.url))
    assert one(before, "notices_waiting") == 3
    assert one(before, "notices_lag_seconds") == pytest.approx(7)
    assert one(between, "deliveries_total", channel="webhook", outcome="sent") == 1
    assert one(between, "deliveries_total", channel="webhook", outcome="failed") == 1
    assert one(between, "deliveries_total", channel="webhook", outcome="rejected") == 1
    assert one(after, "notices_waiting") == 1
    assert one(after, "notices_failed") == 1


@contextmanager
def serving(app: Asgi) -> Iterator[str]:
    """Serve an app on a free port until the block ends; yield its address without scheme."""
    server = uvicorn.Server(
        uvicorn.Config(
            app, host="127.0.0.1", port=0, log_config=None, lifespan="off", ws="websockets-sansio"
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    try:
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)


TEXT = "x" * 1_000_000
DROPPED = threading.Event()
"""Set once the app has dropped a socket."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Respond 418 to HTTP; send more to a socket than a client that does not read accepts."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    opened = Socket(scope, receive, send, "here")
    await opened.accept()
    with contextlib.suppress(ClosedError):
        await opened.receive()
        while not opened.dropped:
            opened.offer(TEXT)
            await asyncio.sleep(0)
        DROPPED.set()
        await opened.receive()


@contextmanager
def silent_client(host: str, path: str) -> Iterator[socket.socket]:
    """Open a WebSocket that reads nothing after the handshake."""
    address, port = host.split(":")
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.connect((address, int(port)))
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        asked = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket"]
        asked += ["Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        silent.sendall("\r\n".join([*asked, "", ""]).encode())
        assert b" 101 " in silent.recv(1024)
        yield silent


def test_requests_and_sockets_are_counted_by_known_parts() -> None:
    metrics = Metrics()

    with serving(metrics.counted(app, ["fapi", "v5"])) as host:
        with httpx2.Client(base_url=f"http://{host}", timeout=PATIENCE_S) as client:
            for path in ("/fapi/v1/ping", "/fapi/v1/time", "/strange/one", "/strange2", "/"):
                client.get(path)
        with connect(f"ws://{host}/v5/public/linear") as quiet:
            with silent_client(host, "/v5/private") as silent:
                quiet.ping().wait(PATIENCE_S)
                assert one(samples(metrics), "sockets_open", part="v5") == 2
                silent.sendall(bytes([0x81, 0x84, 0, 0, 0, 0]) + b"pour")
                assert DROPPED.wait(PATIENCE_S)
            quiet.ping().wait(PATIENCE_S)
    found = samples(metrics)
    assert one(found, "sockets_dropped_total", part="v5") == 1
    assert one(found, "sockets_open", part="v5") == 0
    assert one(found, "http_requests_total", part="fapi", status="418") == 2
    assert one(found, "http_requests_total", part="other", status="418") == 3
    assert len([name for name, _ in found if name == "delever_http_requests_total"]) == 2


# --- alerts and dashboard ---


def names() -> set[str]:
    """Return every series of a server, with or without samples."""
    found = set()
    for family in Metrics().registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        found |= {family.name + each for each in suffixes.get(family.type, [""])}
    return found


@pytest.mark.parametrize("file", ["alerts.yml", "grafana.json"])
def test_alerts_and_dashboard_query_existing_series(file: str) -> None:
    asked = set(re.findall(r"\b(?:delever|process)_\w+", (OPERATIONS / file).read_text()))
    assert len(asked) > 10
    assert asked <= names()


def test_the_dashboard_queries_every_series() -> None:
    text = (OPERATIONS / "grafana.json").read_text()
    ours = {name for name in names() if name.startswith("delever_")}
    ours = {name for name in ours if not name.endswith(("_sum", "_count"))}
    assert {name for name in ours if name not in text} == set()


class Target(msgspec.Struct):
    expr: str
    refId: str  # noqa: N815 - Grafana's word


class Panel(msgspec.Struct):
    id: int
    type: str
    title: str
    gridPos: dict[str, int]  # noqa: N815
    targets: list[Target] = []


class Dashboard(msgspec.Struct):
    uid: str
    title: str
    schemaVersion: int  # noqa: N815
    panels: list[Panel]


def test_the_dashboard_has_valid_panels() -> None:
    """Panels have distinct ids, do not overlap, and have a query."""
    dashboard = msgspec.json.decode((OPERATIONS / "grafana.json").read_bytes(), type=Dashboard)
    assert len({panel.id for panel in dashboard.panels}) == len(dashboard.panels)
    cells: set[tuple[int, int]] = set()
    for panel in dashboard.panels:
        at = panel.gridPos
        covered = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & covered, panel.title
        assert max(x for x, _ in covered) < 24
        cells |= covered
        assert panel.type == "row" or panel.targets
        for target in panel.targets:
            assert target.expr.count("(") == target.expr.count(")")
            assert target.expr.count("{") == target.expr.count("}")


def test_every_alert_has_a_runbook() -> None:
    alerts = re.findall(r"- alert: (\w+)", (OPERATIONS / "alerts.yml").read_text())
    assert len(alerts) == len(set(alerts)) > 10
    _, *runbooks = (OPERATIONS / "runbooks.md").read_text().split("\n### ")
    assert [text.partition("\n")[0] for text in runbooks] == alerts
    parts = ("- **Look:** ", "- **Do:** ", "- **Over:** ")
    assert [text for text in runbooks if not all(part in text for part in parts)] == []


def test_the_page_of_roles_lists_every_command() -> None:
    page = (OPERATIONS / "roles.md").read_text()
    everybody, operators = page.split("## operate alone")
    tags = {str(kind.__struct_config__.tag) for kind in get_args(AnyCommand)}
    listed = {part: set(re.findall(r"`(\w+)`", part)) & tags for part in (everybody, operators)}
    only = {str(kind.__struct_config__.tag) for kind in OPERATOR_COMMANDS}
    assert listed[everybody] == tags - only
    assert listed[operators] - listed[everybody] == only
