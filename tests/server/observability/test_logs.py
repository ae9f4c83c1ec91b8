"""The log has no secrets: by name, by shape, or in the traceback of a request."""

import contextlib
import io
import json
import logging
import os
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import structlog
import uvicorn
from mail_servers import SECRET, SECRET_ENV

from delever.config import parse
from delever.server.observability.logs import (
    HIDDEN,
    LogStream,
    Redactor,
    RequestLog,
    configure_logging,
    secrets_of,
)
from waiting import PATIENCE_S

S3CRET = "s3cr3t0000a1b2c3d4e5f6"

TEXTS = """
Authorization: Bearer id.S3CRET
authorization=Basic S3CRET
(b'authorization', b'Bearer id.S3CRET')
{"Authorization": "Bearer id.S3CRET", "other": 1}
{\\"signature\\": \\"S3CRET\\"}
GET /fapi/v1/adlQuantile?symbol=BTCUSDT&timestamp=1&signature=S3CRET HTTP/1.1
symbol=BTCUSDT&signature=S3CRET&recvWindow=5000
X-MBX-APIKEY: S3CRET
x_mbx_apikey='S3CRET'
X-BAPI-SIGN: S3CRET, X-BAPI-API-KEY: S3CRET
[(b'ok-access-sign', b'S3CRET'), (b'ok-access-passphrase', b'S3CRET')]
OK-ACCESS-KEY=S3CRET
"apiKey": "S3CRET"
'sign': 'S3CRET'
{"op":"auth","auth":["key",1,"S3CRET"]}
listenKey=S3CRET
password = S3CRET
smtp_password: S3CRET
webhook-signature: v1,S3CRET
cookie: session=S3CRET
Bearer S3CRET
whsec_S3CRET
https://someone:S3CRET@hooks.test/path
"""


@pytest.mark.parametrize("text", TEXTS.strip().splitlines())
def test_a_secret_in_a_text_is_hidden(text: str) -> None:
    redacted = Redactor().text(text.replace("S3CRET", S3CRET))
    assert S3CRET not in redacted
    assert HIDDEN in redacted


NESTED: list[Any] = [
    {"headers": {"Authorization": S3CRET, "Accept": "json"}},
    {"headers": [(b"x-mbx-apikey", S3CRET.encode()), (b"accept", b"json")]},
    {"headers": [["OK-ACCESS-SIGN", S3CRET]]},
    {"deep": {"er": [{"signature": S3CRET}]}},
    {"mail_password": S3CRET},
    {"error": ValueError(f"signature={S3CRET}")},
    {f"signature={S3CRET}": 1},
    {"body": f"timestamp=1&signature={S3CRET}".encode()},
]


@pytest.mark.parametrize("line", NESTED)
def test_a_secret_in_a_nested_value_is_hidden(line: dict[str, Any]) -> None:
    redacted = json.dumps(Redactor()(None, "info", line))
    assert S3CRET not in redacted
    assert HIDDEN in redacted


def test_other_values_are_unchanged() -> None:
    line = {"event": "request", "status": 200, "path": "/fapi/v1/ping", "none": None, "up": True}
    line |= {"sequence": 17, "hash": "ab" * 32, "text": "adl_started in BTCUSDT: design"}
    assert Redactor()(None, "info", dict(line)) == line


def test_the_servers_own_secrets_are_hidden_in_any_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    file = tmp_path / "key"
    file.write_text("of-the-file-1\n")
    file.chmod(0o600)
    names = ("KEY_ENV", "PHRASE_ENV", "MAIL_ENV")
    for name in names:
        monkeypatch.setenv(name, f"of-{name}-1")
    monkeypatch.setenv(SECRET_ENV, SECRET)
    url = "https://hooks.test/T0KEN"
    recipients = [{"account": "", "webhook": url, "webhook_secret_env": SECRET_ENV}]
    keys = [
        {"id": "a", "roles": ["read"], "secret_env": "KEY_ENV", "passphrase_env": "PHRASE_ENV"},
        {"id": "b", "roles": ["read"], "secret_file": str(file)},
        {"id": "c", "roles": ["read"], "secret_env": "NOT_SET"},
    ]
    mail = {"host": "x", "username": "adl", "password_env": "MAIL_ENV"}
    notices = {"mail": mail, "recipients": recipients}
    found = secrets_of(parse({"keys": keys, "notices": notices}))
    assert found == {*(f"of-{name}-1" for name in names), "of-the-file-1", SECRET, url}
    hidden = Redactor(found).text(" and ".join(f"say {each}!" for each in sorted(found)))
    assert hidden == " and ".join([f"say {HIDDEN}!"] * len(found))


