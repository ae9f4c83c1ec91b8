"""The native API's rate limit, the dashboard's protection, and the client's address."""

import asyncio
from typing import Any

import msgspec
import pytest
from api_clients import CLOSED_CONFIG, add_role_keys, client, crash_lines, submit_lines
from live_server import live_server
from msgspec.structs import replace

from delever.server.transport.asgi import Message, address_of
from delever.server.transport.browser_protection import HEADERS, BrowserProtection

LIMITED = replace(CLOSED_CONFIG, api=replace(CLOSED_CONFIG.api, weight_per_minute=205))


def test_a_key_beyond_its_weight_is_rejected_and_no_other_one() -> None:
    with live_server(LIMITED, now_ms=lambda: 1_700_000_000_000) as serving:
        add_role_keys(serving.service)
        submit_lines(serving, crash_lines())
        with client(serving, "trade") as trader, client(serving, "read") as desk:
            first = trader.get("/v1/fills/2")
            assert first.status_code == 200
            assert first.headers["x-ratelimit-limit"] == "205"
            assert first.headers["x-ratelimit-remaining"] == "5"
            assert first.headers["x-ratelimit-reset"] == "40"  # 1,700,000,000 is 20 s into a minute
            second = trader.get("/v1/fills/2")
            assert (second.status_code, second.headers["retry-after"]) == (429, "40")
            assert second.json()["error"]["reason"] == "too_many_requests"
            assert trader.get("/v1/contracts").status_code == 429
            assert trader.get("/v1/health").status_code == 200
            assert desk.get("/v1/fills/2").status_code == 200
        with client(serving, "ingest") as venue:
            for _ in range(3):
                answer = venue.post("/v1/commands", json={"type": "set_time"})
                assert answer.status_code == 200
                assert "x-ratelimit-limit" not in answer.headers


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        ([], "10.0.0.1"),
        (["1.1.1.1"], "1.1.1.1"),
        (["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        (["1.1.1.1", "2.2.2.2"], "2.2.2.2"),
        (["6.6.6.6, 1.1.1.1", "3.3.3.3 "], "3.3.3.3"),
        (["6.6.6.6, 1.1.1.1:51234"], "1.1.1.1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["[2001:db8::1]:443"], "2001:db8::1"),
        (["[2001:db8::1]"], "2001:db8::1"),
    ],
)
def test_the_address_is_the_last_one_of_all_lines_of_the_header(
    lines: list[str], address: str
) -> None:
    headers = [(b"x-forwarded-for", line.encode()) for line in lines]
    scope: dict[str, Any] = {"headers": headers, "client": ("10.0.0.1", 5)}
    assert address_of(scope, trust_forwarded=True) == address
    assert address_of(scope, trust_forwarded=False) == "10.0.0.1"


def replies(scope: dict[str, Any]) -> list[Message]:
    """Return what a protected page sends."""
    sent: list[Message] = []

    async def page(_scope: object, _receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(BrowserProtection(page)(scope, receive, send))
    return sent


def test_pages_have_protective_headers_and_no_requests_of_other_sites() -> None:
    own = [(b"host", b"risk.example"), (b"origin", b"https://risk.example")]
    foreign = [(b"host", b"risk.example"), (b"origin", b"https://evil.example")]
    for headers in ([], own):
        (start,) = replies({"type": "http", "headers": headers})
        assert start["status"] == 200
        assert {name for name, _ in HEADERS} == {name for name, _ in start["headers"]}
    assert replies({"type": "http", "headers": foreign})[0]["status"] == 403
    (close,) = replies({"type": "websocket", "headers": foreign})
    assert (close["type"], close["code"]) == ("websocket.close", 1008)
    assert msgspec.json.encode(close["reason"]) == b'"another origin"'
