"""Every documented field of every answer, with its JSON type: strict clients reject other answers.

The lists are those of Binance's SDK; each is compared with an answer to a real signed request.
"""

import hashlib
import hmac
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpx2 as httpx
import pytest
from binance_market import SECRET, add_account_keys, fall, opening, submit_to
from documented_fields import wrong_fields
from live_server import LiveServer, live_server

from delever.config import Role
from delever.core.messages import (
    Command,
    DefineAccount,
    PositionRow,
    SetMarks,
    SetPositions,
    Side,
    Takeover,
)
from delever.server.engine.runner import NOW
from delever.server.transport.api_keys import ApiKey
from table import Row, cases
from waiting import PATIENCE_S


def inverse_fall() -> Iterable[Command]:
    """Yield a takeover of `coin` and the ADL of `inv`; `cat` keeps a position."""
    yield DefineAccount(time_ms=NOW, account="cat")
    position = PositionRow(
        account="cat",
        contract="BTCUSD",
        side=Side.SHORT,
        quantity=5,
        entry_price=60000,
        isolated_margin="0.5",
    )
    yield SetPositions(time_ms=NOW, version=1, positions=(position,))
    yield Takeover(time_ms=NOW, account="coin", contract="BTCUSD")
    yield SetMarks(time_ms=NOW, marks={"BTCUSD": 90000})


@pytest.fixture(scope="module")
def crashed() -> Iterator[LiveServer]:
    """Markets of both products after a crash, with positions and orders in each."""
    with live_server() as server:
        add_account_keys(server.service)
        roles = frozenset({Role.TRADE_ACCOUNT})
        server.service.keyring.add(ApiKey("cat-key", roles, ("cat",), SECRET.encode()))
        submit_to(server.service, [*opening(), *inverse_fall(), *fall()])
        yield server


def answer(server: LiveServer, path: str, query: str, key: str) -> Any:
    """Return the answer to a GET, signed if there is a key."""
    if key:
        query += f"{'&' if query else ''}timestamp={int(time.time() * 1000)}"
        signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        query += f"&signature={signature}"
    reply = httpx.get(
        f"{server.url}{path}?{query}",
        headers={"X-MBX-APIKEY": key} if key else {},
        timeout=PATIENCE_S,
    )
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.mark.parametrize("row", cases("binance_fields.txt"))
def test_every_answer_has_the_documented_fields(crashed: LiveServer, row: Row) -> None:
    assert not wrong_fields(answer(crashed, row["path"], row["query"], row["key"]), row)
