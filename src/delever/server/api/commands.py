"""Routes in: one command or many; the response is sent when everything is durable."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import structlog
from litestar import Request, post

from delever.api_types.market import BulkResponse, CommandResponse, RejectedLine
from delever.core.messages import Command, DefineContract, PartRejected, Rejected, rejected_parts
from delever.formatting import rejection_text
from delever.server.api.requests.authorization import (
    authenticator_of,
    check_command,
    is_operators,
    status_of,
    submits,
)
from delever.server.api.requests.decoding import command_of, commands_of
from delever.server.api.requests.dependencies import ApiServices, Services
from delever.server.api.requests.errors import ApiError, RequestError, invalid_request
from delever.server.api.requests.name_validation import check_names
from delever.server.api.requests.operator_bounds import bound_error
from delever.server.engine.runner import BusyError, Committed, DuplicateIdError, Outcome
from delever.server.transport.asgi import Scope, address_of
from delever.server.venues.symbols import collision_of

log = structlog.get_logger()

CHUNK_LINES = 1_000
"""Lines of a bulk that share one commit, so that other requests run in between."""

BUSY_WAIT_S = 0.05
"""How long a bulk that has begun waits before it submits to a busy engine again."""

MAX_CLOCK_SKEW_MS = 10_000
"""How far a command's time may be ahead of the server's clock: time never runs backwards."""

MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1
"""The integers that a journal can store."""

AnyRequest = Request[Any, Any, Any]


@post("/v1/commands", status_code=200, guards=[submits], tags=["commands"])
async def command(request: AnyRequest, services: Services) -> CommandResponse:
    """Run one command; return its events once it is durable.

    A command with an `id` runs once, however often it is sent. A command that the engine rejects is
    recorded, and the response is 422 with its reason, field and value. An operator's command (such
    as fund_pool or move_contract) needs the role operate and a note.
    """
    submitted = command_of(await request.body())
    error = _error(request, services, submitted)
    if error is not None:
        raise RequestError(status_of(error), error)
    outcome = await submit_one(request, services, submitted)
    committed = outcome.committed
    return CommandResponse(
        sequence=committed.sequence,
        time_ms=committed.time_ms,
        repeated=outcome.repeated,
        events=committed.events,  # type: ignore[arg-type]
    )


@post("/v1/commands/bulk", status_code=200, guards=[submits], tags=["commands"])
async def bulk(request: AnyRequest, services: Services) -> BulkResponse:
    """Run many commands, one per line (NDJSON), in their order.

    If a line is not a command, or the key may not submit it, the response is an error that names
    the line, and nothing is run. Lines that the engine rejects are listed, and the others run.
    """
    body = await request.body()
    lines = await asyncio.to_thread(commands_of, body)
    defined: list[DefineContract] = []
    for number, submitted in lines:
        error = _error(request, services, submitted, defined)
        if isinstance(submitted, DefineContract):
            defined.append(submitted)
        if error is not None:
            raise RequestError(status_of(error), _on_line(number, error))
    outcomes: list[Outcome | DuplicateIdError] = []
    for begin in range(0, len(lines), CHUNK_LINES):
        chunk = [submitted for _, submitted in lines[begin : begin + CHUNK_LINES]]
        outcomes += await _submit_chunk(request, services, chunk, begun=begin > 0)
    return _summary(lines, outcomes)


async def submit_one(request: AnyRequest, services: ApiServices, submitted: Command) -> Outcome:
    """Return the outcome of a command; raise RequestError where it is rejected or its id taken."""
    try:
        (outcome,) = await _submit(request, services, [submitted])
    except ValueError:
        raise _not_storable([submitted]) from None
    if isinstance(outcome, DuplicateIdError):
        raise RequestError(409, _duplicate_id(submitted.id, outcome))
    rejected = rejection_of(outcome.committed)
    if rejected is not None:
        raise RequestError(422, _rejection(rejected, outcome.committed.sequence))
    return outcome


async def _submit(
    request: AnyRequest, services: ApiServices, commands: list[Command]
) -> list[Outcome | DuplicateIdError]:
    """Submit commands in the name of the request's key; log those of operators."""
    key = authenticator_of(request).key(request)
    name, scope = key.public_name if key else "", cast("Scope", request.scope)
    for submitted in filter(is_operators, commands):
        log.info(
            "an operator's command",
            by=name,
            address=address_of(scope, trust_forwarded=services.config.listen.trust_forwarded),
            command=submitted.__struct_config__.tag,
            id=submitted.id,
            note=getattr(submitted, "note", ""),
        )
    return await services.runner.submit(commands, name)


async def _submit_chunk(
    request: AnyRequest, services: ApiServices, commands: list[Command], *, begun: bool
) -> list[Outcome | DuplicateIdError]:
    """Submit a chunk; once a bulk has begun, wait while the engine is busy."""
    while True:
        try:
            return await _submit(request, services, commands)
        except BusyError:
            if not begun:
                raise
            await asyncio.sleep(BUSY_WAIT_S)
        except ValueError:
            raise _not_storable(commands) from None


