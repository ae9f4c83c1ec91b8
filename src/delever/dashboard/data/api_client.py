"""Typed client of the native API; every number on a page comes from it.

The server is given by its base URL, or by its ASGI app if both run in one process. A key is
`ID.SECRET`, sent as a bearer token; without one the server answers what anonymous
visitors may read.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from delever.api_types.accounts import AccountResponse, ExplanationResponse, WhatIfResponse
from delever.api_types.history import (
    ActivityPoint,
    AdlTotalResponse,
    ContractHistoryPoint,
    EpisodeResponse,
    FillExplanationResponse,
    FillResponse,
    PoolDetail,
    PoolHistory,
    PricePoint,
    RecomputeResponse,
    Waterfall,
)
from delever.api_types.market import (
    ContractDetail,
    ContractResponse,
    EventPage,
    PoolResponse,
    QueuePage,
    RatingResponse,
    Status,
)
from delever.dashboard.data.asgi_transport import AsgiTransport
from delever.dashboard.mount import AsgiApp

ResponseT = TypeVar("ResponseT")
Query = Mapping[str, str | int | None]

TIMEOUT_S = 10.0

_STREAM_TIMEOUT = httpx2.Timeout(TIMEOUT_S, read=None)

UNAUTHORIZED = 401


class StreamRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the event stream, with its events of the requested types as JSON objects."""

    sequence: int
    time_ms: int
    events: tuple[dict[str, Any], ...]


