"""Asks the native API of one server, typed; the page knows nothing that this does not tell it.

`server` is a base URL, or the server's own ASGI app where both run in one process. A key is
`ID.SECRET`, sent as a bearer token; without one only what is open to all is answered.
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
    ContractHistoryPoint,
    EpisodeResponse,
    FillResponse,
    PoolDetail,
    PoolHistory,
    RecomputeResponse,
    Waterfall,
)
from delever.api_types.market import (
    ContractResponse,
    EventPage,
    PoolResponse,
    QueuePage,
    RatingResponse,
)
from delever.dashboard.data.asgi_transport import Inside
from delever.dashboard.mount import Asgi

AnswerT = TypeVar("AnswerT")
Query = Mapping[str, str | int | None]

TIMEOUT_S = 10.0

_NO_END = httpx2.Timeout(TIMEOUT_S, read=None)

UNAUTHORISED = 401


class RecordTold(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a stream, with those of its events that were asked for, as JSON has them."""

    sequence: int
    time_ms: int
    events: tuple[dict[str, Any], ...]


class SourceError(Exception):
    """The server did not answer as asked: HTTP status (0: no answer at all) and its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def wants_key(self) -> bool:
        """Whether a key would help."""
        return self.status == UNAUTHORISED


class Source:
    """Asks one server. `with_key` gives the same source with another visitor's key.

    `tasks` are those that read its streams; they end with it. `url` is the server's, or empty
    where the dashboard is part of it.
    """

    def __init__(self, server: str | Asgi, key: str = "") -> None:
        if isinstance(server, str):
            self._client = httpx2.AsyncClient(base_url=server, timeout=TIMEOUT_S)
        else:
            self._client = httpx2.AsyncClient(transport=Inside(server), base_url="http://delever")
        self.url = server.rstrip("/") if isinstance(server, str) else ""
        self._key = key
        self.tasks: set[asyncio.Task[None]] = set()

    def with_key(self, key: str) -> "Source":
        """Return a source that asks with this key, over the same connections."""
        other = Source.__new__(Source)
        other._client, other._key = self._client, key  # noqa: SLF001 - its own kind
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

    # --- the market ---

    async def contracts(self) -> list[ContractResponse]:
        """Return every contract as it stands."""
        return await self._get("/v1/contracts", list[ContractResponse])

    async def contract(self, contract: str) -> ContractResponse:
        """Return one contract as it stands."""
        return await self._get(f"/v1/contracts/{_part(contract)}", ContractResponse)

    async def rating(self, contract: str) -> RatingResponse | None:
        """Return a contract's risk taken apart, or None before it was first rated."""
        return await self._get(f"/v1/contracts/{_part(contract)}/rating", RatingResponse | None)  # type: ignore[arg-type]

    async def queue(
        self, contract: str, side: str, *, offset: int, limit: int, account: str | None = None
    ) -> QueuePage:
        """Return a page of a queue, or the page that holds an account."""
        query: Query = {"side": side, "offset": offset, "limit": limit, "account": account}
        return await self._get(f"/v1/contracts/{_part(contract)}/queue", QueuePage, query)

    async def pools(self) -> list[PoolResponse]:
        """Return every pool as it stands."""
        return await self._get("/v1/pools", list[PoolResponse])

    async def pool(self, pool: str) -> PoolDetail:
        """Return one pool as it stands, with its worst drawdowns."""
        return await self._get(f"/v1/pools/{_part(pool)}", PoolDetail)

    async def pool_history(
        self, pool: str, *, between: tuple[int, int] | None = None, limit: int
    ) -> PoolHistory:
        """Return a pool's past, or that between two times, in about `limit` points; its flows."""
        from_ms, until_ms = between or (None, None)
        query: Query = {"from_ms": from_ms, "until_ms": until_ms, "limit": limit}
        return await self._get(f"/v1/pools/{_part(pool)}/history", PoolHistory, query)

    # --- accounts ---

    async def account(self, account: str) -> AccountResponse:
        """Return what an account holds."""
        return await self._get(f"/v1/accounts/{_part(account)}", AccountResponse)

    async def explain(
        self, account: str, contract: str, side: str, position: int
    ) -> ExplanationResponse:
        """Return why a position stands where it stands."""
        query: Query = {"contract": contract, "side": side, "position": position}
        return await self._get(f"/v1/accounts/{_part(account)}/explain", ExplanationResponse, query)

    async def what_if(
        self, account: str, contract: str, side: str, position: int, change: Mapping[str, str]
    ) -> WhatIfResponse:
        """Return what one change would make of a position's place."""
        asked = {"contract": contract, "side": side, "position": position, "change": change}
        return await self._ask(
            "POST", f"/v1/accounts/{_part(account)}/what-if", WhatIfResponse, body=asked
        )

    async def notices(self, account: str) -> list[dict[str, Any]]:
        """Return the deliveries of an account's notices."""
        return await self._get(f"/v1/accounts/{_part(account)}/notices", list[dict[str, Any]])

    # --- the past ---

    async def events(self, after: int, *, limit: int = 1_000, **only: str) -> EventPage:
        """Return events after a sequence; `only` may name a type, a contract or an account."""
        return await self._get("/v1/events", EventPage, {"after": after, "limit": limit, **only})

    async def stream(
        self, types: Sequence[str], after: int
    ) -> AsyncIterator[tuple[int, RecordTold | None]]:
        """Yield every record after a sequence with events of these types, as they happen.

        None is a record of which nothing is told, or the word that nothing has happened; the first
        says that the server answers.
        """
        query = {"types": ",".join(types), "after": str(after)}
        path = "/v1/events/stream"
        try:
            async with self._client.stream(
                "GET", path, params=query, headers=self._headers(), timeout=_NO_END
            ) as answer:
                if answer.status_code >= 400:
                    await answer.aread()
                    raise SourceError(answer.status_code, _message(answer))
                yield after, None
                async for sequence, data in _blocks(answer.aiter_lines(), after):
                    told = None if data is None else msgspec.json.decode(data, type=RecordTold)
                    yield sequence, told
        except httpx2.HTTPError as error:
            raise SourceError(0, f"the server cannot be reached: {error}") from None
        except (msgspec.DecodeError, ValueError) as error:
            raise SourceError(0, f"{path} was not understood: {error}") from None

    async def contract_history(
        self, contract: str, *, from_ms: int, until_ms: int | None = None, limit: int
    ) -> list[ContractHistoryPoint]:
        """Return a contract's past between two times, thinned to about `limit` points."""
        path = f"/v1/contracts/{_part(contract)}/history"
        query: Query = {"from_ms": from_ms, "until_ms": until_ms, "limit": limit}
        return await self._get(path, list[ContractHistoryPoint], query)

    async def fills(self, contract: str, *, after: int, limit: int) -> list[FillResponse]:
        """Return a contract's ADL fills after a number, oldest first."""
        query: Query = {"contract": contract, "after": after, "limit": limit}
        return await self._get("/v1/fills", list[FillResponse], query)

    async def check_reads(self) -> None:
        """Raise SourceError where the visitor may not read everything here."""
        await self._get("/v1/notices", list[dict[str, Any]], {"limit": 1})

    async def episodes(self, contract: str = "", *, limit: int = 200) -> list[EpisodeResponse]:
        """Return ADL episodes, newest first, of one contract or of all."""
        return await self._get(
            "/v1/adl", list[EpisodeResponse], {"contract": contract or None, "limit": limit}
        )

    async def waterfall(self, episode: int) -> Waterfall:
        """Return one episode from top to bottom."""
        return await self._get(f"/v1/adl/{episode}", Waterfall)

    async def recompute(self, sequence: int) -> RecomputeResponse:
        """Let the server run a record's command again and compare all that follows."""
        return await self._get(f"/v1/adl/rounds/{sequence}/recompute", RecomputeResponse)

    async def submit(self, command: Mapping[str, object]) -> Any:
        """Submit one command; return what came of it."""
        return await self._ask("POST", "/v1/commands", Any, body=command)

    # --- how ---

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    async def _get(self, path: str, kind: type[AnswerT], query: Query | None = None) -> AnswerT:
        return await self._ask("GET", path, kind, query=query)

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[AnswerT],
        *,
        query: Query | None = None,
        body: object = None,
    ) -> AnswerT:
        headers = self._headers()
        content = None if body is None else msgspec.json.encode(body)
        if content is not None:
            headers["Content-Type"] = "application/json"
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            answer = await self._client.request(
                method, path, params=asked, content=content, headers=headers
            )
        except httpx2.HTTPError as error:
            raise SourceError(0, f"the server cannot be reached: {error}") from None
        if answer.status_code >= 400:
            raise SourceError(answer.status_code, _message(answer))
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.DecodeError as error:
            raise SourceError(0, f"{path} was not understood: {error}") from None


async def _blocks(
    lines: AsyncIterator[str], sequence: int
) -> AsyncIterator[tuple[int, bytes | None]]:
    """Yield (id, data) of each block of Server-Sent Events; data is None where it has none."""
    data = None
    async for line in lines:
        if not line:
            yield sequence, data
            data = None
        elif line.startswith("id: "):
            sequence = int(line.removeprefix("id: "))
        elif line.startswith("data: "):
            data = line.removeprefix("data: ").encode()


def _message(answer: httpx2.Response) -> str:
    """Return what went wrong, out of the envelope or of the status alone."""
    try:
        fault = msgspec.json.decode(answer.content)["error"]
        place = " ".join(str(fault[name]) for name in ("field", "value") if fault.get(name))
        text = fault.get("message") or fault.get("reason")
        return f"{place}: {text}" if place else str(text)
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"the server answered {answer.status_code} {answer.reason_phrase}"


def _part(name: str) -> str:
    return quote(name, safe="")
