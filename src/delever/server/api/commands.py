"""In: one command, many, or a table of rows; answered when all of it is durable."""

import asyncio
from typing import Any

from litestar import Request, post

from delever.api_types.market import BulkAccepted, CommandAccepted, LineRefused
from delever.core.messages import Command, Rejected
from delever.lab.errors import in_words
from delever.server.api.authorization import check_command, status_of, submits
from delever.server.api.decoding import command_of, commands_of
from delever.server.api.dependencies import Parts, PartsOf
from delever.server.api.errors import Fault, Problem, malformed
from delever.server.api.name_validation import unfit_name
from delever.server.engine.service import BusyError, Committed, IdReusedError, Outcome

CHUNK = 1_000
"""Lines of a bulk that share one commit, so that others get their turn in between."""

WAIT_S = 0.05
"""How long a bulk that has begun waits before it asks a busy engine again."""

AHEAD_MS = 10_000
"""How far a command's time may be ahead of the server's clock: time that has come does not go."""

AnyRequest = Request[Any, Any, Any]


@post("/v1/commands", status_code=200, guards=[submits], tags=["commands"])
async def command(request: AnyRequest, parts: PartsOf) -> CommandAccepted:
    """Run one command; answered when it is durable, with all that followed.

    A command with an `id` runs once, however often it is sent. What the engine refuses is answered
    with 422, with its reason, field and value; it is recorded, too. An operator's command (such as
    fund_pool or move_contract) needs the role operate and a note.
    """
    asked = command_of(await request.body())
    fault = _fault(request, parts, asked)
    if fault is not None:
        raise Problem(status_of(fault), fault)
    outcome = await submitted(parts, asked)
    committed = outcome.committed
    return CommandAccepted(
        sequence=committed.sequence,
        time_ms=committed.time_ms,
        repeated=outcome.repeated,
        events=committed.events,  # type: ignore[arg-type]
    )


@post("/v1/commands/bulk", status_code=200, guards=[submits], tags=["commands"])
async def bulk(request: AnyRequest, parts: PartsOf) -> BulkAccepted:
    """Run many commands, one a line (NDJSON), in their order.

    A line that is no command, or that the key may not submit, is answered with an error that names
    it, and nothing is run. What the engine refuses is listed by line, and the others run.
    """
    body = await request.body()
    lines = await asyncio.to_thread(commands_of, body)
    for number, asked in lines:
        fault = _fault(request, parts, asked)
        if fault is not None:
            raise Problem(status_of(fault), _on_line(number, fault))
    outcomes: list[Outcome | IdReusedError] = []
    for begin in range(0, len(lines), CHUNK):
        chunk = [asked for _, asked in lines[begin : begin + CHUNK]]
        outcomes += await _run(parts, chunk, begun=begin > 0)
    return _summary(lines, outcomes)


async def submitted(parts: Parts, asked: Command) -> Outcome:
    """Return what came of a command; raises Problem where its id is reused, or it is rejected."""
    try:
        (outcome,) = await parts.runner.submit([asked])
    except ValueError as error:
        raise _unkept(error) from None
    if isinstance(outcome, IdReusedError):
        raise Problem(409, _reused(asked.id, outcome))
    rejected = refusal_of(outcome.committed)
    if rejected is not None:
        raise Problem(422, _refused(rejected, outcome.committed.sequence))
    return outcome


async def _run(
    parts: Parts, commands: list[Command], *, begun: bool
) -> list[Outcome | IdReusedError]:
    """Submit a chunk; once a bulk has begun, a busy engine is waited for."""
    while True:
        try:
            return await parts.runner.submit(commands)
        except BusyError:
            if not begun:
                raise
            await asyncio.sleep(WAIT_S)
        except ValueError as error:
            raise _unkept(error) from None


def _fault(request: AnyRequest, parts: Parts, asked: Command) -> Fault | None:
    """Return why a command is not for the engine, or None."""
    return check_command(request, asked) or unfit_name(asked) or _too_early(parts, asked)


def _too_early(parts: Parts, asked: Command) -> Fault | None:
    """Return why a command's time cannot be: everybody's time would stand still until then."""
    ahead_ms = asked.time_ms - parts.runner.now_ms()
    if ahead_ms <= AHEAD_MS:
        return None
    return Fault(
        reason="time_is_ahead",
        field="time_ms",
        value=str(asked.time_ms),
        message=f"time_ms is {ahead_ms} ms ahead of the server's clock; {AHEAD_MS} are allowed",
    )


def _unkept(error: ValueError) -> Problem:
    """Return the answer to a number that no journal can hold, by the journal's own words."""
    field = str(error).partition(" - at ")[2].strip("`").removeprefix("$.")
    return malformed(field, "", f"{field} is beyond 64 bits")


def refusal_of(committed: Committed) -> Rejected | None:
    """Return the refusal where a command was rejected."""
    first = committed.events[0]
    return first if isinstance(first, Rejected) else None


def _refused(rejected: Rejected, sequence: int) -> Fault:
    return Fault(
        reason=str(rejected.reason),
        field=rejected.field,
        value=rejected.value,
        message=f"{rejected.command}: {rejected.field} {rejected.value!r}: {in_words(rejected.reason)}",
        sequence=sequence,
    )


def _reused(command_id: str, error: IdReusedError) -> Fault:
    return Fault(
        reason="id_is_reused",
        field="id",
        value=command_id,
        message=str(error),
        sequence=error.sequence,
    )


def _on_line(number: int, fault: Fault) -> Fault:
    return Fault(
        reason=fault.reason,
        field=f"line {number}, {fault.field}",
        value=fault.value,
        message=f"line {number}: {fault.message}",
    )


def _summary(
    lines: list[tuple[int, Command]], outcomes: list[Outcome | IdReusedError]
) -> BulkAccepted:
    refusals = []
    sequences = []
    for (line, asked), outcome in zip(lines, outcomes, strict=True):
        if isinstance(outcome, IdReusedError):
            reused = LineRefused(line=line, reason="id_is_reused", field="id", value=asked.id)
            refusals.append(reused)
            continue
        sequences.append(outcome.committed.sequence)
        rejected = refusal_of(outcome.committed)
        if rejected is not None:
            reason, field, value = str(rejected.reason), rejected.field, rejected.value
            refusals.append(LineRefused(line=line, reason=reason, field=field, value=value))
    return BulkAccepted(
        accepted=len(outcomes) - len(refusals),
        rejected=len(refusals),
        first_sequence=min(sequences, default=0),
        last_sequence=max(sequences, default=0),
        refusals=tuple(refusals),
    )


ROUTES = [command, bulk]
