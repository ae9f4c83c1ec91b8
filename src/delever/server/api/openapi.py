"""The OpenAPI document of all this.

Litestar writes paths and parameters; the types are written by msgspec, which also decodes them, so
that the document says what is really taken. Bodies that the routes read by themselves, streams and
errors are added here.
"""

from importlib.metadata import version
from typing import Any, get_args

import msgspec
from litestar.connection import Request
from litestar.enums import OpenAPIMediaType
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin

from delever.api_types import accounts as native_accounts
from delever.api_types import history as native_past
from delever.api_types import market as native
from delever.core.messages import AnyCommand, AnyEvent
from delever.server.api.accounts import Question
from delever.server.api.errors import Failure
from delever.server.api.explorer import page

Document = dict[str, Any]
AnyRequest = Request[Any, Any, Any]

REF = "#/components/schemas/{name}"

COMMAND: Document = {"oneOf": [{"$ref": REF.format(name=c.__name__)} for c in get_args(AnyCommand)]}

ARROW: Document = {
    "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}}
}

BODIES: dict[str, Document] = {
    "/v1/commands": {"application/json": {"schema": COMMAND}},
    "/v1/commands/bulk": {
        "application/x-ndjson": {
            "schema": {"type": "string", "description": "One command as JSON a line."}
        }
    },
    "/v1/positions/arrow": ARROW,
    "/v1/balances/arrow": ARROW,
}
"""Bodies that routes read by themselves."""

NEEDS_NO_KEY = {"/v1/health", "/v1/ready", "/metrics"}
REFUSES = {
    "/v1/commands": ("409", "422"),
    "/v1/positions/arrow": ("409", "422"),
    "/v1/balances/arrow": ("409", "422"),
    "/v1/accounts/{account}/what-if": ("422",),
    "/v1/events": ("409",),
}

FAILURES = {
    "400": "The request cannot be read; field and value say what is wrong.",
    "401": "No key was sent, or it is none of this server.",
    "403": "The key lacks the role, or does not see the account.",
    "404": "A name is not known.",
    "409": "The command's id belongs to another command, or the journal ends before `after`.",
    "413": "The body is larger than the server takes.",
    "415": "The body is packed (gzip or the like).",
    "422": "Rejected: reason, field and value say why.",
    "429": "Too many streams from this address.",
    "503": "The engine is busy or has stopped; try again later.",
}

STREAM = """The id of each is its sequence, and Last-Event-ID resumes after it; without `after` it
begins with what happens next. Each datum is a RecordShown. `types=adl_started,adl_stopped` tells
those events only; the id moves on meanwhile. Without the role read, types of the market are told,
with accounts masked. Who takes nothing for some seconds is dropped, and resumes where it was."""

RECORDS = {
    "/v1/events/stream": ("Every record as it happens, as Server-Sent Events", STREAM, "200"),
    "/v1/events/socket": (
        "Every record as it happens, over a WebSocket",
        "The same as text messages, one RecordShown each.",
        "101",
    ),
}
"""Streams: what they are in short and at length, and the status of success."""


class _Json(JsonRenderPlugin):
    """The document as JSON, written once."""

    _body = b""

    def render(self, _request: AnyRequest, openapi_schema: Document) -> bytes:
        """Return the document's bytes."""
        self._body = self._body or msgspec.json.encode(_document(openapi_schema))
        return self._body


class _Explorer(OpenAPIRenderPlugin):
    """The document as a page, written once."""

    _body = b""

    def render(self, _request: AnyRequest, openapi_schema: Document) -> bytes:
        """Return the page's bytes."""
        self._body = self._body or page(_document(openapi_schema)).encode()
        return self._body


def openapi_config() -> OpenAPIConfig:
    """Return how the document is served: /schema/openapi.json, and /schema to try it from."""
    return OpenAPIConfig(
        title="delever",
        version=version("delever"),
        summary="Auto-deleveraging: commands in, markets, queues, explanations and events out.",
        use_handler_docstrings=True,
        path="/schema",
        render_plugins=[
            _Json(path="/openapi.json", media_type=OpenAPIMediaType.OPENAPI_JSON),
            _Explorer(path="/", favicon=""),
        ],
    )


def _document(written: Document) -> Document:
    """Return the whole document out of what Litestar wrote."""
    paths = {path: _path(path, item) for path, item in written["paths"].items()}
    paths |= {path: _stream(path) for path in RECORDS}
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "ID.SECRET"}
    return {
        **written,
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": _schemas(), "securitySchemes": {"key": bearer}},
    }


def _path(path: str, item: Document) -> Document:
    return {
        method: _operation(path, operation) if method in {"get", "post"} else operation
        for method, operation in item.items()
    }


def _operation(path: str, operation: Document) -> Document:
    """Return an operation with its body, its key and its failures."""
    operation = {**operation, "responses": {**operation["responses"]}}
    operation["parameters"] = [_parameter(each) for each in operation.get("parameters", [])]
    codes = ["400", "503"]
    if path in BODIES:
        operation["requestBody"] = {"required": True, "content": BODIES[path]}
    if "requestBody" in operation:
        codes += ["413", "415"]
    if path not in NEEDS_NO_KEY:
        operation["security"] = [{"key": []}]
        codes += ["401", "403"]
    if "{" in path:
        codes.append("404")
    if path in {"/v1/health", "/v1/ready"}:
        operation["responses"]["503"] = operation["responses"]["200"]
        codes.remove("503")
    for code in (*codes, *REFUSES.get(path, ())):
        operation["responses"][code] = _failure(code)
    return operation


def _parameter(parameter: Document) -> Document:
    """Return a parameter that may be left out, but cannot be null: a query has no such word."""
    kinds = parameter["schema"].get("oneOf", [])
    given = [kind for kind in kinds if kind != {"type": "null"}]
    return {**parameter, "schema": given[0]} if len(given) == 1 else parameter


def _failure(code: str) -> Document:
    schema = {"$ref": REF.format(name="Failure")}
    return {"description": FAILURES[code], "content": {"application/json": {"schema": schema}}}


def _stream(path: str) -> Document:
    """Return the path of a stream, which Litestar does not describe."""
    summary, description, success = RECORDS[path]
    media: Document = {"text/event-stream": {}} if success == "200" else {}
    after = {
        "name": "after",
        "in": "query",
        "required": False,
        "schema": {"type": "integer", "minimum": 0, "maximum": 9_999_999_999_999_999},
    }
    responses = {code: _failure(code) for code in ("400", "401", "403", "409", "429")}
    return {
        "get": {
            "tags": ["events"],
            "summary": summary,
            "description": description,
            "operationId": path.removeprefix("/").replace("/", "_"),
            "parameters": [after],
            "security": [{"key": []}],
            "responses": {success: {"description": summary, "content": media}, **responses},
        }
    }


def _schemas() -> Document:
    """Return every type by name, as msgspec decodes and encodes it."""
    named = {**vars(native), **vars(native_accounts), **vars(native_past)}
    own = [kind for kind in named.values() if _is_answer(kind)]
    types = [AnyCommand, AnyEvent, Question, Failure, *own]
    _, schemas = msgspec.json.schema_components(types, ref_template=REF)
    for command in get_args(AnyCommand):
        described = schemas[command.__name__]
        described["required"].remove("time_ms")
        described["properties"]["time_ms"] = {
            "type": "integer",
            "default": 0,
            "description": "Left out or 0: the server's clock.",
        }
    return dict(sorted(schemas.items()))


def _is_answer(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, native.Answer) and kind is not native.Answer