def _error(
    request: AnyRequest,
    services: ApiServices,
    submitted: Command,
    before: Sequence[DefineContract] = (),
) -> ApiError | None:
    """Return why a command is not submitted to the engine, or None.

    `before` are the contracts that the same request defines before it.
    """
    return (
        check_command(request, submitted)
        or check_names(submitted)
        or bound_error(submitted, services.runner.market_snapshot, services.config.operators)
        or _time_error(services, submitted)
        or _symbol_error(services, submitted, before)
    )


def _symbol_error(
    services: ApiServices, submitted: Command, before: Sequence[DefineContract]
) -> ApiError | None:
    """Return the error of a contract that has the symbol of another one at a venue."""
    if not isinstance(submitted, DefineContract):
        return None
    listed = services.runner.market_snapshot.contracts.values()
    others = [*(contract.definition for contract in listed), *before]
    found = collision_of(submitted, others, services.config.contracts)
    if found is None:
        return None
    name = submitted.contract
    return ApiError(
        reason="symbol_not_unique",
        field="contract",
        value=name,
        message=f"its symbol at {found.venue}, {found.symbol}, is that of contract "
        f"{found.contract!r}: set another in the configuration, [contracts.{name}] {found.venue}",
    )


def _time_error(services: ApiServices, submitted: Command) -> ApiError | None:
    """Return the error of a time in the future: time would stand still until then."""
    ahead_ms = submitted.time_ms - services.runner.now_ms()
    if ahead_ms <= MAX_CLOCK_SKEW_MS:
        return None
    return ApiError(
        reason="time_in_future",
        field="time_ms",
        value=str(submitted.time_ms),
        message=f"time_ms is {ahead_ms} ms ahead of the server's clock; "
        f"{MAX_CLOCK_SKEW_MS} ms are allowed",
    )


def _not_storable(commands: list[Command]) -> RequestError:
    """Return the response to a number that a journal cannot store."""
    fields = (_large_integer(msgspec.to_builtins(submitted), "") for submitted in commands)
    field = next(filter(None, fields), "")
    return invalid_request(field, "", f"{field} is beyond 64 bits")


def _large_integer(value: Any, path: str) -> str:
    """Return the path of the first integer beyond 64 bits, or an empty text."""
    match value:
        case bool():
            return ""
        case int():
            return "" if MIN_INTEGER <= value <= MAX_INTEGER else path
        case dict():
            items = [
                (f"{path}.{name}" if path else str(name), item) for name, item in value.items()
            ]
        case list() | tuple():
            items = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
        case _:
            return ""
    return next(filter(None, (_large_integer(item, where) for where, item in items)), "")


def rejection_of(committed: Committed) -> Rejected | None:
    """Return the rejection of a command, or None where it was accepted."""
    first = committed.events[0]
    return first if isinstance(first, Rejected) else None


def _rejection(rejected: Rejected, sequence: int) -> ApiError:
    field = f"{rejected.field} {rejected.value!r}"
    return ApiError(
        reason=str(rejected.reason),
        field=rejected.field,
        value=rejected.value,
        message=f"{rejected.command}: {field}: {rejection_text(rejected.reason)}",
        sequence=sequence,
    )


def _duplicate_id(command_id: str, error: DuplicateIdError) -> ApiError:
    return ApiError(
        reason="duplicate_id",
        field="id",
        value=command_id,
        message=str(error),
        sequence=error.sequence,
    )


def _on_line(number: int, error: ApiError) -> ApiError:
    return ApiError(
        reason=error.reason,
        field=f"line {number}, {error.field}",
        value=error.value,
        message=f"line {number}: {error.message}",
    )


def _summary(
    lines: list[tuple[int, Command]], outcomes: list[Outcome | DuplicateIdError]
) -> BulkResponse:
    rejections, partial = [], []
    sequences = []
    for (line, submitted), outcome in zip(lines, outcomes, strict=True):
        if isinstance(outcome, DuplicateIdError):
            rejections.append(
                RejectedLine(line=line, reason="duplicate_id", field="id", value=submitted.id)
            )
            continue
        sequences.append(outcome.committed.sequence)
        rejected = rejection_of(outcome.committed)
        if rejected is not None:
            rejections.append(rejected_line(line, rejected))
        partial += [
            rejected_line(line, event) for event in rejected_parts(outcome.committed.events)
        ]
    return BulkResponse(
        accepted=len(outcomes) - len(rejections),
        rejected=len(rejections),
        first_sequence=min(sequences, default=0),
        last_sequence=max(sequences, default=0),
        rejections=tuple(rejections),
        partial_rejections=tuple(partial),
    )


def rejected_line(line: int, rejected: Rejected | PartRejected) -> RejectedLine:
    """Return the rejection of a command, a mark or a row in a line."""
    reason, field, value = str(rejected.reason), rejected.field, rejected.value
    return RejectedLine(line=line, reason=reason, field=field, value=value)


ROUTES = [command, bulk]