def test_a_listen_key_in_a_path_is_hidden() -> None:
    key = "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"
    for text in ("/ws/{}", '"WebSocket /ws/{}" [accepted]', "/stream?streams={}/btc@adl"):
        assert Redactor().text(text.format(key)) == text.format(HIDDEN)
    assert Redactor().text("/v1/accounts/bob/what-if") == "/v1/accounts/bob/what-if"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    written = io.StringIO()
    configure_logging("debug", written)
    yield written
    structlog.reset_defaults()
    root.handlers = handlers
    root.setLevel(level)


async def answers(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    """Respond, or fail with headers and query in the error."""
    if "fail" in scope["path"]:
        raise RuntimeError(f"cannot do {scope['headers']} {scope['query_string']!r}")
    status = 503 if "busy" in scope["path"] else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_the_log_of_requests_has_no_secret(stream: io.StringIO) -> None:
    app: Any = RequestLog(answers, trust_forwarded=False)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    names = ("X-MBX-APIKEY", "X-BAPI-SIGN", "OK-ACCESS-PASSPHRASE", "Cookie", "OK-ACCESS-SIGN")
    headers = dict.fromkeys(names, S3CRET) | {"Authorization": f"Bearer running_notifier.{S3CRET}"}
    query = f"symbol=BTCUSDT&timestamp=1&signature={S3CRET}"
    with httpx2.Client(
        base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=PATIENCE_S
    ) as client:
        for method, path in (
            ("GET", "/fapi/v1/adlQuantile"),
            ("POST", "/v1/commands"),
            ("GET", "/busy"),
            ("GET", "/fail"),
            ("GET", f"/ws/{S3CRET * 2}"),
        ):
            client.request(method, f"{path}?{query}")
    server.should_exit = True
    thread.join(10)
    text = stream.getvalue()
    lines = [json.loads(line) for line in text.splitlines()]
    assert S3CRET not in text
    levels = [(each["level"], each["status"]) for each in lines if each["event"] == "request"]
    assert levels == [
        ("debug", 200),
        ("debug", 200),
        ("error", 503),
        ("error", 500),
        ("debug", 200),
    ]
    assert lines[-1]["timestamp"].endswith("Z")
    first = next(each for each in lines if each["event"] == "request")
    assert first["parameters"] == ["symbol", "timestamp", "signature"]
    failed = next(each for each in lines if "RuntimeError" in each.get("exception", ""))
    assert "cannot do" in failed["exception"]
    assert not [each for each in lines if "HTTP Request" in each["event"]]


def test_lines_below_the_level_are_dropped() -> None:
    written = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        configure_logging("warning", written)
        structlog.get_logger().info("quiet")
        structlog.get_logger().warning("loud", password=S3CRET)
        logging.getLogger("uvicorn.error").info("quiet")
        logging.getLogger("uvicorn.error").warning("loud %s", f"signature={S3CRET}")
    finally:
        structlog.reset_defaults()
        root.handlers = handlers
        root.setLevel(level)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["loud", f"loud signature={HIDDEN}"]
    assert lines[0]["password"] == HIDDEN


def test_a_broken_stream_stops_no_request() -> None:
    """As when the reader of a pipe has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as broken:
        stream = LogStream(broken)
        stream.write("x" * 100_000)
        stream.flush()
        configure_logging("info", broken)
        structlog.get_logger().error("lost")
        logging.getLogger("any").error("lost")
        assert stream.lost_lines == 1
        with contextlib.suppress(BrokenPipeError):
            broken.close()