class ApiClientError(Exception):
    """A request that failed: HTTP status (0 without a response) and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def needs_key(self) -> bool:
        """Whether the server asks for a key."""
        return self.status == UNAUTHORIZED


class ApiClient:
    """Client of one server; `with_key` returns the same client with a visitor's key.

    `tasks` read its streams and are cancelled when the client closes. `url` is the server's base
    URL, empty if the dashboard runs inside the server.
    """

    def __init__(self, server: str | AsgiApp, key: str = "") -> None:
        if isinstance(server, str):
            self._client = httpx2.AsyncClient(base_url=server, timeout=TIMEOUT_S)
        else:
            transport = AsgiTransport(server)
            self._client = httpx2.AsyncClient(transport=transport, base_url="http://delever")
        self.url = server.rstrip("/") if isinstance(server, str) else ""
        self._key = key
        self.tasks: set[asyncio.Task[None]] = set()

    def with_key(self, key: str) -> "ApiClient":
        """Return a client that sends this key over the same connections."""
        other = ApiClient.__new__(ApiClient)
        other._client, other._key = self._client, key  # noqa: SLF001 - the same class
        other.url, other.tasks = self.url, self.tasks
        return other

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self._client.aclose()

    async def now_ms(self) -> int:
        """Return the server's clock."""
        return (await self._get("/v1/status", Status)).now_ms

    # --- the market ---

    async def contracts(self) -> list[ContractResponse]:
        """Return every contract."""
        return await self._get("/v1/contracts", list[ContractResponse])

    async def contract(self, contract: str) -> ContractDetail:
        """Return one contract."""
        return await self._get(f"/v1/contracts/{_part(contract)}", ContractDetail)

    async def rating(self, contract: str) -> RatingResponse | None:
        """Return a contract's risk rating with its inputs, or None before its first rating."""
        path = f"/v1/contracts/{_part(contract)}/rating"
        return await self._get(path, RatingResponse | None)  # type: ignore[arg-type]

    async def queue(
        self, contract: str, side: str, *, offset: int, limit: int, account: str | None = None
    ) -> QueuePage:
        """Return a page of an ADL queue; with `account`, the page on which it is ranked."""
        query: Query = {"side": side, "offset": offset, "limit": limit, "account": account}
        return await self._get(f"/v1/contracts/{_part(contract)}/queue", QueuePage, query)

    async def pools(self) -> list[PoolResponse]:
        """Return every insurance fund."""
        return await self._get("/v1/pools", list[PoolResponse])

    async def pool(self, pool: str) -> PoolDetail:
        """Return one insurance fund with its worst drawdowns."""
        return await self._get(f"/v1/pools/{_part(pool)}", PoolDetail)

    async def pool_history(
        self, pool: str, *, between: tuple[int, int] | None = None, limit: int
    ) -> PoolHistory:
        """Return an insurance fund's history in about `limit` points, and its in- and outflows.

        `between` restricts it to two times in milliseconds, both included.
        """
        from_ms, until_ms = between or (None, None)
        query: Query = {"from_ms": from_ms, "until_ms": until_ms, "limit": limit}
        return await self._get(f"/v1/pools/{_part(pool)}/history", PoolHistory, query)

    # --- accounts ---

    async def account(self, account: str) -> AccountResponse:
        """Return an account's wallets and positions."""
        return await self._get(f"/v1/accounts/{_part(account)}", AccountResponse)

    async def explain(
        self, account: str, contract: str, side: str, position: int
    ) -> ExplanationResponse:
        """Return the explanation of a position's rank."""
        query: Query = {"contract": contract, "side": side, "position": position}
        return await self._get(f"/v1/accounts/{_part(account)}/explain", ExplanationResponse, query)

    async def what_if(
        self, account: str, contract: str, side: str, position: int, change: Mapping[str, str]
    ) -> WhatIfResponse:
        """Return a position's rank before and after one change."""
        body = {"contract": contract, "side": side, "position": position, "change": change}
        path = f"/v1/accounts/{_part(account)}/what-if"
        return await self._request("POST", path, WhatIfResponse, body=body)

    async def notices(self, account: str) -> list[dict[str, Any]]:
        """Return the deliveries of an account's notifications, one row a channel."""
        return await self._get(f"/v1/accounts/{_part(account)}/notices", list[dict[str, Any]])

    # --- history ---

    async def events(self, after: int, *, limit: int = 1_000, **only: str) -> EventPage:
        """Return events after a sequence; `only` filters by type, contract or account."""
        return await self._get("/v1/events", EventPage, {"after": after, "limit": limit, **only})

    async def stream(
        self, types: Sequence[str], after: int
    ) -> AsyncIterator[tuple[int, StreamRecord | None]]:
        """Yield (sequence, record) of every record after a sequence, as the server commits them.

        The record is None if it has no event of these types, for a heartbeat, and once at the
        start, when the server has accepted the request.
        """
        query = {"types": ",".join(types), "after": str(after)}
        path = "/v1/events/stream"
        try:
            async with self._client.stream(
                "GET", path, params=query, headers=self._headers(), timeout=_STREAM_TIMEOUT
            ) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise ApiClientError(response.status_code, _message(response))
                yield after, None
                async for sequence, data in _sse_blocks(response.aiter_lines(), after):
                    record = None if data is None else msgspec.json.decode(data, type=StreamRecord)
                    yield sequence, record
        except httpx2.HTTPError as error:
            raise _unreachable(error) from None
        except (msgspec.DecodeError, ValueError) as error:
            raise ApiClientError(0, f"the response of {path} is invalid: {error}") from None

    async def contract_history(
        self, contract: str, *, from_ms: int, until_ms: int | None = None, limit: int
    ) -> list[ContractHistoryPoint]:
        """Return a contract's history between two times, thinned to about `limit` points."""
        path = f"/v1/contracts/{_part(contract)}/history"
        query: Query = {"from_ms": from_ms, "until_ms": until_ms, "limit": limit}
        return await self._get(path, list[ContractHistoryPoint], query)

    async def fills(self, contract: str, *, after: int, limit: int) -> list[FillResponse]:
        """Return a contract's ADL fills after a fill id, oldest first."""
        query: Query = {"contract": contract, "after": after, "limit": limit}
        return await self._get("/v1/fills", list[FillResponse], query)

    async def fills_of_account(self, account: str, *, after: int, limit: int) -> list[FillResponse]:
        """Return an account's ADL fills after a fill id, oldest first."""
        query: Query = {"account": account, "after": after, "limit": limit}
        return await self._get("/v1/fills", list[FillResponse], query)

    async def fill_explanation(self, fill: int) -> FillExplanationResponse:
        """Return why a fill closed its position, recomputed from the journal."""
        return await self._get(f"/v1/fills/{fill}", FillExplanationResponse)

    async def adl_totals(self, from_ms: int, until_ms: int | None = None) -> list[AdlTotalResponse]:
        """Return what ADL closed in each contract between two times."""
        query: Query = {"from_ms": from_ms, "until_ms": until_ms}
        return await self._get("/v1/adl/totals", list[AdlTotalResponse], query)

    async def prices(self, contract: str, *, from_ms: int, limit: int) -> list[PricePoint]:
        """Return a contract's marks since a time, in about `limit` points."""
        path = f"/v1/contracts/{_part(contract)}/prices"
        return await self._get(path, list[PricePoint], {"from_ms": from_ms, "limit": limit})

    async def activity(self, contract: str, *, from_ms: int, limit: int) -> list[ActivityPoint]:
        """Return a contract's liquidations and ADL fills, and its fund's flows, since a time."""
        path = f"/v1/contracts/{_part(contract)}/activity"
        return await self._get(path, list[ActivityPoint], {"from_ms": from_ms, "limit": limit})

    async def check_reads(self) -> None:
        """Raise ApiClientError if the visitor's key lacks the role `read`."""
        await self._get("/v1/notices", list[dict[str, Any]], {"limit": 1})

    async def episodes(self, contract: str = "", *, limit: int = 200) -> list[EpisodeResponse]:
        """Return ADL episodes, newest first, of one contract or of all."""
        query: Query = {"contract": contract or None, "limit": limit}
        return await self._get("/v1/adl", list[EpisodeResponse], query)

    async def episode_summary(self, episode: int) -> EpisodeResponse | None:
        """Return one ADL episode without its steps, or None if there is none of that number."""
        query: Query = {"before": episode + 1, "limit": 1}
        found = await self._get("/v1/adl", list[EpisodeResponse], query)
        return next((each for each in found if each.episode == episode), None)

    async def waterfall(self, episode: int) -> Waterfall:
        """Return one ADL episode with its takeovers, unwinds and rounds."""
        return await self._get(f"/v1/adl/{episode}", Waterfall)

    async def recompute(self, sequence: int) -> RecomputeResponse:
        """Return whether the server, executing a record's command again, gets the same events."""
        return await self._get(f"/v1/adl/rounds/{sequence}/recompute", RecomputeResponse)

    async def submit(self, command: Mapping[str, object]) -> Any:
        """Submit one command; return the server's response."""
        return await self._request("POST", "/v1/commands", Any, body=command)

    # --- requests ---

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    async def _get(self, path: str, kind: type[ResponseT], query: Query | None = None) -> ResponseT:
        return await self._request("GET", path, kind, query=query)

    async def _request(
        self,
        method: str,
        path: str,
        kind: type[ResponseT],
        *,
        query: Query | None = None,
        body: object = None,
    ) -> ResponseT:
        headers = self._headers()
        content = None if body is None else msgspec.json.encode(body)
        if content is not None:
            headers["Content-Type"] = "application/json"
        params = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            response = await self._client.request(
                method, path, params=params, content=content, headers=headers
            )
        except httpx2.HTTPError as error:
            raise _unreachable(error) from None
        if response.status_code >= 400:
            raise ApiClientError(response.status_code, _message(response))
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.DecodeError as error:
            raise ApiClientError(0, f"the response of {path} is invalid: {error}") from None


async def _sse_blocks(
    lines: AsyncIterator[str], sequence: int
) -> AsyncIterator[tuple[int, bytes | None]]:
    """Yield (id, data) of each block of Server-Sent Events; data is None for a block without."""
    data = None
    async for line in lines:
        if not line:
            yield sequence, data
            data = None
        elif line.startswith("id: "):
            sequence = int(line.removeprefix("id: "))
        elif line.startswith("data: "):
            data = line.removeprefix("data: ").encode()


def _message(response: httpx2.Response) -> str:
    """Return the error message of a response: from its error envelope, else from its status."""
    try:
        error = msgspec.json.decode(response.content)["error"]
        place = " ".join(str(error[name]) for name in ("field", "value") if error.get(name))
        text = error.get("message") or error.get("reason")
        return f"{place}: {text}" if place else str(text)
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"the server answered {response.status_code} {response.reason_phrase}"


def _unreachable(error: httpx2.HTTPError) -> ApiClientError:
    """Return the error of a request without a response; a timeout has no text of its own."""
    reason = str(error) or type(error).__name__
    return ApiClientError(0, f"the server cannot be reached: {reason}")


def _part(name: str) -> str:
    """Return a name quoted as one segment of a path."""
    return quote(name, safe="")
