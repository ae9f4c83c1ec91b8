"""Keys with an end and with addresses: each API refuses them in its own words, and reports it."""

import base64
import hmac
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlencode

import httpx2
import msgspec
import pytest
from api_clients import CLOSED_CONFIG, SECRET, TIMEOUT_S, add_role_keys, client
from live_server import LiveServer, live_server
from websockets.exceptions import ConnectionClosed

from delever.config import ApiKeyConfig, Config, ConfigError, Role, parse
from delever.server.transport.api_keys import ApiKey, KeyProblem, Keyring
from stream_clients import connect

NOW_MS = 1_750_000_000_000
END = "2025-06-15T15:06:40Z"  # NOW_MS
HERE, ELSEWHERE = ("127.0.0.0/8", "::1"), ("10.0.0.0/8",)
HOST = ("192.0.2.7", "2001:db8::/32")


def keyring(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> Keyring:
    monkeypatch.setenv("KEY", SECRET)
    key = {"id": "k", "roles": ["read"], "secret_env": "KEY"} | fields
    return Keyring(parse({"keys": [key]}).keys)


@pytest.mark.parametrize(
    ("addresses", "address", "allowed"),
    [
        ((), "198.51.100.1", True),
        ((), "unknown", True),
        (HOST, "192.0.2.7", True),
        (HOST, "192.0.2.8", False),
        (HOST, "::ffff:192.0.2.7", True),
        (HOST, "2001:db8::5", True),
        (HOST, "2001:db9::5", False),
        (HOST, "unknown", False),
        (("0.0.0.0/0",), "198.51.100.1", True),
        (("0.0.0.0/0",), "2001:db8::5", False),
    ],
)
def test_a_key_is_accepted_from_its_addresses_alone(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...], address: str, allowed: bool
) -> None:
    key = keyring(monkeypatch, addresses=list(addresses)).find("k")
    assert key is not None
    assert key.problem(address, NOW_MS) == (None if allowed else KeyProblem.ADDRESS)


