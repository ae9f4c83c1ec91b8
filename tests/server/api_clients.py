"""Clients of the native API with API keys of every role."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from live_server import LiveServer

from delever.config import Config, Role
from delever.core.messages import Command
from delever.lab.runs.scenario import read_scenario
from delever.server.app import Service
from delever.server.transport.api_keys import ApiKey
from waiting import PATIENCE_S

CRASH = Path(__file__).parents[2] / "examples" / "crash.ndjson"
SECRET = "s3cret"
ROLES = {
    "read": Role.READ,
    "trade": Role.TRADE_ACCOUNT,
    "ingest": Role.INGEST,
    "operate": Role.OPERATE,
}
TIMEOUT_S = PATIENCE_S

CLOSED_CONFIG = msgspec.convert({"journal": {"path": ":memory:"}}, Config)


def add_role_keys(service: Service) -> None:
    """Add one key for each role; the account of the trader's key is bob."""
    for name, role in ROLES.items():
        accounts = ("bob",) if role is Role.TRADE_ACCOUNT else ()
        service.keyring.add(ApiKey(name, frozenset([role]), accounts, SECRET.encode()))


def client(server: LiveServer, key: str = "") -> httpx2.Client:
    headers = {"Authorization": f"Bearer {key}.{SECRET}"} if key else {}
    return httpx2.Client(base_url=server.url, headers=headers, timeout=TIMEOUT_S, verify=False)


def untimed(commands: Iterable[Command]) -> bytes:
    """Return commands as NDJSON without their times, which the server stamps."""
    lines = [msgspec.to_builtins(command) for command in commands]
    for line in lines:
        del line["time_ms"]
        if line.get("note") == "":
            line["note"] = "from the example"
    return b"\n".join(map(msgspec.json.encode, lines))


def crash_lines() -> bytes:
    return untimed(read_scenario(CRASH))


def submit_lines(server: LiveServer, lines: bytes) -> dict[str, Any]:
    """Submit commands in bulk as the operator; return the response."""
    with client(server, "operate") as operator:
        answer = operator.post("/v1/commands/bulk", content=lines)
        assert answer.status_code == 200, answer.text
        response: dict[str, Any] = answer.json()
        return response
