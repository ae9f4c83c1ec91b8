"""A real server in a process of its own, told a small market step by step, with its dashboard."""

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

ENGINE, DESK, BOB = "engine.first-secret", "desk.second-secret", "bob.third-secret"
"""Keys of the tests: one may do everything, one only read, one is an account's own."""

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

MASKED = CONFIG.replace("anonymous_accounts = true", "anonymous_accounts = false")
"""The same where a visitor without a key is told nobody's name."""

ENVIRONMENT = {
    "SITE_ENGINE": ENGINE.partition(".")[2],
    "SITE_DESK": DESK.partition(".")[2],
    "SITE_BOB": BOB.partition(".")[2],
    "SITE_WRONG_KEY": "desk.wrong-secret",
    "PYTHONUNBUFFERED": "1",
}

SHORTS = {"bob": (50, 400_000), "cyd": (30, 150_000), "dan": (40, 900_000)}


@dataclass
class Site:
    """Where a server answers, and what the tests tell it."""

    url: str

    @property
    def page(self) -> str:
        return f"{self.url}/dashboard"

    def get(self, path: str) -> Any:
        request = urllib.request.Request(self.url + path, headers=_bearer(DESK))
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def post(self, path: str, body: object, key: str = ENGINE) -> Any:
        return self.ask(path, json.dumps(body).encode(), "application/json", key)

    def ask(self, path: str, body: bytes, kind: str, key: str = ENGINE) -> Any:
        headers = {"Content-Type": kind, **_bearer(key)}
        request = urllib.request.Request(self.url + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)
        except HTTPError as error:
            raise AssertionError(f"{body!r}: {error.read().decode()}") from None

    def tell(self, kind: str, /, **fields: object) -> Any:
        return self.post("/v1/commands", command(kind, **fields))

    def mark(self, price: int) -> None:
        self.tell("set_marks", marks={"BTCUSDT": str(price)})

    def open_market(self) -> None:
        """Tell the market of Bybit's first example, and sixty small accounts beside it."""
        lines = "\n".join(map(json.dumps, opening()))
        told = self.ask("/v1/commands/bulk", lines.encode(), "application/x-ndjson")
        assert told["rejected"] == 0, told


def opening() -> Iterator[dict[str, object]]:
    """Yield the commands up to the moment before anybody is bankrupt."""
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
    ann = _position("ann", "long", 100) | {"isolated_margin": "50000"}
    held = [_position(name, "short", quantity) for name, (quantity, _) in SHORTS.items()]
    held += [_position(name, name[:-2], 1) for name in small]
    yield command("set_positions", version=1, positions=[ann, *held])
    yield command("refresh_ratings")


def command(kind: str, /, **fields: object) -> dict[str, object]:
    return {"type": kind, **fields}


def _wallet(account: str, balance: int) -> dict[str, object]:
    return {"account": account, "asset": "USDT", "balance": str(balance)}


def _position(account: str, side: str, quantity: int) -> dict[str, object]:
    place = {"account": account, "contract": "BTCUSDT", "side": side}
    return place | {"quantity": str(quantity), "entry_price": "60000"}


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@contextmanager
def served_site(directory: Path, text: str = CONFIG) -> Iterator[Site]:
    """Serve until the block ends; anybody may read."""
    config = directory / "delever.toml"
    config.write_text(text)
    with running("serve", "--config", str(config)) as url:
        yield Site(url)


@contextmanager
def running(*words: str) -> Iterator[str]:
    """Run a command that serves, and give the address that it prints; stop it at the end."""
    environment = os.environ | ENVIRONMENT  # NiceGUI behaves otherwise where it finds pytest's
    process = subprocess.Popen(
        [sys.executable, "-m", "delever", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in environment.items() if "PYTEST" not in name},
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        _, said = process.communicate(timeout=20)
    assert "Traceback" not in said, said
