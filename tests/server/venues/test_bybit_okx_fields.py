"""Every documented field of every answer, with its JSON type: strict clients reject other answers.

The lists are those of typed clients; each is compared with an answer to a real signed request.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx2 as httpx
import pytest
from binance_market import submit_to
from bybit_market import SECRET, add_account_keys, fall, opening
from documented_fields import wrong_fields
from live_server import LiveServer, live_server

from table import Row, cases
from waiting import PATIENCE_S


@pytest.fixture(scope="module")
def crashed() -> Iterator[LiveServer]:
    """A market after its fall, with positions of both kinds left."""
    with live_server() as server:
        add_account_keys(server.service.keyring)
        submit_to(server.service, [*opening(), *fall()])
        yield server


def answer(server: LiveServer, row: Row, headers: dict[str, str]) -> Any:
    query = f"?{row['query']}" if row["query"] else ""
    reply = httpx.get(f"{server.url}{row['path']}{query}", headers=headers, timeout=PATIENCE_S)
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.mark.parametrize("row", cases("bybit_fields.txt"))
def test_every_answer_of_bybit_has_the_documented_fields(crashed: LiveServer, row: Row) -> None:
    now, key = str(int(time.time() * 1000)), row["key"]
    signature = hmac.digest(SECRET.encode(), f"{now}{key}5000{row['query']}".encode(), "sha256")
    headers = {"X-BAPI-API-KEY": key, "X-BAPI-TIMESTAMP": now, "X-BAPI-SIGN": signature.hex()}
    found = answer(crashed, row, headers | {"X-BAPI-RECV-WINDOW": "5000"} if key else {})
    assert not wrong_fields(found["result"], row)


@pytest.mark.parametrize("row", cases("okx_fields.txt"))
def test_every_answer_of_okx_has_the_documented_fields(crashed: LiveServer, row: Row) -> None:
    now, key = datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z", row["key"]
    query = f"?{row['query']}" if row["query"] else ""
    signed = hmac.new(SECRET.encode(), f"{now}GET{row['path']}{query}".encode(), hashlib.sha256)
    headers = {
        "OK-ACCESS-KEY": key,
        "OK-ACCESS-SIGN": base64.b64encode(signed.digest()).decode(),
        "OK-ACCESS-TIMESTAMP": now,
        "OK-ACCESS-PASSPHRASE": SECRET,
    }
    found = answer(crashed, row, headers if key else {})
    assert found["code"] == "0"
    assert not wrong_fields(found["data"], row)
