"""The log as a NATS JetStream stream with three copies.

Messages are read by sequence (direct get), never by a consumer: nats-py's ordered consumer drops
messages silently when its reader is slow. Every answer is checked for holes. Pings are short, since
the client's own defaults leave a stopped broker after minutes.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError

from delever.replication.command_log import LogEnds, LogError, LogGap, LogMessage, LogUnavailable
from delever.replication.stream_check import (
    check_stream,
    check_version,
    stream_settings,
    subject_of,
)

if TYPE_CHECKING:
    from nats.aio.subscription import Subscription

REQUEST_TIMEOUT_S = 1.0
"""How long a request waits; a stopped broker is left after two pings."""

HEADER_BYTES = 1_024
"""Room for the headers of a message within the brokers' limit."""

PENDING_BYTES = 256 * 1024 * 1024
"""Answers of one read that may wait in the client."""

END_OF_BATCH = "204"
NOT_FOUND = "404"
STREAM_NOT_FOUND = 10_059
CONNECT_TIMEOUT_S = 30
"""How long a start waits for a broker, and for a leader: an election takes up to 9 seconds."""

RETRY_S = 0.1
"""Pause of a start before it asks again."""


class StreamAddress(NamedTuple):
    """The brokers and the name of a stream, one of each margin domain."""

    servers: tuple[str, ...]
    name: str


_ADDRESS = re.compile(r"nats://(?P<servers>[^/\s]+)/(?P<name>[A-Za-z0-9_-]{1,64})")


def parse_address(text: str) -> StreamAddress:
    """Return the address of a stream; raise ValueError for other text.

    >>> parse_address("nats://a,b:4223/venue")
    StreamAddress(servers=('nats://a', 'nats://b:4223'), name='venue')
    """
    found = _ADDRESS.fullmatch(text)
    servers = found["servers"].split(",") if found else []
    if found is None or not all(servers):
        raise ValueError(f"{text!r}: must be nats://BROKER,BROKER,BROKER/NAME")
    return StreamAddress(tuple(f"nats://{server}" for server in servers), found["name"])


