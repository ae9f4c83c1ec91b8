"""Routes out: health, readiness and status of the server."""

from importlib.metadata import version

from litestar import Response, get

from delever.api_types.market import Health, Readiness, Startup, Status
from delever.server.api.requests.authorization import reads_market
from delever.server.api.requests.dependencies import Services
from delever.server.api.requests.errors import ApiError, RequestError


@get("/v1/health", tags=["service"])
async def health(services: Services) -> Response[Health]:
    """Return 200 while the engine runs, 503 after an error has stopped it. Needs no key."""
    failed = services.runner.failed
    error = None if failed is None else type(failed).__name__
    body = Health(healthy=failed is None, failed=error)
    return Response(body, status_code=200 if failed is None else 503)


@get("/v1/ready", tags=["service"])
async def ready(services: Services) -> Response[Readiness]:
    """Return 200 once engine and history are ready, else 503. Needs no key."""
    waiting_for = services.waiting_for()
    body = Readiness(ready=waiting_for is None, waiting_for=waiting_for)
    return Response(body, status_code=503 if waiting_for else 200)


@get("/v1/startup", tags=["service"])
async def startup(services: Services) -> Response[Startup]:
    """Return 200 once the journal is replayed and commands are accepted. Needs no key.

    Before it, nothing of the server answers. The history may still be behind: see `/v1/ready`.
    """
    accepts = services.runner.failed is None
    body = Startup(started=accepts, sequence=services.runner.market_snapshot.sequence)
    return Response(body, status_code=200 if accepts else 503)


@get("/v1/status", guards=[reads_market], tags=["service"])
async def status(services: Services) -> Status:
    """Return the head of the journal, and the number of queued commands."""
    runner = services.runner
    head = await runner.look_up(lambda journal: journal.head())
    if head is None:
        message = "the journal has no head"
        raise RequestError(500, ApiError(reason="journal_unreadable", message=message))
    return Status(
        sequence=head.sequence,
        head_hash=head.hash.hex(),
        time_ms=runner.market_snapshot.time_ms,
        now_ms=runner.now_ms(),
        commands_queued=runner.queued,
        accounts=runner.market_snapshot.accounts,
        journal=str(runner.journal_path or ":memory:"),
        version=version("delever"),
    )


ROUTES = [health, ready, startup, status]
