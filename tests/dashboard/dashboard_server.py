"""A real server with its dashboard in a process of its own, and the commands of a small market."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from playwright.sync_api import Page, expect

from waiting import PATIENCE_S

ENGINE, DESK, BOB = "engine.first-secret", "desk.second-secret", "bob.third-secret"
"""Keys of the tests: one with all roles, one that only reads, one of an account."""

CONFIG = """
[listen]
port = 0
[journal]
path = ":memory:"
[publication]
snapshot_interval_ms = 200
stale_after_ms = 600000
[api]
anonymous_read = true
anonymous_accounts = true
[[keys]]
id = "engine"
roles = ["read", "ingest", "operate"]
secret_env = "SITE_ENGINE"
[[keys]]
id = "desk"
roles = ["read"]
secret_env = "SITE_DESK"
[[keys]]
id = "bob"
roles = ["trade-account"]
accounts = ["bob"]
secret_env = "SITE_BOB"
"""

MASKED = CONFIG.replace(
    "anonymous_accounts = true", "anonymous_accounts = false\nqueue_detail = true"
)
"""The same configuration with all account names masked for anonymous visitors."""

ENVIRONMENT = {
    "SITE_ENGINE": ENGINE.partition(".")[2],
    "SITE_DESK": DESK.partition(".")[2],
    "SITE_BOB": BOB.partition(".")[2],
    "SITE_WRONG_KEY": "desk.wrong-secret",
    "PYTHONUNBUFFERED": "1",
}

SHORTS = {"bob": (50, 400_000), "cyd": (30, 150_000), "dan": (40, 900_000)}


@dataclass
class DashboardServer:
    """A running server, by its base URL and the id of its process."""

    url: str
    pid: int = 0

    @property
    def page(self) -> str:
        return f"{self.url}/dashboard"

    def get(self, path: str) -> Any:
        request = urllib.request.Request(self.url + path, headers=_bearer(DESK))
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return json.load(response)

    def post(self, path: str, body: object, key: str = ENGINE) -> Any:
        return self.post_bytes(path, json.dumps(body).encode(), "application/json", key)

    def post_bytes(self, path: str, body: bytes, content_type: str, key: str = ENGINE) -> Any:
        headers = {"Content-Type": content_type, **_bearer(key)}
        request = urllib.request.Request(self.url + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                return json.load(response)
        except HTTPError as error:
            raise AssertionError(f"{body!r}: {error.read().decode()}") from None

    def submit(self, kind: str, /, **fields: object) -> Any:
        return self.post("/v1/commands", command(kind, **fields))

    def mark(self, price: int) -> None:
        self.submit("set_marks", marks={"BTCUSDT": str(price)})

    def open_market(self) -> None:
        """Submit the market of Bybit's first example with sixty small accounts beside it."""
        lines = "\n".join(map(json.dumps, opening()))
        response = self.post_bytes("/v1/commands/bulk", lines.encode(), "application/x-ndjson")
        assert response["rejected"] == 0, response

    def crash(self, *marks: int) -> None:
        """Open the market, take over ann's long at its bankruptcy price, then submit marks."""
        self.open_market()
        self.mark(59_500)
        self.submit("takeover", account="ann", contract="BTCUSDT")
        for price in marks:
            self.mark(price)


def opening() -> Iterator[dict[str, object]]:
    """Yield the commands up to the moment before the first bankruptcy."""
    small = [f"{side}{n:02}" for n in range(30) for side in ("long", "short")]
    yield command("define_pool", pool="main", kind="shared", asset="USDT", rules="bybit")
    yield command("fund_pool", pool="main", amount="1000000", reason="seed", note="opening")
    terms = {"kind": "linear", "settle": "USDT", "tick_size": "0.5", "lot_size": "0.001"}
    yield command("define_contract", contract="BTCUSDT", pool="main", **terms)
    for name in ("ann", *SHORTS, *small):
        yield command("define_account", account=name)
    yield command("set_marks", marks={"BTCUSDT": "60000"})
    wallets = [_wallet(name, cash) for name, (_, cash) in SHORTS.items()]
    wallets += [_wallet(name, 20_000 + 777 * place) for place, name in enumerate(small)]
    yield command("set_balances", version=1, balances=wallets)
    positions = [_position("ann", "long", 100) | {"isolated_margin": "50000"}]
    positions += [_position(name, "short", quantity) for name, (quantity, _) in SHORTS.items()]
    positions += [_position(name, name[:-2], 1) for name in small]
    yield command("set_positions", version=1, positions=positions)
    yield command("refresh_ratings")


def command(kind: str, /, **fields: object) -> dict[str, object]:
    return {"type": kind, **fields}


def _wallet(account: str, balance: int) -> dict[str, object]:
    return {"account": account, "asset": "USDT", "balance": str(balance)}


def _position(account: str, side: str, quantity: int) -> dict[str, object]:
    key = {"account": account, "contract": "BTCUSDT", "side": side}
    return key | {"quantity": str(quantity), "entry_price": "60000"}


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def enter_key(page: Page, key: str, button: str = "Key") -> None:
    """Enter a key in the page's dialog and wait until the page is loaded again with it."""
    page.get_by_role("button", name=button, exact=True).click()
    page.get_by_label("key", exact=True).fill(key)
    with page.expect_event("load"):
        page.get_by_role("button", name="Use it").click()
    loaded = page.locator(".asof", has_text="as of").or_(page.locator(".api-error"))
    expect(loaded.first).to_be_visible()


@contextmanager
def running_server(directory: Path, config: str = CONFIG) -> Iterator[DashboardServer]:
    """Serve a configuration until the block ends."""
    file = directory / "delever.toml"
    file.write_text(config)
    with running_process("serve", "--config", str(file)) as (url, pid):
        yield DashboardServer(url, pid)


@contextmanager
def running(*arguments: str) -> Iterator[str]:
    """Run a command that serves, yield the URL that it prints, and stop it at the end."""
    with running_process(*arguments) as (url, _):
        yield url


@contextmanager
def running_process(*arguments: str) -> Iterator[tuple[str, int]]:
    """Do the same, and yield the id of the process, too."""
    environment = os.environ | ENVIRONMENT
    process = subprocess.Popen(
        [sys.executable, "-m", "delever", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # NiceGUI behaves differently if it finds pytest's variables.
        env={name: value for name, value in environment.items() if "PYTEST" not in name},
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.terminate()
        _, log = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in log, log
