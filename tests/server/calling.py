"""Callers of the native API: keys of every role, and clients that carry them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from serving import Served

from delever.config import Config, Role
from delever.core.messages import Command
from delever.lab.runs.scenario import read_scenario
from delever.server.app import Service
from delever.server.transport.api_keys import Holder

CRASH = Path(__file__).parents[2] / "examples" / "crash.ndjson"
SECRET = "s3cret"
ROLES = {
    "read": Role.READ,
    "trade": Role.TRADE_ACCOUNT,
    "ingest": Role.INGEST,
    "operate": Role.OPERATE,
}
WAIT_S = 20

CLOSED = msgspec.convert({"journal": {"path": ":memory:"}}, Config)


def let_in(service: Service) -> None:
    """Give each role a key of its own; the trader's account is bob."""
    for name, role in ROLES.items():
        accounts = ("bob",) if role is Role.TRADE_ACCOUNT else ()
        service.keyring.add(Holder(name, frozenset([role]), accounts, SECRET.encode()))


def client(server: Served, key: str = "") -> httpx2.Client:
    headers = {"Authorization": f"Bearer {key}.{SECRET}"} if key else {}
    return httpx2.Client(base_url=server.url, headers=headers, timeout=WAIT_S, verify=False)


def untimed(commands: Iterable[Command]) -> bytes:
    """Return commands as NDJSON without their times: the server's clock says them."""
    lines = [msgspec.to_builtins(command) for command in commands]
    for line in lines:
        del line["time_ms"]
        if line.get("note") == "":
            line["note"] = "from the example"
    return b"\n".join(map(msgspec.json.encode, lines))


def crash() -> bytes:
    return untimed(read_scenario(CRASH))


def tell(server: Served, lines: bytes) -> dict[str, Any]:
    """Send commands in bulk as the operator; return the answer."""
    with client(server, "operate") as operator:
        answer = operator.post("/v1/commands/bulk", content=lines)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told
