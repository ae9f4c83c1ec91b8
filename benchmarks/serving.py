"""The served APIs against minimal servers: requests per second, p99, and fan-out.

Hot public endpoints against a raw ASGI app that sends the same bytes on the same server; the signed
adlQuantile against a bare Litestar handler; one adlAlert to many subscribers against the broadcast
of the websockets library. Each pair is measured in turns, several times; ratios are of medians.
Needs `wrk` on the PATH. Every server is one process; another one makes the load.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from measure import Row, main
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from delever.demo.crash_run import run_crash

ROUNDS, SECONDS = 3, 3
SUBSCRIBERS = 1_000, 5_000
PEERS = Path(__file__).with_name("serving_peers.py")
SECRET = "benchmark"
ACCOUNT = "a000001"
CONFIG = """
[journal]
path = "{journal}"
[logs]
level = "error"
[binance]
weight_per_minute = 1_000_000_000
[bybit]
requests_per_5s = 1_000_000_000
connections_per_5min = 1_000_000_000
[listen]
max_connections_per_ip = 100_000
max_connections = 100_000
[[keys]]
id = "bench"
roles = ["trade-account"]
accounts = ["{account}"]
secret_env = "DELEVER_BENCHMARK_SECRET"
"""


@contextmanager
def served(*command: str) -> Iterator[str]:
    """Run a server that prints its URL first, until the block ends."""
    environment = os.environ | {"DELEVER_BENCHMARK_SECRET": SECRET}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(20)


def fetch(url: str, headers: dict[str, str]) -> bytes:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request) as answer:
        return bytes(answer.read())


def wrk(url: str, headers: dict[str, str]) -> tuple[float, float]:
    """Return requests per second and the 99th percentile in ms, over 64 connections."""
    options = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    report = subprocess.run(
        ["wrk", "-t1", "-c64", f"-d{SECONDS}s", "--latency", *options, url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "Non-2xx" not in report, report
    rate = re.search(r"Requests/sec:\s+([\d.]+)", report)
    slow = re.search(r"99%\s+([\d.]+)(us|ms|s)", report)
    assert rate
    assert slow
    return float(rate[1]), float(slow[1]) * {"us": 0.001, "ms": 1, "s": 1000}[slow[2]]


def in_turn(ours: str, peer: str, headers: dict[str, str]) -> tuple[list[float], ...]:
    """Measure both in turns: rates and p99 of delever, then of the peer."""
    found: tuple[list[float], ...] = ([], [], [], [])
    for _ in range(ROUNDS):
        for place, url in ((0, ours), (2, peer)):
            rate, slow = wrk(url, headers)
            found[place].append(rate)
            found[place + 1].append(slow)
    return found


def requests(url: str, kind: str, path: str, least: float) -> Iterator[Row]:
    """Yield rate and p99 of one path against the peer that sends the same bytes."""
    signed = kind == "litestar"
    headers = {"X-MBX-APIKEY": "bench"} if signed else {}
    body = fetch(url + (sign(path) if signed else path), headers)
    with tempfile.NamedTemporaryFile(suffix=".json") as same:
        same.write(body)
        same.flush()
        with served(sys.executable, str(PEERS), kind, same.name) as peer:
            target = sign(path) if signed else path
            assert fetch(peer + target, headers) == body
            rate, slow, peer_rate, peer_slow = in_turn(url + target, peer + target, headers)
    ratio = median(rate) / median(peer_rate)
    yield Row(
        f"{path} against {'bare Litestar' if signed else 'raw ASGI'}",
        f"{ratio:.2f} ({median(rate):,.0f} / {median(peer_rate):,.0f} requests/s)",
        f">= {least}",
        ratio >= least,
    )
    slower = median(slow) / median(peer_slow)
    yield Row(
        "  99th percentile", f"{slower:.2f} ({median(slow):.1f} / {median(peer_slow):.1f} ms)"
    )


def sign(path: str) -> str:
    """Return the path with a signed query that is valid for a minute."""
    query = f"recvWindow=60000&timestamp={time.time_ns() // 1_000_000}"
    signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
    return f"{path}?{query}&signature={signature}"


# --- fan-out ---


class Subscriber(WSListener):  # type: ignore[misc]
    """Subscribes, and records when each push arrives."""

    def __init__(self, arrivals: dict[bytes, list[float]]) -> None:
        self.arrivals = arrivals

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, b'{"op":"subscribe","args":["adlAlert.USDT"]}')

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            payload = frame.get_payload_as_bytes()
            stamp = re.search(rb'"ts":(\d+)', payload)
            if stamp:
                self.arrivals[stamp[1]].append(time.perf_counter())


async def spread(url: str, subscribers: int, pushes: int) -> float:
    """Return the ms of one push from its first to its last client, median of several pushes."""
    arrivals: dict[bytes, list[float]] = defaultdict(list)
    address = url.replace("http", "ws", 1) + "/v5/public/linear"
    connections = []
    for begin in range(0, subscribers, 100):
        many = range(begin, min(begin + 100, subscribers))
        connections += await asyncio.gather(
            *(
                ws_connect(lambda: Subscriber(arrivals), address, websocket_handshake_timeout=60)
                for _ in many
            )
        )
    await asyncio.sleep(2)
    arrivals.clear()
    await asyncio.sleep(pushes + 2)
    whole = [times for times in arrivals.values() if len(times) == subscribers]
    for transport, _ in connections:
        transport.disconnect()
    assert len(whole) >= pushes - 2, "pushes did not reach every client"
    return median((max(times) - min(times)) * 1000 for times in whole)


def fan_out(url: str, subscribers: int, most: float) -> Iterator[Row]:
    """Yield the time of one adlAlert to its last subscriber, against a bare broadcast."""
    text = fetch(url + "/v5/market/adlAlert", {})
    rows = json.loads(text)["result"]["list"]
    size = len(json.dumps(rows))
    ours, theirs = [], []
    with served(sys.executable, str(PEERS), "broadcast", str(size)) as peer:
        for _ in range(ROUNDS):
            ours.append(asyncio.run(spread(url, subscribers, 5)))
            theirs.append(asyncio.run(spread(peer, subscribers, 5)))
    ratio = median(ours) / median(theirs)
    yield Row(
        f"adlAlert to {subscribers:,} sockets against websockets.broadcast",
        f"{ratio:.2f} ({median(ours):.0f} / {median(theirs):.0f} ms to the last)",
        f"<= {most}",
        ratio <= most,
    )


def rows(_options: argparse.Namespace) -> Iterator[Row]:
    """Yield every result."""
    if shutil.which("wrk") is None:
        yield Row("the served APIs", "omitted: wrk is absent: apt-get install wrk")
        return
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(20_000, most), most))
    with tempfile.TemporaryDirectory() as folder:
        journal, config = Path(folder) / "journal.db", Path(folder) / "delever.toml"
        run_crash(accounts=300, contracts=20, journal=journal)
        config.write_text(CONFIG.format(journal=journal, account=ACCOUNT))
        command = (sys.executable, "-m", "delever", "serve", "-c", str(config), "--port", "0")
        with served(*command) as url:
            yield from requests(url, "raw", "/fapi/v1/symbolAdlRisk", 0.6)
            yield from requests(url, "raw", "/v5/market/adlAlert", 0.6)
            yield from requests(url, "litestar", "/fapi/v1/adlQuantile", 0.7)
            for many in SUBSCRIBERS:
                yield from fan_out(url, many, 1.3)


if __name__ == "__main__":
    main(rows)
