"""One error envelope for every response from 400 up: reason, field, value and a message."""

from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.constants import RESERVED_KWARGS
from litestar.exceptions import HTTPException, ValidationException
from sqlalchemy.exc import SQLAlchemyError

from delever.core.messages import Reason
from delever.formatting import humanize
from delever.journal import JournalError
from delever.server.engine.runner import BusyError, StoppedError

log = structlog.get_logger()

AnyRequest = Request[Any, Any, Any]


class ApiError(msgspec.Struct, frozen=True, kw_only=True):
    """An error: its reason as an identifier, the field with its value, and a message.

    `sequence` is the journal's record of a command that the engine rejected; 0 where nothing was
    recorded.
    """

    reason: str
    field: str = ""
    value: str = ""
    message: str = ""
    sequence: int = 0


class ErrorResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every response from 400 up."""

    error: ApiError


class RequestError(Exception):
    """A request whose response has a status from 400 up."""

    def __init__(self, status: int, error: ApiError, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status}: {error.message}")
        self.status = status
        self.error = error
        self.headers = headers or {}


def not_found(reason: Reason | str, field: str, value: object, message: str = "") -> RequestError:
    """Return the response to an unknown name."""
    text = message or f"{field} {str(value)!r}: {humanize(reason)}"
    return RequestError(
        404, ApiError(reason=str(reason), field=field, value=str(value), message=text)
    )


def invalid_request(field: str, value: object, message: str) -> RequestError:
    """Return the response to a request that cannot be read."""
    error = ApiError(reason="invalid_request", field=field, value=str(value), message=message)
    return RequestError(400, error)


async def check_encoding(request: AnyRequest) -> None:
    """Reject a compressed body, which the routes cannot read."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        message = f"content-encoding {encoding!r} is not supported: send the body uncompressed"
        error = ApiError(
            reason="invalid_request", field="content-encoding", value=encoding, message=message
        )
        raise RequestError(415, error)


def respond_to_request_error(_request: AnyRequest, error: RequestError) -> Response[ErrorResponse]:
    """Return the response of a RequestError."""
    return Response(
        ErrorResponse(error=error.error), status_code=error.status, headers=error.headers
    )


def respond_to_http_error(request: AnyRequest, error: HTTPException) -> Response[ErrorResponse]:
    """Return the response to an error that Litestar found: an unknown path, a wrong parameter."""
    found = _parameter_error(request, error) if isinstance(error, ValidationException) else None
    if found is None:
        reason = _REASONS.get(error.status_code, "invalid_request")
        found = ApiError(reason=reason, message=error.detail)
    headers = dict(error.headers or {})
    return Response(ErrorResponse(error=found), status_code=error.status_code, headers=headers)


def respond_to_unavailable(
    _request: AnyRequest, error: BusyError | StoppedError
) -> Response[ErrorResponse]:
    """Return the response while the engine accepts no commands."""
    reason = "engine_busy" if isinstance(error, BusyError) else "engine_stopped"
    return Response(
        ErrorResponse(error=ApiError(reason=reason, message=str(error))),
        status_code=503,
        headers={"Retry-After": "1"},
    )


def respond_to_database_error(
    request: AnyRequest, error: SQLAlchemyError
) -> Response[ErrorResponse]:
    """Return the response while the database of the history cannot be used, and log the error."""
    log.warning("history cannot be read", path=request.scope["path"], error=repr(error))
    message = "the history is not available; it is filled again once its database can be used"
    return Response(
        ErrorResponse(error=ApiError(reason="history_unavailable", message=message)),
        status_code=503,
        headers={"Retry-After": "5"},
    )


def respond_to_internal_error(request: AnyRequest, error: Exception) -> Response[ErrorResponse]:
    """Return the response to an error of the server itself, and log the error."""
    log.error("request failed", path=request.scope["path"], error=repr(error), exc_info=error)
    reason = "journal_unreadable" if isinstance(error, JournalError) else "internal_error"
    found = ApiError(reason=reason, message="an error of the server, which has been logged")
    return Response(ErrorResponse(error=found), status_code=500)


_REASONS = {
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    429: "too_many_requests",
}


def _parameter_error(request: AnyRequest, error: ValidationException) -> ApiError:
    """Return the error of an invalid parameter, with its value."""
    if not isinstance(error.extra, list) or not error.extra:
        field = _missing_parameter(request)
        message = f"the parameter {field!r} is missing" if field else error.detail
        return ApiError(reason="invalid_request", field=field, message=message)
    first = error.extra[0]
    field = str(first.get("key", ""))
    if field == "data":  # the name of the body in a handler's arguments
        return ApiError(reason="invalid_request", field="body", message="the body is missing")
    value = {**request.query_params, **request.path_params}.get(field, "")
    return ApiError(
        reason="invalid_request",
        field=field,
        value=str(value),
        message=str(first.get("message", error.detail)),
    )


def _missing_parameter(request: AnyRequest) -> str:
    """Return the first required parameter of the route that the request does not have, or ''."""
    handler = request.scope["route_handler"]
    given = {*request.query_params, *request.path_params}
    given |= {*handler.resolve_dependencies(), *RESERVED_KWARGS}
    parameters = handler.parsed_fn_signature.parameters.items()
    return next((name for name, field in parameters if field.is_required and name not in given), "")


HANDLERS: dict[int | type[Exception], Any] = {
    RequestError: respond_to_request_error,
    HTTPException: respond_to_http_error,
    BusyError: respond_to_unavailable,
    StoppedError: respond_to_unavailable,
    SQLAlchemyError: respond_to_database_error,
    Exception: respond_to_internal_error,
}
