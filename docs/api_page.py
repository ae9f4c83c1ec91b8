"""docs/reference/api.md: every path of the native API, asked of a server that has played a crash.

The server runs in this process, by a clock that stands still, so that the answers are always the
same. What an answer lists is shown up to its first entry.
"""
# ruff: noqa: INP001 - a script, not a package

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
from delever.server.api.masking import PUBLIC
from delever.server.app import Service
from delever.server.transport.api_keys import Holder

ROOT = Path(__file__).parent.parent
CRASH = ROOT / "examples" / "crash.ndjson"
UNTIL = 13
"""How many commands of the crash are played first: the others would stop ADL again."""

HEAD = """\
# The native API

What `delever serve` answers under `/v1`. `docs/generate.py` writes this page: it asks a server that
has played `examples/crash.ndjson`. Lists are shown up to their first entry, and long texts cut. The
server has the same as an OpenAPI document at `/schema/openapi.json`, and as a page to try it from
at `/schema`, which loads nothing from elsewhere.

**Who.** `Authorization: Bearer ID.SECRET`, by the keys of the [configuration](config.md). `read`
reads everything; `trade-account` the market and its own accounts; `ingest` submits commands;
`operate` also those of an operator: fund_pool, move_contract, cancel_adl, pause_adl and force_adl,
with a note that says why. With `[api] anonymous_read` a visitor needs no key for the market, for queues
and for ADL as it was.

**Names.** Where several accounts are shown at once (queues, episodes, fills, streams), `read` sees
all of them by name, an account's own key its own name, a visitor none: the others come as
`masked:...`, the same mark for the same account as long as the server runs. What is one account's
own, and the journal's events with all that they hold, no visitor sees. `[api] anonymous_accounts` shows
a visitor everything; it is for demonstrations.

A new name, and a command's `id`, has at most 200 characters, all of them printable. In a path it is
percent-encoded, a slash as `%2F`: `/v1/contracts/BTC%2FUSDT`.

**Numbers.** Money, prices and quantities are exact decimals as text; `_ppm` are parts per million,
`_ms` milliseconds since the epoch. `as_of` is the record of the journal up to which the book was
read. [Commands](commands.md) and [events](events.md) are the core's own.

**Errors.** `{"error": {"reason", "field", "value", "message", "sequence"}}` with the status: 400
malformed, 401 no key of this server, 403 a role or an account is missing, 404 a name is not known,
409 the id belongs to another command, or the journal ends before `after`; 413 too large, 415 packed
(gzip or the like), 422 rejected by the engine (with the [reason](reasons.md), and the `sequence` of
its record), 429 too many streams from one address, 503 busy or stopped. `time_ms` of a command is
best left out: the server's clock then says it. Time cannot run backwards, and no command's may be
more than 10 s ahead of that clock.

**Metrics.** `GET /metrics` answers Prometheus. It needs no key: keep it inside.
"""

