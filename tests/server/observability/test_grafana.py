"""The dashboard for Grafana: its schema, and its queries in a real Prometheus."""

import asyncio
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from mail_servers import crash_commands, notices_config, running_notifier
from manual_clock import ManualClock

from delever.server.observability.metrics import Metrics
from waiting import PATIENCE_S, wait_until

FILE = Path(__file__).parents[3] / "docs" / "operations" / "grafana.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_bytes())

OF_THE_DATA_SOURCE = ("step", "titleFormat", "tagKeys", "useValueForTime")
"""Fields of an annotation that Prometheus's plugin reads, and Grafana's schema leaves open."""

VARIABLES = {"$contract": ".*", "$pool": ".*", "$__rate_interval": "1m"}


def lost(written: object, read: object, path: str = "") -> Iterator[str]:
    """Yield the path of each field that a schema does not know, or reads as something else."""
    if isinstance(written, dict) and isinstance(read, dict):
        for name, value in written.items():
            if name in read:
                yield from lost(value, read[name], f"{path}.{name}")
            elif name not in OF_THE_DATA_SOURCE:
                yield f"{path}.{name}"
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for number, pair in enumerate(zip(written, read, strict=True)):
            yield from lost(*pair, f"{path}[{number}]")
    elif written != read:
        yield f"{path}: {written}"


def test_grafanas_schema_knows_every_field_of_the_dashboard() -> None:
    register_default_plugins()
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(DASHBOARD)))
    assert list(lost(DASHBOARD, read)) == []
    wrong = {**DASHBOARD, "refrehs": "5s"}
    assert list(lost(wrong, read)) == [".refrehs"]


def test_panels_of_a_contract_or_fund_link_to_its_page() -> None:
    for panel in DASHBOARD["panels"]:
        asked = " ".join(target["expr"] for target in panel.get("targets", []))
        links = panel.get("fieldConfig", {}).get("defaults", {}).get("links", [])
        page = "contracts" if "$contract" in asked else "pools" if "$pool" in asked else None
        found = [link["url"].split("/")[2] for link in links]
        assert found == ([] if page is None else [page]), panel["title"]


# --- a real Prometheus ---


def metrics_in_adl(folder: Path) -> bytes:
    """Return the metrics of the documented crash while ADL is on."""

    async def go() -> bytes:
        async with running_notifier(notices_config(folder, []), ManualClock(1_000), folder) as it:
            metrics = Metrics()
            metrics.watch(it.runner, it.notifier)
            await it.runner.submit(crash_commands()[:-1])
            return metrics.render()

    return asyncio.run(go())


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Serve the metrics at a port."""
    text = metrics_in_adl(tmp_path_factory.mktemp("engine"))

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def prometheus(exporter: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Run Debian's Prometheus until the block ends; it has read the metrics once at least."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("needs Prometheus: apt-get install prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {"job_name": "delever", "static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with httpx2.Client(base_url=f"http://{address}", timeout=PATIENCE_S) as client:
        try:
            wait_until(lambda: process.poll() is None and scraped(client))
            yield client
        finally:
            process.kill()
            process.wait()


def scraped(client: httpx2.Client) -> bool:
    try:
        return bool(values(client, "delever_sequence"))
    except httpx2.TransportError:
        return False


def values(client: httpx2.Client, query: str) -> list[float]:
    """Return the values that a query has now; raises AssertionError where it is no PromQL."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    answer = client.get("/api/v1/query", params={"query": query})
    if answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
        return []
    assert answer.status_code == httpx2.codes.OK, f"{query}: {answer.text}"
    return [float(row["value"][1]) for row in answer.json()["data"]["result"]]


def test_every_query_of_the_dashboard_is_promql(prometheus: httpx2.Client) -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            values(prometheus, target["expr"])
    with pytest.raises(AssertionError, match="parse error"):
        values(prometheus, "rate(delever_sequence[)")


def test_the_panels_of_the_documented_crash_have_its_numbers(prometheus: httpx2.Client) -> None:
    """ADL closed 100 at a mark of 56,000 and 500 below it; its contract is annotated."""
    queries = {
        panel["title"]: panel["targets"][0]["expr"]
        for panel in DASHBOARD["panels"]
        if "targets" in panel
    }
    assert values(prometheus, queries["Mark price"]) == [56_000]
    assert values(prometheus, queries["Notional closed by ADL, settle asset"]) == [5_600_000]
    assert values(prometheus, "delever_adl_haircut_total") == [50_000]
    started, exhausted = (one["expr"] for one in DASHBOARD["annotations"]["list"])
    assert values(prometheus, started) == [1]
    assert values(prometheus, exhausted) == []


def test_counters_are_0_before_their_first_event(prometheus: httpx2.Client) -> None:
    for name in ("deliveries", "rejections", "parts_rejected", "adl_exhausted"):
        found = values(prometheus, f"delever_{name}_total")
        assert found, name
        assert set(found) == {0}, name