def test_a_key_is_refused_from_its_end_on(monkeypatch: pytest.MonkeyPatch) -> None:
    key = keyring(monkeypatch, expires=END).find("k")
    assert key is not None
    assert key.problem("127.0.0.1", NOW_MS - 1) is None
    assert key.problem("127.0.0.1", NOW_MS) is KeyProblem.EXPIRED
    local = keyring(monkeypatch, expires="2025-06-15T17:06:40+02:00").find("k")
    assert local is not None
    assert local.expires_ms == NOW_MS


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"expires": "tomorrow"}, "keys[0].expires = 'tomorrow': must be a time with its zone"),
        ({"expires": "2027-01-31T00:00:00"}, "keys[0].expires = '2027-01-31T00:00:00': must be"),
        ({"addresses": ["10.0.0.0/33"]}, "keys[0].addresses[0] = '10.0.0.0/33': "),
        ({"addresses": ["10.0.0.1/8"]}, "has host bits set"),
        ({"addresses": ["example.com"]}, "does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_an_end_or_an_address_that_is_none_is_refused(fields: dict[str, Any], problem: str) -> None:
    key = {"id": "k", "roles": ["read"], "secret_env": "KEY"} | fields
    with pytest.raises(ConfigError) as caught:
        parse({"keys": [key]})
    assert problem in str(caught.value)


# --- every API ---


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(CLOSED_CONFIG, now_ms=lambda: NOW_MS) as serving:
        roles = frozenset([Role.READ, Role.TRADE_ACCOUNT])
        for name, end_ms, addresses in (
            ("good", NOW_MS + 1, HERE),
            ("old", NOW_MS, ()),
            ("far", None, ELSEWHERE),
        ):
            secret = SECRET.encode()
            networks = tuple(map(ip_network, addresses))
            key = ApiKey(name, roles, ("bob",), secret, secret, None, "", end_ms, networks)
            serving.service.keyring.add(key)
        add_role_keys(serving.service)
        with client(serving, "ingest") as venue:
            venue.post("/v1/commands", json={"type": "define_account", "account": "bob"})
        yield serving


def digest(text: str) -> bytes:
    return hmac.digest(SECRET.encode(), text.encode(), "sha256")


def native(server: LiveServer, key: str) -> tuple[int, str]:
    with client(server, key) as caller:
        answer = caller.get("/v1/status")
    return answer.status_code, answer.json().get("error", {}).get("reason", "")


def binance(server: LiveServer, key: str) -> tuple[int, int]:
    query = urlencode({"timestamp": NOW_MS})
    url = f"{server.url}/fapi/v1/adlQuantile?{query}&signature={digest(query).hex()}"
    answer = httpx2.get(url, headers={"X-MBX-APIKEY": key}, timeout=TIMEOUT_S)
    body = answer.json()
    return answer.status_code, body["code"] if isinstance(body, dict) else 0


def bybit(server: LiveServer, key: str) -> tuple[int, int]:
    query = "category=linear&settleCoin=USDT"
    headers = {
        "X-BAPI-API-KEY": key,
        "X-BAPI-TIMESTAMP": str(NOW_MS),
        "X-BAPI-SIGN": digest(f"{NOW_MS}{key}{query}").hex(),
    }
    answer = httpx2.get(
        f"{server.url}/v5/position/list?{query}", headers=headers, timeout=TIMEOUT_S
    )
    return answer.status_code, answer.json()["retCode"]


def okx(server: LiveServer, key: str) -> tuple[int, str]:
    sent, path = "2025-06-15T15:06:40.000Z", "/api/v5/account/positions"
    headers = {
        "OK-ACCESS-KEY": key,
        "OK-ACCESS-SIGN": base64.b64encode(digest(f"{sent}GET{path}")).decode(),
        "OK-ACCESS-TIMESTAMP": sent,
        "OK-ACCESS-PASSPHRASE": SECRET,
    }
    answer = httpx2.get(f"{server.url}{path}", headers=headers, timeout=TIMEOUT_S)
    return answer.status_code, answer.json()["code"]


Ask = Callable[[LiveServer, str], tuple[int, Any]]


@pytest.mark.parametrize(
    ("ask", "good", "old", "far"),
    [
        (native, (200, ""), (401, "api_key_expired"), (403, "address_not_allowed")),
        (binance, (200, 0), (401, -2015), (401, -2015)),
        (bybit, (200, 0), (200, 33004), (200, 10010)),
        (okx, (200, "0"), (401, "50119"), (401, "50110")),
    ],
)
def test_each_api_refuses_in_its_own_shape_and_counts_the_login(
    server: LiveServer, ask: Ask, good: object, old: object, far: object
) -> None:
    counts = server.service.keyring.failed_logins.counts
    assert ask(server, "good") == good
    before = counts.total()
    assert (ask(server, "old"), ask(server, "far")) == (old, far)
    assert counts.total() == before + 2


def test_private_streams_refuse_them_too(server: LiveServer) -> None:
    for key, bybit_error, okx_code in (
        ("old", "error:Your api key has expired.", "60005"),
        ("far", "error:Unmatched IP, please check your API key's bound IP addresses.", "60005"),
    ):
        with connect(f"{server.ws}/v5/private") as stream:
            end = NOW_MS + 1000
            sign = digest(f"GET/realtime{end}").hex()
            stream.send(msgspec.json.encode({"op": "auth", "args": [key, end, sign]}).decode())
            assert msgspec.json.decode(stream.recv())["ret_msg"] == bybit_error
        with connect(f"{server.ws}/ws/v5/private") as stream:
            sent = str(NOW_MS // 1000)
            sign = base64.b64encode(digest(f"{sent}GET/users/self/verify")).decode()
            login = {"apiKey": key, "passphrase": SECRET, "timestamp": sent, "sign": sign}
            stream.send(msgspec.json.encode({"op": "login", "args": [login]}).decode())
            assert msgspec.json.decode(stream.recv())["code"] == okx_code


def test_a_listen_key_ends_with_its_api_key(server: LiveServer) -> None:
    url, headers = f"{server.url}/fapi/v1/listenKey", {"X-MBX-APIKEY": "good"}
    opened = httpx2.post(url, headers=headers, timeout=TIMEOUT_S)
    listen_key = opened.json()["listenKey"]
    with connect(f"{server.ws}/ws/{listen_key}"):
        pass
    good = server.service.keyring.find("good")
    assert good is not None
    elsewhere = tuple(map(ip_network, ELSEWHERE))
    server.service.keyring.add(replace(good, networks=elsewhere))
    try:
        with connect(f"{server.ws}/ws/{listen_key}") as stream, pytest.raises(ConnectionClosed):
            stream.recv()
    finally:
        server.service.keyring.add(good)


def test_a_reload_reads_ends_and_addresses_again(
    monkeypatch: pytest.MonkeyPatch, server: LiveServer
) -> None:
    monkeypatch.setenv("KEY", SECRET)
    service = server.service
    stored = tuple(service.keyring.all())
    configured = ApiKeyConfig(id="new", roles=(Role.READ,), secret_env="KEY", addresses=HERE)
    monkeypatch.setattr(
        service, "read_config", lambda: msgspec.structs.replace(Config(), keys=(configured,))
    )
    try:
        service.reload_keys()
        assert native(server, "new") == (200, "")
        configured = msgspec.structs.replace(configured, expires=END)
        service.reload_keys()
        assert native(server, "new") == (401, "api_key_expired")
    finally:
        for key in stored:
            service.keyring.add(key)
