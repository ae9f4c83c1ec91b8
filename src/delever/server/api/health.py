"""Out: whether the server is well, and where its journal stands."""

from importlib.metadata import version

from litestar import Response, get

from delever.api_types.market import Health, Readiness, Status
from delever.server.api.authorization import reads_market
from delever.server.api.dependencies import PartsOf
from delever.server.api.errors import Fault, Problem


@get("/v1/health", tags=["service"])
async def health(parts: PartsOf) -> Response[Health]:
    """Answer 200 while the engine runs, 503 once an error has stopped it. Needs no key."""
    failed = parts.runner.failed
    told = Health(healthy=failed is None, failed=None if failed is None else type(failed).__name__)
    return Response(told, status_code=200 if failed is None else 503)


@get("/v1/ready", tags=["service"])
async def ready(parts: PartsOf) -> Response[Readiness]:
    """Answer 200 once everything is up and the history has caught up, else 503. Needs no key."""
    waits_for = parts.waits_for()
    told = Readiness(ready=waits_for is None, waits_for=waits_for)
    return Response(told, status_code=503 if waits_for else 200)


@get("/v1/status", guards=[reads_market], tags=["service"])
async def status(parts: PartsOf) -> Status:
    """Return where the journal stands, and how much waits for the engine."""
    runner = parts.runner
    head = await runner.look_up(lambda journal: journal.head())
    if head is None:
        message = "the journal has lost its head"
        raise Problem(500, Fault(reason="journal_cannot_be_read", message=message))
    return Status(
        sequence=head.sequence,
        head_hash=head.hash.hex(),
        time_ms=runner.board.time_ms,
        now_ms=runner.now_ms(),
        waiting=runner.waiting,
        accounts=runner.board.accounts,
        journal=str(runner.journal_path or ":memory:"),
        version=version("delever"),
    )


ROUTES = [health, ready, status]
