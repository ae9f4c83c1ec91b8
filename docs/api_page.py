"""docs/reference/api.md: every path of the native API, with answers of a server after a crash.

The server runs in this process with a clock that stands still, so that the answers never change.
The page has the first entry of each list.
"""
# ruff: noqa: INP001 - part of a script, not a package

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from delever.config import Config, Role
from delever.core.messages import Command
from delever.lab.runs.scenario import read_scenario
from delever.server.api.app import ROUTES
from delever.server.api.requests.masking import PUBLIC_EVENTS
from delever.server.app import Service
from delever.server.transport.api_keys import ApiKey

ROOT = Path(__file__).parent.parent
CRASH = ROOT / "examples" / "crash.ndjson"
UNTIL = 13
"""Commands of the crash that run first: the others would stop ADL again."""

HEAD = """\
# The native API

The paths of `delever serve` under `/v1`. `docs/generate.py` writes this page with the answers of a
server that has run `examples/crash.ndjson`; lists have their first entry only, and long strings
are cut. The server has the same as an OpenAPI document at `/schema/openapi.json`, and as an
explorer at `/schema` that works offline.

```sh
url=http://127.0.0.1:8080/v1
curl -H 'Authorization: Bearer ID.SECRET' "$url/contracts/BTCUSDT/queue?side=short"
```

**Authentication.** `Authorization: Bearer ID.SECRET`, with a key of the
[configuration](config.md). The role `read` reads everything; `trade-account` the market and its
own accounts; `ingest` submits commands; `operate` also an operator's: fund_pool, move_contract,
amend_contract, amend_pool, delist_contract, settle_contract, cancel_adl, pause_adl, force_adl,
set_plan_wait, allocate_adl, confirm_mark and compensate, with a note that gives the reason. With
`[api] anonymous_read` the market, queues and ADL episodes need no key.

**Names.** Where an answer lists several accounts (queues, episodes, fills, streams), `read` sees
all names, an account's key its own, and an anonymous visitor none: the others are `masked:...`,
the same mask for the same account while the server runs. An anonymous visitor sees neither a
single account's data nor the journal's events; `[api] anonymous_accounts` opens both, for demos.

A new name, and a command's `id`, has at most 200 characters, all of them printable. Percent-encode
it in a path, a slash as `%2F`: `/v1/contracts/BTC%2FUSDT`.

**Numbers.** Money, prices and quantities are exact decimals as strings; `_ppm` are parts per
million, `_ms` milliseconds since the epoch. `as_of` is the journal's record that the answer is
based on. [Commands](commands.md) and [events](events.md) are the core's own.

**Errors.** `{"error": {"reason", "field", "value", "message", "sequence"}}` with the status: 400
malformed, 401 unknown key, 403 a role or an account is missing, 404 unknown name, 409 the id
belongs to another command, or the journal ends before `after`; 413 too large, 415 compressed, 422
rejected by the engine (with the [reason](reasons.md), and the `sequence` of its record), 429 too
many streams from one address, 503 busy or stopped. Leave out a command's `time_ms`: the server's
clock stamps it. Time cannot run backwards, and no command may be more than 10 s ahead of that
clock.

**Metrics.** `GET /metrics` answers Prometheus. It needs no key: do not expose it.
"""

STREAMS = """\
## Streams

### `GET /v1/events/stream`

Every record, as Server-Sent Events; needs read. `?types=adl_started,adl_stopped` selects types of
events, and types of the market (TYPES) need no more than `GET /v1/contracts` does. The `id` of
each is its sequence: `?after=12` or the header `Last-Event-ID: 12` resumes after it without a gap,
from the journal where necessary. Without either the stream starts with the next event. A comment
every 15 s keeps the connection open. A client that does not read for `send_timeout_ms` is
disconnected, and can resume.

```text
id: 13
data: {"sequence":13,"time_ms":3000,"command":"set_marks","id":"","events":[{"type":"accepted",...
```

### `GET /v1/events/socket`

The same over a WebSocket: one text message for each record, with the JSON above. `?after=12`
resumes after it. A client that does not read is closed with 1008.
"""

NEEDS = {
    "reads_everything": "read",
    "reads_market": "read or trade-account",
    "reads_masked": "read or trade-account; names by role",
    "reads_account": "read, or trade-account with this account",
    "submits": "ingest or operate",
}

TITLES = {
    "commands": "Commands",
    "market": "The market",
    "pools": "Pools",
    "accounts": "Accounts",
    "events": "Events",
    "adl": "ADL",
    "rules": "Rules",
    "service": "The service",
}

ARROW = "an Arrow IPC stream with the columns of {rows}, as application/vnd.apache.arrow.stream"