STREAMS = """\
## Streams

### `GET /v1/events/stream`

Every record as it happens, as Server-Sent Events; needs read. With `?types=adl_started,adl_stopped`
only events of these types are told, and types of the market (TYPES) need no more than `GET
/v1/contracts` does. The `id` of each is its sequence:
`?after=12` or the header `Last-Event-ID: 12` goes on after it without a gap, out of the journal as
far as that is needed. Without either it begins with what happens next. A comment every 15 s keeps
the line open. Who takes nothing for `send_timeout_ms` is dropped, and resumes where it was.

```text
id: 13
data: {"sequence":13,"time_ms":3000,"command":"set_marks","id":"","events":[{"type":"accepted",...
```

### `GET /v1/events/socket`

The same over a WebSocket: one text message a record, the JSON above. `?after=12` goes on after it.
A reader who takes nothing is closed with 1008.
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

ASKED: dict[str, tuple[str, str]] = {
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
NOT_SHOWN = {
    "POST /v1/positions/arrow": ARROW.format(rows="position rows"),
    "POST /v1/balances/arrow": ARROW.format(rows="balance rows"),
}


def api_page() -> str:
    """Return the page."""
    return asyncio.run(_page())


async def _page() -> str:
    clock = _Clock()
    raw = {"journal": {"path": ":memory:"}, "api": {"anonymous_read": True, "anonymous_accounts": True}}
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
                told = await _told(caller, service, f"{method.upper()} {plain}")
                title = TITLES[operation["tags"][0]]
                sections[title].append(_section(route, method.upper(), plain, operation, told))
    await service.stop()
    parts = ["\n".join(section) for section in sections.values()]
    streams = STREAMS.replace("TYPES", ", ".join(sorted(PUBLIC)))
    return "\n".join([HEAD, *parts, streams])


async def _still() -> None:
    """Let no time pass while the server is asked."""


class _Clock:
    """A clock that stands where the crash has come to."""

    ms = 1

    def __call__(self) -> int:
        return self.ms


def _crash() -> list[Command]:
    return read_scenario(CRASH)[:UNTIL]


def _section(
    route: Any, method: str, path: str, operation: dict[str, Any], told: tuple[str, str]
) -> str:
    guards = [NEEDS[guard.__name__] for guard in route.guards or ()]
    asked, answer = told
    table = ""
    given = [each for each in operation.get("parameters", []) if each["in"] == "query"]
    if given:
        rows = [f"| `{each['name']}` | {_kind(each)} | {_default(each)} |" for each in given]
        table = "\n".join(["| parameter | type | if left out |", "|---|---|---|", *rows]) + "\n\n"
    needs = f"Needs {guards[0]}." if guards else "Needs no key."
    shown = f"```text\n{asked}\n```\n" if asked else ""
    shown += f"```json\n{answer}\n```\n" if answer else ""
    return (
        f"### `{method} {path}`\n\n{operation['description'].strip()}\n\n{needs}\n\n{table}{shown}"
    )


def _kind(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    words = schema.get("enum") or [
        "long, short" if "$ref" in schema else schema.get("type", "text")
    ]
    return ", ".join(map(str, words)).replace("string", "text")


def _default(parameter: dict[str, Any]) -> str:
    if parameter.get("required"):
        return "required"
    default = parameter["schema"].get("default")
    return "" if default in {None, ""} else f"`{default}`"


async def _told(caller: httpx2.AsyncClient, service: Service, name: str) -> tuple[str, str]:
    """Return what was asked, and the answer; both as they are shown."""
    if name in NOT_SHOWN:
        return f"{name}?version=7&id=p-7\n\n{NOT_SHOWN[name]}", (
            '{"sequence":15,"time_ms":3000,"repeated":false,"rows":2,"ignored":0}'
        )
    method, path = name.split()
    for word, value in NAMES.items():
        path = path.replace(f"{{{word}}}", value)
    path, body = ASKED.get(name, (path, ""))
    answer = await caller.request(method, path, content=body, headers=_key(service))
    if answer.status_code not in {200, 503}:
        raise RuntimeError(f"{name}: {answer.status_code}: {answer.text}")
    asked = f"{method} {path}" + (f"\n\n{body}" if body else "")
    return asked, json.dumps(_cut(answer.json()), indent=1)


def _key(service: Service) -> dict[str, str]:
    """Return the header of a key that may do everything, which the server is told here."""
    service.keyring.add(Holder("all", frozenset(Role), (), b"secret"))
    return {"Authorization": "Bearer all.secret"}


def _cut(told: Any) -> Any:
    """Return an answer with lists up to their first entry, and texts up to a line."""
    match told:
        case dict():
            return {name: _cut(value) for name, value in told.items()}
        case list():
            return [_cut(value) for value in told[:1]]
        case str() if len(told) > 90:
            return told[:87] + "..."
    return told
