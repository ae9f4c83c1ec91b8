"""A large venue behind the API: a million positions, then marks of all contracts every second.

Positions are submitted over HTTP as Arrow streams in the engine's units, each answered once
durable. Then 500 marks per second are submitted while clients read: every command must be answered
within its second and be in the journal, and reads must be answered, too.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from large_book import (
    CONTRACTS,
    TICKS,
    LargeBook,
    account_commands,
    contract_names,
    definition_commands,
    large,
    marks,
)
from measure import Row, main

from delever.core import messages as m
from delever.journal import SqliteJournal

SECONDS = 20
CHUNK = 250_000
SECRET = "benchmark"
CONFIG = """
[journal]
path = "{journal}"
[api]
anonymous_read = true
anonymous_accounts = true
[logs]
level = "error"
[[keys]]
id = "engine"
roles = ["read", "ingest", "operate"]
secret_env = "DELEVER_BENCHMARK_SECRET"
"""


class Api:
    """A client of the served API, as a venue's engine has one."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, path: str, body: bytes) -> Any:
        headers = {"Authorization": f"Bearer engine.{SECRET}"}
        request = urllib.request.Request(self.url + path, body, headers)
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path) as answer:
            return json.loads(answer.read())

    def submit(self, command: m.Command) -> Any:
        fields = msgspec.to_builtins(command)
        del fields["time_ms"]  # the server stamps the command
        return self.post("/v1/commands", msgspec.json.encode(fields))


def stream(book: LargeBook, rows: slice) -> bytes:
    """Return rows of the book as an Arrow IPC stream."""
    contract = pa.DictionaryArray.from_arrays(book.contract[rows], contract_names())
    account, names = np.unique(book.account[rows], return_inverse=True)
    accounts = pa.DictionaryArray.from_arrays(
        names.astype(np.int32), [f"a{number:08d}" for number in account.tolist()]
    )
    side = pa.DictionaryArray.from_arrays(book.side[rows], ["long", "short"])
    table = pa.table(
        {
            "account": accounts,
            "contract": contract,
            "side": side,
            "lots": book.lots[rows],
            "cost_cash": book.cost[rows],
        }
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def ingest(api: Api, book: LargeBook) -> Iterator[Row]:
    """Yield the rate at which positions are ingested."""
    for command in (*definition_commands(), *account_commands(book)):
        api.submit(command)
    api.submit(m.SetMarks(time_ms=0, marks=dict.fromkeys(contract_names(), TICKS // 100)))
    bodies = [stream(book, slice(at, at + CHUNK)) for at in range(0, book.size, CHUNK)]
    began = time.perf_counter()
    counts = [api.post("/v1/positions/arrow?version=1", body)["rows"] for body in bodies]
    took = time.perf_counter() - began
    assert sum(counts) == book.size
    yield Row(f"{book.size:,} positions over HTTP, durable", f"{book.size / took:,.0f} positions/s")


def marking(api: Api, book: LargeBook) -> Iterator[Row]:
    """Yield the latency of 500 marks per second, and of reads meanwhile."""
    reads: list[float] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            for path in ("/v1/contracts/C000", "/v1/accounts/a00000001", "/fapi/v1/ping"):
                began = time.perf_counter()
                api.get(path)
                reads.append((time.perf_counter() - began) * 1e3)
            time.sleep(0.05)

    reader = threading.Thread(target=read)
    reader.start()
    taken = []
    begun = time.perf_counter()
    for second in range(SECONDS):
        time.sleep(max(0.0, begun + second - time.perf_counter()))
        began = time.perf_counter()
        api.submit(marks(book, second))
        taken.append((time.perf_counter() - began) * 1e3)
    stop.set()
    reader.join()
    late = sum(latency_ms > 1000 for latency_ms in taken)
    yield Row(
        f"{CONTRACTS} marks per second on {book.size:,} positions",
        f"{median(taken):.0f} ms each (worst {max(taken):.0f})",
        "none later than its second",
        late == 0,
    )
    worst = sorted(reads)[int(len(reads) * 0.99)]
    yield Row(
        "  reads meanwhile", f"{median(reads):.1f} ms (p99 {worst:.0f}), {len(reads)} answered"
    )


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """Yield every result."""
    book = large(options.positions)
    with tempfile.TemporaryDirectory() as folder:
        journal, config = Path(folder) / "journal.db", Path(folder) / "delever.toml"
        config.write_text(CONFIG.format(journal=journal))
        command = [sys.executable, "-m", "delever", "serve", "-c", str(config), "--port", "0"]
        environment = os.environ | {"DELEVER_BENCHMARK_SECRET": SECRET}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert server.stdout is not None
        api = Api(server.stdout.readline().strip())
        try:
            yield from ingest(api, book)
            yield from marking(api, book)
            acknowledged = api.get("/v1/status")["sequence"]
        finally:
            server.kill()
            server.wait()
        with SqliteJournal(journal, readonly=True) as opened:
            head = opened.head()
        assert head is not None
        lost = max(acknowledged - head.sequence, 0)
        yield Row("records lost when the server is killed", f"{lost}", "none", lost == 0)


if __name__ == "__main__":
    main(rows)
