"""Routes out: the events of the journal, page by page or as a stream."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import Annotated, Any, get_args

import numpy as np
from litestar import asgi, get
from litestar.connection import ASGIConnection
from litestar.params import FromQuery, QueryParameter

from delever.api_types.market import EventPage, EventResponse
from delever.core.messages import AnyEvent, Event
from delever.journal.snapshot import encode_book
from delever.server.api.event_stream import StreamFilter
from delever.server.api.requests.authorization import (
    Connection,
    check_can_read,
    masking_of,
    reads_everything,
    reads_masked,
)
from delever.server.api.requests.dependencies import ApiServices, Services
from delever.server.api.requests.errors import ApiError, RequestError, invalid_request
from delever.server.api.requests.masking import PUBLIC_EVENTS
from delever.server.engine.runner import Committed
from delever.server.transport.asgi import Receive, Scope, Send, address_of
from delever.server.transport.websockets import POLICY, ClosedError, Socket

MAX_RECORDS = 1_000
"""Records that one page reads at most."""

IDLE_S = 15.0
"""Interval of the comments on an idle stream, so that proxies keep it open."""

EVENT_TYPES = {str(kind.__struct_config__.tag) for kind in get_args(AnyEvent)}

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_RECORDS)]
After = Annotated[int, QueryParameter(ge=0, le=2**53)]
Type = Annotated[str | None, QueryParameter(name="type")]


@get("/v1/book", guards=[reads_everything], tags=["events"], media_type="application/octet-stream")
async def book(services: Services) -> bytes:
    """Return the whole book in the format of the journal's snapshots (msgpack).

    `delever lab allocate --server` makes its plans from it.
    """
    return await services.runner.read(encode_book)


@get("/v1/events", guards=[reads_everything], tags=["events"])
async def events(
    services: Services,
    kind: Type = None,
    contract: FromQuery[str | None] = None,
    account: FromQuery[str | None] = None,
    after: After = 0,
    limit: Limit = MAX_RECORDS,
) -> EventPage:
    """Return the events of up to `limit` records after a sequence, by type, contract and account.

    A page may be empty although more events follow: continue from `next_after` until it no longer
    changes.
    """
    if kind is not None and kind not in EVENT_TYPES:
        raise invalid_request("type", kind, f"there is no event {kind!r}")
    await _check_reached(services, after)
    records = await services.runner.records(after, limit)
    index = None
    if account is not None:
        index = await services.runner.read(lambda book: book.accounts.index.get(account))
    return EventPage(
        events=tuple(
            EventResponse(
                sequence=committed.sequence,
                time_ms=committed.time_ms,
                index=event_index,
                event=event,  # type: ignore[arg-type]
            )
            for committed in records
            for event_index, event in _of_type(committed, kind)
            if (contract is None or contract in names_of(event, _CONTRACT_FIELDS))
            and (account is None or _concerns(event, account, index))
        ),
        next_after=records[-1].sequence if records else after,
    )


def _of_type(committed: Committed, kind: str | None) -> Iterator[tuple[int, Event]]:
    for index, event in enumerate(committed.events):
        if kind in {None, event.__struct_config__.tag}:
            yield index, event


def _concerns(event: Event, account: str, index: int | None) -> bool:
    """Whether an event concerns an account, by its name or by its index in a column."""
    column = getattr(event, "account", None)
    if isinstance(column, bytes):
        return index is not None and index in np.frombuffer(column, "<i4")
    return account in names_of(event, _ACCOUNT_FIELDS)


_CONTRACT_FIELDS = ("contract", "contracts", "definition", "fill", "ratings", "tables")
_ACCOUNT_FIELDS = ("account", "accounts", "liquidated_account", "fill")


def names_of(event: Any, fields: tuple[str, ...]) -> Iterator[str]:
    """Yield the contracts or accounts in these fields of an event, and of events inside it."""
    for field in fields:
        value = getattr(event, field, None)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, str):
                yield item
            elif item is not None and not isinstance(item, int):
                yield from names_of(item, fields)


# --- streams ---


@asgi("/v1/events/stream", guards=[reads_masked], copy_scope=False)
async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Send every record as a Server-Sent Event, with its sequence as id for Last-Event-ID."""
    services, after, stream_filter = await _begin(scope)
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    with _counted(services, scope):
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        sending = asyncio.create_task(_send_events(services, after, stream_filter, send))
        closing = asyncio.create_task(_disconnected(receive))
        await _first_of(sending, closing)


