"""One envelope for everything that goes wrong: reason, field, value, and a sentence."""

import re
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from delever.core.messages import Reason
from delever.journal import JournalError
from delever.lab.errors import in_words
from delever.server.engine.service import BusyError, StoppedError

log = structlog.get_logger()

AnyRequest = Request[Any, Any, Any]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong: a reason as a word, the field and what stood there, and a sentence.

    `sequence` is the journal's record of a command that the engine has rejected; 0 where nothing
    was recorded.
    """

    reason: str
    field: str = ""
    value: str = ""
    message: str = ""
    sequence: int = 0


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer that is not a success."""

    error: Fault


class Problem(Exception):  # noqa: N818 - not an error of the server: an answer that says no
    """A request that is answered with a status from 400 up."""

    def __init__(self, status: int, fault: Fault, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status}: {fault.message}")
        self.status = status
        self.fault = fault
        self.headers = headers or {}


def unknown(reason: Reason | str, field: str, value: object, message: str = "") -> Problem:
    """Return the answer to a name that is not there."""
    told = message or f"{field} {str(value)!r}: {in_words(reason)}"
    return Problem(404, Fault(reason=str(reason), field=field, value=str(value), message=told))


def malformed(field: str, value: object, message: str) -> Problem:
    """Return the answer to a request that cannot be read."""
    fault = Fault(reason="request_is_malformed", field=field, value=str(value), message=message)
    return Problem(400, fault)


async def check_encoding(request: AnyRequest) -> None:
    """Refuse a body that was packed: no route would know it from one that is malformed."""
    packed = request.headers.get("content-encoding", "identity")
    if packed != "identity":
        message = f"content-encoding {packed!r} is not understood: send the body as it is"
        fault = Fault(
            reason="request_is_malformed", field="content-encoding", value=packed, message=message
        )
        raise Problem(415, fault)


def answer_problem(_request: AnyRequest, problem: Problem) -> Response[Failure]:
    """Answer with what a handler has found."""
    return Response(
        Failure(error=problem.fault), status_code=problem.status, headers=problem.headers
    )


def answer_http(request: AnyRequest, error: HTTPException) -> Response[Failure]:
    """Answer what Litestar refuses by itself: an unknown path, a parameter of the wrong kind."""
    fault = _parameter(request, error) if isinstance(error, ValidationException) else None
    if fault is None:
        reason = _REASONS.get(error.status_code, "request_is_malformed")
        fault = Fault(reason=reason, message=error.detail)
    headers = dict(error.headers or {})
    return Response(Failure(error=fault), status_code=error.status_code, headers=headers)


def answer_busy(_request: AnyRequest, error: BusyError | StoppedError) -> Response[Failure]:
    """Answer that the engine takes nothing now."""
    reason = "engine_is_busy" if isinstance(error, BusyError) else "engine_has_stopped"
    return Response(
        Failure(error=Fault(reason=reason, message=str(error))),
        status_code=503,
        headers={"Retry-After": "1"},
    )


def answer_unforeseen(request: AnyRequest, error: Exception) -> Response[Failure]:
    """Answer what should not have happened; the log has the rest."""
    log.error("request failed", path=request.scope["path"], error=repr(error), exc_info=error)
    reason = "journal_cannot_be_read" if isinstance(error, JournalError) else "server_has_failed"
    fault = Fault(reason=reason, message="this is the server's fault, and is logged")
    return Response(Failure(error=fault), status_code=500)


_REASONS = {
    404: "path_is_unknown",
    405: "method_is_not_allowed",
    413: "body_is_too_large",
    429: "too_many_requests",
}


def _parameter(request: AnyRequest, error: ValidationException) -> Fault:
    """Return which parameter is wrong, and what stood there."""
    missing = re.search(r"parameter '?(\w+)'?", error.detail)
    if not isinstance(error.extra, list) or not error.extra:
        field = missing[1] if missing else ""
        return Fault(reason="request_is_malformed", field=field, message=error.detail)
    first = error.extra[0]
    field = str(first.get("key", ""))
    if field == "data":  # a handler's own word for the body
        return Fault(reason="request_is_malformed", field="body", message="the body is missing")
    given = {**request.query_params, **request.path_params}.get(field, "")
    return Fault(
        reason="request_is_malformed",
        field=field,
        value=str(given),
        message=str(first.get("message", error.detail)),
    )


HANDLERS: dict[int | type[Exception], Any] = {
    Problem: answer_problem,
    HTTPException: answer_http,
    BusyError: answer_busy,
    StoppedError: answer_busy,
    Exception: answer_unforeseen,
}
