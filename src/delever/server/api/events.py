"""Out: what the journal holds, page by page, and as it happens."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import Annotated, Any, get_args

import numpy as np
from litestar import asgi, get
from litestar.connection import ASGIConnection
from litestar.params import FromQuery, QueryParameter

from delever.api_types.market import EventPage, EventShown
from delever.core.messages import AnyEvent, Event
from delever.server.api.authorization import (
    Connection,
    check_sees,
    reads_everything,
    reads_masked,
    sight_of,
)
from delever.server.api.dependencies import Parts, PartsOf
from delever.server.api.errors import Fault, Problem, malformed
from delever.server.api.event_stream import Choice
from delever.server.api.masking import PUBLIC
from delever.server.engine.service import Committed
from delever.server.transport.asgi import Receive, Scope, Send, address_of
from delever.server.transport.websockets import POLICY, ClosedError, Socket

PAGE = 1_000
"""Records that one page looks at, at the most."""

IDLE_S = 15.0
"""A stream on which nothing happens says so this often, so that proxies keep it open."""

TAGS = {str(kind.__struct_config__.tag) for kind in get_args(AnyEvent)}

Limit = Annotated[int, QueryParameter(ge=1, le=PAGE)]
After = Annotated[int, QueryParameter(ge=0, le=2**53)]
Type = Annotated[str | None, QueryParameter(name="type")]


@get("/v1/events", guards=[reads_everything], tags=["events"])
async def events(
    parts: PartsOf,
    kind: Type = None,
    contract: FromQuery[str | None] = None,
    account: FromQuery[str | None] = None,
    after: After = 0,
    limit: Limit = PAGE,
) -> EventPage:
    """Return the events of at most `limit` records after a sequence, of a type, contract, account.

    A page may be empty although more follows: go on from `next_after` until it stays the same.
    """
    if kind is not None and kind not in TAGS:
        raise malformed("type", kind, f"there is no event {kind!r}")
    await _check_reached(parts, after)
    records = await parts.runner.records(after, limit)
    number = None
    if account is not None:
        number = await parts.runner.read(lambda book: book.accounts.index.get(account))
    return EventPage(
        events=tuple(
            EventShown(sequence=each.sequence, time_ms=each.time_ms, index=index, event=event)  # type: ignore[arg-type]
            for each in records
            for index, event in _chosen(each, kind)
            if (contract is None or contract in names_of(event, _CONTRACTS))
            and (account is None or _is_of(account, number, event))
        ),
        next_after=records[-1].sequence if records else after,
    )


def _chosen(committed: Committed, kind: str | None) -> Iterator[tuple[int, Event]]:
    for index, event in enumerate(committed.events):
        if kind in {None, event.__struct_config__.tag}:
            yield index, event


def _is_of(account: str, number: int | None, event: Event) -> bool:
    """Whether an event is about an account: it says its name, or a column holds its number."""
    column = getattr(event, "account", None)
    if isinstance(column, bytes):
        return number is not None and number in np.frombuffer(column, "<i4")
    return account in names_of(event, _ACCOUNTS)


_CONTRACTS = ("contract", "contracts", "definition", "fill", "ratings", "tables")
_ACCOUNTS = ("account", "accounts", "liquidated_account", "fill")


def names_of(event: Any, fields: tuple[str, ...]) -> Iterator[str]:
    """Yield the contracts or accounts that an event is about; events inside events count."""
    for field in fields:
        told = getattr(event, field, None)
        for each in told if isinstance(told, tuple) else (told,):
            if isinstance(each, str):
                yield each
            elif each is not None and not isinstance(each, int):
                yield from names_of(each, fields)


# --- as they happen ---


@asgi("/v1/events/stream", guards=[reads_masked], copy_scope=False)
async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Send every record as a Server-Sent Event; its id is the sequence, for Last-Event-ID."""
    parts, after, choice = await _begin(scope)
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    with _seat(parts, scope):
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        pouring = asyncio.create_task(_pour_events(parts, after, choice, send))
        gone = asyncio.create_task(_gone(receive))
        await _first_of(pouring, gone)