@asgi("/v1/events/socket", guards=[reads_masked], copy_scope=False)
async def socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Send every record after a sequence as a text message of a WebSocket."""
    services, after, stream_filter = await _begin(scope)
    connection = Socket(scope, receive, send, _address(services, scope))
    with contextlib.suppress(ClosedError):
        await connection.accept()
        with _counted(services, scope):
            sending = asyncio.create_task(_send_texts(services, after, stream_filter, connection))
            closing = asyncio.create_task(_closed(connection))
            await _first_of(sending, closing)


async def _begin(scope: Scope) -> tuple[ApiServices, int, StreamFilter]:
    """Return the services, the sequence to begin after (default: the newest), and the filter."""
    connection = ASGIConnection[Any, Any, Any, Any](scope)  # type: ignore[arg-type]
    services: ApiServices = connection.app.state.services
    stream_filter = _stream_filter(connection)
    after = connection.headers.get("last-event-id") or connection.query_params.get("after")
    if after is None:
        return services, await services.runner.read(lambda book: book.sequence), stream_filter
    if not (after.isascii() and after.isdigit() and len(after) <= 16):
        raise invalid_request("after", after, "after must be a sequence: an integer from 0")
    await _check_reached(services, int(after))
    return services, int(after), stream_filter


async def _check_reached(services: ApiServices, after: int) -> None:
    """Raise RequestError for a sequence before the journal's records, or beyond them.

    Beyond them the reader has read another journal.
    """
    if after < (base := services.runner.base_sequence):
        message = f"records 1 to {base} are in archives: begin after {base}, or ask the operator"
        fault = ApiError(
            reason="sequence_archived", field="after", value=str(after), message=message
        )
        raise RequestError(410, fault)
    if after <= services.runner.market_snapshot.sequence:
        return
    head = await services.runner.look_up(lambda journal: journal.head())
    ends = head.sequence if head else 0
    if after > ends:
        message = f"this journal ends at {ends}: the reader has read another one"
        fault = ApiError(
            reason="sequence_beyond_journal", field="after", value=str(after), message=message
        )
        raise RequestError(409, fault)


def _stream_filter(connection: Connection) -> StreamFilter:
    """Return the filter of the requested types; without the role read only public types."""
    requested: str | None = connection.query_params.get("types")
    types = None if requested is None else frozenset(requested.split(","))
    masking = masking_of(connection)
    if not masking.sees_all and (types is None or not types <= PUBLIC_EVENTS):
        check_can_read(connection, None)
    if types is not None and (unknown := sorted(types - EVENT_TYPES)):
        raise invalid_request("types", unknown[0], f"there is no event {unknown[0]!r}")
    return StreamFilter(types, masking)


async def _send_events(
    services: ApiServices, after: int, stream_filter: StreamFilter, send: Send
) -> None:
    async for sequence, record in _records(services, after, stream_filter):
        data = b"data: %b\n" % record if record else b": idle\n"
        text = b"id: %d\n%b\n" % (sequence, data)
        message = {"type": "http.response.body", "body": text, "more_body": True}
        try:
            await asyncio.wait_for(send(message), services.send_timeout_s)
        except TimeoutError:
            return
    await send({"type": "http.response.body", "body": b""})


async def _send_texts(
    services: ApiServices, after: int, stream_filter: StreamFilter, connection: Socket
) -> None:
    async for _, record in _records(services, after, stream_filter):
        if record:
            connection.offer(record.decode())
        try:
            await asyncio.wait_for(connection.drain(), services.send_timeout_s)
        except TimeoutError:
            connection.close(POLICY, "too slow")
            return


async def _records(
    services: ApiServices, after: int, stream_filter: StreamFilter
) -> AsyncGenerator[tuple[int, bytes], None]:
    records = services.feed.after(after, IDLE_S, stream_filter)
    async with contextlib.aclosing(records):
        async for record in records:
            yield record


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _closed(connection: Socket) -> None:
    with contextlib.suppress(ClosedError):
        while True:
            await connection.receive()


async def _first_of(*tasks: "asyncio.Task[None]") -> None:
    """Wait until one task ends and cancel the others; raise the error of the one that ended."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _address(services: ApiServices, scope: Scope) -> str:
    return address_of(scope, trust_forwarded=services.config.listen.trust_forwarded)


@contextlib.contextmanager
def _counted(services: ApiServices, scope: Scope) -> Iterator[None]:
    """Count an open stream of an address; raise RequestError where it has too many."""
    address, counts = _address(services, scope), services.feed.open_streams
    if counts[address] >= services.config.listen.max_connections_per_ip:
        message = "too many streams from this address"
        raise RequestError(
            429, ApiError(reason="too_many_requests", value=address, message=message)
        )
    counts[address] += 1
    try:
        yield
    finally:
        counts[address] -= 1
        if not counts[address]:
            del counts[address]


ROUTES = [book, events, stream, socket]
