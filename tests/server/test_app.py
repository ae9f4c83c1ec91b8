"""The whole app: requests of every kind are counted once."""

import httpx2
from live_server import live_server

from waiting import PATIENCE_S


def test_requests_to_venues_and_to_the_native_api_are_counted() -> None:
    with live_server() as server, httpx2.Client(base_url=server.url, timeout=PATIENCE_S) as client:
        for path in ("/fapi/v1/ping", "/fapi/v1/nothing", "/v1/health", "/v1/health", "/nothing"):
            client.get(path)
        lines = client.get("/metrics").text.splitlines()
    counted = {line for line in lines if line.startswith("delever_http_requests_total")}
    name = "delever_http_requests_total"
    assert {
        f'{name}{{part="fapi",status="200"}} 1.0',
        f'{name}{{part="fapi",status="404"}} 1.0',
        f'{name}{{part="v1",status="200"}} 2.0',
        f'{name}{{part="other",status="404"}} 1.0',
    } <= counted