@asgi("/v1/events/socket", guards=[reads_masked], copy_scope=False)
async def socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Send every record as a text message of a WebSocket, from a sequence on."""
    parts, after, choice = await _begin(scope)
    connection = Socket(scope, receive, send, _address(parts, scope))
    with contextlib.suppress(ClosedError):
        await connection.accept()
        with _seat(parts, scope):
            pouring = asyncio.create_task(_pour_texts(parts, after, choice, connection))
            gone = asyncio.create_task(_closed(connection))
            await _first_of(pouring, gone)


async def _begin(scope: Scope) -> tuple[Parts, int, Choice]:
    """Return the parts, after which sequence to begin (from now on, if not said), and with what."""
    connection = ASGIConnection[Any, Any, Any, Any](scope)  # type: ignore[arg-type]
    parts: Parts = connection.app.state.parts
    choice = _choice(connection)
    asked = connection.headers.get("last-event-id") or connection.query_params.get("after")
    if asked is None:
        return parts, await parts.runner.read(lambda book: book.sequence), choice
    if not (asked.isascii() and asked.isdigit() and len(asked) <= 16):
        raise malformed("after", asked, "after must be a sequence: an integer from 0")
    await _check_reached(parts, int(asked))
    return parts, int(asked), choice


async def _check_reached(parts: Parts, after: int) -> None:
    """Refuse a reader of another journal: of an older copy, it would miss what comes next."""
    if after <= parts.runner.board.sequence:
        return
    head = await parts.runner.look_up(lambda journal: journal.head())
    ends = head.sequence if head else 0
    if after > ends:
        message = f"this journal ends at {ends}: it is not the one that was read up to {after}"
        fault = Fault(reason="sequence_is_ahead", field="after", value=str(after), message=message)
        raise Problem(409, fault)


def _choice(connection: Connection) -> Choice:
    """Return what is told: all, or the types asked for; without the role read only public ones."""
    asked: str | None = connection.query_params.get("types")
    types = None if asked is None else frozenset(asked.split(","))
    sight = sight_of(connection)
    if not sight.everybody and (types is None or not types <= PUBLIC):
        check_sees(connection, None)
    if types is not None and (strange := sorted(types - TAGS)):
        raise malformed("types", strange[0], f"there is no event {strange[0]!r}")
    return Choice(types, sight)


async def _pour_events(parts: Parts, after: int, choice: Choice, send: Send) -> None:
    async for sequence, record in _records(parts, after, choice):
        data = b"data: %b\n" % record if record else b": nothing new\n"
        text = b"id: %d\n%b\n" % (sequence, data)
        message = {"type": "http.response.body", "body": text, "more_body": True}
        try:
            await asyncio.wait_for(send(message), parts.patience_s)
        except TimeoutError:
            return
    await send({"type": "http.response.body", "body": b""})


async def _pour_texts(parts: Parts, after: int, choice: Choice, connection: Socket) -> None:
    async for _, record in _records(parts, after, choice):
        if record:
            connection.offer(record.decode())
        try:
            await asyncio.wait_for(connection.drain(), parts.patience_s)
        except TimeoutError:
            connection.close(POLICY, "too slow")
            return


async def _records(
    parts: Parts, after: int, choice: Choice
) -> AsyncGenerator[tuple[int, bytes], None]:
    records = parts.feed.after(after, IDLE_S, choice)
    async with contextlib.aclosing(records):
        async for each in records:
            yield each


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _closed(connection: Socket) -> None:
    with contextlib.suppress(ClosedError):
        while True:
            await connection.receive()


async def _first_of(*tasks: "asyncio.Task[None]") -> None:
    """Wait for the first task to end, and end the others; its error is raised."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _address(parts: Parts, scope: Scope) -> str:
    return address_of(scope, trust_forwarded=parts.config.listen.trust_forwarded)


@contextlib.contextmanager
def _seat(parts: Parts, scope: Scope) -> Iterator[None]:
    """Hold one of the streams that an address may hold; Problem where it holds all."""
    address, held = _address(parts, scope), parts.feed.held
    if held[address] >= parts.config.listen.max_connections_per_ip:
        message = "too many streams from this address"
        raise Problem(429, Fault(reason="too_many_requests", value=address, message=message))
    held[address] += 1
    try:
        yield
    finally:
        held[address] -= 1
        if not held[address]:
            del held[address]


ROUTES = [events, stream, socket]
