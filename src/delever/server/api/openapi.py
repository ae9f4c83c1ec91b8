"""The OpenAPI document of the native API.

Litestar writes paths and parameters. The schemas come from msgspec, which also decodes the bodies,
so they match what the server accepts. Bodies that routes read by themselves, streams and errors are
added here.
"""

from importlib.metadata import version
from typing import Any, get_args

import msgspec
from litestar.connection import Request
from litestar.enums import OpenAPIMediaType
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin

from delever.api_types import accounts, history, market
from delever.api_types.market import ApiResponse
from delever.core.messages import AnyCommand, AnyEvent
from delever.server.api.accounts import WhatIfRequest
from delever.server.api.explorer import page
from delever.server.api.requests.errors import ErrorResponse

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
            "schema": {"type": "string", "description": "One command as JSON per line."}
        }
    },
    "/v1/positions/arrow": ARROW,
    "/v1/balances/arrow": ARROW,
}
"""Bodies that routes read by themselves."""

PUBLIC_PATHS = {"/v1/health", "/v1/ready", "/v1/startup", "/metrics"}
ERROR_STATUSES = {
    "/v1/commands": ("409", "422"),
    "/v1/positions/arrow": ("409", "422"),
    "/v1/balances/arrow": ("409", "422"),
    "/v1/accounts/{account}/what-if": ("422",),
    "/v1/events": ("409",),
}

ERROR_DESCRIPTIONS = {
    "400": "The request is invalid; see field and value.",
    "401": "The API key is missing or invalid.",
    "403": "The key lacks the role, or may not read the account.",
    "404": "A name is unknown.",
    "409": "The id belongs to another command, or `after` is beyond the journal.",
    "413": "The body is too large.",
    "415": "The body is compressed.",
    "422": "The engine rejected the command; see reason, field and value.",
    "429": "Too many requests of a key or an address, or too many streams of one address.",
    "503": "The engine is busy or has stopped; try again later.",
}

STREAM = """The id of an event is its record's sequence, and Last-Event-ID resumes after it; without
`after` the stream begins with the next record. The data are RecordResponse objects.
`types=adl_started,adl_stopped` selects types of events; ids continue meanwhile. Without the role
read, only public types are available, with masked accounts. A reader that does not read for
`send_timeout_ms` is disconnected, and can resume."""

RECORDS = {
    "/v1/events/stream": ("Every new record, as Server-Sent Events", STREAM, "200"),
    "/v1/events/socket": (
        "Every new record, over a WebSocket",
        "The same as text messages, one RecordResponse each.",
        "101",
    ),
}
"""Streams: summary, description and the status of success."""


class _Json(JsonRenderPlugin):
    """The document as JSON, encoded once."""

    _body = b""

    def render(self, _request: AnyRequest, openapi_schema: Document) -> bytes:
        """Return the document as bytes."""
        self._body = self._body or msgspec.json.encode(_document(openapi_schema))
        return self._body


class _Explorer(OpenAPIRenderPlugin):
    """The document as a page, rendered once."""

    _body = b""

    def render(self, _request: AnyRequest, openapi_schema: Document) -> bytes:
        """Return the page as bytes."""
        self._body = self._body or page(_document(openapi_schema)).encode()
        return self._body


def openapi_config() -> OpenAPIConfig:
    """Return the configuration of /schema/openapi.json and of the page at /schema."""
    return OpenAPIConfig(
        title="delever",
        version=version("delever"),
        summary="Auto-deleveraging: submit commands, read markets, queues and explanations.",
        use_handler_docstrings=True,
        path="/schema",
        render_plugins=[
            _Json(path="/openapi.json", media_type=OpenAPIMediaType.OPENAPI_JSON),
            _Explorer(path="/", favicon=""),
        ],
    )


def _document(generated: Document) -> Document:
    """Return the document that Litestar generated, completed."""
    paths = {path: _path(path, item) for path, item in generated["paths"].items()}
    paths |= {path: _stream(path) for path in RECORDS}
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "ID.SECRET"}
    return {
        **generated,
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": _schemas(), "securitySchemes": {"key": bearer}},
    }


def _path(path: str, item: Document) -> Document:
    return {
        method: _operation(path, operation) if method in {"get", "post"} else operation
        for method, operation in item.items()
    }


def _operation(path: str, operation: Document) -> Document:
    """Return an operation with its body, security and errors."""
    operation = {**operation, "responses": {**operation["responses"]}}
    operation["parameters"] = [_parameter(item) for item in operation.get("parameters", [])]
    codes = ["400", "503"]
    if path in BODIES:
        operation["requestBody"] = {"required": True, "content": BODIES[path]}
    if "requestBody" in operation:
        codes += ["413", "415"]
    if path not in PUBLIC_PATHS:
        operation["security"] = [{"key": []}]
        codes += ["401", "403", "429"]
    if "{" in path:
        codes.append("404")
    if path in {"/v1/health", "/v1/ready", "/v1/startup"}:
        operation["responses"]["503"] = operation["responses"]["200"]
        codes.remove("503")
    for code in (*codes, *ERROR_STATUSES.get(path, ())):
        operation["responses"][code] = _error_response(code)
    return operation


def _parameter(parameter: Document) -> Document:
    """Return an optional parameter without null, which a query cannot express."""
    kinds = parameter["schema"].get("oneOf", [])
    types = [kind for kind in kinds if kind != {"type": "null"}]
    return {**parameter, "schema": types[0]} if len(types) == 1 else parameter


def _error_response(code: str) -> Document:
    schema = {"$ref": REF.format(name="ErrorResponse")}
    return {
        "description": ERROR_DESCRIPTIONS[code],
        "content": {"application/json": {"schema": schema}},
    }


def _stream(path: str) -> Document:
    """Return the path of a stream, which Litestar does not document."""
    summary, description, success = RECORDS[path]
    media: Document = {"text/event-stream": {}} if success == "200" else {}
    after = {
        "name": "after",
        "in": "query",
        "required": False,
        "schema": {"type": "integer", "minimum": 0, "maximum": 9_999_999_999_999_999},
    }
    responses = {code: _error_response(code) for code in ("400", "401", "403", "409", "429")}
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
    """Return the schema of every type by name, as msgspec decodes and encodes it."""
    named = {**vars(market), **vars(accounts), **vars(history)}
    responses = [kind for kind in named.values() if _is_response(kind)]
    types = [AnyCommand, AnyEvent, WhatIfRequest, ErrorResponse, *responses]
    _, schemas = msgspec.json.schema_components(types, ref_template=REF)
    for command in get_args(AnyCommand):
        schema = schemas[command.__name__]
        schema["required"].remove("time_ms")
        schema["properties"]["time_ms"] = {
            "type": "integer",
            "default": 0,
            "description": "Omitted or 0: the server's clock.",
        }
    return dict(sorted(schemas.items()))


def _is_response(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, ApiResponse) and kind is not ApiResponse