class JetStreamLog:
    """A log of commands; `open` connects, and checks or creates the stream."""

    def __init__(self, address: StreamAddress, timeout_s: float) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self.max_body_bytes = 0
        self._subject = subject_of(address.name)
        self._client = Client()
        self._answers: Subscription | None = None
        self._inbox = ""
        self._read_number = 0
        self._reading = asyncio.Lock()

    @classmethod
    async def open(cls, address: StreamAddress, timeout_s: float = CONNECT_TIMEOUT_S) -> Self:
        """Return a log that may be used; raise LogError with the remedy where it may not."""
        log = cls(address, timeout_s)
        try:
            await log._connect()
        except BaseException:
            await log.close()
            raise
        return log

    async def _connect(self) -> None:
        self._client = await _connected(self.address.servers, self._timeout_s)
        found = self._client.connected_server_version
        version = f"{found.major}.{found.minor}.{found.patch}"
        check_version(_broker_of(self._client), version)
        self.max_body_bytes = self._client.max_payload - HEADER_BYTES
        check_stream(self.address.name, await self._settings_once_led())
        self._inbox = self._client.new_inbox()
        self._answers = await self._client.subscribe(
            f"{self._inbox}.*", pending_msgs_limit=-1, pending_bytes_limit=PENDING_BYTES
        )

    async def close(self) -> None:
        """Close the connection."""
        if self._client.is_connected or self._client.is_reconnecting:
            # uvloop raises RuntimeError for a last write to a connection that a broker has closed.
            with contextlib.suppress(NatsError, OSError, RuntimeError):
                await self._client.close()

    async def _settings_once_led(self) -> dict[str, Any]:
        """Return the stream's configuration; ask again while brokers elect a leader."""
        clock = asyncio.get_running_loop().time
        end_s = clock() + self._timeout_s
        while True:
            try:
                return await self._settings()
            except LogUnavailable:
                if clock() >= end_s:
                    raise
            await asyncio.sleep(RETRY_S)

    async def _settings(self) -> dict[str, Any]:
        """Return the stream's configuration; create the stream where there is none."""
        name = self.address.name
        answer = await self._api(f"STREAM.INFO.{name}", {})
        if answer.get("error", {}).get("err_code") == STREAM_NOT_FOUND:
            answer = await self._api(f"STREAM.CREATE.{name}", stream_settings(name))
        return dict(_value(answer, f"stream {name}")["config"])

    # --- the four methods ---

    async def append(self, message_id: str, body: bytes) -> int:
        """Append a message; return its sequence once a majority of brokers has it on disk."""
        headers = {"Nats-Msg-Id": message_id, "Nats-Expected-Stream": self.address.name}
        try:
            answer = await self._client.request(
                self._subject, body, timeout=REQUEST_TIMEOUT_S, headers=headers
            )
            found = json.loads(answer.data)
        except MaxPayloadError:
            raise LogError(
                f"a message of {len(body)} bytes: raise max_payload of the brokers"
            ) from None
        except (NatsError, TimeoutError, ValueError) as error:
            raise LogUnavailable(f"message {message_id}: {error!r}") from error
        if "seq" not in found:
            raise LogUnavailable(f"message {message_id}: {found.get('error')}")
        if found["seq"] == 0:  # a duplicate of a message that still waits for its majority
            raise LogUnavailable(f"message {message_id}: is not stored yet")
        return int(found["seq"])

    async def read(self, after: int, limit: int) -> Sequence[LogMessage]:
        """Return the next messages, in order and without a hole, from any of the brokers."""
        async with self._reading:
            try:
                return await self._read(after, limit)
            except (NatsError, TimeoutError) as error:
                raise LogUnavailable(f"reading message {after + 1}: {error!r}") from error

    async def _read(self, after: int, limit: int) -> list[LogMessage]:
        self._read_number += 1
        reply = f"{self._inbox}.{self._read_number}"
        request = {"seq": after + 1, "batch": limit, "next_by_subj": ">"}
        subject = f"$JS.API.DIRECT.GET.{self.address.name}"
        await self._client.publish(subject, json.dumps(request).encode(), reply=reply)
        found: list[LogMessage] = []
        while True:
            answer = await self._next_answer(reply)
            headers = answer.headers or {}
            status = headers.get("Status")
            if status in {END_OF_BATCH, NOT_FOUND}:
                return found
            if status is not None:
                raise LogUnavailable(f"status {status} {headers.get('Description', '')}")
            sequence, expected = int(headers["Nats-Sequence"]), after + len(found) + 1
            if sequence != expected:
                raise LogGap(expected, sequence)
            found.append(LogMessage(sequence, answer.data))

    async def _next_answer(self, reply: str) -> Msg:
        """Return the next answer to this read; those to an earlier one are dropped."""
        if self._answers is None:
            raise LogUnavailable("the log is not open")
        while True:
            answer = await self._answers.next_msg(REQUEST_TIMEOUT_S)
            if answer.subject == reply:
                return answer

    async def ends(self) -> LogEnds:
        """Return the first and last sequence, as the stream's leader has them."""
        name = self.address.name
        state = _value(await self._api(f"STREAM.INFO.{name}", {}), f"stream {name}")["state"]
        last = int(state["last_seq"])
        return LogEnds(int(state["first_seq"]) if state["messages"] else last + 1, last)

    async def truncate(self, before: int) -> None:
        """Delete the messages before a sequence."""
        name = self.address.name
        _value(await self._api(f"STREAM.PURGE.{name}", {"seq": before}), f"stream {name}")

    async def _api(self, name: str, request: dict[str, object]) -> dict[str, Any]:
        body = json.dumps(request).encode() if request else b""
        try:
            answer = await self._client.request(f"$JS.API.{name}", body, timeout=5)
        except (NatsError, TimeoutError) as error:
            raise LogUnavailable(f"{name}: no broker with JetStream answers: {error!r}") from error
        return dict(json.loads(answer.data))


def _value(answer: dict[str, Any], what: str) -> dict[str, Any]:
    """Return an answer of the API; raise LogUnavailable for one without a value."""
    if "error" in answer:
        raise LogUnavailable(f"{what}: {answer['error'].get('description')}")
    return answer


async def _connected(servers: Sequence[str], timeout_s: float) -> Client:
    """Return a client of the first server that answers; raise LogUnavailable for none."""
    client = Client()
    connect = client.connect(
        list(servers),
        dont_randomize=True,
        error_cb=_ignore,
        connect_timeout=1,
        ping_interval=1,
        max_outstanding_pings=2,
        reconnect_time_wait=0.1,  # type: ignore[arg-type] # a float is waited for as it is
        max_reconnect_attempts=-1,
        pending_size=PENDING_BYTES,
    )
    try:
        await asyncio.wait_for(connect, timeout_s)
    except (NatsError, OSError, TimeoutError) as error:
        await client.close()
        where = ", ".join(servers)
        raise LogUnavailable(f"no broker answers within {timeout_s} s: {where}") from error
    return client


def _broker_of(client: Client) -> str:
    url = client.connected_url
    return url.netloc if url else "unknown"


async def _ignore(_error: Exception) -> None:
    """Do nothing: each request reports its own error."""