REQUESTS: dict[str, tuple[str, str]] = {
    "POST /v1/commands": (
        "/v1/commands",
        '{"type":"set_marks","id":"m-1","marks":{"BTCUSDT":"56500"}}',
    ),
    "POST /v1/commands/bulk": (
        "/v1/commands/bulk",
        '{"type":"define_account","account":"eve"}\n{"type":"define_account","account":""}',
    ),
    "POST /v1/accounts/{account}/what-if": (
        "/v1/accounts/dan/what-if",
        '{"contract":"BTCUSDT","change":{"change":"partial_close","quantity":"5"}}',
    ),
    "GET /v1/accounts/{account}/explain": ("/v1/accounts/dan/explain?contract=BTCUSDT", ""),
    "GET /v1/contracts/{contract}/queue": ("/v1/contracts/BTCUSDT/queue?side=short&limit=1", ""),
    "GET /v1/events": ("/v1/events?type=adl_filled&after=12", ""),
    "GET /v1/adl/rounds/{sequence}/recompute": ("/v1/adl/rounds/13/recompute", ""),
    "GET /v1/accounts/{account}/notices": ("/v1/accounts/bob/notices", ""),
    "GET /v1/notices": ("/v1/notices", ""),
    "GET /v1/accounts/{account}": ("/v1/accounts/dan", ""),
}
NAMES = {"contract": "BTCUSDT", "pool": "main", "name": "bybit", "episode": "1", "fill": "2"}
BINARY = {
    "POST /v1/positions/arrow": ARROW.format(rows="position rows"),
    "POST /v1/balances/arrow": ARROW.format(rows="balance rows"),
}


def api_page() -> str:
    """Return the page."""
    return asyncio.run(_page())


async def _page() -> str:
    clock = _Clock()
    raw = {
        "journal": {"path": ":memory:"},
        "api": {"anonymous_read": True, "anonymous_accounts": True},
    }
    service = Service(msgspec.convert(raw, Config), clock)
    service.runner.tick = _still  # type: ignore[method-assign]
    await service.start()
    for command in _crash():
        clock.ms = command.time_ms
        await service.runner.submit([command])
    sections = {title: [f"## {title}\n"] for title in TITLES.values()}
    transport = httpx2.ASGITransport(service.native)  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=transport, base_url="http://delever") as caller:
        document = (await caller.get("/schema/openapi.json")).json()
        for route in sorted(ROUTES, key=lambda route: min(getattr(route, "paths", [""]))):
            for path in sorted(route.paths):
                plain = path.replace(":str", "").replace(":int", "")
                item = document["paths"][plain]
                method, operation = next(iter(item.items()))
                if "text/event-stream" in str(operation) or plain.endswith("/socket"):
                    continue
                exchange = await _exchange(caller, service, f"{method.upper()} {plain}")
                title = TITLES[operation["tags"][0]]
                sections[title].append(_section(route, method.upper(), plain, operation, exchange))
    await service.stop()
    parts = ["\n".join(section) for section in sections.values()]
    streams = STREAMS.replace("TYPES", ", ".join(sorted(PUBLIC_EVENTS)))
    return "\n".join([HEAD, *parts, streams])


async def _still() -> None:
    """Do nothing: the server's clock stands still."""


class _Clock:
    """A clock that stands at the last command's time."""

    ms = 1

    def __call__(self) -> int:
        return self.ms


def _crash() -> list[Command]:
    return read_scenario(CRASH)[:UNTIL]


def _section(
    route: Any, method: str, path: str, operation: dict[str, Any], exchange: tuple[str, str]
) -> str:
    guards = [NEEDS[guard.__name__] for guard in route.guards or ()]
    request, answer = exchange
    table = ""
    query = [p for p in operation.get("parameters", []) if p["in"] == "query"]
    if query:
        rows = [f"| `{p['name']}` | {_kind(p)} | {_default(p)} |" for p in query]
        table = "\n".join(["| parameter | type | default |", "|---|---|---|", *rows]) + "\n\n"
    needs = f"Needs {guards[0]}." if guards else "Needs no key."
    example = f"```text\n{request}\n```\n" if request else ""
    example += f"```json\n{answer}\n```\n" if answer else ""
    description = operation["description"].strip()
    return f"### `{method} {path}`\n\n{description}\n\n{needs}\n\n{table}{example}"


def _kind(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    values = schema.get("enum") or [
        "long, short" if "$ref" in schema else schema.get("type", "text")
    ]
    return ", ".join(map(str, values)).replace("string", "text")


def _default(parameter: dict[str, Any]) -> str:
    if parameter.get("required"):
        return "required"
    default = parameter["schema"].get("default")
    return "" if default in {None, ""} else f"`{default}`"


async def _exchange(caller: httpx2.AsyncClient, service: Service, name: str) -> tuple[str, str]:
    """Return request and answer as the page has them."""
    if name in BINARY:
        return f"{name}?version=7&id=p-7\n\n{BINARY[name]}", (
            '{"sequence":15,"time_ms":3000,"repeated":false,"rows":2,"ignored":0}'
        )
    method, path = name.split()
    for word, value in NAMES.items():
        path = path.replace(f"{{{word}}}", value)
    path, body = REQUESTS.get(name, (path, ""))
    answer = await caller.request(method, path, content=body, headers=_key(service))
    if answer.status_code not in {200, 503}:
        raise RuntimeError(f"{name}: {answer.status_code}: {answer.text}")
    request = f"{method} {path}" + (f"\n\n{body}" if body else "")
    if "octet-stream" in answer.headers["content-type"]:
        return request, "the book as bytes (application/octet-stream)"
    return request, json.dumps(_cut(answer.json()), indent=1)


def _key(service: Service) -> dict[str, str]:
    """Add a key with every role to the server and return its header."""
    service.keyring.add(ApiKey("all", frozenset(Role), (), b"secret"))
    return {"Authorization": "Bearer all.secret"}


def _cut(answer: Any) -> Any:
    """Return an answer with one entry of each list, and long strings cut."""
    match answer:
        case dict():
            return {name: _cut(value) for name, value in answer.items()}
        case list():
            return [_cut(value) for value in answer[:1]]
        case str() if len(answer) > 90:
            return answer[:87] + "..."
    return answer
