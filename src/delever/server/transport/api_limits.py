"""The rate limit of the native API: by key, or by address where there is none."""

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from delever.config import Role
from delever.server.transport.api_keys import Keyring
from delever.server.transport.asgi import (
    Asgi,
    Headers,
    Message,
    Receive,
    Reply,
    Scope,
    Send,
    address_of,
    send_reply,
)
from delever.server.transport.rate_limits import RateLimiter, Usage

WINDOW_MS = 60_000

UNLIMITED = frozenset({"/v1/health", "/v1/ready", "/v1/startup"})
"""The probes of supervisors and load balancers."""


FAILED_LOGIN_WEIGHT = 500
"""The weight of a login with a wrong key, for the address."""


class PathWeight(NamedTuple):
    """What a request of a path counts: replays of the journal cost more than a look at the book."""

    pattern: re.Pattern[str]
    weight: int


WEIGHTS = (
    PathWeight(re.compile(r"/v1/fills/\d+"), 200),
    PathWeight(re.compile(r"/v1/adl/rounds/\d+/recompute"), 200),
    PathWeight(re.compile(r"/v1/accounts/[^/]+/explain"), 20),
    PathWeight(re.compile(r"/v1/contracts/[^/]+/queue"), 5),
)
"""Weights of paths; all others count 1."""


class ApiRateLimit:
    """An ASGI app that counts requests of /v1, and rejects those beyond the limit with 429.

    Each response says limit, remaining weight and the seconds until the window ends. Keys with the
    role ingest are not limited: a venue's commands are, by `[journal] queue_limit`.
    """

    def __init__(
        self,
        app: Asgi,
        keyring: Keyring,
        limit: int,
        now_ms: Callable[[], int],
        *,
        trust_forwarded: bool,
    ) -> None:
        self._app = app
        self._keyring = keyring
        self._limiter = RateLimiter(limit, WINDOW_MS, now_ms)
        self._now_ms = now_ms
        self._trust_forwarded = trust_forwarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        path: str = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith("/v1/") or path in UNLIMITED:
            await self._app(scope, receive, send)
            return
        address = address_of(scope, trust_forwarded=self._trust_forwarded)
        sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        key = self._keyring.bearer(sent.decode("latin-1")) if sent else None
        weight = _weight_of(path)
        problem = key.problem(address, self._now_ms()) if key else None
        if sent and (key is None or problem is not None):
            key, weight = None, FAILED_LOGIN_WEIGHT
            await self._keyring.failed_logins.report(
                "v1", address, problem or "wrong key or secret"
            )
        elif key is not None and key.has_role(Role.INGEST):
            await self._app(scope, receive, send)
            return
        usage = self._limiter.use(f"key {key.id}" if key else f"address {address}", weight)
        headers = self._headers(usage)
        if usage.exceeded:
            await send_reply(send, Reply(_rejection(usage), 429, headers))
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await self._app(scope, receive, with_headers)

    def _headers(self, usage: Usage) -> Headers:
        seconds = -((self._now_ms() - usage.resets_ms) // 1_000)
        numbers = {
            b"x-ratelimit-limit": usage.limit,
            b"x-ratelimit-remaining": usage.remaining,
            b"x-ratelimit-reset": seconds,
        }
        if usage.exceeded:
            numbers[b"retry-after"] = seconds
        return [(name, b"%d" % number) for name, number in numbers.items()]


def _weight_of(path: str) -> int:
    found = (each.weight for each in WEIGHTS if each.pattern.fullmatch(path))
    return next(found, 1)


def _rejection(usage: Usage) -> bytes:
    message = f"more than {usage.limit} of weight in a minute; see docs/integration.md"
    return msgspec.json.encode({"error": {"reason": "too_many_requests", "message": message}})
