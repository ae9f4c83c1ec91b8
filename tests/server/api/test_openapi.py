"""The OpenAPI document matches the server, and the page loads no external resources."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from api_clients import CLOSED_CONFIG, SECRET, add_role_keys, client, crash_lines, submit_lines
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from live_server import LiveServer, live_server
from msgspec.structs import replace
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

STREAMS = ["/v1/events/stream", "/v1/events/socket"]
EXAMPLES = settings().max_examples // 12  # of each operation
ALL = list(HealthCheck)
KEYS = {"GET": "read", "POST": "operate"}
LEAST = {
    ("GET", GenerationMode.POSITIVE): 20,
    ("GET", GenerationMode.NEGATIVE): 10,
    ("POST", GenerationMode.POSITIVE): 3,
    ("POST", GenerationMode.NEGATIVE): 2,
}
"""Minimum number of tested paths."""

NOT_ASKED = {
    "GET": [positive_data_acceptance, negative_data_rejection],
    "POST": [positive_data_acceptance],
}
"""Unknown names are 404, and a text in a query accepts any value, even repeated."""


UNLIMITED_CONFIG = replace(
    CLOSED_CONFIG, api=replace(CLOSED_CONFIG.api, weight_per_minute=1_000_000_000)
)
"""A server that never answers 429: thousands of requests come with a wrong key."""


@schemathesis.serializer("application/x-ndjson", "application/vnd.apache.arrow.stream")
def _lines(_context: schemathesis.SerializationContext, value: object) -> bytes:
    return str(value).encode(errors="replace")


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(UNLIMITED_CONFIG) as serving:
        add_role_keys(serving.service)
        submit_lines(serving, crash_lines())
        yield serving


@pytest.fixture(scope="module")
def document(server: LiveServer) -> dict[str, Any]:
    with client(server) as caller:
        found: dict[str, Any] = caller.get("/schema/openapi.json").json()
        return found


def test_every_reference_of_the_document_exists(document: dict[str, Any]) -> None:
    refs = set(re.findall(r"'#/components/schemas/(\w+)'", str(document)))
    assert refs == refs & document["components"]["schemas"].keys()
    assert {"SetPositions", "AdlFilled", "ErrorResponse", "Waterfall"} <= refs


def test_every_path_is_documented_with_its_errors(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation["description"], path
            if path not in {"/v1/health", "/v1/ready", "/v1/startup"}:
                assert {"401", "403", "429"} <= operation["responses"].keys(), path
                assert operation["security"], path


def test_the_page_has_every_path_and_no_external_resources(
    server: LiveServer, document: dict[str, Any]
) -> None:
    with client(server) as caller:
        answer = caller.get("/schema")
    assert answer.headers["content-type"].startswith("text/html")
    for path in document["paths"]:
        assert f"<code>{path}</code>" in answer.text
    assert not re.findall(r"(?:src|href|import|url)\W+(?:https?:)?//", answer.text)
    assert "<!--" not in answer.text.replace("<!DOCTYPE", "")


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_random_requests_get_documented_responses(
    server: LiveServer, document: dict[str, Any], method: str, mode: GenerationMode
) -> None:
    """Schemathesis finds no 500 and no undocumented status, media type or body."""
    api = schemathesis.openapi.from_dict(document)
    api.config.update(base_url=server.url)
    headers = {"Authorization": f"Bearer {KEYS[method]}.{SECRET}"}
    tried = 0
    for found in api.exclude(path=STREAMS).include(method=method).get_all_operations():
        operation = found.ok()

        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=ALL)
        @given(case=operation.as_strategy(generation_mode=mode))
        def answered(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=headers, excluded_checks=NOT_ASKED[method])

        try:
            answered()
        except Unsatisfiable:  # a call without parameters cannot be invalid
            continue
        tried += 1
    assert tried >= LEAST[method, mode]


@pytest.mark.slow
def test_sequences_of_requests_get_documented_responses(
    server: LiveServer, document: dict[str, Any]
) -> None:
    """Schemathesis calls an operation with what the response of another one contained."""
    api = schemathesis.openapi.from_dict(document)
    api.config.update(base_url=server.url)
    machine = api.exclude(path=STREAMS).as_state_machine()
    used: set[str] = set()

    class Sequences(machine):  # type: ignore[misc, valid-type]
        def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:
            key = KEYS[case.operation.method.upper()]
            return {"headers": {"Authorization": f"Bearer {key}.{SECRET}"}}

        def validate_response(self, response: Any, case: schemathesis.Case, **options: Any) -> None:
            used.add(case.operation.path)
            excluded = NOT_ASKED[case.operation.method.upper()]
            case.validate_response(response, excluded_checks=excluded, **options)

    Sequences.run(
        settings=settings(
            max_examples=50,
            stateful_step_count=10,
            deadline=None,
            database=None,
            suppress_health_check=ALL,
        )
    )
    assert {
        "/v1/contracts/{contract}/queue",
        "/v1/pools/{pool}/history",
        "/v1/fills/{fill}",
    } <= used
