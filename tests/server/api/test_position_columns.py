"""Positions as Arrow columns in units of the engine: equal to rows, or rejected whole."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx2
import pyarrow as pa
import pytest
from api_clients import CLOSED_CONFIG, add_role_keys, client, crash_lines, submit_lines
from live_server import LiveServer, live_server

from delever.core.kernels import fastest
from waiting import becomes

UNIT = 100_000_000
"""Cash in one USDT; a lot of BTCUSDT is 0.001."""


VERSIONS, OLD = count(100), 10
"""Versions newer than all before, in whatever order the tests run; and one that is older."""


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    fastest()  # compiled kernels, as in a server process
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        submit_lines(serving, crash_lines())
        yield serving


def stream(columns: dict[str, Any]) -> bytes:
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def sent(
    server: LiveServer, version: int, columns: dict[str, Any], *, strict: bool = False
) -> httpx2.Response:
    query = f"version={version}&strict={str(strict).lower()}"
    with client(server, "ingest") as venue:
        return venue.post(f"/v1/positions/arrow?{query}", content=stream(columns))


def rows(**columns: Any) -> dict[str, Any]:
    """Return two rows in units of the engine, with some columns replaced."""
    whole = {
        "account": ["ann", "dan"],
        "contract": ["BTCUSDT", "BTCUSDT"],
        "side": ["long", "short"],
        "lots": [1_500, 2_000],
        "cost_cash": [90_000 * UNIT, 122_000 * UNIT],
    }
    return {name: column for name, column in (whole | columns).items() if column is not None}


def test_columns_and_rows_give_the_same_positions(server: LiveServer) -> None:
    decimals = {
        "quantity": ["1.5", "2"],
        "entry_price": ["60000", "61000"],
        "lots": None,
        "cost_cash": None,
    }
    held = []
    for columns in (rows(**decimals), rows()):
        answer = sent(server, next(VERSIONS), columns).json()
        assert (answer["rows"], answer["ignored"]) == (2, 0)
        with client(server, "read") as reader:
            accounts = [reader.get(f"/v1/accounts/{name}").json() for name in ("ann", "dan")]
        held.append([each["positions"] for each in accounts])
    assert held[0] == held[1]
    assert sent(server, OLD, rows()).json()["ignored"] == 2


def test_events_of_columns_are_found_by_account(server: LiveServer) -> None:
    def found(account: str, after: int) -> list[str]:
        page = reader.get("/v1/events", params={"account": account, "after": after}).json()
        return [row["event"]["type"] for row in page["events"]]

    with client(server, "read") as reader:
        before = reader.get("/v1/status").json()["sequence"]
        assert sent(server, next(VERSIONS), rows()).json()["rows"] == 2
        anns = {name: column[:1] for name, column in rows().items()}
        assert sent(server, OLD, anns).json()["ignored"] == 1
        assert found("ann", before) == ["position_columns_set", "rows_ignored"]
        assert found("dan", before) == ["position_columns_set"]
        assert found("bob", before) == found("nobody", before) == []


def test_a_bad_row_of_columns_is_rejected_alone_and_makes_its_contract_incomplete(
    server: LiveServer,
) -> None:
    """CORE-37"""
    answer = sent(server, next(VERSIONS), rows(lots=[-1, 2_000])).json()
    assert (answer["rows"], answer["rejected"]) == (2, 1)
    assert answer["rejections"] == [
        {"line": 0, "reason": "negative_not_allowed", "field": "lots[0]", "value": "-1"}
    ]
    with client(server, "read") as reader:
        (position,) = reader.get("/v1/accounts/ann").json()["positions"]
        assert position["reason"] == "stale_row"
        becomes(lambda: reader.get("/v1/contracts/BTCUSDT").json()["incomplete"], True)
    assert sent(server, next(VERSIONS), rows()).json()["rejected"] == 0


def test_text_columns_may_be_dictionary_encoded(server: LiveServer) -> None:
    for kind in (pa.large_string(), pa.dictionary(pa.int8(), pa.string())):
        text = {name: pa.array(rows()[name], pa.string()) for name in ("account", "side")}
        encoded = {name: column.cast(kind) for name, column in text.items()}
        answer = sent(server, next(VERSIONS), rows(**encoded))
        assert answer.json()["rows"] == 2


@pytest.mark.parametrize(
    ("columns", "status", "field"),
    [
        ({"lots": [1.5, 2.0]}, 400, "columns.lots"),
        ({"lots": [None, 2]}, 400, "columns.lots"),
        ({"lots": [-1, 2]}, 422, "lots[0]"),
        ({"colour": [1, 2]}, 400, "columns"),
        ({"side": ["long", "up"]}, 400, "columns"),
        ({"side": [0, 1]}, 400, "columns.side"),
        ({"account": None}, 400, "columns.account"),
        ({"cost_cash": None}, 400, "columns.cost_cash"),
        ({"account": ["ann", "nobody"]}, 422, "accounts[1]"),
        ({"contract": ["BTCUSDT", "NONE"]}, 422, "contracts[1]"),
    ],
)
def test_an_invalid_column_is_rejected_whole_with_its_name(
    server: LiveServer, columns: dict[str, Any], status: int, field: str
) -> None:
    with client(server, "read") as reader:
        before = reader.get("/v1/accounts/ann").json()["positions"]
    answer = sent(server, next(VERSIONS), rows(**columns), strict=True)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)
    with client(server, "read") as reader:
        assert reader.get("/v1/accounts/ann").json()["positions"] == before
