"""Names of any kind in a path, HEAD, and compressed or missing bodies."""

import gzip
from collections.abc import Iterator
from urllib.parse import quote

import msgspec
import pytest
from api_clients import CLOSED_CONFIG, add_role_keys, client, submit_lines
from live_server import LiveServer, live_server

NAMES = ["a/b", "/", "a%2Fb", "BTC/USDT:USDT", "ünï", "日本", 'q"?#&x', "a b", "null", "explain"]
POOL = {"type": "define_pool", "kind": "shared", "asset": "USDT", "rules": "bybit"}
CONTRACT = {"type": "define_contract", "kind": "linear", "settle": "USDT", "tick_size": "0.5"}
PINGS = ("/v1/health", "/v1/ready", "/metrics")


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """A server whose pools, contracts and accounts have every name of the list."""
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        lines = [
            line
            for name in NAMES
            for line in (
                POOL | {"pool": name},
                CONTRACT | {"contract": name, "pool": name, "lot_size": "0.001"},
                {"type": "define_account", "account": name},
            )
        ]
        assert submit_lines(serving, b"\n".join(map(msgspec.json.encode, lines)))["rejected"] == 0
        yield serving


@pytest.mark.parametrize("name", NAMES)
def test_a_percent_encoded_name_in_a_path_is_found(server: LiveServer, name: str) -> None:
    with client(server, "read") as reader:
        for kind in ("account", "contract", "pool"):
            answer = reader.get(f"/v1/{kind}s/{quote(name, safe='')}")
            assert (answer.status_code, answer.json()[kind]) == (200, name)
        history = reader.get(f"/v1/contracts/{quote(name, safe='')}/history")
        assert history.status_code == 200
        unknown = reader.get(f"/v1/accounts/{quote(f'no/{name}', safe='')}/explain?contract=x")
        assert unknown.json()["error"]["value"] == f"no/{name}"


def test_a_name_with_a_slash_is_authorized_as_a_whole(server: LiveServer) -> None:
    with client(server, "trade") as trader:
        answer = trader.get("/v1/accounts/a%2fb")
        assert (answer.status_code, answer.json()["error"]["value"]) == (403, "")


def test_head_is_get_without_a_body(server: LiveServer) -> None:
    with client(server, "read") as reader:
        for path in (*PINGS, "/v1/contracts", "/schema"):
            answer = reader.head(path)
            assert (answer.status_code, answer.content) == (200, b""), path
        assert reader.head("/v1/accounts/none").status_code == 404


def test_a_compressed_body_is_rejected_with_415(server: LiveServer) -> None:
    packed = gzip.compress(b'{"type":"define_account","account":"zoe"}')
    with client(server, "ingest") as venue:
        for path in ("/v1/commands", "/v1/commands/bulk", "/v1/positions/arrow?version=1"):
            answer = venue.post(path, content=packed, headers={"Content-Encoding": "gzip"})
            error = answer.json()["error"]
            assert (answer.status_code, error["field"]) == (415, "content-encoding")
            assert error["value"] == "gzip"


def test_a_missing_body_is_reported(server: LiveServer) -> None:
    with client(server, "read") as reader:
        error = reader.post("/v1/accounts/null/what-if").json()["error"]
        assert (error["field"], error["message"]) == ("body", "the body is missing")
