"""Event streams: no gaps from any position, and slow readers delay nobody."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import msgspec
import pytest
from api_clients import CLOSED_CONFIG, SECRET, TIMEOUT_S, add_role_keys, client
from live_server import LiveServer, live_server
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from delever.config import Config, JournalConfig, ListenConfig
from delever.core.messages import SetTime
from delever.journal import Recorder
from delever.journal.archive import archive, prune
from stream_clients import connect
from waiting import wait_until

HEADERS = {"Authorization": f"Bearer read.{SECRET}"}


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(CLOSED_CONFIG) as serving:
        add_role_keys(serving.service)
        yield serving


@contextmanager
def load(server: LiveServer, each: int = 5) -> Iterator[None]:
    """Submit commands without a pause until the block ends."""
    stop = threading.Event()

    def send() -> None:
        lines = b"\n".join([b'{"type":"define_account","account":"ann"}'] * each)
        with client(server, "ingest") as venue:
            while not stop.is_set():
                venue.post("/v1/commands/bulk", content=lines)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join(TIMEOUT_S)


def events(
    server: LiveServer, wanted: int, after: int | None = None, last: int | None = None
) -> list[int]:
    """Read this many records of the SSE stream; return their sequences."""
    headers = HEADERS if last is None else HEADERS | {"Last-Event-ID": str(last)}
    params = {} if after is None else {"after": after}
    sequences: list[int] = []
    with (
        httpx2.Client(base_url=server.url, timeout=TIMEOUT_S, verify=False) as reader,
        reader.stream("GET", "/v1/events/stream", headers=headers, params=params) as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        number = None
        for line in stream.iter_lines():
            if line.startswith("id: "):
                number = int(line.removeprefix("id: "))
            elif line.startswith("data: "):
                record = json.loads(line.removeprefix("data: "))
                assert record["sequence"] == number
                assert record["events"][0]["type"] == "accepted"
                sequences.append(record["sequence"])
            if len(sequences) == wanted:
                return sequences
    return sequences


def texts(connection: ClientConnection, wanted: int) -> list[int]:
    return [json.loads(connection.recv(TIMEOUT_S))["sequence"] for _ in range(wanted)]


def listen(server: LiveServer, after: str = "") -> ClientConnection:
    url = f"{server.ws}/v1/events/socket{after}"
    return connect(url, additional_headers=HEADERS, max_queue=None)


def test_server_sent_events_resume_without_a_gap_under_load(server: LiveServer) -> None:
    with load(server):
        sequences = events(server, 300, after=0)
        while len(sequences) < 1_200:
            sequences += events(server, 150, last=sequences[-1])
    assert sequences == list(range(1, len(sequences) + 1))


def test_a_web_socket_resumes_without_a_gap_under_load(server: LiveServer) -> None:
    with load(server):
        sequences: list[int] = []
        while len(sequences) < 900:
            with listen(server, f"?after={sequences[-1] if sequences else 0}") as connection:
                sequences += texts(connection, 300)
    assert sequences == list(range(1, len(sequences) + 1))


def test_a_stream_without_after_begins_with_the_next_record(server: LiveServer) -> None:
    with client(server, "read") as reader:
        now = reader.get("/v1/status").json()["sequence"]
    with listen(server) as connection, load(server, each=1):
        assert texts(connection, 3) == [now + 1, now + 2, now + 3]


def test_a_sequence_beyond_the_journal_is_rejected_with_409(server: LiveServer) -> None:
    with client(server, "read") as reader:
        now = reader.get("/v1/status").json()["sequence"]
        assert reader.get("/v1/events", params={"after": now}).status_code == 200
        for path in ("/v1/events", "/v1/events/stream"):
            answer = reader.get(path, params={"after": now + 1})
            error = answer.json()["error"]
            assert (answer.status_code, error["reason"]) == (409, "sequence_beyond_journal")
            assert error["message"].startswith(f"this journal ends at {now}: ")
    with pytest.raises(InvalidStatus), listen(server, f"?after={now + 1}"):
        pass


def test_a_pruned_journal_serves_its_records_and_names_where_they_begin(tmp_path: Path) -> None:
    """Restarted after `prune`: ids of the records that stayed run once, the rest is 410."""
    journal = tmp_path / "journal.db"
    with Recorder.open(journal, snapshot_every=10) as recorder:
        for n in range(25):
            recorder.submit([SetTime(time_ms=n, id=f"id-{n}")])
    last = archive(journal, tmp_path / "archive.db", retain=5)
    prune(journal, tmp_path / "archive.db", retain=5)
    assert last.sequence == 20
    stored = msgspec.structs.replace(CLOSED_CONFIG, journal=JournalConfig(path=str(journal)))
    with live_server(stored) as server:
        add_role_keys(server.service)
        with client(server, "ingest") as venue:
            again = venue.post(
                "/v1/commands", json={"type": "set_time", "time_ms": 22, "id": "id-22"}
            )
            assert (again.status_code, again.json()["sequence"]) == (200, 23)
        with client(server, "read") as reader:
            for path in ("/v1/events", "/v1/events/stream"):
                answer = reader.get(path, params={"after": 19})
                error = answer.json()["error"]
                assert (answer.status_code, error["reason"]) == (410, "sequence_archived")
                assert error["message"].startswith(
                    "records 1 to 20 are in archives: begin after 20"
                )
            page = reader.get("/v1/events", params={"after": 20}).json()
            assert [event["sequence"] for event in page["events"]][:2] == [21, 22]


def test_pages_of_events_are_complete_and_can_be_filtered(server: LiveServer) -> None:
    with client(server, "ingest") as venue:
        for name in ("joe", "kim", "joe"):
            venue.post("/v1/commands", json={"type": "define_account", "account": name})
    with client(server, "read") as reader:
        until = reader.get("/v1/status").json()["sequence"]
        rows, after = [], 0
        while after < until:
            page = reader.get("/v1/events", params={"after": after, "limit": 777}).json()
            rows += page["events"]
            after = page["next_after"]
        response = reader.get("/v1/events", params={"account": "joe", "after": until - 3}).json()
        accepted = {"type": "accepted", "after": until - 3}
        kinds = reader.get("/v1/events", params=accepted).json()
    assert [row["sequence"] for row in rows if row["index"] == 0] == list(range(1, after + 1))
    assert [row["sequence"] for row in response["events"]] == [until - 2, until]
    assert {row["event"]["type"] for row in kinds["events"]} == {"accepted"}


def test_a_socket_without_a_key_is_rejected(server: LiveServer) -> None:
    with pytest.raises(InvalidStatus) as rejected:
        connect(f"{server.ws}/v1/events/socket")
    assert rejected.value.response.status_code == 403


def test_streams_per_address_are_limited_and_released() -> None:
    config = msgspec.convert(
        {"journal": {"path": ":memory:"}, "listen": {"max_connections_per_ip": 2}}, Config
    )
    with live_server(config) as serving:
        add_role_keys(serving.service)
        with listen(serving), listen(serving):
            with client(serving, "read") as reader:
                rejected = reader.get("/v1/events/stream")
            assert rejected.status_code == 429
        with load(serving, each=1):
            assert len(events(serving, 1)) == 1, "places are released"


# --- slow readers ---

PLAIN = "GET /v1/events/stream?after=0 HTTP/1.1\r\nHost: x\r\n"
UPGRADE = PLAIN.replace("stream", "socket") + (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
LONG = msgspec.json.encode({"type": "set_marks", "marks": {"x" * 50_000: "1"}})
"""A rejected command, which is recorded with its long name."""
RECORDS = 200


def stuck_reader(server: LiveServer, request: str) -> socket.socket:
    """Return a connection that has requested the stream, with a small receive buffer."""
    host, port = server.url.removeprefix("http://").split(":")
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    reader.settimeout(TIMEOUT_S)
    reader.connect((host, int(port)))
    reader.sendall(f"{request}Authorization: {HEADERS['Authorization']}\r\n\r\n".encode())
    return reader


def drained(reader: socket.socket) -> int:
    """Return how many bytes are received until the server closes the connection."""
    total = 0
    with contextlib.suppress(ConnectionResetError):
        while part := reader.recv(1 << 16):
            total += len(part)
    return total


@pytest.mark.parametrize("request_text", [PLAIN, UPGRADE], ids=["events", "socket"])
def test_a_reader_that_does_not_read_is_dropped_without_delaying_others(request_text: str) -> None:
    """While one reader never reads, another one receives every record at once."""
    listening = ListenConfig(send_timeout_ms=500)
    with live_server(msgspec.structs.replace(CLOSED_CONFIG, listen=listening)) as serving:
        add_role_keys(serving.service)
        with (
            stuck_reader(serving, request_text) as stuck,
            listen(serving, "?after=0") as connection,
            client(serving, "ingest") as venue,
        ):
            for number in range(RECORDS):
                venue.post("/v1/commands", content=LONG)
                assert texts(connection, 1) == [number + 1]
            feed = serving.service.native.state.services.feed
            wait_until(lambda: sum(feed.open_streams.values()) == 1, "dropped")
            assert drained(stuck) < RECORDS * len(LONG), "it was dropped before the end"
            venue.post("/v1/commands", content=LONG)
            assert texts(connection, 1) == [RECORDS + 1]
