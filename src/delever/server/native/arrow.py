"""In: positions and balances as an Arrow IPC stream, one command a stream.

Columns are named as the fields of a row; amounts are text, decimals or whole numbers, never floats.
What is null is left out.
"""

import asyncio
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
from litestar import post
from litestar.params import FromQuery, QueryParameter

from delever.core.messages import (
    BalanceRow,
    BalancesSet,
    Event,
    PositionRow,
    PositionsSet,
    RowIgnored,
    SetBalances,
    SetPositions,
)
from delever.server.native.access import submits
from delever.server.native.answers import Told
from delever.server.native.commands import submitted
from delever.server.native.errors import AnyRequest, malformed
from delever.server.native.parts import PartsOf
from delever.server.runner import NOW, Outcome

RowT = TypeVar("RowT", PositionRow, BalanceRow)

Count = Annotated[int, QueryParameter(ge=0, le=2**53)]


@post("/v1/positions/arrow", status_code=200, guards=[submits], tags=["commands"])
async def positions(
    request: AnyRequest,
    parts: PartsOf,
    version: Count,
    last_fill: Count = 0,
    id: FromQuery[str] = "",  # noqa: A002 - the command's own word
) -> Told:
    """Run set_positions with the rows of an Arrow stream; all of them, or none."""
    rows = await asyncio.to_thread(_rows, await request.body(), PositionRow)
    command = SetPositions(
        time_ms=NOW, id=id, version=version, last_fill=last_fill, positions=tuple(rows)
    )
    return _told(await submitted(parts, command))


@post("/v1/balances/arrow", status_code=200, guards=[submits], tags=["commands"])
async def balances(
    request: AnyRequest,
    parts: PartsOf,
    version: Count,
    last_fill: Count = 0,
    id: FromQuery[str] = "",  # noqa: A002 - the command's own word
) -> Told:
    """Run set_balances with the rows of an Arrow stream; all of them, or none."""
    rows = await asyncio.to_thread(_rows, await request.body(), BalanceRow)
    command = SetBalances(
        time_ms=NOW, id=id, version=version, last_fill=last_fill, balances=tuple(rows)
    )
    return _told(await submitted(parts, command))


def _rows(body: bytes, kind: type[RowT]) -> list[RowT]:
    """Return the rows of a stream; Problem where it is none, or a row cannot be one."""
    try:
        with pa.ipc.open_stream(body) as stream:
            table = stream.read_all()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise malformed("body", "", f"is no Arrow IPC stream: {error}") from None
    try:
        return msgspec.convert(list(map(_given, table.to_pylist())), list[kind])  # type: ignore[valid-type]
    except msgspec.ValidationError as error:
        why, _, path = str(error).partition(" - at ")
        field = path.strip("`").removeprefix("$")
        raise malformed(f"rows{field}", "", why) from None


def _given(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row without nulls, decimals as text."""
    return {
        name: format(value, "f") if isinstance(value, Decimal) else value
        for name, value in row.items()
        if value is not None
    }


def _told(outcome: Outcome) -> Told:
    committed = outcome.committed
    ignored = sum(isinstance(event, RowIgnored) for event in committed.events)
    return Told(
        sequence=committed.sequence,
        time_ms=committed.time_ms,
        repeated=outcome.repeated,
        rows=ignored + sum(map(_size, committed.events)),
        ignored=ignored,
    )


def _size(event: Event) -> int:
    return len(event.accounts) if isinstance(event, PositionsSet | BalancesSet) else 0


ROUTES = [positions, balances]
